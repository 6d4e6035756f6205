"""Real servers for the server tests: Granian as Doorman runs it, and uvicorn, each with the small application."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.api.small_app import PATIENCE, Notes, until
from tests.mongod import _DIE_WITH_PARENT, free_port
from tests.running import PLAIN

ROOT = Path(__file__).parents[2]

GRANIAN = """
import json, logging, os
from pathlib import Path
from api.serving import serve
logging.basicConfig(level="DEBUG", format="%(levelname)s %(name)s %(message)s")
options = json.loads(os.environ["OPTIONS"])
for name in ("tls_cert", "tls_key"):
    options[name] = Path(options[name]) if name in options else None
serve(target="tests.api.small_app:app", host="127.0.0.1", log_level="info", **options)
"""


@dataclass
class Running:
    """A server process: where it listens, the notes of its application, what it logs."""

    process: "subprocess.Popen[bytes]"
    port: int
    notes: Notes

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return (self.notes.directory / "server.log").read_text()

    def connect(self, *, receive_buffer: int | None = None) -> socket.socket:
        """Open a TCP connection; a small ``receive_buffer`` (bytes) makes a client that is soon full."""
        client = socket.socket()
        if receive_buffer is not None:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        client.settimeout(PATIENCE)
        client.connect(("127.0.0.1", self.port))
        return client

    def exchange(self, request: bytes) -> bytes:
        """Send ``request`` and return all that comes until the server closes the connection."""
        with self.connect() as client:
            client.sendall(request)
            return read_to_end(client)

    def workers(self) -> list[int]:
        """Return the process ids of Granian's workers."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in children.split()]

    def sockets(self) -> int:
        """Count the sockets of the one worker."""
        (worker,) = self.workers()
        opened = Path(f"/proc/{worker}/fd").iterdir()
        return sum(entry.readlink().name.startswith("socket:") for entry in opened if entry.is_symlink())

    def resident_bytes(self) -> int:
        """Return the resident memory of the one worker."""
        (worker,) = self.workers()
        return int(Path(f"/proc/{worker}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)


def read_to_end(client: socket.socket) -> bytes:
    received = bytearray()
    try:
        while part := client.recv(65_536):
            received += part
    except ConnectionResetError:
        # The server closed with bytes of ours unread; what it had sent before is here.
        pass
    return bytes(received)


def command(server: str, port: int, options: dict[str, Any]) -> tuple[list[str], dict[str, str]]:
    """Return the command that starts ``server`` ("granian" or "uvicorn"), and the environment it needs."""
    if server == "uvicorn":
        arguments = ["-m", "uvicorn", "tests.api.small_app:app", "--port", str(port), "--log-level", "info"]
        return [sys.executable, *arguments, "--no-access-log"], {}
    options = {"port": port, "workers": 1} | options
    threads = {"THREADS": str(options.pop("threads"))} if "threads" in options else {}
    return [sys.executable, "-c", GRANIAN], {"OPTIONS": json.dumps(options)} | threads


def start(
    directory: Path,
    server: str = "granian",
    *,
    port: int | None = None,
    options: dict[str, Any] | None = None,
    **env: str,
) -> Running:
    """Start a server without waiting for it."""
    port = port or free_port()
    arguments, needed = command(server, port, options or {})
    with (directory / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, str(os.getpid()), *arguments],
            cwd=ROOT,
            env=os.environ | needed | env | {"NOTES": str(directory)},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Running(process, port, Notes(directory))


@contextmanager
def running(directory: Path, server: str = "granian", **settings: Any) -> Iterator[Running]:
    """Run a server until the block ends; it answers when the block begins."""
    directory.mkdir(exist_ok=True)
    service = start(directory, server, **settings)
    try:
        until(lambda: answers(service), "the first answer")
        yield service
    finally:
        if service.process.poll() is None:
            service.notes.leave("release")
            service.process.terminate()
            try:
                service.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                os.killpg(service.process.pid, signal.SIGKILL)
                service.process.wait()


def answers(service: Running) -> bool:
    assert service.process.poll() is None, service.log
    try:
        return httpx.get(f"{service.url}/hello", verify=PLAIN).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False
