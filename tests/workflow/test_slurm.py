"""The grid on a real SLURM, with a job cancelled and daemons killed: every run complete, as a local one is."""

import contextlib
import json
import os
import pathlib
import shlex
import signal
import subprocess
import sys

import pytest
import slurm
from tests_support import debian

from wisesr_helpers.studies.plan import plan
from wisesr_helpers.training import runs

STUDY = "intel_224"
LOCAL = (
    "import sys, wisesr_helpers as ws\n"
    "for head in sys.argv[2:]:\n"
    f"    ws.Experiment('{STUDY}', head, scale='smoke', runs_dir=sys.argv[1]).run()\n"
)


def head(cluster, runs_dir, out):
    """Snakemake, submitting the study's rows to the cluster."""
    words = ["snakemake", "-s", "workflow/Snakefile", "--profile", "workflow/profiles/slurm", STUDY, "--jobs", "2"]
    words += ["--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "1"]
    words += ["--seconds-between-status-checks", "1", "--latency-wait", "5"]
    words += ["--config", "scale=smoke", f"runs_dir={runs_dir}"]
    words += ["--set-resources", f"run:gpu={min(1, cluster.gpus)}", "run:mem_mb=1000"]
    return subprocess.Popen(words, env=cluster.environment, stdout=out, stderr=out, start_new_session=True)


def signal_trainings(rows, number):
    """Send a signal to the processes that train these rows, and count them: a stopped one isn't done too soon."""
    count = 0
    for row in rows:
        with contextlib.suppress(OSError, ValueError):
            os.kill(json.loads((row.spec.folder / ".lock.json").read_text())["pid"], number)
            count += 1
    return count


def second(cluster, row):
    """What a second job says that is to train a row while the first one does."""
    words = ["srun", "--mem=1000", *shlex.split(row.command)]
    done = subprocess.run(words, env=cluster.environment, capture_output=True, text=True, timeout=240)
    assert done.returncode != 0
    return done.stderr


def array_devices(cluster, folder):
    """The devices that the two tasks of an array without an engine see."""
    rows = folder / "rows.txt"
    rows.write_text("".join(f"echo $CUDA_VISIBLE_DEVICES > {folder}/task-{task}\n" for task in (1, 2)))
    words = ["sbatch", "--wait", "--array=1-2", "--cpus-per-task=1", "--mem=100", f"--gpus={min(1, cluster.gpus)}"]
    words += ["--output=/dev/null", "workflow/array.sh", rows]
    subprocess.run(words, env=cluster.environment, check=True, capture_output=True, timeout=120)
    return [(folder / f"task-{task}").read_text().strip() for task in (1, 2)]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_grid_on_slurm_survives_whatever_is_killed(tmp_path, root, monkeypatch):
    debian("slurmctld", "slurmd", "slurm-client", "munge", command="slurmctld")
    watch, runs_dir = tmp_path / "watch", tmp_path / "runs"
    watch.mkdir()
    monkeypatch.chdir(root)
    monkeypatch.setenv("PYTHONPATH", f"{root}/tests/workflow/watched{os.pathsep}{root}")
    monkeypatch.setenv("WISESR_WATCH", str(watch))
    monkeypatch.setenv("PATH", f"{pathlib.Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")

    def rows():
        return [row for row in plan({"scale": "smoke", "runs_dir": runs_dir}) if row.spec.study.name == STUDY]

    with slurm.cluster(tmp_path) as cluster, open(tmp_path / "head.out", "wb") as out:
        first = head(cluster, runs_dir, out)
        slurm.wait(lambda: signal_trainings(rows(), signal.SIGSTOP) == 2, 240, "two trainings")
        held = next(row for row in rows() if (row.spec.folder / ".lock.json").exists())
        assert "is being trained by process" in second(cluster, held)
        cancelled, lost = cluster.jobs("RUNNING")
        cluster.ask("scancel", cancelled)
        slurm.wait(lambda: signal_trainings(rows(), 0) < 2, 60, "the end of a cancelled training")
        cluster.kill("slurmd")
        slurm.wait(lambda: not cluster.jobs("RUNNING"), 60, "a lost node")
        cluster.start("slurmd")
        slurm.wait(lambda: lost in cluster.jobs("RUNNING"), 120, "the lost job, on the node that is back")
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()
        signal_trainings(rows(), signal.SIGCONT)
        for _ in range(3):  # a job that a living one's lock refuses fails; the next call sees to its row
            if head(cluster, runs_dir, out).wait(300) == 0:
                break
        gpus = cluster.gpus
        devices = array_devices(cluster, tmp_path)
    assert {row.state for row in rows()} == {"complete"}
    assert len(list(watch.glob("gpu-*"))) == gpus
    assert not (watch / "collisions").exists()
    assert all(devices) == bool(gpus)
    local = tmp_path / "local"
    subprocess.run([sys.executable, "-c", LOCAL, local, *(row.spec.head.name for row in rows())], check=True)
    for row in rows():
        found, expected = (runs.read_run(folder / row.identity) for folder in (runs_dir, local))
        assert found.outcome_sha256 == expected.outcome_sha256, row.identity
