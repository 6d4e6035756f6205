"""Connections to one SQLite file: one a call at a time, none across a fork, and writers one at a time.

No exception of SQLite's gets out.
"""

import errno
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from models.errors import UnavailableError
from models.storage.outage import Outage
from models.storage.sqlite import driver
from models.storage.sqlite.driver import Connection, code_of
from models.storage.sqlite.file import ServedFile, file_size, log_path, make_directory, may_be_written, unusable
from models.storage.sqlite.handles import Handle, Handles
from models.storage.sqlite.lock import WriterQueue
from models.storage.sqlite.marks import damaged, require_own, require_whole, stamp

# KiB for each connection. The system caches the file too, once for all of them; with 16 MiB a list of a million names,
# whose pages any connection may read, cost the process 59 MB.
_CACHE_SIZE = 512
_READ_PATIENCE = 1.0  # seconds: readers wait for nobody but one who repairs the log after a crash
_PAUSE = 0.5  # seconds in which no writer tries again after one that could not get its turn
_LOG_STEP = 16 << 20  # bytes of the write-ahead log after which it is emptied, and what is kept of its file
_LOG_PATIENCE = 0.05  # seconds that emptying waits for readers, for each step
_LONGEST_LOG_PATIENCE = 1.0
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Database:
    def __init__(self, path: Path, *, patience: float) -> None:
        self.path = path.resolve()  # A link has no lock file of its own, nor a log.
        self._name = str(self.path)
        self._patience = patience
        self._queue = WriterQueue(Path(f"{self.path}.lock"))
        self._outage = Outage(pause=_PAUSE, patience=patience)
        self._served = ServedFile(self.path, self._queue)
        self._last_turn = 0.0
        self._empty_log_at = _LOG_STEP
        self._handles = Handles[Connection]()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Lend a connection, outside any transaction."""
        with self._handles.running():
            self._served.require()
            with self._handle() as handle:
                yield self._open(handle)

    def rows(self, query: str, values: Sequence[object] = ()) -> list[Sequence[Any]]:
        """Return all that one query finds. Each request does this, so no context manager is made."""
        handles = self._handles
        handles.begin()
        handle = handles.take()
        try:
            self._served.require()
            return self._open(handle).execute(query, values).fetchall()
        except driver.FAILURES as error:
            raise _translated(error, handle) from error
        finally:
            handles.give(handle)
            handles.end()

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Lend a connection inside a transaction that no other writer runs beside.

        It is committed, to the disk, at the end; whatever is raised undoes it all. Whoever has waited in vain makes the
        others fail at once for a while, so that waiting writers do not hold all the threads that could be reading.
        """
        self._outage.refuse_or_try()
        deadline = time.monotonic() + self._patience
        begun = False
        try:
            with self._handles.running():
                self._served.require()
                with self._queue.turn(deadline), self._handle() as handle:
                    if handle.is_read_only:
                        handle.close()
                    connection = self._open(handle)
                    with _patient(connection, deadline):
                        connection.execute("BEGIN IMMEDIATE")
                        begun, self._last_turn = True, time.monotonic()
                        with _undone_if_raised(connection):
                            require_own(connection)  # as it was when the connection was opened
                            yield connection
                            self._served.require()
                            handle.log = self._served.require_log(handle.log)
                            self._served.record(handle.log)
                            connection.execute("COMMIT")
                        self._bound_log(connection)
        finally:
            # One who starves while others of this process have their turns says nothing about the database.
            starved = self._last_turn < deadline - self._patience
            self._outage.note(lost=not begun and starved and time.monotonic() >= deadline)

    @contextmanager
    def preparing(self) -> Iterator[Connection]:
        """Create the file and its directory if they are missing, and lend a connection in the writer's turn.

        Raises ``SetupError`` when this place or this file cannot be used, ``UnavailableError`` when it is locked for
        too long.
        """
        try:
            with self._handles.running():
                make_directory(self.path)
                self._queue.make()
                deadline = time.monotonic() + self._patience
                with self._queue.turn(deadline), self._handles.taken() as handle:
                    self._served.take()
                    try:
                        connection = self._open(handle, is_prepared=False)
                        with _patient(connection, deadline):
                            if self._served.is_shorter:
                                require_whole(connection, self.path)
                                self._served.accept_size()
                            yield connection
                    except driver.Error:
                        handle.close()
                        raise
        except OSError as error:
            if error.errno in _FULL:
                raise UnavailableError(f"the database cannot be written to now: {error.strerror}") from error
            raise unusable(self.path, error.strerror, error.errno) from error
        except driver.Error as error:
            if (code := code_of(error)) in driver.FOR_A_WHILE:
                raise UnavailableError(f"the database cannot be written to now: {error}") from error
            if code == driver.CORRUPT or (code in driver.DAMAGED and self._served.was_written):
                raise damaged(self.path, error) from error
            raise unusable(self.path, error, driver.MEANINGS.get(code)) from error

    def close(self) -> None:
        with self._handles.all_idle():
            pass

    @contextmanager
    def _handle(self) -> Iterator[Handle[Connection]]:
        with self._handles.taken() as handle:
            try:
                yield handle
            except driver.FAILURES as error:
                raise _translated(error, handle) from error

    def _open(self, handle: Handle[Connection], *, is_prepared: bool = True) -> Connection:
        if handle.file != self._served.file:
            handle.close()
        if handle.connection is None:
            # SQLite opens what it may not write to for reading, and tells no one: writes need another connection then.
            handle.is_read_only = not may_be_written(self._name)
            handle.connection, handle.file = self._connect(is_prepared=is_prepared), self._served.file
            handle.log = self._served.log()
        else:
            # One that has another log than the file has now is not closed, since closing the last one would write what
            # is in its log over the database. A log is made at the latest by the first write.
            handle.log = self._served.require_log(handle.log)
        return handle.connection

    def _connect(self, *, is_prepared: bool) -> Connection:
        # SQLite would drop the log of an empty file; one that is being copied back may be empty for a moment.
        if is_prepared and file_size(self._name) == 0:
            raise UnavailableError("the database file is empty")
        connection = driver.connect(self.path, timeout=_READ_PATIENCE)
        try:
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA cache_size = -{_CACHE_SIZE}")
            connection.execute(f"PRAGMA journal_size_limit = {_LOG_STEP}")
            # From its first read on, a connection keeps others from removing the log: what is seen of it then, stays.
            (require_own if is_prepared else stamp)(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _bound_log(self, connection: Connection) -> None:
        """Empty the log when it has grown: SQLite itself does so only when nobody happens to be reading."""
        size = file_size(log_path(self._name))
        if size < self._empty_log_at:
            return
        _set_patience(connection, min(size / _LOG_STEP * _LOG_PATIENCE, _LONGEST_LOG_PATIENCE))
        with suppress(driver.Error):
            [is_busy, *_] = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            # Who reads for very long must not make every write wait: the next try is a step later.
            self._empty_log_at = size + _LOG_STEP if is_busy else _LOG_STEP


@contextmanager
def _undone_if_raised(connection: Connection) -> Iterator[None]:
    try:
        yield
    except BaseException:
        # Some failures (a full disk) have rolled back already; what is raised is what went wrong first.
        with suppress(driver.Error):
            connection.execute("ROLLBACK")
        raise


def _translated(error: Exception, handle: Handle[Connection]) -> Exception:
    if not isinstance(error, driver.Error):
        return ValueError("a text or a number that no store can hold")
    if code_of(error) not in driver.KEEPS_CONNECTION:
        # Whatever is wrong with the file, what this connection remembers of it may be wrong as well.
        handle.close()
    return UnavailableError(f"SQLite: {error}")


@contextmanager
def _patient(connection: Connection, deadline: float) -> Iterator[None]:
    """Let SQLite itself wait for what is left of the time to wait for a turn, instead of as long as a reader may."""
    _set_patience(connection, deadline - time.monotonic())
    try:
        yield
    finally:
        _set_patience(connection, _READ_PATIENCE)


def _set_patience(connection: Connection, seconds: float) -> None:
    connection.execute(f"PRAGMA busy_timeout = {max(1, math.ceil(seconds * 1000))}")
