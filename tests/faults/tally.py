"""What writers have been answered, and what of it should not have been."""

from collections import Counter
from dataclasses import dataclass, field
from threading import Lock

import httpx

from tests.api.small_app import until
from tests.faults.extent import extent

UNAVAILABLE = 503
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
    _lock: Lock = field(default_factory=Lock)

    def note(self, what: str, answer: httpx.Response, took: float) -> None:
        with self._lock:
            self.slowest = max(self.slowest, took)
            if took > BOUND_SECONDS:
                self.slow.append(f"{what}: {answer.status_code} after {took:.2f} s")
            if answer.status_code == UNAVAILABLE:
                self.refused[UNAVAILABLE] += 1
                self.without_retry_after += not answer.headers.get("Retry-After", "").isdecimal()

    def note_write(self, server: str, begun: float, ended: float) -> None:
        with self._lock:
            self.acknowledged += 1
            self._writes.append((server, begun, ended))

    def note_unexpected(self, what: str, answer: httpx.Response) -> None:
        with self._lock:
            if answer.status_code != UNAVAILABLE:
                self.refused[answer.status_code] += 1
                self.unexpected.append(f"{what}: {answer.status_code} {answer.text[:200]}")

    def await_writes(self, number: int) -> None:
        """Return when so many more writes have been acknowledged."""
        enough = self.acknowledged + number
        until(lambda: self.acknowledged >= enough, "writes")

    def served_after(self, moment: float, server: str) -> float | None:
        """Return when the server first acknowledged a write that began after ``moment``, or ``None`` if it has not."""
        with self._lock:
            writes = [ended for name, begun, ended in reversed(self._writes) if name == server and begun >= moment]
        return min(writes, default=None)

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
