"""An application behind a proxy: it answers with what it has received, and remembers it.

At ``AGREEABLE`` it goes over to whatever protocol is asked for, and then sends back each byte that comes.
"""

import json
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from threading import Thread

import h11

Headers = list[tuple[str, str]]

AGREEABLE = "/agreeable"


@dataclass(slots=True)
class Received:
    """One request; the names of its headers as they were written."""

    method: str
    target: str
    headers: Headers
    body: str = ""
    trailers: Headers = field(default_factory=list)

    def values(self, name: str) -> list[str]:
        """Return the values of each header that an application may take for the one of that name (RFC 3875, PHP)."""
        wanted = _as_cgi(name)
        return [value for key, value in [*self.headers, *self.trailers] if _as_cgi(key) == wanted]


class Echo:
    """A server on a port of its own."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        # Closing alone would not wake the thread that accepts.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                Thread(target=self._serve, args=(self._listener.accept()[0],), daemon=True).start()

    def _serve(self, peer: socket.socket) -> None:
        connection = h11.Connection(h11.SERVER)
        with closing(peer), suppress(OSError, h11.ProtocolError):
            while (request := self._next(connection, peer)) is not None:
                self.received.append(request)
                if request.target == AGREEABLE and request.values("Upgrade"):
                    self._switch(connection, peer, request)
                    return
                body = json.dumps(asdict(request)).encode()
                headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
                for event in (
                    h11.Response(status_code=200, headers=headers),
                    h11.Data(b"" if request.method == "HEAD" else body),
                    h11.EndOfMessage(),
                ):
                    peer.sendall(connection.send(event) or b"")
                if connection.our_state is not h11.DONE:
                    return
                connection.start_next_cycle()

    def _switch(self, connection: h11.Connection, peer: socket.socket, request: Received) -> None:
        headers = [("Connection", "Upgrade"), ("Upgrade", request.values("Upgrade")[0])]
        peer.sendall(connection.send(h11.InformationalResponse(status_code=101, headers=headers)) or b"")
        peer.sendall(connection.trailing_data[0])
        while sent := peer.recv(65536):
            peer.sendall(sent)

    def _next(self, connection: h11.Connection, peer: socket.socket) -> Received | None:
        request: Received | None = None
        while True:
            match connection.next_event():
                case h11.NEED_DATA:
                    connection.receive_data(peer.recv(65536))
                case h11.Request() as head:
                    request = Received(head.method.decode(), head.target.decode(), _texts(head.headers))
                case h11.Data(data=data) if request:
                    request.body += bytes(data).decode()
                case h11.EndOfMessage(headers=trailers) if request:
                    request.trailers = _texts(trailers)
                    return request
                case _:
                    return None


@contextmanager
def echoing() -> Iterator[Echo]:
    """Run the application until the end of the block."""
    with closing(Echo()) as echo:
        yield echo


def _texts(headers: h11._headers.Headers) -> Headers:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers.raw_items()]


def _as_cgi(name: str) -> str:
    return "".join(character if character.isalnum() else "_" for character in name.upper())
