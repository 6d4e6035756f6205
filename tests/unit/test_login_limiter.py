"""The limiter: who fails waits, longer each time, on all replicas, and nobody else does."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import cast

import pytest

from models import login_limiter
from models.clients import Client, client_at
from models.errors import TooManyAttemptsError
from models.login_failures import LoginFailures
from models.login_limiter import FREE_FAILURES_OF_ADDRESS, LoginLimiter
from models.secret import Secret
from models.secret_key import KeyRing
from models.storage import Store
from tests.databases import SECRET_KEY, Environment, dump
from tests.origins import whence
from tests.unit.watched import Clock, Watched

MILLISECOND = timedelta(milliseconds=1)
HERE, THERE = client_at("192.0.2.1"), client_at("192.0.2.2")
KEYS = KeyRing(Secret(SECRET_KEY))


def limiter_on(store: Store, clock: Callable[[], datetime]) -> LoginLimiter:
    return LoginLimiter(store, KEYS, clock, LoginFailures(KEYS, whence, clock))


@pytest.fixture
def limiter(store: Store, clock: Clock) -> LoginLimiter:
    return limiter_on(store, clock)


def wait_of(limiter: LoginLimiter, client: Client = HERE, name: str | None = "alice") -> int:
    """Return how many seconds the next attempt is told to wait; 0 when it is admitted."""
    try:
        limiter.admit(client, name)
    except TooManyAttemptsError as refused:
        return refused.retry_after
    return 0


def test_each_failure_doubles_the_pause(limiter: LoginLimiter, clock: Clock) -> None:
    """After the n-th failure nothing is tried for 0.5, 1, 2, … and at most 60 seconds, and then the next one is."""
    assert wait_of(limiter) == 0
    for pause, told in ((0.5, 1), (1, 1), (2, 2), (4, 4), (8, 8), (16, 16), (32, 32), (60, 60), (60, 60)):
        limiter.failed(HERE, "alice")
        assert wait_of(limiter) == told
        clock.advance(seconds=pause)
        clock.now -= MILLISECOND
        assert wait_of(limiter) == 1
        clock.now += MILLISECOND
        assert wait_of(limiter) == 0


def test_any_number_of_failures_is_a_minute(limiter: LoginLimiter) -> None:
    """Hundreds of failures are counted, and make nobody wait for longer than a minute."""
    for _ in range(150):
        limiter.failed(HERE, "alice")
    assert wait_of(limiter) == 60


def test_an_address_has_twenty_failures_free(limiter: LoginLimiter, clock: Clock) -> None:
    """Many people may be behind one address: its names wait each for itself, until it has failed more than that."""
    for number in range(FREE_FAILURES_OF_ADDRESS):
        assert limiter.admit(HERE, f"user {number}") == number
        limiter.failed(HERE, f"user {number}")
    assert wait_of(limiter, name="another") == wait_of(limiter, name=None) == 0
    limiter.failed(HERE)
    assert wait_of(limiter, name="another") == wait_of(limiter, name=None) == 1
    clock.advance(seconds=0.5)
    assert wait_of(limiter, name="another") == 0
    limiter.failed(HERE, "another")
    clock.advance(seconds=0.5)
    assert wait_of(limiter, name="a third") == 1


def test_what_was_long_ago_is_forgotten(limiter: LoginLimiter, clock: Clock) -> None:
    """A quarter of an hour after the last failure it is as if there had been none, and not before."""
    for _ in range(5):
        limiter.failed(HERE, "alice")
    clock.advance(minutes=15)
    clock.now -= MILLISECOND
    assert limiter.admit(HERE, "alice") == 5
    limiter.failed(HERE, "alice")
    assert wait_of(limiter) == 16
    clock.advance(minutes=15)
    assert limiter.admit(HERE, "alice") == 0
    limiter.failed(HERE, "alice")
    assert wait_of(limiter) == 1
    clock.advance(minutes=15)
    limiter.failed(HERE, "alice")
    assert wait_of(limiter) == 1


def test_nobody_locks_another_address_out(limiter: LoginLimiter) -> None:
    """However often others fail for a user, from elsewhere its next attempt is looked at, and ranks as new."""
    for _ in range(30):
        limiter.failed(THERE, "alice")
    assert wait_of(limiter, THERE) == 60
    assert limiter.admit(HERE, "alice") == 0
    limiter.refuse_known(HERE, "alice")


def test_ipv6_addresses_of_one_network_are_one(limiter: LoginLimiter) -> None:
    """An attacker has a whole /64, so it counts as one address; the next /64 is another."""
    limiter.failed(client_at("2001:db8:1:2::1"), "alice")
    assert wait_of(limiter, client_at("2001:db8:1:2:ffff:ffff:ffff:ffff")) == 1
    assert wait_of(limiter, client_at("2001:db8:1:3::1")) == 0


def test_a_mapped_ipv4_address_is_that_address(limiter: LoginLimiter) -> None:
    """What a socket for both kinds calls ::ffff:192.0.2.1 is 192.0.2.1, and not one client with all of IPv4."""
    limiter.failed(client_at("::ffff:192.0.2.1"), "alice")
    assert wait_of(limiter, HERE) == 1
    assert wait_of(limiter, client_at("::ffff:192.0.2.2")) == 0


def test_replicas_count_together(store: Store, clock: Clock) -> None:
    """What fails at one replica waits at the other, as long as if all had failed there."""
    one, other = (
        limiter_on(store, clock),
        limiter_on(store, clock),
    )
    for replica in (one, other, one):
        replica.failed(HERE, "alice")
    assert wait_of(one) == wait_of(other) == 2


def test_what_a_process_knows_costs_no_look_at_the_store(watched: Watched, clock: Clock) -> None:
    """Once refused, an attempt is refused without the store, with the time that is left, until it is over."""
    limiter = limiter_on(cast("Store", watched), clock)
    for _ in range(5):
        limiter.failed(HERE, "alice")
    limiter.refuse_known(HERE, "alice")
    assert wait_of(limiter) == 8
    watched.calls.clear()
    clock.advance(seconds=3.5)
    with pytest.raises(TooManyAttemptsError) as refused:
        limiter.refuse_known(HERE, "alice")
    assert refused.value.retry_after == 5
    for client, name in ((HERE, "bob"), (HERE, None), (THERE, "alice")):
        limiter.refuse_known(client, name)
    clock.advance(seconds=4.5)
    limiter.refuse_known(HERE, "alice")
    assert watched.calls == []


def test_what_a_process_knows_is_bounded(limiter: LoginLimiter, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many are refused, the process keeps no more than a number of them; the store knows the others."""
    monkeypatch.setattr(login_limiter, "_MOST_KNOWN", 10)
    names = [f"user {number}" for number in range(19)]
    for name in names:
        limiter.failed(HERE, name)
        assert wait_of(limiter, name=name) == 1
        assert len(limiter._known) <= 10
    assert [wait_of(limiter, name=name) for name in names] == [1] * 19


@pytest.mark.parametrize("ahead", [timedelta(seconds=1), timedelta(minutes=10), timedelta(days=400)])
def test_a_clock_that_is_ahead_makes_nobody_wait_for_that(store: Store, clock: Clock, ahead: timedelta) -> None:
    """A failure that another replica counted in the future is waited for as long as one of now, and no longer."""
    limiter, fast = (
        limiter_on(store, clock),
        limiter_on(store, lambda: clock.now + ahead),
    )
    fast.failed(HERE, "alice")
    assert wait_of(limiter) == 1
    clock.advance(seconds=0.5)
    assert wait_of(limiter) == 0
    limiter.failed(HERE, "alice")
    assert wait_of(limiter) == 1
    clock.advance(seconds=0.999)
    assert wait_of(limiter) == 1
    clock.advance(seconds=0.001)
    assert wait_of(limiter) == 0
    limiter.refuse_known(HERE, "alice")


def test_a_clock_that_is_set_back_makes_nobody_wait_for_that(limiter: LoginLimiter, clock: Clock) -> None:
    """What was refused before a clock is set back by an hour is refused for its pause anew, and not for an hour."""
    for _ in range(4):
        limiter.failed(HERE, "alice")
    assert wait_of(limiter) == 4
    clock.advance(hours=-1)
    limiter.refuse_known(HERE, "alice")
    assert wait_of(limiter) == 4
    clock.advance(seconds=4)
    assert wait_of(limiter) == 0


def test_counters_name_nobody(limiter: LoginLimiter, environment: Environment, tmp_path: Path) -> None:
    """Whoever reads the database learns neither which names were tried nor from where."""
    empty = dump(environment, tmp_path)
    for client in (client_at("203.0.113.77"), client_at("2001:db8:77::1")):
        limiter.failed(client, "alexandra")
        limiter.failed(client, "a mistyped password as a name")
        limiter.failed(client)
    held = dump(environment, tmp_path)
    assert held != empty
    for text in (b"alexandra", b"mistyped", b"203.0.113", b"2001:db8", bytes([203, 0, 113, 77])):
        assert text not in held


def test_a_clock_that_was_ahead_shuts_out_nobody_who_is_remembered(limiter: LoginLimiter, clock: Clock) -> None:
    """What so many refused guesses have closed is open again when the clock was set back, and not an hour later."""
    for _ in range(30):
        limiter.note_refused(HERE, "alice", TooManyAttemptsError(60))
    with pytest.raises(TooManyAttemptsError):
        limiter.refuse_persistent(HERE, "alice")
    clock.advance(hours=-1)
    limiter.refuse_persistent(HERE, "alice")
