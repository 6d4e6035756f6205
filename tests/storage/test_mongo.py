"""What is MongoDB's own: the server that is refused, the indexes, and what is left of transactions."""

from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import BulkWriteError

from models.errors import LastAdminError, RevisionMismatchError, SetupError, UnavailableError, UserExistsError
from models.events import Sought
from models.records import Record, Use
from models.storage import Store
from models.storage.mongo import schema as mongo_schema
from models.storage.mongo.connection import make_client
from models.storage.mongo.duplicates import duplicate_raises
from models.storage.mongo.store import MongoStore
from models.user import User
from tests.mongod import Mongod
from tests.storage.races import counted, race
from tests.storage.stores import (
    NOW,
    Address,
    find,
    find_by_id,
    find_by_token,
    make_admin,
    make_user,
    mocked_mongo_store,
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


def test_a_standalone_is_refused(own_mongod: Callable[..., Mongod]) -> None:
    """A mongod without transactions cannot serve, and the operator is told how to make it a set of one."""
    store = MongoStore.connect(own_mongod(None).uri, "doorman")
    with pytest.raises(SetupError, match=r"replSet.*rs\.initiate"):
        store.prepare()
    store.close()


@pytest.mark.parametrize("url", ["mongodb://", "http://x", "mongodb://u:secret@h:port/", "mongodb://h/?w=x&tls=maybe"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    """The message names the setting, and not the password that the address may hold."""
    with pytest.raises(SetupError, match="DATABASE_URL") as caught:
        MongoStore.connect(url, "doorman")
    assert "secret" not in str(caught.value)


def test_a_wrong_password_is_told(mongod_address: Address) -> None:
    """The operator hears at the start that the user is refused, without the password."""
    url = mongod_address.place.replace("mongodb://", "mongodb://doorman:wrong-secret@")
    with closing(MongoStore.connect(url, "doorman")) as store, pytest.raises(SetupError, match="refuses") as caught:
        store.prepare()
    assert "secret" not in str(caught.value)


def test_writes_are_durable_and_reads_current(mongod_address: Address) -> None:
    """Whatever the address says, a majority journals each write, and reads ask the primary for what a majority has."""
    with make_client(f"{mongod_address.place}?w=0&readPreference=secondary&journal=false&retryWrites=false") as client:
        database = client[mongod_address.database]
        assert database.write_concern.document == {"w": "majority", "j": True}
        assert database.read_concern.document == {"level": "majority"}
        assert database.read_preference.name == "Primary"
        assert client.options.retry_writes


def test_nothing_connects_before_the_first_call() -> None:
    """A store on a server that is not there can be made and closed."""
    MongoStore.connect("mongodb://127.0.0.1:1/", "doorman").close()


def test_a_conflicting_index_is_named(prepared: Store, database: Database[dict[str, Any]]) -> None:
    """An index of the same name on other fields stops the start."""
    database["users"].drop_index(mongo_schema.LISTED)
    database["users"].create_index("epoch", name=mongo_schema.LISTED)
    with pytest.raises(SetupError, match=rf"\.users cannot be made.*{mongo_schema.LISTED}"):
        prepared.prepare()


def test_duplicates_are_named(prepared: Store, database: Database[dict[str, Any]]) -> None:
    """Documents that break the unique index stop the start, and the message shows which."""
    database["users"].drop_index("name")
    database["users"].insert_many([{"name_key": "twice", "oauth": 0}, {"name_key": "twice", "oauth": 0}])
    with pytest.raises(SetupError, match="twice"):
        prepared.prepare()


def test_pointers_follow_their_users(prepared: Store, database: Database[dict[str, Any]]) -> None:
    """After changes, failures and deletions there is a pointer for each address and token, and no other."""
    ann, bob = with_email(make_user("ann"), "ann@x.org"), make_user("bob", token_digests=("b1", "b2", "b1"))
    prepared.insert([ann, bob], ())
    prepared.delete(ann, ())
    changed = with_email(bob, "bob@x.org").changed(NOW, token_digests=("b2", "b3"))
    prepared.replace(bob, changed, ())
    with pytest.raises(RevisionMismatchError):
        prepared.replace(bob, changed, ())
    assert [pointer["_id"] for pointer in database["emails"].find()] == ["bob@x.org"]
    assert [pointer["_id"] for pointer in database["tokens"].find().sort("_id")] == ["b2", "b3"]


def test_a_stale_pointer_leads_nowhere(prepared: Store, database: Database[dict[str, Any]]) -> None:
    """A digest that points to a user who does not have it any more, or is gone, is nobody's."""
    prepared.insert([make_user("ann")], ())
    [document] = database["users"].find()
    database["tokens"].insert_many([{"_id": "stale", "user_id": document["_id"]}, {"_id": "gone", "user_id": "x"}])
    assert find_by_token(prepared, "stale") is None
    assert find_by_token(prepared, "gone") is None


def plans_of(database: Database[dict[str, Any]], act: Callable[[], Any]) -> list[dict[str, Any]]:
    """Let the server explain the finds, updates and deletes of ``act``, which its profiler has seen."""
    database.command("profile", 2)
    try:
        act()
    finally:
        database.command("profile", 0)
    return [
        entry
        for entry in database["system.profile"].find().sort("ts")
        if "planSummary" in entry and entry["ns"] != f"{database.name}.system.profile"
    ]


NO_RECORD = Record(kind="session", id="none", created_at=NOW, used_at=NOW, expires_at=NOW)

USER_NAMES = ["user0007", "user0009", "user0011"]

LOOK_UPS: dict[str, tuple[Callable[[Store], Any], list[str]]] = {
    "find": (lambda store: find(store, "user0007"), ["IXSCAN { name_key: 1, oauth: 1 }"]),
    "find many": (
        lambda store: store.find_users([(name, 0) for name in USER_NAMES]),
        ["IXSCAN { name_key: 1, oauth: 1 }"],
    ),
    "find both": (
        lambda store: store.find_users([(name, kind) for name in USER_NAMES for kind in (0, 1)]),
        ["IXSCAN { name_key: 1, oauth: 1 }"],
    ),
    "id": (lambda store: find_by_id(store, "0" * 24), ["IDHACK"]),
    "ids": (lambda store: store.find_users_by_id(["0" * 24, "1" * 24]), ["IXSCAN { _id: 1 }"]),
    "token": (lambda store: find_by_token(store, make_user("user0007").token_digests[0]), ["IDHACK", "IDHACK"]),
    "tokens": (
        lambda store: store.find_users_by_token([make_user(name).token_digests[0] for name in USER_NAMES]),
        ["IXSCAN { _id: 1 }"] * 2,
    ),
    "failures": (lambda store: store.counters.find(["none", "other"], now=NOW), ["IXSCAN { _id: 1 }"]),
    "cost": (lambda store: store.raise_highest_cost(0), ["IDHACK"]),
    "count": (
        lambda store: store.counters.add(["none"], now=NOW, expires_at=NOW),
        ["IXSCAN { _id: 1 }", "IDHACK"],
    ),
    "admin": (lambda store: store.has_admin(), ["IXSCAN { _id: 1 }"]),
    "list": (lambda store: store.list_names(limit=3), ["IXSCAN { oauth: 1, name_key: 1, user_name: 1 }"]),
    "page": (
        lambda store: store.list_names(limit=3, prefix="user", after="user0100"),
        ["IXSCAN { oauth: 1, name_key: 1, user_name: 1 }"],
    ),
    "page back": (
        lambda store: store.list_names(limit=3, prefix="user", before="user0100"),
        ["IXSCAN { oauth: 1, name_key: 1, user_name: 1 }"],
    ),
    "group": (
        lambda store: store.list_names(limit=3, user_group="noob", after="user0100"),
        ["IXSCAN { oauth: 1, user_group: 1, name_key: 1, user_name: 1 }"],
    ),
    "take": (
        lambda store: store.counters.take("none", now=NOW, expires_at=NOW),
        ["IXSCAN { _id: 1 }", "IDHACK"],
    ),
    "record": (lambda store: store.records.find("session", "none", now=NOW), ["IXSCAN { _id: 1 }"]),
    "records of": (
        lambda store: store.records.of_user("x", ["session", "user_key"], now=NOW),
        ["IXSCAN { user_id: 1, _id.kind: 1 }"],
    ),
    "use": (
        lambda store: store.records.note_uses(
            [Use(kind="session", id="none", used_at=NOW, unless_after=NOW, expires_at=NOW)], now=NOW
        ),
        ["IXSCAN { _id: 1 }"],
    ),
    "records": (lambda store: store.records.delete_of("x", ["session"]), ["IXSCAN { user_id: 1, _id.kind: 1 }"]),
    "events": (lambda store: store.audit.find(Sought(low="1", below="2"), limit=2), ["IXSCAN { _id: 1 }"]),
    "events by term": (
        lambda store: store.audit.find(Sought([["a", "b"]]), limit=2),
        ["IXSCAN { terms: 1, _id: 1 }, IXSCAN { terms: 1, _id: 1 }"],
    ),
    "old events": (lambda store: store.audit.purge(before=NOW), ["IXSCAN { _id: 1 }"]),
    "purge": (lambda store: store.purge(now=NOW), ["IXSCAN { expires_at: 1 }", "IXSCAN { _id: 1 }"]),
}


@pytest.mark.parametrize("name", LOOK_UPS)
def test_every_look_up_goes_by_an_index(prepared: Store, database: Database[dict[str, Any]], name: str) -> None:
    """The server uses the index that was made for it, reads no more keys than it returns, and never sorts."""
    prepared.insert([make_user(f"user{number:04}") for number in range(200)], ())
    act, summaries = LOOK_UPS[name]
    plans = plans_of(database, lambda: act(prepared))
    assert [plan["planSummary"] for plan in plans][: len(summaries)] == summaries
    for plan in plans:
        assert not plan.get("hasSortStage")
        assert plan["keysExamined"] <= max(2 * plan.get("nreturned", 0) + 1, 1)
        if name in {"list", "page", "group"}:
            assert plan["nreturned"] == 3
            assert plan["docsExamined"] == 0, "the index covers the query"


def test_a_name_is_one_message(prepared: Store, database: Database[dict[str, Any]]) -> None:
    """A page of a thousand names comes in one answer, with no second one to wait for."""
    prepared.insert([make_user(f"user{number:04}") for number in range(1001)], ())
    plans = plans_of(database, lambda: prepared.list_names(limit=1000))
    assert [(plan["op"], plan["nreturned"]) for plan in plans] == [("query", 1000)]


def test_contention_beyond_the_limit_is_unavailable(prepared: Store, database: Database[dict[str, Any]]) -> None:
    """Changes of a user whom another transaction holds fail in the end, one by one: all else is served meanwhile."""
    user, other = make_user("ann"), make_user("bob")
    prepared.insert([user, other], ())
    with database.client.start_session() as session, session.start_transaction():
        database["users"].update_one({"name_key": "ann"}, {"$set": {"name": "held"}}, session=session)
        renamed = user.changed(NOW, name="renamed")
        outcomes = race([lambda: prepared.delete(user, ()), *[lambda: prepared.replace(user, renamed, ())] * 3])
        assert counted(outcomes) == {UnavailableError: 4}
        assert find(prepared, "ann") == user
        prepared.delete(other, ())
        session.abort_transaction()
    prepared.delete(user, ())


def test_many_change_admins_at_once(prepared: Store) -> None:
    """Thirty-two threads that disable and enable different admins all succeed, though all change one count."""
    admins = [make_admin(f"admin{number:02}") for number in range(33)]
    prepared.insert(admins, ())

    def toggle(admin: User) -> None:
        for _ in range(3):
            changed = admin.changed(NOW, disabled=not admin.disabled)
            prepared.replace(admin, changed, ())
            admin = changed

    assert counted(race([partial(toggle, admin) for admin in admins[1:]])) == {None: 32}
    with pytest.raises(LastAdminError):
        prepared.delete(admins[0], ())
    with pytest.raises(RevisionMismatchError):
        prepared.delete(admins[0].changed(NOW), ())


def test_a_fork_without_a_way_to_renew_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that was given a client and nothing to make another never uses it in a second process."""
    store = mocked_mongo_store()
    store.prepare()
    monkeypatch.setattr("os.getpid", lambda: -1)
    with pytest.raises(RuntimeError, match="forked"):
        find(store, "ann")


def test_records_expire_by_themselves(prepared: Store, database: Database[dict[str, Any]]) -> None:
    """The server itself removes what is overdue: the index on the time says so."""
    assert database["records"].index_information()["expiry"]["expireAfterSeconds"] == 0


def test_an_unprepared_database_has_no_admin(mongod_address: Address) -> None:
    """Asking is no error, and adding one is refused until the guard is there."""
    store = open_store(mongod_address)
    assert not store.has_admin()
    assert not store.insert_first_admin(make_admin("root"), ())
    store.close()


def test_a_command_that_the_server_refuses_is_undone(prepared: Store, database: Database[dict[str, Any]]) -> None:
    """A transaction that fails otherwise than by a conflict raises, leaves nothing, and is not abandoned."""
    assert isinstance(prepared, MongoStore)

    def work(inside: Database[dict[str, Any]], session: ClientSession | None) -> None:
        inside["users"].insert_one({"name_key": "half"}, session=session)
        inside["users"].update_one({}, {"$nonsense": {}}, session=session)

    with pytest.raises(UnavailableError, match=r"WriteError 9$"):
        prepared._connection.transaction(work)
    assert database["users"].find_one() is None
    assert not prepared._connection._abandoned


def test_only_a_duplicate_is_a_conflict() -> None:
    """Another failure within a bulk write stays what it is."""
    failure = BulkWriteError({"writeErrors": [{"code": 121, "errmsg": "Document failed validation"}]})
    with pytest.raises(BulkWriteError), duplicate_raises(UserExistsError):
        raise failure
