"""Single flight: simultaneous requests with the same credential share one check of it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from threading import Event, Lock

from models.errors import TooManyAttemptsError, UnavailableError
from models.hashing_gate import GivingWay
from models.waiting import about_to_wait

Question = tuple[bytes, str | None]

_MOST_WAITING = 128  # for other requests' checks, in this process
_PATIENCE = 8.0  # seconds: longer than whoever is at it may wait for its turn


@dataclass(eq=False, slots=True)
class _Check:
    done: Event = field(default_factory=Event)
    is_right: bool | None = None  # None: it could not be finished


@dataclass(slots=True)
class _Attempts:
    """The requests of one client for one user that are at it now, all with the same credential."""

    credential: bytes
    count: int = 0
    counting: Lock = field(default_factory=Lock)
    is_counted: bool | None = None  # False: it was tried in vain


class SharedChecks:
    """Runs each check of a credential once at a time, and different ones for the same client and name not at all.

    ``giving_way`` surrounds the waiting for another request's check.
    """

    def __init__(self, giving_way: GivingWay = nullcontext) -> None:
        self._giving_way = giving_way
        self._lock = Lock()
        self._checks: dict[Question, _Check] = {}
        self._attempts: dict[tuple[str, str], _Attempts] = {}
        self._waiting = 0

    def run(
        self,
        attempt: tuple[str, str],
        question: Question,
        check: Callable[[], bool],
        count_failure: Callable[[], None],
    ) -> bool:
        """Return what ``check`` gives, here or in a request that is at the same ``question`` already.

        A question is a credential, and the stored hash that it is checked against. ``attempt`` is the client's address
        and the user name; ``count_failure`` is called once for all requests of an attempt. Raises
        ``TooManyAttemptsError`` when another credential is being checked for it, and whatever the two calls raise.
        """
        about_to_wait()
        with self._attempting(attempt, question[0]) as attempts:
            is_right = self._answer(question, check, attempts)
            if not is_right:
                self._count_once(attempts, count_failure)
            return is_right

    def _count_once(self, attempts: _Attempts, count_failure: Callable[[], None]) -> None:
        """Count the failure before anyone is told of it; if that cannot be done, nobody is."""
        with self._giving_way(), attempts.counting:
            if attempts.is_counted is None:
                attempts.is_counted = False
                count_failure()
                attempts.is_counted = True
            if not attempts.is_counted:
                raise UnavailableError("a failed login could not be counted")

    def _answer(self, question: Question, check: Callable[[], bool], attempts: _Attempts) -> bool:
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            with self._lock:
                running = self._checks.get(question)
                if running is None:
                    own = self._checks[question] = _Check()
            if running is None:
                return self._finish(own, question, check)
            self._wait(running, deadline, attempts)
            if running.is_right is not None:
                return running.is_right
            # Who was at it could not finish, which may have had to do with its network: it is this one's turn.
        raise UnavailableError("others' checks of the same credential did not finish")

    def _finish(self, own: _Check, question: Question, check: Callable[[], bool]) -> bool:
        try:
            own.is_right = check()
            return own.is_right
        finally:
            with self._lock:
                del self._checks[question]
            own.done.set()

    def _wait(self, running: _Check, deadline: float, attempts: _Attempts) -> None:
        with self._lock:
            # Nobody takes more of the places than are left for others then.
            if attempts.count > _MOST_WAITING - self._waiting:
                raise UnavailableError("too many wait for the check of one credential")
            self._waiting += 1
        try:
            with self._giving_way():
                running.done.wait(deadline - time.monotonic())
        finally:
            with self._lock:
                self._waiting -= 1

    @contextmanager
    def _attempting(self, attempt: tuple[str, str], credential: bytes) -> Iterator[_Attempts]:
        with self._lock:
            attempts = self._attempts.setdefault(attempt, _Attempts(credential))
            if attempts.credential != credential:
                raise TooManyAttemptsError(1)
            attempts.count += 1
        try:
            yield attempts
        finally:
            with self._lock:
                attempts.count -= 1
                if not attempts.count:
                    del self._attempts[attempt]
