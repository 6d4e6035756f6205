"""Work beside the requests, which do not wait for it: a thread that begins when there is something to do."""

import logging
from collections.abc import Callable
from contextlib import suppress
from threading import Condition, Thread

from models.errors import UnavailableError

LEAVE_LIMIT = 5.0  # seconds

logger = logging.getLogger(__name__)


class Background:
    """A thread that does ``work``, which returns soon after ``is_closed``; ``changed`` is notified of that."""

    def __init__(self, name: str, work: Callable[[], None]) -> None:
        self.changed = Condition()
        self.is_closed = False
        self._name = name
        self._work = work
        self._thread: Thread | None = None

    @property
    def runs(self) -> bool:
        return self._thread is not None and self._thread.is_alive()  # a forked process has none

    def begin(self) -> None:
        """See that the thread runs, unless it was told to end."""
        if self.runs:
            return
        with self.changed:
            if self.is_closed or self.runs:
                return
            self._thread = Thread(target=self._work, name=self._name, daemon=True)
            with suppress(RuntimeError):  # there may be no more threads, and no request needs this; the next one tries
                self._thread.start()

    def close(self) -> None:
        """Have the thread end; return when it has, or after some seconds."""
        with self.changed:
            self.is_closed = True
            self.changed.notify_all()
        if self._thread is not None and self.runs:
            self._thread.join(LEAVE_LIMIT)


def attempt(failure: str, write: Callable[[], object]) -> None:
    """Write to the store; where it fails, say so in the log and go on."""
    try:
        write()
    except UnavailableError as error:
        logger.info("%s: %s", failure, error)
    except Exception:
        logger.exception(failure)
