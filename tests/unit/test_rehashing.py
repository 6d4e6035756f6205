"""Passwords that are hashed anew at login: when, to what, and never over another one."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from typing import cast

import pytest

from models.clients import client_at
from models.core import Core, build_core
from models.errors import NotAuthenticatedError, UnavailableError
from models.hashing_gate import HashingGate
from models.passwords import Blocklist, Hasher, PasswordPolicy
from models.secret import Secret
from models.secret_key import KeyRing
from models.storage import Store
from models.user import User
from tests.databases import SECRET_KEY
from tests.foreign_vectors import HASHES, PASSWORD
from tests.origins import whence
from tests.storage.races import race
from tests.storage.stores import find, make_user
from tests.unit.watched import Clock, Watched

HERE, THERE = client_at("192.0.2.1"), client_at("192.0.2.2")
RIGHT, OTHER = Secret(PASSWORD), Secret("another password")
APACHE = HASHES["openssl -apr1"]
MakeCore = Callable[..., Core]


@pytest.fixture
def make_core(watched: Watched, clock: Clock) -> Iterator[MakeCore]:
    """Make cores over one store, each of which hashes at a cost of its own: replicas with other settings."""
    made: list[Core] = []

    def make(rounds: int = 5, gate: HashingGate | None = None) -> Core:
        policy = PasswordPolicy(8, Blocklist(""))
        keys = KeyRing(Secret(SECRET_KEY))
        hasher = Hasher(rounds)
        core = build_core(cast("Store", watched), keys, hasher, policy, gate=gate, whence=whence, clock=clock)
        made.append(core)
        return core

    yield make
    for core in made:
        core.audit_upkeep.close()


def stored(core: Core, name: str = "alice") -> User:
    user = find(core.store, name)
    assert user is not None
    return user


def login(core: Core, password: Secret = RIGHT) -> User:
    return core.authenticator.basic("alice", password, HERE).user


@pytest.mark.parametrize(
    "kept", [APACHE, HASHES["Django argon2"], HASHES["openssl -6"], Hasher(4).hash(RIGHT)], ids=count()
)
def test_a_login_hashes_anew_what_is_cheaper_or_foreign(make_core: MakeCore, watched: Watched, kept: str) -> None:
    """The first right login puts a hash at the configured cost in its place, once, and ends no session by it."""
    core = make_core()
    before = make_user("alice", password_hash=kept, epoch=7)
    core.store.insert([before], ())
    for wrong in (OTHER, Secret("\0"), Secret("x" * 3000)):
        with suppress(NotAuthenticatedError):
            core.authenticator.basic("alice", wrong, client_at(f"192.0.2.{len(wrong.reveal()) % 200 + 9}"))
    assert stored(core).password_hash == kept
    assert login(core) == stored(core)
    after = stored(core)
    assert after.password_hash is not None
    assert after.password_hash.startswith("$2b$05$")
    assert after == before.rehashed(after.password_hash)
    watched.calls.clear()
    login(core)
    make_core().authenticator.basic("alice", RIGHT, THERE)
    assert "replace" not in watched.calls
    assert watched.calls[0] == "find_users"
    with pytest.raises(NotAuthenticatedError):
        core.authenticator.basic("alice", OTHER, client_at("192.0.2.7"))


def test_a_cost_that_was_lowered_hashes_nothing_anew(make_core: MakeCore) -> None:
    """A dearer hash than the settings ask for stays."""
    core = make_core(4)
    kept = Hasher(5).hash(RIGHT)
    core.store.insert([make_user("alice", password_hash=kept)], ())
    login(core)
    assert stored(core).password_hash == kept


def test_what_bcrypt_cannot_hold_stays_as_it_is(make_core: MakeCore) -> None:
    """A foreign hash of a password of over 72 bytes goes on opening the door, and is not hashed anew."""
    long = Secret("0123456789" * 8)
    kept = "{SHA}250QAHODbJZRaQr1p0GS/mrxorY="
    core = make_core()
    core.store.insert([make_user("alice", password_hash=kept)], ())
    for _ in range(2):
        assert login(core, long).password_hash == kept
    assert core.authenticator.basic("alice", long, THERE).user.password_hash == kept


def test_a_password_that_other_systems_did_not_normalise_opens_before_and_after(make_core: MakeCore) -> None:
    """What was hashed as it was typed is checked as it is typed, and hashed anew in normal form."""
    core = make_core()
    typed = Secret("decomposed a\u0308")
    kept = "{SHA}2rSnh4IAvUJvvlkTUcE9EiGB4dg="
    core.store.insert([make_user("alice", password_hash=kept)], ())
    login(core, typed)
    assert stored(core).password_hash != kept
    for presented in (Secret("decomposed \xe4"), typed):
        assert core.authenticator.basic("alice", presented, THERE).user.user_name == "alice"


@pytest.mark.parametrize("when", ["counters.find", "find_users_by_id"])
def test_a_password_that_changes_meanwhile_is_not_undone(make_core: MakeCore, watched: Watched, when: str) -> None:
    """Whether it changes before the old hash is looked for again or right after, the new one stays and counts."""
    core = make_core()
    core.store.insert([make_user("alice", password_hash=APACHE)], ())
    changed: list[User] = []

    def change(call: str) -> None:
        if call == when and "note_foreign_hashes(0)" in watched.calls and not changed:
            before = stored(core)
            changed.append(before.changed(before.updated_at, password_hash=Hasher(5).hash(OTHER)))
            core.store.replace(before, changed[0], ())

    watched.calls.clear()
    watched.after = change
    with pytest.raises(NotAuthenticatedError):
        login(core)
    assert [stored(core)] == changed


def test_another_field_that_changes_meanwhile_stays_changed(make_core: MakeCore, watched: Watched) -> None:
    """The hash takes its place in the user as it is by then."""
    core = make_core()
    core.store.insert([make_user("alice", password_hash=APACHE)], ())
    changed: list[bool] = []

    def change(call: str) -> None:
        if call == "find_users_by_id" and not changed:
            changed.append(True)
            before = stored(core)
            core.store.replace(before, before.changed(before.updated_at, name="Alice"), ())

    watched.after = change
    assert login(core).name == "Alice"
    assert stored(core).name == "Alice"
    assert stored(core).password_hash != APACHE


def test_a_store_that_takes_no_write_refuses_no_login(make_core: MakeCore, watched: Watched) -> None:
    """That the new hash cannot be kept is nobody's concern: the next login tries again."""
    core = make_core()
    core.store.insert([make_user("alice", password_hash=APACHE)], ())
    watched.fails = {"replace"}
    assert login(core).password_hash == APACHE
    watched.fails = set()
    core.authenticator.basic("alice", RIGHT, THERE)
    assert stored(core).password_hash != APACHE


def test_racing_logins_all_get_in(make_core: MakeCore) -> None:
    """Of many first logins at once, on several replicas, each gets in; one hash is kept, and it is of the password."""
    cores = [make_core(gate=HashingGate(2)) for _ in range(3)]
    cores[0].store.insert([make_user("alice", password_hash=APACHE)], ())

    def log_in(number: int) -> str:
        return cores[number % 3].authenticator.basic("alice", RIGHT, client_at(f"10.{number}.0.1")).user.user_name

    assert race([lambda number=number: log_in(number) for number in range(12)]) == ["alice"] * 12  # type: ignore[misc]  # mypy knows no default of a lambda
    assert make_core().authenticator.basic("alice", RIGHT, HERE).user.revision == 2


def test_logins_and_a_change_race_to_the_change(make_core: MakeCore) -> None:
    """However a first login and a change of the password meet, the changed password is the one that counts."""
    core = make_core(gate=HashingGate(2))
    for number in range(6):
        name = f"user{number}"
        core.store.insert([make_user(name, password_hash=APACHE)], ())
        race(
            [
                lambda name=name: core.authenticator.basic(name, RIGHT, client_at("10.1.0.1")),  # type: ignore[misc]  # see above
                lambda name=name: core.accounts.update(None, name, {"password": OTHER}),  # type: ignore[misc]  # see above
            ]
        )
        fresh = make_core()
        assert fresh.authenticator.basic(name, OTHER, HERE).user.epoch == 1
        with pytest.raises(NotAuthenticatedError):
            fresh.authenticator.basic(name, RIGHT, THERE)


class _BusyGate(HashingGate):
    """A gate at which others always wait."""

    def is_awaited(self) -> bool:
        return True


def test_under_load_one_login_in_eight_hashes_anew(make_core: MakeCore) -> None:
    """While others wait for a turn, few logins take another hash's time in it: after a raise, none waits for all."""
    core = make_core(gate=_BusyGate(1))
    core.store.insert([make_user(f"user{number}", password_hash=APACHE) for number in range(16)], ())
    for number in range(16):
        core.authenticator.basic(f"user{number}", RIGHT, client_at(f"10.{number}.0.1"))
    assert sum(stored(core, f"user{number}").password_hash != APACHE for number in range(16)) == 2


def test_a_store_that_is_away_is_told(make_core: MakeCore, watched: Watched) -> None:
    """Without knowing what the dearest hash costs, nothing is checked."""
    core = make_core()
    watched.fails = {"note_foreign_hashes"}
    with pytest.raises(UnavailableError):
        login(core)
