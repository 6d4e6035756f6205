"""One who uses Doorman beside the others, and keeps how long that takes: ``python -m bench.observer <port> <user>``.

It asks for ``ping`` on a WebSocket and for the user itself over HTTP, each on a connection of its own, evenly and few
times a second; when standard input ends, it prints what it found. ``bench.websockets`` starts it.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from functools import partial

import uvloop

from bench.socket_client import PING, connect
from bench.targets import own_read

_ADDRESS = "127.200.0.1"
# Less than the 50 frames a second that a connection is served: what is measured is not that limit.
PAUSE = 1 / 40


@dataclass
class Observed:
    """When each was due by the monotonic clock, and how long from then on the answer took, in milliseconds.

    Those that were due while another one had no answer yet waited for that answer: slow times count for what they last.
    """

    pings: list[tuple[float, float]] = field(default_factory=list)
    reads: list[tuple[float, float]] = field(default_factory=list)


async def _observe(port: int, user_name: str) -> Observed:
    found = Observed()
    socket = await connect(port, _ADDRESS)
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(_ADDRESS, 0))
    request = own_read(user_name)
    lines = [f"GET {request.path} HTTP/1.1", f"Host: 127.0.0.1:{port}"]
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    read = partial(_read, reader, writer, "\r\n".join([*lines, "", ""]).encode())
    await read()  # the first time, the password costs a hash
    asking = [
        asyncio.create_task(_evenly(partial(socket.ask, PING), found.pings)),
        asyncio.create_task(_evenly(read, found.reads)),
    ]
    end = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await asyncio.wait([end, *asking], return_when=asyncio.FIRST_COMPLETED)
    for task in asking:
        if task.done():
            task.result()  # raises what ended it
        task.cancel()
    return found


async def _evenly(ask: Callable[[], Awaitable[object]], found: list[tuple[float, float]]) -> None:
    due = time.monotonic()
    while True:
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        await ask()
        answered = time.monotonic()
        while due < answered:
            found.append((due, (answered - due) * 1000))
            due += PAUSE


async def _read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> None:
    """Ask once over HTTP. Raises ``ConnectionError`` for anything but the user."""
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    if not head.startswith(b"http/1.1 200"):
        raise ConnectionError(head.decode(errors="replace"))
    await reader.readexactly(int(head.partition(b"\r\ncontent-length:")[2].split(b"\r\n", 1)[0]))


def main() -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found = runner.run(_observe(int(sys.argv[1]), sys.argv[2]))
    json.dump(asdict(found), sys.stdout)


if __name__ == "__main__":
    main()
