"""What writers have been answered, and what of it should not have been."""

from collections import Counter
from dataclasses import dataclass, field
from threading import Condition

import httpx

from tests.faults.extent import extent

UNAVAILABLE = 503
# Seconds for a write to be acknowledged. Now and then MongoDB itself takes more than half a minute: when the member
# that is stopped was the one that the other secondary reads from, there is no majority until it has found another.
_PATIENCE = extent(30.0, 120.0)
# Seconds within which each request is answered, whatever becomes of the database; and where other tests run beside it.
BOUND_SECONDS = extent(15.0, 5.0)


@dataclass(slots=True)
class Tally:
    """Counts of all writers together. ``lost``, ``torn``, ``stale`` and ``unexpected`` tell each case in words."""

    acknowledged: int = 0
    refused: Counter[int] = field(default_factory=Counter)
    without_retry_after: int = 0
    broken: list[str] = field(default_factory=list)  # no answer at all
    unexpected: list[str] = field(default_factory=list)  # a status that the contract has not for this
    lost: list[str] = field(default_factory=list)
    torn: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)  # read as it was before what was acknowledged, and right soon after
    slowest: float = 0.0  # seconds
    slow: list[str] = field(default_factory=list)  # later than promised
    _writes: list[tuple[str, float, float]] = field(default_factory=list)  # to which server, begun when, answered when
    _changed: Condition = field(default_factory=Condition)

    def note(self, what: str, answer: httpx.Response, took: float) -> None:
        with self._changed:
            self.slowest = max(self.slowest, took)
            if took > BOUND_SECONDS:
                self.slow.append(f"{what}: {answer.status_code} after {took:.2f} s")
            if answer.status_code == UNAVAILABLE:
                self.refused[UNAVAILABLE] += 1
                self.without_retry_after += not answer.headers.get("Retry-After", "").isdecimal()

    def note_write(self, server: str, begun: float, ended: float) -> None:
        with self._changed:
            self.acknowledged += 1
            self._writes.append((server, begun, ended))
            self._changed.notify_all()

    def note_unexpected(self, what: str, answer: httpx.Response) -> None:
        with self._changed:
            if answer.status_code != UNAVAILABLE:
                self.refused[answer.status_code] += 1
                self.unexpected.append(f"{what}: {answer.status_code} {answer.text[:200]}")

    def await_writes(self, number: int) -> None:
        """Return when so many more writes have been acknowledged."""
        with self._changed:
            enough = self.acknowledged + number
            assert self._changed.wait_for(lambda: self.acknowledged >= enough, _PATIENCE), "waited in vain for writes"

    def await_served(self, moment: float, server: str) -> float:
        """Return when the server first acknowledged a write that began after ``moment``, once it has."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._served_after(moment, server), _PATIENCE), "no write is served"
            return min(self._served_after(moment, server))

    def _served_after(self, moment: float, server: str) -> list[float]:
        return [ended for name, begun, ended in self._writes if name == server and begun >= moment]

    def faults(self) -> dict[str, list[str]]:
        """Return what must not be, by its kind, as far as there is any."""
        kinds = {
            "lost": self.lost,
            "torn": self.torn,
            "doubled": self.doubled,
            "stale": self.stale,
            "unexpected": self.unexpected,
            "slow": self.slow,
        }
        return {kind: cases for kind, cases in kinds.items() if cases}
