"""Progress in notebooks, on terminals and in files."""

import contextlib
import functools
import os
import select
import sys
import termios
from types import SimpleNamespace

import pytest
from jupyter_client.manager import start_new_kernel

from wisesr_helpers import progress
from wisesr_helpers.progress import CLEAR, ProgressBar, ProgressLine, say, tell

CELL = """
from wisesr_helpers.progress import ProgressLine, say, tell
line = ProgressLine()
line.show("epoch 1 of 2, step 1 of 9")
line.show("epoch 1 of 2: loss 1.000", final=True)
say("Said.")
tell("Told.")
"""


@contextlib.contextmanager
def kernel(stderr):
    """What executes a cell: code, whether somebody can answer → outputs as (type, text)."""
    # Under pytest, ipykernel would not capture what goes to file descriptors.
    environment = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
    manager, client = start_new_kernel(stderr=stderr, env=environment)

    def execute(code, allow_stdin):
        outputs = []

        def keep(message):
            content = message["content"]
            if "text" in content or "data" in content:
                outputs.append((message["msg_type"], content.get("text") or content["data"]["text/plain"]))

        reply = client.execute_interactive(code, allow_stdin=allow_stdin, output_hook=keep)
        assert reply["content"]["status"] == "ok", reply
        return outputs

    try:
        yield execute
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()


@contextlib.contextmanager
def terminal(columns=30):
    """(file descriptor of a terminal, what reads all that was written to it)."""
    reader, writer = os.openpty()
    termios.tcsetwinsize(writer, (24, columns))

    def read():
        text = b""
        while select.select([reader], [], [], 0.5)[0]:  # what is written does not come at once
            text += os.read(reader, 1024)
        return text.decode().replace("\r\n", "\n")

    yield writer, read
    os.close(reader)
    os.close(writer)


SHOWN = [
    ("display_data", "epoch 1 of 2, step 1 of 9"),
    ("update_display_data", "epoch 1 of 2: loss 1.000"),
    ("stream", "Said.\n"),
]


def test_a_notebook_shows_progress_where_its_executor_writes_errors_and_keeps_it_out_of_the_outputs(tmp_path):
    with open(tmp_path / "stderr", "wb") as stderr, kernel(stderr) as execute:
        before = (tmp_path / "stderr").read_text()
        assert execute(CELL, allow_stdin=False) == SHOWN
        written = (tmp_path / "stderr").read_text().removeprefix(before)
        assert written == "\nepoch 1 of 2: loss 1.000\nSaid.\nTold.\n"
        assert execute(CELL, allow_stdin=True) == SHOWN  # a live notebook: its server's log stays as it was
        assert (tmp_path / "stderr").read_text() == before + written


def test_a_notebook_shows_progress_in_place_on_its_executors_terminal():
    with terminal() as (writer, read), kernel(writer) as execute:
        read()
        assert execute(CELL, allow_stdin=False) == SHOWN
        assert read() == (
            f"{CLEAR}epoch 1 of 2, step 1 of 9{CLEAR}epoch 1 of 2: loss 1.000\n{CLEAR}Said.\n{CLEAR}Told.\n"
        )


def test_on_a_terminal_a_text_takes_the_place_of_the_last_and_fits_into_a_line(monkeypatch):
    with terminal(columns=20) as (writer, read), open(writer, "w", closefd=False) as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        monkeypatch.setattr(progress, "PAUSE", 0)
        line = ProgressLine()
        line.show("a text of more than twenty columns")
        line.show("another of more than twenty", final=True)
        say("said")
        assert read() == f"{CLEAR}a text of more than{CLEAR}another of more than twenty\n{CLEAR}said\n"


@pytest.fixture
def at(monkeypatch):
    """Sets the clock, in seconds."""
    clock = SimpleNamespace(now=0)
    monkeypatch.setattr(progress, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    return functools.partial(setattr, clock, "now")


def test_a_file_gets_what_stays_and_now_and_then_what_does_not(at, capsys):
    line = ProgressLine()
    for second in (1, 29, 30, 31, 61):
        at(second)
        line.show(f"second {second}")
    line.show("end", final=True)
    tell("told")
    assert capsys.readouterr().out == "second 30\nsecond 61\nend\ntold\n"


def test_a_bar_says_what_is_done_and_how_long_the_rest_takes(at, capsys):
    bar = ProgressBar("preparing", 1200, "images", done=200)
    at(60)
    bar.show(300)
    at(90)
    bar.show(1200)
    assert capsys.readouterr().out == (
        "preparing: █████··············· 300 of 1,200 images, about 9 min 0 s left\n"
        "preparing: 1,200 of 1,200 images, 1 min 30 s\n"
    )
