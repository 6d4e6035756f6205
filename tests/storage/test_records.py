"""Expiring records on every store."""

import secrets
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from models.errors import RecordExistsError
from models.records import Record, Use
from models.storage import Store
from tests.storage.races import THREADS, counted, race
from tests.storage.stores import NOW, Address, make_user, opened

SECOND = timedelta(seconds=1)
MILLISECOND = timedelta(milliseconds=1)


def record(record_id: str = "one", **changes: object) -> Record:
    times = {"created_at": NOW, "used_at": NOW, "expires_at": NOW + SECOND}
    values: dict[str, object] = {"kind": "session", "id": record_id, **times}
    return Record(**(values | changes))  # type: ignore[arg-type]  # The changes are of their fields' types.


def test_a_record_is_found_as_it_was_put_in(store: Store) -> None:
    """Every field comes back the same, odd JSON included; another kind with the same id is another record."""
    data = {"$set": {"a.b": None, "": [1, 2.5, "x\0", "\ud800", True]}, "big": 2**70}
    put = record(user_id="u", epoch=3, data=data)
    store.records.put(put, now=NOW)
    store.records.put(record(kind="nonce"), now=NOW)
    assert store.records.find("session", "one", now=NOW) == put
    assert store.records.find("nonce", "one", now=NOW) == record(kind="nonce")
    assert store.records.find("nonce", "two", now=NOW) is None


def test_a_record_ends_at_its_moment(store: Store) -> None:
    """One millisecond before its time it is there, at its time it is not, purged or not."""
    store.records.put(record(), now=NOW)
    assert store.records.find("session", "one", now=NOW + SECOND - MILLISECOND) is not None
    assert store.records.find("session", "one", now=NOW + SECOND) is None


def test_a_record_in_force_is_not_replaced(store: Store) -> None:
    """A second one of the same kind and id raises, until the first is overdue."""
    store.records.put(record(epoch=1), now=NOW)
    with pytest.raises(RecordExistsError):
        store.records.put(record(epoch=2), now=NOW + SECOND - MILLISECOND)
    later = record(epoch=3, expires_at=NOW + 2 * SECOND)
    store.records.put(later, now=NOW + SECOND)
    assert store.records.find("session", "one", now=NOW + SECOND) == later


def test_one_of_many_puts_a_record(durable_store: Store) -> None:
    """Of eight threads that put the same nonce, new or in place of an overdue one, one succeeds."""
    for number in range(5):
        now = NOW + number * SECOND
        put = record(kind="nonce", expires_at=now + SECOND)
        outcomes = race([lambda: durable_store.records.put(put, now=now)] * THREADS)  # noqa: B023 - They run before the next round.
        assert counted(outcomes) == {None: 1, RecordExistsError: THREADS - 1}


def test_a_record_is_deleted_once(store: Store) -> None:
    """The first deletion says that it was there, the next that it was not."""
    store.records.put(record(), now=NOW)
    assert store.records.delete("session", "one")
    assert not store.records.delete("session", "one")


def test_records_of_a_user_are_deleted(store: Store) -> None:
    """All of some kinds, or all but one, and those of nobody else."""
    for number in range(3):
        store.records.put(record(f"a{number}", user_id="ann"), now=NOW)
        store.records.put(record(f"b{number}", user_id="bob"), now=NOW)
        store.records.put(record(f"a{number}", user_id="ann", kind="jwt"), now=NOW)
    store.records.put(record("nobody"), now=NOW)
    assert {one.id for one in store.records.delete_of("ann", ["jwt", "other"], but="a1")} == {"a0", "a2"}
    assert [one.id for one in store.records.delete_of("ann", ["jwt"])] == ["a1"]
    assert store.records.delete_of("ann", ["jwt"]) == []
    assert len(store.records.delete_of("ann", ["session", "jwt"])) == 3
    assert store.records.find("session", "b0", now=NOW) is not None
    assert store.records.find("session", "nobody", now=NOW) is not None


def test_records_of_a_user_are_found(store: Store) -> None:
    """Those of the kinds asked for that are not overdue, the one that was created last first; and nobody else's."""
    times = {"created_at": NOW - SECOND, "used_at": NOW}
    first, last = record("first", user_id="ann", **times), record("last", user_id="ann")
    other = record("other", user_id="ann", kind="user_key", created_at=NOW - MILLISECOND)
    for put in (last, first, other, record("x", user_id="ann", kind="jwt"), record("y", user_id="bob"), record("z")):
        store.records.put(put, now=NOW)
    store.records.put(record("overdue", user_id="ann", expires_at=NOW + MILLISECOND), now=NOW)
    later = NOW + MILLISECOND
    assert store.records.of_user("ann", ["session", "user_key"], now=later) == [last, other, first]
    assert store.records.of_user("ann", ["user_key"], now=later) == [other]
    assert store.records.of_user("ann", [], now=later) == []
    assert store.records.of_user("nobody", ["session"], now=later) == []


def test_the_newest_records_stay(store: Store) -> None:
    """Those that were created first go, and of those created at the same time all but as many as may stay."""
    for number in (4, 0, 3, 1):
        store.records.put(record(str(number), user_id="ann", created_at=NOW + number * MILLISECOND), now=NOW)
    store.records.put(record("key", user_id="ann", kind="user_key", created_at=NOW - SECOND), now=NOW)
    store.records.put(record("bob's", user_id="bob", created_at=NOW - SECOND), now=NOW)
    store.records.put(record("new", user_id="ann", created_at=NOW + SECOND), now=NOW, most=3)
    assert [found.id for found in store.records.of_user("ann", ["session"], now=NOW)] == ["new", "4", "3"]
    assert store.records.find("user_key", "key", now=NOW)
    assert store.records.find("session", "bob's", now=NOW)
    for _ in range(2):
        store.records.put(record(secrets.token_hex(), user_id="ann", created_at=NOW + SECOND), now=NOW, most=2)
    assert len(store.records.of_user("ann", ["session"], now=NOW)) == 2


def test_what_is_overdue_takes_nobodys_place(store: Store) -> None:
    """A record that is in force stays when there are as many others that are overdue."""
    store.records.put(record("old", user_id="ann", created_at=NOW - SECOND, expires_at=NOW + 2 * SECOND), now=NOW)
    for number in range(3):
        store.records.put(record(str(number), user_id="ann"), now=NOW)
    store.records.put(record("new", user_id="ann", expires_at=NOW + 2 * SECOND), now=NOW + SECOND, most=2)
    assert [found.id for found in store.records.of_user("ann", ["session"], now=NOW + SECOND)] == ["new", "old"]


def test_racing_records_are_no_more_than_may_be(durable_store: Store) -> None:
    """When eight threads have put in twenty records each, as many are left as may be."""

    def put(thread: int) -> None:
        for number in range(20):
            durable_store.records.put(record(f"{thread} {number}", user_id="ann"), now=NOW, most=5)

    assert counted(race([partial(put, thread) for thread in range(THREADS)])) == {None: THREADS}
    assert len(durable_store.records.of_user("ann", ["session"], now=NOW)) == 5


def use(record_id: str, seconds: float, **changes: object) -> Use:
    used_at = NOW + timedelta(seconds=seconds)
    values: dict[str, object] = {"used_at": used_at, "unless_after": used_at - SECOND, "expires_at": used_at + SECOND}
    return Use(kind="session", id=record_id, **(values | changes))  # type: ignore[arg-type]  # As above.


def test_a_use_is_noted_once_in_a_while(store: Store) -> None:
    """It moves on when the record was used and when it ends, unless one was noted a short while before."""
    store.records.put(put := record(expires_at=NOW + 9 * SECOND), now=NOW)
    store.records.note_uses([use("one", 0.9)], now=NOW)
    assert store.records.find("session", "one", now=NOW) == put
    store.records.note_uses([use("one", 9), use("none", 9)], now=NOW)
    used = replace(put, used_at=NOW + 9 * SECOND, expires_at=NOW + 10 * SECOND)
    assert store.records.find("session", "one", now=NOW) == used
    store.records.note_uses([use("one", 9.5), use("one", 8)], now=NOW)
    assert store.records.find("session", "one", now=NOW) == used
    assert store.records.find("session", "none", now=NOW) is None


def test_a_use_never_shortens_a_record(store: Store) -> None:
    """A replica whose clock or whose settings differ takes nothing back."""
    store.records.put(put := record(expires_at=NOW + 9 * SECOND), now=NOW)
    store.records.note_uses([use("one", 2, expires_at=NOW + SECOND)], now=NOW)
    assert store.records.find("session", "one", now=NOW) == replace(put, used_at=NOW + 2 * SECOND)


def test_a_use_brings_nothing_back(store: Store) -> None:
    """What is overdue or was deleted stays away."""
    store.records.put(record(), now=NOW)
    store.records.note_uses([use("one", 2)], now=NOW + SECOND)
    assert store.records.find("session", "one", now=NOW + SECOND) is None
    store.records.put(record("two"), now=NOW)
    store.records.delete("session", "two")
    store.records.note_uses([use("two", 2)], now=NOW)
    assert store.records.find("session", "two", now=NOW) is None


def test_many_uses_are_noted(store: Store) -> None:
    """More than one step takes are all noted by one call."""
    for number in range(3):
        store.records.put(record(str(number), expires_at=NOW + 9 * SECOND), now=NOW)
    uses = [use("none", 2)] * 1100
    store.records.note_uses([use("0", 2), *uses, use("1", 2), use("2", 2)], now=NOW)
    assert all(store.records.find("session", str(number), now=NOW + 8 * SECOND) for number in range(3))
    assert not any(
        found.used_at == NOW for found in (store.records.find("session", str(n), now=NOW) for n in range(3)) if found
    )


def test_deleting_a_user_deletes_its_records(store: Store) -> None:
    """They go with it, and another user's stay."""
    ann, bob = make_user("ann"), make_user("bob")
    store.insert([ann, bob], ())
    store.records.put(record("a", user_id=ann.id), now=NOW)
    store.records.put(record("b", user_id=bob.id), now=NOW)
    store.delete(ann, ())
    assert store.records.find("session", "a", now=NOW) is None
    assert store.records.find("session", "b", now=NOW) is not None


# What may have been written: SQLite's STRICT tables hold nothing else than numbers where numbers should be.
SPOILED: dict[str, tuple[str, dict[str, Any]]] = {
    "data": ("{bad", {"data": "{bad"}),
    "shape": ("[]", {"data": []}),
    "epoch": ("5", {"epoch": "x"}),
    "time": ("null", {"created_at": "x"}),
}


@pytest.mark.parametrize("spoiled", SPOILED)
def test_a_record_of_another_make_spoils_no_other_one(
    address: Address, durable_store: Store, caplog: pytest.LogCaptureFixture, spoiled: str
) -> None:
    """It is logged and is not there, and goes with its user's others."""
    durable_store.records.put(record("good", user_id="ann"), now=NOW)
    durable_store.records.put(record("bad", user_id="ann"), now=NOW)
    text, changes = SPOILED[spoiled]
    if address.kind == "sqlite":
        with opened(Path(address.place)) as connection:
            connection.execute("UPDATE records SET data = ? WHERE id = 'bad'", (text,))
    else:
        with MongoClient[dict[str, Any]](address.place) as client:
            found = client[address.database]["records"]
            assert found.update_one({"_id.id": "bad"}, {"$set": changes}).modified_count == 1
    assert [found.id for found in durable_store.records.of_user("ann", ["session"], now=NOW)] == ["good"]
    assert durable_store.records.find("session", "bad", now=NOW) is None
    assert "not as Doorman writes records" in caplog.text
    assert [found.id for found in durable_store.records.delete_of("ann", ["session"])] == ["good"]


def test_what_is_overdue_is_purged(store: Store) -> None:
    """Those whose time has come are removed and counted, over more than one step; the others stay."""
    for number in range(3):
        store.records.put(record(f"old{number}"), now=NOW)
    store.records.put(record("new", expires_at=NOW + SECOND + MILLISECOND), now=NOW)
    assert store.purge(now=NOW + SECOND - MILLISECOND) == 0
    assert store.purge(now=NOW + SECOND) == 3
    assert store.purge(now=NOW + SECOND) == 0
    assert store.records.find("session", "new", now=NOW + SECOND) is not None


def test_a_purge_goes_on_past_its_first_step(durable_store: Store) -> None:
    """More records than one step removes are all removed by one call."""
    for number in range(1001):
        durable_store.records.put(record(str(number)), now=NOW)
    assert durable_store.purge(now=NOW + SECOND) == 1001


def test_what_cannot_be_stored_is_the_callers_fault(durable_store: Store) -> None:
    """A lone surrogate or a number of more than 64 bits raises ValueError, and nothing is stored."""
    for bad in (make_user("ann", name="\ud800"), make_user("ann", epoch=2**63)):
        with pytest.raises(ValueError, match="no store can hold"):
            durable_store.insert([make_user("bob"), bad], ())
    assert durable_store.list_names(limit=2) == []
    for put in (record("\ud800"), record(epoch=2**63)):
        with pytest.raises(ValueError, match="no store can hold"):
            durable_store.records.put(put, now=NOW)


def test_what_a_wrong_clock_has_dated_ahead_goes_first(store: Store) -> None:
    """Where a clock was ahead and was set back, a record that is put in is not the first to go; a second is no such."""
    ahead = NOW + timedelta(hours=1)
    for number in range(3):
        store.records.put(record(f"{number}", user_id="ann", created_at=ahead + number * SECOND), now=ahead, most=3)
    store.records.put(record("late", user_id="ann"), now=NOW, most=3)
    store.records.put(record("later", user_id="ann", created_at=NOW + SECOND), now=NOW, most=3)
    assert {found.id for found in store.records.of_user("ann", ["session"], now=NOW)} == {"late", "later", "2"}
    store.records.put(record("last", user_id="ann", created_at=NOW + 2 * SECOND), now=NOW, most=1)
    assert [found.id for found in store.records.of_user("ann", ["session"], now=NOW)] == ["last"]
