"""Loaded by every Python that has this folder in PYTHONPATH: a kernel holds its device and says who else has it.

WISESR_WATCH is a folder. It gets a locked file for every device, and a line in "collisions" for every kernel that finds
its device locked by another one.
"""

import fcntl
import os
import sys

_device = os.environ.get("CUDA_VISIBLE_DEVICES")
if _device and "ipykernel_launcher" in " ".join(sys.orig_argv):
    _held = open(os.path.join(os.environ["WISESR_WATCH"], f"gpu-{_device}"), "w")  # noqa: SIM115 — held for good
    try:
        fcntl.flock(_held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        with open(os.path.join(os.environ["WISESR_WATCH"], "collisions"), "a") as _file:
            _file.write(f"{_device}\n")
