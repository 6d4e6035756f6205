"""The front door of docker-compose.yml: the real Caddy, with the real deploy/Caddyfile, before a real Doorman."""

import json
import re
import signal
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.certificates import make_certificate
from tests.clients.caddy import CADDYFILE, Caddy, behind_caddy, caddy_environment
from tests.clients.echo import AGREEABLE, echoing
from tests.databases import ADMIN, ADMIN_TOKEN, SECRET_KEY, Environment
from tests.running import SOURCES, Doorman, running
from tests.tools import program
from tests.websocket_clients import ANONYMOUS, Talk

CANARY = "canary-0123456789"
LOGIN = {"username": ADMIN[0], "password": ADMIN[1]}
BODY_BYTES = 64 * 1024
PATIENCE = 20.0


@pytest.fixture(scope="module")
def doorman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doorman]:
    """Doorman that trusts a proxy on this machine; the tests of this file leave it running."""
    directory = tmp_path_factory.mktemp("doorman")
    environment = {
        "DATABASE_URL": f"sqlite:///{directory}/doorman.db",
        "BASIC_AUTH_USER": ADMIN[0],
        "BASIC_AUTH_PASSWORD": ADMIN[1],
        "AUTH_TOKEN": ADMIN_TOKEN,
        "SECRET_KEY": SECRET_KEY,
        "BCRYPT_ROUNDS": "4",
        "TRUSTED_PROXIES": "127.0.0.1",
    }
    with running(environment, directory) as doorman:
        yield doorman


@pytest.fixture(scope="module")
def caddy(doorman: Doorman, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caddy]:
    with behind_caddy(doorman, tmp_path_factory.mktemp("front") / "caddy") as caddy:
        yield caddy


@pytest.fixture
def client(caddy: Caddy) -> Iterator[httpx.Client]:
    with caddy.client(next(SOURCES)) as client:
        yield client


def problem(answer: httpx.Response) -> dict[str, Any]:
    assert answer.headers["Content-Type"] == "application/problem+json"
    told: dict[str, Any] = answer.json()
    assert told["status"] == answer.status_code
    return told


# The file.


@pytest.mark.parametrize("tls", ["", "internal", "ops@example.com", "{directory}/cert.pem {directory}/key.pem"])
def test_the_file_is_one_for_each_way_to_a_certificate(tmp_path: Path, tls: str) -> None:
    """Caddy takes the file whatever the certificates come from, and a misspelt directive is none."""
    make_certificate(tmp_path / "cert.pem", tmp_path / "key.pem")
    variables = {"DOORMAN_HOST": "users.example.com", "DOORMAN_TLS": tls.format(directory=tmp_path)}

    def status(file: Path) -> int:
        command = [str(program("caddy")), "validate", "--adapter", "caddyfile", "--config", str(file)]
        environment = caddy_environment(tmp_path) | variables
        return subprocess.run(command, env=environment, check=False, capture_output=True).returncode

    assert status(CADDYFILE) == 0
    misspelt = tmp_path / "Caddyfile"
    misspelt.write_text(CADDYFILE.read_text().replace("lb_try_duration", "lb_try_durations"))
    assert status(misspelt) == 1


def test_the_file_is_formatted(tmp_path: Path) -> None:
    """`caddy fmt` would change nothing."""
    command = [str(program("caddy")), "fmt", str(CADDYFILE)]
    done = subprocess.run(command, env=caddy_environment(tmp_path), check=True, capture_output=True, text=True)
    assert done.stdout == CADDYFILE.read_text()


# What passes.


def test_speaks_http_2_and_offers_http_3(caddy: Caddy) -> None:
    """The list of users comes to curl by HTTP/2, over TLS that it trusts, and with the offer of HTTP/3."""
    command = ["curl", "-sS", "--ipv4", "--http2", "--cacert", str(caddy.root), "--user", ":".join(ADMIN), "--include"]
    command += ["--write-out", "%{http_version}", f"{caddy.url}/api/v2/users"]
    answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert answer.endswith(f"{json.dumps({'users': [ADMIN[0]]}, separators=(',', ':'))}\n2")
    assert f'alt-svc: h3=":{caddy.port}"' in answer
    assert "server:" not in answer
    assert "strict-transport-security" not in answer  # at localhost, it would hold for all that is served there


def test_refuses_old_tls(caddy: Caddy) -> None:
    """Nothing older than TLS 1.2 is spoken."""
    command = ["curl", "-sS", "--ipv4", "--cacert", str(caddy.root), "--tls-max", "1.1", f"{caddy.url}/healthz/live"]
    assert subprocess.run(command, check=False, capture_output=True).returncode == 35  # CURLE_SSL_CONNECT_ERROR


def test_a_websocket_passes(caddy: Caddy, talk: Talk) -> None:
    """A client logs in, asks and logs out over wss, from its own origin and from no other."""
    talker = talk(caddy.url, ssl=caddy.trust(), origin=caddy.url)
    assert talker.is_there()
    talker.told("login", **LOGIN)
    assert talker.told("me")["username"] == ADMIN[0]
    assert talker.told("logout") == {"success": True}
    assert talker.refused("me") == ANONYMOUS
    with pytest.raises(Exception, match="403"):
        talk(caddy.url, ssl=caddy.trust(), origin="https://evil.example.com")


# Who is believed.


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"X-Forwarded-For": "192.0.2.1"},
        {"X_Forwarded_For": "192.0.2.1"},
        {"Forwarded": "for=192.0.2.1", "X-Real-IP": "192.0.2.1"},
        {"X-Forwarded-For": "192.0.2.1", "Connection": "close, X-Forwarded-For"},
    ],
)
def test_a_client_has_its_own_address_whatever_it_claims(caddy: Caddy, claims: dict[str, str]) -> None:
    """The address of a session is that of the connection to Caddy; what a client says that it forwards is dropped."""
    source = next(SOURCES)
    with caddy.client(source) as client:
        begun = client.post("/login.json", json=LOGIN, headers=claims)
        assert begun.status_code == 200, begun.text
        # Caddy says that it came by https.
        assert "secure" in begun.headers["Set-Cookie"].lower()
        sessions = client.get(f"/api/v2/users/{ADMIN[0]}/sessions", auth=ADMIN).json()["sessions"]
    assert source in {session["address"] for session in sessions}
    assert "192.0.2.1" not in {session["address"] for session in sessions}


def test_nobody_chooses_doormans_own_origin(client: httpx.Client, caddy: Caddy) -> None:
    """A page of another origin is refused, though it claims that the host which it forwards for is its own."""
    page = {"Origin": "https://evil.example.com", "X-Forwarded-Host": "evil.example.com", "X-Forwarded-Proto": "https"}
    assert client.post("/login.json", json=LOGIN, headers=page).status_code == 403
    assert client.post("/login.json", json=LOGIN, headers={"Origin": caddy.url}).status_code == 200


def test_no_client_gets_past_what_caddy_looks_at(tmp_path: Path) -> None:
    """WebSockets pass, and no other protocol, though what is behind would agree to any.

    Doorman refuses them itself; servers that it can run under need not.
    """
    with echoing() as echo, behind_caddy(echo, tmp_path / "caddy") as caddy:

        def asked(*upgrade: str) -> list[str]:
            lines = [f"GET {AGREEABLE} HTTP/1.1", "Host: localhost", "Connection: Upgrade, HTTP2-Settings"]
            lines += ["HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA", *(f"Upgrade: {each}" for each in upgrade)]
            with (
                socket.create_connection(("127.0.0.1", caddy.port), PATIENCE) as connection,
                caddy.trust().wrap_socket(connection, server_hostname="localhost") as tls,
            ):
                tls.sendall("\r\n".join([*lines, "", ""]).encode())
                assert tls.recv(BODY_BYTES)
            received = echo.received[-1]
            assert received.values("HTTP2-Settings") == []
            return received.values("Upgrade")

        for others in (["h2c"], ["H2C"], ["websocket, h2c"], ["h2c, websocket"], ["TLS/1.0"], ["h2c", "h2c"]):
            assert asked(*others) == []
        for several in (["websocket"], ["WebSocket"], ["websocket", "h2c"], ["h2c", "websocket"]):
            assert asked(*several) == ["websocket"]


def test_other_names_are_not_served(caddy: Caddy, client: httpx.Client) -> None:
    """Another host on our connection is 421 and does not reach Doorman; for another name there is no certificate."""
    answer = client.get("/healthz/ready", headers={"Host": "evil.example.com"})
    assert (answer.status_code, answer.content) == (421, b"")
    with (
        pytest.raises(ssl.SSLError),
        socket.create_connection(("127.0.0.1", caddy.port), PATIENCE) as connection,
        caddy.trust().wrap_socket(connection, server_hostname="evil.example.com"),
    ):
        pass


# What is bounded.


@pytest.mark.parametrize("length", [BODY_BYTES + 1, 10 * BODY_BYTES])
def test_bodies_are_bounded(client: httpx.Client, length: int) -> None:
    """Caddy answers a body of more than 64 KiB with 413, whether it says its length or not; below, Doorman decides."""
    for content in (b"a" * length, iter([b"a" * length])):
        answer = client.post("/login.json", content=content)
        assert problem(answer) == {"type": "about:blank", "title": "Request Entity Too Large", "status": 413}
    assert client.post("/login.json", content=b"a" * BODY_BYTES).status_code == 400


def test_heads_are_bounded(client: httpx.Client) -> None:
    """30 KB of headers are 431, and do not reach Doorman, which would take them."""
    assert client.get("/healthz/ready", headers={"X-Long": "a" * 30_000}).status_code == 431
    assert client.get("/healthz/ready", headers={"X-Long": "a" * 8_000}).status_code == 200


# Plain HTTP.


def plain(caddy: Caddy, method: str, path: str, headers: dict[str, str]) -> tuple[int, str | None, bytes]:
    connection = HTTPConnection("127.0.0.1", caddy.plain_port, timeout=PATIENCE)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    assert answer.headers["Server"] is None
    return answer.status, answer.headers["Location"], body


@pytest.mark.parametrize("host", ["localhost", "evil.example.com"])
def test_plain_http_leads_to_https(caddy: Caddy, host: str) -> None:
    """Who brings no credential is led to our own name, whatever host it named."""
    found = plain(caddy, "GET", "/users/login/oauth?state=1", {"Host": host})
    assert found[:2] == (308, "https://localhost/users/login/oauth?state=1")


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("POST", "/login.json", {}),
        ("GET", "/api/v2/users", {"Authorization": "Basic cm9vdDpyb290"}),
        ("GET", "/healthz/ready", {"Authorization": "Basic cm9vdDpyb290"}),
        ("GET", "/users/", {"Cookie": "session=1"}),
        ("GET", "/v2/instances/x/users/", {"X-API-KEY": "1"}),
        ("GET", "/", {"X-User-Key": "1"}),
        ("GET", f"/?s={CANARY}", {}),
        ("GET", "/?user_key=1", {}),
    ],
)
def test_credentials_in_plain_http_lead_nowhere(caddy: Caddy, method: str, path: str, headers: dict[str, str]) -> None:
    """A client that sends a credential in the clear is told so, and not led on to send it again each time."""
    status, location, body = plain(caddy, method, path, headers)
    assert (status, location, json.loads(body)["status"]) == (403, None, 403)


def test_health_can_be_asked_in_plain_http(caddy: Caddy) -> None:
    """The container's own check gets Doorman's answer by the address alone."""
    assert plain(caddy, "GET", "/healthz/ready", {}) == (200, None, b'{"status":"ok"}\n')


# What ends.


@pytest.fixture
def own_doorman(sqlite_environment: Environment, serve: Callable[[Environment], Doorman]) -> Doorman:
    """Doorman that the test may stop."""
    return serve(sqlite_environment | {"TRUSTED_PROXIES": "127.0.0.1"})


@pytest.fixture
def own_caddy(own_doorman: Doorman, tmp_path: Path) -> Iterator[Caddy]:
    """Caddy that the test may stop."""
    with behind_caddy(own_doorman, tmp_path / "caddy") as caddy:
        yield caddy


def test_the_log_tells_no_credential(own_doorman: Doorman, own_caddy: Caddy) -> None:
    """Each request is logged with its path and status, and nothing is that came in a query or a header.

    That holds for errors too: when Doorman is away, Caddy answers 503 with a problem and ``Retry-After``.
    """
    secret = {
        "Authorization": f"Bearer {CANARY}",
        "Cookie": f"session={CANARY}",
        "X-User-Key": CANARY,
        "Referer": f"https://localhost/?s={CANARY}",
        "Sec-WebSocket-Protocol": CANARY,
    }
    with own_caddy.client() as client:
        assert client.get(f"/api/v2/users?s={CANARY}", headers=secret).status_code == 401
        assert client.get("/api/v2/users", headers={"Host": "other"}, params={"s": CANARY}).status_code == 421
        assert client.post(f"/login.json?s={CANARY}", content=b"a" * BODY_BYTES * 2).status_code == 413
        assert plain(own_caddy, "GET", f"/a?t={CANARY}", {})[0] == 308
        own_doorman.stop()
        answer = client.get(f"/away/now?s={CANARY}", headers=secret)
        assert problem(answer) == {"type": "about:blank", "title": "Service Unavailable", "status": 503}
        assert answer.headers["Retry-After"] == "1"
    assert own_caddy.stop() == 0
    assert CANARY not in own_caddy.log
    said = [json.loads(line) for line in own_caddy.log.splitlines() if line.startswith("{")]
    logged = [(one["request"]["uri"], one["status"]) for one in said if one["msg"] == "handled request"]
    for expected in (("/api/v2/users", 401), ("/login.json", 413), ("/a", 308), ("/away/now", 503)):
        assert expected in logged


def test_a_restart_is_a_delay(own_doorman: Doorman, own_caddy: Caddy) -> None:
    """A request that Doorman does not take, since it is restarting, is brought to the one that comes."""
    own_doorman.stop()
    with socket.create_server(("127.0.0.1", own_doorman.port)) as listener, ThreadPoolExecutor(1) as pool:
        listener.settimeout(PATIENCE)
        with own_caddy.client() as client:
            asked = pool.submit(client.get, "/healthz/live")
            listener.accept()[0].close()
            connection, _ = listener.accept()
            with connection:
                connection.recv(BODY_BYTES)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nhere")
            assert asked.result(PATIENCE).text == "here"


def test_a_stop_lets_requests_finish(own_caddy: Caddy, talk: Talk) -> None:
    """After SIGTERM a request in flight is answered, and an idle WebSocket holds nothing up."""
    talker = talk(own_caddy.url, ssl=own_caddy.trust())
    assert talker.is_there()
    body = json.dumps(LOGIN).encode()
    connection = HTTPSConnection("localhost", own_caddy.port, timeout=PATIENCE, context=own_caddy.trust())
    connection.putrequest("POST", "/login.json")
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body[:-1])
    # It has been read as far as it goes, since others that came later are answered.
    with own_caddy.client() as client:
        assert client.get("/healthz/live").status_code == 200
    own_caddy.process.send_signal(signal.SIGTERM)
    connection.send(body[-1:])
    answer = connection.getresponse()
    assert (answer.status, b"id" in answer.read()) == (200, True)
    connection.close()
    assert own_caddy.process.wait(PATIENCE) == 0
    assert re.search('"exit_code": ?0', own_caddy.log)
