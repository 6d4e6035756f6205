"""Connections to a SQLite file, the queue of its writers, and what a killed process leaves."""

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from pathlib import Path

import pytest

from models.errors import UnavailableError, UserExistsError
from models.storage import Store
from models.storage.sqlite import lock as sqlite_lock
from models.storage.sqlite.lock import WriterQueue
from models.storage.sqlite.store import SqliteStore
from tests.storage.races import PROCESSES, Processes, counted, race
from tests.storage.stores import NOW, Address, find, make_user, opened

ROOT = Path(__file__).parents[2]


@pytest.fixture
def prepared(sqlite_address: Address, open_prepared: Callable[[Address], Store]) -> Store:
    return open_prepared(sqlite_address)


def test_a_full_disk_is_unavailable_and_changes_nothing(prepared: Store) -> None:
    """The write that does not fit raises with its cause, all of it is undone, and the store goes on."""
    assert isinstance(prepared, SqliteStore)
    with prepared._database.reading() as connection:
        [pages] = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages + 5}")
    with pytest.raises(UnavailableError, match="full") as caught:
        prepared.insert([make_user(f"user{number}") for number in range(500)], ())
    assert isinstance(caught.value.__cause__, sqlite3.OperationalError)
    assert prepared.list_names(limit=1) == []
    prepared.insert([make_user("ann")], ())


def test_a_database_that_another_holds_is_unavailable(prepared: Store, path: Path) -> None:
    """A writer that does not queue makes others wait no longer than their patience, in all; readers do not wait."""
    with closing(SqliteStore(path, patience=0.4)) as store, opened(path) as other:
        other.execute("BEGIN IMMEDIATE")
        started = time.monotonic()
        outcomes = race([lambda: store.insert([make_user("ann")], ())] * 4)
        assert counted(outcomes) == {UnavailableError: 4}
        assert 0.4 <= time.monotonic() - started < 0.8
        with pytest.raises(UnavailableError, match="locked"):
            store.prepare()
        assert find(store, "ann") is None
        other.execute("ROLLBACK")
    prepared.insert([make_user("ann")], ())


def test_waits_for_a_turn_and_for_sqlite_add_up(prepared: Store, path: Path) -> None:
    """Who has got its turn late waits for a writer that does not queue only for the rest of its patience."""
    queue = WriterQueue(path.with_name(path.name + ".lock"))
    with closing(SqliteStore(path, patience=1.0)) as store, opened(path) as other, ThreadPoolExecutor(1) as pool:
        other.execute("BEGIN IMMEDIATE")
        started = time.monotonic()
        with queue.turn(started):
            insert = pool.submit(store.insert, [make_user("ann")], ())
            assert not wait([insert], 0.7).done
        with pytest.raises(UnavailableError, match="locked"):
            insert.result()
        assert 1.0 <= time.monotonic() - started < 1.5


def test_after_a_wait_in_vain_writers_fail_at_once(
    prepared: Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They leave the threads to the readers for a while; then one tries, and its success lets all write."""
    with closing(SqliteStore(path, patience=0.05)) as store, opened(path) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(UnavailableError, match="locked"):
            store.insert([make_user("ann")], ())
        other.execute("ROLLBACK")
        outage = store._database._outage
        assert outage._retry_at is not None
        assert 0.3 < outage._retry_at - time.monotonic() <= 0.5
        with pytest.raises(UnavailableError, match="a moment ago"):
            store.insert([make_user("ann")], ())
        assert find(store, "ann") is None
        outage._retry_at = time.monotonic()
        store.insert([make_user("ann")], ())
        store.insert([make_user("bob")], ())


def test_a_stopped_writer_makes_others_fail(prepared: Store, path: Path) -> None:
    """Who waits for the file lock, or for the thread that waits for it, gets UnavailableError in the end."""
    queue = WriterQueue(path.with_name(path.name + ".lock"))
    with closing(SqliteStore(path, patience=0.05)) as store, queue.turn(time.monotonic() + 5):
        outcomes = race([lambda: store.insert([make_user("ann")], ())] * 3)
        assert counted(outcomes) == {UnavailableError: 3}
        assert find(store, "ann") is None
    prepared.insert([make_user("ann")], ())


def test_a_lock_file_that_cannot_be_opened_is_unavailable(prepared: Store, path: Path) -> None:
    """No error of the operating system gets out."""
    lock = path.with_name(path.name + ".lock")
    lock.unlink()
    lock.mkdir()
    with pytest.raises(UnavailableError, match="lock file"):
        prepared.insert([make_user("ann")], ())


def open_files() -> int:
    return len([entry for entry in Path("/proc/self/fd").iterdir() if "doorman.db" in os.path.realpath(entry)])


def test_closing_closes_every_file(prepared: Store) -> None:
    """After close nothing of the database is open, whichever thread opened it."""
    race([lambda: find(prepared, "ann")] * 3)
    prepared.ping()
    prepared.close()
    assert open_files() == 0


WRITER = """
import sys
from models.storage.sqlite.store import SqliteStore
from pathlib import Path
from tests.storage.stores import make_user, with_email

store = SqliteStore(Path(sys.argv[1]))
number = 0
while True:
    names = [f"{sys.argv[2]}-{number}-{part}" for part in range(3)]
    store.insert([with_email(make_user(name), f"{name}@x.org") for name in names], ())
    print(number, flush=True)
    number += 1
"""


def test_a_killed_process_has_lost_nothing_it_reported(prepared: Store, path: Path) -> None:
    """After kill -9 of two writers every acknowledged insert is there, none is there in part, and others can write."""
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path), name], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for name in ("one", "two")
    ]
    acknowledged: dict[str, int] = {}
    for writer, name, enough in zip(writers, ("one", "two"), (60, 25), strict=True):
        assert writer.stdout is not None
        with writer.stdout as lines:
            for _ in range(enough):
                next(lines)
            writer.kill()
            rest = [line for line in lines if line.endswith("\n")]
        writer.wait()
        acknowledged[name] = enough + len(rest)
    for name, count in acknowledged.items():
        listed = prepared.list_names(limit=100_000, prefix=f"{name}-")
        numbers = [int(one.name_key.split("-")[1]) for one in listed]
        # One more may have been committed and not reported.
        assert set(range(count)) <= set(numbers) <= set(range(count + 1))
        assert all(numbers.count(number) == 3 for number in set(numbers))
        with pytest.raises(UserExistsError):
            prepared.insert([make_user(f"{name}-0-0")], ())
    with opened(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        [users, emails, tokens] = (
            connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("users", "emails", "tokens")
        )
    assert users == emails == tokens


def test_writers_of_many_processes_all_get_their_turn(
    sqlite_address: Address, prepared: Store, racing_processes: Processes
) -> None:
    """Four processes of four threads that each write ten times all succeed."""
    assert counted(racing_processes.race(sqlite_address, insert_ten, threads=4)) == {None: 4 * PROCESSES}
    assert len(prepared.list_names(limit=1000)) == 40 * PROCESSES


def insert_ten(store: Store, number: int) -> None:
    for part in range(10):
        store.insert([make_user(f"user{number}-{part}", created_at=NOW)], ())


def test_a_lock_that_cannot_be_taken_is_unavailable(tmp_path: Path) -> None:
    """A file system without locks makes writes fail, and nothing is written without one."""
    descriptor = os.open(tmp_path, os.O_RDONLY)
    os.close(descriptor)
    with pytest.raises(UnavailableError, match="cannot be locked"):
        sqlite_lock._lock(descriptor, deadline=0.0)


def test_a_value_that_breaks_the_schema_is_no_conflict(prepared: Store) -> None:
    """A user without what every user has is a fault of the program, and is not reported as a taken name."""
    with pytest.raises(UnavailableError, match="NOT NULL"):
        prepared.insert([make_user("ann", token_hash=None)], ())
