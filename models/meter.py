"""What is counted and timed while Doorman runs, and who does it: nobody, unless the server has somewhere to put it."""

from dataclasses import dataclass
from typing import Protocol

# Seconds. What waits for a database or for others takes milliseconds when all is well, and seconds at the worst.
QUICK = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
SLOW = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0)


@dataclass(frozen=True, slots=True, eq=False)
class Metric:
    """A figure by its name in Prometheus. Of each label there are few values, and no client chooses them."""

    name: str
    documentation: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Counter(Metric):
    """How often something has happened. The series of ``begun`` are told from the start, as 0.

    Prometheus sees no increase in a series that begins with its first event, and an alert may wait for just that one.
    """

    begun: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Gauge(Metric):
    """How many there are now. What a process had ends with it."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Histogram(Metric):
    """How long something took, by upper bounds in seconds."""

    bounds: tuple[float, ...]


class Meter(Protocol):
    """Takes figures, from any thread, in no time to speak of. Labels are given in the metric's order."""

    def count(self, counter: Counter, *labels: str, by: int = 1) -> None: ...

    def move(self, gauge: Gauge, by: int, *labels: str) -> None: ...

    def observe(self, histogram: Histogram, seconds: float, *labels: str) -> None: ...


class NullMeter:
    """Lets go of every figure."""

    def count(self, counter: Counter, *labels: str, by: int = 1) -> None:
        """Do nothing, as the others."""

    def move(self, gauge: Gauge, by: int, *labels: str) -> None: ...

    def observe(self, histogram: Histogram, seconds: float, *labels: str) -> None: ...


UNMETERED: Meter = NullMeter()

CREDENTIALS = Counter(
    "doorman_credentials_total",
    "Credentials that were looked at, by whether this process remembered them as right (then nothing was hashed).",
    ("remembered",),
)
HASHING_WAITING = Gauge("doorman_hashing_waiting", "Requests that wait for their turn to hash.", ("queue",))
HASHING_RUNNING = Gauge("doorman_hashing_running", "Requests that hash.")
HASHING_WAIT = Histogram(
    "doorman_hashing_wait_seconds", "How long who was given a turn to hash had waited for it.", ("queue",), bounds=SLOW
)
HASHING_TIME = Histogram("doorman_hashing_seconds", "How long turns to hash took.", ("queue",), bounds=SLOW)
HASHING_REFUSED = Counter(
    "doorman_hashing_refused_total",
    "Requests that were given no turn to hash, and were answered 503.",
    ("queue", "why"),
)
STORE_TIME = Histogram("doorman_store_seconds", "How long calls of the store took.", ("operation",), bounds=QUICK)
STORE_FAILED = Counter(
    "doorman_store_failures_total", "Calls of the store that it could not carry out.", ("operation",)
)
SESSIONS_BEGUN = Counter("doorman_sessions_begun_total", "Sessions that logins began.", ("kind",))
SESSIONS_ENDED = Counter(
    "doorman_sessions_ended_total", "Sessions that were ended by request, before they expired.", ("kind",)
)
SESSIONS_PRESENTED = Counter(
    "doorman_sessions_presented_total",
    "Ids of sessions that were presented, by what came of it.",
    ("kind", "outcome"),
)

CORE_METRICS: tuple[Metric, ...] = (
    CREDENTIALS,
    HASHING_WAITING,
    HASHING_RUNNING,
    HASHING_WAIT,
    HASHING_TIME,
    HASHING_REFUSED,
    STORE_TIME,
    STORE_FAILED,
    SESSIONS_BEGUN,
    SESSIONS_ENDED,
    SESSIONS_PRESENTED,
)
