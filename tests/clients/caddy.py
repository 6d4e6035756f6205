"""Caddy as a front door, as deploy/Caddyfile sets it up for docker-compose.yml."""

import os
import signal
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

from tests.clients.echo import Echo
from tests.databases import Environment
from tests.mongod import free_port
from tests.running import START_SECONDS, STOP_SECONDS, Doorman
from tests.tools import program

CADDYFILE = Path(__file__).parents[2] / "deploy" / "Caddyfile"


class Caddy:
    """A running Caddy for ``localhost``, with an authority of its own; its log goes to a file."""

    def __init__(self, behind: Doorman | Echo, directory: Path) -> None:
        directory.mkdir()
        self.port, self.plain_port = free_port(), free_port()
        self.url = f"https://localhost:{self.port}"
        self.plain_url = f"http://localhost:{self.plain_port}"
        self.root = directory / "data/caddy/pki/authorities/local/root.crt"
        self._log = directory / "caddy.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [program("caddy"), "run", "--adapter", "caddyfile", "--config", CADDYFILE],
                env=caddy_environment(directory)
                | {"HTTP_PORT": str(self.plain_port), "HTTPS_PORT": str(self.port)}
                | {"DOORMAN_UPSTREAM": "127.0.0.1", "DOORMAN_PORT": str(behind.port)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    @property
    def log(self) -> str:
        return self._log.read_text()

    def trust(self) -> ssl.SSLContext:
        """Return what a client that trusts this Caddy's authority connects with."""
        return ssl.create_default_context(cafile=str(self.root))

    def client(self, source: str | None = None) -> httpx.Client:
        """Return a client of HTTP/1.1 that comes from that address; IPv4, as ``localhost`` may be either."""
        transport = httpx.HTTPTransport(verify=self.trust(), local_address=source or "127.0.0.1")
        return httpx.Client(base_url=self.url, transport=transport, timeout=START_SECONDS)

    def await_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.root.exists():
                with suppress(httpx.ConnectError), self.client() as client:
                    assert client.get("/healthz/ready").status_code == 200, self.log
                    return
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(0.05)
                break  # it has ended
        raise AssertionError(f"Caddy does not serve: {self.log}")

    def stop(self) -> int:
        """Stop it as an operator would, and return its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_SECONDS)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def caddy_environment(directory: Path) -> Environment:
    """Return an environment in which Caddy keeps its files in that directory, without variables of deploy/Caddyfile."""
    ours = ("DOORMAN_HOST", "DOORMAN_TLS", "DOORMAN_UPSTREAM", "DOORMAN_PORT", "HTTP_PORT", "HTTPS_PORT")
    kept = {name: value for name, value in os.environ.items() if name not in ours}
    return kept | {"XDG_DATA_HOME": f"{directory}/data", "XDG_CONFIG_HOME": f"{directory}/config"}


@contextmanager
def behind_caddy(behind: Doorman | Echo, directory: Path) -> Iterator[Caddy]:
    caddy = Caddy(behind, directory)
    try:
        caddy.await_ready()
        yield caddy
    finally:
        caddy.kill()
