"""Checkpoints: one file per whole epoch of a run; a file that isn't whole counts as missing.

A checkpoint never replaces another one's file, so that even a drive that renames by copying can damage only the epoch
that is being saved. The file is a ZIP archive written by ``numpy.savez``, whose CRC-32 sums reveal damage.
"""

import dataclasses
import json
import pathlib
import re
import struct
import zipfile
import zlib

import numpy as np

from wisesr_helpers.storage import sweep, whole_file
from wisesr_helpers.training.runs import write_errors

SCHEMA = 1
_DAMAGED = (OSError, EOFError, ValueError, KeyError, TypeError, RuntimeError)  # what reading a damaged file raises
_DAMAGED += (zipfile.BadZipFile, zlib.error, struct.error)


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A run after ``epoch`` whole epochs, 0 before the first: named NumPy arrays, and a state that JSON can hold."""

    epoch: int
    names: list
    arrays: list
    state: dict


class Checkpoints:
    """The checkpoints of one run.

    Args:
        folder: Their folder, inside the run's; made when the first is saved.
        origin: What must be the same for a run to be continued: a description, such as "data", → a value that JSON
            can hold.
        commit: Of the code, for the message where a run can't be continued; None: unknown.
    """

    def __init__(self, folder, origin=None, commit=None):
        self.folder = pathlib.Path(folder)
        self.origin = origin or {}
        self.commit = commit

    def save(self, checkpoint, keep=()):
        """Save a checkpoint, then remove all but it, the newest before it, and those of the epochs ``keep``.

        OSError where it can't be written; everything saved before stays.
        """
        header = {
            "schema": SCHEMA,
            "epoch": checkpoint.epoch,
            "names": checkpoint.names,
            "origin": self.origin,
            "commit": self.commit,
            "state": checkpoint.state,
        }
        text = np.frombuffer(json.dumps(header, allow_nan=False).encode(), np.uint8)
        what = f"Epoch {checkpoint.epoch}" if checkpoint.epoch else "The untrained model"
        with write_errors(self.folder.parent, what):
            self.folder.mkdir(parents=True, exist_ok=True)
            with whole_file(self._path(checkpoint.epoch)) as file:
                np.savez(file, header=text, **{f"a{k}": array for k, array in enumerate(checkpoint.arrays)})
        before = [epoch for epoch in self.epochs() if epoch < checkpoint.epoch]
        self.prune({*keep, checkpoint.epoch, *before[-1:]})

    def prune(self, keep):
        """Remove all checkpoints except those of the epochs ``keep``, and what interrupted saves left."""
        for epoch in set(self.epochs()) - set(keep):
            self._path(epoch).unlink(missing_ok=True)
        if self.folder.exists():
            sweep(self.folder)

    def epochs(self):
        """The epochs that have a file, ascending; some files may be damaged."""
        found = (re.fullmatch(r"e(\d{4,})\.npz", path.name) for path in self.folder.glob("e*.npz"))
        return sorted(int(match[1]) for match in found if match)

    def newest(self):
        """The newest whole checkpoint, or None; each newer one that is damaged is reported. Raises as :meth:`load`."""
        found = (self.load(epoch) for epoch in reversed(self.epochs()))
        return next((checkpoint for checkpoint in found if checkpoint is not None), None)

    def load(self, epoch):
        """The checkpoint of an epoch; None if it is missing, or damaged, which is reported.

        Raises:
            ValueError: It comes from a run of another origin.
        """
        path = self._path(epoch)
        if not path.exists():
            return None
        try:
            with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
                header = json.loads(archive["header"].tobytes())
                if header["schema"] != SCHEMA or header["epoch"] != epoch:
                    raise ValueError("another schema or epoch")
                arrays = [archive[f"a{k}"] for k in range(len(header["names"]))]
                checkpoint = Checkpoint(epoch, header["names"], arrays, header["state"])
                origin, commit = header["origin"], header["commit"]
        except _DAMAGED as error:
            print(f"The checkpoint of epoch {epoch} in '{self.folder.parent}' is damaged ({error}); it is not used.")
            return None  # the file stays, as a drive may fail for a moment only
        others = [what for what, value in self.origin.items() if origin.get(what) != value]
        if others:
            made = f" (commit {commit[:10]})" if commit else ""
            raise ValueError(
                f"'{self.folder.parent}' holds {epoch} epochs of this run, trained with other {' and '.join(others)} "
                f"than today's{made}. Go on with what they were trained with, give another runs_dir, or set overwrite "
                "to train the run anew."
            )
        return checkpoint

    def _path(self, epoch):
        return self.folder / f"e{epoch:04}.npz"
