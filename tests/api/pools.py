"""Pools of threads under test, and jobs that wait for the test."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from threading import Event, Semaphore
from typing import Any

import pytest

from api.threads import Job, ThreadPool, giving_way

PATIENCE = 30  # seconds for what must happen


class Held:
    """Jobs that wait for the test, giving way or not."""

    def __init__(self, pool: ThreadPool) -> None:
        self._pool = pool
        self._begun = Semaphore(0)
        self._go = Event()
        self.jobs: list[Job[Any]] = []

    def submit(self, number: int = 1, *, gives_way: bool = False) -> None:
        self.jobs += [self._pool.submit(self._give_way if gives_way else self._hold) for _ in range(number)]

    def _hold(self) -> None:
        self._begun.release()
        assert self._go.wait(PATIENCE)

    def _give_way(self) -> None:
        with giving_way():
            self._hold()

    async def begun(self, number: int = 1) -> None:
        """Wait until so many more have begun."""
        for _ in range(number):
            assert await asyncio.to_thread(self._begun.acquire, timeout=PATIENCE)

    def none_begun(self) -> bool:
        return not self._begun.acquire(blocking=False)

    async def let_go(self) -> None:
        self._go.set()
        await done(*self.jobs)


async def done(*jobs: Job[Any]) -> list[Any]:
    return await asyncio.wait_for(asyncio.gather(*(job.future for job in jobs)), PATIENCE)


async def until_shrunk(pool: ThreadPool, number: int) -> None:
    """Have jobs done until so many threads are left: one too many ends after its next job."""
    for _ in range(10_000):
        if pool._alive == number:
            return
        await done(pool.submit(int))
    pytest.fail(f"{pool._alive} threads are left")


def with_pool(size: int, test: Callable[[ThreadPool], Awaitable[None]]) -> None:
    """Run ``test`` with a pool, and hold the pool to having nothing left to do, and all its threads, afterwards."""

    async def run() -> None:
        others = set(threading.enumerate())
        pool = ThreadPool(size)
        await test(pool)
        assert pool.pending == pool.waiting() == pool._away == 0
        await until_shrunk(pool, size)
        assert not pool.crowded()
        pool.close()
        for thread in set(threading.enumerate()) - others:
            if thread.name.startswith("wsgi-"):
                await asyncio.to_thread(thread.join, PATIENCE)
                assert not thread.is_alive()

    asyncio.run(run())
