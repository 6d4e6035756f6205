"""Handshakes over HTTP (RFC 6455, section 4.2) whose connections the server lets go."""

import asyncio
import logging

from websockets.datastructures import Headers
from websockets.http11 import Request
from websockets.server import ServerProtocol

from api.bodies import Receive, Send, until_disconnect
from api.connections import ConnectionTaker, Taken
from api.exchanges import request_id_headers
from api.problems import CLOSE, RefusedError
from api.wsgi_bridge import RawHeaders, Scope, raw_path

# Granian lets go within milliseconds.
_RELEASE_SECONDS = 5.0
# What a handshake of another version is told (RFC 6455, section 4.4).
_VERSION = (b"sec-websocket-version", b"13")

# The library's log at its debug level tells what headers and frames say.
QUIET = logging.getLogger(__name__)
QUIET.setLevel(logging.WARNING)


class Handshake:
    """An HTTP request that asks for a WebSocket."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self._receive = receive
        self._send = send
        self._headers = _answer_headers(scope)

    async def accept(self, taker: ConnectionTaker) -> Taken:
        """Answer 101, and return the connection when it is nobody else's. Raises ``RefusedError``, ``OSError``."""
        taken = await self._taken(taker)
        if taken is None:
            raise RefusedError(503, "This connection cannot become a WebSocket now.", (b"retry-after", b"1"), CLOSE)
        try:
            headers = [*self._headers, *request_id_headers(self.scope)]
            await self._send({"type": "http.response.start", "status": 101, "headers": headers})
            await self._send({"type": "http.response.body", "body": b""})
            async with asyncio.timeout(_RELEASE_SECONDS):
                pause = 0.0
                while not taken.is_released():
                    await asyncio.sleep(pause)
                    pause = min(0.1, pause * 2 + 0.001)
        except BaseException:
            taker.give_back(taken)
            raise
        return taken

    async def _taken(self, taker: ConnectionTaker) -> Taken | None:
        leaving = asyncio.ensure_future(until_disconnect(self._receive))
        try:
            taken = await taker.take(self.scope)
            has_left = leaving.done()
        finally:
            leaving.cancel()
        # Of a client that has left, the next connection may have come from the same port, and been found in its place.
        if taken is not None and has_left:
            taker.give_back(taken)
            return None
        return taken


def is_wanted(scope: Scope) -> bool:
    """Tell whether a request asks for a WebSocket: ``Upgrade`` counts where ``Connection`` names it (RFC 9110)."""
    headers = scope["headers"]
    return (
        any(name == b"upgrade" and value.lower() == b"websocket" for name, value in headers)
        and any(name == b"connection" and b"upgrade" in value.lower() for name, value in headers)
        and scope["method"] == "GET"
        and scope["http_version"] == "1.1"
    )


def _answer_headers(scope: Scope) -> RawHeaders:
    """Return the headers of the answer 101 to a handshake. Raises ``RefusedError`` for what is none."""
    received = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
    if any(name == "transfer-encoding" or (name == "content-length" and value != "0") for name, value in received):
        raise RefusedError(400, "The handshake of a WebSocket has no body.", CLOSE)
    library = ServerProtocol(logger=QUIET)
    answer = library.accept(Request(raw_path(scope), Headers(received)))
    if answer.status_code != 101:  # noqa: PLR2004 - Switching Protocols
        raise RefusedError(400, f"This is no handshake: {library.handshake_exc}.", _VERSION, CLOSE)
    # The server dates its answers itself.
    return [(n.lower().encode(), v.encode("latin-1")) for n, v in answer.headers.raw_items() if n.lower() != "date"]
