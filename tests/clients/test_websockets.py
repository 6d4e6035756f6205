"""The surface ``/users/`` of a real Doorman, as the library ``websockets`` speaks to it, over each store."""

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.api.conftest import authorization
from tests.api.small_app import until
from tests.clients.nodejs import HERE, run_node
from tests.databases import ADMIN, ADMIN_TOKEN, Environment
from tests.mongod import free_port
from tests.running import SOURCES, Doorman, clean_environment

JOE = {"username": "joe", "email": "joe@example.com", "password": "a fine long password"}
LOGIN = {"username": "joe", "password": "a fine long password"}
ANONYMOUS = "Valid credentials are needed."
PATIENCE = 20.0
DOCUMENT = HERE.parents[1] / "docs" / "websocket.md"

Serve = Callable[[Environment], Doorman]


class Client:
    """One connection, from an address of its own unless it is given one."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    def receive(self) -> Any:
        return json.loads(self.connection.recv(PATIENCE))

    def say(self, frame: str | bytes) -> Any:
        self.connection.send(frame)
        return self.receive()

    def ask(self, action: object, /, **data: object) -> Any:
        return self.say(json.dumps({"action": action, "data": data}))

    def told(self, action: str, /, **data: object) -> Any:
        """Return the data of an answer that is no error."""
        answer = self.ask(action, **data)
        assert answer.keys() == {"action", "data"}, answer
        return answer["data"]

    def closed_with(self) -> int | None:
        """Return the code of the close frame that comes next."""
        with pytest.raises(ConnectionClosed) as raised:
            self.connection.recv(PATIENCE)
        return raised.value.rcvd.code if raised.value.rcvd else None


Connect = Callable[..., Client]


@pytest.fixture
def join() -> Iterator[Connect]:
    """Open connections that are closed after the test."""
    with ExitStack() as ends:

        def join(doorman: Doorman | int, path: str = "/users/", *, source: str | None = None, **options: Any) -> Client:
            port = doorman if isinstance(doorman, int) else doorman.port
            url = f"ws://127.0.0.1:{port}{path}"
            source_address = (source or next(SOURCES), 0)
            connection = connect(url, source_address=source_address, open_timeout=PATIENCE, **options)
            return Client(ends.enter_context(connection))

        yield join


def header(value: str) -> dict[str, dict[str, str]]:
    return {"additional_headers": {"Authorization": value}}


def refused(join: Connect, *arguments: Any, **options: Any) -> tuple[int, dict[str, Any]]:
    """Return the status and the problem document of a handshake that is refused."""
    with pytest.raises(InvalidStatus) as raised:
        join(*arguments, **options)
    response = raised.value.response
    assert response.headers["Content-Type"] == "application/problem+json"
    return response.status_code, json.loads(response.body or b"{}") | {"retry": response.headers.get("Retry-After")}


def test_every_action(environment: Environment, serve: Serve, join: Connect) -> None:
    """Joe registers, logs in, sees himself and others, and logs out; nobody else sees his address, but admins."""
    doorman = serve(environment)
    joe = join(doorman)
    assert joe.say('{"action": "ping"}') == {"action": "pong"}
    made = joe.told("new", **JOE)
    assert made == {"user_id": made["user_id"], "username": "joe", "email": "joe@example.com"}
    assert joe.ask("me") == {"action": "me", "error": ANONYMOUS}
    token = joe.told("login", **LOGIN)["token"]
    me = joe.told("me")
    assert me == made | {
        "name": None,
        "user_group": "noob",
        "created_at": me["created_at"],
        "updated_at": me["updated_at"],
    }
    root = join(doorman, "/users", **header(authorization(ADMIN)))
    public = {"user_id": made["user_id"], "username": "joe", "created_at": me["created_at"]}
    for named in ({"user_id": made["user_id"]}, {"username": "JOE"}):
        assert joe.told("details", **named) == root.told("details", **named) == public | {"email": "joe@example.com"}
    assert joe.told("details", username="root").keys() == public.keys()
    assert root.told("details", username="root", token=token).keys() == public.keys()
    assert joe.told("logout") == {"success": True}
    assert joe.ask("me") == {"action": "me", "error": ANONYMOUS}
    assert root.told("me")["username"] == "root"
    assert token not in doorman.log


def test_every_error(environment: Environment, serve: Serve, join: Connect) -> None:
    """Each error is told as the contract has it, with the request's id, and none of them ends the connection."""
    doorman = serve(environment)
    joe, other = join(doorman), join(doorman)
    assert joe.say("{}") == {"error": "No action provided."}
    assert joe.say('{"action": null, "id": 0}') == {"error": "Invalid action type.", "id": 0}
    assert joe.say('{"action": 5}') == {"error": "Invalid action type."}
    for frame in (b"{}", "", "{", "[]", "NaN", '{"a": 1, "a": 2}', '"\\ud800"', "[" * 60_000, '{"id": {}}'):
        assert joe.say(frame) == {"error": "Invalid data."}
    for request_id in ("true", "null", "[]", "1e999", "NaN", '"\\udc00"'):
        assert joe.say(f'{{"action": "ping", "id": {request_id}}}') == {"error": "Invalid data."}
    assert joe.say('{"action": "edit", "id": "é"}') == {"action": "edit", "error": "Unknown action.", "id": "é"}
    assert joe.say('{"action": "me", "data": []}') == {"action": "me", "error": "Invalid data."}
    required = ["It is required."]
    broken = {"username": required, "email": required, "password": required}
    assert joe.ask("new") == {"action": "new", "error": "invalid_data", "data": broken}
    wrong = joe.ask("new", username="a b", email="nowhere", password="short")
    assert (wrong["error"], wrong["data"].keys()) == ("invalid_data", broken.keys())
    assert wrong["data"]["password"] == ["It must have at least 8 characters."]
    assert joe.ask("new", **JOE | {"email": 5})["data"] == {"email": ["It must be a string."]}
    joe.told("new", **JOE)
    assert joe.ask("new", **JOE) == {"action": "new", "error": "user_exists"}
    assert other.ask("new", **JOE | {"username": "jo"}) == {"action": "new", "error": "email_exists"}
    for action in ("me", "details", "logout"):
        assert join(doorman).ask(action) == {"action": action, "error": ANONYMOUS}
        assert join(doorman).ask(action, token="x.y.z") == {"action": action, "error": ANONYMOUS}
    for named in ({"username": "joe"}, {"username": "nobody"}):
        assert join(doorman).ask("login", password="wrong", **named) == {"action": "login", "error": ANONYMOUS}
    assert doorman.call("GET").json() == {"users": ["joe", "root"]}


def test_a_token_ends_everywhere(environment: Environment, serve: Serve, join: Connect) -> None:
    """A token is revoked for both processes and both protocols, wherever it was; another's and a dead one are not."""
    one, two = serve(environment), serve(environment)
    here, there, thief = join(one), join(two), join(two, **header(authorization(ADMIN_TOKEN)))
    here.told("new", **JOE)
    token = here.told("login", **LOGIN)["token"]
    bearer = join(one, **header(f"Bearer {token}"))
    assert [client.told("me", token=token)["username"] for client in (here, there, thief)] == ["joe"] * 3
    assert bearer.told("me")["username"] == "joe"
    assert thief.ask("logout", token=token) == {"action": "logout", "error": ANONYMOUS}
    assert here.told("me")["username"] == "joe"
    assert there.told("logout", token=token) == {"success": True}
    for client in (here, bearer):
        assert client.ask("me") == {"action": "me", "error": ANONYMOUS}
        assert client.ask("logout") == {"action": "logout", "error": ANONYMOUS}
    here.told("login", **LOGIN)
    assert two.call("DELETE", "/joe/sessions").json() == {"revoked": 1}
    assert here.ask("me") == {"action": "me", "error": ANONYMOUS}
    by_password = join(two, **header(authorization((JOE["username"], JOE["password"]))))
    here.told("login", **LOGIN)
    assert one.call("PUT", "/joe/update", json={"password": "another long password"}).status_code == 200
    assert [client.ask("me").get("error") for client in (here, by_password)] == [ANONYMOUS, ANONYMOUS]


def test_the_handshakes_credential_counts(environment: Environment, serve: Serve, join: Connect) -> None:
    """Basic, Bearer and Token make the connection's caller; a login on it goes first, and a token before that."""
    doorman = serve(environment)
    first = join(doorman)
    first.told("new", **JOE)
    token = first.told("login", **LOGIN)["token"]
    for credential in (authorization(ADMIN), f"Bearer {ADMIN_TOKEN}"):
        client = join(doorman, **header(credential))
        assert client.told("me")["username"] == "root"
        assert client.ask("logout") == {"action": "logout", "error": ANONYMOUS}  # it has no token to revoke
        assert client.told("me", token=token)["username"] == "joe"
        client.told("login", **LOGIN)
        assert client.told("me")["username"] == "joe"
        client.told("logout")
        assert client.ask("me")["error"] == ANONYMOUS
    for scheme in ("Bearer", "Token"):
        assert join(doorman, **header(f"{scheme} {token}")).told("me")["username"] == "joe"
    assert join(doorman, **header("Basic nonsense")).ask("me")["error"] == ANONYMOUS


def test_answers_come_in_order(sqlite_environment: Environment, serve: Serve, join: Connect) -> None:
    """A client may send on without waiting: each answer comes in its turn and names its request."""
    client = join(serve(sqlite_environment), **header(authorization(ADMIN)))
    actions = ["me", "ping", "details", "login", "nonsense"] * 10
    for number, action in enumerate(actions):
        client.connection.send(json.dumps({"action": action, "id": number}))
    answers = [client.receive() for _ in actions]
    assert [answer["id"] for answer in answers] == list(range(len(actions)))
    assert [answer["action"] for answer in answers] == [action.replace("ping", "pong") for action in actions]


def test_a_flood_is_held_back(sqlite_environment: Environment, serve: Serve, join: Connect) -> None:
    """After a hundred frames a connection is served fifty a second, and loses none; another one need not wait."""
    doorman = serve(sqlite_environment)
    flood, other = join(doorman), join(doorman)
    before = time.monotonic()
    for _ in range(150):
        flood.connection.send('{"action": "ping"}')
    assert other.say('{"action": "ping"}') == {"action": "pong"}
    assert [flood.receive() for _ in range(150)] == [{"action": "pong"}] * 150
    assert time.monotonic() - before >= 0.9


def test_a_frame_has_a_limit(sqlite_environment: Environment, serve: Serve, join: Connect) -> None:
    """64 KiB are read, text or not, and one byte more ends the connection with 1009."""
    doorman = serve(sqlite_environment)
    client = join(doorman)
    padding = 64 * 1024 - len('{"action":"ping","x":""}')
    assert client.say(f'{{"action":"ping","x":"{"y" * padding}"}}') == {"action": "pong"}
    for frame in ("x" * 65_537, "é" * 32_769, b"x" * 65_537):
        client = join(doorman)
        client.connection.send(frame)
        assert client.closed_with() == 1009
    assert join(doorman).say('{"action": "ping"}') == {"action": "pong"}


def test_who_may_not_connect(sqlite_environment: Environment, serve: Serve, join: Connect) -> None:
    """Foreign pages are refused, but not those of the service or of ALLOWED_ORIGINS, nor other clients."""
    doorman = serve(sqlite_environment | {"ALLOWED_ORIGINS": "https://app.example.com"})
    assert refused(join, doorman, origin="https://evil.example.com")[0] == 403
    assert refused(join, doorman, origin="null")[0] == 403
    assert refused(join, doorman, additional_headers={"Sec-Fetch-Site": "cross-site"})[0] == 403
    assert refused(join, doorman, "/users/noob")[0] == 404
    assert refused(join, doorman, "/users%2F")[0] == 404
    for origin in ("https://app.example.com", doorman.url, None):
        assert join(doorman, origin=origin).say('{"action": "ping"}') == {"action": "pong"}


def test_connections_are_counted(sqlite_environment: Environment, serve: Serve, join: Connect) -> None:
    """Past the limits, of an address and in all, the handshake is answered 503; who leaves makes room."""
    doorman = serve(sqlite_environment | {"WEBSOCKETS": "3", "WEBSOCKETS_PER_ADDRESS": "2"})
    here = next(SOURCES)
    first, second = join(doorman, source=here), join(doorman, source=here)
    for client in (first, second):
        assert client.say('{"action": "ping"}') == {"action": "pong"}
    status, problem = refused(join, doorman, source=here)
    assert (status, problem["retry"]) == (503, "1")
    third = join(doorman)
    status, problem = refused(join, doorman)
    assert (status, problem["detail"]) == (503, "Too many WebSockets are open here.")
    assert doorman.call("GET").status_code == 200
    first.connection.close()
    assert third.say('{"action": "ping"}') == {"action": "pong"}
    deadline = time.monotonic() + PATIENCE
    while True:  # the server learns of the close by itself
        try:
            assert join(doorman, source=here).say('{"action": "ping"}') == {"action": "pong"}
            break
        except InvalidStatus:
            assert time.monotonic() < deadline


def test_registration_may_be_closed(sqlite_environment: Environment, serve: Serve, join: Connect) -> None:
    """Then nobody registers, whatever the data; open, an address may as often as the setting says."""
    client = join(serve(sqlite_environment | {"REGISTRATION": "closed"}))
    answer = client.ask("new")
    assert answer == {
        "action": "new",
        "error": "Registration is closed here: admins make the accounts, and give the names.",
    }
    client = join(serve(sqlite_environment | {"REGISTRATIONS_PER_HOUR": "1"}))
    client.told("new", **JOE)
    answer = client.ask("new", username="jane", email="jane@example.com", password="a fine long password")
    assert answer["error"] == "Too many have registered from here; wait before the next one."
    assert 0 < answer["retry_after"] <= 3600


def test_failed_logins_slow_down_their_address(sqlite_environment: Environment, serve: Serve, join: Connect) -> None:
    """The limit is the one of HTTP, of the client's address: a failure on either is counted for both."""
    doorman = serve(sqlite_environment)
    here = next(SOURCES)
    guesser = join(doorman, source=here)
    for guess in range(20):
        answer = guesser.ask("login", username="root", password=f"wrong guess {guess}")
        if "retry_after" in answer:
            break
    assert answer["error"] == "Logins from here have failed; wait before the next one."
    assert answer["retry_after"] >= 1
    assert join(doorman, source=here, **header(authorization(ADMIN))).ask("me")["retry_after"] >= 1
    assert join(doorman, **header(authorization(ADMIN))).told("me")["username"] == "root"


def test_what_tells_of_others_counts_as_a_failure(sqlite_environment: Environment, serve: Serve, join: Connect) -> None:
    """Whoever asks for taken names or addresses again and again has to wait, as who guesses passwords does."""
    doorman = serve(sqlite_environment)
    join(doorman).told("new", **JOE)
    for taken in ({"username": "jo"}, {"email": "jo@example.com"}):
        client = join(doorman)
        answers = [client.ask("new", **JOE | taken) for _ in range(30)]
        assert any("retry_after" in answer for answer in answers)


def test_a_stop_closes_properly(environment: Environment, serve: Serve, join: Connect) -> None:
    """After SIGTERM every client gets 1001, and the service ends in order."""
    doorman = serve(environment)
    busy, idle = join(doorman), join(doorman)
    busy.told("new", **JOE)
    doorman.process.send_signal(signal.SIGTERM)
    assert [client.closed_with() for client in (busy, idle)] == [1001, 1001]
    assert doorman.process.wait(PATIENCE) == 0
    assert "could not be closed" not in doorman.log


def test_it_may_be_left_out(sqlite_environment: Environment, serve: Serve, join: Connect) -> None:
    """Where SURFACES does not name it, a handshake is any request: nothing is there."""
    doorman = serve(sqlite_environment | {"SURFACES": "v2,jwt"})
    assert refused(join, doorman)[0] == 404


def test_nodes_ws_works(sqlite_environment: Environment, serve: Serve) -> None:
    """A client that sends on without waiting gets the answers in their order, and its close is answered in kind."""
    doorman = serve(sqlite_environment)
    done = run_node(HERE / "websocket.mjs", f"ws://127.0.0.1:{doorman.port}/users/")
    answers = done["answers"]
    assert done["code"] == 1000
    assert [answer["id"] for answer in answers] == list(range(6))
    assert [answer["action"] for answer in answers] == ["pong", "new", "login", "me", "logout", "me"]
    assert [answer.get("error") for answer in answers] == [None, None, None, None, None, ANONYMOUS]
    assert answers[3]["data"]["email"] == "joe@example.com"


UVICORN = ("-m", "uvicorn", "app:app", "--no-access-log", "--log-level", "warning")


def test_another_server_serves_it_too(sqlite_environment: Environment, join: Connect) -> None:
    """Under uvicorn the contract is the same, refusals have their status, and its own stop closes with its own code."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, *UVICORN, "--port", str(port)],
        env=clean_environment() | sqlite_environment | {"WEBSOCKETS": "1"},
        cwd=HERE.parents[1],
        stderr=subprocess.DEVNULL,
    )
    try:
        until(lambda: reachable(port), "uvicorn")
        client = join(port, **header(authorization(ADMIN)))
        assert client.told("me")["username"] == "root"
        assert client.say(b"{}") == {"error": "Invalid data."}
        assert refused(join, port)[0] == 503
        assert refused(join, port, origin="https://evil.example.com")[0] == 403
        process.terminate()
        assert client.closed_with() == 1012
        assert process.wait(PATIENCE) in {0, -signal.SIGTERM}
    finally:
        process.kill()
        process.wait()


def reachable(port: int) -> bool:
    with socket.socket() as trial:
        return trial.connect_ex(("127.0.0.1", port)) == 0
