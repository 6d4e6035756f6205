"""A SQLite file that an earlier release made, and that it may go on serving beside this one."""

import re
from contextlib import closing
from pathlib import Path

import pytest

from models.errors import SetupError
from models.events import Sought
from models.records import Record
from models.storage.sqlite import schema as sqlite_schema
from models.storage.sqlite.store import SqliteStore
from tests.storage.events import make_event
from tests.storage.races import THREADS, counted, race
from tests.storage.stores import NOW, find, make_user, opened

_ADDED = re.compile(r"^    (created_at|used_at) INTEGER NOT NULL DEFAULT 0,\n", re.MULTILINE)
RELEASED = _ADDED.sub("", sqlite_schema.TABLES)


@pytest.fixture
def old_file(path: Path) -> Path:
    """Make a file as release 0.1 made it, with a user."""
    path.parent.mkdir(mode=0o700)
    with opened(path) as connection:
        connection.executescript(
            f"PRAGMA journal_mode = WAL; PRAGMA application_id = {sqlite_schema.APPLICATION_ID};"
            f"PRAGMA user_version = 1; {RELEASED}"
        )
        row = sqlite_schema.user_row(make_user("ann"))
        connection.execute(f"INSERT INTO users VALUES ({', '.join('?' * len(row))})", list(row.values()))
    return path


def test_an_old_file_gets_what_it_lacks(old_file: Path) -> None:
    """Its users are there, failures are counted, and preparing again changes nothing."""
    with closing(SqliteStore(old_file)) as store:
        store.prepare()
        store.counters.add(["a"], now=NOW, expires_at=NOW.replace(year=2101))
        store.insert([make_user("bob")], [event := make_event()])
        store.prepare()
        assert find(store, "ann") is not None
        assert store.audit.find(Sought([["subject ann"]]), limit=5) == [event]
        assert store.counters.find(["a"], now=NOW)["a"].count == 1


def test_an_old_file_keeps_sessions(old_file: Path) -> None:
    """The table of records gets the columns that it lacked."""
    with closing(SqliteStore(old_file)) as store:
        store.prepare()
        put = Record(kind="session", id="a", created_at=NOW, used_at=NOW, expires_at=NOW.replace(year=2101))
        store.records.put(put, now=NOW)
        assert store.records.find("session", "a", now=NOW) == put


def test_an_earlier_release_goes_on_beside(old_file: Path) -> None:
    """The version stays, which is what it looks at, and the connections that it has open serve."""
    with opened(old_file) as earlier:
        assert earlier.execute("SELECT count(*) FROM users").fetchone() == (1,)
        with closing(SqliteStore(old_file)) as store:
            store.prepare()
            store.counters.add(["a"], now=NOW, expires_at=NOW)
            earlier.execute("UPDATE users SET name = 'Ann'")
            assert earlier.execute("PRAGMA user_version").fetchone() == (sqlite_schema.VERSION,) == (1,)
            found = find(store, "ann")
            assert found is not None
            assert found.name == "Ann"


def test_several_may_upgrade_at_once(old_file: Path) -> None:
    """Eight starts at the same moment all succeed."""

    def start() -> None:
        with closing(SqliteStore(old_file)) as store:
            store.prepare()
            store.counters.add(["a"], now=NOW, expires_at=NOW.replace(year=2101))

    assert counted(race([start] * THREADS)) == {None: THREADS}


@pytest.mark.parametrize("table", ["users", "emails", "tokens", "records", "meta"])
def test_an_old_file_that_lacks_more_is_refused(old_file: Path, table: str) -> None:
    """What every release has made is not made anew, and nothing is added."""
    with opened(old_file) as connection:
        connection.execute(f"DROP TABLE {table}")
    with closing(SqliteStore(old_file)) as store, pytest.raises(SetupError, match=f"lacks .*{table}"):
        store.prepare()
    with opened(old_file) as connection:
        assert connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'failures'").fetchone() is None
