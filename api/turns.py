"""Waiting for a thread: not too many, not too long, and not for a client that has left."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from api.bodies import Receive, until_disconnect
from api.limits import Limits
from api.problems import RefusedError
from api.threads import Job, ThreadPool

Result = TypeVar("Result")

# A request waits this long for a thread before its connection is watched: watching costs as much as a small request,
# and almost every wait is shorter.
_UNWATCHED_SECONDS = 0.05


class ClientGoneError(Exception):
    """The client left before there was anything to answer."""


class Turns:
    """The turns in the threads of a pool."""

    def __init__(self, pool: ThreadPool, limits: Limits) -> None:
        self._pool = pool
        self._limits = limits

    async def take(self, call: Callable[[], Result], receive: Receive) -> Result:
        """Run ``call`` in a thread. Raises ``RefusedError`` when none is free in time, and ``ClientGoneError``."""
        job = self._submitted(call)
        if self._pool.crowded():
            await asyncio.wait((job.future,), timeout=_UNWATCHED_SECONDS)
            if not job.future.done():
                await self._watched(job, receive)
        return await job.future

    async def take_unwatched(self, call: Callable[[], Result]) -> Result:
        """Do as ``take`` does, for a client that cannot be watched."""
        job = self._submitted(call)
        await asyncio.wait((job.future,), timeout=self._limits.queue_seconds)
        if not job.future.done() and job.drop():
            raise busy()
        return await job.future

    def _submitted(self, call: Callable[[], Result]) -> Job[Result]:
        if self._pool.waiting() >= self._limits.queue_length:
            raise busy()
        return self._pool.submit(call)

    async def _watched(self, job: Job[Result], receive: Receive) -> None:
        """Return when the job is done or runs. Raises, and drops it, when time is up or the client leaves first."""
        gone = asyncio.ensure_future(until_disconnect(receive))
        try:
            await asyncio.wait(
                (job.future, gone), timeout=self._limits.queue_seconds, return_when=asyncio.FIRST_COMPLETED
            )
            if not job.future.done() and job.drop():
                raise ClientGoneError if gone.done() else busy()
        finally:
            gone.cancel()


def busy() -> RefusedError:
    """Return what a request is told that waits for a thread in vain."""
    return RefusedError(503, "Too many requests wait for their turn.", (b"retry-after", b"1"), reason="no_thread")
