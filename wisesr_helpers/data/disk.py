"""Folders and lists as they lie on a disk: damaged, oddly spelt, and slow to ask."""

import csv
import os
import pathlib

MALFORMED = "malformed line"


class Disk:
    """The files below a folder; each subfolder is read once, as asking for every file is slow on mounted drives."""

    def __init__(self, root):
        self.root = root
        self._read = {}

    def find(self, path):
        """The file of that path, exact or but for upper and lower case.

        Returns:
            Its path as on disk and True; or the path, as far as the disk has it, and False.
        """
        actual, is_folder = self._look(path)
        return actual, is_folder is False

    def _look(self, path):
        """Path on disk; True for a folder, False for a file, None if absent."""
        if not path:
            return "", True
        head, _, tail = path.rpartition("/")
        if head not in self._read:
            actual, is_folder = self._look(head)
            names = _scan(os.path.join(self.root, actual)) if is_folder else {}
            self._read[head] = actual, names, {name.casefold(): name for name in sorted(names, reverse=True)}
        parent, names, folded = self._read[head]
        tail = tail if tail in names else folded.get(tail.casefold(), tail)
        return (f"{parent}/{tail}" if parent else tail), names.get(tail)


def exist(folder, *names):
    """Whether the folder holds all of these; False where it may not be looked into."""
    return all(os.path.exists(folder / name) for name in names)


def _scan(folder):
    """Name → whether it is a folder; empty where the folder can't be read."""
    try:
        with os.scandir(folder) as items:
            return {item.name: item.is_dir() for item in items}
    except OSError:
        return {}


def subfolders(root, depth=1):
    """Yield the subfolders in alphabetical order, all of one level before the next, each read only when asked for.

    Hidden ones and macOS's leavings are passed over.
    """
    names = sorted(name for name, is_folder in _scan(root).items() if is_folder)
    found = [pathlib.Path(root) / name for name in names if not name.startswith(".") and name != "__MACOSX"]
    yield from found
    if depth > 1:
        for folder in found:
            yield from subfolders(folder, depth - 1)


def files_in(folder):
    """Files in alphabetical order, but for those that file managers leave behind."""
    names = sorted(name for name, is_folder in _scan(folder).items() if not is_folder)
    return [folder / n for n in names if not n.startswith(".") and n.lower() not in ("thumbs.db", "desktop.ini")]


def read_lines(path):
    """The lines of a text file, without their ends (LF or CRLF).

    Raises:
        FileNotFoundError: There is none.
        ValueError: It can't be read, or is not UTF-8.
    """
    try:
        with open(path, encoding="utf-8-sig") as file:
            return [line.rstrip("\n") for line in file]
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"'{path.name}' is missing in '{path.parent}'. Unpack the whole archive there, or give another folder."
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        why = "it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else error.strerror
        raise ValueError(f"'{path}' can't be read ({why}). Take the file from the archive again.") from error


def read_csv(path, problems):
    """Pairs (path, class name) of a CSV with the columns filename and class; backslashes become slashes."""
    reader = csv.reader(read_lines(path))
    try:
        header = [column.strip() for column in next(reader, [])]
        if not {"filename", "class"} <= set(header):
            raise ValueError(
                f"'{path}' needs the columns 'filename' and 'class', separated by a comma; it has "
                f"{', '.join(map(repr, header)) or 'none'}. Take the file from the archive again."
            )
        rows, (file, kind) = [], (header.index("filename"), header.index("class"))
        for row in reader:
            if len(row) > max(file, kind) and row[file].strip() and row[kind].strip():
                rows.append((row[file].strip().replace("\\", "/").removeprefix("./"), row[kind].strip()))
            elif row:
                problems[MALFORMED].append(",".join(row))
    except csv.Error as error:
        raise ValueError(f"'{path}' is not a CSV file ({error}). Take the file from the archive again.") from error
    return rows
