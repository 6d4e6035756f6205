"""What the audit trail needs beside the requests: writing what was added up, and removing what is too old."""

import logging
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from threading import Lock

from models.background import Background, attempt
from models.errors import UnavailableError
from models.login_failures import LoginFailures
from models.storage import Audit

_WRITTEN_EVERY = 2.0  # seconds
_PURGED_EVERY = 3600.0

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
        self._background = Background("audit", self._run)
        self._flushing = Lock()
        failures.when_noted(self.noted)

    def noted(self) -> None:
        """See that the thread runs: something is there to be looked after."""
        self._background.begin()

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
        self._background.close()
        self.flush()

    def _run(self) -> None:
        purged_at = -_PURGED_EVERY
        while not self._background.is_closed:
            if time.monotonic() - purged_at >= _PURGED_EVERY:
                self._purge()
                purged_at = time.monotonic()
            self.flush()
            with self._background.changed:
                self._background.changed.wait_for(lambda: self._background.is_closed, _WRITTEN_EVERY)

    def _purge(self) -> None:
        if self._kept_for is not None:
            purge = partial(self._audit.purge, before=self._clock() - self._kept_for)
            attempt("old events could not be removed from the audit trail", purge)
