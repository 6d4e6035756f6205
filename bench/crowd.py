"""The many WebSockets, in a process of their own: ``python -m bench.crowd <port>``. ``bench.websockets`` starts it.

It reads commands from standard input, a line of JSON each: ``["open", 5000, 60]`` opens so many more connections,
``["ask", 0, 60]`` lets each of them ask once more, and ``["log_in", 1000, 120]`` has the first so many of them log in
at once. The last number is the seconds that it may take. Each is answered by a line of JSON.
"""

import asyncio
import itertools
import json
import resource
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import uvloop

from bench import accounts
from bench.socket_client import PING, PONG, Socket, connect

# Each address of a network (a /16) of its own, by which logins take turns: strangers from everywhere. No address has
# more connections than Doorman allows it by default.
ADDRESSES = [f"127.{network}.0.1" for network in range(1, 101)]
_AT_WORK = 64  # that open, or ask once more, at a time


@dataclass
class Swept:
    """How many connections were answered, in how many seconds; and what the others met, and how many of them."""

    answered: int = 0
    seconds: float = 0.0
    failures: dict[str, int] = field(default_factory=dict)


@dataclass
class LoggedIn:
    """How logins at once fared. ``seconds`` has, for each that was let in, when that was after all had begun.

    ``tries`` has how many it took each of those, ``refusals`` how often each refusal was told, and ``slowest`` the
    longest that any answer took, in seconds.
    """

    seconds: list[float] = field(default_factory=list)
    tries: list[int] = field(default_factory=list)
    refusals: dict[str, int] = field(default_factory=dict)
    slowest: float = 0.0


class Crowd:
    """Idle connections, and what some of them do."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._sockets: list[Socket] = []

    async def open(self, number: int, seconds: float) -> Swept:
        """Open so many more connections, which ask once each."""

        async def open_one(index: int) -> None:
            socket = await connect(self._port, ADDRESSES[index % len(ADDRESSES)])
            await _ping(socket)
            self._sockets.append(socket)

        first = len(self._sockets)
        return await _sweep(open_one, range(first, first + number), seconds)

    async def ask(self, _: int, seconds: float) -> Swept:
        """Let each ask once more, which shows that it has been held."""
        return await _sweep(_ping, self._sockets, seconds)

    async def log_in(self, number: int, seconds: float) -> LoggedIn:
        """Log in on so many connections at once, as ``user_of`` each; who is told to come again does, when told."""
        found = LoggedIn()
        login = _Logins(found, time.monotonic(), seconds)
        together = [login.log_in(socket, user_of(index)) for index, socket in enumerate(self._sockets[:number])]
        for outcome in await asyncio.gather(*together, return_exceptions=True):
            if isinstance(outcome, BaseException):
                _count(found.refusals, str(outcome))
        return found


def user_of(index: int) -> str:
    return f"socket{index}"


@dataclass
class _Logins:
    """Logins that began at once; none of them tries again when ``seconds`` are over."""

    found: LoggedIn
    began: float
    seconds: float

    async def log_in(self, socket: Socket, user_name: str) -> None:
        frame = json.dumps({"action": "login", "data": {"username": user_name, "password": accounts.PASSWORD}})
        for tries in itertools.count(1):
            asked = time.monotonic()
            answer = json.loads(await socket.ask(frame))
            now = time.monotonic()
            self.found.slowest = max(self.found.slowest, now - asked)
            if "data" in answer:
                self.found.seconds.append(now - self.began)
                self.found.tries.append(tries)
                return
            wait = answer.get("retry_after")
            _count(self.found.refusals, f"{answer['error']} (retry_after: {wait})")
            if wait is None or now + wait > self.began + self.seconds:
                return
            await asyncio.sleep(wait)


def _count(counts: dict[str, int], what: str) -> None:
    counts[what] = counts.get(what, 0) + 1


async def _ping(socket: Socket) -> None:
    if json.loads(await socket.ask(PING)) != PONG:
        raise ConnectionError("a ping was answered otherwise")


async def _sweep(work: Callable[[Any], Awaitable[None]], items: Iterable[Any], seconds: float) -> Swept:
    """Do ``work`` for each of ``items``, a number of them at a time."""
    found, began, rest = Swept(), time.monotonic(), iter(items)

    async def go_on(rest: Iterator[Any]) -> None:
        for item in rest:
            try:
                await work(item)
            except OSError as error:
                _count(found.failures, str(error))
            else:
                found.answered += 1

    try:
        await asyncio.wait_for(asyncio.gather(*(go_on(rest) for _ in range(_AT_WORK))), seconds)
    except TimeoutError:
        _count(found.failures, "it took too long")
    found.seconds = time.monotonic() - began
    return found


async def _obey(port: int) -> None:
    loop, crowd = asyncio.get_running_loop(), Crowd(port)
    commands: dict[str, Callable[[int, float], Awaitable[Any]]] = {
        "open": crowd.open,
        "ask": crowd.ask,
        "log_in": crowd.log_in,
    }
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        name, number, seconds = json.loads(line)
        print(json.dumps(vars(await commands[name](number, seconds))), flush=True)


def main() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_obey(int(sys.argv[1])))


if __name__ == "__main__":
    main()
