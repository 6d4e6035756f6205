"""Connections of this process that are taken out of the server's hands: to break them off, or to go on with them.

A response that fails halfway must not look complete. HTTP/1.1 says so by closing the connection before the last
chunk (RFC 9112, section 8), and ASGI servers do it when the application raises. Granian up to 2.8.5 ends the chunked
body as if all were well; 2.8.7 breaks it off, but only when it can write again, so that a client that has stopped
reading keeps its connection for ever; ASGI has no message for it. So the connection's socket is looked up among the
process's own and shut down before the server learns that the body is over.

What is to become a WebSocket (``api.handshakes``) is looked up in the same way.
"""

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

from api.wsgi_bridge import Scope

Peer: TypeAlias = tuple[str, int]
Found = TypeVar("Found")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Taken:
    """A connection's socket, the kernel's name for it, and the number of the descriptor that the server has of it."""

    socket: socket.socket
    inode: int
    number: int

    def is_released(self) -> bool:
        """Tell whether the server has closed its descriptor, and this socket is the only one of the connection."""
        with suppress(OSError):
            return os.fstat(self.number).st_ino != self.inode
        return True


class _Walks(Generic[Found]):
    """Looks connections up, many in one walk over the descriptors. One for an event loop.

    A walk is followed by a rest four times as long: thousands of clients must not cost thousands of walks over
    thousands of descriptors.
    """

    def __init__(self, walk: Callable[[Collection[Peer]], Mapping[Peer, Found]]) -> None:
        self._walk = walk
        self._wanted: dict[Peer, asyncio.Future[Found | None]] = {}
        self._walking: asyncio.Task[None] | None = None

    async def find(self, peer: Peer) -> Found | None:
        """Return what the next walk has found of the connection to ``peer``."""
        found = self._wanted.setdefault(peer, asyncio.get_running_loop().create_future())
        if self._walking is None or self._walking.done():
            self._walking = asyncio.create_task(self._walk_on())
        return await asyncio.shield(found)

    async def _walk_on(self) -> None:
        while self._wanted:
            batch, self._wanted = self._wanted, {}
            started = time.monotonic()
            found: Mapping[Peer, Found] = {}
            try:
                found = await asyncio.to_thread(self._walk, batch.keys())
            except Exception:  # whoever waits must be told: without a thread to walk in, nothing is found
                logger.exception("Connections could not be looked up")
            for peer, future in batch.items():
                future.set_result(found.get(peer))
            await asyncio.sleep(4 * (time.monotonic() - started))


class ConnectionCutter:
    """Breaks connections off, many at a time. One for an event loop."""

    def __init__(self) -> None:
        self._walks = _Walks(cut_connections)

    async def cut(self, scope: Scope) -> bool:
        """Break the connection that ``scope`` came by. Return whether it was found."""
        peer = _peer_of(scope)
        return peer is not None and await self._walks.find(peer) is not None


class ConnectionTaker:
    """Takes connections, many at a time, to go on with them when the server has let them go. One for an event loop."""

    def __init__(self) -> None:
        self._walks = _Walks(self._take)
        self._wanted: set[Peer] = set()
        self._held: set[int] = set()
        self._inodes: set[int] = set()

    async def take(self, scope: Scope) -> Taken | None:
        """Return the connection that ``scope`` came by; None if there is no one such connection.

        There may be two of one peer where the server listens on several addresses. Then it gets none of them. No
        connection is taken twice: two readers would get half of the frames each.
        """
        peer = _peer_of(scope)
        if peer is None or peer in self._wanted:
            return None
        self._wanted.add(peer)
        try:
            taken = await self._walks.find(peer)
        finally:
            self._wanted.discard(peer)
        return taken

    def give_back(self, taken: Taken) -> None:
        """Close a connection that was taken."""
        self._held.discard(taken.socket.fileno())
        self._inodes.discard(taken.inode)
        taken.socket.close()

    def _take(self, peers: Collection[Peer]) -> dict[Peer, Taken]:
        taken: dict[Peer, Taken] = {}
        ambiguous: set[Peer] = set()
        for number, connection, peer in _connections(but=self._held):
            duplicate = _duplicate(connection, peer) if peer in peers else None
            if duplicate is None:
                continue
            another = Taken(duplicate, os.fstat(duplicate.fileno()).st_ino, number)
            if another.inode in self._inodes:
                duplicate.close()
                continue
            # At once: the walk may come by its number.
            self._held.add(duplicate.fileno())
            self._inodes.add(another.inode)
            if taken.setdefault(peer, another) is not another:
                ambiguous.add(peer)
                self.give_back(another)
        for peer in ambiguous:
            self.give_back(taken.pop(peer))
        return taken


def cut_connections(peers: Collection[Peer]) -> dict[Peer, bool]:
    """Shut down this process's TCP connections to ``peers``. Return True for those that were found.

    A descriptor is only borrowed. A duplicate would be safer against its reuse in between, but closing a duplicate
    that turns out to be a file's drops the process's POSIX locks on it, and SQLite's safety rests on those. The worst
    here is that a connection that took over the number is broken in its place.
    """
    cut: dict[Peer, bool] = {}
    for _, connection, peer in _connections():
        if peer in peers:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
                cut[peer] = True
    return cut


def _connections(but: Collection[int] = ()) -> Iterator[tuple[int, socket.socket, Peer]]:
    """Walk all descriptors of the process, ``but`` these, and lend each TCP connection that is found."""
    try:
        descriptors = os.listdir("/dev/fd")  # noqa: PTH208 - there may be thousands, and paths cost more than the calls
    except OSError:
        return
    for number in map(int, descriptors):
        if number in but:
            continue
        # What is no socket, not connected, or closed since it was listed, raises here.
        try:
            connection = socket.socket(fileno=number)
        except OSError:
            continue
        try:
            peer = _connected_to(connection)
            if peer is not None:
                yield number, connection, peer
        finally:
            connection.detach()


def _duplicate(connection: socket.socket, peer: Peer) -> socket.socket | None:
    """Return a socket of its own for a connection to ``peer``; None if its number is another's by now, or nobody's."""
    try:
        number = os.dup(connection.fileno())
    except OSError:  # closed meanwhile, or the process may have no more descriptors
        return None
    try:
        duplicate = socket.socket(fileno=number)
    except OSError:
        # A file has taken the number over. The duplicate stays open: closing it would drop the process's POSIX locks on
        # the file (see cut_connections).
        return None
    if _connected_to(duplicate) == peer:
        return duplicate
    duplicate.close()
    return None


def _connected_to(connection: socket.socket) -> Peer | None:
    if connection.family not in {socket.AF_INET, socket.AF_INET6}:
        return None
    try:
        host, port = connection.getpeername()[:2]
    except OSError:
        return None
    return host.partition("%")[0], port


def _peer_of(scope: Scope) -> Peer | None:
    client = scope.get("client")
    return (client[0], int(client[1])) if client else None
