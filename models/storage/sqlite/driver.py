"""The sole importer of ``sqlite3``: connections, and what its errors mean."""

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from models.errors import DoormanError

Connection = sqlite3.Connection
Error = sqlite3.Error
VERSION = sqlite3.sqlite_version_info

FAILURES = (sqlite3.Error, UnicodeEncodeError, OverflowError)
BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
KEEPS_CONNECTION = (*BUSY, sqlite3.SQLITE_CONSTRAINT)
FOR_A_WHILE = (*BUSY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)
DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
CORRUPT = sqlite3.SQLITE_CORRUPT
# What the system would have called the error.
MEANINGS = {
    **dict.fromkeys((sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM), errno.EACCES),
    sqlite3.SQLITE_NOTADB: errno.EINVAL,
}
_CONFLICTS = (sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY)


def connect(path: Path, *, timeout: float) -> Connection:
    """Open a file that is there. The calls that use the connection, one at a time, may come from any threads."""
    return sqlite3.connect(
        f"{path.as_uri()}?mode=rw", uri=True, timeout=timeout, isolation_level=None, check_same_thread=False
    )


def connect_to_read(path: Path, *, is_idle: bool) -> Connection:
    """Open a file for reading alone. One that is idle, which nobody has open, is left without a log beside it."""
    mode = "immutable=1" if is_idle else "mode=ro"
    return sqlite3.connect(f"{path.as_uri()}?{mode}", uri=True, isolation_level=None)


def code_of(error: Exception) -> int:
    """Return the primary result code, which the extended ones hold in their lowest byte."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF


@contextmanager
def conflict_raises(error: type[DoormanError]) -> Iterator[None]:
    """Turn a violated unique index into ``error``."""
    try:
        yield
    except sqlite3.IntegrityError as violation:
        if violation.sqlite_errorcode not in _CONFLICTS:
            raise
        raise error from violation
