"""Counters of failures, and the highest cost of a hash, on every store."""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.errors import BulkWriteError

from models.errors import UnavailableError
from models.records import Counted, Record
from models.storage import Store
from models.storage.mongo.store import MongoStore
from tests.storage.races import PROCESSES, THREADS, Processes, counted, race
from tests.storage.stores import NOW, Address, opened

SECOND = timedelta(seconds=1)
MILLISECOND = timedelta(milliseconds=1)
END = NOW + SECOND


def test_each_key_is_counted(store: Store) -> None:
    """What was never counted is not there; each call adds one to each of its keys, also to one that it repeats."""
    keys = ["a", "b", "", "$c", "d\0", "ü", "x" * 1000]
    assert store.counters.find(keys, now=NOW) == {}
    store.counters.add(keys, now=NOW, expires_at=END)
    store.counters.add(["a", "ü", "a"], now=NOW, expires_at=END)
    found = store.counters.find([*keys, "none", "\ud800", "a"], now=NOW)
    assert found == {key: Counted(2 if key in {"a", "ü"} else 1, NOW) for key in keys}
    assert store.counters.find(["none"], now=NOW) == {}


def test_what_is_taken_is_a_number_of_its_own(store: Store) -> None:
    """Each call gets the next number, which is what the counter then holds; when it is overdue they begin anew."""
    assert [store.counters.take("a", now=NOW, expires_at=END) for _ in range(3)] == [1, 2, 3]
    store.counters.add(["a"], now=NOW, expires_at=END)
    assert store.counters.take("b", now=NOW, expires_at=END) == 1
    assert store.counters.find(["a"], now=NOW) == {"a": Counted(4, NOW)}
    assert store.counters.take("a", now=END, expires_at=END + SECOND) == 1


def test_racing_takers_get_different_numbers(durable_store: Store) -> None:
    """Eight threads that take from a counter, which is not there or is overdue at first, never get the same number."""
    for number in range(5):
        now = NOW + number * SECOND

        def take(now: datetime = now) -> list[int]:
            return [durable_store.counters.take("a", now=now, expires_at=now + SECOND) for _ in range(10)]

        taken = [number for outcome in race([take] * THREADS) for number in outcome]
        assert sorted(taken) == list(range(1, 10 * THREADS + 1))


def test_hundreds_are_counted(store: Store) -> None:
    """More keys than one command takes are all counted and found."""
    keys = [f"key{number}" for number in range(250)]
    store.counters.add(keys, now=NOW, expires_at=END)
    assert store.counters.find(keys, now=NOW) == dict.fromkeys(keys, Counted(1, NOW))


def test_a_counter_ends_at_its_moment(store: Store) -> None:
    """One millisecond before its time it is there, at its time it is not, purged or not, and is counted from zero."""
    store.counters.add(["a"], now=NOW, expires_at=END)
    store.counters.add(["a"], now=NOW, expires_at=END)
    assert store.counters.find(["a"], now=END - MILLISECOND) == {"a": Counted(2, NOW)}
    assert store.counters.find(["a"], now=END) == {}
    store.counters.add(["a"], now=END, expires_at=END + SECOND)
    assert store.counters.find(["a"], now=END) == {"a": Counted(1, END)}


def test_a_counter_in_force_goes_on(store: Store) -> None:
    """One millisecond before its time another failure is added, and the time is put off."""
    store.counters.add(["a"], now=NOW, expires_at=END)
    store.counters.add(["a"], now=END - MILLISECOND, expires_at=END + SECOND)
    assert store.counters.find(["a"], now=END) == {"a": Counted(2, END - MILLISECOND)}


def test_times_go_forward_only(store: Store) -> None:
    """A replica whose clock is behind counts, and takes neither the last failure nor the end back."""
    store.counters.add(["a"], now=NOW + MILLISECOND, expires_at=END)
    store.counters.add(["a"], now=NOW, expires_at=END - MILLISECOND)
    assert store.counters.find(["a"], now=END - MILLISECOND) == {"a": Counted(2, NOW + MILLISECOND)}


def test_only_milliseconds_count(store: Store) -> None:
    """Stores agree on moments that they cannot keep: what is finer is dropped."""
    fine = timedelta(microseconds=999)
    store.counters.add(["a"], now=NOW + fine, expires_at=END + fine)
    assert store.counters.find(["a"], now=NOW) == {"a": Counted(1, NOW)}
    assert store.counters.find(["a"], now=END) == store.counters.find(["a"], now=END + fine) == {}


def test_overdue_counters_are_purged(store: Store) -> None:
    """They are removed and counted together with records; the others stay."""
    store.counters.add(["a", "b"], now=NOW, expires_at=END)
    store.counters.add(["c"], now=NOW, expires_at=END + MILLISECOND)
    store.records.put(Record(kind="session", id="s", created_at=NOW, used_at=NOW, expires_at=END), now=NOW)
    assert store.purge(now=END - MILLISECOND) == 0
    assert store.purge(now=END) == 3
    assert store.counters.find(["a", "b", "c"], now=NOW) == {"c": Counted(1, NOW)}


def test_a_purge_goes_on_past_its_first_step(store: Store) -> None:
    """More counters than one step removes are all removed by one call."""
    for first in range(0, 1001, 100):
        keys = [str(number) for number in range(first, min(first + 100, 1001))]
        store.counters.add(keys, now=NOW, expires_at=END)
    assert store.purge(now=END) == 1001


def test_what_cannot_be_stored_is_not_counted(durable_store: Store) -> None:
    """A lone surrogate raises ValueError, and no key of the call is counted."""
    with pytest.raises(ValueError, match="no store can hold"):
        durable_store.counters.add(["a", "\ud800"], now=NOW, expires_at=END)
    assert durable_store.counters.find(["a"], now=NOW) == {}


KEYS = [f"key{number}" for number in range(5)]
ROUNDS = 20


def count_some(store: Store, number: int) -> list[str]:
    """Count keys in an order of chance, which no two calls share; return what was counted."""
    chance = random.Random(number)  # noqa: S311 - It must repeat itself.
    done: list[str] = []
    for _ in range(ROUNDS):
        keys = chance.sample(KEYS, 3)
        store.counters.add(keys, now=NOW, expires_at=END)
        done += keys
    return done


def test_no_thread_loses_a_failure(durable_store: Store) -> None:
    """Eight threads that count the same keys, from the first on, get the exact sums."""
    outcomes = race([partial(count_some, durable_store, number) for number in range(THREADS)])
    assert sums(durable_store) == counted([key for done in outcomes for key in done])


def test_no_process_loses_a_failure(address: Address, durable_store: Store, racing_processes: Processes) -> None:
    """Neither do four processes with two threads each."""
    outcomes = racing_processes.race(address, count_some)
    assert len(outcomes) == 2 * PROCESSES
    assert sums(durable_store) == counted([key for done in outcomes for key in done])


def sums(store: Store) -> dict[str, int]:
    return {key: found.count for key, found in store.counters.find(KEYS, now=NOW).items()}


def test_of_many_who_begin_or_begin_anew_none_is_lost(durable_store: Store) -> None:
    """Eight threads that count one key at once, where there is none or an overdue one, make eight."""
    for number in range(10):
        now = NOW + number * SECOND
        count = partial(durable_store.counters.add, ["a", "b"], now=now, expires_at=now + SECOND)
        assert counted(race([count] * THREADS)) == {None: THREADS}
        assert durable_store.counters.find(["a", "b"], now=now) == dict.fromkeys(["a", "b"], Counted(THREADS, now))


def test_a_lost_upsert_is_made_again(
    mongod_address: Address, open_prepared: Callable[[Address], Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the server says that another was first, what follows is done once, and what stands before it not again."""
    store = open_prepared(mongod_address)
    assert isinstance(store, MongoStore)
    bulk_write = Collection.bulk_write
    failed: list[int] = []

    def lose_once(self: Collection[Any], requests: Any, **options: Any) -> Any:
        if not failed:
            failed.append(3)
            bulk_write(self, requests[:3], **options)
            raise BulkWriteError({"writeErrors": [{"code": 11000, "index": 3}]})
        return bulk_write(self, requests, **options)

    monkeypatch.setattr(Collection, "bulk_write", lose_once)
    store.counters.add(["a", "b", "c"], now=NOW, expires_at=END)
    assert store.counters.find(["a", "b", "c"], now=NOW) == dict.fromkeys(["a", "b", "c"], Counted(1, NOW))


def test_a_counter_of_another_make_is_unavailable(
    mongod_address: Address, open_prepared: Callable[[Address], Store]
) -> None:
    """One that cannot be added to, which another program wrote, is no reason to try for ever."""
    store = open_prepared(mongod_address)
    with MongoClient[dict[str, Any]](mongod_address.place) as client:
        client[mongod_address.database]["failures"].insert_one({"_id": "a", "n": "x", "last": NOW, "expires_at": END})
    with pytest.raises(UnavailableError, match=r"BulkWriteError 65$"):
        store.counters.add(["a"], now=NOW, expires_at=END)


def test_counters_expire_by_themselves(mongod_address: Address, open_prepared: Callable[[Address], Store]) -> None:
    """MongoDB removes what is overdue: the index on the time says so. One set to zero, to begin anew, is not there."""
    store = open_prepared(mongod_address)
    with MongoClient[dict[str, Any]](mongod_address.place) as client:
        failures = client[mongod_address.database]["failures"]
        assert failures.index_information()["expiry"]["expireAfterSeconds"] == 0
        failures.insert_one({"_id": "a", "n": 0, "last": NOW, "expires_at": END})
    assert store.counters.find(["a"], now=NOW) == {}


def test_counting_sweeps(sqlite_address: Address, path: Path, open_prepared: Callable[[Address], Store]) -> None:
    """Each count on SQLite removes some counters that are overdue, so that none stays where nobody purges."""
    store = open_prepared(sqlite_address)
    store.counters.add([f"old{number}" for number in range(30)], now=NOW, expires_at=END)
    for number, left in enumerate([11, 2, 3]):
        store.counters.add([f"new{number}"], now=END, expires_at=END + SECOND)
        with opened(path) as connection:
            assert connection.execute("SELECT count(*) FROM failures").fetchone() == (left,)


def test_long_times_are_kept(store: Store) -> None:
    """Moments of any year are what they were."""
    late = datetime(9999, 12, 31, 23, 59, 59, 999000, tzinfo=UTC)
    store.counters.add(["a"], now=late - MILLISECOND, expires_at=late)
    assert store.counters.find(["a"], now=late - MILLISECOND) == {"a": Counted(1, late - MILLISECOND)}


def test_the_highest_cost_is_recorded(store: Store) -> None:
    """It begins at none, goes up and never down; 0 only asks."""
    assert store.raise_highest_cost(0) == 0
    assert [store.raise_highest_cost(cost) for cost in (12, 4, 0, 13, 13, 9, 100)] == [12, 12, 12, 13, 13, 13, 100]
    assert store.adopt_key_id("key", known=[])
    assert store.raise_highest_cost(0) == 100


def test_foreign_hashes_are_recorded(store: Store) -> None:
    """Each is recorded once and stays; none only ask."""
    assert not store.note_foreign_hashes(())
    assert set(store.note_foreign_hashes(["$6$a", "{SHA}b"])) == {"$6$a", "{SHA}b"}
    assert set(store.note_foreign_hashes(["{SHA}b", "$6$%_é"])) == {"$6$a", "{SHA}b", "$6$%_é"}
    assert store.adopt_key_id("key", known=[])
    assert store.raise_highest_cost(12) == 12
    assert set(store.note_foreign_hashes(())) == {"$6$a", "{SHA}b", "$6$%_é"}


def note_in_steps(store: Store, number: int) -> list[int]:
    return [len(store.note_foreign_hashes([f"{step} {number}", "the same"])) for step in range(5)]


def test_of_many_foreign_hashes_none_is_lost(
    address: Address, durable_store: Store, racing_processes: Processes
) -> None:
    """What several processes record at once is all there."""
    for told in racing_processes.race(address, note_in_steps):
        assert told == sorted(told)
    assert len(durable_store.note_foreign_hashes(())) == 8 * 5 + 1


def raise_in_steps(store: Store, number: int) -> list[int]:
    return [store.raise_highest_cost(step * 8 + number) for step in range(10)]


def test_of_many_costs_the_highest_stays(address: Address, durable_store: Store, racing_processes: Processes) -> None:
    """What a process is told is never lower than what it recorded, nor than what it was told before."""
    for number, told in enumerate(racing_processes.race(address, raise_in_steps)):
        assert told == sorted(told)
        assert all(highest >= step * 8 + number for step, highest in enumerate(told))
    assert durable_store.raise_highest_cost(0) == 9 * 8 + 7


def test_a_recorded_cost_waits_for_nobody(sqlite_address: Address, open_prepared: Callable[[Address], Store]) -> None:
    """While another program holds SQLite's lock, a cost that changes nothing is answered."""
    store = open_prepared(sqlite_address)
    assert store.raise_highest_cost(12) == 12
    with opened(Path(sqlite_address.place)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert [store.raise_highest_cost(cost) for cost in (0, 11, 12)] == [12, 12, 12]
        other.execute("ROLLBACK")
