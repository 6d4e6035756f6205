"""Sessions beside what else happens to their users: forced orders, races, and an unwilling store."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, cast

import pytest
from pymongo import MongoClient

from models.accounts import UserId
from models.clients import client_at
from models.core import Core, build_core
from models.errors import NotAuthenticatedError, SessionNotFoundError
from models.passwords import Blocklist, Hasher, PasswordPolicy
from models.records import Record
from models.secret import Secret
from models.secret_key import KeyRing
from models.sessions import CONSOLE, MOST_SESSIONS, SESSION, TOKEN, USER_KEY, SessionKind
from models.storage import Store
from models.storage.mongo.documents import record_document
from models.user import User
from tests.databases import SECRET_KEY, Environment
from tests.origins import whence
from tests.storage.races import THREADS, counted, race
from tests.storage.stores import find, make_user
from tests.unit.watched import Clock, Watched

PATIENCE = 30  # seconds for what must happen
HERE = client_at("192.0.2.1")
OLD, NEW = Secret("the old password"), Secret("the new password")

Build = Callable[[KeyRing], Core]


@pytest.fixture
def build(watched: Watched, clock: Clock) -> Iterator[Build]:
    cores: list[Core] = []

    def build(keys: KeyRing) -> Core:
        policy = PasswordPolicy(8, Blocklist(""))
        core = build_core(cast("Store", watched), keys, Hasher(4), policy, whence=whence, clock=clock)
        cores.append(core)
        return core

    yield build
    for core in cores:
        core.uses.close()
        core.audit_upkeep.close()


@pytest.fixture
def core(build: Build) -> Core:
    """A core in which alice has the old password."""
    core = build(KeyRing(Secret(SECRET_KEY)))
    core.store.insert([make_user("alice", password_hash=Hasher(4).hash(OLD))], ())
    return core


def change_password(core: Core) -> User:
    return core.accounts.update(None, "alice", {"password": NEW})


def begin(core: Core, kind: SessionKind = SESSION, password: Secret = OLD) -> Secret:
    return core.sessions.begin(core.authenticator.password("alice", password, HERE), kind)[0]


def is_open(core: Core, secret: Secret, kind: SessionKind = SESSION) -> bool:
    try:
        core.sessions.resume(kind, secret, HERE)
    except NotAuthenticatedError:
        return False
    return True


@pytest.mark.parametrize("kind", [SESSION, USER_KEY])
@pytest.mark.parametrize("is_remembered", [False, True])
def test_a_login_from_before_a_change_is_refused(
    core: Core, watched: Watched, kind: SessionKind, *, is_remembered: bool
) -> None:
    """The password is changed when a login has verified the old one for the last time: its session opens nothing."""
    if is_remembered:
        begin(core)
    last_look = 1 if is_remembered else 2

    def change(call: str) -> None:
        if call == "find_users" and watched.calls.count("find_users") == last_look:
            watched.after = lambda _: None
            change_password(core)

    watched.calls.clear()
    watched.after = change
    secret = begin(core, kind)
    assert find(cast("Store", watched), "alice").epoch == 1  # type: ignore[union-attr]  # She is there.
    assert not is_open(core, secret, kind)
    assert core.sessions.of(core.accounts.get("alice")) == []
    assert is_open(core, begin(core, kind, NEW), kind)


def test_a_change_while_the_password_is_checked_fails_the_login(core: Core, watched: Watched) -> None:
    """What was verified is looked at once more, and is the old one by then."""

    def change(call: str) -> None:
        if call == "raise_highest_cost":
            watched.after = lambda _: None
            change_password(core)

    watched.after = change
    with pytest.raises(NotAuthenticatedError):
        begin(core)


def test_a_session_that_ended_meanwhile_changes_nothing(core: Core) -> None:
    """Who came by a session that was ended, or revoked, since then neither updates nor deletes."""
    for end in (core.sessions.end, lambda caller: core.sessions.revoke_all(caller, caller.user)):
        caller = core.sessions.resume(USER_KEY, begin(core, USER_KEY), HERE)
        end(caller)
        before = core.accounts.get("alice")
        with pytest.raises(NotAuthenticatedError):
            core.accounts.update(caller, UserId(before.id), {"password": NEW})
        with pytest.raises(NotAuthenticatedError):
            core.accounts.delete(caller, UserId(before.id))
        assert core.accounts.get("alice") == before


def test_a_session_survives_nobodys_deletion(core: Core) -> None:
    """A login that had verified the password of a user who was then deleted has a session of nobody."""
    caller = core.authenticator.password("alice", OLD, HERE)
    core.accounts.delete(None, "alice")
    secret, _ = core.sessions.begin(caller, SESSION)
    assert not is_open(core, secret)
    core.accounts.create(None, "alice", {"password": OLD})
    assert not is_open(core, secret)


def test_ids_are_random(core: Core) -> None:
    """Every character of the alphabet turns up at every place, and no id twice."""
    for kind, length, alphabet in ((SESSION, 15, 36), (USER_KEY, 40, 16), (TOKEN, 27, 62), (CONSOLE, 27, 62)):
        ids = [kind.new_id().reveal() for _ in range(2000)]
        assert len(set(ids)) == 2000
        assert {len(one) for one in ids} == {length}
        for place in range(length):
            found = Counter(one[place] for one in ids)
            assert len(found) == alphabet
            assert max(found.values()) < 4 * 2000 / alphabet


@pytest.mark.parametrize(
    "presented", ["", "a" * 14, "a" * 16, "A" * 15, "a" * 14 + "\n", "a" * 15 + "\n", "é" * 15, "\0" * 15]
)
def test_what_has_not_the_form_is_not_looked_up(core: Core, watched: Watched, presented: str) -> None:
    """A text that can be no id costs the store nothing."""
    watched.calls.clear()
    assert not is_open(core, Secret(presented))
    assert watched.calls == []


def test_guesses_near_an_id_open_nothing(core: Core) -> None:
    """An id with any one character changed is none: it is looked up by its digest, whole."""
    secret = begin(core).reveal()
    for place in range(len(secret)):
        other = "a" if secret[place] != "a" else "b"
        assert not is_open(core, Secret(secret[:place] + other + secret[place + 1 :]))
    assert is_open(core, Secret(secret))


def test_a_use_is_noted_at_most_once_a_minute(core: Core, watched: Watched, clock: Clock) -> None:
    """However often a session is used, one write a minute notes it, and none within the first one."""
    secret = begin(core)
    watched.calls.clear()
    for seconds, writes in ((59.999, 0), (0.001, 1), (0, 1), (59.999, 1), (0.001, 2), (3600, 3)):
        clock.advance(seconds=seconds)
        for _ in range(5):
            assert is_open(core, secret)
            core.uses.flush()
        assert watched.calls.count("records.note_uses") == writes
    [session] = core.sessions.of(core.accounts.get("alice"))
    assert session.used_at == clock.now
    assert session.expires_at == clock.now + timedelta(days=30)


def test_no_request_waits_for_the_noting(core: Core, watched: Watched, clock: Clock) -> None:
    """While the store holds up the writing of one use, sessions open; what is noted meanwhile is one more write."""
    secrets = [begin(core) for _ in range(3)]
    clock.advance(minutes=2)
    held, released = threading.Event(), threading.Event()

    def hold(call: str) -> None:
        if call == "records.note_uses":
            held.set()
            assert released.wait(PATIENCE)

    watched.after = hold
    assert is_open(core, secrets[0])
    assert held.wait(PATIENCE)
    assert all(is_open(core, secret) for secret in secrets)
    released.set()
    core.uses.flush()
    assert watched.calls.count("records.note_uses") == 2
    assert {session.used_at for session in core.sessions.of(core.accounts.get("alice"))} == {clock.now}


def test_a_store_that_is_away_costs_a_use_and_no_request(core: Core, watched: Watched, clock: Clock) -> None:
    """What could not be written is let go, and the next use is noted again."""
    secret = begin(core)
    clock.advance(minutes=2)
    watched.fails = {"records.note_uses"}
    assert is_open(core, secret)
    core.uses.flush()
    watched.fails = set()
    assert is_open(core, secret)
    core.uses.flush()
    [session] = core.sessions.of(core.accounts.get("alice"))
    assert session.used_at == clock.now


def test_closing_writes_what_was_noted(core: Core, clock: Clock) -> None:
    """Nothing that was noted is lost by a stop, and what comes after it is not noted."""
    secret = begin(core)
    clock.advance(minutes=2)
    assert is_open(core, secret)
    core.uses.close()
    [session] = core.sessions.of(core.accounts.get("alice"))
    assert session.used_at == clock.now
    clock.advance(minutes=2)
    assert is_open(core, secret)


def test_racing_logins_leave_a_hundred(core: Core) -> None:
    """Of 400 logins on eight threads, a hundred sessions are left, and each of them opens."""
    caller = core.authenticator.password("alice", OLD, HERE)
    secrets = race([lambda: [core.sessions.begin(caller, SESSION)[0] for _ in range(50)]] * THREADS)
    assert sum(is_open(core, secret) for some in secrets for secret in some) == MOST_SESSIONS
    assert len(core.sessions.of(caller.user)) == MOST_SESSIONS


def test_ten_thousand_sessions_become_a_hundred(core: Core, environment: Environment, clock: Clock) -> None:
    """Whoever logs in again and again fills nothing: the last hundred sessions are there, and go at once.

    A mongod takes long for so many logins one by one, so most of them stand there beforehand.
    """
    caller = core.authenticator.password("alice", OLD, HERE)
    logins = 10_000
    if environment["DATABASE_URL"].startswith("mongodb"):
        logins = 400
        times: dict[str, Any] = {
            "created_at": clock.now,
            "used_at": clock.now,
            "expires_at": clock.now + timedelta(days=1),
        }
        before = (Record(kind="session", id=f"{n}", user_id=caller.user.id, epoch=0, **times) for n in range(9_600))
        with MongoClient[dict[str, Any]](environment["DATABASE_URL"]) as client:
            client[environment["DATABASE_NAME"]]["records"].insert_many(map(record_document, before))

    def log_in_again_and_again() -> None:
        for _ in range(logins // THREADS):
            core.sessions.begin(caller, SESSION)

    assert counted(race([log_in_again_and_again] * THREADS)) == {None: THREADS}
    assert len(core.sessions.of(caller.user)) == MOST_SESSIONS
    assert core.sessions.revoke_all(caller, caller.user) == MOST_SESSIONS
    assert core.sessions.of(caller.user) == []


def test_racing_revocations_revoke_once(core: Core) -> None:
    """Of eight threads that revoke a session, one does, and the others are told that there is none."""
    for _ in range(5):
        begin(core)
        user = core.accounts.get("alice")
        [session] = core.sessions.of(user)
        outcomes = race([lambda: core.sessions.revoke(None, user, session.id)] * THREADS)  # noqa: B023 - They run before the next round.
        assert counted(outcomes) == {None: 1, SessionNotFoundError: THREADS - 1}


def test_sessions_outlive_a_rotation_of_the_secret_key(build: Build, core: Core) -> None:
    """One from before opens while the former key is known, and one from now when it no longer is."""
    first, second = Secret(SECRET_KEY), Secret("another secret key, which is as long as it has to be")
    before = begin(core)
    rotating = build(KeyRing(second, first))
    during = begin(rotating)
    assert is_open(rotating, before)
    assert is_open(build(KeyRing(first, second)), during)
    after = build(KeyRing(second))
    assert is_open(after, during)
    assert not is_open(after, before)
