"""A SLURM on loopback: munged, slurmctld and slurmd from Debian's packages, one node with two GPUs that are none."""

import contextlib
import getpass
import os
import pathlib
import shutil
import signal
import socket
import stat
import subprocess
import time

CONFIGURATION = """
ClusterName=loopback
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthInfo=socket={folder}/munge.socket,cred_expire=10
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
MpiDefault=none
ReturnToService=2
SlurmdTimeout=10
KillWait=2
MinJobAge=300
{gres}
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 RealMemory=8000 {gpus}
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


class Cluster:
    """The cluster in a folder; ``environment`` is what its clients need, ``gpus`` how many devices it has."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        configuration, programs = self.folder / "slurm.conf", self.folder / "bin"
        self.environment = {
            **os.environ,
            "SLURM_CONF": str(configuration),
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        }
        self.processes = {}
        self.gpus = sum(_null_device(self.folder / f"gpu{k}") for k in range(2))
        (self.folder / "munge.key").write_bytes(os.urandom(128))
        (self.folder / "munge.key").chmod(0o600)
        for name in ("state", "spool", "bin"):
            (self.folder / name).mkdir()
        # Snakemake's plugin drops every SLURM variable before it calls srun.
        (programs / "srun").write_text(f'#!/bin/sh\nSLURM_CONF={configuration} exec {shutil.which("srun")} "$@"\n')
        (programs / "srun").chmod(0o755)
        host = socket.gethostname().partition(".")[0]
        text = CONFIGURATION.format(
            host=host,
            user=getpass.getuser(),
            folder=self.folder,
            ports=_free_ports(2),
            gres="GresTypes=gpu" if self.gpus else "",
            gpus=f"Gres=gpu:{self.gpus}" if self.gpus else "",
        )
        configuration.write_text(text)
        if self.gpus:
            (self.folder / "gres.conf").write_text(f"Name=gpu File={self.folder}/gpu[0-{self.gpus - 1}]\n")

    def start(self, name):
        """Start one of the daemons in the foreground."""
        words = {
            "munged": [
                *("munged", "--foreground", "--force", f"--key-file={self.folder}/munge.key"),
                *(f"--{option}={self.folder}/munge.{option}" for option in ("socket", "pid-file", "log-file")),
                f"--seed-file={self.folder}/munge.seed",
            ],
            "slurmctld": ["slurmctld", "-D", "-i"],
            "slurmd": ["slurmd", "-D"],
        }[name]
        with open(self.folder / f"{name}.out", "ab") as out:
            self.processes[name] = subprocess.Popen(
                words, env=self.environment, stdout=out, stderr=out, stdin=subprocess.DEVNULL, start_new_session=True
            )

    def ask(self, *words):
        """What one of SLURM's clients says; empty where it fails."""
        done = subprocess.run(words, env=self.environment, capture_output=True, text=True, timeout=60)
        return done.stdout.strip() if done.returncode == 0 else ""

    def jobs(self, state=""):
        """Ids of the jobs, of one state or all."""
        return self.ask("squeue", "--noheader", "--format=%A", *([f"--states={state}"] if state else [])).split()

    def kill(self, name):
        """Kill a daemon as a vanished machine would."""
        self.processes[name].kill()
        self.processes.pop(name).wait()

    def end(self):
        """End daemons and jobs, whatever state they are in: every process whose variables name this folder."""
        for process in self.processes.values():
            process.terminate()
        for _ in range(2):  # what ends may have started another one meanwhile
            for path in pathlib.Path("/proc").glob("[0-9]*/environ"):
                with contextlib.suppress(OSError):
                    if os.fsencode(self.folder) in path.read_bytes():
                        os.kill(int(path.parent.name), signal.SIGKILL)
        for process in self.processes.values():
            process.wait()


@contextlib.contextmanager
def cluster(folder):
    """A ``Cluster`` whose node is idle; it ends with the block."""
    made = Cluster(folder)
    try:
        made.start("munged")
        wait((made.folder / "munge.socket").exists, 20, "munged's socket")
        made.start("slurmctld")
        made.start("slurmd")
        wait(lambda: made.ask("sinfo", "--noheader", "--format=%t") == "idle", 60, "an idle node")
        yield made
    finally:
        made.end()


def wait(holds, seconds, what):
    """Wait until something holds; an AssertionError that names it, otherwise."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"{what} did not come within {seconds} s"
        time.sleep(0.3)


def _null_device(path):
    """Make a null device, which is all that SLURM wants of a GPU; False where that is refused."""
    try:
        os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    except OSError:
        return False
    return True


def _free_ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
