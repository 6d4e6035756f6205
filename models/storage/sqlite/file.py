"""The files of a SQLite database as the operating system has them. SQLite alone opens one that is there already."""

import errno
import os
from contextlib import suppress
from pathlib import Path

from models.errors import UnavailableError

FileId = tuple[int, int]  # device and inode: another file at the same path has others


def file_id(path: str) -> FileId:
    """Tell which file is at ``path`` now; it takes a microsecond. Raises ``UnavailableError`` when none is."""
    try:
        found = os.stat(path)  # noqa: PTH116 - Every call of the store does this; Path.stat takes thrice as long.
    except OSError as error:
        raise UnavailableError(f"the database file {path} is not there: {error.strerror}") from error
    return found.st_dev, found.st_ino


def log_path(path: str) -> str:
    return f"{path}-wal"


def log_id(path: str) -> FileId | None:
    """Tell which file is the write-ahead log of the database at ``path``."""
    try:
        return file_id(log_path(path))
    except UnavailableError:
        return None


def log_size(path: str) -> int:
    try:
        return os.stat(log_path(path)).st_size  # noqa: PTH116 - Every write does this.
    except OSError:
        return 0


def make_directory(path: Path) -> None:
    """Create the directory of the database for its owner alone."""
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    for directory in reversed(path.parents):
        if not directory.exists():
            directory.mkdir(mode=0o700, exist_ok=True)


def make_file(path: Path) -> bool:
    """Create the database file for its owner alone (SQLite gives its companions the same mode), unless it is there.

    One that is there is never opened, not even to be closed at once: closing any descriptor of a file takes away all of
    the process's POSIX locks on it. Another process could then take the database for unused, and remove the log that
    this one goes on writing to.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        return False
    return True


def set_log_aside(path: str) -> None:
    """Keep SQLite from applying a log to a file that it was not written for; the log is kept under another name."""
    with suppress(FileNotFoundError):
        Path(log_path(path)).replace(f"{log_path(path)}.orphaned")
    Path(f"{path}-shm").unlink(missing_ok=True)
