"""Connections that are broken off: how HTTP/1.1 says that a response has failed halfway.

A response that fails halfway must not look complete. HTTP/1.1 says so by closing the connection before the last
chunk (RFC 9112, section 8), and ASGI servers do it when the application raises. Granian up to 2.8.5 ends the chunked
body as if all were well; 2.8.7 breaks it off, but only when it can write again, so that a client that has stopped
reading keeps its connection for ever; ASGI has no message for it. So the connection's socket is looked up among the
process's own and shut down before the server learns that the body is over.
"""

import asyncio
import os
import socket
import time
from collections.abc import Collection
from contextlib import suppress
from typing import TypeAlias

from api.wsgi_bridge import Scope

Peer: TypeAlias = tuple[str, int]


class ConnectionCutter:
    """Breaks connections off, many at a time. One for an event loop."""

    def __init__(self) -> None:
        self._to_cut: dict[Peer, asyncio.Future[bool]] = {}
        self._cutting: asyncio.Task[None] | None = None

    async def cut(self, scope: Scope) -> bool:
        """Break the connection that ``scope`` came by. Return whether it was found."""
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


def cut_connections(peers: Collection[Peer]) -> set[Peer]:
    """Shut down this process's TCP connections to ``peers``. Return those that were found; walks all descriptors.

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
