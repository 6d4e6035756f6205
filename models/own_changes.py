"""How often people may change themselves, since each change leaves an event that is kept."""

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from models.credentials import Caller
from models.errors import TooManyChangesError
from models.secret_key import KeyRing
from models.storage import Counters

MOST_AN_HOUR = 100
_WINDOW = timedelta(hours=1)
_FIRST = datetime(1970, 1, 1, tzinfo=UTC)


class OwnChanges:
    """Counts, in the store, by user and hour, the changes of all but admins and the operator."""

    def __init__(self, counters: Counters, keys: KeyRing, clock: Callable[[], datetime]) -> None:
        self._counters = counters
        self._key = keys.lasting
        self._clock = clock

    def admit(self, caller: Caller | None) -> None:
        """Count a change that is about to be made. Raises ``TooManyChangesError``."""
        if caller is None or caller.user.user_group == "admin":
            return
        now = self._clock()
        end = _FIRST + ((now - _FIRST) // _WINDOW + 1) * _WINDOW
        key = self._key.limiter_digest("changes", caller.user.id, end.isoformat())
        if self._counters.take(key, now=now, expires_at=end) > MOST_AN_HOUR:
            raise TooManyChangesError(math.ceil((end - now).total_seconds()))
