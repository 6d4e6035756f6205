"""Bodies on their way in and out: bounded in size and time, no faster than the client reads."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

from api.connections import ConnectionCutter
from api.problems import CLOSE, RefusedError
from api.threads import ThreadPool
from api.wsgi_bridge import Answer, Scope, log_failure, raw_path

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

# Servers queue pieces (Granian four of them) and not bytes, so what a slow reader costs is bounded by their size.
PIECE_BYTES = 16 * 1024
# Each costs the loop 30 µs, however small it is: 64 KiB in chunks of one byte would be two seconds of a core.
MOST_PARTS = 4096

logger = logging.getLogger(__name__)


class BrokenStreamError(Exception):
    """The response ended before its body did. Raised for the server to close the connection on."""


class _StalledError(Exception):
    """The client did not take a piece in time."""


async def read_body(scope: Scope, receive: Receive, *, at_most: int, seconds: float) -> bytes | None:
    """Return the whole body, or None for a request without one. Raises ``RefusedError``: 400, 408 or 413."""
    too_large = f"A body has at most {at_most} bytes."
    # HTTP/2 has bodies that no header announces.
    announced = not scope["http_version"].startswith("1")
    for name, value in scope["headers"]:
        if name == b"content-length":
            if not value.isdigit():
                raise RefusedError(400, "Content-Length is not a number.", CLOSE)
            if int(value) > at_most:
                raise RefusedError(413, too_large, CLOSE)
            announced = True
        elif name == b"transfer-encoding":
            announced = True
    if not announced:
        return None
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for part in _parts(receive):
                body += part
                if len(body) > at_most:
                    raise RefusedError(413, too_large, CLOSE)
    except TimeoutError:
        raise RefusedError(408, f"The body was not complete within {seconds:g} seconds.", CLOSE) from None
    return bytes(body)


async def _parts(receive: Receive) -> AsyncIterator[bytes]:
    for _ in range(MOST_PARTS):
        message = await receive()
        if message["type"] == "http.disconnect":
            # Granian says the same of a body that it cannot decode, and then there is a client to tell.
            raise RefusedError(400, "The body ended before it was complete.", CLOSE)
        yield message.get("body", b"")
        if not message.get("more_body", False):
            return
    raise RefusedError(400, f"A body comes in at most {MOST_PARTS} pieces.", CLOSE)


async def until_disconnect(receive: Receive) -> None:
    """Return when the client has left; bodies that come meanwhile are thrown away."""
    while (await receive())["type"] != "http.disconnect":
        pass


class BodySender:
    """Sends streamed and large bodies in pieces. One for an event loop.

    A client has ``piece_seconds`` to take each piece.
    """

    def __init__(self, pool: ThreadPool, *, piece_seconds: float) -> None:
        self._pool = pool
        self._piece_seconds = piece_seconds
        self._cutter = ConnectionCutter()

    async def send(self, answer: Answer, scope: Scope, receive: Receive, send: Send) -> None:
        """Send ``answer``, each chunk pulled by a short job of its own, so that a slow reader holds no thread.

        The answer is closed at the end, when the client leaves, and when anything fails; in the last case the
        connection is broken. Raises ``BrokenStreamError`` when only the server can break it.
        """
        gone = asyncio.ensure_future(until_disconnect(receive))
        try:
            await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
            chunk: bytes | None = answer.body
            while chunk is not None:
                await self._send_pieces(chunk, gone, send)
                chunk = await self._pool.submit(answer.pull).future if answer.streamed and not gone.done() else None
                if gone.done():
                    return
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except Exception as error:  # noqa: BLE001 - whatever it was, the client must not take the body for whole
            if gone.done():
                return
            if isinstance(error, _StalledError):
                logger.info("a client stopped reading: %s %s", scope["method"], raw_path(scope))
            else:
                log_failure("a response broke off", scope, error)
            if not await self._cutter.cut(scope):
                raise BrokenStreamError from None
        finally:
            gone.cancel()
            await self._close(answer, scope)

    async def _send_pieces(self, chunk: bytes, gone: asyncio.Future[None], send: Send) -> None:
        for start in range(0, len(chunk), PIECE_BYTES):
            piece = chunk[start : start + PIECE_BYTES]
            try:
                async with asyncio.timeout(self._piece_seconds):
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
            except TimeoutError:
                raise _StalledError from None
            if gone.done():
                return

    async def _close(self, answer: Answer, scope: Scope) -> None:
        try:
            await self._pool.submit(answer.close).future
        except Exception as error:  # noqa: BLE001 - the response is over: what closing raises can only be noted
            log_failure("closing a response failed", scope, error)
