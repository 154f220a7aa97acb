"""Files that are there whole or not at all."""

import contextlib
import errno
import os
import pathlib
import re
import secrets

_NOT_SUPPORTED = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}  # a full or failing disk says otherwise
_TEMPORARY = re.compile(r"\.tmp-\d+-[0-9a-f]{8}-.+", re.DOTALL)


@contextlib.contextmanager
def whole_file(path):
    """Open a file for writing bytes; it takes its name when the block ends, and not at all if it fails.

    Args:
        path: Where it is to be; what stands there before is replaced.

    Raises:
        OSError: It can't be written, the disk is full or fails; what stood there before stays. Only if the disk
            fails after the file has got its name does the new one stand there.
    """
    with _replacing(path) as temporary:
        file = open(temporary, "wb")  # noqa: SIM115 — closing must not hide why the block failed
        try:
            yield file
            file.flush()
            _sync(file.fileno())
        except BaseException:
            with contextlib.suppress(OSError):
                file.close()
            raise
        file.close()


@contextlib.contextmanager
def whole_path(path):
    """Like :func:`whole_file`, for libraries that want a name to write to, such as Keras with ``.keras``.

    Args:
        path: Where the file is to be; what stands there before is replaced.

    Yields:
        ``pathlib.Path`` in the same folder, with the same suffixes, where the block has to write the file.

    Raises:
        OSError: As :func:`whole_file`; FileNotFoundError if the block wrote nothing there.
    """
    with _replacing(path) as temporary:
        yield temporary
        # Reading is enough for fsync, and some drives can't open for both; Windows wants to write.
        _sync_path(temporary, os.O_RDWR if os.name == "nt" else os.O_RDONLY)


def write_whole(path, text):
    """Write a text file (UTF-8) so that it is there whole or not at all.

    Raises:
        OSError: As :func:`whole_file`.
    """
    with whole_file(path) as file:
        file.write(text.encode())


def sweep(folder):
    """Remove the temporary files that killed processes left in a folder; one that can't be removed stays.

    Args:
        folder: A folder that nobody else writes to: a file that is being written looks the same. What lies deeper
            is not touched.

    Raises:
        OSError: The folder can't be read.
    """
    for name in os.listdir(folder):
        if _TEMPORARY.fullmatch(name):
            with contextlib.suppress(OSError):  # it costs space, nothing else
                os.unlink(os.path.join(folder, name))


@contextlib.contextmanager
def _replacing(path):
    """A path to write to, which takes the place of ``path`` when the block ends, and goes if it fails."""
    path = pathlib.Path(path)
    # Process ids are unique on one machine, and threads share one: hence the random digits.
    temporary = path.with_name(f".tmp-{os.getpid()}-{secrets.token_hex(4)}-{path.name}")
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):  # the caller must hear of the first failure
            temporary.unlink(missing_ok=True)
        raise
    if os.name != "nt":  # which has no descriptors of folders
        with contextlib.suppress(PermissionError):  # to write into a folder one need not be able to read it
            _sync_path(path.parent, os.O_RDONLY)


def _sync_path(path, flags):
    descriptor = os.open(path, flags)
    try:
        _sync(descriptor)
    finally:
        os.close(descriptor)


def _sync(descriptor):
    """Wait until the disk has it; where the file system can't do that, go on without."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NOT_SUPPORTED:
            raise
