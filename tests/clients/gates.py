"""Proxies that let Doorman's users through to an application, by the very files under ``docs/forward-auth``."""

import http.client
import os
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.certificates import make_certificate
from tests.clients.echo import Echo, echoing
from tests.mongod import free_port
from tests.running import START_SECONDS
from tests.tools import program

FILES = Path(__file__).parents[2] / "docs" / "forward-auth"

_NGINX = """
{user}
daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log {directory}/gate.log;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    include {directory}/forward-auth.conf;
}}
"""
_CADDY = "{\n\tadmin off\n\tauto_https off\n}\n"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client was told; ``headers`` by their names in small letters."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Gate:
    """One running proxy before ``echo``."""

    def __init__(self, echo: Echo, port: int, tls: ssl.SSLContext | None) -> None:
        self.echo = echo
        self.origin = f"{'https' if tls else 'http'}://app.example.com"
        self._port = port
        self._tls = tls

    def connect(self, source: str = "127.0.0.1") -> socket.socket:
        """Open a connection from an address of this machine."""
        connection = socket.create_connection(("127.0.0.1", self._port), START_SECONDS, (source, 0))
        return connection if self._tls is None else self._tls.wrap_socket(connection, server_hostname="127.0.0.1")

    def send(self, request: bytes, source: str = "127.0.0.1") -> Answer:
        """Send these bytes, which no HTTP client might, and return the first answer."""
        with closing(self.connect(source)) as connection:
            connection.sendall(request)
            method = request.partition(b" ")[0].decode()
            answer = http.client.HTTPResponse(connection, method=method)
            answer.begin()
            return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())

    def ask(
        self, *headers: str, method: str = "GET", path: str = "/", body: bytes = b"", source: str = "127.0.0.1"
    ) -> Answer:
        """Send a request with these lines in its head."""
        return self.send(written(*headers, method=method, path=path) + body, source)


def written(*headers: str, method: str = "GET", path: str = "/") -> bytes:
    """Return the head of a request as it is sent."""
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: app.example.com", *headers, "", ""]).encode("latin-1")


def adapted(name: str, changes: Mapping[str, str]) -> str:
    """Return the text of a documented file, with what is its reader's to change replaced."""
    text = (FILES / name).read_text()
    for documented, own in changes.items():
        assert documented in text, f"{name} has no {documented}"
        text = text.replace(documented, own)
    return text


@contextmanager
def nginx_gate(doorman: int, directory: Path, changes: Mapping[str, str]) -> Iterator[Gate]:
    """Run nginx before an application, with TLS; ``doorman`` is the port that it asks."""
    directory.mkdir()
    certificate, key, port = directory / "app.pem", directory / "app.key", free_port()
    make_certificate(certificate, key)
    with echoing() as echo:
        places = {
            "127.0.0.1:5000": f"127.0.0.1:{doorman}",
            "127.0.0.1:8000": f"127.0.0.1:{echo.port}",
            "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
            "/etc/ssl/app.example.com.pem": str(certificate),
            "/etc/ssl/app.example.com.key": str(key),
        }
        (directory / "forward-auth.conf").write_text(adapted("nginx.conf", {**places, **changes}))
        user = "user root;" if os.geteuid() == 0 else ""  # the directory is nobody else's
        (directory / "nginx.conf").write_text(_NGINX.format(user=user, directory=directory))
        command: list[str | Path] = [
            program("nginx"),
            "-e",
            directory / "gate.log",
            "-p",
            directory,
            "-c",
            directory / "nginx.conf",
        ]
        gate = Gate(echo, port, ssl.create_default_context(cafile=str(certificate)))
        with _running(command, directory, gate):
            yield gate


@contextmanager
def caddy_gate(doorman: int, directory: Path, changes: Mapping[str, str]) -> Iterator[Gate]:
    """Run Caddy before an application, without TLS; ``doorman`` is the port that it asks."""
    directory.mkdir()
    port = free_port()
    with echoing() as echo:
        places = {
            "127.0.0.1:5000": f"127.0.0.1:{doorman}",
            "127.0.0.1:8000": f"127.0.0.1:{echo.port}",
            "\napp.example.com {": f"\nhttp://:{port} {{\n\tbind 127.0.0.1",  # a certificate takes a public name
        }
        (directory / "Caddyfile").write_text(_CADDY + adapted("Caddyfile", {**places, **changes}))
        command: list[str | Path] = [
            program("caddy"),
            "run",
            "--adapter",
            "caddyfile",
            "--config",
            directory / "Caddyfile",
        ]
        gate = Gate(echo, port, None)
        with _running(command, directory, gate):
            yield gate


@contextmanager
def _running(command: Sequence[str | Path], directory: Path, gate: Gate) -> Iterator[None]:
    log = directory / "output.log"
    environment = dict(os.environ) | {
        "HOME": str(directory),
        "XDG_DATA_HOME": str(directory),
        "XDG_CONFIG_HOME": str(directory),
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=directory, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    try:
        _await_open(gate, process, log)
        yield
    finally:
        process.terminate()
        process.wait()


def _await_open(gate: Gate, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        with suppress(ConnectionRefusedError):
            gate.connect().close()
            return
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.05)
            break  # it has ended
    raise AssertionError(f"The proxy does not serve: {log.read_text()}")


GATES = {"nginx": nginx_gate, "caddy": caddy_gate}
