"""Reads that simultaneous requests share: fresh, no more than needed, and each with its own error."""

from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock, Semaphore

import pytest

from models import lookups
from models.errors import CorruptRecordError, UnavailableError
from models.lookups import SharedRead, Ticket
from models.storage import Found
from models.user import User
from tests.storage.stores import make_user

PATIENCE = 30  # seconds for what must happen


class Read:
    """One call of the read function, held until the test lets it go. Its users have its number as their revision."""

    def __init__(self, number: int, keys: frozenset[str]) -> None:
        self.number = number
        self.keys = keys
        self.outcome: Mapping[str, Found] | BaseException = {
            key: make_user(key, revision=number) for key in keys if not key.startswith("no")
        }
        self._go = Semaphore(0)

    def let_go(self, outcome: Mapping[str, Found] | BaseException | None = None) -> None:
        self.outcome = self.outcome if outcome is None else outcome
        self._go.release()

    def run(self) -> Mapping[str, Found]:
        assert self._go.acquire(timeout=PATIENCE)
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome


class Reads:
    """A shared read, the threads that use it, and the calls that it makes of its read function."""

    def __init__(self, threads: ThreadPoolExecutor) -> None:
        self._threads = threads
        self._lock = Lock()
        self._begun = Semaphore(0)
        self.calls: list[Read] = []
        self.shared = SharedRead[str](self._read)

    def _read(self, keys: Collection[str]) -> Mapping[str, Found]:
        with self._lock:
            call = Read(len(self.calls), frozenset(keys))
            self.calls.append(call)
        self._begun.release()
        return call.run()

    def answer(self, ticket: Ticket[str]) -> "Future[User | None]":
        """Have a thread of its own wait for the answer."""
        return self._threads.submit(self.shared.answer, ticket)

    def get(self, key: str) -> "Future[User | None]":
        return self.answer(self.shared.ask(key))

    def next_call(self) -> Read:
        """Wait until the read function is called once more."""
        assert self._begun.acquire(timeout=PATIENCE)
        return self.calls[-1]


@pytest.fixture
def reads() -> Iterator[Reads]:
    with ThreadPoolExecutor(20) as threads:
        reads = Reads(threads)
        yield reads
        for call in reads.calls:
            call.let_go()


def revision(answer: "Future[User | None]") -> int | None:
    user = answer.result(PATIENCE)
    return None if user is None else user.revision


def test_one_alone_is_read_at_once(reads: Reads) -> None:
    """A look-up gets its user, or nothing, by a read of its own."""
    ann = reads.get("ann")
    reads.next_call().let_go()
    assert revision(ann) == 0
    nobody = reads.get("nobody")
    reads.next_call().let_go()
    assert nobody.result(PATIENCE) is None
    assert [call.keys for call in reads.calls] == [{"ann"}, {"nobody"}]


def test_all_who_ask_during_a_read_share_the_next(reads: Reads) -> None:
    """However many ask while one read is in flight, one more read answers them all, and names that repeat once."""
    first = reads.get("ann")
    slow = reads.next_call()
    names = [f"user{number % 6}" for number in range(12)] + ["nobody", "ann"]
    tickets = [reads.shared.ask(name) for name in names]
    answers = [reads.answer(ticket) for ticket in tickets]
    slow.let_go()
    reads.next_call().let_go()
    assert revision(first) == 0
    assert [revision(answer) for answer in answers] == [1] * 12 + [None, 1]
    assert [call.keys for call in reads.calls] == [{"ann"}, set(names)]


def test_no_read_answers_who_asked_after_it_began(reads: Reads) -> None:
    """Who asks for the very user that is being read gets it from a read that begins afterwards."""
    early = reads.get("ann")
    call = reads.next_call()
    late = reads.get("ann")
    call.let_go()
    reads.next_call().let_go()
    assert (revision(early), revision(late)) == (0, 1)


def test_every_answer_is_as_fresh_as_a_read_of_its_own() -> None:
    """Among many threads, what is answered was never read before it was asked for."""
    lock = Lock()
    version = 0

    def read(keys: Collection[str]) -> Mapping[str, Found]:
        began_at = version
        return {key: make_user(key, revision=began_at) for key in keys}

    shared = SharedRead[str](read)

    def ask_often(number: int) -> None:
        nonlocal version
        for _ in range(150):
            with lock:
                version += 1
                asked_at = version
            user = shared.answer(shared.ask(f"user{number % 3}"))
            assert user is not None
            assert user.revision >= asked_at

    with ThreadPoolExecutor(12) as threads:
        list(threads.map(ask_often, range(12)))


def test_a_slow_read_does_not_hold_up_the_others(reads: Reads) -> None:
    """After a moment the next one is read beside it, and is answered first."""
    slow = reads.get("ann")
    stuck = reads.next_call()
    for name in ("bob", "cid"):
        quick = reads.get(name)
        reads.next_call().let_go()
        assert revision(quick) is not None
    assert not slow.done()
    stuck.let_go()
    assert revision(slow) == 0
    assert not reads.shared._turn.locked()


def test_batches_are_bounded(reads: Reads) -> None:
    """More names than one read takes are read by several, and all are answered."""
    names = [f"user{number}" for number in range(3 * lookups._MOST_KEYS + 1)]
    tickets = [reads.shared.ask(name) for name in names]
    answers = []
    for first in range(0, len(names), lookups._MOST_KEYS):
        answers.append(reads.answer(tickets[first]))
        reads.next_call().let_go()
    assert [revision(answer) for answer in answers] == [0, 1, 2, 3]
    users = [reads.shared.answer(ticket) for ticket in tickets]
    assert [user and user.user_name for user in users] == names
    assert len(reads.calls) == 4
    assert all(len(call.keys) <= lookups._MOST_KEYS for call in reads.calls)
    assert frozenset().union(*(call.keys for call in reads.calls)) == set(names)


class OddError(Exception):
    """An error that is not made of its ``args``."""

    def __init__(self, one: int, *, other: int) -> None:
        super().__init__(f"{one} {other}")


@pytest.mark.parametrize("error", [UnavailableError("no primary", 7), ValueError("x"), OddError(1, other=2)], ids=repr)
def test_everyone_gets_the_error(reads: Reads, error: Exception) -> None:
    """When the read fails, all who share it get its error, and the next read has nothing to do with it."""
    blocker = reads.get("ann")
    slow = reads.next_call()
    tickets = [reads.shared.ask("bob") for _ in range(6)]
    answers = [reads.answer(ticket) for ticket in tickets]
    slow.let_go()
    reads.next_call().let_go(error)
    raised = [answer.exception(PATIENCE) for answer in answers]
    assert {(type(one), str(one), getattr(one, "retry_after", None)) for one in raised} == {
        (type(error), str(error), getattr(error, "retry_after", None))
    }
    after = reads.get("bob")
    reads.next_call().let_go()
    assert (revision(blocker), revision(after)) == (0, 2)


def test_each_error_is_an_object_of_its_own(reads: Reads) -> None:
    """Threads that raise at once do not write their traces into each other's exception; the first one is the cause."""
    original = UnavailableError("no primary")
    answers = [reads.answer(ticket) for ticket in [reads.shared.ask("bob") for _ in range(4)]]
    reads.next_call().let_go(original)
    raised = [answer.exception(PATIENCE) for answer in answers]
    assert len({id(error) for error in [*raised, original]}) == 5
    assert {id(error.__cause__) for error in raised if error} == {id(original)}


def test_a_reader_that_is_ended_is_replaced(reads: Reads) -> None:
    """If the thread that reads is ended, the next who waits reads again, and nothing stays locked."""
    answers = [reads.answer(ticket) for ticket in [reads.shared.ask("ann") for _ in range(4)]]
    reads.next_call().let_go(SystemExit())
    reads.next_call().let_go(KeyboardInterrupt())
    reads.next_call().let_go()
    ended = [answer for answer in answers if answer.exception(PATIENCE)]
    assert {type(answer.exception()) for answer in ended} == {SystemExit, KeyboardInterrupt}
    assert [revision(answer) for answer in answers if answer not in ended] == [2, 2]
    assert not reads.shared._turn.locked()
    late = reads.get("bob")
    reads.next_call().let_go()
    assert revision(late) == 3


def test_a_corrupt_user_spoils_its_own_answer_alone(reads: Reads) -> None:
    """Who asked for it gets its error, an object for each; the others of the read get their users."""
    names = ["bad", "ann", "bad", "nobody"]
    answers = [reads.answer(ticket) for ticket in [reads.shared.ask(name) for name in names]]
    reads.next_call().let_go({"bad": CorruptRecordError("0123"), "ann": make_user("ann")})
    one, other = answers[0].exception(PATIENCE), answers[2].exception(PATIENCE)
    for error in (one, other):
        assert isinstance(error, CorruptRecordError)
        assert error.record_id == "0123"
    assert one is not other
    assert revision(answers[1]) == 1
    assert answers[3].result(PATIENCE) is None


def test_who_asked_and_left_is_missed_by_no_one(reads: Reads) -> None:
    """A look-up that nobody waits for any more costs no read of its own, and holds nobody up."""
    for _ in range(200):
        reads.shared.ask("gone")
    ann = reads.get("ann")
    reads.next_call().let_go()
    assert revision(ann) == 0
    assert [call.keys for call in reads.calls] == [{"gone", "ann"}]
