"""``GET /metrics`` on a port of its own, answered by a thread of the process that outlives the workers.

It asks for no credentials. Clients that are slow or many cost a few connections here, for some seconds, and nothing of
the service itself.
"""

import asyncio
import logging
import os
import socket
from collections.abc import Callable
from http import HTTPStatus
from threading import Thread

from api.logs import Rarely
from models.errors import SetupError

logger = logging.getLogger(__name__)
_failed = Rarely(logger)

# A scrape takes milliseconds. Clients have so long to ask and to take the answer, and so many are served at a time.
SECONDS = 5.0
CONNECTIONS = 16
HEAD_BYTES = 16 * 1024
_BACKLOG = 32

Answer = Callable[[str], tuple[str, bytes]]


class MetricsServer:
    """Listens from the start; begins to answer in a thread of its own. ``answer`` is given the header ``Accept``.

    Raises ``SetupError`` when it cannot listen.
    """

    def __init__(self, host: str, port: int, answer: Answer) -> None:
        self._answer = answer
        self._open: set[socket.socket] = set()
        self._exchanges: set[asyncio.Task[None]] = set()
        try:
            family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
            self._listener = socket.socket(family, socket.SOCK_STREAM)
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._listener.bind(address)
            self._listener.listen(_BACKLOG)
        except OSError as error:
            message = f"Cannot listen at METRICS_HOST={host}, METRICS_PORT={port}: {error.strerror or error}."
            raise SetupError(message) from error
        self._listener.setblocking(False)  # noqa: FBT003 - its only parameter
        os.register_at_fork(after_in_child=self._let_go)

    def begin(self) -> None:
        """Answer from now on, until the process ends."""
        Thread(target=lambda: asyncio.run(self._serve()), name="metrics", daemon=True).start()

    def _let_go(self) -> None:
        """Close, in a worker that was forked, what is the parent's to answer."""
        for connection in (self._listener, *self._open):
            descriptor = connection.detach()
            if descriptor >= 0:
                os.close(descriptor)

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(self._listener)
            except OSError:  # the client has gone already, or there is no descriptor left
                await asyncio.sleep(0.1)
                continue
            if len(self._open) >= CONNECTIONS:
                connection.close()
                continue
            self._open.add(connection)
            exchange = asyncio.create_task(self._exchange(loop, connection))
            self._exchanges.add(exchange)
            exchange.add_done_callback(self._exchanges.discard)

    async def _exchange(self, loop: asyncio.AbstractEventLoop, connection: socket.socket) -> None:
        try:
            async with asyncio.timeout(SECONDS):
                head = b""
                while b"\r\n\r\n" not in head:
                    part = await loop.sock_recv(connection, 4096)
                    if not part or len(head) > HEAD_BYTES:
                        return
                    head += part
                await loop.sock_sendall(connection, self._answered(head))
                connection.shutdown(socket.SHUT_WR)
        except OSError:  # TimeoutError is one of them
            pass
        except Exception as error:  # noqa: BLE001 - one exchange ends no other, and whoever asks often fills no log
            _failed.warning("A request for the metrics failed.", error)
        finally:
            self._open.discard(connection)
            connection.close()

    def _answered(self, head: bytes) -> bytes:
        """Return the whole answer to a request's head."""
        request, *lines = head.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
        method, _, rest = request.partition(" ")
        target, _, version = rest.partition(" ")
        if not version.startswith("HTTP/1."):
            return _http(HTTPStatus.BAD_REQUEST, b"This is no request of HTTP/1.\n")
        if target.partition("?")[0] != "/metrics":
            return _http(HTTPStatus.NOT_FOUND, b"Nothing but /metrics is here.\n")
        if method not in {"GET", "HEAD"}:
            return _http(HTTPStatus.METHOD_NOT_ALLOWED, b"GET works here.\n", allow="GET, HEAD")
        headers = (line.partition(":") for line in lines)
        accept = next((value.strip() for name, _, value in headers if name.lower() == "accept"), "")
        try:
            content_type, body = self._answer(accept)
        except Exception as error:  # noqa: BLE001 - whoever asks is told so
            _failed.warning("The metrics could not be told.", error)
            return _http(HTTPStatus.INTERNAL_SERVER_ERROR, b"The metrics cannot be told; the log says why.\n")
        answer = _http(HTTPStatus.OK, body, content_type)
        return answer if method == "GET" else answer.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"


def _http(status: HTTPStatus, body: bytes, content_type: str = "text/plain; charset=utf-8", allow: str = "") -> bytes:
    lines = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        f"Content-Type: {content_type}",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        "Connection: close",
        *([f"Allow: {allow}"] if allow else []),
    ]
    return "\r\n".join([*lines, "", ""]).encode("ascii") + body
