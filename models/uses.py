"""Noting when sessions were used: beside the requests that use them, which do not wait for it."""

import time
from collections.abc import Callable
from datetime import datetime
from functools import partial

from models.background import LEAVE_LIMIT, Background, attempt
from models.records import Use
from models.storage import Store

_MOST_NOTED = 10_000  # that are not written yet; what is beyond is noted when it is used again
_PURGED_EVERY = 600.0  # seconds


class Uses:
    """Writes uses to the store from a thread of its own, which also purges the store now and then.

    The thread begins with the first use. What the store does not take is let go: a session that is in use is noted
    again, and one that is not loses a minute.
    """

    def __init__(self, store: Store, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._clock = clock
        self._background = Background("uses", self._run)
        self._changed = self._background.changed
        self._noted: dict[tuple[str, str], Use] = {}
        self._is_writing = False

    def note(self, use: Use) -> None:
        """Have a use written soon, unless another one of the same record waits for that already."""
        with self._changed:
            if self._background.is_closed or len(self._noted) >= _MOST_NOTED:
                return
            self._noted.setdefault((use.kind, use.id), use)
            self._background.begin()
            self._changed.notify_all()

    def flush(self) -> None:
        """Return when what was noted is written, or after some seconds."""
        with self._changed:
            self._changed.wait_for(lambda: not (self._noted or self._is_writing), LEAVE_LIMIT)

    def close(self) -> None:
        """Write what was noted, and end the thread."""
        self._background.close()

    def _run(self) -> None:
        purged_at = -_PURGED_EVERY
        while self._noted or not self._background.is_closed:
            if time.monotonic() - purged_at >= _PURGED_EVERY:
                attempt("what is overdue could not be removed", partial(self._store.purge, now=self._clock()))
                purged_at = time.monotonic()
            self._write(self._await_noted(purged_at + _PURGED_EVERY))

    def _write(self, noted: list[Use]) -> None:
        if noted:
            write = partial(self._store.records.note_uses, noted, now=self._clock())
            attempt("that sessions were used could not be noted", write)
        with self._changed:
            self._is_writing = False
            self._changed.notify_all()

    def _await_noted(self, until: float) -> list[Use]:
        """Return what was noted, as soon as there is anything, or nothing when the time has come."""
        with self._changed:
            self._changed.wait_for(lambda: self._noted or self._background.is_closed, max(until - time.monotonic(), 0))
            noted = list(self._noted.values())
            self._noted.clear()
            self._is_writing = True
            return noted
