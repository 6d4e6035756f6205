"""A light WebSocket client (RFC 6455): ten thousand of them fit into one process. It asks one thing at a time."""

import asyncio
from typing import Any

_HANDSHAKE = (
    "GET /users/ HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
_SWITCHED = b"HTTP/1.1 101"
_STATUS_END = len(_SWITCHED)
# First bytes of frames that are one whole message: a text, a ping, and its pong.
_TEXT, _CLOSE, _PING, _PONG = 0x81, 0x88, 0x89, 0x8A
_MASKED = 0x80
# Clients have to mask what they send; the mask of zeros leaves it as it is.
_MASK = bytes(4)
_LENGTH_OF_16_BITS = 126
_SHORT, _LONGER = 2, 4  # bytes of a head from the server

PING = '{"action": "ping"}'
PONG = {"action": "pong"}


class Socket(asyncio.Protocol):
    """One connection. Whatever the server says without being asked, but for protocol pings, ends it."""

    def __init__(self) -> None:
        self._transport: Any = None
        self._received = b""
        self._answer: asyncio.Future[str] | None = None
        self._is_switched = False
        self._ended = ""  # why, once it has

    async def ask(self, text: str) -> str:
        """Send a frame, and return the answer. Raises ``ConnectionError`` when the connection ends instead."""
        return await self._exchange(_frame(_TEXT, text.encode()))

    async def shake_hands(self, port: int) -> None:
        """Become a WebSocket. Raises ``ConnectionError`` with the answer's first line when the server refuses."""
        await self._exchange(_HANDSHAKE.format(port=port).encode())

    async def _exchange(self, sent: bytes) -> str:
        if self._ended:
            raise ConnectionError(self._ended)
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(sent)
        try:
            return await self._answer
        finally:
            self._answer = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(f"it was lost: {error}" if error else "the server ended it")

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._is_switched and not self._switch():
            return
        while (frame := self._next_frame()) is not None:
            kind, payload = frame
            if kind == _PING:
                self._transport.write(_frame(_PONG, payload))
            elif kind == _TEXT and self._answer is not None and not self._answer.done():
                self._answer.set_result(payload.decode())
            else:
                self._fail("the server closed it" if kind == _CLOSE else f"a frame {kind:#x} came, unasked for")

    def _switch(self) -> bool:
        head, found, rest = self._received.partition(b"\r\n\r\n")
        if not found:
            return False
        if not head.startswith(_SWITCHED):
            self._fail(head[:_STATUS_END].decode(errors="replace"))
            return False
        self._is_switched, self._received = True, rest
        if self._answer is not None and not self._answer.done():
            self._answer.set_result("")
        return True

    def _next_frame(self) -> tuple[int, bytes] | None:
        """Take a whole frame out of what was received, if there is one."""
        received = self._received
        if len(received) < _SHORT:
            return None
        start, length = _SHORT, received[1]
        if length == _LENGTH_OF_16_BITS:
            start, length = _LONGER, int.from_bytes(received[_SHORT:_LONGER], "big")
        if len(received) < start + length:
            return None
        self._received = received[start + length :]
        return received[0], received[start : start + length]

    def _fail(self, why: str) -> None:
        self._ended = self._ended or why
        self._transport.close()
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError(why))


async def connect(port: int, address: str) -> Socket:
    """Open a WebSocket from ``address``. Raises ``OSError``, of which ``ConnectionError`` is one, if that fails."""
    loop = asyncio.get_running_loop()
    _, socket = await loop.create_connection(Socket, "127.0.0.1", port, local_addr=(address, 0))
    await socket.shake_hands(port)
    return socket


def _frame(kind: int, payload: bytes) -> bytes:
    length = len(payload)
    if length < _LENGTH_OF_16_BITS:
        return bytes([kind, _MASKED | length]) + _MASK + payload
    return bytes([kind, _MASKED | _LENGTH_OF_16_BITS]) + length.to_bytes(2, "big") + _MASK + payload
