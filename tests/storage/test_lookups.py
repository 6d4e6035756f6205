"""Looking up many users at once, on every store."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.errors import AutoReconnect, OperationFailure

from models.errors import CorruptRecordError, UnavailableError
from models.storage import Store, UserKey
from models.storage.mongo.store import MongoStore
from models.storage.sqlite.store import SqliteStore
from models.user import User, new_user_id
from tests.mongod import Mongod
from tests.storage.stores import NOW, Address, find, make_user, opened

UNSTORABLE = ["\ud800", "ann\udfff", "", "\0", "ann\0", "$gt", "x" * 100_000]


def key_of(user: User) -> UserKey:
    return user.name_key, user.oauth


def test_many_are_found_and_others_left_out(store: Store) -> None:
    """By name in both kinds, by id and by token; no key leads to nobody, and repeated ones are one."""
    ann, bob, cid = make_user("ann"), make_user("bob", oauth=1), make_user("cid")
    also_ann = make_user("ann", oauth=1, token_digests=("t1", "t2"))
    store.insert([ann, bob, cid, also_ann], ())
    keys: list[UserKey] = [("ann", 0), ("ann", 1), ("bob", 0), ("bob", 1), ("dan", 0), ("ann", 0)]
    assert store.find_users(keys) == {key_of(user): user for user in (ann, also_ann, bob)}
    assert store.find_users([("bob", 0), ("cid", 0)]) == {("cid", 0): cid}
    ids = [ann.id, new_user_id(NOW), cid.id, ann.id]
    assert store.find_users_by_id(ids) == {ann.id: ann, cid.id: cid}
    digests = ["t1", *cid.token_digests, "none", "t2", "t1"]
    assert store.find_users_by_token(digests) == {"t1": also_ann, "t2": also_ann, cid.token_digests[0]: cid}


def test_any_collection_of_keys_will_do(store: Store) -> None:
    """Sets and dictionaries are as good as lists, and nothing is asked of an empty one."""
    ann = make_user("ann")
    store.insert([ann], ())
    assert store.find_users({("ann", 0)}) == store.find_users(dict.fromkeys([("ann", 0)])) == {("ann", 0): ann}
    assert store.find_users_by_id({ann.id}) == {ann.id: ann}
    assert store.find_users_by_token(set(ann.token_digests)) == {ann.token_digests[0]: ann}


def test_what_no_store_can_hold_is_left_out(store: Store) -> None:
    """It is no error, and the others are found."""
    ann = make_user("ann")
    store.insert([ann], ())
    assert store.find_users([("ann", 0), *((text, 0) for text in UNSTORABLE)]) == {("ann", 0): ann}
    assert store.find_users_by_id([*UNSTORABLE, ann.id]) == {ann.id: ann}
    assert store.find_users_by_token([*UNSTORABLE, *ann.token_digests]) == {ann.token_digests[0]: ann}


@pytest.mark.parametrize("count", [100, 101, 128, 129, 250])
def test_hundreds_are_found(store: Store, count: int) -> None:
    """More keys than one command takes are all looked up."""
    users = [make_user(f"user{number:03}", oauth=number % 3 // 2) for number in range(count)]
    store.insert(users, ())
    assert store.find_users([key_of(user) for user in users]) == {key_of(user): user for user in users}
    assert store.find_users_by_id([user.id for user in users]) == {user.id: user for user in users}
    by_token = {user.token_digests[0]: user for user in users}
    assert store.find_users_by_token(list(by_token)) == by_token


def test_no_keys_cost_nothing(tmp_path: Path) -> None:
    """A database that is not there is not asked."""
    stores: list[Store] = [MongoStore.connect("mongodb://127.0.0.1:1/", "doorman"), SqliteStore(tmp_path / "none.db")]
    for store in stores:
        with closing(store):
            assert store.find_users([]) == store.find_users([("\ud800", 0)]) == {}
            assert store.find_users_by_id([]) == store.find_users_by_id(["no id"] * isinstance(store, MongoStore)) == {}
            assert store.find_users_by_token([]) == store.find_users_by_token(["\ud800"]) == {}
            assert store.counters.find([], now=NOW) == {}
            store.counters.add([], now=NOW, expires_at=NOW)


def spoil(address: Address, name_key: str) -> None:
    """Write over a user what no release of Doorman writes."""
    if address.kind == "sqlite":
        with opened(Path(address.place)) as connection:
            connection.execute("UPDATE users SET user_group = 'root' WHERE name_key = ?", (name_key,))
    else:
        with MongoClient[dict[str, Any]](address.place) as client:
            client[address.database]["users"].update_one({"name_key": name_key}, {"$set": {"user_group": "root"}})


def test_a_broken_user_does_not_spoil_the_others(address: Address, durable_store: Store) -> None:
    """It is given as its error, under each key that leads to it; the others are given as they are."""
    ann, bob, cid = (make_user(name) for name in ("ann", "bob", "cid"))
    durable_store.insert([ann, bob, cid], ())
    spoil(address, "bob")
    found: list[dict[Any, Any]] = [
        dict(durable_store.find_users([("ann", 0), ("bob", 0), ("cid", 0)])),
        dict(durable_store.find_users_by_id([ann.id, bob.id, cid.id])),
        dict(durable_store.find_users_by_token([user.token_digests[0] for user in (ann, bob, cid)])),
    ]
    for answer, key in zip(found, [("bob", 0), bob.id, bob.token_digests[0]], strict=True):
        error = answer.pop(key)
        assert isinstance(error, CorruptRecordError)
        assert error.record_id == bob.id
        assert set(answer.values()) == {ann, cid}


def test_a_broken_user_is_not_replaced(address: Address, durable_store: Store) -> None:
    """What Doorman cannot read, it does not write over, nor delete."""
    ann = make_user("ann")
    durable_store.insert([ann], ())
    spoil(address, "ann")
    with pytest.raises(CorruptRecordError, match=ann.id):
        durable_store.replace(ann, ann.changed(NOW), ())
    with pytest.raises(CorruptRecordError, match=ann.id):
        durable_store.delete(ann, ())
    assert isinstance(durable_store.find_users_by_id([ann.id])[ann.id], CorruptRecordError)


@pytest.mark.parametrize("digests", ['"ab"', "{}", "[1]", '["a"] x', "x"])
def test_digests_that_are_no_list_of_texts_are_told(
    sqlite_address: Address, open_prepared: Callable[[Address], Store], digests: str
) -> None:
    """What SQLite itself cannot check is checked when it is read."""
    store = open_prepared(sqlite_address)
    store.insert([make_user("ann")], ())
    with opened(Path(sqlite_address.place)) as connection:
        connection.execute("UPDATE users SET token_digests = ?", (digests,))
    with pytest.raises(CorruptRecordError):
        find(store, "ann")


@pytest.fixture
def mongo(mongod_address: Address, open_prepared: Callable[[Address], Store]) -> Store:
    return open_prepared(mongod_address)


def test_a_name_in_an_array_is_a_broken_user(mongod_address: Address, mongo: Store) -> None:
    """The server finds an array by each of its elements: each asked name gets the error, and no other does."""
    ann, bob = make_user("ann"), make_user("bob")
    mongo.insert([ann, bob], ())
    with MongoClient[dict[str, Any]](mongod_address.place) as client:
        users = client[mongod_address.database]["users"]
        users.update_one({"name_key": "ann"}, {"$set": {"name_key": ["ann", "x", "y"]}})
    found = mongo.find_users([("ann", 0), ("x", 0), ("z", 0), ("bob", 0), ("x", 1)])
    assert found.keys() == {("ann", 0), ("x", 0), ("bob", 0)}
    assert found["bob", 0] == bob
    assert isinstance(found["x", 0], CorruptRecordError)


def test_more_documents_than_keys_are_all_read(mongod_address: Address, mongo: Store) -> None:
    """Where another program has made thousands of one name, those after them are found as well."""
    mongo.insert([make_user("zoe")], ())
    with MongoClient[dict[str, Any]](mongod_address.place) as client:
        users = client[mongod_address.database]["users"]
        users.drop_index("name")
        users.insert_many([{"name_key": "ann", "oauth": 0} for _ in range(3000)])
    found = mongo.find_users([("ann", 0), ("zoe", 0)])
    assert isinstance(found["ann", 0], CorruptRecordError)
    assert isinstance(found["zoe", 0], User)


@pytest.mark.parametrize("error", [AutoReconnect("closed"), OperationFailure("not primary", 10107)], ids=repr)
def test_a_read_is_tried_again(mongo: Store, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """When the connection breaks, or the server is not the primary any more, the driver asks again in the same call."""
    assert isinstance(mongo, MongoStore)
    mongo.insert([make_user("ann")], ())

    def fail(*_: object, **_options: object) -> None:
        raise error

    monkeypatch.setattr(mongo._connection._link().database, "command", fail)
    assert find(mongo, "ann") is not None


def test_a_restart_between_two_reads_is_not_noticed(own_mongod: Callable[..., Mongod]) -> None:
    """The connections of before are broken; the read on one of them is made again on another."""
    server = own_mongod()
    with closing(MongoStore.connect(server.uri, "doorman")) as store:
        store.prepare()
        store.insert([make_user("ann")], ())
        server.stop()
        server.start()
        assert find(store, "ann") is not None


def test_reads_are_current(mongod_address: Address, mongo: Store) -> None:
    """The server is asked for what a majority has, by every look-up, and within the time that the call has."""
    with MongoClient[dict[str, Any]](mongod_address.place) as client:
        database = client[mongod_address.database]
        database.command("profile", 2)
        mongo.find_users([("ann", 0)])
        mongo.find_users_by_id([new_user_id(NOW)])
        mongo.find_users_by_token(["t"])
        mongo.counters.find(["f"], now=NOW)
        database.command("profile", 0)
        commands = [entry["command"] for entry in database["system.profile"].find({"op": "query"})]
    assert len(commands) == 4
    for command in commands:
        assert command["readConcern"]["level"] == "majority"
        assert 0 < command["maxTimeMS"] <= 3000
        assert command.get("$readPreference", {"mode": "primary"}) == {"mode": "primary"}
        assert "lsid" in command


def test_a_text_that_is_none_is_unavailable(sqlite_address: Address, open_prepared: Callable[[Address], Store]) -> None:
    """Bytes that are no UTF-8, which another program wrote, get no exception of the driver out."""
    store = open_prepared(sqlite_address)
    store.insert([make_user("ann"), make_user("bob")], ())
    with opened(Path(sqlite_address.place)) as connection:
        connection.execute("UPDATE users SET name = CAST(x'ff' AS TEXT) WHERE name_key = 'ann'")
        with pytest.raises(sqlite3.OperationalError):
            connection.execute("SELECT name FROM users").fetchall()
    with pytest.raises(UnavailableError, match="decode"):
        store.find_users([("ann", 0)])
    assert find(store, "bob") is not None
