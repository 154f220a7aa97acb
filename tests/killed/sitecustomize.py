"""Loaded by every Python that has this folder in PYTHONPATH: it kills its own process where WISESR_KILL says.

WISESR_KILL is ``kind:epoch:number``, with the kinds

- ``save``: while the checkpoint of ``epoch`` is saved: after ``number`` bytes of it; -1: whole but not yet named;
  -2: named, before what follows; -3: half of it copied to its name, as on a drive that renames by copying;
- ``within``: after step ``number`` of ``epoch``;
- ``between``: when ``epoch`` is about to begin.

Before that a line with WISESR_KILL is added to the file WISESR_KILLED. The process is killed by SIGKILL, and first its
parent (papermill) if WISESR_KILL_PARENT is set.

WISESR_FAULT plants something else: ``stateful`` makes the order of the images depend on how many orders the process
has drawn, which a resumable training must not do; ``drive`` takes the file locks away, as on some mounted drives;
``diverge`` spoils the weights after the second epoch's first step.
"""

import builtins
import importlib.abc
import importlib.util
import io
import os
import shutil
import signal
import sys

KIND, EPOCH, NUMBER = "", 0, 0
if os.environ.get("WISESR_KILL"):
    KIND, EPOCH, NUMBER = (part if part.isalpha() else int(part) for part in os.environ["WISESR_KILL"].split(":"))
CHECKPOINT = f"e{EPOCH:04}.npz"


def die():
    """End this process as a vanished machine would."""
    with _open(os.environ["WISESR_KILLED"], "a") as file:
        file.write(os.environ["WISESR_KILL"] + "\n")
    if os.environ.get("WISESR_KILL_PARENT"):
        os.kill(os.getppid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


class Dying(io.BufferedWriter):
    """A file that kills its writer after NUMBER bytes."""

    def write(self, data):
        left = NUMBER - self.tell()
        if memoryview(data).nbytes >= left:
            super().write(memoryview(data).cast("B")[: max(0, left)])
            self.flush()
            die()
        return super().write(data)


def opened(path, mode="r", *args, **options):
    """``open``, whose file is a dying one if it is to become the checkpoint."""
    if mode == "wb" and str(path).endswith(CHECKPOINT):
        return Dying(io.FileIO(path, "wb"))
    return _open(path, mode, *args, **options)


def replaced(source, target, **options):
    """``os.replace``, with an end before, after or in the middle of it."""
    if str(target).endswith(CHECKPOINT):
        if NUMBER == -1:
            die()
        if NUMBER == -3:
            shutil.copyfile(source, target)
            os.truncate(target, os.path.getsize(source) // 2)
            die()
    _replace(source, target, **options)
    if str(target).endswith(CHECKPOINT):
        die()


def change_training(module):
    """Let a step or the beginning of an epoch be the last thing that the process does."""
    train_epoch = module.train_epoch

    def trained(model, batches, epoch, step_taken):
        if KIND == "between" and epoch + 1 == EPOCH:
            die()

        def taken(epoch, step, loss):
            step_taken(epoch, step, loss)
            if KIND == "within" and (epoch + 1, step) == (EPOCH, NUMBER):
                die()
            if FAULT == "diverge" and (epoch + 1, step) == (2, 1):
                kernel = model.layers[-1].kernel
                kernel.assign(kernel * float("nan"))

        return train_epoch(model, batches, epoch, taken)

    module.train_epoch = trained


def change_batches(module):
    """Draw the orders one after the other from one generator, as a stateful shuffle does."""
    import numpy as np

    generator, drawn = np.random.default_rng(0), {}

    def order(seed, epoch, count):
        if epoch not in drawn:
            drawn[epoch] = generator.permutation(count)
        return drawn[epoch]

    module._order = order


CHANGES = {"wisesr_helpers.training.loop": change_training}
FAULT = os.environ.get("WISESR_FAULT")
if FAULT == "stateful":
    CHANGES["wisesr_helpers.data.batches"] = change_batches
if FAULT == "drive":
    import errno
    import fcntl

    def no_lock(*_):
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    fcntl.flock = no_lock


class Finder(importlib.abc.MetaPathFinder):
    """Changes a module when it has been loaded."""

    def find_spec(self, name, path=None, target=None):
        if name not in CHANGES:
            return None
        sys.meta_path.remove(self)
        try:
            spec = importlib.util.find_spec(name)
        finally:
            sys.meta_path.insert(0, self)
        run = spec.loader.exec_module

        def exec_module(module):
            run(module)
            CHANGES[name](module)

        spec.loader.exec_module = exec_module
        return spec


sys.meta_path.insert(0, Finder())
_open, _replace = builtins.open, os.replace
if KIND == "save" and NUMBER >= 0:
    builtins.open = opened
elif KIND == "save":
    os.replace = replaced
