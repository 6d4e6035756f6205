"""nginx and Caddy before an application, by the documented files: who gets through, and what it is told of them."""

import http.client
import json
from collections.abc import Iterator
from contextlib import closing
from itertools import product
from pathlib import Path
from typing import Any, TypeAlias

import httpx
import pytest
import yaml  # type: ignore[import-untyped]  # its stubs are one more package

from tests.api.conftest import PASSWORD, authorization
from tests.clients.echo import AGREEABLE, Received
from tests.clients.gates import FILES, GATES, Gate, written
from tests.databases import ADMIN, ADMIN_TOKEN, SECRET_KEY
from tests.mongod import free_port
from tests.running import SOURCES, Doorman, running

IDENTITY = ("X-Auth-User", "X-Auth-Id", "X-Auth-Group")
BASIC = f"Authorization: {authorization(ADMIN)}"
NOOB = ("Jürgen", PASSWORD)
GROUP = {"/api/v2/verify;": "/api/v2/verify?group=manager,admin;", "verify?\n": "verify?group=manager,admin\n"}

Told: TypeAlias = dict[str, list[str]]


@pytest.fixture(scope="module")
def doorman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doorman]:
    directory = tmp_path_factory.mktemp("doorman")
    settings = {
        "DATABASE_URL": f"sqlite:///{directory}/doorman.db",
        "BASIC_AUTH_USER": ADMIN[0],
        "BASIC_AUTH_PASSWORD": ADMIN[1],
        "AUTH_TOKEN": ADMIN_TOKEN,
        "SECRET_KEY": SECRET_KEY,
        "BCRYPT_ROUNDS": "4",
        "TRUSTED_PROXIES": "127.0.0.1",
    }
    with running(settings, directory) as doorman:
        assert doorman.call("POST", f"/{NOOB[0]}", json={"password": PASSWORD}).status_code == 200
        yield doorman


@pytest.fixture(scope="module", params=GATES)
def gate(request: pytest.FixtureRequest, doorman: Doorman, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    with GATES[request.param](doorman.port, tmp_path_factory.mktemp("gate") / request.param, {}) as gate:
        yield gate


@pytest.fixture
def root(doorman: Doorman) -> Told:
    """What an application is to be told of the admin."""
    headers = httpx.get(f"{doorman.url}/api/v2/verify", auth=ADMIN).headers
    assert headers["X-Auth-User"] == ADMIN[0]
    return {name: [headers[name]] for name in IDENTITY}


def told(received: Received) -> Told:
    return {name: received.values(name) for name in IDENTITY}


def login(doorman: Doorman, path: str, body: Any) -> Any:
    return httpx.post(f"{doorman.url}{path}", json=body).raise_for_status().json()


def test_the_application_is_told_who_asks(gate: Gate, doorman: Doorman, root: Told) -> None:
    """By password, API token, JSON Web Token and session; it gets the request, and nothing to log in with."""
    token = login(doorman, "/users/login", {"user": {"username": ADMIN[0], "password": ADMIN[1]}})["user"]["token"]
    session = login(doorman, "/login.json", {"username": ADMIN[0], "password": ADMIN[1]})["id"]
    for credential in (
        BASIC,
        f"Authorization: Bearer {ADMIN_TOKEN}",
        f"Authorization: Bearer {token}",
        f"Authorization: Token {token}",
        f"Cookie: session={session}",
    ):
        head = [credential, "Cookie: theme=dark; lang=en", "Content-Length: 5", "X-Other: 1"]
        answer = gate.ask(*head, method="POST", path="/a/b%2Fc?d=e&oauth=1&group=king", body=b"hello")
        assert (answer.status, json.loads(answer.body)["method"]) == (200, "POST")
        received = gate.echo.received[-1]
        assert (received.target, received.body) == ("/a/b%2Fc?d=e&oauth=1&group=king", "hello")
        assert told(received) == root
        assert received.values("Authorization") == []
        assert "session" not in "; ".join(received.values("Cookie"))
        assert received.values("X-Other") == ["1"]


def test_a_session_is_begun_and_ended_on_the_applications_host(gate: Gate) -> None:
    """/login.json and /logout.json are Doorman's there, and its cookie opens the application in between."""
    body = json.dumps({"username": ADMIN[0], "password": ADMIN[1]}).encode()
    own_page = f"Origin: {gate.origin}"
    answer = gate.ask(own_page, f"Content-Length: {len(body)}", method="POST", path="/login.json", body=body)
    cookie = "Cookie: " + answer.headers["set-cookie"].partition(";")[0]
    assert gate.ask(cookie, "Cookie: theme=dark").status == 200
    assert told(gate.echo.received[-1])["X-Auth-User"] == [ADMIN[0]]
    assert gate.ask(own_page, cookie, "Content-Length: 0", method="POST", path="/logout.json").status == 200
    assert gate.ask(cookie).status == 401


@pytest.mark.parametrize(
    ("sent", "left"),
    [
        ("session={}", ""),
        ("a=1; session={}", "a=1"),
        ("session={}; b=2", "b=2"),
        ("a=1; session={}; b=2", "a=1; b=2"),
        ("mysession=1; session={}; sessions=2", "mysession=1; sessions=2"),
        ("session={0}; session={0}; b=2", None),
    ],
)
def test_the_applications_own_cookies_get_through(gate: Gate, doorman: Doorman, sent: str, left: str | None) -> None:
    """All but Doorman's, which would open whatever else its user may see; nor is it left when it is sent twice."""
    session = login(doorman, "/login.json", {"username": ADMIN[0], "password": ADMIN[1]})["id"]
    assert gate.ask(f"Cookie: {sent.format(session)}").status == 200
    cookies = "; ".join(gate.echo.received[-1].values("Cookie"))
    assert session not in cookies
    if left is not None:
        assert cookies.strip("; ") == left


def test_a_name_in_any_script_gets_through(gate: Gate) -> None:
    """As ASCII, in which no proxy and no application can see anything but one word."""
    assert gate.ask(f"Authorization: {authorization(NOOB)}").status == 200
    assert told(gate.echo.received[-1])["X-Auth-User"] == ["J%C3%BCrgen"]


@pytest.mark.parametrize("credential", [[], ["Authorization: Bearer wrong"], ["Cookie: session=abcdefghijklmno"]])
def test_nobody_else_gets_through(gate: Gate, credential: list[str]) -> None:
    """401 with the challenge by which a browser asks for a password; the application hears nothing of it."""
    before = len(gate.echo.received)
    for method in ("GET", "HEAD", "POST", "OPTIONS"):
        answer = gate.ask(*credential, "Content-Length: 0", *claims("root"), method=method, source=next(SOURCES))
        assert (answer.status, len(gate.echo.received)) == (401, before)
        assert answer.headers["www-authenticate"].startswith(("Basic realm=", "Bearer realm="))
    assert gate.ask(source=next(SOURCES)).headers["www-authenticate"] == 'Basic realm="Doorman", charset="UTF-8"'


def claims(value: str) -> list[str]:
    """Return headers by which a client calls itself, in each spelling that an application may take for the true one."""
    spellings = [name.split("-") for name in IDENTITY]
    names = [f"{x}{one}{auth}{two}{what}" for x, auth, what in spellings for one, two in product("-_.", repeat=2)]
    return [f"{name}: {value}" for each in names for name in (each, each.lower(), each.upper())]


@pytest.mark.parametrize(
    "head",
    [
        claims("mallory"),
        [*claims("mallory"), "Connection: close, X-Auth-User"],
        ["Connection: X-Auth-User, X-Auth-Id", "Connection: close, x-auth-group, keep-alive"],
        ["Connection: close", "Keep-Alive: X-Auth-User", "Proxy-Connection: X-Auth-User", "TE: X-Auth-User"],
        ["X-Auth-User:", "X-Auth-Group:"],
        ["X-Auth-User: {http.request.header.X-Claim}", "X-Claim: mallory"],
        ["X-Forwarded-User: mallory", "X-Forwarded-For: 127.0.0.1", "X-Forwarded-Uri: /healthz/live"],
        ["Connection: upgrade, X-Auth-User", "Upgrade: websocket", *claims("mallory")],
        ["Connection: X-Auth-User", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA"],
    ],
)
def test_no_client_speaks_for_doorman(gate: Gate, root: Told, head: list[str]) -> None:
    """Whatever a client calls itself, or has removed by ``Connection``, the application hears it from Doorman alone."""
    assert gate.ask(*head, BASIC).status == 200
    assert told(gate.echo.received[-1]) == root
    assert gate.ask(BASIC, *head).status == 200
    assert told(gate.echo.received[-1]) == root


H2C = ["Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA"]


@pytest.mark.parametrize(
    "upgrade",
    [
        ["Upgrade: h2c"],
        ["Upgrade: H2C"],
        ["Upgrade: websocket, h2c"],
        ["Upgrade: h2c, websocket"],
        ["Upgrade: websocket", "Upgrade: h2c"],
        ["Upgrade: h2c", "Upgrade: websocket"],
        ["Upgrade: h2c", "upgrade: h2c"],
        ["Upgrade: websocket/13"],
        ["Upgrade: TLS/1.0"],
        ["Upgrade:", "Upgrade: h2c"],
        ["Upgrade_: h2c", "Up-grade: h2c", "Upgrade: h2c"],
    ],
)
def test_no_other_protocol_is_asked_for(gate: Gate, root: Told, upgrade: list[str]) -> None:
    """An application that would agree to HTTP/2 is not asked: nobody would look at the requests that follow."""
    answer = gate.ask(BASIC, *H2C, *upgrade, path=AGREEABLE)
    received = gate.echo.received[-1]
    assert (received.target, told(received)) == (AGREEABLE, root)
    passed = received.values("Upgrade")
    # Of two lines a proxy may take the one; of a list, or of another protocol, none.
    assert passed in ([], ["websocket"]) if "Upgrade: websocket" in upgrade else passed == []
    assert received.values("HTTP2-Settings") == []
    assert answer.status == (101 if passed else 200)


@pytest.mark.parametrize("name", ["websocket", "WebSocket"])
def test_a_websocket_gets_through(gate: Gate, root: Told, name: str) -> None:
    """The application is told who opens it; from then on bytes go back and forth. Nobody else opens one."""
    head = ["Connection: keep-alive, Upgrade", f"Upgrade: {name}", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="]
    with closing(gate.connect()) as connection:
        connection.sendall(written(BASIC, *head, *claims("mallory"), path=AGREEABLE))
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        assert (answer.status, answer.headers["Upgrade"].lower()) == (101, "websocket")
        received = gate.echo.received[-1]
        assert told(received) == root
        assert received.values("Sec-WebSocket-Key") == ["AAAAAAAAAAAAAAAAAAAAAA=="]
        connection.sendall(b"hello")
        assert connection.recv(5) == b"hello"
    before = len(gate.echo.received)
    assert gate.ask(*head, path=AGREEABLE, source=next(SOURCES)).status == 401
    assert len(gate.echo.received) == before


@pytest.mark.parametrize("name", ["X-Request-ID", "x-request-id", "X_Request_ID"])
def test_clients_do_not_name_requests(gate: Gate, name: str) -> None:
    """In Doorman's log a request bears an id of Doorman's, whether it is about a login or about an application."""
    body = json.dumps({"username": ADMIN[0], "password": ADMIN[1]}).encode()
    head = [f"{name}: chosen", f"Content-Length: {len(body)}"]
    login = gate.ask(*head, method="POST", path="/login.json", body=body)
    assert login.status == 200
    assert login.headers["x-request-id"] != "chosen"
    asked = gate.ask(f"{name}: chosen", source=next(SOURCES))
    assert asked.status == 401
    assert asked.headers.get("x-request-id") != "chosen"


SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: app.example.com\r\nX-Auth-User: mallory\r\n\r\n"


@pytest.mark.parametrize(
    ("head", "body"),
    [
        (["Transfer-Encoding: chunked", f"Content-Length: {len(SMUGGLED) + 5}"], b"0\r\n\r\n" + SMUGGLED),
        (["Content-Length: 4", "Transfer-Encoding: chunked"], b"1\r\nx\r\n0\r\n\r\n" + SMUGGLED),
        (["Transfer-Encoding: chunked", "Transfer-Encoding: x"], b"0\r\n\r\n" + SMUGGLED),
        (["Transfer-Encoding: \x0bchunked"], b"0\r\n\r\n" + SMUGGLED),
        (["Transfer-Encoding : chunked"], b"0\r\n\r\n" + SMUGGLED),
        (["Transfer_Encoding: chunked", "Content-Length: 0"], SMUGGLED),
        (["Content-Length: 0", f"Content-Length: {len(SMUGGLED)}"], SMUGGLED),
        ([f"Content-Length: +{len(SMUGGLED)}"], SMUGGLED),
        (["Content-Length: 0"], SMUGGLED),
        ([f"Content-Length: {len(SMUGGLED)}", "Expect: 100-continue"], SMUGGLED),
        (["Transfer-Encoding: chunked", "Trailer: X-Auth-User"], b"0\r\nX-Auth-User: mallory\r\n\r\n"),
        (["Transfer-Encoding: chunked"], b"5;x=\n\r\nhello\r\n0\r\n\r\n" + SMUGGLED),
        (["X-Other: 1\r\n X-Auth-User: mallory", "Content-Length: 0"], b""),
        (["X-Other: 1\nX-Auth-User: mallory", "Content-Length: 0"], b""),
        (["X-Other: 1\rX-Auth-User: mallory", "Content-Length: 0"], b""),
        (["X-Auth-User : mallory", "Content-Length: 0"], b""),
        (["X-Auth-User\x00: mallory", "Content-Length: 0"], b""),
    ],
)
def test_nothing_is_smuggled_past(gate: Gate, root: Told, head: list[str], body: bytes) -> None:
    """Requests of which it is in doubt where they end, or where a header does, are refused or are one: its sender's."""
    before = len(gate.echo.received)
    answer = gate.send(written(BASIC, *head, method="POST") + body)
    assert answer.status in {200, 400, 401, 501, 502}
    for received in gate.echo.received[before:]:
        assert told(received) == root
        assert received.target == "/"
    assert len(gate.echo.received) - before == (answer.status == 200)


def test_what_a_proxy_asks_is_hidden(gate: Gate) -> None:
    """A client cannot ask in the proxy's place, and the application's answers show nothing of it either."""
    for path in ("/", "/_doorman", "/_doorman?", "//_doorman", "/%5Fdoorman", "/api/v2/verify"):
        assert gate.ask(path=path, source=next(SOURCES)).status in {401, 404}
        answer = gate.ask(BASIC, path=path)
        assert answer.status in {200, 404}
        assert not [name for name in answer.headers if name.startswith("x-auth")]


def test_guessing_is_slowed_down_by_the_clients_own_address(gate: Gate) -> None:
    """429 tells how long to wait, whatever the client says of where it is; others are not affected."""
    guesser, wrong = next(SOURCES), authorization(("root", "not the password"))
    again = authorization(("root", "nor is this"))
    assert gate.ask(f"Authorization: {wrong}", source=guesser).status == 401
    answer = gate.ask(f"Authorization: {again}", "X-Forwarded-For: 203.0.113.7", source=guesser)
    assert (answer.status, answer.headers["retry-after"]) == (429, "1")
    assert gate.ask(BASIC, "X-Forwarded-For: " + guesser, source=next(SOURCES)).status == 200


@pytest.mark.parametrize("kind", GATES)
def test_a_group_can_be_demanded(doorman: Doorman, tmp_path: Path, kind: str) -> None:
    """By the query in the proxy's file: others get 403, and the application nothing."""
    documented = {"nginx": "/api/v2/verify;", "caddy": "verify?\n"}[kind]
    with GATES[kind](doorman.port, tmp_path / "gate", {documented: GROUP[documented]}) as gate:
        assert gate.ask(BASIC).status == 200
        for path in ("/", "/?group=noob", "/%3Fgroup=noob"):
            assert gate.ask(f"Authorization: {authorization(NOOB)}", path=path).status == 403
        assert len(gate.echo.received) == 1


@pytest.mark.parametrize("kind", GATES)
def test_without_doorman_nobody_gets_through(tmp_path: Path, kind: str) -> None:
    """Where it cannot be asked, the answer is that of a server that has to wait for another one."""
    with GATES[kind](free_port(), tmp_path / "gate", {}) as gate:
        assert gate.ask(BASIC, *claims("root")).status in {502, 503}
        assert gate.echo.received == []


def test_traefiks_file_is_what_its_documents_describe() -> None:
    """Each option is one of theirs; claims are removed before Doorman is asked, and the password after that.

    So is ``Upgrade``, or else it is set to the one protocol that may get through.
    """
    http = yaml.safe_load((FILES / "traefik.yml").read_text())["http"]
    assert http.keys() == {"routers", "middlewares", "services"}
    router = http["routers"]["application"]
    assert router.keys() == {"rule", "entryPoints", "tls", "middlewares", "service"}
    websockets, login = http["routers"]["websockets"], http["routers"]["login"]
    assert websockets.keys() == login.keys() == router.keys()
    # Whoever asks for another protocol is not told apart by the first rule; the longer rule comes before it.
    assert websockets["rule"] == f"{router['rule']} && HeaderRegexp(`Upgrade`, `(?i)^websocket$`)"
    *guards, alone = websockets["middlewares"]
    *likewise, without = router["middlewares"]
    assert guards == likewise
    for name, upgrade in ((alone, "websocket"), (without, "")):
        headers = {"Upgrade": upgrade, "HTTP2-Settings": ""}
        assert http["middlewares"][name] == {"headers": {"customRequestHeaders": headers}}
    headers = {"X-Request-ID": "", "Upgrade": ""}
    assert [http["middlewares"][name] for name in login["middlewares"]] == [
        {"headers": {"customRequestHeaders": headers}}
    ]
    assert {each["service"] for each in http["routers"].values()} == http["services"].keys()
    without_claims, doorman, without_password = (http["middlewares"][name] for name in guards)
    variants = {
        f"{x}{one}{auth}{two}{what}"
        for x, auth, what in (name.split("-") for name in IDENTITY)
        for one, two in product("-_", repeat=2)
    }
    assert without_claims == {"headers": {"customRequestHeaders": dict.fromkeys(variants, "")}}
    assert doorman["forwardAuth"].keys() == {
        "address",
        "trustForwardHeader",
        "authRequestHeaders",
        "authResponseHeaders",
    }
    assert doorman["forwardAuth"]["authResponseHeaders"] == list(IDENTITY)
    assert doorman["forwardAuth"]["trustForwardHeader"] is False
    assert without_password == {"headers": {"customRequestHeaders": {"Authorization": ""}}}
