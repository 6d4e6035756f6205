"""The audit trail in every store: written with the changes, never without, and read by pages."""

import json
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from models.errors import DoormanError, LastAdminError, RevisionMismatchError, UnavailableError, UserExistsError
from models.events import Event, Kind, Sought, event_ids, first_id_at, tally_id
from models.storage import Store
from models.storage.sqlite.steps import STEP
from tests.storage.events import make_event
from tests.storage.races import THREADS, Processes, counted, outcome, race
from tests.storage.stores import NOW, Address, find, make_admin, make_user, opened
from tests.storage.test_records import record

SECOND = timedelta(seconds=1)
MANY = 10_000


def all_events(store: Store) -> list[Event]:
    return store.audit.find(Sought(), limit=MANY)


def test_an_event_is_kept_as_it_is(store: Store) -> None:
    """Whatever it says, of whom, comes back; its time is that of its id, to the millisecond."""
    events = [make_event(), make_event(NOW + SECOND, actor=None, subject=None, details={})]
    store.audit.add(events)
    store.audit.add([])
    assert all_events(store) == events[::-1]
    assert [event.at for event in all_events(store)] == [NOW + SECOND, NOW]


def test_the_events_of_one_change_keep_their_order(store: Store) -> None:
    """So do those of one user's changes that fall into one millisecond."""
    ids = [*zip(event_ids(NOW, 2), range(3)), *zip(event_ids(NOW, 11), range(3))]  # noqa: B905 - so many are wanted
    store.audit.add([make_event(id=event_id) for event_id, _ in reversed(ids)])
    assert [event.id for event in all_events(store)][::-1] == [event_id for event_id, _ in ids]


def changes_of(store: Store) -> dict[str, Callable[[list[Event]], Any]]:
    """Return every kind of change that has events, each of which can be made once."""
    ann, root = make_user("ann"), make_admin("root")
    store.insert([root, ann], ())
    store.records.put(record("a", user_id=ann.id), now=NOW)
    store.records.put(record("b", user_id=ann.id), now=NOW)
    return {
        "insert": lambda events: store.insert([make_user("bob")], events),
        "replace": lambda events: store.replace(ann, ann.changed(NOW, disabled=True), events),
        "group": lambda events: store.replace(ann, ann.changed(NOW, user_group="admin"), events),
        "token": lambda events: store.replace(ann, ann.changed(NOW, token_digests=("other",)), events),
        "delete": lambda events: store.delete(ann, events),
        "put": lambda events: store.records.put(record("new"), now=NOW, events=events),
        "end": lambda events: store.records.delete("session", "a", events=events),
        "end all": lambda events: store.records.delete_of(ann.id, ["session"], told=lambda _: events),
    }


CHANGES = ["insert", "replace", "group", "token", "delete", "put", "end", "end all"]


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_written_with_its_events(durable_store: Store, name: str) -> None:
    """What was asked for is there, and its events are, as many as it had."""
    events = [make_event(), make_event(NOW + SECOND)]
    changes_of(durable_store)[name](events)
    assert all_events(durable_store) == events[::-1]


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_whose_event_cannot_be_written_is_none(address: Address, durable_store: Store, name: str) -> None:
    """It is refused, and the store is as it was."""
    change = changes_of(durable_store)[name]
    before = dumped(durable_store)
    refuse_events(address)
    with pytest.raises(UnavailableError):
        change([make_event(), make_event(NOW + SECOND, surface="refused")])
    assert dumped(durable_store) == before
    assert all_events(durable_store) == []


def dumped(store: Store) -> Any:
    found = store.find_users([(name, 0) for name in ("ann", "bob", "root")])
    kept = [store.records.find("session", one, now=NOW) for one in ("a", "b", "new")]
    return found, kept, store.find_users_by_token(["other"])


def refuse_events(address: Address) -> None:
    """Have the database refuse those of the surface "refused", after it has taken what comes before them."""
    if address.kind == "sqlite":
        with opened(Path(address.place)) as connection:
            connection.execute(
                "CREATE TRIGGER refuse BEFORE INSERT ON audit WHEN NEW.data LIKE '%\"refused\"%'"
                " BEGIN SELECT RAISE(ABORT, 'refused'); END"
            )
    else:
        with MongoClient[dict[str, Any]](address.place) as client:
            client[address.database].command("collMod", "audit", validator={"surface": {"$ne": "refused"}})


def test_a_refused_change_has_no_event(durable_store: Store) -> None:
    """Neither what was decided against nor what came too late leaves any."""
    root, ann = make_admin("root"), make_user("ann")
    durable_store.insert([root, ann], ())
    durable_store.records.put(record("a", user_id=ann.id), now=NOW)
    for error, change in (
        (UserExistsError, lambda events: durable_store.insert([make_user("bob"), make_user("ann")], events)),
        (LastAdminError, lambda events: durable_store.delete(root, events)),
        (LastAdminError, lambda events: durable_store.replace(root, root.changed(NOW, disabled=True), events)),
        (RevisionMismatchError, lambda events: durable_store.replace(ann.changed(NOW), ann.changed(NOW), events)),
    ):
        assert outcome(partial(change, [make_event()])) is error
    assert durable_store.insert_first_admin(make_admin("other"), [make_event()]) is False
    assert durable_store.records.delete("session", "none", events=[make_event()]) is False
    assert durable_store.records.delete_of(ann.id, ["other"], told=lambda gone: [make_event()] if gone else []) == []
    assert all_events(durable_store) == []


def test_a_first_admin_has_its_event(durable_store: Store) -> None:
    """It is written with it."""
    assert durable_store.insert_first_admin(make_admin("root"), [make_event()])
    assert len(all_events(durable_store)) == 1


def test_a_secret_key_that_has_changed_is_told(durable_store: Store) -> None:
    """The first one is no change, nor is the one that was there, nor one that is refused."""
    for key_id, known, is_adopted in (("a", [], True), ("a", ["b"], True), ("c", ["b"], False)):
        assert durable_store.adopt_key_id(key_id, known=known, events=[make_event()]) is is_adopted
    assert all_events(durable_store) == []
    assert durable_store.adopt_key_id("b", known=["a"], events=[make_event()])
    assert len(all_events(durable_store)) == 1


def test_events_are_found_by_their_terms(store: Store) -> None:
    """By kind, by who did it, to whom, by names and ids, and by the address; all that are asked for have to hold."""
    one = make_event()
    other = make_event(NOW + SECOND, kind=Kind.USER_DELETED, subject=None, address="192.0.2.2")
    tally = make_event(NOW + 2 * SECOND, actor=None, subject=None, details={"names": ["digest"], "count": 1})
    store.audit.add([one, other, tally])
    for terms, found in (
        ([["kind user_created"]], [tally, one]),
        ([["actor root"]], [other, one]),
        ([[f"actor {'0' * 24}"]], [other, one]),
        ([["subject ann"]], [one]),
        ([["subject ann", "tried digest"]], [tally, one]),
        ([["subject ann", f"subject {'1' * 24}"]], [one]),
        ([["actor root"], ["kind user_deleted"]], [other]),
        ([["subject ann"], ["kind user_deleted"]], []),
        ([["address 192.0.2.1", "address 192.0.2.2"], ["actor root"], ["kind user_created"]], [one]),
        ([["subject root"]], []),
        ([[]], []),
    ):
        assert store.audit.find(Sought(terms), limit=9) == found, terms


def test_events_are_found_by_time(store: Store) -> None:
    """From the first time on, and before the second."""
    events = [make_event(NOW + number * SECOND) for number in range(5)]
    store.audit.add(events)
    low, below = first_id_at(events[1].at), first_id_at(events[4].at)
    for terms in ([], [["actor root"]]):
        assert store.audit.find(Sought(terms, low, below), limit=9) == events[3:0:-1]
        assert store.audit.find(Sought(terms, low, events[3].id), limit=9) == [events[2], events[1]]
        assert store.audit.find(Sought(terms), limit=2) == [events[4], events[3]]
        assert store.audit.find(Sought(terms), limit=0) == []


def tally_of(count: int = 1, *names: str, surface: str = "v2", address: str = "192.0.2.1") -> Event:
    details = {"count": count, "names": [*names], "surfaces": [surface]}
    stem = tally_id(NOW, f"{address.encode().hex():0<20}")
    return make_event(
        id=stem, kind=Kind.LOGIN_FAILED, actor=None, subject=None, address=address, surface="", details=details
    )


def test_what_is_of_one_minute_and_address_is_added_up(store: Store) -> None:
    """Counts add up, and lists unite; it is found by every name."""
    store.audit.add_up([tally_of(2, "a", "b"), tally_of(address="192.0.2.2")])
    store.audit.add_up([tally_of(3, "b", "c", surface="console")])
    store.audit.add_up([])
    found = {event.address: dict(event.details) for event in all_events(store)}
    assert found == {
        "192.0.2.1": {"count": 5, "names": ["a", "b", "c"], "surfaces": ["v2", "console"]},
        "192.0.2.2": {"count": 1, "names": [], "surfaces": ["v2"]},
    }
    for name in "abc":
        assert [event.details["count"] for event in store.audit.find(Sought([[f"tried {name}"]]), limit=9)] == [5]


def add_up(store: Store, number: int) -> None:
    for part in range(10):
        store.audit.add_up([tally_of(1, f"name{number % 2}"), tally_of(1, address=f"192.0.2.{part + 10}")])


def test_nothing_that_is_added_up_at_once_is_lost(
    address: Address, durable_store: Store, racing_processes: Processes
) -> None:
    """Threads of several processes that begin and go on with one event all count."""
    assert counted(racing_processes.race(address, add_up, threads=2)).keys() == {None}
    counts = {event.address: event.details["count"] for event in all_events(durable_store)}
    assert counts.pop("192.0.2.1") == 80
    assert set(counts.values()) == {8}


def test_pages_stay_together_while_events_arrive(store: Store) -> None:
    """Who goes on from the last event that it has seen sees each of those that were there once."""
    events = [make_event(NOW + number * SECOND) for number in range(20)]
    store.audit.add(events)
    seen: list[Event] = []
    while page := store.audit.find(Sought([["actor root"]], below=seen[-1].id if seen else "g"), limit=3):
        seen += page
        store.audit.add([make_event(NOW + timedelta(minutes=len(seen)))])
    assert seen == events[::-1]


def test_old_events_are_purged(address: Address, durable_store: Store) -> None:
    """They go with all that they are found by, over more than one step, and the others stay."""
    old = [make_event(NOW - SECOND - number * timedelta(milliseconds=1)) for number in range(STEP + 1)]
    for start in range(0, len(old), 200):
        durable_store.audit.add(old[start : start + 200])
    durable_store.audit.add([new := make_event()])
    assert durable_store.audit.purge(before=NOW) == len(old)
    assert durable_store.audit.purge(before=NOW) == 0
    assert all_events(durable_store) == durable_store.audit.find(Sought([["actor root"]]), limit=MANY) == [new]
    if address.kind == "sqlite":
        with opened(Path(address.place)) as connection:
            assert connection.execute("SELECT count(*) FROM audit_terms").fetchone() == (len(new.terms),)


@pytest.mark.parametrize(
    "spoiled", [{"kind": "unheard_of"}, {"details": None}, {"actor": 5}, {"subject": {"id": 1}}, {"address": None}]
)
def test_an_event_that_cannot_be_read_spoils_no_other(
    address: Address, durable_store: Store, caplog: pytest.LogCaptureFixture, spoiled: dict[str, Any]
) -> None:
    """Another program's, or a later release's, is logged, and left out."""
    durable_store.audit.add([bad := make_event(), good := make_event(NOW - SECOND)])
    if address.kind == "sqlite":
        with opened(Path(address.place)) as connection:
            [(name, value)] = spoiled.items()
            query = "UPDATE audit SET data = json_set(data, '$.' || ?, json(?)) WHERE id = ?"
            connection.execute(query, (name, json.dumps(value), bad.id))
    else:
        with MongoClient[dict[str, Any]](address.place) as client:
            client[address.database]["audit"].update_one({"_id": bad.id}, {"$set": spoiled})
    assert all_events(durable_store) == [good]
    assert "not as Doorman writes events" in caplog.text


def test_racing_changes_leave_one_event_each(durable_store: Store) -> None:
    """Of eight who change one user, each that is told so has its event, and nobody else has any."""
    ann = make_user("ann")
    durable_store.insert([ann], ())

    def change(number: int) -> None:
        event = make_event(details={"number": number})
        durable_store.replace(ann, ann.changed(NOW, name=str(number)), [event])

    outcomes: list[type[DoormanError] | None] = race([partial(change, number) for number in range(THREADS)])
    [winner] = [number for number, one in enumerate(outcomes) if one is None]
    assert [event.details["number"] for event in all_events(durable_store)] == [winner]
    found = find(durable_store, "ann")
    assert found is not None
    assert found.name == str(winner)
