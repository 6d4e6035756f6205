"""What is SQLite's own: the file, its locks, its plans, and what a killed process leaves."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from models.errors import SetupError, UnavailableError
from models.storage import Store
from models.storage.sqlite import audit, counters, lookups, meta
from models.storage.sqlite import records as sqlite_records
from models.storage.sqlite import schema as sqlite_schema
from models.storage.sqlite import setup as sqlite_setup
from models.storage.sqlite import store as sqlite
from models.storage.sqlite.lookups import asking
from models.storage.sqlite.store import SqliteStore, listing
from tests.storage.stores import Address, find, find_by_token, make_user, opened

ROOT = Path(__file__).parents[2]


@pytest.fixture
def prepared(sqlite_address: Address, open_prepared: Callable[[Address], Store]) -> Store:
    return open_prepared(sqlite_address)


_BY_TERMS = audit.FIND_BY_TERM % (audit.HAS_TERM % "?, ?")
QUERIES = {
    **{
        f"{name} {count}": (asking(query, count), step)
        for count in (1, 2, 128)
        for name, query, step in (
            ("find", lookups.FIND, "SEARCH users USING INDEX users_by_name (name_key=? AND oauth=?)"),
            ("id", lookups.FIND_BY_ID, "SEARCH users USING INDEX sqlite_autoindex_users_1 (id=?)"),
            ("token", lookups.FIND_BY_TOKEN, "SEARCH tokens USING PRIMARY KEY (digest=?)"),
            ("user of token", lookups.FIND_BY_TOKEN, "SEARCH users USING INDEX sqlite_autoindex_users_1 (id=?)"),
            ("failures", counters.FIND, "SEARCH failures USING PRIMARY KEY (key=?)"),
        )
    },
    "purge failures": (counters.PURGE, "SEARCH failures USING COVERING INDEX failures_by_expiry (expires_at<?)"),
    "cost": (meta.HIGHEST_COST, "SEARCH meta USING PRIMARY KEY (key=?)"),
    "foreign": (meta.FOREIGN_HASHES, "SEARCH meta USING PRIMARY KEY (key>? AND key<?)"),
    "admin": (sqlite.HAS_ADMIN, "SCAN users USING INDEX users_guarding"),
    "other admin": (sqlite.HAS_OTHER_ADMIN, "SCAN users USING INDEX users_guarding"),
    "update": (sqlite.UPDATE, "SEARCH users USING INDEX sqlite_autoindex_users_1 (id=?)"),
    "record": (sqlite_records.FIND, "SEARCH records USING PRIMARY KEY (kind=? AND id=?)"),
    "no record": (sqlite_records.DELETE, "SEARCH records USING PRIMARY KEY (kind=? AND id=?)"),
    "records": (sqlite_records.DELETE_OF_USER, "SEARCH records USING COVERING INDEX records_of_user (user_id=?)"),
    "kind": (
        sqlite_records.RETURNING_OF_USER,
        "SEARCH records USING COVERING INDEX records_of_user (user_id=? AND kind=?)",
    ),
    "records of": (sqlite_records.OF_USER, "SEARCH records USING INDEX records_of_user (user_id=? AND kind=?)"),
    "events": (audit.FIND, "SEARCH audit USING PRIMARY KEY (id>? AND id<?)"),
    "events by terms": (_BY_TERMS, "SEARCH audit_terms USING PRIMARY KEY (term=? AND id>? AND id<?)"),
    "its event": (_BY_TERMS, "SEARCH audit USING PRIMARY KEY (id=?)"),
    "other terms": (_BY_TERMS, "SEARCH other USING PRIMARY KEY (term=? AND id=?)"),
    "event": (audit.FIND_ONE, "SEARCH audit USING PRIMARY KEY (id=?)"),
    "old events": (audit.FIND_OLD, "SEARCH audit USING PRIMARY KEY (id<?)"),
    "use": (sqlite_records.NOTE_USE, "SEARCH records USING PRIMARY KEY (kind=? AND id=?)"),
    "oldest": (sqlite_records.DELETE_OLDEST, "SEARCH records USING INDEX records_of_user (user_id=? AND kind=?)"),
    "purge": (sqlite_records.PURGE, "SEARCH records USING COVERING INDEX records_by_expiry (expires_at<?)"),
    **{
        f"list {bounded} {grouped} {backward}": (
            listing(bounded=bounded, grouped=grouped, backward=backward),
            "SEARCH users USING COVERING INDEX users_listed"
            + ("_by_group (oauth=? AND user_group=? AND " if grouped else " (oauth=? AND ")
            + ("name_key>? AND name_key<?)" if bounded else "name_key>?)"),
        )
        for bounded in (False, True)
        for grouped in (False, True)
        for backward in (False, True)
    },
}


@pytest.mark.parametrize("name", QUERIES)
def test_every_look_up_goes_by_an_index(prepared: Store, path: Path, name: str) -> None:
    """The plan searches the index that was made for it, and neither scans a table nor sorts."""
    query, step = QUERIES[name]
    with opened(path) as connection:
        values = (
            dict.fromkeys([*sqlite_schema.COLUMNS, "low", "high", "limit"])
            if ":" in query
            else [None] * query.count("?")
        )
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {query}", values)]
    assert step in plan
    if name == "oldest":  # of one user: a hundred or so
        plan.remove("USE TEMP B-TREE FOR ORDER BY")
    for line in plan:
        assert (
            not line.startswith(("SCAN users", "SCAN tokens", "SCAN records", "SCAN failures", "USE TEMP"))
            or line == step
        )


def test_a_stale_pointer_leads_nowhere(prepared: Store, path: Path) -> None:
    """A digest that points to a user who does not have it any more is nobody's."""
    user = make_user("ann")
    prepared.insert([user], ())
    with opened(path) as connection:
        connection.execute("INSERT INTO tokens (digest, user_id) VALUES ('stale', ?), ('gone', 'x')", (user.id,))
    assert find_by_token(prepared, "stale") is None
    assert find_by_token(prepared, "gone") is None


def test_only_the_owner_may_read(prepared: Store, path: Path) -> None:
    """Database, log, shared memory and lock are 0600, and a directory that was made is 0700."""
    prepared.insert([make_user("ann")], ())
    assert path.parent.stat().st_mode & 0o777 == 0o700
    modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    assert modes == dict.fromkeys([path.name + end for end in ("", "-wal", "-shm", ".lock")], 0o600)


def test_writes_reach_the_disk_before_they_return(prepared: Store, path: Path) -> None:
    """The journal is a write-ahead log that is synchronised at every commit."""
    assert isinstance(prepared, SqliteStore)
    with prepared._database.writing() as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)


def test_another_programs_database_is_refused(path: Path) -> None:
    """Tables that Doorman did not make are left alone."""
    path.parent.mkdir()
    with opened(path) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    with closing(SqliteStore(path)) as store, pytest.raises(SetupError, match="another program"):
        store.prepare()


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    """Rubbish is not overwritten."""
    path.parent.mkdir()
    path.write_text("not a database, but longer than a header of one hundred bytes " * 10)
    with closing(SqliteStore(path)) as store, pytest.raises(SetupError, match=r"not a database\. Name a new"):
        store.prepare()
    assert path.read_text().startswith("not a database")


@pytest.mark.parametrize("place", ["/dev/null/doorman.db", "/proc/doorman.db", "/"])
def test_a_place_that_cannot_be_written_is_refused(place: str) -> None:
    """The message names the file."""
    with closing(SqliteStore(Path(place))) as store, pytest.raises(SetupError, match="cannot be used as the database"):
        store.prepare()


_PREPARE = """
import sys
from pathlib import Path
from models.errors import SetupError
from models.storage.sqlite.store import SqliteStore
for path in map(Path, sys.argv[1:]):
    try:
        SqliteStore(path).prepare()
    except SetupError as error:
        print(error)
"""
# Root may write to any file, so there the child gives up the capability that allows it.
_UNPRIVILEGED = ["setpriv", "--bounding-set=-dac_override"] if os.geteuid() == 0 else []


def test_what_can_only_be_read_is_refused(path: Path) -> None:
    """It is found at the start; the message says who has to be able to write what, and advises no other database."""
    within = path.parent / "folder" / "doorman.db"
    for made in (path, within):
        with closing(SqliteStore(made)) as store:
            store.prepare()
    path.chmod(0o400)
    Path(f"{within}.lock").unlink()
    within.parent.chmod(0o500)
    prepare = [*_UNPRIVILEGED, sys.executable, "-c", _PREPARE, str(path), str(within)]
    said = subprocess.run(prepare, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    within.parent.chmod(0o700)
    assert len(said) == 2
    for made, line in zip((path, within), said, strict=True):
        assert line.startswith(f"{made} cannot be used as the database: ")
        assert re.search(rf"uid {os.geteuid()}\)? must be able to write the file, its folder", line)
        assert "Name a new file" not in line


def test_a_store_that_was_not_prepared_is_unavailable(path: Path) -> None:
    """Nothing makes an empty database by accident."""
    with closing(SqliteStore(path)) as store, pytest.raises(UnavailableError):
        find(store, "ann")
    assert not path.exists()


def test_an_old_sqlite_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says which version is needed."""
    monkeypatch.setattr(sqlite_setup, "_OLDEST_SQLITE", (99, 0, 0))
    with closing(SqliteStore(path)) as store, pytest.raises(SetupError, match="too old"):
        store.prepare()
    assert not path.exists()


def test_tables_are_made_all_or_none(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A start that fails halfway leaves a file that the next start can use."""
    with closing(SqliteStore(path)) as store:
        with monkeypatch.context() as patched:
            patched.setattr(sqlite_schema, "TABLES", f"{sqlite_schema.TABLES}; CREATE TABLE users (id)")
            with pytest.raises(SetupError, match="already exists"):
                store.prepare()
        store.prepare()
        assert find(store, "ann") is None
