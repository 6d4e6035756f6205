"""Failed logins slow down whoever makes them: by address and user name, and by address (OWASP ASVS 5, 6.3.1)."""

import math
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from threading import Lock

from models.clients import Client
from models.errors import TooManyAttemptsError, UnavailableError
from models.secret_key import KeyRing
from models.storage import Failures, Store

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
    """

    def __init__(self, store: Store, keys: KeyRing, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._key = min(keys.keys, key=lambda key: key.id)  # the same on all replicas while the secret key is rotated
        self._clock = clock
        # What this process knows of counters: until when they refuse, and what they held.
        self._known: dict[str, tuple[datetime, Failures]] = {}
        self._wrong: OrderedDict[tuple[str, bytes], None] = OrderedDict()  # what was counted, by address
        self._lock = Lock()

    def refuse_known(self, client: Client, user_name: str | None = None) -> None:
        """Do as ``admit`` does, by what this process knows already: it costs no look at the store."""
        now = self._clock()
        known = (self._known.get(key) for key in self._free_failures(client, user_name))
        # More than the longest pause means that the clock was set back: then the store is asked.
        latest = now + timedelta(seconds=_LONGEST_PAUSE)
        self._refuse((end for end, _ in filter(None, known) if end <= latest), now)

    def admit(self, client: Client, user_name: str | None = None) -> int:
        """Let a credential be looked at, and return how often its address has failed lately.

        Raises ``TooManyAttemptsError`` while the address, or the user name from there, is slowed down.
        """
        now = self._clock()
        free_failures = self._free_failures(client, user_name)
        found = self._store.find_failures(free_failures, now=now)
        ends = {key: self._end(key, failures, free_failures[key], now) for key, failures in found.items()}
        self._note({key: (end, found[key]) for key, end in ends.items() if end > now})
        self._refuse(ends.values(), now)
        address = found.get(next(iter(free_failures)))
        return address.count if address else 0

    def failed(self, client: Client, user_name: str | None = None, credential: bytes | None = None) -> None:
        """Count one failure, before it is told.

        The same wrong ``credential`` again is no other guess, and so counts for the user name alone: a forgotten job
        with an old password does not use up what is free to all who share its address.
        """
        now = self._clock()
        address, *name = self._free_failures(client, user_name)
        keys = name if self._is_repeated(client, credential) else [address, *name]
        try:
            self._store.count_failures(keys, now=now, expires_at=now + _FORGOTTEN_AFTER)
        except UnavailableError:
            # This answer tells as well that it was wrong, so the next guess has to wait, at this process at least.
            end = now + timedelta(seconds=_PAUSE_UNCOUNTED)
            self._note(dict.fromkeys(name or keys, (end, Failures(0, now))))
            raise

    def _is_repeated(self, client: Client, credential: bytes | None) -> bool:
        if credential is None:
            return False
        with self._lock:
            is_repeated = (client.address, credential) in self._wrong
            self._wrong[client.address, credential] = None
            self._wrong.move_to_end((client.address, credential))
            if len(self._wrong) > _MOST_KNOWN:
                self._wrong.popitem(last=False)
            return is_repeated

    def _free_failures(self, client: Client, user_name: str | None) -> Mapping[str, int]:
        """Return the counters that decide, the address's first, and how many failures each lets go by."""
        counters = {self._key.limiter_digest(client.address): FREE_FAILURES_OF_ADDRESS}
        if user_name is not None:
            counters[self._key.limiter_digest(client.address, user_name)] = 0
        return counters

    def _end(self, key: str, failures: Failures, free: int, now: datetime) -> datetime:
        """Return until when the counter refuses.

        A replica whose clock is ahead makes nobody wait for that: the pause begins when this process first sees it.
        """
        counted = failures.count - free
        if counted <= 0:
            return now
        pause = timedelta(seconds=min(_FIRST_PAUSE * 2.0 ** min(counted - 1, 16), _LONGEST_PAUSE))
        end = min(failures.last, now) + pause
        known_end, known = self._known.get(key, (end, failures))
        return min(end, known_end) if known == failures else end

    def _note(self, ends: Mapping[str, tuple[datetime, Failures]]) -> None:
        with self._lock:
            self._known |= ends
            if len(self._known) > _MOST_KNOWN:
                # The store knows them all, so that forgetting some costs no more than looking there.
                self._known = dict(ends)

    @staticmethod
    def _refuse(ends: Iterable[datetime], now: datetime) -> None:
        seconds = max(((end - now).total_seconds() for end in ends), default=0.0)
        if seconds > 0:
            raise TooManyAttemptsError(math.ceil(seconds))
