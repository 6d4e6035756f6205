"""What a WebSocket is to the rest of the code, whoever speaks its protocol: a wire, and what it may carry."""

import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from api.bodies import Receive, Send
from api.exchanges import request_id_headers
from api.problems import RefusedError, problem_answer
from api.wsgi_bridge import Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSocketLimits:
    """What connections may cost: how many of them one process holds, and what each may do. Times in seconds.

    After a ``burst`` of messages, the next ones are taken ``per_second``. A connection is dropped when its client does
    not take an answer within ``send_seconds``.
    """

    in_all: int = 4096
    per_address: int = 128
    frame_bytes: int = 64 * 1024
    per_second: float = 50.0
    burst: int = 100
    send_seconds: float = 20.0


class Wire(Protocol):
    """The connection itself. When the client has gone, whatever is raised says so."""

    async def accept(self, limits: WebSocketLimits, /) -> None: ...

    def receive(self) -> Awaitable[str | bytes | None]: ...  # the next message; None at the end

    async def send(self, text: str) -> None: ...  # returns when there is room for more

    async def close(self, code: int, reason: str) -> None: ...

    def drop(self) -> None: ...  # at once, if it is still open


class Pace:
    """A token bucket: says how long the next frame has to wait, in seconds."""

    def __init__(self, per_second: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval = 1 / per_second
        self._burst_seconds = burst * self._interval
        self._clock = clock
        self._spent_until = clock()

    def wait(self) -> float:
        """Count one frame, and return how long to wait before it is answered."""
        now = self._clock()
        self._spent_until = max(self._spent_until, now) + self._interval
        return max(0.0, self._spent_until - now - self._burst_seconds)


class ServersWire:
    """A WebSocket of the ASGI server's own."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send

    async def accept(self, _: WebSocketLimits) -> None:
        """Have the server accept the handshake."""
        await self._send({"type": "websocket.accept"})

    async def receive(self) -> str | bytes | None:
        """Return the next message; ``None`` at the end."""
        message = await self._receive()
        if message["type"] != "websocket.receive":
            return None
        text: str | None = message.get("text")
        return message.get("bytes") or b"" if text is None else text

    async def send(self, text: str) -> None:
        """Send a message."""
        await self._send({"type": "websocket.send", "text": text})

    async def close(self, code: int, reason: str) -> None:
        """Close the connection."""
        await self._send({"type": "websocket.close", "code": code, "reason": reason})

    def drop(self) -> None:
        """Leave it to the server."""


async def refuse(refusal: RefusedError, scope: Scope, send: Send) -> None:
    """Answer a handshake with a problem document; a server that cannot do that makes a 403 of it."""
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": 1008})
        return
    headers, body = problem_answer(refusal)
    headers += request_id_headers(scope)
    # The client may have gone, which is no error of ours.
    with suppress(OSError):
        await send({"type": "websocket.http.response.start", "status": refusal.status, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": body, "more_body": False})
