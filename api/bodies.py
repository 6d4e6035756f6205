"""Bodies on their way in and out: bounded in size and time, no faster than the client reads, broken off when they fail.

A response that fails halfway must not look complete. HTTP/1.1 says so by closing the connection before the last
chunk (RFC 9112, section 8), and ASGI servers do it when the application raises. Granian up to 2.8.5 ends the chunked
body as if all were well; 2.8.7 breaks it off, but only when it can write again, so that a client that has stopped
reading keeps its connection for ever; ASGI has no message for it. So the connection's socket is looked up among the
process's own and shut down before the server learns that the body is over.
"""

import asyncio
import logging
import os
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, MutableMapping
from contextlib import suppress
from typing import Any, TypeAlias

from api.threads import ThreadPool
from api.wsgi_bridge import Answer, Scope

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Peer: TypeAlias = tuple[str, int]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

# Servers queue pieces (Granian four of them) and not bytes, so what a slow reader costs is bounded by their size.
PIECE_BYTES = 16 * 1024

logger = logging.getLogger(__name__)


class BrokenStreamError(Exception):
    """The response ended before its body did. Raised for the server to close the connection on."""


class _StalledError(Exception):
    """The client did not take a piece in time."""


class ClientGoneError(Exception):
    """The client left before there was anything to answer."""


class BodyRefusedError(Exception):
    """The request's body breaks a rule; ``status`` is 400, 408 or 413, and the rest of the body is not read."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


async def read_body(scope: Scope, receive: Receive, *, at_most: int, seconds: float) -> bytes | None:
    """Read the whole body, or give None for a request without one. Raises ``BodyRefusedError``, ``ClientGoneError``."""
    too_large = f"A body has at most {at_most} bytes."
    # HTTP/2 has bodies that no header announces.
    announced = not scope["http_version"].startswith("1")
    for name, value in scope["headers"]:
        if name == b"content-length":
            if not value.isdigit():
                raise BodyRefusedError(400, "Content-Length is not a number.")
            if int(value) > at_most:
                raise BodyRefusedError(413, too_large)
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
                    raise BodyRefusedError(413, too_large)
    except TimeoutError:
        raise BodyRefusedError(408, f"The body was not complete within {seconds:g} seconds.") from None
    return bytes(body)


async def _parts(receive: Receive) -> AsyncIterator[bytes]:
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        yield message.get("body", b"")
        more = message.get("more_body", False)


async def until_disconnect(receive: Receive) -> None:
    """Return when the client has left; bodies that come meanwhile are thrown away."""
    while (await receive())["type"] != "http.disconnect":
        pass


class BodySender:
    """Sends streamed and large bodies in pieces, and breaks connections. One for an event loop.

    A client has ``piece_seconds`` to take each piece.
    """

    def __init__(self, pool: ThreadPool, *, piece_seconds: float) -> None:
        self._pool = pool
        self._piece_seconds = piece_seconds
        self._to_cut: dict[Peer, asyncio.Future[bool]] = {}
        self._cutting: asyncio.Task[None] | None = None

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
            if not await self._cut(scope):
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

    async def _cut(self, scope: Scope) -> bool:
        """Break the connection that ``scope`` came by. Returns whether it was found."""
        client = scope.get("client")
        if not client:
            return False
        peer = (client[0], int(client[1]))
        found = self._to_cut.setdefault(peer, asyncio.get_running_loop().create_future())
        if self._cutting is None or self._cutting.done():
            self._cutting = asyncio.create_task(self._cut_all())
        return await found

    async def _cut_all(self) -> None:
        """Cut what waits for it in as few walks over the descriptors as may be, and rest four times as long as each.

        Thousands of clients that stop reading must not cost thousands of walks over thousands of descriptors.
        """
        while self._to_cut:
            batch, self._to_cut = self._to_cut, {}
            started = time.monotonic()
            cut = await asyncio.to_thread(cut_connections, batch.keys())
            for peer, found in batch.items():
                found.set_result(peer in cut)
            await asyncio.sleep(4 * (time.monotonic() - started))


def log_failure(what: str, scope: Scope, error: BaseException) -> None:
    """Log where ``error`` came from. Its message is left out: it may quote a query string, a header or a body."""
    frames = []
    traceback = error.__traceback__
    while traceback is not None:
        code = traceback.tb_frame.f_code
        frames.append(f"{code.co_filename}:{traceback.tb_lineno} {code.co_qualname}")
        traceback = traceback.tb_next
    where = " > ".join(frames)
    logger.error("%s: %s %s: %s at %s", what, scope["method"], raw_path(scope), type(error).__qualname__, where)


def raw_path(scope: Scope) -> str:
    """Give the path as it was sent, without the query: what may be logged of a request's target."""
    return (scope.get("raw_path") or b"").decode("latin-1")


def cut_connections(peers: Collection[Peer]) -> set[Peer]:
    """Shut down this process's TCP connections to ``peers``. Returns those that were found; walks all descriptors.

    A descriptor is only borrowed. A duplicate would be safer against its reuse in between, but closing a duplicate
    that turns out to be a file's drops the process's POSIX locks on it, and SQLite's safety rests on those. The worst
    here is that a connection that took over the number is broken in its place.
    """
    cut: set[Peer] = set()
    try:
        descriptors = os.listdir("/dev/fd")  # noqa: PTH208 - there may be thousands, and paths cost more than the calls
    except OSError:
        return cut
    for entry in descriptors:
        # What is no socket, not connected, or closed since it was listed, raises here.
        with suppress(OSError):
            connection = socket.socket(fileno=int(entry))
            try:
                if connection.family in (socket.AF_INET, socket.AF_INET6):
                    host, port = connection.getpeername()[:2]
                    peer = (host.partition("%")[0], port)
                    if peer in peers:
                        connection.shutdown(socket.SHUT_RDWR)
                        cut.add(peer)
            finally:
                connection.detach()
    return cut
