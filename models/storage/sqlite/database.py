"""Connections to one SQLite file: one a thread, none across a fork, and writers one at a time.

The sole importer of ``sqlite3``; no exception of its gets out.
"""

import math
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from models.errors import DoormanError, SetupError, UnavailableError
from models.storage.outage import Outage
from models.storage.sqlite.file import FileId, ServedFile, file_size, log_path, make_directory, make_file
from models.storage.sqlite.handles import Handle, Handles
from models.storage.sqlite.lock import WriterQueue
from models.storage.sqlite.schema import APPLICATION_ID, VERSION

Connection = sqlite3.Connection
SQLITE_VERSION = sqlite3.sqlite_version_info

# KiB for each thread's connection. The system caches the file too, once for all of them; with 16 MiB a list of a
# million names, whose pages any thread may read, cost the process 59 MB.
_CACHE_SIZE = 512
_READ_PATIENCE = 1.0  # seconds: readers wait for nobody but one who repairs the log after a crash
_PAUSE = 0.5  # seconds in which no writer tries again after one that could not get its turn
_LOG_STEP = 16 << 20  # bytes of the write-ahead log after which it is emptied, and what is kept of its file
_LOG_PATIENCE = 0.05  # seconds that emptying waits for readers, for each step
_LONGEST_LOG_PATIENCE = 1.0
_CONFLICTS = (sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY)
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


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
        """Lend this thread's connection, outside any transaction."""
        handle = self._handles.own()
        with handle.lock, _translated(handle):
            self._served.require()
            yield self._open(handle)

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Lend this thread's connection inside a transaction that no other writer runs beside.

        It is committed, to the disk, at the end; whatever is raised undoes it all. Whoever has waited in vain makes the
        others fail at once for a while, so that waiting writers do not hold all the threads that could be reading.
        """
        self._outage.refuse_or_try()
        handle = self._handles.own()
        deadline = time.monotonic() + self._patience
        begun = False
        try:
            with handle.lock, _translated(handle):
                self._served.require()
                with self._queue.turn(deadline):
                    connection = self._open(handle)
                    with _patient(connection, deadline):
                        connection.execute("BEGIN IMMEDIATE")
                        begun, self._last_turn = True, time.monotonic()
                        with _undone_if_raised(connection):
                            yield connection
                            self._served.require()
                            self._served.record(self._require_log(handle))
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
        handle = self._handles.own()
        try:
            make_directory(self.path)
            self._queue.make()
            deadline = time.monotonic() + self._patience
            with handle.lock, self._queue.turn(deadline):
                if not self.path.exists() and file_size(log_path(self._name)) > 0:
                    raise SetupError(
                        f"{self.path} is not there, but its log is: put the file back, or remove {log_path(self._name)}"
                        " to begin anew."
                    )
                self._served.take(is_new=make_file(self.path))
                connection = self._open(handle, is_prepared=False)
                with _patient(connection, deadline):
                    yield connection
        except OSError as error:
            raise self._unusable(error.strerror) from error
        except sqlite3.Error as error:
            handle.close()
            if _code(error) in _BUSY:
                raise UnavailableError(f"the database is locked: {error}") from error
            raise self._unusable(error) from error

    def close(self) -> None:
        with self._handles.all_idle():
            pass

    def _unusable(self, reason: object) -> SetupError:
        return SetupError(
            f"{self.path} cannot be used as the database: {reason}. Name a new file, or one that Doorman made."
        )

    def _open(self, handle: Handle[Connection], *, is_prepared: bool = True) -> Connection:
        if handle.file != self._served.file:
            handle.close()
        if handle.connection is None:
            handle.connection, handle.file = self._connect(is_prepared=is_prepared), self._served.file
            handle.log = self._served.log()
        else:
            self._require_log(handle)
        return handle.connection

    def _require_log(self, handle: Handle[Connection]) -> FileId | None:
        """Return the log. Refuse one that was put in the place of the connection's own, which then knows the only data.

        The connection is not closed, since closing the last one would write what is in its log over the database.
        """
        log = self._served.log()
        if handle.log not in (None, log):
            raise UnavailableError("the database's log was removed: stop Doorman, and restore a copy of the database")
        handle.log = log  # made at the latest by the first write
        return log

    def _connect(self, *, is_prepared: bool) -> Connection:
        # SQLite would drop the log of an empty file; one that is being copied back may be empty for a moment.
        if is_prepared and file_size(self._name) == 0:
            raise UnavailableError("the database file is empty")
        # Other threads close connections (``Handles.all_idle``), but never use them.
        connection = sqlite3.connect(
            f"{self.path.as_uri()}?mode=rw",
            uri=True,
            timeout=_READ_PATIENCE,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA cache_size = -{_CACHE_SIZE}")
            connection.execute(f"PRAGMA journal_size_limit = {_LOG_STEP}")
            # From its first read on, a connection keeps others from removing the log: what is seen of it then, stays.
            found = stamp(connection)
            if is_prepared:
                _require_prepared(found)
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
        with suppress(sqlite3.Error):
            [is_busy, *_] = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            # Who reads for very long must not make every write wait: the next try is a step later.
            self._empty_log_at = size + _LOG_STEP if is_busy else _LOG_STEP


def stamp(connection: Connection) -> tuple[int, int]:
    """Return whose file it is, and the version of its schema."""
    [application_id] = connection.execute("PRAGMA application_id").fetchone()
    [version] = connection.execute("PRAGMA user_version").fetchone()
    return application_id, version


def _require_prepared(found: tuple[int, int]) -> None:
    if found != (APPLICATION_ID, VERSION):
        raise UnavailableError("the file at the database's path is not one that this Doorman has prepared")


@contextmanager
def conflict_raises(error: type[DoormanError]) -> Iterator[None]:
    """Turn a violated unique index into ``error``."""
    try:
        yield
    except sqlite3.IntegrityError as violation:
        if violation.sqlite_errorcode not in _CONFLICTS:
            raise
        raise error from violation


@contextmanager
def _undone_if_raised(connection: Connection) -> Iterator[None]:
    try:
        yield
    except BaseException:
        # Some failures (a full disk) have rolled back already; what is raised is what went wrong first.
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


@contextmanager
def _translated(handle: Handle[Connection]) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        if _code(error) not in (*_BUSY, sqlite3.SQLITE_CONSTRAINT):
            # Whatever is wrong with the file, what this connection remembers of it may be wrong as well.
            handle.close()
        raise UnavailableError(f"SQLite: {error}") from error
    except (UnicodeEncodeError, OverflowError) as error:
        raise ValueError("a text or a number that no store can hold") from error


def _code(error: sqlite3.Error) -> int:
    """Return the primary result code, which the extended ones hold in their lowest byte."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF


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
