"""By which marks a SQLite file is known to be Doorman's, and to be whole."""

from typing import Any, Protocol

from models.errors import SetupError, UnavailableError
from models.storage.sqlite.schema import APPLICATION_ID, VERSION


class _Cursor(Protocol):
    def fetchone(self) -> Any: ...


class _Connection(Protocol):
    def execute(self, statement: str, /) -> _Cursor: ...


def stamp(connection: _Connection) -> tuple[int, int]:
    """Return whose file it is, and the version of its schema."""
    [application_id] = connection.execute("PRAGMA application_id").fetchone()
    [version] = connection.execute("PRAGMA user_version").fetchone()
    return application_id, version


def require_own(connection: _Connection) -> None:
    """Raise ``UnavailableError`` when the file is not of the version that this Doorman has prepared."""
    if (found := stamp(connection)) != (APPLICATION_ID, VERSION):
        raise UnavailableError(
            f"the database file has schema {found[1]}, and this Doorman serves {VERSION}: another version has taken it"
            " over, so stop this one"
        )


def require_whole(connection: _Connection, name: object) -> None:
    """Read all of the file. Raises ``SetupError`` when it is damaged, and what reading it raises."""
    [found] = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise damaged(name, f"it was cut short: {found.splitlines()[-1]}")


def damaged(name: object, reason: object) -> SetupError:
    return SetupError(
        f"{name} is damaged ({reason}): restore a copy of it, without the -wal and -shm files that are there now."
    )
