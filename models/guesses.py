"""What one process remembers of wrong guesses, beside the counters that all replicas share. It is bounded."""

from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime, timedelta
from threading import Lock

_MOST = 10_000
# As many may be refused, for one address and name in one pause, before what is remembered is refused as well.
_MOST_REFUSED = 20

Guess = tuple[str, bytes]  # the client's address, and what the process calls the credential
Target = tuple[str, str]  # the client's address, and the user name


class RepeatedFailures:
    """Wrong credentials that were counted: each waits for itself when it comes again, and tells nobody anything new.

    ``pause`` gives the pause after so many failures; what did not come again for ``forgotten_after`` is new again.
    """

    def __init__(self, pause: Callable[[int], timedelta], forgotten_after: timedelta) -> None:
        self._pause = pause
        self._forgotten_after = forgotten_after
        self._lock = Lock()
        self._found: OrderedDict[Guess, tuple[int, datetime]] = OrderedDict()  # how often, and when last

    def begin(self, guess: Guess, now: datetime) -> None:
        """Note a guess that was counted elsewhere."""
        with self._lock:
            self._found[guess] = (1, now)
            if len(self._found) > _MOST:
                self._found.popitem(last=False)

    def count(self, guess: Guess, now: datetime) -> bool:
        """Count one that comes again; false if it is none of those that are known."""
        with self._lock:
            count, last = self._found.get(guess, (0, now))
            if not count or now - last >= self._forgotten_after:
                return False
            self._found[guess] = (count + 1, now)
            self._found.move_to_end(guess)
            return True

    def end(self, guess: Guess, now: datetime) -> datetime:
        """Return until when the guess is refused; ``now`` if it is not."""
        count, last = self._found.get(guess, (0, now))
        # The first failure has its pause from the counter. A later time than now: the clock was set back.
        return last + self._pause(count) if count > 1 and last <= now else now


class Persistent:
    """Who goes on guessing while it is refused: it would be told by the one that passes which one is right."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._refused: OrderedDict[Target, tuple[int, datetime]] = OrderedDict()
        self._closed: dict[Target, datetime] = {}

    def note(self, target: Target, end: datetime, now: datetime) -> None:
        """Note one that was refused; the pause that refused it lasts until ``end``."""
        with self._lock:
            count, known_end = self._refused.get(target, (0, end))
            count = count + 1 if known_end >= now else 1
            self._refused[target] = (count, end)
            self._refused.move_to_end(target)
            if len(self._refused) > _MOST:
                self._refused.popitem(last=False)
            if count > _MOST_REFUSED:
                self._closed = {key: until for key, until in self._closed.items() if until > now}
                if len(self._closed) < _MOST:
                    self._closed[target] = end

    def end(self, target: Target) -> datetime | None:
        """Return until when even what is remembered is refused, if it ever is."""
        return self._closed.get(target) if self._closed else None
