"""WebSockets on the connection's own socket, which the server has let go: frames, pings and the close (RFC 6455).

Granian keeps a read buffer of 128 KiB for each of its WebSockets, sends no pings, and has no setting for either. So a
handshake is taken as the HTTP request that it is: its socket is duplicated, Granian sends the answer 101, after which
HTTP is over and it closes its own descriptor without a word to the client; the frames are parsed here, by the sans-I/O
part of ``websockets``. TLS is Granian's to speak, so behind its own TLS the server's WebSockets are used.
"""

import asyncio
import select
from collections import deque
from contextlib import suppress
from typing import cast

from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import OPEN, SERVER, Protocol

from api.bodies import Receive, Send
from api.connections import ConnectionTaker, Taken
from api.handshakes import QUIET, Handshake
from api.wires import Pace, WebSocketLimits
from api.wsgi_bridge import Scope

# A client is pinged so often, and dropped when nothing comes in answer by the next time. What counts is whole: bytes of
# a frame, and frames of a message, that never ends would keep their memory for ever.
PING_SECONDS = 30.0
# After its close frame, a client has so long to close the connection.
CLOSE_SECONDS = 2.0
_READ_BYTES = 16 * 1024
# Parsed in one go: 170 of the smallest frames at the most, a few milliseconds of the event loop.
_PIECE_BYTES = 1024
# With more than this to send, nothing is read: the client has to take its answers first.
_UNSENT_BYTES = 16 * 1024


class SocketWires:
    """Makes the wires of one event loop."""

    def __init__(self) -> None:
        self.taker = ConnectionTaker()
        self.buffer = bytearray(_READ_BYTES)

    def wire(self, scope: Scope, receive: Receive, send: Send) -> "SocketWire":
        """Return the wire for an HTTP request that asks for one. Raises ``RefusedError`` for what is none."""
        return SocketWire(self, Handshake(scope, receive, send))


class SocketWire(asyncio.BufferedProtocol):
    """A WebSocket, from the request that asks for it to its end."""

    def __init__(self, wires: SocketWires, handshake: Handshake) -> None:
        self._wires = wires
        self._handshake = handshake
        self._taken: Taken
        self._transport: asyncio.Transport
        self._frames: Protocol
        self._pace: Pace
        self._loop = asyncio.get_running_loop()
        self._unparsed = bytearray()
        self._message = bytearray()  # the one that is not complete
        self._is_text = False
        self._messages: deque[str | bytes] = deque()
        self._receiver: asyncio.Future[str | bytes | None] | None = None
        self._drained: asyncio.Future[None] | None = None
        self._lost: asyncio.Future[None] = self._loop.create_future()
        self._resuming: asyncio.TimerHandle | None = None
        self._timer: asyncio.TimerHandle
        self._is_heard = True

    # For the connection's owner (see api.websocket.Wire).

    async def accept(self, limits: WebSocketLimits) -> None:
        self._frames = Protocol(SERVER, max_size=limits.frame_bytes, logger=QUIET)
        self._pace = Pace(limits.per_second, limits.burst)
        self._taken = await self._handshake.accept(self._wires.taker)
        del self._handshake  # it would stay for as long as the connection does
        try:
            self._taken.socket.settimeout(0)
            await self._loop.connect_accepted_socket(lambda: self, self._taken.socket)
        except BaseException:
            self._wires.taker.give_back(self._taken)
            raise

    def receive(self) -> "asyncio.Future[str | bytes | None]":
        receiver = self._receiver = self._loop.create_future()
        if not self._messages:
            self._parse()
        self._deliver()
        return receiver

    async def send(self, text: str) -> None:
        if not self._is_open():
            await asyncio.shield(self._lost)
            raise ConnectionError
        self._frames.send_text(text.encode())
        self._flush()
        if self._drained is not None:
            await asyncio.shield(self._drained)

    async def close(self, code: int, reason: str) -> None:
        if self._is_open():
            self._frames.send_close(code, reason)
            self._flush()
            self._end()
        await asyncio.shield(self._lost)

    def drop(self) -> None:
        if not self._lost.done():
            self._transport.abort()

    # For the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=_UNSENT_BYTES)
        self._timer = self._loop.call_later(PING_SECONDS, self._check)

    def get_buffer(self, sizehint: int) -> bytearray:  # noqa: ARG002 - the hint is that of asyncio's own buffer
        # Shared: what it holds is taken from it before the next connection reads.
        return self._wires.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._unparsed += memoryview(self._wires.buffer)[:nbytes]
        self._parse()
        self._deliver()

    def eof_received(self) -> None:
        self._frames.receive_eof()
        self._flush()

    def pause_writing(self) -> None:
        self._drained = self._loop.create_future()
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        if self._drained is not None:
            self._drained.set_result(None)
            self._drained = None
            self._parse()
            self._deliver()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - gone is gone
        self._timer.cancel()
        if self._resuming is not None:
            self._resuming.cancel()
        self._wires.taker.give_back(self._taken)
        self._lost.set_result(None)
        self.resume_writing()
        self._deliver()

    # Between the two.

    def _is_open(self) -> bool:
        return self._frames.state is OPEN and not self._transport.is_closing()

    def _may_parse(self) -> bool:
        if self._messages and self._is_open():
            return False
        return self._resuming is None and self._drained is None and not self._lost.done()

    def _parse(self) -> None:
        """Parse what has been read, until it makes a message; read on when nothing is left and nobody lags behind."""
        while self._unparsed and self._may_parse():
            piece = self._unparsed[:_PIECE_BYTES]
            del self._unparsed[:_PIECE_BYTES]
            self._frames.receive_data(piece)
            frames = self._frames.events_received()
            waits = [self._pace.wait() for frame in frames if not self._completes(frame)]
            self._is_heard |= bool(frames) and not self._message
            self._flush()
            if waits and waits[-1]:
                self._resuming = self._loop.call_later(waits[-1], self._resume)
        if self._transport.is_closing():
            return
        if self._unparsed:
            self._transport.pause_reading()
        elif self._drained is None:
            self._transport.resume_reading()

    def _resume(self) -> None:
        self._resuming = None
        if self._has_left():
            self._transport.abort()
            return
        self._parse()
        self._deliver()

    def _has_left(self) -> bool:
        """Tell whether the client sends no more; while it is held back, that would be read last."""
        poll = select.poll()
        poll.register(self._taken.socket, select.POLLRDHUP)
        return bool(poll.poll(0))

    def _completes(self, frame: object) -> bool:
        """Take a frame in, and tell whether it was the last one of a message."""
        if not isinstance(frame, Frame) or frame.opcode not in {Opcode.TEXT, Opcode.BINARY, Opcode.CONT}:
            return False
        if frame.opcode is not Opcode.CONT:
            self._is_text = frame.opcode is Opcode.TEXT
        self._message += frame.data
        if not frame.fin or not self._is_open():
            return False
        message, self._message = bytes(self._message), bytearray()
        try:
            self._messages.append(message.decode() if self._is_text else message)
        except UnicodeDecodeError:
            self._frames.fail(CloseCode.INVALID_DATA, "A text frame is UTF-8.")
        return True

    def _deliver(self) -> None:
        if self._receiver is None or self._receiver.done():
            return
        if self._messages:
            self._receiver.set_result(self._messages.popleft())
        elif not self._is_open():
            self._receiver.set_result(None)

    def _flush(self) -> None:
        for data in self._frames.data_to_send():
            if data:
                self._transport.write(data)
            else:
                # What the client still sends is read and thrown away: a reset would overtake the close frame.
                self._end()
                with suppress(OSError, RuntimeError):
                    self._transport.write_eof()

    def _end(self) -> None:
        self._timer.cancel()
        self._timer = self._loop.call_later(CLOSE_SECONDS, self._transport.abort)

    def _check(self) -> None:
        """Ping the client, and drop one from which nothing came since the last ping.

        While nothing is read, it cannot be heard. Where that is because it does not read either, it is dropped as well.
        """
        if not self._is_heard and (self._transport.is_reading() or self._drained is not None):
            self._transport.abort()
            return
        self._is_heard = False
        self._frames.send_ping(b"")
        self._flush()
        self._timer = self._loop.call_later(PING_SECONDS, self._check)
