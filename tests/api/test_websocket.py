"""The life of a WebSocket, by an ASGI server of the test's own, and what each error of the core is answered with."""

import asyncio
import json
import logging
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from api.application import Doorman
from api.bodies import Message, Receive, Send
from api.descriptors import SPARE_DESCRIPTORS, allow_connections
from api.limits import Limits
from api.refusals import REFUSALS
from api.server import AsgiApplication
from api.websocket import WebSockets
from api.websocket_actions import UserConversation
from api.wires import Pace, ServersWire, WebSocketLimits
from models import errors
from models.clients import Client, client_at
from models.secret import Secret
from tests.api.conftest import Api
from tests.api.test_errors import EXAMPLES
from tests.databases import Environment
from tests.recorder import Recorder

HERE = client_at("203.0.113.1")
PATIENCE = 20.0


class Echo:
    """A conversation that says back what it hears."""

    def __init__(self, client: Client = HERE) -> None:
        self.client = client

    def answer(self, frame: str | bytes) -> str:
        return str(frame)

    def busy(self, frame: str | bytes, retry_after: int) -> str:
        return f"busy {frame!r} {retry_after}"


class Echoes:
    """Begins such conversations."""

    def __init__(self, **limits: Any) -> None:
        self.limits = WebSocketLimits(**limits)

    def begin(self, _: dict[str, Any]) -> Echo:
        return Echo()


class Wire:
    """The server's end of one connection: what it delivers, and what it was told to send."""

    def __init__(self, *, stalls: bool = False, extensions: dict[str, Any] | None = None) -> None:
        self.scope = {
            "type": "websocket",
            "scheme": "ws",
            "http_version": "1.1",
            "path": "/users/",
            "raw_path": b"/users/",
            "query_string": b"",
            "headers": [(b"host", b"x")],
            "client": ("203.0.113.1", 4711),
            "extensions": extensions or {},
        }
        self.incoming: asyncio.Queue[Message] = asyncio.Queue()
        self.sent: asyncio.Queue[Message] = asyncio.Queue()
        self._stalls = stalls

    def say(self, frame: str | bytes) -> None:
        kind = "text" if isinstance(frame, str) else "bytes"
        self.incoming.put_nowait({"type": "websocket.receive", kind: frame})

    async def receive(self) -> Message:
        return await self.incoming.get()

    async def send(self, message: Message) -> None:
        if self._stalls and message["type"] == "websocket.send":
            await asyncio.Event().wait()
        self.sent.put_nowait(message)

    async def heard(self) -> Any:
        """Return what is sent next, short: the text, the code, or the type of the message."""
        message = await asyncio.wait_for(self.sent.get(), PATIENCE)
        return message.get("text", message.get("code", message.get("status", message["type"])))


async def at_once(call: Callable[[], str]) -> str:
    return call()


async def serve(sockets: WebSockets, wire: Wire, *, receive: Receive | None = None, send: Send | None = None) -> None:
    """Serve a connection from its handshake to its end."""
    servers = ServersWire(receive or wire.receive, send or wire.send)
    await sockets.serve(await sockets.accept(wire.scope, servers))


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, PATIENCE))


def test_the_pace_is_a_burst_and_then_a_rate() -> None:
    """So many frames go at once, the next ones wait for their turn, and silence earns a burst again, but no more."""
    now = 0.0
    pace = Pace(10, 3, clock=lambda: now)
    assert [round(pace.wait(), 6) for _ in range(5)] == [0, 0, 0, 0.1, 0.2]
    now = 1000.0
    assert [round(pace.wait(), 6) for _ in range(4)] == [0, 0, 0, 0.1]


def test_who_does_not_read_is_dropped() -> None:
    """A client that does not take an answer in time is given up, and nothing more is read of it."""

    async def test() -> None:
        sockets, wire = WebSockets(Echoes(send_seconds=0.01), at_once), Wire(stalls=True)
        wire.say("one")
        wire.say("two")
        await serve(sockets, wire)
        assert await wire.heard() == "websocket.accept"
        assert (wire.incoming.qsize(), wire.sent.qsize()) == (1, 0)

    run(test())


def test_one_frame_is_read_at_a_time() -> None:
    """The next frame is left to the server until the answer to the last one is sent."""

    async def test() -> None:
        begun, release = asyncio.Event(), asyncio.Event()

        async def slowly(call: Callable[[], str]) -> str:
            begun.set()
            await release.wait()
            return call()

        sockets, wire = WebSockets(Echoes(), slowly), Wire()
        for frame in "abc":
            wire.say(frame)
        serving = asyncio.ensure_future(serve(sockets, wire))
        assert await wire.heard() == "websocket.accept"
        await begun.wait()
        assert (wire.incoming.qsize(), wire.sent.qsize()) == (2, 0)
        release.set()
        assert [await wire.heard() for _ in range(3)] == ["a", "b", "c"]
        await sockets.close()
        await serving

    run(test())


def test_a_stop_waits_for_answers() -> None:
    """What is being answered is answered before the close with 1001; an idle one closes at once, a new one gets 503."""

    async def test() -> None:
        begun, release = asyncio.Event(), asyncio.Event()

        async def slowly(call: Callable[[], str]) -> str:
            begun.set()
            await release.wait()
            return call()

        sockets, busy, idle = WebSockets(Echoes(), slowly), Wire(), Wire()
        serving = [asyncio.ensure_future(serve(sockets, w)) for w in (busy, idle)]
        busy.say("last words")
        await begun.wait()
        closing = asyncio.ensure_future(sockets.close())
        assert [await idle.heard(), await idle.heard()] == ["websocket.accept", 1001]
        assert not closing.done()
        release.set()
        await closing
        await asyncio.gather(*serving)
        assert [await busy.heard() for _ in range(3)] == ["websocket.accept", "last words", 1001]
        await sockets.close()

    run(test())


def test_a_client_that_goes_is_forgotten() -> None:
    """A disconnection ends the connection, whatever the server raises when something is sent after it."""

    async def test() -> None:
        sockets, wire = WebSockets(Echoes(in_all=1), at_once), Wire()

        async def send(message: Message) -> None:
            if message["type"] != "websocket.accept":
                raise RuntimeError("Unexpected ASGI message")

        async def fail() -> Message:
            raise RuntimeError("Transport not initialized or closed")

        async def fail_to_send(_: Message) -> None:
            raise RuntimeError("Connection already upgraded")

        await serve(sockets, wire, receive=fail, send=send)
        with pytest.raises(RuntimeError):
            await serve(sockets, wire, send=fail_to_send)
        for frames in ([], ["one"]):
            for frame in frames:
                wire.say(frame)
            wire.incoming.put_nowait({"type": "websocket.disconnect", "code": 1006})
            await serve(sockets, wire, send=send)

    run(test())


def serve_one(api: Api, wire: Wire, *frames: str, limits: Limits | None = None) -> list[Any]:
    """Serve one connection by the application; return what was sent."""

    async def test() -> list[Any]:
        application = AsgiApplication(lambda: api.app, limits=limits)
        wire.incoming.put_nowait({"type": "websocket.connect"})
        for frame in frames:
            wire.say(frame)
        serving = asyncio.ensure_future(application(wire.scope, wire.receive, wire.send))
        heard = [await wire.heard() for _ in range(1 + len(frames))]
        await application.stop_websockets()
        await serving
        return heard

    return asyncio.run(asyncio.wait_for(test(), PATIENCE))


def test_websockets_leave_descriptors_to_others(
    sqlite_environment: Environment,
    make_api: Callable[[Environment], Api],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Where the system allows fewer than the setting needs, the database and HTTP come first; the log tells it."""
    monkeypatch.setattr("resource.getrlimit", lambda _: (700, 700))
    conversations = make_api(sqlite_environment).app.conversations
    assert conversations is not None
    assert conversations.limits.in_all == 700 - 2 * SPARE_DESCRIPTORS
    assert allow_connections(4096) == SPARE_DESCRIPTORS
    assert "A process may open 700 files, so it holds 188 WebSockets, not 4096." in caplog.text


@pytest.mark.parametrize(("method", "queue"), [("answer", 1), ("busy", 0)])
def test_no_frame_is_read_on_the_event_loop(
    sqlite_api: Api, monkeypatch: pytest.MonkeyPatch, method: str, queue: int
) -> None:
    """Neither to be carried out nor to be refused, so that no frame holds the others up."""
    threads = []

    def answer(*_: object, **__: object) -> str:
        threads.append(threading.current_thread())
        return ""

    monkeypatch.setattr(UserConversation, method, answer)
    serve_one(sqlite_api, Wire(), '{"action": "ping"}', limits=Limits(queue_length=queue))
    assert threads
    assert threading.current_thread() not in threads


def test_when_no_thread_is_free(sqlite_api: Api) -> None:
    """The answer says when to come again, names the request, and the connection goes on."""
    frames = ['{"action": "ping", "id": 1}', "nonsense"]
    heard = serve_one(sqlite_api, Wire(), *frames, limits=Limits(queue_length=0))
    assert json.loads(heard[1]) == {
        "action": "ping",
        "error": "The service cannot answer now; try again.",
        "retry_after": 1,
        "id": 1,
    }
    assert json.loads(heard[2]) == {"error": "Invalid data."}


@pytest.mark.parametrize(
    ("extensions", "told"), [({"websocket.http.response": {}}, 404), ({}, 1008)], ids=["status", "no-status"]
)
def test_how_a_handshake_is_refused(sqlite_api: Api, extensions: dict[str, Any], told: int) -> None:
    """With its status where the server can tell one; else by a close, of which servers make a 403."""
    wire = Wire(extensions=extensions)
    wire.scope |= {"path": "/elsewhere", "raw_path": b"/elsewhere"}
    assert serve_one(sqlite_api, wire) == [told]


def test_a_handshake_has_a_limit(sqlite_api: Api) -> None:
    """Path, query and headers are bounded as those of any request."""
    wire = Wire(extensions={"websocket.http.response": {}})
    wire.scope["query_string"] = b"x" * 65_536
    assert serve_one(sqlite_api, wire) == [431]


OWN: dict[type[Exception], dict[str, Any]] = {
    errors.UserExistsError: {"error": "user_exists"},
    errors.EmailInUseError: {"error": "email_exists"},
    errors.InvalidParametersError: {"error": "invalid_data", "data": {"name": ["A rule."]}},
}
CRASH = {"error": "Something went wrong here; it was logged."}


@pytest.mark.parametrize(
    "error", [*(error for error, _, _ in EXAMPLES), errors.EmailInUseError(), RuntimeError("canary-crash")], ids=repr
)
def test_each_error_has_an_answer(sqlite_api: Api, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Whatever the core raises has the contract's answer or the sentence of the table, and leaks nothing."""

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(sqlite_api.core.authenticator, "password", fail)
    told = REFUSALS.get(type(error)) if isinstance(error, errors.DoormanError) else None
    expected = OWN.get(type(error), CRASH)
    if type(error) not in OWN and told is not None:
        refusal = told(error)
        expected = {"error": refusal.detail} | ({"retry_after": 7} if refusal.status in {429, 503} else {})
    frame = '{"action": "login", "data": {"username": "joe", "password": "supersecure"}, "id": "x"}'
    answer = conversation(sqlite_api.app).answer(frame)
    assert json.loads(answer) == {"action": "login", "id": "x"} | expected
    assert "canary" not in answer


def test_a_crash_is_logged_without_the_data(
    sqlite_api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The log names the action and the trace, and no credential of the frame."""

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(sqlite_api.core.authenticator, "password", fail)
    with caplog.at_level(logging.ERROR):
        conversation(sqlite_api.app).answer('{"action": "login", "data": {"username": "joe", "password": "canary"}}')
    assert "The action login failed" in caplog.text
    assert "canary" not in caplog.text


def conversation(app: Doorman) -> UserConversation:
    return UserConversation(app.core, HERE, Secret(""), "")


def test_messages_are_counted_by_action_and_outcome(sqlite_api: Api) -> None:
    """Each once, under the action's name if there is one, with the reason that a refusal has in the metrics."""
    meter = Recorder()
    talk = UserConversation(sqlite_api.app.core, HERE, Secret(""), "", meter=meter)
    for frame in ('{"action": "ping"}', '{"action": "me"}', '{"action": "canary"}', '{"action": 1}', "{}", b"", "x"):
        talk.answer(frame)
    talk.answer('{"action": "login", "data": {"username": "canary"}}')
    talk.answer('{"action": "login", "data": 1}')
    talk.answer('{"action": "login", "data": {"username": "nobody", "password": "canary"}}')
    talk.busy('{"action": "ping"}', 1)
    counted = {name[1:]: count for name, count in meter.counts.items() if name[0] == "doorman_websocket_messages_total"}
    assert counted == {
        ("ping", "done"): 1,
        ("ping", "unavailable"): 1,
        ("me", "not_authenticated"): 1,
        ("other", "invalid_frame"): 5,
        ("login", "invalid_parameters"): 1,
        ("login", "invalid_frame"): 1,
        ("login", "not_authenticated"): 1,
    }
    refused = {name[1]: count for name, count in meter.counts.items() if name[0] == "doorman_refusals_total"}
    assert refused == {"unavailable": 1, "not_authenticated": 2, "invalid_frame": 6, "invalid_parameters": 1}
