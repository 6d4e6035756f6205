"""WebSockets with frames by hand, the wrong ones too (RFC 6455, section 5.2)."""

import asyncio
import socket
import struct
from contextlib import suppress
from typing import Any

from websockets.client import ClientProtocol
from websockets.frames import Close, Frame, Opcode
from websockets.http11 import Response
from websockets.uri import parse_uri
from websockets.utils import apply_mask

from tests.running import SOURCES

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
NO_MASK = b""


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    is_last: bool = True,
    reserved: int = 0,
    mask: bytes = b"\x37\xfa\x21\x3d",
    length: int | None = None,
) -> bytes:
    """Return a frame as a client sends it.

    ``reserved`` are the three reserved bits, ``length`` is what the frame says instead of its payload's, and
    ``NO_MASK`` leaves out what a client must not.
    """
    if length is None:
        length = len(payload)
    first, masked = is_last << 7 | reserved << 4 | opcode, bool(mask) << 7
    if length < 126:
        head = struct.pack("!BB", first, masked | length)
    elif length < 1 << 16:
        head = struct.pack("!BBH", first, masked | 126, length)
    else:
        head = struct.pack("!BBQ", first, masked | 127, length)
    return head + mask + (apply_mask(payload, mask) if mask else payload)


def close_frame(code: int, reason: bytes = b"") -> bytes:
    return frame(CLOSE, struct.pack("!H", code) + reason)


class Connection:
    """A client's end, with a library that checks what the server sends; what the client sends is only bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._protocol: ClientProtocol
        self.writer = writer
        self.answers: list[str] = []
        self.pongs: list[bytes] = []
        self.closed: Close | None = None
        self.is_at_end = False

    @classmethod
    async def open(cls, port: int, authorization: str | None) -> "Connection":
        streams = await asyncio.open_connection("127.0.0.1", port, local_addr=(next(SOURCES), 0))
        connection = cls(*streams)
        await connection._shake_hands(port, authorization)
        return connection

    async def _shake_hands(self, port: int, authorization: str | None) -> None:
        self._protocol = ClientProtocol(parse_uri(f"ws://127.0.0.1:{port}/users/"))
        request = self._protocol.connect()
        if authorization is not None:
            request.headers["Authorization"] = authorization
        self._protocol.send_request(request)
        self.writer.writelines(self._protocol.data_to_send())
        while not (events := await self._received()):
            assert not self.is_at_end, "the handshake was not answered"
        assert isinstance(events[0], Response)
        assert self._protocol.handshake_exc is None, events[0]

    async def receive(self) -> None:
        """Take in what comes next."""
        for event in await self._received():
            assert isinstance(event, Frame)
            match event.opcode:
                case Opcode.TEXT:
                    self.answers.append(bytes(event.data).decode())
                case Opcode.PONG:
                    self.pongs.append(bytes(event.data))
                case Opcode.CLOSE:
                    self.closed = Close.parse(event.data)
                case other:
                    raise AssertionError(f"the server sent a frame of type {other}")

    async def _received(self) -> list[Any]:
        try:
            data = await self._reader.read(1 << 16)
        except ConnectionResetError:  # what it had not read yet is no longer wanted
            data = b""
        if data:
            self._protocol.receive_data(data)
        else:
            self.is_at_end = True
        assert self._protocol.parser_exc is None, self._protocol.parser_exc
        return self._protocol.events_received()

    async def close(self) -> None:
        """End the connection of TCP, without a word."""
        self.writer.close()
        with suppress(OSError):  # the other end was faster
            await self.writer.wait_closed()

    def reset(self) -> None:
        """End it at once, whatever is still to be sent."""
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()
