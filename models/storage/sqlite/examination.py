"""The examination of a SQLite database: see ``models.storage.Examination``."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from models.errors import UnavailableError
from models.findings import Finding, Tally
from models.storage.sqlite import driver, pointers
from models.storage.sqlite import schema as sqlite_schema
from models.storage.sqlite.marks import stamp
from models.storage.sqlite.records import SELECT as RECORDS
from models.storage.sqlite.records import record_from
from models.storage.sqlite.schema import APPLICATION_ID, COLUMNS, VERSION, found_from
from models.storage.sqlite.setup import lacking
from models.storage.sqlite.store import HAS_ADMIN
from models.storage.sqlite.surroundings import is_idle, surroundings
from models.user import User

_USERS = f"SELECT {', '.join(COLUMNS)} FROM users"
_KEY_ID = "SELECT value FROM meta WHERE key = 'key_id'"
_MOST_ERRORS = 5
_RESTORE = "Stop Doorman and restore a copy of it, without the -wal and -shm files that are there now."


class SqliteExamination:
    """All that is read is as of one moment; a Doorman that serves the file goes on, and its log grows meanwhile."""

    def __init__(self, path: Path) -> None:
        self._path = path.resolve()
        self._connection: driver.Connection | None = None
        self.is_readable = False
        self._is_current = False
        self.hash_kinds = Counter[str]()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def structure(self) -> Iterator[Finding]:
        if not self._path.is_file():
            yield Finding(
                code="no_database",
                severity="problem",
                message=f"There is no database at {self._path}.",
                remedy="Name the one that you mean in DATABASE_URL; a first start makes it.",
            )
            return
        yield from surroundings(self._path)
        try:
            yield from self._opened()
        except driver.Error as error:
            code = driver.code_of(error)
            if code not in driver.DAMAGED:
                raise UnavailableError(f"SQLite: {error}") from error
            yield self._damage(str(error))

    def _opened(self) -> Iterator[Finding]:
        self._connection = connection = driver.connect_to_read(self._path, is_idle=is_idle(self._path))
        connection.execute("BEGIN")
        mark, version = stamp(connection)
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}
        if mark != APPLICATION_ID:
            yield Finding(
                code="foreign_database",
                severity="problem",
                message=f"{self._path} belongs to another program, or to none.",
                remedy="Name another file in DATABASE_URL: Doorman does not start on this one.",
            )
            return
        if version != VERSION:
            yield Finding(
                code="other_schema",
                severity="problem",
                message=f"{self._path} has schema {version}, and this Doorman knows {VERSION}.",
                remedy="A newer Doorman wrote it: start that one, or restore the copy made before the upgrade.",
            )
            return
        if missing := sorted(lacking(names)):
            yield self._damage(f"it lacks {', '.join(missing)}")
            return
        damage = [row for (row,) in connection.execute(f"PRAGMA integrity_check({_MOST_ERRORS})")]
        if damage != ["ok"]:
            yield self._damage("; ".join(damage))
        added = [name for name in sqlite_schema.added_names() if name not in names]
        for table, columns in sqlite_schema.ADDED_COLUMNS.items():
            present = {name for (_, name, *_) in connection.execute(f"PRAGMA table_info({table})")}
            added += [f"{table}.{name}" for name in columns if name not in present]
        self._is_current = not added
        if added:
            yield Finding(
                code="older_schema",
                severity="note",
                message=f"{self._path} was made by an earlier release, and lacks {', '.join(added)}.",
                remedy="The next start adds that, in a moment; earlier releases go on serving the file.",
            )
        [[journal]] = connection.execute("PRAGMA journal_mode").fetchall()
        if journal != "wal" and not is_idle(self._path):
            yield Finding(
                code="journal_mode",
                severity="note",
                message=f"The journal mode is {journal}, as in a copy that was made with VACUUM INTO.",
                remedy="The next start makes it wal.",
            )
        self.is_readable = damage == ["ok"]

    def _damage(self, reason: str) -> Finding:
        return Finding(
            code="damaged", severity="problem", message=f"{self._path} is damaged: {reason}.", remedy=_RESTORE
        )

    def ping(self) -> None:
        self._rows(_KEY_ID)

    def key_id(self) -> str | None:
        return next((str(value) for (value,) in self._rows(_KEY_ID)), None)

    def has_admin(self) -> bool:
        return any(found for (found,) in self._rows(HAS_ADMIN))

    def contents(self, kind_of: Callable[[str], str]) -> Iterator[Finding]:
        foreign = Tally(
            "foreign_users", "problem", "Users are not as Doorman writes users, and cannot be used.", _CORRECT
        )
        for row in self._rows(_USERS):
            user = found_from(row)
            if not isinstance(user, User):
                foreign.add(user.record_id)
            elif user.password_hash is not None:
                self.hash_kinds[kind_of(user.password_hash)] += 1
        yield from foreign.found()
        for tally, query in pointers.tallies():
            for (example,) in self._rows(query):
                tally.add(example)
            yield from tally.found()
        if self._is_current:
            yield from self._records()

    def _records(self) -> Iterator[Finding]:
        foreign = Tally(
            "foreign_records", "warning", "Records are not as Doorman writes them, and count for none.", _CORRECT
        )
        for row in self._rows(RECORDS):
            if not _is_as_written(record_from, row):
                foreign.add(row[1])
        yield from foreign.found()

    def _rows(self, query: str) -> Iterator[Sequence[Any]]:
        if self._connection is None:
            raise RuntimeError("the structure comes first")
        try:
            yield from self._connection.execute(query)
        except driver.Error as error:
            raise UnavailableError(f"SQLite: {error}") from error


_CORRECT = "Another program writes here: correct or delete what it wrote, or restore a copy."


def _is_as_written(read: Callable[[Sequence[Any]], object], row: Sequence[Any]) -> bool:
    with suppress(KeyError, TypeError, ValueError, OverflowError):
        read(row)
        return True
    return False
