"""A TLS front before Doorman: nginx, as it would stand there in service."""

import os
import signal
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

from tests.certificates import make_certificate
from tests.mongod import free_port
from tests.running import START_SECONDS, Doorman
from tests.tools import program

_CONFIGURATION = """
{user}
daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log {directory}/nginx.log;
events {{ }}
http {{
    access_log {directory}/access.log;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    map $http_upgrade $connection_header {{
        default upgrade;
        '' '';
    }}
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {directory}/front.pem;
        ssl_certificate_key {directory}/front.key;
        location / {{
            proxy_pass http://127.0.0.1:{behind};
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_header;
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-Host $http_host;
        }}
    }}
}}
"""


class Front:
    """A running front; clients trust ``certificate``."""

    def __init__(self, doorman: Doorman, directory: Path) -> None:
        directory.mkdir()
        self.host = f"127.0.0.1:{free_port()}"
        self.url = f"https://{self.host}"
        self.certificate = directory / "front.pem"
        make_certificate(self.certificate, directory / "front.key")
        configuration = directory / "nginx.conf"
        user = "user root;" if os.geteuid() == 0 else ""  # the directory is nobody else's
        port = self.host.partition(":")[2]
        configuration.write_text(_CONFIGURATION.format(user=user, directory=directory, port=port, behind=doorman.port))
        self.process = subprocess.Popen(
            [program("nginx"), "-e", directory / "nginx.log", "-p", directory, "-c", configuration],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
        )
        self._log = directory / "nginx.log"

    def await_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        trusting = ssl.create_default_context(cafile=str(self.certificate))
        with httpx.Client(verify=trusting) as client:
            while time.monotonic() < deadline:
                with suppress(httpx.ConnectError):
                    assert client.get(f"{self.url}/healthz/ready").status_code == 200
                    return
                with suppress(subprocess.TimeoutExpired):
                    self.process.wait(0.05)
                    break  # it has ended
        raise AssertionError(f"nginx does not serve: {self._log.read_text()}")


@contextmanager
def fronted(doorman: Doorman, directory: Path) -> Iterator[Front]:
    front = Front(doorman, directory)
    try:
        front.await_ready()
        yield front
    finally:
        front.process.send_signal(signal.SIGTERM)
        front.process.wait()
