"""Doorman as a process, started by its own command, for tests that need the real thing."""

import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from ipaddress import IPv4Address
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.databases import ADMIN, Environment
from tests.mongod import free_port

DOORMAN = Path(sys.executable).with_name("doorman")
START_SECONDS = 30.0
STOP_SECONDS = 40.0
# Addresses that a client on this machine may have. Elsewhere than on Linux there is one.
# Not a generator, which two threads cannot ask at once.
SOURCES = map(lambda n: str(IPv4Address("127.1.0.1") + n) if sys.platform == "linux" else "127.0.0.1", count())  # noqa: C417 - see above
# Over plain HTTP no certificate is looked at, and to load those that are trusted takes 20 ms, of each client.
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def from_own_address() -> httpx.HTTPTransport:
    """Go over plain HTTP, from an address that no other one comes from: the limit on failed logins counts by it."""
    return httpx.HTTPTransport(verify=PLAIN, local_address=next(SOURCES))


class Doorman:
    """One running ``doorman serve``; its log goes to a file. It is run by the command ``through``, if there is one."""

    def __init__(self, environment: Environment, directory: Path, *, through: Sequence[str] = ()) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.users = f"{self.url}/api/v2/users"
        self._log = directory / f"doorman-{self.port}.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [*through, DOORMAN, "serve"],
                env=clean_environment() | {"PORT": str(self.port), "WORKERS": "1"} | environment,
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def log(self) -> str:
        return self._log.read_text()

    def await_ready(self, verify: ssl.SSLContext = PLAIN) -> None:
        """Return when it serves. Fails with its log if it ends instead."""
        deadline = time.monotonic() + START_SECONDS
        with httpx.Client(verify=verify, timeout=START_SECONDS) as client:
            while time.monotonic() < deadline:
                with suppress(httpx.ConnectError):
                    assert client.get(f"{self.url}/healthz/ready").status_code == 200, self.log
                    return
                with suppress(subprocess.TimeoutExpired):
                    self.process.wait(0.05)
                    break  # it has ended
        raise AssertionError(f"Doorman does not serve: {self.log}")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Stop it as an operator would, and return its exit status."""
        self.process.send_signal(number)
        return self.process.wait(STOP_SECONDS)

    def kill(self) -> None:
        with suppress(ProcessLookupError):  # the whole group: workers outlive a server that was killed
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def workers(self) -> list[int]:
        """Return the process ids of the workers."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(child) for child in children.split()]

    def answers(self, path: str) -> int | None:
        """Return the status of a GET without credentials, or ``None`` if nobody answers."""
        try:
            return httpx.get(f"{self.url}{path}", verify=PLAIN, timeout=START_SECONDS).status_code
        except httpx.HTTPError:
            return None

    def call(self, method: str, path: str = "", auth: Any = ADMIN, **rest: Any) -> httpx.Response:
        """Send one request, from an address of its own."""
        with httpx.Client(transport=from_own_address(), timeout=START_SECONDS) as client:
            return client.request(method, self.users + path, auth=auth, **rest)


def clean_environment() -> Environment:
    """Return this process's environment without settings of Doorman, which tests give one by one."""
    from api.options import OPTIONS  # noqa: PLC0415 - only subprocesses need it

    return {name: value for name, value in os.environ.items() if name.removesuffix("_FILE") not in OPTIONS}


def run_doorman(
    *arguments: str, environment: Environment, cwd: Path, text: str = ""
) -> "subprocess.CompletedProcess[str]":
    """Run one command to its end."""
    return subprocess.run(
        [DOORMAN, *arguments],
        env=clean_environment() | environment,
        cwd=cwd,
        input=text,
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=False,
    )


@contextmanager
def running(environment: Environment, directory: Path) -> Iterator[Doorman]:
    doorman = Doorman(environment, directory)
    try:
        doorman.await_ready()
        yield doorman
    finally:
        doorman.kill()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[Environment], Doorman]]:
    """Start Doormen that end with the test."""
    with ExitStack() as ends:
        yield lambda environment: ends.enter_context(running(environment, tmp_path))
