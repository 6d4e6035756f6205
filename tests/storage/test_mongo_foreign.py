"""What other programs have done to MongoDB's collections: found, told, and no reason to break."""

import logging
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from typing import Any

import pytest
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient
from pymongo.database import Database

from models.errors import (
    CorruptRecordError,
    EmailInUseError,
    LastAdminError,
    SetupError,
    TokenInUseError,
    UnavailableError,
)
from models.storage import Store
from models.storage.mongo.documents import ADMINS, GUARD
from models.storage.mongo.store import MongoStore
from tests.mongod import Mongod
from tests.storage.races import THREADS, counted, race
from tests.storage.stores import (
    NOW,
    Address,
    find,
    find_by_id,
    find_by_token,
    make_admin,
    make_user,
    open_store,
    with_email,
)

pytestmark = pytest.mark.new_database


@pytest.fixture
def prepared(mongod_address: Address, open_prepared: Callable[[Address], Store]) -> Store:
    return open_prepared(mongod_address)


@pytest.fixture
def database(mongod_address: Address) -> Iterator[Database[dict[str, Any]]]:
    """Look at the same database past the store."""
    with MongoClient[dict[str, Any]](mongod_address.place) as client:
        yield client[mongod_address.database]


FOREIGN: list[dict[str, Any]] = [
    {"$unset": {"revision": 1}},
    {"$set": {"revision": 1.0}},
    {"$set": {"epoch": None}},
    {"$set": {"disabled": 0}},
    {"$set": {"user_name": 7}},
    {"$set": {"password_hash": ["$2b$12$password"]}},
    {"$set": {"token_digests": "digest"}},
    {"$set": {"token_digests": [None]}},
    {"$set": {"user_group": "root"}},
    {"$set": {"user_group": ["admin"]}},
    {"$set": {"created_at": "2100-01-01"}},
]


@pytest.mark.parametrize("change", FOREIGN, ids=str)
def test_a_user_that_doorman_did_not_write_is_told(
    prepared: Store, database: Database[dict[str, Any]], change: dict[str, Any]
) -> None:
    """A field that is missing or of another type raises one error, which names the user; others are found."""
    ann, bob = make_user("ann"), make_user("bob")
    prepared.insert([ann, bob], ())
    database["users"].update_one({"name_key": "ann"}, change)
    with pytest.raises(CorruptRecordError, match=ann.id):
        find(prepared, "ann")
    with pytest.raises(CorruptRecordError, match=ann.id):
        find_by_id(prepared, ann.id)
    assert find(prepared, "bob") == bob


def test_numbers_times_and_ids_of_other_kinds_are_told(prepared: Store, database: Database[dict[str, Any]]) -> None:
    """A 64-bit number is a number; a time that Python cannot hold, bytes that are no text, or another id are not."""
    prepared.insert([make_user(name) for name in ("ann", "bob", "cid", "dan")], ())
    database["users"].update_one({"name_key": "ann"}, {"$set": {"epoch": 2**40}})
    found = find(prepared, "ann")
    assert found is not None
    assert found.epoch == 2**40
    database["users"].update_one({"name_key": "bob"}, [{"$set": {"created_at": {"$toDate": 2**58}}}])
    document = database["users"].find_one({"name_key": "cid"})
    database["users"].delete_one({"name_key": "cid"})
    database["users"].insert_one({**(document or {}), "_id": "text"})
    with pytest.raises(CorruptRecordError):
        find(prepared, "bob")
    with pytest.raises(CorruptRecordError, match=r"^text$"):
        find(prepared, "cid")
    value = b"\x02name\x00\x02\x00\x00\x00\xff\x00"
    raw = RawBSONDocument((4 + len(value) + 1).to_bytes(4, "little") + value + b"\x00")
    database["users"].update_one({"name_key": "dan"}, {"$set": raw})
    assert find(prepared, "dan") is not None


def test_a_list_leaves_out_what_is_no_name(prepared: Store, database: Database[dict[str, Any]]) -> None:
    """Rows without a text to show or to sort by are not in any page, and no page ends early for them."""
    prepared.insert([make_user(f"user{number}") for number in range(6)], ())
    keys: list[Any] = [["user2", "user3x"], ["user2a"], ["user2b", 7], ["user4a"], None, 5]
    texts = [f"user2{number}" for number in range(20)]
    database["users"].drop_index("name")  # so that there may be a second user2
    database["users"].insert_many(
        [{"_id": str(key), "name_key": key, "oauth": 0, "user_name": "x", "user_group": "noob"} for key in keys]
        + [{"name_key": key, "oauth": 0, "user_group": "noob"} for key in texts]
        + [{"name_key": f"{key}x", "oauth": 0, "user_group": "noob", "user_name": 5} for key in texts]
    )
    for group in (None, "noob"):
        listed: list[str] = []
        while page := prepared.list_names(limit=2, after=listed[-1] if listed else None, user_group=group):
            assert len(page) == 2
            listed += [row.user_name for row in page]
        assert listed == [f"user{number}" for number in range(6)]


def test_a_lost_guard_is_counted_anew(prepared: Store, database: Database[dict[str, Any]]) -> None:
    """Without the guard no admin can be added; the next start counts those who are there."""
    prepared.insert([make_admin("one"), make_admin("other"), make_admin("off", disabled=True)], ())
    database[GUARD].delete_one({"_id": ADMINS})
    with pytest.raises(UnavailableError, match="prepared"):
        prepared.insert([make_admin("more")], ())
    assert counted(race([prepared.prepare] * THREADS)) == {None: THREADS}
    assert database[GUARD].find_one({"_id": ADMINS}) == {"_id": ADMINS, "n": 2}


@pytest.mark.parametrize("change", [{"$set": {"n": 7}}, {"$set": {"n": "2"}}, {"$unset": {"n": 1}}], ids=str)
def test_a_wrong_count_of_admins_is_corrected(
    prepared: Store,
    database: Database[dict[str, Any]],
    caplog: pytest.LogCaptureFixture,
    change: dict[str, Any],
) -> None:
    """Each start counts, in all replicas at once too, and says so if the count was wrong; a right one is left alone."""
    one, other = make_admin("one"), make_admin("other")
    prepared.insert([one, other], ())
    with caplog.at_level(logging.WARNING):
        prepared.prepare()
        assert not caplog.messages
        database[GUARD].update_one({"_id": ADMINS}, change)
        assert counted(race([prepared.prepare] * THREADS)) == {None: THREADS}
    assert "has been corrected" in caplog.text
    assert database[GUARD].find_one({"_id": ADMINS}) == {"_id": ADMINS, "n": 2}
    prepared.delete(one, ())
    with pytest.raises(LastAdminError):
        prepared.delete(other, ())


def test_counting_does_not_miss_an_admin_who_is_added(prepared: Store, database: Database[dict[str, Any]]) -> None:
    """Starts while admins come and go leave the count right."""

    def come_and_go(number: int) -> None:
        for part in range(5):
            admin = make_admin(f"admin{number}-{part}")
            prepared.insert([admin], ())
            if part % 2:
                prepared.delete(admin, ())

    prepared.insert([make_admin("root")], ())
    outcomes = race([*(partial(come_and_go, number) for number in range(4)), *[prepared.prepare] * 4])
    assert counted(outcomes) == {None: 8}
    assert database[GUARD].find_one() == {"_id": ADMINS, "n": 1 + 4 * 3}


def test_what_a_vanished_user_had_can_be_had_again(prepared: Store, database: Database[dict[str, Any]]) -> None:
    """The address and token of a user whom another program deleted or changed are free; those of others are not."""
    ann, bob = with_email(make_user("ann"), "ann@x.org"), with_email(make_user("bob"), "bob@x.org")
    cid = with_email(make_user("cid"), "cid@x.org")
    prepared.insert([ann, bob, cid], ())
    database["users"].delete_one({"name_key": "ann"})
    database["users"].update_one({"name_key": "bob"}, {"$set": {"email": None, "email_key": None}})
    with pytest.raises(EmailInUseError):
        prepared.insert([with_email(make_user("dan", token_digests=ann.token_digests), "cid@x.org")], ())
    dan = with_email(make_user("dan", token_digests=ann.token_digests), "ann@x.org")
    prepared.insert([dan], ())
    assert find_by_token(prepared, ann.token_digests[0]) == dan
    moved = with_email(cid, "bob@x.org")
    prepared.replace(cid, moved, ())
    assert find(prepared, "cid") == moved
    with pytest.raises(TokenInUseError):
        prepared.replace(moved, moved.changed(NOW, token_digests=bob.token_digests), ())
    assert {pointer["_id"]: str(pointer["user_id"]) for pointer in database["emails"].find()} == {
        "ann@x.org": dan.id,
        "bob@x.org": cid.id,
    }


@pytest.mark.parametrize(
    ("options", "oddity"),
    [
        ({"collation": {"locale": "en", "strength": 2}}, "collation"),
        ({"capped": True, "size": 4096}, "capped"),
        ({"viewOn": "others", "pipeline": []}, "viewOn"),
        ({"timeseries": {"timeField": "created_at"}}, "timeseries"),
    ],
)
def test_a_collection_of_another_make_is_refused(
    mongod_address: Address, database: Database[dict[str, Any]], options: dict[str, Any], oddity: str
) -> None:
    """One that would compare names otherwise, forget users or take no changes stops the start, and is named."""
    database.command("create", "users", **options)
    store = open_store(mongod_address)
    with pytest.raises(SetupError, match=rf"\.users was made with {oddity}"):
        store.prepare()
    store.close()


def test_a_set_that_was_not_initiated_is_refused(
    own_mongod: Callable[..., Mongod], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mongod that waits for its replica set to be made cannot serve, and the operator is told what to run."""
    monkeypatch.setattr(Mongod, "_await_primary", lambda *_: None)
    server = own_mongod()
    for options in ("", "?directConnection=true"):
        with (
            closing(MongoStore.connect(server.uri + options, "doorman")) as store,
            pytest.raises(SetupError, match=r"not initiated.*rs\.initiate"),
        ):
            store.prepare()
