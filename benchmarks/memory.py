"""Memory of a process that prepares a dataset, loads it and reads epochs, besides the files that it maps.

benchmarks/pipeline.py starts it as a process of its own: python benchmarks/memory.py FOLDER SIDE BATCH
"""

import contextlib
import io
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

EPOCHS = 6  # that are read
MOMENT = 0.005  # seconds from one look at a process to the next
LIMITS = {  # promise → less than so many MiB
    "MiB besides the mapped files, at most": 1024,
    "MiB from the second epoch to the last": 16,
}


def anonymous_mib(process="self"):
    """Memory of a process besides mapped files, in MiB, what is swapped out included."""
    lines = pathlib.Path(f"/proc/{process}/status").read_text().splitlines()
    status = dict(line.split(":", 1) for line in lines)
    return sum(int(status[kind].split()[0]) for kind in ("RssAnon", "VmSwap")) / 1024


def lay_out(photographs, entries, folder, times):
    """MIT Indoors Scenes' folders and lists, of links to the same JPEG files under ``times`` names each."""
    names = []
    for turn in range(times):
        for entry in entries:
            names.append(f"{entry.label}/{turn}-{entry.path}")
            (folder / "Images" / names[-1]).parent.mkdir(parents=True, exist_ok=True)
            os.link(photographs / entry.path, folder / "Images" / names[-1])
    (folder / "TrainImages.txt").write_text("\n".join(names[1:]))
    (folder / "TestImages.txt").write_text(names[0])


def watched(folder, side, batch):
    """(MiB before the first epoch and after each, the most in between) of a process that reads a dataset."""
    words = [sys.executable, __file__, str(folder), str(side), str(batch)]
    most = 0
    # A pipe that nobody empties meanwhile would stop a process that says much.
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(words, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        while process.poll() is None:
            with contextlib.suppress(KeyError):  # it has ended just now
                most = max(most, anonymous_mib(process.pid))
            time.sleep(MOMENT)
        said, _ = process.communicate()
        errors.seek(0)
        if process.returncode:
            sys.exit(f"{' '.join(words)} failed: {errors.read()}")
    found = json.loads(said)
    return found, round(max(most, *found), 1)


def read_epochs(folder, side, batch):
    """Prepare, load what is prepared, read epochs: MiB before the first and after each."""
    from wisesr_helpers.data.batches import Batches
    from wisesr_helpers.data.load import load_dataset
    from wisesr_helpers.training.recipes import TABLE_3

    with contextlib.redirect_stdout(io.StringIO()):
        for _ in range(2):
            split = load_dataset("mit", side, folder).train
    batches = Batches(split, batch, 0, augmentation=TABLE_3)
    found = [anonymous_mib()]
    for epoch in range(EPOCHS):
        batches.epoch = epoch
        for k in range(len(batches)):
            batches[k]
        found.append(anonymous_mib())
    return [round(value, 1) for value in found]


def promises(measured):
    """What is promised of memory, of dicts with "mib_before_and_after_each_epoch" and "mib_at_most"."""
    epochs = [each["mib_before_and_after_each_epoch"] for each in measured]
    found = (max(each["mib_at_most"] for each in measured), max(mib[-1] - mib[2] for mib in epochs))
    for (promise, limit), mib in zip(LIMITS.items(), found, strict=True):
        yield {"promise": f"{promise}: less than {limit}", "measured": round(mib, 1), "holds": mib < limit}


if __name__ == "__main__":
    print(json.dumps(read_epochs(sys.argv[1], *map(int, sys.argv[2:]))))
