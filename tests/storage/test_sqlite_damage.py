"""A SQLite file that is cut short, overwritten with rubbish, or taken over by a newer version."""

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from models.errors import SetupError, UnavailableError
from models.storage import Store
from models.storage.sqlite.store import SqliteStore
from tests.storage.stores import Address, find, make_user, opened

ROOT = Path(__file__).parents[2]


@pytest.fixture
def prepared(sqlite_address: Address, open_prepared: Callable[[Address], Store]) -> Store:
    return open_prepared(sqlite_address)


def cut_short(path: Path) -> bytes:
    """Take the second half of a database away; return it. Much of what was written last is in the log still."""
    # By other processes: a descriptor that is closed in this one would take SQLite's locks away.
    whole = subprocess.run(["cat", path], stdout=subprocess.PIPE, check=True).stdout
    size = len(whole) // 8192 * 4096
    os.truncate(path, size)
    return whole[size:]


@pytest.fixture
def filled(path: Path, prepared: Store) -> Store:
    """A store of some pages, the last users of which are in the log alone."""
    prepared.insert([make_user(f"user{number:03}", token_hash="x" * 400) for number in range(200)], ())
    with opened(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    prepared.insert([make_user("ann")], ())
    return prepared


def test_a_file_that_was_cut_short_is_unavailable_until_it_is_whole(filled: Store, path: Path) -> None:
    """Nothing is acknowledged that goes into the rest of a database, also by who saw it whole last in another run."""
    filled.insert([make_user("bob")], ())
    rest = cut_short(path)
    with closing(SqliteStore(path)) as worker:
        for store in (filled, worker):
            with pytest.raises(UnavailableError, match="was cut short"):
                store.insert([make_user("cid")], ())
            with pytest.raises(UnavailableError, match="was cut short"):
                find(store, "ann")
        subprocess.run(["tee", "-a", path], input=rest, stdout=subprocess.DEVNULL, check=True)
        for number, store in enumerate([filled, worker]):
            store.insert([make_user(f"cid{number}")], ())
            assert find(store, "bob") is not None


def test_a_file_that_was_cut_short_is_not_started_with(filled: Store, path: Path) -> None:
    """The next start reads all of a file that is shorter than it was left, says what is wrong and how to mend it."""
    filled.insert([make_user("bob")], ())
    cut_short(path)
    for _ in range(2):
        with closing(SqliteStore(path)) as store, pytest.raises(SetupError, match=r"damaged .*cut short.*restore"):
            store.prepare()


def test_a_file_that_is_shorter_and_whole_is_started_with(filled: Store, path: Path) -> None:
    """One that somebody has vacuumed, or a copy written in its place, is served; it is looked at once."""
    filled.insert([make_user("bob")], ())
    filled.close()
    with opened(path) as connection:
        connection.execute("DELETE FROM users WHERE user_name LIKE 'user%'")
        connection.execute("VACUUM")
    for name in ("cid", "dan"):
        with closing(SqliteStore(path)) as store:
            store.prepare()
            store.insert([make_user(name, token_digests=(name,))], ())
            assert find(store, "bob") is not None


def test_rubbish_is_not_started_with(filled: Store, path: Path) -> None:
    """A start on a file full of rubbish is refused, with how to mend it, and not reported as a store that is away."""
    filled.close()
    head = path.read_bytes()[:100]
    path.write_bytes(head + os.urandom(path.stat().st_size - len(head)))
    for rubbish in (path.read_bytes(), b"x" * 9000):
        path.write_bytes(rubbish)
        with closing(SqliteStore(path)) as store, pytest.raises(SetupError, match=r"is damaged .* restore"):
            store.prepare()


def test_a_newer_version_that_takes_the_file_over_ends_the_writes(prepared: Store, path: Path) -> None:
    """Whoever served the file before the upgrade writes no more into a schema that it does not know, and says why."""
    ann = make_user("ann")
    prepared.insert([ann], ())
    with opened(path) as connection:
        connection.execute("PRAGMA user_version = 2")
        with pytest.raises(UnavailableError, match="schema 2, and this Doorman serves 1: another version"):
            prepared.replace(ann, ann.changed(ann.updated_at, name="Ann"), ())
        assert connection.execute("SELECT name FROM users").fetchall() == [(None,)]
        connection.execute("PRAGMA user_version = 1")
    prepared.replace(ann, ann.changed(ann.updated_at, name="Ann"), ())


_READ_WHILE_READ_ONLY = """
import sys
from pathlib import Path
from threading import Barrier, Thread
from models.errors import UnavailableError
from models.storage.sqlite.store import SqliteStore
from tests.storage.stores import find, make_user

path = Path(sys.argv[1])
store = SqliteStore(path)
store.prepare()
store.close()
for mode in (0o400, 0o600):
    for file in path.parent.glob(f"{path.name}*"):
        file.chmod(0o600 if file.suffix.endswith("lock") else mode)
    assert find(store, "nobody") is None
    try:
        store.insert([make_user("ann")], ())
        print("written")
    except UnavailableError as error:
        print(error)
    assert find(store, "nobody") is None
"""
_UNPRIVILEGED = ["setpriv", "--bounding-set=-dac_override"] if os.geteuid() == 0 else []


def test_what_was_read_only_is_written_to_at_once(path: Path) -> None:
    """A connection that was opened while the file could only be read fails no write once it may be written to again."""
    command = [*_UNPRIVILEGED, sys.executable, "-c", _READ_WHILE_READ_ONLY, str(path)]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    assert said == ["SQLite: attempt to write a readonly database", "written"]
