"""The queue of writers to one SQLite file, in this process and in all others."""

import fcntl
import os
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from models.errors import UnavailableError

_SHORTEST_PAUSE = 0.0002
_LONGEST_PAUSE = 0.002
_SIZES_AT = 64  # earlier releases read no further


class WriterQueue:
    """Lets one writer in at a time: a lock for the threads, then an advisory file lock for the processes.

    SQLite's own waiting is a poll with growing pauses, in which writers starve; here one thread of each process at the
    most polls, often. Who has waited until its deadline gets ``UnavailableError``, so that a stopped process that holds
    the lock makes others fail and not hang.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._threads = threading.Lock()

    def make(self) -> None:
        """Create the lock file. Raises ``OSError``."""
        os.close(_descriptor(self._path))

    @contextmanager
    def turn(self, deadline: float) -> Iterator[None]:
        """Wait for the turn to write until ``deadline``, which is a time of ``time.monotonic``."""
        if not self._threads.acquire(timeout=max(0.0, deadline - time.monotonic())):
            raise UnavailableError("another thread is writing to the database for too long")
        try:
            # The file is opened for each turn: a descriptor that a fork has copied would share its lock with the copy.
            descriptor = _open(self._path)
            try:
                _lock(descriptor, deadline)
                try:
                    yield
                finally:
                    # Said outright, because a program that is being started may hold a copy of the descriptor still.
                    fcntl.flock(descriptor, fcntl.LOCK_UN)
            finally:
                os.close(descriptor)
        finally:
            self._threads.release()

    def record(self, file: int, log: int) -> None:
        """Write down, for processes to come, the inodes of the database and of its log (0: none). In turn."""
        self._write((file, log), at=0)

    def recorded(self) -> tuple[int, int] | None:
        """Return what was written down last, or ``None`` where nothing was."""
        return self._read(at=0)

    def record_size(self, file: int, size: int) -> None:
        """Write down, for processes to come, the inode of the database and how long it is. In turn."""
        self._write((file, size), at=_SIZES_AT)

    def recorded_size(self, file: int) -> int:
        """Return how long the file of that inode was when it was written down last, or 0 where it never was."""
        former, size = self._read(at=_SIZES_AT) or (None, 0)
        return size if former == file else 0

    def _write(self, pair: tuple[int, int], *, at: int) -> None:
        descriptor = _open(self._path)
        try:
            os.pwrite(descriptor, f"{pair[0]:020} {pair[1]:020}\n".encode(), at)
        finally:
            os.close(descriptor)

    def _read(self, *, at: int) -> tuple[int, int] | None:
        descriptor = _open(self._path)
        try:
            # NULs are what no one has written yet, where more was written after it.
            match os.pread(descriptor, _SIZES_AT, at).strip(b"\0").split():
                case [first, second]:
                    return int(first), int(second)
                case _:
                    return None
        finally:
            os.close(descriptor)


def _descriptor(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _open(path: Path) -> int:
    try:
        return _descriptor(path)
    except OSError as error:
        raise UnavailableError(f"the lock file {path} cannot be opened: {error.strerror}") from error


def _lock(descriptor: int, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() >= deadline:
                raise UnavailableError("another process is writing to the database for too long") from error
            # A pause of chance length cannot fall into step with a process that writes at regular intervals.
            time.sleep(random.uniform(_SHORTEST_PAUSE, _LONGEST_PAUSE))  # noqa: S311 - It guards no secret.
        except OSError as error:
            raise UnavailableError(f"the database's lock file cannot be locked: {error.strerror}") from error
        else:
            return
