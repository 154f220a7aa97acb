"""Run a command on a GPU of its own: ``python workflow/on_gpu.py 2 papermill …`` takes the first free one of two.

A GPU is held by a lock on a file, one a device, machine and user. The command inherits the lock, so it ends with the
command, however that ends. SLURM gives its jobs their devices; there the command is run as it is.
"""

import fcntl
import os
import sys
import tempfile
import time


def take(devices):
    """Wait until one of the devices is free, and hold it as long as this process, or what it becomes, lives."""
    while True:
        for device in devices:
            path = os.path.join(tempfile.gettempdir(), f"wisesr-{os.getuid()}-gpu-{device}.lock")
            descriptor = os.open(path, os.O_CREAT | os.O_RDWR)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                continue
            os.set_inheritable(descriptor, True)
            return device
        time.sleep(1)


if __name__ == "__main__":
    count, *command = sys.argv[1:]
    if "SLURM_JOB_ID" not in os.environ:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        devices = visible.split(",") if visible else list(map(str, range(int(count))))
        os.environ["CUDA_VISIBLE_DEVICES"] = take(devices[: int(count)])
    os.execvp(command[0], command)
