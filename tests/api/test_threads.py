"""The pool's threads: as many run as it has, those that give way are replaced, and what they do is told."""

import asyncio
import threading
from collections import deque
from functools import partial
from threading import Barrier, Thread
from typing import Any

import pytest

from api import threads
from api.threads import Job, ThreadPool, giving_way
from tests.api.pools import PATIENCE, Held, done, with_pool


def test_what_a_job_gives_or_raises_is_handed_over() -> None:
    """Results and exceptions arrive as they are, also those that would end a thread, and the thread lives on."""

    def stop() -> None:
        raise StopIteration

    def end() -> None:
        raise SystemExit(3)

    async def test(pool: ThreadPool) -> None:
        with pytest.raises(ZeroDivisionError):
            await done(pool.submit(lambda: 1 / 0))
        with pytest.raises(RuntimeError):
            await done(pool.submit(stop))
        ended = pool.submit(end)
        await asyncio.wait([ended.future])
        assert isinstance(ended.future.exception(), SystemExit)
        assert await done(pool.submit(lambda: "result")) == ["result"]

    with_pool(1, test)


def test_as_many_run_as_the_pool_has() -> None:
    """Jobs beyond the number of threads wait, are counted, and are done later."""

    async def test(pool: ThreadPool) -> None:
        held, order = Held(pool), list[int]()
        held.submit(2)
        await held.begun(2)
        assert not pool.crowded()
        later = [pool.submit(partial(order.append, number)) for number in range(5)]
        assert pool.crowded()
        assert (pool.pending, pool.waiting(), order) == (7, 5, [])
        await held.let_go()
        await done(*later)
        assert sorted(order) == list(range(5))

    with_pool(2, test)


def test_a_job_that_was_dropped_never_runs() -> None:
    """What waits can be taken out, once; what has begun cannot."""

    async def test(pool: ThreadPool) -> None:
        held, ran = Held(pool), list[int]()
        held.submit()
        await held.begun()
        waits = pool.submit(lambda: ran.append(1))
        assert waits.drop()
        assert not waits.drop()
        assert not held.jobs[0].drop()
        assert pool.pending == 1
        await held.let_go()
        await done(pool.submit(int))
        assert ran == []

    with_pool(1, test)


def test_nobody_need_wait_for_what_comes_of_a_job() -> None:
    """A future that was cancelled while its job ran is left alone, and the job no longer counts."""

    async def test(pool: ThreadPool) -> None:
        held = Held(pool)
        held.submit()
        await held.begun()
        held.jobs[0].future.cancel()
        after = pool.submit(int)
        held._go.set()
        await done(after)

    with_pool(1, test)


def test_who_gives_way_is_replaced() -> None:
    """While one thread waits, as many as before run, no more; afterwards the surplus ends."""

    async def test(pool: ThreadPool) -> None:
        waiting, running = Held(pool), Held(pool)
        waiting.submit(3, gives_way=True)
        await waiting.begun(3)
        assert not pool.crowded()
        running.submit(2)
        await running.begun(2)
        assert not pool.crowded()
        running.submit()
        assert pool.crowded()
        assert pool.waiting() == 1
        assert running.none_begun()
        assert pool._alive == 5
        await running.let_go()
        await waiting.let_go()

    with_pool(2, test)


def test_many_who_give_way_at_once_are_all_done() -> None:
    """A pool of two does a hundred jobs that wait for each other, and has two threads again when they are done."""

    async def test(pool: ThreadPool) -> None:
        all_there = Barrier(100)

        def meet() -> int:
            with giving_way():
                return all_there.wait(PATIENCE)

        jobs = [pool.submit(meet) for _ in range(100)]
        assert sorted(await done(*jobs)) == list(range(100))

    with_pool(2, test)


def test_substitutes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past a number of them those who give way are not replaced; jobs wait, and are all done in the end."""
    monkeypatch.setattr(threads, "_MOST_SUBSTITUTES", 3)

    async def test(pool: ThreadPool) -> None:
        held = Held(pool)
        held.submit(9, gives_way=True)
        await held.begun(5)
        assert pool._alive == 5
        assert pool.waiting() == 4
        assert held.none_begun()
        await held.let_go()

    with_pool(2, test)


def test_without_another_thread_the_job_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system gives no more threads, who gives way does its work all the same, and the count stays right."""

    class NoThread(Thread):
        def start(self) -> None:
            raise RuntimeError("can't start new thread")

    async def test(pool: ThreadPool) -> None:
        def work() -> str:
            with giving_way():
                return "result"

        with monkeypatch.context() as patch:
            patch.setattr(threads, "Thread", NoThread)
            assert await done(pool.submit(work), pool.submit(work)) == ["result"] * 2
        held = Held(pool)
        held.submit(gives_way=True)
        await held.begun()
        assert await done(pool.submit(lambda: "beside")) == ["beside"]
        await held.let_go()

    with_pool(1, test)


def test_what_fails_while_it_gives_way_comes_back() -> None:
    """An exception on the way leaves nobody counted as away."""

    async def test(pool: ThreadPool) -> None:
        def fail() -> None:
            with giving_way():
                raise KeyError

        for _ in range(20):
            with pytest.raises(KeyError):
                await done(pool.submit(fail))
        assert pool._away == 0
        assert pool._alive <= 3

    with_pool(2, test)


def test_other_threads_give_way_to_nobody() -> None:
    """Outside of a pool nothing is replaced: the command line uses the same core."""
    with giving_way():
        assert threading.current_thread() is threading.main_thread()


def test_what_is_done_while_others_are_told_is_told_as_well() -> None:
    """A job that ends just after the event loop has seen that no more are done is not left waiting for the next one."""

    async def test(pool: ThreadPool) -> None:
        late = Job(pool, lambda: "late")
        pool.pending += 1

        class Done(deque[Job[Any]]):
            def __len__(self) -> int:
                found = super().__len__()
                if not found and not late._claim.locked():
                    late.work()
                return found

        pool._done = Done()
        assert await done(pool.submit(lambda: "early")) == ["early"]
        assert await done(late) == ["late"]

    with_pool(1, test)


def test_no_job_is_lost() -> None:
    """Thousands of short jobs, some of which give way, are all told done, whatever the threads do meanwhile."""

    async def test(pool: ThreadPool) -> None:
        def work(number: int) -> int:
            if number % 3 == 0:
                with giving_way():
                    return number
            return number

        for _ in range(10):
            jobs = [pool.submit(partial(work, number)) for number in range(200)]
            assert await done(*jobs) == list(range(200))
            assert pool._alive >= 3

    with_pool(3, test)
