"""Making a SQLite file Doorman's at its first start, and the refusal of files that are not."""

import re

from models.errors import SetupError
from models.storage.sqlite import driver
from models.storage.sqlite import schema as sqlite_schema
from models.storage.sqlite.database import Database
from models.storage.sqlite.driver import Connection
from models.storage.sqlite.marks import stamp

_OLDEST_SQLITE = (3, 37, 0)  # the first that has STRICT tables
_NAMES = re.compile(r"CREATE (?:UNIQUE )?(?:TABLE|INDEX) (\w+)")


def prepare(database: Database) -> None:
    """Create the file, its directory and its tables where they are missing. Raises ``SetupError``."""
    if driver.VERSION < _OLDEST_SQLITE:
        raise SetupError(f"SQLite {'.'.join(map(str, driver.VERSION))} is too old: Doorman needs 3.37 or later")
    with database.preparing() as connection:
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}
        application_id, version = stamp(connection)
        is_new = (application_id, version, names) == (0, 0, set())
        if not is_new:
            _refuse_unknown(database, application_id, version, names)
            _read_a_little(connection)
        # Always: a copy that VACUUM INTO made, put in the file's place, has no write-ahead log.
        [journal_mode] = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        if journal_mode != "wal":  # pragma: no cover  # No test has such a file system.
            raise SetupError(f"{database.path} is on a file system without shared memory: name a local file.")
        connection.execute("BEGIN IMMEDIATE")
        try:
            if is_new:
                _create(connection, sqlite_schema.TABLES)
                connection.execute(f"PRAGMA application_id = {sqlite_schema.APPLICATION_ID}")
            _create(connection, sqlite_schema.ADDED)
            _add_columns(connection)
            # At the least a write of nothing, so that what can only be read is found now, not at the first login.
            connection.execute(f"PRAGMA user_version = {sqlite_schema.VERSION}")
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")


def lacking(names: set[str]) -> set[str]:
    """Return which tables and indexes are missing among ``names`` that every release has made."""
    return set(_NAMES.findall(sqlite_schema.TABLES)) - names


def _read_a_little(connection: Connection) -> None:
    """Read a row of each table, so that a file full of rubbish is told now and not by every request."""
    tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
    for [table] in tables:
        connection.execute(f'SELECT * FROM "{table}" LIMIT 1').fetchall()


def _create(connection: Connection, statements: str) -> None:
    for statement in statements.split(";"):
        connection.execute(statement)


def _add_columns(connection: Connection) -> None:
    for table, columns in sqlite_schema.ADDED_COLUMNS.items():
        present = {name for (_, name, *_) in connection.execute(f"PRAGMA table_info({table})")}
        for name in columns.keys() - present:
            connection.execute(f"ALTER TABLE {table} ADD COLUMN {name} {columns[name]}")


def _refuse_unknown(database: Database, application_id: int, version: int, names: set[str]) -> None:
    if application_id != sqlite_schema.APPLICATION_ID:
        raise SetupError(f"{database.path} belongs to another program: name a file that Doorman may make.")
    if version > sqlite_schema.VERSION:
        raise SetupError(
            f"{database.path} was written by a newer Doorman (schema {version}, this one knows"
            f" {sqlite_schema.VERSION}): start that version, or restore the copy made before the upgrade."
        )
    if version < 1:
        raise SetupError(f"{database.path} has a schema that no Doorman made ({version}): restore a copy of it.")
    if missing := lacking(names):
        raise SetupError(f"{database.path} lacks {', '.join(sorted(missing))}: restore a copy of it.")
