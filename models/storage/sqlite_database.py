"""Connections to one SQLite file: one a thread, none across a fork, and writers one at a time.

The sole importer of ``sqlite3``; no exception of its gets out.
"""

import os
import sqlite3
import threading
import weakref
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from models.errors import DoormanError, SetupError, UnavailableError
from models.storage import sqlite_schema
from models.storage.sqlite_lock import WriterQueue

Connection = sqlite3.Connection

_OLDEST_SQLITE = (3, 37, 0)  # the first that has STRICT tables
# KiB for each thread's connection. The system caches the file too, once for all of them; with 16 MiB a list of a
# million names, whose pages any thread may read, cost the process 59 MB.
_CACHE_SIZE = 512
_CONFLICTS = (sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY)


class _Handle:
    """One thread's connection, open or not. The lock is held while it is in use, so that others close it in between."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.connection: Connection | None = None

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def __del__(self) -> None:
        # Runs when the thread has ended, since nothing but its thread-local storage refers to a handle strongly.
        self.close()


class Database:
    def __init__(self, path: Path, *, patience: float) -> None:
        self._path = path.absolute()
        self._patience = patience
        self._queue = WriterQueue(Path(f"{self._path}.lock"), patience=patience)
        self._local = threading.local()
        self._handles: weakref.WeakSet[_Handle] = weakref.WeakSet()
        self._handles_lock = threading.Lock()
        _databases.add(self)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Lend this thread's connection, outside any transaction."""
        handle = self._handle()
        with handle.lock, _translated():
            yield self._open(handle)

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Lend this thread's connection inside a transaction that no other writer runs beside.

        It is committed, to the disk, at the end; whatever is raised undoes it all.
        """
        handle = self._handle()
        with handle.lock, self._queue.turn(), _translated():
            connection = self._open(handle)
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                # Some failures (a full disk) have rolled back already; what is raised is what went wrong first.
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                raise

    def prepare(self) -> None:
        """Create the file, its directory and its tables where they are missing.

        Raises ``SetupError`` when this place or this file cannot be used, ``UnavailableError`` when it is locked for
        too long.
        """
        if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
            raise SetupError(f"SQLite {sqlite3.sqlite_version} is too old: Doorman needs 3.37 or later")
        try:
            _make_file(self._path)
        except OSError as error:
            raise SetupError(
                f"{self._path} cannot be used as the database: {error.strerror}. Name a file that Doorman may write."
            ) from error
        handle = self._handle()
        try:
            with handle.lock, self._queue.turn():
                self._create_tables(self._open(handle))
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorname", "").startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
                raise UnavailableError(f"the database is locked: {error}") from error
            raise SetupError(
                f"{self._path} cannot be used as the database: {error}. Name a new file, or one that Doorman made."
            ) from error

    def close(self) -> None:
        with self._all_idle():
            pass

    def _create_tables(self, connection: Connection) -> None:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > sqlite_schema.VERSION:
            raise SetupError(
                f"{self._path} was written by a newer Doorman (schema {version}, this one knows"
                f" {sqlite_schema.VERSION}): start that version, or restore the copy made before the upgrade."
            )
        if version == 0:
            if connection.execute("SELECT EXISTS (SELECT 1 FROM sqlite_schema)").fetchone()[0]:
                raise SetupError(f"{self._path} belongs to another program: name a file that Doorman may make.")
            journal_mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            if journal_mode != "wal":  # pragma: no cover  # No test has such a file system.
                raise SetupError(f"{self._path} is on a file system without shared memory: name a local file.")
            try:
                connection.executescript(
                    f"BEGIN IMMEDIATE; {sqlite_schema.TABLES} PRAGMA user_version = {sqlite_schema.VERSION}; COMMIT;"
                )
            except sqlite3.Error:
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                raise
        # A write of nothing, so that a file or directory that can only be read is found now, not at the first login.
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(f"PRAGMA user_version = {sqlite_schema.VERSION}")
        connection.execute("COMMIT")

    def _handle(self) -> _Handle:
        handle: _Handle | None = getattr(self._local, "handle", None)
        if handle is None:
            handle = self._local.handle = _Handle()
            with self._handles_lock:
                self._handles.add(handle)
        return handle

    def _open(self, handle: _Handle) -> Connection:
        if handle.connection is None:
            # Other threads close connections (``_all_idle``), but never use them.
            connection = sqlite3.connect(
                f"{self._path.as_uri()}?mode=rw",
                uri=True,
                timeout=self._patience,
                isolation_level=None,
                check_same_thread=False,
            )
            try:
                connection.execute("PRAGMA synchronous = FULL")
                connection.execute(f"PRAGMA cache_size = -{_CACHE_SIZE}")
            except sqlite3.Error:
                connection.close()
                raise
            handle.connection = connection
        return handle.connection

    @contextmanager
    def _all_idle(self) -> Iterator[None]:
        """Wait until no thread is in a call, close every connection, and keep the others out for the while."""
        with self._handles_lock, ExitStack() as held:
            for handle in list(self._handles):
                held.enter_context(handle.lock)
                handle.close()
            yield


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
def _translated() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise UnavailableError(f"SQLite: {error}") from error


def _make_file(path: Path) -> None:
    """Create the database file for its owner alone (SQLite gives its companions the same mode)."""
    for directory in reversed(path.parents):
        if not directory.exists():
            directory.mkdir(mode=0o700, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


# SQLite must not be carried across a fork: the child would take the parent's locks for its own, and could then lose the
# log under its feet. So every connection is closed before, and each side opens its own at its next call.
_databases: weakref.WeakSet[Database] = weakref.WeakSet()
_closed_for_fork: list[ExitStack] = []


def _before_fork() -> None:
    stack = ExitStack()
    for database in list(_databases):
        stack.enter_context(database._all_idle())  # noqa: SLF001 - This is the class's own module.
    _closed_for_fork.append(stack)


def _after_fork() -> None:
    _closed_for_fork.pop().close()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
