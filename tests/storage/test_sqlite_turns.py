"""What a writer to a SQLite file does beside its write, and for how long: emptying the log, deleting very much."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from models.errors import RevisionMismatchError
from models.storage import Store
from models.storage.sqlite.store import SqliteStore
from tests.storage.stores import NOW, Address, find, make_user, opened


@pytest.fixture
def prepared(sqlite_address: Address, open_prepared: Callable[[Address], Store]) -> Store:
    return open_prepared(sqlite_address)


def test_the_log_is_bounded_while_others_never_stop_reading(prepared: Store, path: Path) -> None:
    """Three threads that list names without a pause do not keep the log of the writes from being emptied."""
    users = [make_user(f"user{number:03}", token_hash="x" * 3000) for number in range(200)]
    prepared.insert(users, ())
    log = path.with_name(path.name + "-wal")
    ended = threading.Event()

    def read() -> None:
        while not ended.is_set():
            prepared.list_names(limit=200)

    largest = 0
    with ThreadPoolExecutor(3) as readers:
        reading = [readers.submit(read) for _ in range(3)]
        try:
            for number in range(80):
                prepared.delete(users[number], ())
                prepared.insert([make_user(f"{number}-{part:03}", token_hash="x" * 8000) for part in range(100)], ())
                largest = max(largest, log.stat().st_size)
        finally:
            ended.set()
        assert [one.result() for one in reading] == [None] * 3
    assert largest < 32 << 20
    assert path.stat().st_size > 64 << 20


def test_a_reader_that_never_ends_costs_few_writes_their_time(prepared: Store, path: Path) -> None:
    """Emptying the log in vain is tried again only when it has grown by another step."""
    assert isinstance(prepared, SqliteStore)
    database = prepared._database
    prepared.insert([make_user("ann")], ())
    with opened(path) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM users").fetchone()
        database._empty_log_at = 1
        prepared.insert([make_user("bob")], ())
        assert database._empty_log_at > 16 << 20
        reader.execute("COMMIT")
    database._empty_log_at = 1
    prepared.insert([make_user("cid")], ())
    assert database._empty_log_at == 16 << 20
    assert path.with_name(path.name + "-wal").stat().st_size == 0


def test_deleting_a_user_of_many_records_lets_others_write(prepared: Store, path: Path) -> None:
    """The records go in several short turns; a user who is changed in between stays, and so do its other records."""
    assert isinstance(prepared, SqliteStore)
    ann, bob = make_user("ann"), make_user("bob")
    prepared.insert([ann, bob], ())
    with opened(path) as connection:
        connection.execute(
            "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 2999)"
            " INSERT INTO records SELECT 'session', ?1 || i, 9e12, ?1, 0, '{}', 0, 0 FROM n",
            (ann.id,),
        )
        assert not prepared._delete_in_part(ann, ())
        assert connection.execute("SELECT count(*) FROM records").fetchone() == (2500,)
        prepared.replace(ann, changed := ann.changed(NOW), ())
        with pytest.raises(RevisionMismatchError):
            prepared.delete(ann, ())
        assert connection.execute("SELECT count(*) FROM records").fetchone() == (2500,)
        prepared.delete(changed, ())
        assert connection.execute("SELECT count(*) FROM records").fetchone() == (0,)
    assert find(prepared, "ann") is None
