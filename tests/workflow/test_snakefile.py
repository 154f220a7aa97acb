"""The grid's one command: what it would run, what it leaves alone, and that killing it loses nothing finished."""

import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import pytest
import records

from wisesr_helpers.studies.plan import plan


@pytest.fixture
def snakemake(root, monkeypatch, tmp_path):
    """Function: words, config → the ``CompletedProcess`` of Snakemake, or with ``wait=False`` its ``Popen``."""
    monkeypatch.setenv("PATH", f"{pathlib.Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")

    def call(*words, wait=True, **config):
        words = ["snakemake", "-s", "workflow/Snakefile", "--cores", "2", *words, "--config"]
        words += [
            f"{name}={value}" for name, value in {"scale": "smoke", "runs_dir": tmp_path / "my runs", **config}.items()
        ]
        if wait:
            return subprocess.run(words, cwd=root, capture_output=True, text=True)
        return subprocess.Popen(
            words, cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )

    return call


def listed(done):
    """Rows that Snakemake lists, with their estimates."""
    return dict(re.findall(r"^Job \d+: (\S+--s\d+): (about .*)$", done.stdout + done.stderr, re.MULTILINE))


def test_all_rows_at_paper_scale_are_listed_with_their_estimates(snakemake, tmp_path):
    done = snakemake("-n", scale="paper")
    rows = {row.identity: row.estimate for row in plan({"scale": "paper", "runs_dir": tmp_path / "my runs"})}
    assert listed(done) == rows
    assert re.search(r"^prepare +10$", done.stdout, re.MULTILINE)  # photographs come before the rows
    assert "all: 0 of 63 rows are done, 63 missing. Estimated for those, one after another: 14" in done.stdout


def test_what_is_done_or_diverged_is_left_alone_and_what_is_stale_is_made_again(snakemake, tmp_path):
    gap, avg_fc, wise = (
        row for row in plan({"scale": "smoke", "runs_dir": tmp_path / "my runs"}) if row.targets[1] == "table_9"
    )
    records.keep_row(gap, status="diverged", correct=(1,), divergence={"epoch": 2, "step": 1, "loss": 1.0})
    records.keep_row(avg_fc, behaviour={"layers": 0})
    (tmp_path / "my runs" / ".grid").mkdir()
    (tmp_path / "my runs" / ".grid" / wise.identity).touch()  # of an earlier call
    done = snakemake("-n", "-p", "table_9")
    assert set(listed(done)) == {avg_fc.identity, wise.identity}
    assert f"{avg_fc.command} -p overwrite True > " in done.stdout
    assert f"{wise.command} > " in done.stdout
    records.keep_row(avg_fc)
    records.keep_row(wise)
    done = snakemake("table_9", wise.identity)
    assert (done.returncode, listed(done)) == (0, {})
    assert "table_9: 3 of 3 rows are done." in done.stderr


@pytest.mark.slow
def test_what_the_grid_does_not_have_is_answered_in_a_sentence(snakemake):
    done = snakemake("-n", heads="wize")
    assert done.returncode != 0
    assert "The grid has no head 'wize'. Valid: gap, " in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


COMMAND = (
    "import os, sys, time\n"
    "path = os.path.join(sys.argv[1], os.environ['CUDA_VISIBLE_DEVICES'])\n"
    "os.close(os.open(path, os.O_CREAT | os.O_EXCL))\n"
    "time.sleep(0.3)\n"
    "os.unlink(path)\n"
    "print(os.environ['CUDA_VISIBLE_DEVICES'])\n"
)


def test_commands_get_a_gpu_each_and_wait_where_there_is_none(root, tmp_path):
    words = [sys.executable, root / "workflow" / "on_gpu.py", "2", sys.executable, "-c", COMMAND, tmp_path]
    environment = {**os.environ, "TMPDIR": str(tmp_path), "CUDA_VISIBLE_DEVICES": "3,5,7"}
    environment.pop("SLURM_JOB_ID", None)
    jobs = [subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    said = [job.communicate()[0].strip() for job in jobs]
    assert [job.returncode for job in jobs] == [0] * 3  # no two had one device at once
    assert sorted(set(said)) == ["3", "5"]


def test_an_array_job_runs_the_command_of_its_task(root, tmp_path):
    (tmp_path / "rows.txt").write_text("exit 3\nsh -c 'exit 7'\n")
    environment = {**os.environ, "SLURM_ARRAY_TASK_ID": "2"}
    done = subprocess.run(["bash", root / "workflow" / "array.sh", tmp_path / "rows.txt"], env=environment)
    assert done.returncode == 7


def test_a_killed_command_gives_its_gpu_back_and_slurm_gives_its_own(root, tmp_path):
    script, environment = root / "workflow" / "on_gpu.py", {**os.environ, "TMPDIR": str(tmp_path)}
    environment.pop("CUDA_VISIBLE_DEVICES", None)
    with subprocess.Popen([sys.executable, script, "1", "sleep", "60"], env=environment) as first:
        while not list(tmp_path.glob("*.lock")):
            time.sleep(0.05)
        first.kill()
    show = [sys.executable, script, "1", "sh", "-c", "echo $CUDA_VISIBLE_DEVICES"]
    assert subprocess.run(show, env=environment, capture_output=True, text=True, timeout=10).stdout == "0\n"
    environment |= {"SLURM_JOB_ID": "1", "CUDA_VISIBLE_DEVICES": "7"}
    assert subprocess.run(show, env=environment, capture_output=True, text=True, timeout=10).stdout == "7\n"


@pytest.mark.slow
def test_every_smoke_row_completes_through_a_grid_that_is_killed(snakemake, tmp_path, root, monkeypatch):
    watch = tmp_path / "watch"
    watch.mkdir()
    monkeypatch.setenv("WISESR_WATCH", str(watch))
    monkeypatch.setenv("PYTHONPATH", f"{root}/tests/workflow/watched{os.pathsep}{root}")
    words = ["--resources", "gpu=2", "--set-resources", "run:gpu=1"]

    def rows():
        return plan({"scale": "smoke", "runs_dir": tmp_path / "my runs"})

    def finished():
        return {row.identity: (row.spec.folder / "record.json").read_bytes() for row in rows() if row.done}

    grid = snakemake(*words, wait=False)
    try:
        while not finished():
            assert grid.poll() is None
            time.sleep(0.2)
    finally:
        os.killpg(grid.pid, signal.SIGKILL)
        grid.wait()
    kept = finished()
    done = snakemake(*words)
    assert done.returncode == 0, done.stderr[-3000:]
    assert not set(listed(done)) & set(kept)
    assert {row.identity: row.state for row in rows() if row.state != "complete"} == {}
    assert len(rows()) == 20
    assert kept.items() <= finished().items()
    assert sorted(path.name for path in watch.iterdir()) == ["gpu-0", "gpu-1"]  # and no collisions


@pytest.mark.slow
def test_rows_with_their_named_backbones_complete(snakemake, tmp_path):
    config = {"heads": "wise", "backbones": "DenseNet121,ResNet50V2"}  # one at 224×224, one at 512×512
    done = snakemake(**config)
    assert done.returncode == 0, done.stderr[-3000:]
    rows = plan({"scale": "smoke", "runs_dir": tmp_path / "my runs", **config})
    assert {row.identity: row.state for row in rows} == {
        "sub_imagenet_224--smoke--DenseNet121--wise--s0": "complete",
        "mit_512--smoke--ResNet50V2--wise--s0": "complete",
    }
