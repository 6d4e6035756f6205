"""The process that starts the workers, and replaces them."""

import logging
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

from granian.server.mp import MPServer

from api.board import Metering, NoMetering

# Seconds: who dies so soon is replaced after a pause, so that one that cannot live does not take the machine.
_SHORT_LIFE = 5.0
_PAUSE = 1.0

logger = logging.getLogger(__name__)


class WorkersParent(MPServer):
    """Granian's server, except that a worker that cannot start ends it, and that each has a place for its figures."""

    metering: Metering = NoMetering()

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._spawned = Counter[int]()  # how often each worker was started

    def _spawn_workers(self, *args: Any, **options: Any) -> None:
        """Begin to answer for the figures when the workers have been forked: they need none of the thread that does."""
        super()._spawn_workers(*args, **options)  # type: ignore[no-untyped-call]  # as below
        self.metering.begin()

    def _spawn_worker(self, idx: int, target: Callable[..., None], *args: Any, **options: Any) -> Any:
        """Give the worker a place for its figures other than that of the one before, which may still be stopping."""
        self._spawned[idx] += 1
        place = idx + self.workers * (self._spawned[idx] % 2)
        return super()._spawn_worker(idx, partial(target, place), *args, **options)

    def _respawn_workers(self, workers: list[int], *args: Any, **options: Any) -> None:
        """Replace workers that a signal killed, however often; stop, with exit status 1, when one gave up by itself.

        Granian would stop, for the other workers too, when one dies twice within 5.5 seconds, which may be the kernel's
        want of memory; and go on when a start that waits for a lost database fails, which takes longer.
        """
        if any((self.wrks[index].inner.exitcode or 0) > 0 for index in workers):
            logger.critical("a worker could not start, or gave up: stopping")
            self.shutdown(1)  # type: ignore[no-untyped-call]  # Granian does not annotate it
        dead = [self.wrks[index] for index in workers if self.wrks[index].inner.exitcode is not None]
        if any(time.monotonic() - worker.birth < _SHORT_LIFE for worker in dead):
            time.sleep(_PAUSE)
        super()._respawn_workers(workers, *args, **options)
        self.respawned_wrks.clear()
        # Who died while Granian made a list of the dead may be on it without being looked at.
        if self.interrupt_children:
            self.main_loop_interrupt.set()
