"""Progress as one line of text, updated in place in a notebook and on a terminal, and durations in words.

A notebook that is executed by a program, such as papermill, shows its progress on that program's terminal too, and
none of that is stored in the notebook. A live notebook doesn't: there the text would fill a server's log.
"""

import contextlib
import math
import os
import sys
import time

CLEAR = "\r\033[K"  # empties the terminal's last line
PAUSE = 0.1  # seconds between texts that replace each other
PAUSE_IN_FILES = 30  # seconds between texts that would, but are lines of a file


def in_notebook():
    """Whether this process is a Jupyter kernel."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return shell is not None and hasattr(shell, "kernel")


def duration(seconds):
    """Seconds as people say them: "48 s", "3 min 20 s", "5 h 10 min", "3.2 days"."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60} s"
    if seconds < 2 * 86400:
        return f"{seconds // 3600} h {seconds % 3600 // 60} min"
    return f"{seconds / 86400:.1f} days"


def how_many(number, noun):
    """A number with its noun: "1 epoch", "3 epochs"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def say(text):
    """Print a text; in a notebook that a program executes, show it on the program's terminal too."""
    if in_notebook():
        print(text, flush=True)
    tell(text)


def tell(text):
    """Print a text; in a notebook, show it on the terminal of the program that executes it and nowhere else."""
    _write(_stream(), text, final=True)


class ProgressLine:
    """A line of text that replaces itself in a notebook and on a terminal; a file gets final texts and few others."""

    def __init__(self):
        self._handle = None
        self._shown = -math.inf
        self._written = time.perf_counter()

    def show(self, text, final=False):
        """Show ``text``; with ``final`` it stays, and the next text starts a new line."""
        now = time.perf_counter()
        if not final and now - self._shown < PAUSE:
            return
        self._shown = now
        if in_notebook():
            self._display(text)
        stream = _stream()
        if final or now - self._written >= PAUSE_IN_FILES or (stream and stream.isatty()):
            self._written = now
            _write(stream, text, final)

    def _display(self, text):
        from IPython.display import display

        data = {"text/plain": text}
        if self._handle is None:
            self._handle = display(data, raw=True, display_id=True)
        else:
            self._handle.update(data, raw=True)


def _write(stream, text, final):
    """Write a text as a line; on a terminal it takes the place of what stands in the last one."""
    if stream is None:
        return
    if not stream.isatty():
        text = f"{text}\n"
    elif final:
        text = f"{CLEAR}{text}\n"
    else:
        text = CLEAR + text[: _columns(stream) - 1]  # CLEAR would leave all but the last line of a longer one
    # A notebook goes on where nobody reads its executor's standard error any more.
    with contextlib.suppress(OSError) if in_notebook() else contextlib.nullcontext():
        stream.write(text)
        stream.flush()


def _columns(terminal):
    """Number of columns, 80 where the terminal doesn't say."""
    try:
        return os.get_terminal_size(terminal.fileno()).columns or 80
    except (OSError, ValueError):
        return 80


_last_cell = None  # id of the request to execute it


def _stream():
    """Where texts are written: standard output; in a notebook its executor's standard error, or None if it is live.

    A live notebook lets somebody answer ``input()``, a program that executes one does not.
    """
    global _last_cell
    if not in_notebook():
        return sys.stdout
    try:
        request = sys.modules["IPython"].get_ipython().kernel.get_parent()
        if request["content"]["allow_stdin"]:
            return None
        # ipykernel captures what is written to the file descriptor 2 and keeps the original as this one.
        stream = open(sys.stderr.fileno(), "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    except (AttributeError, LookupError, OSError, ValueError):
        return None
    if request["header"]["msg_id"] != _last_cell and not stream.isatty():
        stream.write("\n")  # papermill's bar ends without
    _last_cell = request["header"]["msg_id"]
    return stream


class ProgressBar:
    """A bar that shows how many things are done, and the time left: "preparing train: ███··· 3 of 6 images, …".

    ``what`` is being done to ``total`` things, in words a ``noun``; ``done`` of them were done before.
    """

    WIDTH = 20

    def __init__(self, what, total, noun, done=0):
        self.what = what
        self.total = total
        self.noun = noun
        self._before = done
        self._began = time.perf_counter()
        self._line = ProgressLine()

    def show(self, done):
        """Show that ``done`` of them are done; at the end the time it took replaces the bar."""
        elapsed = time.perf_counter() - self._began
        count = f"{done:,} of {self.total:,} {self.noun}"
        if done >= self.total:
            self._line.show(f"{self.what}: {count}, {duration(elapsed)}", final=True)
            return
        filled = self.WIDTH * done // self.total
        left = duration((self.total - done) * elapsed / max(1, done - self._before))
        bar = "█" * filled + "·" * (self.WIDTH - filled)
        self._line.show(f"{self.what}: {bar} {count}, about {left} left")
