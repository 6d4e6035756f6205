"""Failed logins, added up: few rows and little memory, however many fail, and no name among them."""

from collections import Counter
from datetime import timedelta
from ipaddress import IPv4Address, IPv6Address

import pytest

from models.audit_upkeep import AuditUpkeep
from models.clients import client_at
from models.errors import UnavailableError
from models.events import Event, Kind, Sought
from models.login_failures import ELSEWHERE, MOST_ADDRESSES, MOST_NAMES, MOST_NETWORKS, ROWS_A_DAY, LoginFailures
from models.secret import Secret
from models.secret_key import KeyRing
from models.storage import Store
from tests.databases import SECRET_KEY
from tests.faults.extent import extent
from tests.origins import whence
from tests.unit.watched import Clock, Watched

KEYS = KeyRing(Secret(SECRET_KEY))
HERE, THERE = client_at("192.0.2.1"), client_at("2001:db8:1:2:3::4")
FLOOD = extent(8_000, 100_000)  # addresses
MINUTES = extent(250, 1440)
TYPED = "hunter2-typed-as-a-name"


@pytest.fixture
def clock() -> Clock:
    clock = Clock()
    clock.now = clock.now.replace(second=0, microsecond=0)
    return clock


@pytest.fixture
def failures(clock: Clock) -> LoginFailures:
    return LoginFailures(KEYS, whence, clock)


def count_of(events: list[Event]) -> int:
    return sum(count for event in events if isinstance(count := event.details["count"], int))


def test_what_fails_in_a_minute_at_an_address_is_one_row(failures: LoginFailures, clock: Clock) -> None:
    """It has how often, under which names as digests, and through which surfaces; what is refused is another row."""
    for name in ("ann", "bob", "ann", None):
        failures.failed(HERE, name)
    failures.refused(HERE, "ann")
    clock.advance(seconds=59)
    failures.failed(THERE, TYPED)
    clock.advance(seconds=1)
    failures.failed(HERE, "ann")
    found = failures.take()
    assert [(one.kind, one.address, one.details["count"]) for one in found] == [
        (Kind.LOGIN_FAILED, "192.0.2.1", 4),
        (Kind.LOGIN_REFUSED, "192.0.2.1", 1),
        (Kind.LOGIN_FAILED, "2001:db8:1:2::/64", 1),
        (Kind.LOGIN_FAILED, "192.0.2.1", 1),
    ]
    assert len({one.id for one in found}) == 4
    assert [one.at for one in found] == [clock.now - timedelta(minutes=1)] * 3 + [clock.now]
    names = [KEYS.current.audit_digest("name", name)[:16] for name in ("ann", "bob")]
    assert found[0].details == {"count": 4, "names": names, "surfaces": ["command line"]}
    assert TYPED not in repr(found)
    assert failures.take() == []


def test_processes_share_their_rows(failures: LoginFailures, clock: Clock) -> None:
    """The same address and minute has the same id everywhere, and what comes later is added to it."""
    other = LoginFailures(KEYS, whence, clock)
    for one in (failures, other):
        one.failed(HERE, "ann")
    [first], [second] = failures.take(), other.take()
    assert first == second
    failures.failed(HERE, "bob")
    assert [one.id for one in failures.take()] == [first.id]


def test_names_are_few(failures: LoginFailures) -> None:
    """Of many names, the first ones of the minute are kept, also when they come a few at a time."""
    seen: set[str] = set()
    for number in range(100):
        failures.failed(HERE, f"name{number}")
        [one] = failures.take()
        assert isinstance(one.details["names"], list)
        seen |= {*one.details["names"]}
    assert len(seen) == MOST_NAMES


def test_a_flood_has_few_rows_a_minute(failures: LoginFailures) -> None:
    """Of a hundred thousand addresses of both kinds, each is counted, and little is kept of them."""
    for number in range(FLOOD):
        failures.failed(client_at(str(IPv4Address("11.0.0.0") + number * 257)), str(number))
        failures.refused(client_at(str(IPv6Address("2001:db8::") + (number << 72))), str(number))
    found = failures.take()
    assert count_of(found) == 2 * FLOOD
    assert Counter(one.kind for one in found) == dict.fromkeys(
        (Kind.LOGIN_FAILED, Kind.LOGIN_REFUSED), MOST_ADDRESSES + MOST_NETWORKS + 1
    )
    assert sum(one.address == ELSEWHERE for one in found) == 2
    assert sum(len(set(one.terms)) for one in found) < 8 * len(found)


def test_a_long_flood_has_few_rows_a_day(failures: LoginFailures, clock: Clock) -> None:
    """When the day's allowance is used up, what comes from new addresses is one row a minute, until it has grown."""
    rows = 0
    for minute in range(MINUTES):
        for number in range(120):
            failures.failed(client_at(str(IPv4Address("11.0.0.0") + minute * 1000 + number)), None)
        rows += len(failures.take())
        clock.advance(minutes=1)
    assert 10 * MINUTES < rows <= ROWS_A_DAY * (1 + MINUTES / 1440) + MINUTES
    clock.advance(days=1)
    failures.failed(HERE, None)
    assert [one.address for one in failures.take()] == ["192.0.2.1"]


def test_a_clock_that_is_set_back_does_no_harm(failures: LoginFailures, clock: Clock) -> None:
    """The minute is that of the clock, whatever it was before."""
    failures.failed(HERE, None)
    clock.advance(days=-3)
    failures.failed(HERE, None)
    assert [one.details["count"] for one in failures.take()] == [1, 1]


def test_what_cannot_be_written_waits(watched: Watched, store: Store, failures: LoginFailures, clock: Clock) -> None:
    """It is written when the store is back, together with what has failed meanwhile, and bounded until then."""
    audit = _Away(watched)
    upkeep = AuditUpkeep(audit, failures, clock, None)  # type: ignore[arg-type]  # what it calls of a store's part
    failures.when_noted(lambda: None)  # so that no thread writes
    for _ in range(3):
        failures.failed(HERE, "ann")
        upkeep.flush()
    for minute in range(extent(100, 500)):
        clock.advance(minutes=1)
        for number in range(MOST_ADDRESSES):
            failures.failed(client_at(str(IPv4Address("11.0.0.0") + minute * 1000 + number)), None)
    upkeep.flush()
    assert len(failures.take()) <= 4000
    failures.failed(HERE, "ann")
    audit.is_away = False
    upkeep.flush()
    [written] = store.audit.find(Sought(), limit=10)
    assert written.details["count"] == 1


class _Away:
    is_away = True

    def __init__(self, watched: Watched) -> None:
        self._audit = watched.audit

    def add_up(self, tallies: list[Event]) -> None:
        if self.is_away:
            raise UnavailableError("away")
        self._audit.add_up(tallies)


def test_closing_writes_what_is_left(store: Store, failures: LoginFailures, clock: Clock) -> None:
    """What was added up a moment before the stop is there after it; what comes later begins no thread."""
    upkeep = AuditUpkeep(store.audit, failures, clock, timedelta(days=1))
    failures.failed(HERE, "ann")
    upkeep.close()
    assert count_of(store.audit.find(Sought(), limit=10)) == 1
    failures.failed(HERE, "ann")
    upkeep.close()
    assert count_of(store.audit.find(Sought(), limit=10)) == 2
