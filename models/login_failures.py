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


@dataclass(slots=True, eq=False)
class _Row:
    """What fails in a minute at one place: what has come since it was last written. The sets keep their order."""

    id: str
    kind: Kind
    place: str
    known: set[str]  # the digests of names that it has, written or not
    count: int = 0
    names: dict[str, None] = field(default_factory=dict)
    surfaces: dict[str, None] = field(default_factory=dict)

    def taken(self) -> Event:
        """Return what has come, and begin again from nothing."""
        details: dict[str, Detail] = {"count": self.count, "names": [*self.names], "surfaces": [*self.surfaces]}
        self.count = 0
        self.names.clear()
        self.surfaces.clear()
        return Event(
            id=self.id,
            kind=self.kind,
            actor=None,
            subject=None,
            address=self.place,
            request_id="",
            surface="",
            details=details,
        )


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
        self._minute = self._minute_end = _FIRST
        self._rows: dict[Kind, dict[str, _Row]] = {}  # this minute's, by their places
        self._told_apart = Counter[tuple[Kind, int]]()  # this minute's rows, of addresses and of networks
        self._waiting: dict[str, _Row] = {}
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
            return [row.taken() for row in waiting.values()]

    def give_back(self, events: Iterable[Event]) -> None:
        """Take back what could not be written."""
        with self._lock:
            for event in events:
                row = self._rows.get(event.kind, {}).get(event.address)
                if row is None or row.id != event.id:  # it is of another minute
                    row = self._waiting.get(event.id) or _Row(event.id, event.kind, event.address, set())
                if self._may_wait(row):
                    count, names, surfaces = (event.details[name] for name in ("count", "names", "surfaces"))
                    row.count += count if isinstance(count, int) else 0
                    row.names |= _set_of(names)
                    row.surfaces |= _set_of(surfaces)

    def _add(self, kind: Kind, client: Client, user_name: str | None) -> None:
        surface, now = self._whence().surface, self._clock()
        with self._lock:
            if not self._minute <= now < self._minute_end:
                self._minute = now - (now - _FIRST) % _MINUTE
                self._minute_end = self._minute + _MINUTE
                self._rows = {Kind.LOGIN_FAILED: {}, Kind.LOGIN_REFUSED: {}}
                self._told_apart.clear()
            row = self._row(kind, self._rows[kind], client, now)
            if self._may_wait(row):
                row.count += 1
                row.surfaces[surface] = None
                if user_name is not None and len(row.known) < MOST_NAMES:
                    self._add_name(row, user_name)
        self._noted()

    def _row(self, kind: Kind, rows: dict[str, _Row], client: Client, now: datetime) -> _Row:
        """Return the row of the address, of its network, or of all others."""
        levels = ((client.address.removesuffix("/32"), MOST_ADDRESSES), (client.network, MOST_NETWORKS))
        for level, (place, most) in enumerate(levels):
            if (row := rows.get(place)) is not None:
                return row
            if self._told_apart[kind, level] < most and self._may_begin(now):
                self._told_apart[kind, level] += 1
                return self._begun(kind, rows, place)
        return rows.get(ELSEWHERE) or self._begun(kind, rows, ELSEWHERE)

    def _begun(self, kind: Kind, rows: dict[str, _Row], place: str) -> _Row:
        row_id = tally_id(self._minute, self._key.audit_digest("row", kind, place))
        row = rows[place] = _Row(row_id, kind, place, set())
        return row

    def _may_begin(self, now: datetime) -> bool:
        """Take one from the allowance of rows, which grows by the day."""
        passed = max(now - self._allowed_at, timedelta(0))
        self._allowance = min(self._allowance + ROWS_A_DAY * (passed / _DAY), ROWS_A_DAY)
        self._allowed_at = now
        if self._allowance < 1:
            return False
        self._allowance -= 1
        return True

    def _may_wait(self, row: _Row) -> bool:
        """Put a row among those to be written, if there is room."""
        if row.id not in self._waiting:
            if len(self._waiting) >= _MOST_WAITING:
                return False
            self._waiting[row.id] = row
        return True

    def _add_name(self, row: _Row, user_name: str) -> None:
        digest = self._key.audit_digest("name", user_name)[:NAME_DIGITS]
        if digest not in row.known:
            row.known.add(digest)
            row.names[digest] = None


def _set_of(values: Detail) -> dict[str, None]:
    return dict.fromkeys(values) if isinstance(values, Sequence) and not isinstance(values, str) else {}
