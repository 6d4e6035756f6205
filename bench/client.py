"""A light HTTP/1.1 client for floods and logins: many connections, each from an address of its own choice.

``python -m bench.client`` reads a plan as JSON from standard input, sends what it says until its end, and prints what
came back as JSON. It runs in a process of its own, so that the loads do not wait for each other. ``bench.clients``
starts it.
"""

import asyncio
import base64
import itertools
import json
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import uvloop

_STATUS = slice(9, 12)  # of "HTTP/1.1 200 OK"
_LENGTH = b"\r\ncontent-length:"
_CONNECT_PAUSE = 0.05


@dataclass(frozen=True)
class Group:
    """Clients that do alike: each name of ``names`` in turn asks for itself with ``password``.

    ``vary`` appends a number to the password, another one each time. A group that does not ``repeat`` asks once for
    each name, and the plan ends with the last of those. A connection goes on to the next address of ``addresses`` after
    ``turn`` requests, if that is not 0; requests that take longer than ``patience`` seconds count as status 0.
    """

    label: str
    addresses: list[str]
    names: list[str]
    password: str
    connections: int
    repeat: bool = True
    vary: bool = False
    turn: int = 0
    delay: float = 0.0
    patience: float = 60.0
    keep: bool = False  # each answer's latency, and not only their number


@dataclass
class Answers:
    """What a group was answered: how often each status; and each status, moment and latency, if they are kept.

    Moments are seconds since the group began, latencies milliseconds.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    kept: list[tuple[int, float, float]] = field(default_factory=list)
    seconds: float = 0.0
    refused_connections: int = 0


class _Exchange(asyncio.Protocol):
    """One connection, which has at most one request under way."""

    def __init__(self) -> None:
        self._transport: Any = None
        self._received = b""
        self._answer: asyncio.Future[int] | None = None
        self.open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self.open = True

    def data_received(self, data: bytes) -> None:
        self._received += data
        head = self._received.find(b"\r\n\r\n")
        if head < 0:
            return
        text = self._received[:head].lower()
        position = text.find(_LENGTH)
        length = int(text[position + len(_LENGTH) :].split(b"\r\n", 1)[0]) if position >= 0 else 0
        if len(self._received) < head + 4 + length:
            return
        status = int(self._received[_STATUS])
        self._received = b""
        if b"\r\nconnection: close" in text:
            self.close()
        self._finish(status)

    def connection_lost(self, _: Exception | None) -> None:
        self.open = False
        self._finish(0)

    def send(self, request: bytes) -> "asyncio.Future[int]":
        """Send a request; its future becomes the answer's status, or 0 if the connection broke."""
        self._answer = asyncio.get_running_loop().create_future()
        if self.open:
            self._transport.write(request)
        else:
            self._finish(0)
        return self._answer

    def close(self) -> None:
        self.open = False
        if self._transport is not None:
            self._transport.close()

    def _finish(self, status: int) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(status)


class _Run:
    """One group at work."""

    def __init__(self, group: Group, port: int) -> None:
        self._group = group
        self._port = port
        names = itertools.cycle(group.names) if group.repeat else iter(group.names)
        self._requests = map(self._request, names, itertools.count())
        self._addresses = itertools.cycle(group.addresses)
        self._began = 0.0
        self.answers = Answers()

    async def run(self, ends: float) -> None:
        await asyncio.sleep(self._group.delay)
        self._began = time.perf_counter()
        try:
            await asyncio.gather(*(self._connection(ends) for _ in range(self._group.connections)))
        finally:
            self.answers.seconds = time.perf_counter() - self._began

    async def _connection(self, ends: float) -> None:
        group, exchange = self._group, _Exchange()
        address = next(self._addresses)
        for sent, request in enumerate(self._requests):
            if time.perf_counter() > ends:
                break
            if group.turn and sent and sent % group.turn == 0:
                exchange.close()
                address = next(self._addresses)
            started = time.perf_counter()
            if not exchange.open:
                exchange = await self._connect(address)
            status = 0
            try:
                status = await asyncio.wait_for(exchange.send(request), group.patience)
            except TimeoutError:
                exchange.close()
            now = time.perf_counter()
            self.answers.statuses[status] += 1
            if group.keep:
                self.answers.kept.append((status, now - self._began, (now - started) * 1000))
        exchange.close()

    async def _connect(self, address: str) -> _Exchange:
        loop = asyncio.get_running_loop()
        while True:
            try:
                _, exchange = await loop.create_connection(_Exchange, "127.0.0.1", self._port, local_addr=(address, 0))
            except OSError:
                self.answers.refused_connections += 1
                await asyncio.sleep(_CONNECT_PAUSE)
            else:
                return exchange

    def _request(self, name: str, number: int) -> bytes:
        password = f"{self._group.password}{number}" if self._group.vary else self._group.password
        credentials = base64.b64encode(f"{name}:{password}".encode()).decode()
        return (
            f"GET /api/v2/users/{name} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n"
            f"Authorization: Basic {credentials}\r\n\r\n"
        ).encode()


async def _carry_out(groups: list[Group], port: int, seconds: float) -> dict[str, Answers]:
    ends = time.perf_counter() + seconds
    runs = [_Run(group, port) for group in groups]
    tasks = [asyncio.create_task(run.run(ends)) for run in runs]
    last = [task for task, group in zip(tasks, groups, strict=True) if not group.repeat]
    await asyncio.wait(last or tasks, timeout=seconds)
    for task in tasks:
        task.cancel()
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(outcome, Exception):
            raise outcome
    return {group.label: run.answers for group, run in zip(groups, runs, strict=True)}


def main() -> None:
    plan = json.load(sys.stdin)
    groups = [Group(**group) for group in plan["groups"]]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        answers = runner.run(_carry_out(groups, plan["port"], plan["seconds"]))
    json.dump({label: vars(answer) for label, answer in answers.items()}, sys.stdout)


if __name__ == "__main__":
    main()
