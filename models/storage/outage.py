"""What is known about a database that does not answer."""

import threading
import time

from models.errors import UnavailableError


class Outage:
    """Makes calls fail at once for ``pause`` seconds after a failure to reach the database; then one call may try.

    The others go on failing until that one has found out, which takes it ``patience`` seconds at the most. So a hundred
    waiting requests do not wait for the same dead server one after another.
    """

    def __init__(self, *, pause: float, patience: float) -> None:
        self._pause = pause
        self._patience = patience
        self._lock = threading.Lock()
        self._retry_at: float | None = None

    def refuse_or_try(self) -> None:
        """Raise ``UnavailableError`` unless the database is thought to answer, or this call is the one to try."""
        with self._lock:
            if self._retry_at is None:
                return
            now = time.monotonic()
            if now < self._retry_at:
                raise UnavailableError("the database did not answer a moment ago")
            self._retry_at = now + self._patience

    def note(self, *, lost: bool) -> None:
        """Say whether a call has failed to reach the database, or has reached it."""
        with self._lock:
            self._retry_at = time.monotonic() + self._pause if lost else None
