"""The peers: how each is started as its own documentation has it for service, and filled with one user."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import bcrypt
import httpx
from pymongo import MongoClient

from bench.accounts import PASSWORD
from bench.installed import parse_server, peers_python
from bench.processes import NotMeasuredError, Server, started
from bench.targets import SPREAD_USERS, THREADS, WORKERS, Place, Target, basic
from bench.wrk import Request
from tests.mongod import free_port

_APPS = Path(__file__).parent / "peer_apps"
_NAME = "user0"
_EMAIL = "user0@example.com"
_PARSE_APPLICATION = "bench"

Peer = Callable[[Place], AbstractContextManager[list[Target]]]


@contextmanager
def bare(place: Place) -> Iterator[list[Target]]:
    """Flask with one find_one and no authentication, under Doorman's server."""
    with _flask(place, "bare") as server:
        reads = [Request(f"/users/user{number}", {}) for number in range(SPREAD_USERS)]
        yield [
            Target("bare", server, reads[:1], f'"{_NAME}"'),
            Target(f"bare, {SPREAD_USERS} users", server, reads, f'"{_NAME}"'),
        ]


@contextmanager
def naive(place: Place) -> Iterator[list[Target]]:
    """Flask-HTTPAuth with bcrypt at each request, under Doorman's server."""
    with _flask(place, "naive") as server:
        yield [Target("naive", server, [Request(f"/users/{_NAME}", basic(_NAME, PASSWORD))], f'"{_NAME}"')]


@contextmanager
def fastapi(place: Place) -> Iterator[list[Target]]:
    """FastAPI with PyMongo's asynchronous client and the same memory of credentials."""
    _fill(place, "fastapi")
    with _uvicorn(place, "fastapi", "fastapi_memory:app") as server:
        yield [Target("fastapi", server, [Request(f"/users/{_NAME}", basic(_NAME, PASSWORD))], f'"{_NAME}"')]


@contextmanager
def fastapi_users(place: Place) -> Iterator[list[Target]]:
    """fastapi-users with JWT and beanie."""
    with _uvicorn(place, "fastapi_users", "fastapi_users_jwt:app") as server:
        url = f"http://127.0.0.1:{server.port}/auth"
        with _asking() as client:
            client.post(f"{url}/register", json={"email": _EMAIL, "password": PASSWORD}).raise_for_status()
            answer = client.post(f"{url}/jwt/login", data={"username": _EMAIL, "password": PASSWORD})
            token = answer.raise_for_status().json()["access_token"]
        yield [Target("fastapi-users", server, [Request("/users/me", {"Authorization": f"Bearer {token}"})], _EMAIL)]


@contextmanager
def kinto(place: Place) -> Iterator[list[Target]]:
    """Kinto with its accounts plugin; its memory backend is a process's own, so there is one process."""
    port = free_port()
    command: list[str | Path] = [
        peers_python().with_name("kinto"),
        "start",
        "--ini",
        _APPS / "kinto.ini",
        "--port",
        str(port),
    ]
    with started("kinto", command, port, place.directory, {}) as server:
        path = f"/v1/accounts/{_NAME}"
        with _asking() as client:
            answer = client.put(f"http://127.0.0.1:{port}{path}", json={"data": {"password": PASSWORD}})
            answer.raise_for_status()
        yield [Target("kinto", server, [Request(path, basic(_NAME, PASSWORD))], f'"{_NAME}"')]


@contextmanager
def parse(place: Place) -> Iterator[list[Target]]:
    """Parse Server in one process, which is its default."""
    with _parse(place, "parse", {}) as targets:
        yield targets


@contextmanager
def parse_cluster(place: Place) -> Iterator[list[Target]]:
    """Parse Server in as many processes as the others have."""
    with _parse(place, "parse, 2 processes", {"cluster": WORKERS}) as targets:
        yield targets


PEERS: Mapping[str, Peer] = {
    "bare": bare,
    "naive": naive,
    "fastapi": fastapi,
    "fastapi-users": fastapi_users,
    "kinto": kinto,
    "parse": parse,
    "parse, 2 processes": parse_cluster,
}


def _fill(place: Place, database: str) -> None:
    """Put the users into a database of their own, in the simplest shape."""
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(place.cost)).decode()
    with MongoClient[dict[str, Any]](place.mongodb) as client:
        users = client[database]["users"]
        users.create_index("user_name", unique=True)
        names = (f"user{number}" for number in range(SPREAD_USERS))
        users.insert_many([{"user_name": name, "password": hashed, "token": hashed} for name in names])


@contextmanager
def _flask(place: Place, name: str) -> Iterator[Server]:
    _fill(place, name)
    port = free_port()
    sizes = {"BENCH_WORKERS": str(WORKERS), "BENCH_THREADS": str(THREADS), "BENCH_PORT": str(port)}
    command = [sys.executable, "-m", "bench.peer_apps.flask_apps", name]
    with started(name, command, port, place.directory, _database(place, name) | sizes) as server:
        yield server


@contextmanager
def _uvicorn(place: Place, name: str, application: str) -> Iterator[Server]:
    port = free_port()
    command: list[str | Path] = [peers_python(), "-m", "uvicorn", application, "--app-dir", _APPS, "--port", str(port)]
    command += ["--workers", str(WORKERS), "--loop", "uvloop", "--http", "httptools"]
    command += ["--no-access-log", "--log-level", "warning"]
    with started(name, command, port, place.directory, _database(place, name)) as server:
        yield server


@contextmanager
def _parse(place: Place, name: str, options: dict[str, object]) -> Iterator[list[Target]]:
    """Start Parse Server. It is compared by ``/users/me``, the user itself; ``/users/<id>`` is printed beside it."""
    port = free_port()
    database = "parse_cluster" if options else "parse"
    url = f"http://127.0.0.1:{port}/parse"
    settings = {
        "appId": _PARSE_APPLICATION,
        "masterKey": "a master key of this run, and no other",
        "databaseURI": f"{place.mongodb}{database}",
        "serverURL": url,
        "host": "127.0.0.1",
        "port": port,
        "silent": True,
    }
    written = place.directory / f"{database}.json"
    written.write_text(json.dumps(settings | options))
    environment = {"NODE_ENV": "production", "PARSE_SERVER_LOGS_FOLDER": str(place.directory / f"{database}-logs")}
    with started(database, [*parse_server(), written], port, place.directory, environment) as server:
        headers = {"X-Parse-Application-Id": _PARSE_APPLICATION}
        with _asking() as client:
            answer = client.post(f"{url}/users", headers=headers, json={"username": _NAME, "password": PASSWORD})
            account = answer.raise_for_status().json()
        headers["X-Parse-Session-Token"] = account["sessionToken"]
        yield [
            Target(f"{name}{form}", server, [Request(f"/parse/users/{path}", headers)], f'"{_NAME}"')
            for form, path in (("", "me"), (", by id", account["objectId"]))
        ]


def _database(place: Place, name: str) -> dict[str, str]:
    return {"BENCH_MONGODB": place.mongodb, "BENCH_DATABASE": name}


@contextmanager
def _asking() -> Iterator[httpx.Client]:
    """Yield a client whose failures are reasons not to measure."""
    try:
        with httpx.Client(timeout=60) as client:
            yield client
    except httpx.HTTPError as error:
        raise NotMeasuredError(f"it does not take its user: {error!r}") from error
