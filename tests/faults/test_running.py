"""The whole product as processes: several workers and servers over one store, stops, and a lost database."""

import os
import signal
import ssl
import subprocess
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path
from threading import Barrier

import httpx
import pytest

from tests.api.small_app import until
from tests.certificates import make_certificate
from tests.databases import ADMIN, Environment
from tests.mongod import Mongod, free_port
from tests.running import DOORMAN, Doorman, clean_environment, run_doorman

ROOT = Path(__file__).parents[2]
Serve = Callable[[Environment], Doorman]


@pytest.fixture
def replicas(request: pytest.FixtureRequest, environment: Environment, serve: Serve) -> list[Doorman]:
    """Two workers over SQLite, or two servers of two workers over one mongod."""
    count = 2 if environment["DATABASE_URL"].startswith("mongodb") else 1
    return [serve(environment | {"WORKERS": "2"}) for _ in range(count)]


def test_of_eight_creators_over_processes_one_wins(replicas: list[Doorman]) -> None:
    """Eight clients that create one name at once, over all processes: one gets 200, seven ``{"user_exists": true}``."""
    together = Barrier(8)

    def create(number: int, name: str) -> httpx.Response:
        together.wait()
        return replicas[number % len(replicas)].call("POST", f"/{name}", json={"password": "a fine password"})

    with ThreadPoolExecutor(8) as pool:
        for name in ("first", "second", "third"):
            answers = list(pool.map(lambda number, name=name: create(number, name), range(8)))
            assert sorted(answer.status_code for answer in answers) == [200] + [403] * 7
            assert [answer.json() for answer in answers if answer.status_code == 403] == [{"user_exists": True}] * 7


def test_revocation_reaches_every_process_at_once(replicas: list[Doorman]) -> None:
    """A changed password, a refreshed token and a deletion count on every process at its next request."""

    def everywhere(auth: tuple[str, str]) -> set[int]:
        # New connections, so that every worker has its turn.
        return {doorman.call("GET", "/alice", auth).status_code for doorman in replicas for _ in range(8)}

    first = replicas[0]
    first.call("POST", "/alice", json={"password": "the old password", "token": "the-old-token-of-alice"})
    assert everywhere(("alice", "the old password")) == everywhere(("alice", "the-old-token-of-alice")) == {200}
    first.call("PUT", "/alice/update", json={"password": "the new password"})
    assert everywhere(("alice", "the old password")) == {401}
    first.call("POST", "/alice/refresh")
    assert everywhere(("alice", "the-old-token-of-alice")) == {401}
    assert everywhere(("alice", "the new password")) == {200}
    first.call("DELETE", "/alice")
    assert everywhere(("alice", "the new password")) == {401}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_lets_requests_finish(sqlite_environment: Environment, serve: Serve, number: signal.Signals) -> None:
    """Creates whose hashing runs when the stop comes are answered, and kept; the exit status is 0, the port is free."""
    doorman = serve(sqlite_environment | {"BCRYPT_ROUNDS": "12", "WORKERS": "1"})
    names = [f"user{count}" for count in range(6)]
    with ThreadPoolExecutor(len(names)) as pool:
        creates = [
            pool.submit(doorman.call, "POST", f"/{name}", json={"password": "a fine password"}) for name in names
        ]
        wait(creates, return_when=FIRST_COMPLETED)  # they began together, so the others are being worked on
        assert doorman.stop(number) == 0
        assert [create.result().status_code for create in creates] == [200] * len(names)
    with pytest.raises(httpx.ConnectError):
        doorman.call("GET")
    assert "Traceback" not in doorman.log
    assert serve(sqlite_environment).call("GET").json()["users"] == ["root", *names]


def test_a_lost_database_is_a_503_until_it_is_back(
    own_mongod: Callable[..., Mongod], serve: Serve, mongod_environment: Environment
) -> None:
    """While mongod is down or hangs each request gets 503 with ``Retry-After`` within 5 s; then all is as before."""
    mongod = own_mongod()
    doorman = serve(mongod_environment | {"DATABASE_URL": mongod.uri, "WORKERS": "1"})

    def refusals() -> None:
        with ThreadPoolExecutor(20) as pool:
            answers = list(pool.map(lambda _: doorman.call("GET", "/root"), range(40)))
        for answer in answers:
            assert (answer.status_code, answer.headers["Content-Type"]) == (503, "application/problem+json")
            assert int(answer.headers["Retry-After"]) >= 1
            assert answer.elapsed.total_seconds() < 5
        assert httpx.get(f"{doorman.url}/healthz/ready", timeout=10).status_code == 503
        assert httpx.get(f"{doorman.url}/healthz/live", timeout=10).status_code == 200

    def await_recovery() -> None:
        until(lambda: doorman.call("GET", "/root").status_code == 200, "the recovery")

    for leave, come_back in ((mongod.kill, mongod.start), (mongod.pause, mongod.resume)):
        leave()
        refusals()
        come_back()
        await_recovery()
    assert "Traceback" not in doorman.log


def test_a_worker_that_dies_while_the_database_is_lost_is_replaced(
    own_mongod: Callable[..., Mongod], serve: Serve, mongod_environment: Environment
) -> None:
    """The new worker starts without the database and serves once it is back; the service does not end."""
    mongod = own_mongod()
    doorman = serve(mongod_environment | {"DATABASE_URL": mongod.uri, "WORKERS": "1"})
    (worker,) = doorman.workers()
    mongod.kill()
    os.kill(worker, signal.SIGKILL)
    until(lambda: doorman.workers() not in ([], [worker]), "a new worker")
    until(lambda: doorman.answers("/healthz/live") == 200, "its first answer")
    assert doorman.call("GET").status_code == 503
    mongod.start()
    until(lambda: doorman.call("GET").status_code == 200, "the recovery")


def test_tls_is_spoken(sqlite_environment: Environment, tmp_path: Path) -> None:
    """With ``TLS_CERT`` and ``TLS_KEY`` the port speaks TLS, and nothing else."""
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    make_certificate(certificate, key)
    secured = sqlite_environment | {"TLS_CERT": str(certificate), "TLS_KEY": str(key)}
    doorman = Doorman(secured, tmp_path)
    doorman.url = doorman.url.replace("http:", "https:")
    try:
        doorman.await_ready(verify=ssl.create_default_context(cafile=certificate))
        with pytest.raises(httpx.HTTPError):
            doorman.call("GET")
    finally:
        doorman.kill()


def test_a_taken_port_is_said(sqlite_environment: Environment, serve: Serve, tmp_path: Path) -> None:
    """A second service on one port does not start, and says so in one message."""
    doorman = serve(sqlite_environment)
    done = run_doorman("serve", environment=sqlite_environment | {"PORT": str(doorman.port)}, cwd=tmp_path)
    assert done.returncode == 1
    assert str(doorman.port) in done.stderr
    assert "Traceback" not in done.stderr


def test_unwise_settings_are_warned_of(sqlite_environment: Environment, serve: Serve) -> None:
    """Cheap hashes and plain text beyond loopback are said at the start, once."""
    doorman = serve(sqlite_environment | {"HOST": "0.0.0.0"})
    assert doorman.log.count("BCRYPT_ROUNDS=4") == 1
    assert doorman.log.count("HOST=0.0.0.0") == 1


@pytest.mark.parametrize("command", ["uvicorn", "flask"])
def test_other_servers_run_it(environment: Environment, tmp_path: Path, command: str) -> None:
    """``app:app`` serves under another ASGI server, and ``app:create_app`` under ``flask --app app run``."""
    port = free_port()
    arguments = {
        "uvicorn": ["uvicorn", "app:app", "--port", str(port)],
        "flask": ["flask", "--app", "app", "run", "--port", str(port)],
    }[command]
    log = (tmp_path / "log").open("wb")
    process = subprocess.Popen(
        [DOORMAN.with_name(arguments[0]), *arguments[1:]],
        cwd=ROOT,
        env=clean_environment() | environment,
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    try:
        with httpx.Client(transport=httpx.HTTPTransport(retries=8), auth=ADMIN, timeout=30) as client:
            users = f"http://127.0.0.1:{port}/api/v2/users"
            assert client.post(f"{users}/alice", json={"password": "a fine password"}).status_code == 200
            assert client.get(users).json() == {"users": ["alice", "root"]}
            assert client.get(f"{users}/alice%2Fupdate").status_code == 404
    finally:
        process.terminate()
        process.wait()
        log.close()
