"""Files that are there whole or not at all."""

import contextlib
import os
import pathlib


@contextlib.contextmanager
def whole_file(path):
    """Open a file for writing bytes; it takes its name when the block ends, and not at all if it fails.

    Args:
        path: Where it is to be; what stands there before is replaced.
    """
    path = pathlib.Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_whole(path, text):
    """Write a text file so that it is there whole or not at all."""
    with whole_file(path) as file:
        file.write(text.encode())
