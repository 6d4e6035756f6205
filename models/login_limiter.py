"""Failed logins slow down whoever makes them: by address and user name, and by address (OWASP ASVS 5, 6.3.1)."""

import math
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from threading import Lock

from models.clients import Client
from models.errors import TooManyAttemptsError, UnavailableError
from models.guesses import Persistent, RepeatedFailures
from models.login_failures import LoginFailures
from models.records import Counted
from models.secret_key import KeyRing
from models.storage import Store
from models.waiting import about_to_wait

# After the n-th failure nothing is tried for 0.5 · 2^(n-1) seconds, and for a minute at most. An address may fail as
# often as this before it is slowed as a whole: many people may be behind one, and their mistakes add up.
FREE_FAILURES_OF_ADDRESS = 20
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 60.0  # seconds
_PAUSE_UNCOUNTED = 5.0  # seconds, when the failure could not be counted
_FORGOTTEN_AFTER = timedelta(minutes=15)  # without a failure
_MOST_KNOWN = 10_000


class LoginLimiter:
    """Counts failures in the store, for all replicas, under digests of address and name; a success writes nothing.

    Nobody is locked out by what others do from other addresses: there is no counter of a user name alone.
    ``credential`` is what this process calls the one that is presented (``RememberedCredentials.name_of``).
    """

    def __init__(self, store: Store, keys: KeyRing, clock: Callable[[], datetime], failures: LoginFailures) -> None:
        self._store = store
        self._failures = failures
        self._key = keys.lasting
        self._clock = clock
        # What this process knows of counters: until when they refuse, and what they held.
        self._known: dict[str, tuple[datetime, Counted]] = {}
        self._repeated = RepeatedFailures(_pause, _FORGOTTEN_AFTER)
        self._persistent = Persistent()
        self._lock = Lock()

    def refuse_known(
        self, client: Client, user_name: str | None = None, credential: bytes = b"", *, is_vouched: bool = False
    ) -> None:
        """Do as ``admit`` does, by what this process knows already: it costs no look at the store."""
        now = self._clock()
        known = (self._known.get(key) for key in self._free_failures(client, user_name, is_vouched=is_vouched))
        # More than the longest pause means that the clock was set back: then the store is asked.
        latest = now + timedelta(seconds=_LONGEST_PAUSE)
        self._refuse(client, user_name, [self._repeated.end((client.address, credential), now)], now)
        try:
            _refuse((end for end, _ in filter(None, known) if end <= latest), now)
        except TooManyAttemptsError as refusal:
            self.note_refused(client, user_name, refusal)
            raise

    def note_refused(self, client: Client, user_name: str | None, refusal: TooManyAttemptsError) -> None:
        """Note a guess that was refused without being looked at."""
        self._failures.refused(client, user_name)
        if user_name is not None:
            now = self._clock()
            self._persistent.note((client.address, user_name), now + timedelta(seconds=refusal.retry_after), now)

    def refuse_persistent(self, client: Client, user_name: str) -> None:
        """Refuse even what is remembered, where so many were refused that this would tell which one is right."""
        now = self._clock()
        end = self._persistent.end((client.address, user_name))
        # As above: a pause that ends later is one of a clock that was ahead.
        self._refuse(
            client,
            user_name,
            [end if end is not None and end <= now + timedelta(seconds=_LONGEST_PAUSE) else None],
            now,
        )

    def admit(self, client: Client, user_name: str | None = None, *, is_vouched: bool = False) -> int:
        """Let a credential be looked at, and return how often its address (vouched for: its name there) has failed.

        Raises ``TooManyAttemptsError`` while the address, or the user name from there, is slowed down. Where a known
        caller vouches for it, the name's tries from there count, and the address's do not.
        """
        try:
            return self.readmit(client, user_name, is_vouched=is_vouched)
        except TooManyAttemptsError:
            self._failures.refused(client, user_name)
            raise

    def readmit(self, client: Client, user_name: str | None = None, *, is_vouched: bool = False) -> int:
        """Do as ``admit`` does, for a caller who calls ``note_refused``."""
        now = self._clock()
        free_failures = self._free_failures(client, user_name, is_vouched=is_vouched)
        found = self._store.counters.find(free_failures, now=now)
        ends = {key: self._end(key, failures, free_failures[key], now) for key, failures in found.items()}
        self._note({key: (end, found[key]) for key, end in ends.items() if end > now})
        _refuse(ends.values(), now)
        address = found.get(next(iter(free_failures)))
        return address.count if address else 0

    def failed(
        self, client: Client, user_name: str | None = None, credential: bytes | None = None, *, is_vouched: bool = False
    ) -> None:
        """Count one failure, before it is told.

        The same wrong ``credential`` again is no other guess: it is slowed down by itself, and counts for nothing else.
        A forgotten job with an old password uses up nothing of what others at its address have.
        """
        about_to_wait()
        self._failures.failed(client, user_name)
        now = self._clock()
        repeated = None if credential is None else (client.address, credential)
        if repeated and self._repeated.count(repeated, now):
            return
        keys = list(self._free_failures(client, user_name, is_vouched=is_vouched))
        try:
            self._store.counters.add(keys, now=now, expires_at=now + _FORGOTTEN_AFTER)
        except UnavailableError:
            # This answer tells as well that it was wrong, so the next guess has to wait, at this process at least.
            end = now + timedelta(seconds=_PAUSE_UNCOUNTED)
            self._note({keys[-1]: (end, Counted(0, now))})
            raise
        if repeated:
            self._repeated.begin(repeated, now)

    def _free_failures(self, client: Client, user_name: str | None, *, is_vouched: bool = False) -> Mapping[str, int]:
        """Return the counters that decide, the widest first, and how many failures each lets go by."""
        counters = {} if is_vouched else {self._key.limiter_digest(client.address): FREE_FAILURES_OF_ADDRESS}
        if user_name is not None:
            counters[self._key.limiter_digest(client.address, user_name)] = 0
        return counters

    def _end(self, key: str, failures: Counted, free: int, now: datetime) -> datetime:
        """Return until when the counter refuses.

        A replica whose clock is ahead makes nobody wait for that: the pause begins when this process first sees it.
        """
        counted = failures.count - free
        if counted <= 0:
            return now
        end = min(failures.last, now) + _pause(counted)
        known_end, known = self._known.get(key, (end, failures))
        return min(end, known_end) if known == failures else end

    def _note(self, ends: Mapping[str, tuple[datetime, Counted]]) -> None:
        with self._lock:
            self._known |= ends
            if len(self._known) > _MOST_KNOWN:
                # The store knows them all, so that forgetting some costs no more than looking there.
                self._known = dict(ends)

    def _refuse(self, client: Client, user_name: str | None, ends: Iterable[datetime | None], now: datetime) -> None:
        try:
            _refuse(ends, now)
        except TooManyAttemptsError:
            self._failures.refused(client, user_name)
            raise


def _refuse(ends: Iterable[datetime | None], now: datetime) -> None:
    seconds = max(((end - now).total_seconds() for end in ends if end is not None), default=0.0)
    if seconds > 0:
        raise TooManyAttemptsError(math.ceil(seconds))


def _pause(failures: int) -> timedelta:
    return timedelta(seconds=min(_FIRST_PAUSE * 2.0 ** min(failures - 1, 16), _LONGEST_PAUSE))
