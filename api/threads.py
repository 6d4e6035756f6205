"""The threads that run the WSGI application, and the jobs that wait for one."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from threading import Lock, Thread, local
from typing import Any, Generic, TypeVar

Result = TypeVar("Result")

# Threads beyond the pool's number, in the places of those that wait for something else than the interpreter.
_MOST_SUBSTITUTES = 256

_this_thread = local()


class Job(Generic[Result]):
    """A call that waits for a thread. ``future`` belongs to the event loop; it gets the result or the exception."""

    __slots__ = ("_call", "_claim", "_error", "_pool", "_result", "future")

    def __init__(self, pool: "ThreadPool", call: Callable[[], Result]) -> None:
        self._pool = pool
        self._call = call
        self._claim = Lock()
        self._result: Any = None
        self._error: BaseException | None = None
        self.future: asyncio.Future[Result] = pool.loop.create_future()

    def drop(self) -> bool:
        """Take the job out of the queue. Return False when a thread has begun it, and then nothing changes."""
        dropped = self._claim.acquire(blocking=False)
        if dropped:
            self._pool.pending -= 1
        return dropped

    def work(self) -> None:
        if not self._claim.acquire(blocking=False):
            return
        try:
            self._result = self._call()
        except BaseException as raised:  # noqa: BLE001 - the thread must live on, and the awaiting side decides
            # A future does not take the one.
            self._error = RuntimeError() if isinstance(raised, StopIteration) else raised
        self._pool.tell_done(self)

    def finish(self) -> None:
        """Hand over what came of it. Call this on the event loop."""
        self._pool.pending -= 1
        if self.future.done():
            return
        if self._error is None:
            self.future.set_result(self._result)
        else:
            self.future.set_exception(self._error)


class ThreadPool:
    """A number of threads that run at once, fed in order of arrival; others take the places of those that give way.

    ``concurrent.futures`` costs two futures, two conditions and a chain of callbacks a call, which shows in small
    requests. The threads are daemons: a call that hangs must not keep a stopped process alive.
    """

    def __init__(self, threads: int) -> None:
        self.loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[Job[Any] | None] = SimpleQueue()
        self._done: deque[Job[Any]] = deque()
        self._is_told = False  # that some are done
        self._threads = threads
        self._lock = Lock()
        self._away = 0  # threads that have given way
        self._alive = 0
        # Jobs that are neither done nor dropped. Only the event loop's thread counts.
        self.pending = 0
        with self._lock:
            for _ in range(threads):
                self._start()

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
        return self.pending > self._threads + self._away

    def close(self) -> None:
        """Let the threads end once the queue is empty."""
        with self._lock:
            for _ in range(self._alive):
                self._queue.put(None)

    def tell_done(self, job: Job[Any]) -> None:
        """Have the event loop finish the job. One waking of the loop, which takes a system call, does for several."""
        self._done.append(job)
        if not self._is_told:
            self._is_told = True
            # A closed loop raises: the process is on its way out, and no one waits for this any more.
            with suppress(RuntimeError):
                self.loop.call_soon_threadsafe(self._finish_jobs)

    def _finish_jobs(self) -> None:
        self._is_told = False  # first: what is done from now on is told anew
        while self._done:
            self._done.popleft().finish()

    def leave(self) -> None:
        """Let another thread run jobs while the calling one waits."""
        with self._lock:
            self._away += 1
            if self._alive < self._threads + min(self._away, _MOST_SUBSTITUTES):
                # Where the system gives no more threads, this one goes on all the same.
                with suppress(RuntimeError):
                    self._start()

    def come_back(self) -> None:
        with self._lock:
            self._away -= 1

    def _is_surplus(self) -> bool:
        with self._lock:
            surplus = self._alive > self._threads + self._away
            self._alive -= surplus
            return surplus

    def _start(self) -> None:
        Thread(target=self._serve, name=f"wsgi-{self._alive}", daemon=True).start()
        self._alive += 1

    def _serve(self) -> None:
        _this_thread.pool = self
        while (job := self._queue.get()) is not None:
            job.work()
            # The next get() may block for long; the last request must not stay in memory meanwhile.
            del job
            if self._alive > self._threads and self._is_surplus():
                return


@contextmanager
def giving_way() -> Iterator[None]:
    """Do what waits, or works without the interpreter's lock: a pool's thread is replaced by another one meanwhile."""
    pool: ThreadPool | None = getattr(_this_thread, "pool", None)
    if pool is None:
        yield
        return
    pool.leave()
    try:
        yield
    finally:
        pool.come_back()
