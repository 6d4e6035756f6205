"""Failed and refused logins, added up by address and minute, so that a flood of them takes little of the disk."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Lock

from models.clients import Client
from models.events import Detail, Event, Kind, tally_id
from models.origins import Whence
from models.secret_key import KeyRing

MOST_NAMES = 5  # digests of names that are kept of one address and minute
MOST_ADDRESSES = 100  # told apart in one minute; of the others, their networks
MOST_NETWORKS = 20  # in one minute; what comes from others yet is counted as one
ELSEWHERE = "elsewhere"
# In the long run a process begins no more rows than these, and two a minute, however long a flood lasts.
ROWS_A_DAY = 10_000
NAME_DIGITS = 16
_MOST_WAITING = 4_000  # rows that wait for a store which is away; what is beyond is let go
_MINUTE, _DAY = timedelta(minutes=1), timedelta(days=1)
_FIRST = datetime(1970, 1, 1, tzinfo=UTC)

Row = tuple[datetime, Kind, str]  # the minute, what happened in it, and where it came from


@dataclass(slots=True)
class _Tally:
    """What has come to one row since it was last written; the sets keep their order."""

    count: int = 0
    names: dict[str, None] = field(default_factory=dict)
    surfaces: dict[str, None] = field(default_factory=dict)

    def details(self) -> dict[str, Detail]:
        return {"count": self.count, "names": [*self.names], "surfaces": [*self.surfaces]}


class LoginFailures:
    """What one process adds up; ``take`` gives what is to be written. Nothing here takes time, or touches the store.

    People type passwords into the name's field, so a name is kept as a keyed digest alone, cut to 64 bits.
    """

    def __init__(
        self,
        keys: KeyRing,
        whence: Whence,
        clock: Callable[[], datetime],
    ) -> None:
        self._key = keys.lasting
        self._whence = whence
        self._clock = clock
        self._noted: Callable[[], None] = lambda: None
        self._lock = Lock()
        self._minute = _FIRST
        self._begun: dict[tuple[Kind, str], set[str]] = {}  # this minute's rows, and the digests that they have
        self._told_apart = Counter[tuple[Kind, int]]()  # this minute's rows, of addresses and of networks
        self._waiting: dict[Row, _Tally] = {}
        self._allowance, self._allowed_at = float(ROWS_A_DAY), clock()

    def when_noted(self, act: Callable[[], None]) -> None:
        """Have ``act`` called whenever there is something to be taken."""
        self._noted = act

    def failed(self, client: Client, user_name: str | None) -> None:
        """Add a credential that was wrong."""
        self._add(Kind.LOGIN_FAILED, client, user_name)

    def refused(self, client: Client, user_name: str | None) -> None:
        """Add a credential that was not looked at, since others from there were wrong."""
        self._add(Kind.LOGIN_REFUSED, client, user_name)

    def take(self) -> list[Event]:
        """Return what is to be added up in the store; here it is forgotten."""
        with self._lock:
            waiting, self._waiting = self._waiting, {}
        return [self._event(row, tally) for row, tally in waiting.items()]

    def give_back(self, events: Iterable[Event]) -> None:
        """Take back what could not be written."""
        with self._lock:
            for event in events:
                tally = self._tally((event.at, event.kind, event.address))
                if tally is not None:
                    count, names, surfaces = (event.details[name] for name in ("count", "names", "surfaces"))
                    tally.count += count if isinstance(count, int) else 0
                    tally.names |= _set_of(names)
                    tally.surfaces |= _set_of(surfaces)

    def _add(self, kind: Kind, client: Client, user_name: str | None) -> None:
        surface, now = self._whence().surface, self._clock()
        with self._lock:
            minute = now - (now - _FIRST) % _MINUTE
            if minute != self._minute:
                self._minute = minute
                self._begun.clear()
                self._told_apart.clear()
            place = self._place(kind, client, now)
            tally = self._tally((minute, kind, place))
            if tally is not None:
                tally.count += 1
                tally.surfaces[surface] = None
                self._add_name(tally, self._begun[kind, place], user_name)
        self._noted()

    def _place(self, kind: Kind, client: Client, now: datetime) -> str:
        """Return which row it comes to: that of the address, of its network, or of all others."""
        levels = ((client.address.removesuffix("/32"), MOST_ADDRESSES), (client.network, MOST_NETWORKS))
        for level, (place, most) in enumerate(levels):
            if (kind, place) in self._begun:
                return place
            if self._told_apart[kind, level] < most and self._may_begin(now):
                self._told_apart[kind, level] += 1
                self._begun[kind, place] = set()
                return place
        self._begun.setdefault((kind, ELSEWHERE), set())
        return ELSEWHERE

    def _may_begin(self, now: datetime) -> bool:
        """Take one from the allowance of rows, which grows by the day."""
        passed = max(now - self._allowed_at, timedelta(0))
        self._allowance = min(self._allowance + ROWS_A_DAY * (passed / _DAY), ROWS_A_DAY)
        self._allowed_at = now
        if self._allowance < 1:
            return False
        self._allowance -= 1
        return True

    def _tally(self, row: Row) -> _Tally | None:
        if row not in self._waiting and len(self._waiting) >= _MOST_WAITING:
            return None
        return self._waiting.setdefault(row, _Tally())

    def _add_name(self, tally: _Tally, known: set[str], user_name: str | None) -> None:
        if user_name is None or len(known) >= MOST_NAMES:
            return
        digest = self._key.audit_digest("name", user_name)[:NAME_DIGITS]
        if digest not in known:
            known.add(digest)
            tally.names[digest] = None

    def _event(self, row: Row, tally: _Tally) -> Event:
        minute, kind, place = row
        return Event(
            id=tally_id(minute, self._key.audit_digest("row", kind, place)),
            kind=kind,
            actor=None,
            subject=None,
            address=place,
            request_id="",
            surface="",
            details=tally.details(),
        )


def _set_of(values: Detail) -> dict[str, None]:
    return dict.fromkeys(values) if isinstance(values, Sequence) and not isinstance(values, str) else {}
