"""A small HTTP server that lets go of what becomes a WebSocket, and clients that say exactly what they are told to."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.uri import parse_uri

from api.bodies import Message
from api.server import AsgiApplication
from api.wires import WebSocketLimits
from models.clients import Client, client_at

PATIENCE = 20.0


class Echo:
    """A conversation that says back what it hears."""

    client: Client = client_at("203.0.113.1")

    def answer(self, frame: str | bytes) -> str:
        return str(frame)

    def busy(self, frame: str | bytes, retry_after: int) -> str:
        return f"busy {frame!r} {retry_after}"


class Service:
    """What the adapter asks of an application: it takes WebSockets, and that is all."""

    threads = 1

    def __init__(self, limits: dict[str, Any]) -> None:
        self.limits = WebSocketLimits(**limits)
        self.conversations = self

    def begin(self, _: dict[str, Any]) -> Echo:
        return Echo()

    def foresee(self, _: dict[str, Any]) -> bool:
        return False

    def read_ahead(self) -> None:
        pass

    def __call__(self, _: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        start_response("200 OK", [])
        return [b"plain"]

    def close(self) -> None:
        pass


class Server:
    """An HTTP server for one request a connection. After the answer 101 it closes its descriptor, as Granian does."""

    def __init__(self, application: AsgiApplication) -> None:
        self.application = application
        self.lets_go = True
        self.is_gone = False
        self.is_left = asyncio.Event()
        self._ends = ExitStack()
        self._listening = self._ends.enter_context(socket.create_server(("127.0.0.1", 0)))
        self._listening.setblocking(False)  # noqa: FBT003 - its only parameter
        self.address = self._listening.getsockname()
        self._descriptors = descriptors()

    async def serve_one(self) -> None:
        loop = asyncio.get_running_loop()
        connection, peer = await loop.sock_accept(self._listening)
        self._ends.callback(connection.close)
        head = b""
        while b"\r\n\r\n" not in head:
            head += await loop.sock_recv(connection, 4096)
        request, *lines = head.split(b"\r\n\r\n")[0].split(b"\r\n")
        method, path, version = request.decode().split(" ")
        scope = {
            "type": "http",
            "scheme": "http",
            "http_version": version.removeprefix("HTTP/"),
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [(name.lower(), value) for name, _, value in (line.partition(b": ") for line in lines)],
            "client": (peer[0], str(peer[1])),
        }
        if self.is_gone:
            connection.close()
        answer = b""

        async def send(message: Message) -> None:
            nonlocal answer
            if message["type"] == "http.response.start":
                answer = b"HTTP/1.1 %d X\r\n" % message["status"]
                answer += b"".join(b"%s: %s\r\n" % header for header in message["headers"]) + b"\r\n"
            else:
                await loop.sock_sendall(connection, answer + message["body"])
                if self.lets_go:
                    connection.close()

        async def receive() -> Message:
            await self.is_left.wait()
            return {"type": "http.disconnect"}

        await self.application(scope, receive, send)

    async def is_empty(self) -> None:
        """Return when the process holds no connection any more."""
        while descriptors() > self._descriptors:  # noqa: ASYNC110 - the kernel has no event for it
            await asyncio.sleep(0.01)

    def close(self) -> None:
        self._ends.close()


def descriptors() -> int:
    return len(list(Path("/dev/fd").iterdir()))


class Socket:
    """A client's end, which says exactly what it is told to."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.protocol = ClientProtocol(parse_uri("ws://x/users/"), max_size=None)
        self._events: list[Any] = []

    async def write(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.connection, data)

    async def next(self) -> Any:
        """Return the next event: the response, or a frame; None at the end."""
        while not self._events:
            try:
                reading = asyncio.get_running_loop().sock_recv(self.connection, 65_536)
                data = await asyncio.wait_for(reading, PATIENCE)
            except ConnectionError:
                return None
            if not data:
                return None
            self.protocol.receive_data(data)
            self._events = self.protocol.events_received()
        return self._events.pop(0)

    async def shake_hands(self) -> Response:
        self.protocol.send_request(self.protocol.connect())
        await self.write(b"".join(self.protocol.data_to_send()))
        response = await self.next()
        assert isinstance(response, Response)
        return response

    async def say(self, *frames: Frame) -> None:
        await self.write(b"".join(frame.serialize(mask=True) for frame in frames))

    async def heard(self) -> Any:
        """Return what comes next, short: a text, the code of a close frame, ``ping``, ``pong``; None at the end."""
        frame = await self.next()
        if frame is None:
            return None
        if frame.opcode == Opcode.CLOSE:
            return int.from_bytes(frame.data[:2])
        return {Opcode.PING: "ping", Opcode.PONG: "pong"}.get(frame.opcode) or frame.data.decode()


Connect = Callable[[], Awaitable[Socket]]


@asynccontextmanager
async def serving(**limits: Any) -> AsyncIterator[tuple[Server, Connect]]:
    """Serve echoes, and give a way to connect to them."""
    application = AsgiApplication(lambda: Service(limits))
    application.take_connections()
    server = Server(application)
    sockets: list[Socket] = []

    async def connect() -> Socket:
        connection = socket.create_connection(server.address)
        connection.setblocking(False)  # noqa: FBT003 - its only parameter
        sockets.append(Socket(connection))
        return sockets[-1]

    async def open_one() -> Socket:
        answering = asyncio.create_task(server.serve_one())
        client = await connect()
        assert (await client.shake_hands()).status_code == 101
        await answering
        return client

    try:
        yield server, open_one
        await application.stop_websockets()
    finally:
        for each in sockets:
            each.connection.close()
        server.close()


def run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), PATIENCE))


def text(data: bytes = b"hello") -> Frame:
    return Frame(Opcode.TEXT, data)
