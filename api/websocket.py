"""WebSockets (RFC 6455): handshakes, frames, and the life of a connection, on the event loop.

A connection that waits for its client holds no thread and nothing of the database's. Its frames are answered one after
the other, and the next one is received when the answer to the last is sent: who sends too fast, or reads too slowly, is
held back by TCP, and costs no memory here.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any, Protocol

from api.exchanges import KEY as EXCHANGE
from api.metrics import WEBSOCKETS_OPEN
from api.problems import RefusedError
from api.wires import Pace, WebSocketLimits, Wire
from api.wsgi_bridge import Scope, WsgiApplication, build_environ
from models.clients import Client
from models.meter import UNMETERED, Meter

# Status codes of RFC 6455, section 7.4.1.
_GOING_AWAY = 1001
_TOO_BIG = 1009
# A stop waits so long for connections whose client does not read, or whose action waits for its turn.
_STOP_SECONDS = 5.0
_SCHEMES = {"ws": "http", "wss": "https"}

logger = logging.getLogger(__name__)

RunInThread = Callable[[Callable[[], str]], Awaitable[str]]


class Conversation(Protocol):
    """What a connection's frames mean. Both methods answer whatever comes, and take their time: run them in threads."""

    client: Client

    def answer(self, frame: str | bytes) -> str: ...

    def busy(self, frame: str | bytes, retry_after: int) -> str: ...


class Conversations(Protocol):
    """Begins conversations. ``begin`` is called on the event loop; it raises ``RefusedError`` for who may have none."""

    limits: WebSocketLimits

    def begin(self, environ: dict[str, Any]) -> Conversation: ...


class Service(WsgiApplication, Protocol):
    """A WSGI application that may take WebSockets as well: ``conversations`` begins what is said over them."""

    @property
    def conversations(self) -> Conversations | None: ...


class WebSockets:
    """The open connections of one process."""

    def __init__(self, conversations: Conversations | None, run: RunInThread, meter: Meter = UNMETERED) -> None:
        self._conversations = conversations
        self._run = run
        self._telling = asyncio.Lock()
        self._meter = meter
        self._open: set[Connection] = set()
        self._of_address: Counter[str] = Counter()
        self._is_stopping = False
        self._last_closed = asyncio.Event()

    @property
    def are_taken(self) -> bool:
        """Whether there is anything that takes WebSockets."""
        return self._conversations is not None

    async def accept(self, scope: Scope, wire: Wire) -> "Connection":
        """Accept a handshake. Raises ``RefusedError``, and what ``wire`` raises. The connection is to be served."""
        if self._conversations is None:
            raise RefusedError(404, "No WebSocket is here.")
        limits = self._conversations.limits
        http_scope = {**scope, "method": "GET", "scheme": _SCHEMES.get(scope["scheme"], scope["scheme"])}
        environ = build_environ(http_scope, None)
        environ[EXCHANGE] = scope.get(EXCHANGE)
        conversation = self._conversations.begin(environ)
        address = conversation.client.address
        if self._is_stopping or len(self._open) >= limits.in_all:
            raise _full("Too many WebSockets are open here.")
        if self._of_address[address] >= limits.per_address:
            raise _full("Too many WebSockets are open from this address.")
        connection = Connection(conversation, limits, wire, run=self._run, telling=self._telling)
        self._open.add(connection)
        self._of_address[address] += 1
        self._meter.move(WEBSOCKETS_OPEN, 1)
        try:
            await wire.accept(limits)
        except BaseException:
            self._forget(connection)
            raise
        return connection

    def hold(self, connection: "Connection") -> None:
        """Serve a connection in a task of its own."""
        connection.task = asyncio.create_task(self.serve(connection))

    async def serve(self, connection: "Connection") -> None:
        """Serve a connection to its end."""
        try:
            await connection.serve()
        finally:
            self._forget(connection)

    def _forget(self, connection: "Connection") -> None:
        self._open.discard(connection)
        self._meter.move(WEBSOCKETS_OPEN, -1)
        address = connection.address
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


class Connection:
    """One connection, from its acceptance to its end."""

    task: asyncio.Task[None] | None = None

    def __init__(
        self,
        conversation: Conversation,
        limits: WebSocketLimits,
        wire: Wire,
        *,
        run: RunInThread,
        telling: asyncio.Lock,
    ) -> None:
        self._conversation = conversation
        self._limits = limits
        self._wire = wire
        self._run = run
        self._telling = telling
        self._pace = Pace(limits.per_second, limits.burst)
        self._receiving: asyncio.Future[str | bytes | None] | None = None
        self._is_stopping = False

    @property
    def address(self) -> str:
        """The client's, as limits count it."""
        return self._conversation.client.address

    def stop(self) -> None:
        """Have the connection closed as soon as nothing of it is being answered."""
        self._is_stopping = True
        if self._receiving is not None:
            self._receiving.cancel()

    async def serve(self) -> None:
        """Answer message after message, until the client or the service ends it."""
        try:
            await self._answer_all()
        finally:
            self._wire.drop()

    async def _answer_all(self) -> None:
        while (message := await self._next()) is not None:
            if _bytes_of(message) > self._limits.frame_bytes:
                await self._close(_TOO_BIG, f"A message has at most {self._limits.frame_bytes} bytes.")
                return
            if wait := self._pace.wait():
                await asyncio.sleep(wait)
            if not await self._in_time(self._wire.send(await self._answer(message))):
                return
        # Granian calls its own stop a disconnection, and leaves the close frame to the application; to a client that
        # has gone it does not matter.
        await self._close(_GOING_AWAY, "The service stops.")

    async def _next(self) -> str | bytes | None:
        """Return the next message; ``None`` at the end."""
        if self._is_stopping:
            return None
        receiving = self._receiving = asyncio.ensure_future(self._wire.receive())
        try:
            return await receiving
        except asyncio.CancelledError:
            if not self._is_stopping:
                raise
        except Exception:  # noqa: BLE001 - servers raise what they like when the client has gone
            logger.debug("a WebSocket's client has gone")
        finally:
            self._receiving = None
        return None

    async def _answer(self, message: str | bytes) -> str:
        with suppress(RefusedError):
            return await self._run(partial(self._conversation.answer, message))
        # To find what the answer has to name takes up to ten milliseconds, which the event loop does not have just when
        # there is too much to do. One at a time: the other threads are for looking connections up.
        async with self._telling:
            return await asyncio.to_thread(self._conversation.busy, message, retry_after=1)

    async def _close(self, code: int, reason: str) -> None:
        await self._in_time(self._wire.close(code, reason))

    async def _in_time(self, sending: Coroutine[Any, Any, None]) -> bool:
        """Tell whether the client took what is sent; one that does not in time, or has gone, is given up."""
        with suppress(Exception):  # as above
            async with asyncio.timeout(self._limits.send_seconds):
                await sending
            return True
        return False


def _bytes_of(frame: str | bytes) -> int:
    return len(frame) if isinstance(frame, bytes) else len(frame.encode())


def _full(detail: str) -> RefusedError:
    return RefusedError(503, detail, (b"retry-after", b"1"), reason="no_websocket")
