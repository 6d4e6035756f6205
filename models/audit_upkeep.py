"""What the audit trail needs beside the requests: writing what was added up, and removing what is too old."""

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from threading import Condition, Lock, Thread

from models.errors import UnavailableError
from models.login_failures import LoginFailures
from models.storage import Audit

_WRITTEN_EVERY = 2.0  # seconds
_PURGED_EVERY = 3600.0
_LEAVE_LIMIT = 5.0

logger = logging.getLogger(__name__)


class AuditUpkeep:
    """Works in a thread of its own, which begins when the first thing is noted. ``kept_for`` ``None`` is for ever."""

    def __init__(
        self, audit: Audit, failures: LoginFailures, clock: Callable[[], datetime], kept_for: timedelta | None
    ) -> None:
        self._audit = audit
        self._failures = failures
        self._clock = clock
        self._kept_for = kept_for
        self._changed = Condition()
        self._flushing = Lock()
        self._is_closed = False
        self._thread: Thread | None = None
        failures.when_noted(self.noted)

    def noted(self) -> None:
        """See that the thread runs: something is there to be looked after."""
        if self._thread is not None and self._thread.is_alive():
            return
        with self._changed:
            if self._is_closed or (self._thread is not None and self._thread.is_alive()):
                return
            self._thread = Thread(target=self._run, name="audit", daemon=True)
            with suppress(RuntimeError):  # there may be no more threads; the next one that is noted tries again
                self._thread.start()

    def flush(self) -> None:
        """Write what was added up; return when that is written, by whomever."""
        with self._flushing:
            tallies = self._failures.take()
            try:
                if tallies:
                    self._audit.add_up(tallies)
            except UnavailableError as error:
                # Some of it may have been written: what is told twice is better than what is not told.
                self._failures.give_back(tallies)
                logger.info("failed logins could not be written to the audit trail yet: %s", error)
            except Exception:
                logger.exception("failed logins could not be written to the audit trail")

    def close(self) -> None:
        """End the thread, and write what is left."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
            thread = self._thread
        if thread is not None and thread.is_alive():
            thread.join(_LEAVE_LIMIT)
        self.flush()

    def _run(self) -> None:
        purged_at = -_PURGED_EVERY
        while not self._is_closed:
            if time.monotonic() - purged_at >= _PURGED_EVERY:
                self._purge()
                purged_at = time.monotonic()
            self.flush()
            with self._changed:
                self._changed.wait_for(lambda: self._is_closed, _WRITTEN_EVERY)

    def _purge(self) -> None:
        if self._kept_for is None:
            return
        try:
            self._audit.purge(before=self._clock() - self._kept_for)
        except UnavailableError as error:
            logger.info("old events could not be removed from the audit trail: %s", error)
        except Exception:
            logger.exception("old events could not be removed from the audit trail")
