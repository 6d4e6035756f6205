"""Expiring records on every store."""

from datetime import timedelta

import pytest

from models.errors import RecordExistsError
from models.records import Record
from models.storage import Store
from tests.storage.races import THREADS, counted, race
from tests.storage.stores import NOW, make_user

SECOND = timedelta(seconds=1)
MILLISECOND = timedelta(milliseconds=1)


def record(record_id: str = "one", **changes: object) -> Record:
    values: dict[str, object] = {"kind": "session", "id": record_id, "expires_at": NOW + SECOND}
    return Record(**(values | changes))  # type: ignore[arg-type]  # The changes are of their fields' types.


def test_a_record_is_found_as_it_was_put_in(store: Store) -> None:
    """Every field comes back the same, odd JSON included; another kind with the same id is another record."""
    data = {"$set": {"a.b": None, "": [1, 2.5, "x\0", "\ud800", True]}, "big": 2**70}
    put = record(user_id="u", epoch=3, data=data)
    store.put_record(put, now=NOW)
    store.put_record(record(kind="nonce"), now=NOW)
    assert store.find_record("session", "one", now=NOW) == put
    assert store.find_record("nonce", "one", now=NOW) == record(kind="nonce")
    assert store.find_record("nonce", "two", now=NOW) is None


def test_a_record_ends_at_its_moment(store: Store) -> None:
    """One millisecond before its time it is there, at its time it is not, purged or not."""
    store.put_record(record(), now=NOW)
    assert store.find_record("session", "one", now=NOW + SECOND - MILLISECOND) is not None
    assert store.find_record("session", "one", now=NOW + SECOND) is None


def test_a_record_in_force_is_not_replaced(store: Store) -> None:
    """A second one of the same kind and id raises, until the first is overdue."""
    store.put_record(record(epoch=1), now=NOW)
    with pytest.raises(RecordExistsError):
        store.put_record(record(epoch=2), now=NOW + SECOND - MILLISECOND)
    later = record(epoch=3, expires_at=NOW + 2 * SECOND)
    store.put_record(later, now=NOW + SECOND)
    assert store.find_record("session", "one", now=NOW + SECOND) == later


def test_one_of_many_puts_a_record(durable_store: Store) -> None:
    """Of eight threads that put the same nonce, new or in place of an overdue one, one succeeds."""
    for number in range(5):
        now = NOW + number * SECOND
        put = record(kind="nonce", expires_at=now + SECOND)
        outcomes = race([lambda: durable_store.put_record(put, now=now)] * THREADS)  # noqa: B023 - They run before the next round.
        assert counted(outcomes) == {None: 1, RecordExistsError: THREADS - 1}


def test_a_record_is_deleted_once(store: Store) -> None:
    """The first deletion says that it was there, the next that it was not."""
    store.put_record(record(), now=NOW)
    assert store.delete_record("session", "one")
    assert not store.delete_record("session", "one")


def test_records_of_a_user_are_deleted(store: Store) -> None:
    """All of one kind, or of all kinds, and those of nobody else."""
    for number in range(3):
        store.put_record(record(f"a{number}", user_id="ann"), now=NOW)
        store.put_record(record(f"b{number}", user_id="bob"), now=NOW)
        store.put_record(record(f"a{number}", user_id="ann", kind="jwt"), now=NOW)
    store.put_record(record("nobody"), now=NOW)
    assert store.delete_records_of("ann", "jwt") == 3
    assert store.delete_records_of("ann", "jwt") == 0
    assert store.delete_records_of("ann") == 3
    assert store.find_record("session", "b0", now=NOW) is not None
    assert store.find_record("session", "nobody", now=NOW) is not None


def test_deleting_a_user_deletes_its_records(store: Store) -> None:
    """They go with it, and another user's stay."""
    ann, bob = make_user("ann"), make_user("bob")
    store.insert([ann, bob])
    store.put_record(record("a", user_id=ann.id), now=NOW)
    store.put_record(record("b", user_id=bob.id), now=NOW)
    store.delete(ann)
    assert store.find_record("session", "a", now=NOW) is None
    assert store.find_record("session", "b", now=NOW) is not None


def test_what_is_overdue_is_purged(store: Store) -> None:
    """Those whose time has come are removed and counted, over more than one step; the others stay."""
    for number in range(3):
        store.put_record(record(f"old{number}"), now=NOW)
    store.put_record(record("new", expires_at=NOW + SECOND + MILLISECOND), now=NOW)
    assert store.purge(now=NOW + SECOND - MILLISECOND) == 0
    assert store.purge(now=NOW + SECOND) == 3
    assert store.purge(now=NOW + SECOND) == 0
    assert store.find_record("session", "new", now=NOW + SECOND) is not None


def test_a_purge_goes_on_past_its_first_step(durable_store: Store) -> None:
    """More records than one step removes are all removed by one call."""
    for number in range(1001):
        durable_store.put_record(record(str(number)), now=NOW)
    assert durable_store.purge(now=NOW + SECOND) == 1001


def test_what_cannot_be_stored_is_the_callers_fault(durable_store: Store) -> None:
    """A lone surrogate or a number of more than 64 bits raises ValueError, and nothing is stored."""
    for bad in (make_user("ann", name="\ud800"), make_user("ann", epoch=2**63)):
        with pytest.raises(ValueError, match="no store can hold"):
            durable_store.insert([make_user("bob"), bad])
    assert durable_store.list_names(limit=2) == []
    for put in (record("\ud800"), record(epoch=2**63)):
        with pytest.raises(ValueError, match="no store can hold"):
            durable_store.put_record(put, now=NOW)
