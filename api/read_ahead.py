"""Reads on behalf of many requests at once, begun by the event loop and done in a thread."""

from asyncio import Future
from collections.abc import Callable

from api.threads import ThreadPool


class ReadAhead:
    """Rounds of one blocking ``read``, one at a time. Who asks while a round runs is served by the next one."""

    def __init__(self, pool: ThreadPool, read: Callable[[], None], *, seconds: float) -> None:
        self._pool = pool
        self._read = read
        self._seconds = seconds
        self._next: Future[bool] | None = None
        self._is_running = False

    def next_round(self) -> Future[bool]:
        """Begin a round as soon as may be; the future tells whether it was done in time. Await it, never cancel it."""
        found = self._next
        if found is None or found.done():  # done: it was given up before it could begin
            found = self._next = self._pool.loop.create_future()
            timer = self._pool.loop.call_later(self._seconds, _settle, found, False)  # noqa: FBT003 - it takes no names
            found.add_done_callback(lambda _: timer.cancel())
            if not self._is_running:
                self._begin(found)
        return found

    def _begin(self, current: Future[bool]) -> None:
        self._next, self._is_running = None, True
        self._pool.submit(self._read).future.add_done_callback(lambda _: self._end(current))

    def _end(self, current: Future[bool]) -> None:
        self._is_running = False
        _settle(current, True)  # noqa: FBT003 - as above
        if self._next is not None:
            self._begin(self._next)


def _settle(waiting: Future[bool], done: bool) -> None:  # noqa: FBT001 - the loop passes it on
    if not waiting.done():
        waiting.set_result(done)
