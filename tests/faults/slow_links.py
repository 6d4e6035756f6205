"""A link to a server that takes its time, as a network or a busy server does."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

_MOST_BYTES = 1 << 16


class SlowLink:
    """Passes on to the port ``target`` what comes at ``port``, after ``delay`` seconds; both may be changed."""

    def __init__(self, port: int) -> None:
        self.delay = 0.0
        self.target = port
        self._closed = threading.Event()
        self._ends: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._begin(self._accept)

    @property
    def uri(self) -> str:
        """The address of a mongod behind the link: the one that it names itself would lead past it."""
        return f"mongodb://127.0.0.1:{self.port}/?directConnection=true"

    def close(self) -> None:
        self._closed.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    def _begin(self, run: Callable[..., None], *args: socket.socket) -> None:
        thread = threading.Thread(target=run, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with self._listener, suppress(OSError):
            while not self._closed.is_set():
                client, _ = self._listener.accept()
                try:
                    server = socket.create_connection(("127.0.0.1", self.target))
                except OSError:
                    client.close()
                    continue
                self._ends += [client, server]
                for source, sink in ((client, server), (server, client)):
                    self._begin(self._pass_on, source, sink)

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with source:
            with suppress(OSError):
                while data := source.recv(_MOST_BYTES):
                    if self.delay:
                        self._closed.wait(self.delay)
                    sink.sendall(data)
            with suppress(OSError):
                sink.shutdown(socket.SHUT_RDWR)


@contextmanager
def slow_link(port: int) -> Iterator[SlowLink]:
    link = SlowLink(port)
    try:
        yield link
    finally:
        link.close()
