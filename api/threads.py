"""The threads that run the WSGI application, and the jobs that wait for one."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any, Generic, TypeVar

Result = TypeVar("Result")


class Job(Generic[Result]):
    """A call that waits for a thread. ``future`` belongs to the event loop; it gets the result or the exception."""

    __slots__ = ("_call", "_claim", "_loop", "_pool", "future")

    def __init__(self, pool: "ThreadPool", call: Callable[[], Result]) -> None:
        self._pool = pool
        self._call = call
        self._claim = Lock()
        self._loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Result] = self._loop.create_future()

    def drop(self) -> bool:
        """Take the job out of the queue. Return False when a thread has begun it, and then nothing changes."""
        dropped = self._claim.acquire(blocking=False)
        if dropped:
            self._pool.pending -= 1
        return dropped

    def work(self) -> None:
        if not self._claim.acquire(blocking=False):
            return
        result: Any = None
        error: BaseException | None = None
        try:
            result = self._call()
        except BaseException as raised:  # noqa: BLE001 - the thread must live on, and the awaiting side decides
            error = RuntimeError() if isinstance(raised, StopIteration) else raised  # which a future does not take
        # A closed loop raises: the process is on its way out, and no one waits for this any more.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._finish, result, error)

    def _finish(self, result: Any, error: BaseException | None) -> None:
        self._pool.pending -= 1
        if self.future.done():
            return
        if error is None:
            self.future.set_result(result)
        else:
            self.future.set_exception(error)


class ThreadPool:
    """A fixed number of threads, fed in order of arrival.

    ``concurrent.futures`` costs two futures, two conditions and a chain of callbacks a call, which shows in small
    requests. The threads are daemons: a call that hangs must not keep a stopped process alive.
    """

    def __init__(self, threads: int) -> None:
        self._queue: SimpleQueue[Job[Any] | None] = SimpleQueue()
        self._threads = threads
        # Jobs that are neither done nor dropped. Only the event loop's thread counts.
        self.pending = 0
        for number in range(threads):
            Thread(target=self._serve, name=f"wsgi-{number}", daemon=True).start()

    def submit(self, call: Callable[[], Result]) -> Job[Result]:
        """Queue ``call``. Call this on the event loop."""
        self.pending += 1
        job = Job(self, call)
        self._queue.put(job)
        return job

    def waiting(self) -> int:
        """How many jobs no thread has taken yet."""
        return self._queue.qsize()

    def crowded(self) -> bool:
        """Whether some of the jobs have to wait for others."""
        return self.pending > self._threads

    def close(self) -> None:
        """Let the threads end once the queue is empty."""
        for _ in range(self._threads):
            self._queue.put(None)

    def _serve(self) -> None:
        while (job := self._queue.get()) is not None:
            job.work()
            # The next get() may block for long; the last request must not stay in memory meanwhile.
            del job
