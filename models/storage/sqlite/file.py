"""The files of a SQLite database as the operating system has them. SQLite alone opens one that is there already."""

import errno
import os
import pwd
import time
from contextlib import suppress
from pathlib import Path

from models.errors import SetupError, UnavailableError
from models.storage.sqlite.lock import WriterQueue

FileId = tuple[int, int]  # device and inode: another file at the same path has others


def file_id(path: str) -> FileId:
    """Tell which file is at ``path`` now. Raises ``UnavailableError`` when none is."""
    found = _stat(path)
    return found.st_dev, found.st_ino


def _stat(path: str) -> os.stat_result:
    """Look at the file that is at ``path``; it takes a microsecond. Raises ``UnavailableError`` when none is."""
    try:
        return os.stat(path)  # noqa: PTH116 - Every call of the store does this; Path.stat takes thrice as long.
    except OSError as error:
        raise UnavailableError(f"the database file {path} is not there: {error.strerror}") from error


def log_path(path: str) -> str:
    return f"{path}-wal"


def file_size(path: str) -> int:
    """Return the size in bytes; a file that is not there has none."""
    try:
        return os.stat(path).st_size  # noqa: PTH116 - Every write does this.
    except OSError:
        return 0


def may_be_written(path: str) -> bool:
    """Tell whether this process may write to the database and to those of its companions that are there."""
    companions = (path, log_path(path), f"{path}-shm")
    return all(os.access(file, os.W_OK) for file in companions if os.access(file, os.F_OK))


def unusable(path: Path, reason: object, number: int | None) -> SetupError:
    """Return what to say of a place or a file that is no database for us, with what helps by the error's number.

    Another file is advised only where this one is none of Doorman's: otherwise all accounts would seem to be lost.
    """
    advice = ""
    if number in {errno.EACCES, errno.EPERM, errno.EROFS}:
        advice = f" {_this_user()} must be able to write the file, its folder, and the files beside it."
    elif number in {errno.EINVAL, errno.EISDIR}:
        advice = " Name a new file, or one that Doorman made."
    return SetupError(f"{path} cannot be used as the database: {reason}.{advice}")


def _this_user() -> str:
    number = os.geteuid()
    try:
        return f"The user {pwd.getpwuid(number).pw_name} (uid {number})"
    except KeyError:  # as in containers
        return f"The user with the uid {number}"


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


def set_log_aside(path: str, log: FileId) -> None:
    """Keep SQLite from applying a log to a file that it was not written for; the log is kept under another name."""
    with suppress(FileNotFoundError):
        Path(log_path(path)).replace(f"{log_path(path)}.orphaned-{log[1]}-{time.time_ns()}")
    Path(f"{path}-shm").unlink(missing_ok=True)


class ServedFile:
    """Which file a process serves, and which log goes with it.

    Both are written down in the lock file, because the next process must know them: SQLite would apply whatever log it
    finds beside a file that was put in the place of another, and lose what is in the one or the other.
    """

    def __init__(self, path: Path, queue: WriterQueue) -> None:
        self._path = path
        self._name = str(path)
        self._log_name = log_path(self._name)
        self._queue = queue
        self.file: FileId | None = None
        self._size = 0  # the most that the file was seen to have, in bytes
        self._recorded_size = 0
        self.was_written = False  # by an earlier process
        self.is_shorter = False  # than that one left it

    def take(self) -> None:
        """Take the file at the path from now on, a new one if there is none, and set aside a log of another. In turn.

        Raises ``SetupError`` when only the log is left of a database, and ``OSError``.
        """
        if not self._path.exists() and file_size(self._log_name) > 0:
            raise SetupError(
                f"{self._path} is not there, but its log is: put the file back, or remove {self._log_name} to begin"
                " anew."
            )
        is_new = make_file(self._path)
        found, log = file_id(self._name), self.log()
        former = self._queue.recorded()
        if is_new:
            Path(f"{self._name}-shm").unlink(missing_ok=True)
        if log is not None and (is_new or (former is not None and former[0] != found[1] and former[1] == log[1])):
            set_log_aside(self._name, log)
            log = None
        if not is_new and file_size(self._name) == 0 and file_size(self._log_name) > 0:
            raise SetupError(f"{self._path} is empty, but its log is not: restore a copy of it, without the -wal file.")
        self.file = found
        self._size = self._recorded_size = 0
        left = self._queue.recorded_size(found[1])
        self.was_written, self.is_shorter = left > 0, file_size(self._name) < left
        self.record(log)

    def accept_size(self) -> None:
        """Take the file for whole that is shorter than it was left. In turn."""
        if self.file is not None and self.is_shorter:
            self._queue.record_size(self.file[1], file_size(self._name))
            self.is_shorter = False

    def require(self) -> None:
        """Raise ``UnavailableError`` when another file is at the path: what is written to a removed one is lost.

        A process that has not seen the file yet goes by what was written down when it was prepared. No other file is
        taken up while the service runs: that is for a new start to do.
        """
        known_size = self._size  # before the look: other threads may see it grow after that
        status = _stat(self._name)
        if status.st_size == 0:
            raise UnavailableError("the database file is empty")
        found = (status.st_dev, status.st_ino)
        if self.file is None:
            former = self._queue.recorded()
            served = found if former is None else (found[0], former[0])
            known_size = self._size = self._recorded_size = self._queue.recorded_size(served[1])
            self.file = served
        if found != self.file:
            raise UnavailableError("the database file was replaced: start Doorman anew to serve the new one")
        # Doorman never makes it shorter. SQLite would go on writing to what is left as long as it needs nothing else.
        if status.st_size < known_size:
            raise UnavailableError("the database file was cut short: stop Doorman, and restore a copy of it")
        self._size = status.st_size

    def log(self) -> FileId | None:
        """Tell which file is the write-ahead log."""
        try:
            return file_id(self._log_name)
        except UnavailableError:
            return None

    def require_log(self, former: FileId | None) -> FileId | None:
        """Return the log. Refuse one that was put in the place of ``former``, a connection's, if it had one."""
        log = self.log()
        if former not in (None, log):
            raise UnavailableError("the database's log was removed: stop Doorman, and restore a copy of the database")
        return log

    def record(self, log: FileId | None) -> None:
        """Write down which log goes with the file, unless that stands there. In turn."""
        if self.file is not None:
            inode = self.file[1]
            pair = (inode, log[1] if log else 0)
            if self._queue.recorded() != pair:
                self._queue.record(*pair)
            if self._size > self._recorded_size:
                self._recorded_size = max(self._size, self._queue.recorded_size(inode))
                self._queue.record_size(inode, self._recorded_size)
