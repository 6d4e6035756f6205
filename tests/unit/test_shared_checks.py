"""Single flight: one check for all who present the same credential at a time, and one failure for each client."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event, Lock, Semaphore

import pytest

from models import shared_checks
from models.errors import TooManyAttemptsError, UnavailableError
from models.shared_checks import SharedChecks

PATIENCE = 30  # seconds for what must happen

ALICE, ELSEWHERE = ("192.0.2.1/32", "alice"), ("192.0.2.2/32", "alice")
RIGHT, OTHER = (b"credential", "hash"), (b"another credential", "hash")


class Check:
    """A check that takes until the test lets it go, with what it is told to answer or raise."""

    def __init__(self, *outcomes: bool | BaseException) -> None:
        self._outcomes = iter(outcomes)
        self._go = Semaphore(0)
        self.begun = Semaphore(0)
        self.runs = 0

    def __call__(self) -> bool:
        self.runs += 1
        self.begun.release()
        assert self._go.acquire(timeout=PATIENCE)
        outcome = next(self._outcomes)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def await_beginning(self) -> None:
        assert self.begun.acquire(timeout=PATIENCE)

    def let_go(self) -> None:
        self._go.release()


class Flight:
    """Checks that are shared by threads, and the failures that they count."""

    def __init__(self, threads: ThreadPoolExecutor) -> None:
        self._threads = threads
        self._lock = Lock()
        self.joined = Semaphore(0)
        self.failures: list[tuple[str, str]] = []
        self.checks = SharedChecks(self._giving_way)

    @contextmanager
    def _giving_way(self) -> Iterator[None]:
        self.joined.release()
        yield

    def begin(
        self,
        check: Callable[[], bool],
        attempt: tuple[str, str] = ALICE,
        question: tuple[bytes, str | None] = RIGHT,
        count: Callable[[], None] | None = None,
    ) -> "Future[bool]":
        return self._threads.submit(
            self.checks.run, attempt, question, check, count or (lambda: self.count_failure(attempt))
        )

    def count_failure(self, attempt: tuple[str, str]) -> None:
        with self._lock:
            self.failures.append(attempt)

    def await_joiners(self, number: int) -> None:
        for _ in range(number):
            assert self.joined.acquire(timeout=PATIENCE)

    def assert_nothing_is_kept(self) -> None:
        assert not self.checks._checks
        assert not self.checks._attempts
        assert self.checks._waiting == 0


@pytest.fixture
def flight() -> Iterator[Flight]:
    with ThreadPoolExecutor(16) as threads:
        yield Flight(threads)


@pytest.mark.parametrize("is_right", [True, False])
def test_the_same_credential_is_checked_once(flight: Flight, *, is_right: bool) -> None:
    """All who present it while it is checked get the answer of the one check; a failure is counted once."""
    check = Check(is_right)
    leader = flight.begin(check)
    check.await_beginning()
    joiners = [flight.begin(check) for _ in range(8)]
    flight.await_joiners(8)
    check.let_go()
    assert [one.result(PATIENCE) for one in (leader, *joiners)] == [is_right] * 9
    assert check.runs == 1
    assert flight.failures == ([] if is_right else [ALICE])
    flight.assert_nothing_is_kept()


def test_nothing_is_remembered(flight: Flight) -> None:
    """Who comes after the check has one of its own, and its failure counts again."""
    for _ in range(2):
        check = Check(False)  # noqa: FBT003 - what it answers
        check.let_go()
        assert not flight.begin(check).result(PATIENCE)
        assert check.runs == 1
    assert flight.failures == [ALICE, ALICE]


def test_each_client_counts_its_own_failure(flight: Flight) -> None:
    """Clients who share a check, and are wrong, each count it: nobody guesses on another's account."""
    check = Check(False)  # noqa: FBT003 - what it answers
    first = flight.begin(check)
    check.await_beginning()
    others = [flight.begin(check, attempt) for attempt in (ELSEWHERE, ALICE, ELSEWHERE)]
    flight.await_joiners(3)
    check.let_go()
    assert not any(one.result(PATIENCE) for one in (first, *others))
    assert sorted(flight.failures) == [ALICE, ELSEWHERE]
    flight.assert_nothing_is_kept()


def test_another_credential_of_the_same_attempt_is_refused(flight: Flight) -> None:
    """One client tries one credential for a user at a time; for another user, or from elsewhere, any is checked."""
    held, free = Check(False), Check(True, True)  # noqa: FBT003 - what they answer
    leader = flight.begin(held)
    held.await_beginning()
    with pytest.raises(TooManyAttemptsError) as refused:
        flight.begin(free, question=OTHER).result(PATIENCE)
    assert refused.value.retry_after == 1
    assert free.runs == 0
    free.let_go()
    free.let_go()
    assert flight.begin(free, ELSEWHERE, OTHER).result(PATIENCE)
    assert flight.begin(free, (ALICE[0], "bob"), OTHER).result(PATIENCE)
    held.let_go()
    leader.result(PATIENCE)
    free.let_go()
    flight.assert_nothing_is_kept()
    assert flight.failures == [ALICE]


def test_a_changed_hash_is_another_question(flight: Flight) -> None:
    """Who read the user after a change of password does not get the answer for the hash of before."""
    before, after = Check(False), Check(True)  # noqa: FBT003 - what they answer
    old = flight.begin(before)
    before.await_beginning()
    after.let_go()
    assert flight.begin(after, question=(RIGHT[0], "new hash")).result(PATIENCE)
    before.let_go()
    assert not old.result(PATIENCE)


@pytest.mark.parametrize("error", [UnavailableError("full"), TooManyAttemptsError(2), SystemExit()], ids=repr)
def test_a_leader_that_fails_lets_a_joiner_check(flight: Flight, error: BaseException) -> None:
    """What kept the first from finishing is its own: of those who waited, one checks for the others."""
    check = Check(error, True)  # noqa: FBT003 - what it answers
    leader = flight.begin(check)
    check.await_beginning()
    joiners = [flight.begin(check, attempt) for attempt in (ELSEWHERE, ELSEWHERE, ALICE)]
    flight.await_joiners(3)
    check.let_go()
    check.await_beginning()
    flight.await_joiners(2)
    check.let_go()
    with pytest.raises(type(error)):
        leader.result(PATIENCE)
    assert all(joiner.result(PATIENCE) for joiner in joiners)
    assert check.runs == 2
    assert flight.failures == []
    flight.assert_nothing_is_kept()


def test_a_failure_that_cannot_be_counted_is_not_told(flight: Flight) -> None:
    """When the store takes no failure, none of those who share it learns that the credential was wrong."""
    counting, refuse = Event(), Event()

    def count() -> None:
        counting.set()
        assert refuse.wait(PATIENCE)
        raise UnavailableError("the store takes nothing")

    check = Check(False)  # noqa: FBT003 - what it answers
    leader = flight.begin(check, count=count)
    check.await_beginning()
    joiners = [flight.begin(check, count=count) for _ in range(3)]
    flight.await_joiners(3)
    check.let_go()
    assert counting.wait(PATIENCE)
    refuse.set()
    for one in (leader, *joiners):
        with pytest.raises(UnavailableError):
            one.result(PATIENCE)
    flight.assert_nothing_is_kept()


def test_waiting_is_bounded_in_number(flight: Flight, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody takes more places than are left to others; the next joiner is refused at once, and a leader never."""
    monkeypatch.setattr(shared_checks, "_MOST_WAITING", 4)  # the leader counts too, so 2 may join it
    check, other = Check(True), Check(True)  # noqa: FBT003 - what they answer
    leader = flight.begin(check)
    check.await_beginning()
    joiners = [flight.begin(check) for _ in range(2)]
    flight.await_joiners(2)
    with pytest.raises(UnavailableError):
        flight.begin(check).result(PATIENCE)
    other.let_go()
    assert flight.begin(other, ELSEWHERE, OTHER).result(PATIENCE)
    check.let_go()
    assert all(one.result(PATIENCE) for one in (leader, *joiners))
    flight.assert_nothing_is_kept()


def test_waiting_is_bounded_in_time(flight: Flight, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits too long for another's check is refused; the check goes on, for whoever leads it."""
    check = Check(True)  # noqa: FBT003 - what it answers
    leader = flight.begin(check)
    check.await_beginning()
    monkeypatch.setattr(shared_checks, "_PATIENCE", 0.01)
    with pytest.raises(UnavailableError):
        flight.begin(check).result(PATIENCE)
    check.let_go()
    assert leader.result(PATIENCE)
    flight.assert_nothing_is_kept()


def test_way_is_given_for_waiting_alone(flight: Flight) -> None:
    """The check itself gives way where it waits, so it is not surrounded here."""
    check = Check(True)  # noqa: FBT003 - what it answers
    check.let_go()
    assert flight.begin(check).result(PATIENCE)
    assert not flight.joined.acquire(blocking=False)
