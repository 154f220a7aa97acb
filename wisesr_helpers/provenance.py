"""Where a result comes from: the commit, the machine, and the versions."""

import importlib.metadata
import pathlib
import platform
import subprocess

from wisesr_helpers.machine import devices, usable_cores
from wisesr_helpers.runs import project_root


def git_state(besides="results"):
    """(commit, whether the tree was clean) of the project, or (None, None) outside a checkout.

    Args:
        besides: A folder whose changes don't count: records come from code, never from other records.
    """
    root = project_root()
    if root is None:
        return None, None

    def git(*words):
        return subprocess.run(["git", "-C", root, *words], capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "HEAD"), git("status", "--porcelain", "--", ".", f":!{besides}") == ""
    except (OSError, subprocess.CalledProcessError):
        return None, None


def _processor():
    """The processor's name, where the machine tells it."""
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown"


def environment():
    """Versions and machine of this process, for a record's execution."""
    from wisesr_helpers._keras import keras

    backend = keras.backend.backend()
    packages = "keras numpy opencv-python-headless opencv-python pillow tensorflow tensorflow-cpu jax".split()
    versions = {
        "python": platform.python_version(),
        "wisesr_helpers": importlib.metadata.version("wisesr_helpers"),
    }
    for package in packages:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    commit, clean = git_state()
    return {
        "backend": backend,
        "device": ", ".join(devices()),
        "machine": f"{platform.machine()}, {platform.system()}",
        "processor": _processor(),
        "threads": usable_cores(),
        "versions": versions,
        "commit": commit,
        "clean": clean,
    }
