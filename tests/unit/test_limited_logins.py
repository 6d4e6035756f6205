"""Logins and the limiter together: what is counted, what is told, and what a success costs."""

import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from typing import cast

import pytest

from models.audit import EventFilter
from models.clients import client_at
from models.core import Core, build_core
from models.errors import NotAuthenticatedError, TooManyAttemptsError, UnavailableError
from models.events import Kind
from models.hashing_gate import HashingGate
from models.login_limiter import FREE_FAILURES_OF_ADDRESS
from models.passwords import Blocklist, Hasher, PasswordPolicy
from models.secret import Secret
from models.secret_key import KeyRing
from models.storage import Store
from tests.databases import SECRET_KEY
from tests.origins import whence
from tests.storage.stores import make_user
from tests.unit.watched import Clock, Watched

PATIENCE = 30  # seconds for what must happen
HERE, THERE = client_at("192.0.2.1"), client_at("192.0.2.2")
KEYS = KeyRing(Secret(SECRET_KEY))
RIGHT, WRONG = Secret("the right password"), Secret("a wrong password")


@pytest.fixture
def core(watched: Watched, clock: Clock) -> Iterator[Core]:
    """A core in which alice has the right password."""
    hasher = Hasher(4)
    core = build_core(
        cast("Store", watched),
        KEYS,
        hasher,
        PasswordPolicy(8, Blocklist("")),
        gate=HashingGate(2),
        whence=whence,
        clock=clock,
    )
    core.store.insert([make_user("alice", password_hash=hasher.hash(RIGHT))], ())
    watched.calls.clear()
    yield core
    core.audit_upkeep.close()


def test_a_success_writes_nothing(core: Core, watched: Watched) -> None:
    """Neither a first login nor the ones that are remembered write to the store; each failure writes once."""
    for _ in range(3):
        assert core.authenticator.basic("alice", RIGHT, HERE).user.user_name == "alice"
    assert set(watched.calls) <= {
        *("find_users", "counters.find"),
        *("raise_highest_cost(0)", "note_foreign_hashes(0)"),
    }
    assert watched.calls[-2:] == ["find_users"] * 2
    with pytest.raises(NotAuthenticatedError):
        core.authenticator.basic("alice", WRONG, HERE)
    assert watched.calls.count("counters.add") == 1


@pytest.mark.parametrize("name", ["alice", "nobody"])
@pytest.mark.parametrize("call", ["counters.find", "counters.add"])
def test_without_its_counters_nothing_is_told(core: Core, watched: Watched, call: str, name: str) -> None:
    """When failures can be neither read nor written, a wrong password is unavailable and not wrong.

    A right one is refused as well where it cannot be told whether it may be looked at.
    """
    watched.fails = {call}
    with pytest.raises(UnavailableError):
        core.authenticator.basic(name, WRONG, HERE)
    with pytest.raises(UnavailableError):
        core.authenticator.bearer(Secret("a-token-of-nobody-1"), HERE)
    if call == "counters.find":
        with pytest.raises(UnavailableError):
            core.authenticator.basic("alice", RIGHT, HERE)


def test_a_failure_that_was_not_counted_slows_down_too(core: Core, watched: Watched) -> None:
    """While failures cannot be written, nobody guesses faster for it: the answer that says so counts by itself."""
    watched.fails = {"counters.add"}
    with pytest.raises(UnavailableError):
        core.authenticator.basic("alice", WRONG, HERE)
    with pytest.raises(TooManyAttemptsError):
        core.authenticator.basic("alice", RIGHT, HERE)
    assert core.authenticator.basic("alice", RIGHT, THERE).user.user_name == "alice"


def test_the_memory_is_no_oracle(core: Core) -> None:
    """From an address that has to wait, and where it was never right, the right password is refused like any other."""
    core.authenticator.basic("alice", RIGHT, HERE)
    with pytest.raises(NotAuthenticatedError):
        core.authenticator.basic("alice", WRONG, THERE)
    for guess in (*(Secret(f"guess {number}") for number in range(50)), RIGHT):
        with pytest.raises(TooManyAttemptsError):
            core.authenticator.basic("alice", guess, THERE)
        assert core.authenticator.foresee_basic("alice", guess, THERE, "alice") is None
    assert core.authenticator.basic("alice", RIGHT, HERE).user.user_name == "alice"


def test_who_goes_on_guessing_is_told_nothing(core: Core, clock: Clock) -> None:
    """Where a password is remembered, it passes while others guess there; but not while they guess by the dozen."""
    core.authenticator.basic("alice", RIGHT, HERE)
    with pytest.raises(NotAuthenticatedError):
        core.authenticator.basic("alice", WRONG, HERE)
    core.authenticator.basic("alice", RIGHT, HERE)
    for number in range(50):
        with pytest.raises(TooManyAttemptsError):
            core.authenticator.basic("alice", Secret(f"guess {number}"), HERE)
    with pytest.raises(TooManyAttemptsError):
        core.authenticator.basic("alice", RIGHT, HERE)
    clock.advance(seconds=1)
    assert core.authenticator.basic("alice", RIGHT, HERE).user.user_name == "alice"


def test_a_repeated_guess_stops_no_other(core: Core, clock: Clock) -> None:
    """The same wrong password, again and again, waits for itself: the right one from there is looked at at once."""
    for _ in range(10):
        with suppress(NotAuthenticatedError, TooManyAttemptsError):
            core.authenticator.basic("alice", WRONG, HERE)
        clock.advance(seconds=1)
    with pytest.raises(TooManyAttemptsError):
        core.authenticator.basic("alice", WRONG, HERE)
    assert core.authenticator.basic("alice", RIGHT, HERE).user.user_name == "alice"


def test_a_password_changed_while_it_was_checked_is_refused(core: Core, watched: Watched) -> None:
    """A login that verified the old password while it was being changed does not get in with it."""
    changed: list[bool] = []

    def change(call: str) -> None:
        if call == "counters.find" and not changed and len(watched.calls) > 2:
            changed.append(True)
            user = core.accounts.get("alice")
            core.store.replace(user, user.changed(user.updated_at, password_hash=Hasher(4).hash(WRONG)), ())

    watched.after = change
    with pytest.raises(NotAuthenticatedError):
        core.authenticator.basic("alice", RIGHT, HERE)
    assert changed


def test_the_same_wrong_credential_uses_up_little(core: Core, clock: Clock) -> None:
    """A forgotten job with an old password or token does not slow down everybody who shares its address."""
    for _ in range(2 * FREE_FAILURES_OF_ADDRESS):
        with pytest.raises(NotAuthenticatedError):
            core.authenticator.basic("alice", WRONG, HERE)
        with pytest.raises(NotAuthenticatedError):
            core.authenticator.bearer(Secret("a-token-of-nobody-1"), HERE)
        clock.advance(minutes=1)
    with pytest.raises(NotAuthenticatedError):
        core.authenticator.basic("another", WRONG, HERE)


def test_a_remembered_credential_is_not_held_up(core: Core) -> None:
    """Who is known goes on while others behind the same address have to wait."""
    core.authenticator.basic("alice", RIGHT, HERE)
    for number in range(FREE_FAILURES_OF_ADDRESS + 5):
        with suppress(NotAuthenticatedError, TooManyAttemptsError):
            core.authenticator.basic(f"nobody {number}", WRONG, HERE)
    with pytest.raises(TooManyAttemptsError):
        core.authenticator.basic("another", WRONG, HERE)
    assert core.authenticator.basic("alice", RIGHT, HERE).user.user_name == "alice"


def test_who_was_admitted_before_a_failure_was_counted_is_not_looked_at(core: Core, watched: Watched) -> None:
    """Two attempts at one user that are admitted at once do not both get their guess, however late the second is."""
    admitted, go_on = threading.Event(), threading.Event()
    outcome: list[BaseException | None] = []

    def hold(call: str) -> None:
        if call == "counters.find" and threading.current_thread() is late:
            admitted.set()
            assert go_on.wait(PATIENCE)

    def log_in() -> None:
        try:
            core.authenticator.basic("alice", RIGHT, HERE)
            outcome.append(None)
        except (NotAuthenticatedError, TooManyAttemptsError) as error:
            outcome.append(error)

    late = threading.Thread(target=log_in)
    watched.after = hold
    late.start()
    assert admitted.wait(PATIENCE)
    with pytest.raises(NotAuthenticatedError):
        core.authenticator.basic("alice", WRONG, HERE)
    go_on.set()
    late.join(PATIENCE)
    assert [type(error) for error in outcome] == [TooManyAttemptsError]


def test_names_that_are_too_long_are_cut_off(core: Core) -> None:
    """What is longer than any name may be is remembered no longer than that, so long names fill no memory."""
    long = "\U0001f600" + "x" * 60_000
    with pytest.raises(NotAuthenticatedError):
        core.authenticator.basic(f"{long}1", WRONG, HERE)
    with pytest.raises(TooManyAttemptsError):
        core.authenticator.basic(f"{long}2", WRONG, HERE)
    with pytest.raises(NotAuthenticatedError):
        core.authenticator.basic(long[::-1], WRONG, HERE)


def test_who_is_refused_in_its_turn_is_told_once(core: Core, watched: Watched, clock: Clock) -> None:
    """Where another one failed since it was admitted, the audit trail counts one refusal."""
    finds = 0

    def fail_meanwhile(name: str) -> None:
        nonlocal finds
        finds += name == "counters.find"
        if name == "counters.find" and finds == 1:
            failed = [KEYS.lasting.limiter_digest(HERE.address, "alice")]
            core.store.counters.add(failed, now=clock.now, expires_at=clock.now + timedelta(hours=1))

    watched.after = fail_meanwhile
    with pytest.raises(TooManyAttemptsError):
        core.authenticator.password("alice", WRONG, HERE)
    core.audit_upkeep.flush()
    [told] = core.audit.page(EventFilter(), 10).events
    assert (told.kind, told.details["count"]) == (Kind.LOGIN_REFUSED, 1)
