"""Reads on behalf of many requests at once, begun by the event loop and done in threads of their own."""

from asyncio import Future, get_running_loop
from collections.abc import Callable

from api.threads import ThreadPool

_ROUNDS_AT_ONCE = 4
_SLOW_SECONDS = 0.05


class ReadAhead:
    """Rounds of one blocking ``read``. Who asks while a round runs is served by the next one.

    That begins when the running round ends, or is slow, so that one slow read does not hold up all who come after it.
    Who waits for longer than ``seconds`` is told so.
    """

    def __init__(self, read: Callable[[], None], *, seconds: float) -> None:
        self._pool = ThreadPool(_ROUNDS_AT_ONCE)
        self._loop = get_running_loop()
        self._read = read
        self._seconds = seconds
        self._next: Future[bool] | None = None
        self._running = 0
        self._prompt = 0  # of these: not slow so far

    def next_round(self) -> Future[bool]:
        """Begin a round as soon as may be; the future, which others wait for too, tells whether it was done in time."""
        found = self._next
        if found is None or found.done():  # done: it was given up before it could begin
            found = self._next = self._loop.create_future()
            timer = self._loop.call_later(self._seconds, _settle, found, False)  # noqa: FBT003 - it takes no names
            found.add_done_callback(lambda _: timer.cancel())
            self._begin()
        return found

    def close(self) -> None:
        """Let the threads end."""
        self._pool.close()

    def _begin(self) -> None:
        """Begin the next round, if anybody waits for one, those that run are slow, and there is a thread for it."""
        current = self._next
        if current is None or self._prompt or self._running == _ROUNDS_AT_ONCE:
            return
        self._next = None
        self._running += 1
        self._prompt += 1
        is_prompt = True

        def no_longer_prompt() -> None:
            nonlocal is_prompt
            self._prompt -= is_prompt
            is_prompt = False
            self._begin()

        slow = self._loop.call_later(_SLOW_SECONDS, no_longer_prompt)

        def end(_: object) -> None:
            slow.cancel()
            self._running -= 1
            _settle(current, True)  # noqa: FBT003 - as above
            no_longer_prompt()

        self._pool.submit(self._read).future.add_done_callback(end)


def _settle(waiting: Future[bool], done: bool) -> None:  # noqa: FBT001 - the loop passes it on
    if not waiting.done():
        waiting.set_result(done)
