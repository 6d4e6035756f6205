"""WebSockets (RFC 6455): handshakes, frames, and the life of a connection, on the event loop.

A connection that waits for its client holds no thread and nothing of the database's. Its frames are answered one after
the other, and the next one is received when the answer to the last is sent: who sends too fast, or reads too slowly, is
held back by TCP, and costs no memory here.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from api.bodies import Message, Receive, Send
from api.problems import RefusedError, problem_answer
from api.wsgi_bridge import Scope, WsgiApplication, build_environ
from models.clients import Client

# Status codes of RFC 6455, section 7.4.1.
_GOING_AWAY = 1001
_TOO_BIG = 1009
# A stop waits so long for connections whose client does not read, or whose action waits for its turn.
_STOP_SECONDS = 5.0
_SCHEMES = {"ws": "http", "wss": "https"}

logger = logging.getLogger(__name__)

RunInThread = Callable[[Callable[[], str]], Awaitable[str]]


class Conversation(Protocol):
    """What a connection's frames mean. ``answer`` blocks, so it belongs into a thread; it answers whatever comes."""

    client: Client

    def answer(self, frame: str | bytes) -> str: ...

    def busy(self, frame: str | bytes, retry_after: int) -> str: ...


class Conversations(Protocol):
    """Begins conversations. ``begin`` is called on the event loop; it raises ``RefusedError`` for who may have none."""

    limits: "WebSocketLimits"

    def begin(self, environ: dict[str, Any]) -> Conversation: ...


class Service(WsgiApplication, Protocol):
    """A WSGI application that may take WebSockets as well: ``conversations`` begins what is said over them."""

    @property
    def conversations(self) -> Conversations | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSocketLimits:
    """What connections may cost: how many of them one process holds, and what each may do. Times in seconds.

    After a ``burst`` of frames, the next ones are taken ``per_second``. A connection is closed when it brings no frame
    for ``idle_seconds``, and dropped when its client does not take an answer within ``send_seconds``.
    """

    in_all: int = 1024
    per_address: int = 128
    frame_bytes: int = 64 * 1024
    per_second: float = 50.0
    burst: int = 100
    idle_seconds: float = 600.0
    send_seconds: float = 20.0


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


class WebSockets:
    """The open connections of one process."""

    def __init__(self, conversations: Conversations | None, run: RunInThread) -> None:
        self._conversations = conversations
        self._run = run
        self._open: set[_Connection] = set()
        self._of_address: Counter[str] = Counter()
        self._is_stopping = False
        self._last_closed = asyncio.Event()

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a connection from its handshake, whose ``websocket.connect`` has been received, to its end.

        Raises ``RefusedError`` before it is accepted.
        """
        if self._conversations is None:
            raise RefusedError(404, "No WebSocket is here.")
        limits = self._conversations.limits
        http_scope = {**scope, "method": "GET", "scheme": _SCHEMES.get(scope["scheme"], "http")}
        conversation = self._conversations.begin(build_environ(http_scope, None))
        address = conversation.client.address
        if self._is_stopping or len(self._open) >= limits.in_all:
            raise _full("Too many WebSockets are open here.")
        if self._of_address[address] >= limits.per_address:
            raise _full("Too many WebSockets are open from this address.")
        connection = _Connection(conversation, limits, self._run, receive, send)
        self._open.add(connection)
        self._of_address[address] += 1
        try:
            await connection.serve()
        finally:
            self._forget(connection, address)

    def _forget(self, connection: "_Connection", address: str) -> None:
        self._open.discard(connection)
        self._of_address[address] -= 1
        if not self._of_address[address]:
            del self._of_address[address]
        if self._is_stopping and not self._open:
            self._last_closed.set()

    async def close(self) -> None:
        """Close every connection, once what it has asked is answered; return when that is done, or its time is up."""
        self._is_stopping = True
        for connection in list(self._open):
            connection.stop()
        if self._open:
            try:
                await asyncio.wait_for(self._last_closed.wait(), _STOP_SECONDS)
            except TimeoutError:
                logger.warning("%d WebSockets could not be closed in time.", len(self._open))


class _Connection:
    """One connection, from its acceptance to its end."""

    def __init__(
        self, conversation: Conversation, limits: WebSocketLimits, run: RunInThread, receive: Receive, send: Send
    ) -> None:
        self._conversation = conversation
        self._limits = limits
        self._run = run
        self._receive = receive
        self._send = send
        self._pace = Pace(limits.per_second, limits.burst)
        self._receiving: asyncio.Future[Message] | None = None
        self._is_stopping = False

    def stop(self) -> None:
        """Have the connection closed as soon as nothing of it is being answered."""
        self._is_stopping = True
        if self._receiving is not None:
            self._receiving.cancel()

    async def serve(self) -> None:
        if not await self._sent({"type": "websocket.accept"}):
            return
        while (message := await self._next()) is not None:
            frame = message.get("text")
            if frame is None:
                frame = message.get("bytes") or b""
            if _bytes_of(frame) > self._limits.frame_bytes:
                await self._close(_TOO_BIG, f"A frame has at most {self._limits.frame_bytes} bytes.")
                return
            if wait := self._pace.wait():
                await asyncio.sleep(wait)
            if not await self._sent({"type": "websocket.send", "text": await self._answer(frame)}):
                return

    async def _answer(self, frame: str | bytes) -> str:
        try:
            return await self._run(partial(self._conversation.answer, frame))
        except RefusedError:
            return self._conversation.busy(frame, retry_after=1)

    async def _next(self) -> Message | None:
        """Return the next frame; ``None`` at the end of the connection, which is closed by then."""
        if not self._is_stopping:
            receiving = self._receiving = asyncio.ensure_future(_received(self._receive))
            done, _ = await asyncio.wait((receiving,), timeout=self._limits.idle_seconds)
            self._receiving = None
            if not done:
                receiving.cancel()
                await asyncio.wait((receiving,))
                await self._close(_GOING_AWAY, "No action came for too long.")
                return None
            # Servers raise what they like when the client is gone.
            if not receiving.cancelled() and receiving.exception() is None:
                message = receiving.result()
                if message["type"] == "websocket.receive":
                    return message
        # Granian calls its own stop a disconnection, and leaves the close frame to the application; to a client that
        # has gone it does not matter.
        await self._close(_GOING_AWAY, "The service stops.")
        return None

    async def _sent(self, message: Message) -> bool:
        """Send, and tell whether the client took it in time; one that did not, or has gone, is given up."""
        sending = asyncio.ensure_future(_sent(self._send, message))
        done, _ = await asyncio.wait((sending,), timeout=self._limits.send_seconds)
        if not done:
            sending.cancel()
            await asyncio.wait((sending,))
            return False
        return not sending.cancelled() and sending.exception() is None

    async def _close(self, code: int, reason: str) -> None:
        await self._sent({"type": "websocket.close", "code": code, "reason": reason})


async def refuse(refusal: RefusedError, scope: Scope, send: Send) -> None:
    """Answer a handshake with a problem document; a server that cannot do that makes a 403 of it."""
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": 1008})
        return
    headers, body = problem_answer(refusal)
    # The client may have gone, which is no error of ours.
    with suppress(OSError):
        await send({"type": "websocket.http.response.start", "status": refusal.status, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": body, "more_body": False})


async def _received(receive: Receive) -> Message:
    # What servers return from here is awaitable, but not always a coroutine.
    return await receive()


async def _sent(send: Send, message: Message) -> None:
    await send(message)


def _bytes_of(frame: str | bytes) -> int:
    return len(frame) if isinstance(frame, bytes) else len(frame.encode())


def _full(detail: str) -> RefusedError:
    return RefusedError(503, detail, (b"retry-after", b"1"))
