"""The ASGI application: HTTP bounded in size and time on the event loop, Flask in a bounded number of threads.

A thread is taken only when the whole request is there, and given back before the client reads a byte of the answer; so
clients that send or read slowly cost a connection, and no one else's time. What need not wait, the loop runs itself.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from api.bodies import BodySender, Receive, Send, read_body
from api.exchanges import KEY as EXCHANGE
from api.exchanges import NOT_ANSWERED, request_id_headers
from api.handshakes import is_wanted
from api.launch import Launch
from api.ledger import Ledger
from api.limits import Limits, check_head, check_size
from api.problems import RefusedError, problem_answer
from api.read_ahead import ReadAhead
from api.socket_wire import SocketWires
from api.threads import ThreadPool
from api.turns import ClientGoneError, Turns, busy
from api.websocket import Connection, Service, WebSockets
from api.wires import ServersWire, Wire, refuse
from api.wsgi_bridge import Answer, Scope, WsgiApplication, build_environ, call, log_failure
from models.waiting import WouldWaitError, without_waiting

# A body up to this size is sent in one go, and is the server's to deliver; a longer one goes out in pieces.
WHOLE_BYTES = 64 * 1024

logger = logging.getLogger(__name__)


class AsgiApplication:
    """An ASGI 3 application that runs the WSGI application that ``build`` makes.

    Nothing is built or opened before the server starts the lifespan, or, on a server without one, before the first
    request. ``build`` runs in a thread of its own; what it raises fails the start with its message.
    """

    def __init__(self, build: Callable[[], Service], *, limits: Limits | None = None) -> None:
        self._build = build
        self._limits = limits or Limits()
        self._application: Service | None = None
        self._building = asyncio.Lock()
        self._pool: ThreadPool
        self._sender: BodySender
        self._reads: ReadAhead
        self._turns: Turns
        self._websockets: WebSockets
        self._wires: SocketWires | None = None
        self.launch = Launch()
        self._ledger = Ledger(self.launch.meter)

    def launched(self, launch: Launch) -> None:
        """Be told how the server starts this, before it does."""
        self.launch = launch
        self._ledger = Ledger(launch.meter)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "http":
            await self._http(scope, receive, send)
        elif kind == "websocket":
            await self._websocket(scope, receive, send)
        elif kind == "lifespan":
            await self._lifespan(receive, send)
        else:
            raise NotImplementedError(f"ASGI scope {kind!r}")

    # The lifespan of the process.

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await self._built()
        except Exception as error:  # noqa: BLE001 - whatever it is, the server is told, and does not start
            await send({"type": "lifespan.startup.failed", "message": str(error) or type(error).__qualname__})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _built(self) -> Service:
        async with self._building:
            if self._application is None:
                application = await asyncio.to_thread(self._build)
                self._pool = ThreadPool(application.threads)
                self._sender = BodySender(self._pool, piece_seconds=self._limits.piece_seconds)
                self._reads = ReadAhead(application.read_ahead, seconds=self._limits.queue_seconds)
                self._turns = Turns(self._pool, self._limits)
                conversations = application.conversations
                self._websockets = WebSockets(conversations, self._turns.take_unwatched, self._ledger.meter)
                self._application = application
            return self._application

    async def _close(self) -> None:
        await self.stop_websockets()
        await self._ledger.all_ended()
        application, self._application = self._application, None
        if application is not None:
            self._pool.close()
            self._reads.close()
            await asyncio.to_thread(application.close)

    # HTTP.

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = self._ledger.begin(scope)
        try:
            if self._wires is not None and is_wanted(scope):
                await self._upgrade(self._wires, scope, receive, send)
                return
            answer = await self._answer(scope, receive)
            exchange.status = answer.status
            answer.headers += request_id_headers(scope)
            if answer.streamed or len(answer.body) > WHOLE_BYTES:
                await self._sender.send(answer, scope, receive, send)
            else:
                await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
                await send({"type": "http.response.body", "body": answer.body, "more_body": False})
        except RefusedError as refusal:
            exchange.refuse(refusal.status, refusal.reason)
            await _send_problem(send, refusal, scope)
        except ClientGoneError:
            exchange.status = NOT_ANSWERED
        finally:
            self._ledger.end(exchange, scope)

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        """Run the request. Raises ``RefusedError`` for what is answered here, and ``ClientGoneError``."""
        limits = self._limits
        check_head(scope, at_most=limits.head_bytes)
        body = await read_body(scope, receive, at_most=limits.body_bytes, seconds=limits.body_seconds)
        application = self._application or await self._built()
        environ = build_environ(scope, body)
        environ[EXCHANGE] = scope[EXCHANGE]
        try:
            if application.foresee(environ) and body is None:
                answer = await self._at_once(application, environ)
                if answer is not None:
                    return answer
            return await self._turns.take(partial(call, application, environ, whole_below=WHOLE_BYTES), receive)
        except (RefusedError, ClientGoneError):
            raise
        except Exception as error:  # noqa: BLE001 - the last place that can still make an answer of it
            log_failure("the application failed", scope, error)
            raise RefusedError(500, "The server met a condition that it cannot handle.", reason="crash") from None

    async def _at_once(self, application: WsgiApplication, environ: dict[str, Any]) -> Answer | None:
        """Answer on the event loop, which spares changing threads; ``None`` if the request would have to wait."""
        # Shielded: a server that cancels one request must not cancel the round, which others wait for.
        if not await asyncio.shield(self._reads.next_round()):
            raise busy()
        with suppress(WouldWaitError), without_waiting():
            return call(application, environ.copy(), whole_below=WHOLE_BYTES)
        return None

    # WebSockets.

    def take_connections(self) -> None:
        """Hold the WebSockets that HTTP requests ask for, on connections that the server lets go."""
        self._wires = SocketWires()

    async def _upgrade(self, wires: SocketWires, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 101, and hold the connection in a task of its own."""
        check_head(scope, at_most=self._limits.head_bytes)
        connection = await self._accepted(scope, wires.wire(scope, receive, send))
        if connection is not None:
            self._websockets.hold(connection)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hold a WebSocket of the server's own."""
        exchange = self._ledger.begin(scope)
        connection = None
        try:
            await receive()
            check_size(scope, at_most=self._limits.head_bytes)
            connection = await self._accepted(scope, ServersWire(receive, send))
        except RefusedError as refusal:
            exchange.refuse(refusal.status, refusal.reason)
            await refuse(refusal, scope, send)
        finally:
            self._ledger.end(exchange, scope)
        if connection is not None:
            await self._websockets.serve(connection)

    async def _accepted(self, scope: Scope, wire: Wire) -> Connection | None:
        """Return the connection, or None if it has gone. Raises ``RefusedError``."""
        await self._built()
        scope[EXCHANGE].route = "websocket"
        try:
            connection = await self._websockets.accept(scope, wire)
        except RefusedError:
            raise
        except Exception as error:  # noqa: BLE001 - servers raise what they like when the client has gone
            log_failure("a handshake failed", scope, error)
            return None
        scope[EXCHANGE].status = 101
        return connection

    async def stop_websockets(self) -> None:
        """Close what WebSockets there are, before a server that would only break them off is told to stop."""
        if self._application is not None:
            await self._websockets.close()


async def _send_problem(send: Send, refusal: RefusedError, scope: Scope) -> None:
    headers, body = problem_answer(refusal)
    headers += request_id_headers(scope)
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
