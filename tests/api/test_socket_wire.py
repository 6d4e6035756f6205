"""WebSockets on connections that a server has let go: what their frames are answered with, and what ends them."""

import asyncio
import logging
import socket
from contextlib import suppress
from typing import Any

import pytest
from websockets.frames import Frame, Opcode

from api import handshakes, socket_wire
from api.connections import ConnectionTaker
from api.socket_wire import SocketWire
from tests.api.letting_go import Server, Socket, run, serving, text


@pytest.fixture(autouse=True)
def _short_closes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give clients less time to close in: those of these tests mostly do not."""
    monkeypatch.setattr(socket_wire, "CLOSE_SECONDS", 0.1)


def test_messages_are_answered_in_order() -> None:
    """Whole or in fragments, with pings between them, text or binary: one answer each, and each ping its pong."""

    async def test() -> None:
        async with serving() as (_, connect):
            client = await connect()
            await client.say(
                text(b"one"),
                Frame(Opcode.TEXT, b"t", fin=False),
                Frame(Opcode.PING, b""),
                Frame(Opcode.CONT, b"", fin=False),
                Frame(Opcode.CONT, b"wo"),
                Frame(Opcode.BINARY, b"three"),
                text("vier é".encode()),
            )
            assert [await client.heard() for _ in range(5)] == ["pong", "one", "two", "b'three'", "vier é"]
            for byte in text(b"in single bytes").serialize(mask=True):
                await client.write(bytes((byte,)))
            assert await client.heard() == "in single bytes"

    run(test)


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (text(b"\xff").serialize(mask=True), 1007),
        (text(b"x" * 131).serialize(mask=True), 1009),
        (b"\x01\xbc" + bytes(64) + Frame(Opcode.CONT, b"x" * 80).serialize(mask=True), 1009),
        (b"\x81\xff" + b"\x7f" * 8 + b"mask", 1009),
        (text().serialize(mask=False), 1002),
        (Frame(Opcode.CONT, b"x").serialize(mask=True), 1002),
        (b"\xc1\x80mask", 1002),
        (b"\x83\x80mask", 1002),
        (b"\x89\xfe\x00\x80mask", 1002),
        (Frame(Opcode.CLOSE, b"\x03\xe8bye").serialize(mask=True), 1000),
    ],
    ids=[
        "not UTF-8", "too large", "too large in fragments", "endless", "unmasked", "goes on with nothing",
        "reserved bit", "reserved opcode", "long ping", "close",
    ],
)  # fmt: skip
def test_what_ends_a_connection(sent: bytes, code: int) -> None:
    """The close frame says why, even to a client that sends on; nothing after it is answered; its place is free."""

    async def test() -> None:
        async with serving(frame_bytes=130) as (server, connect):
            client = await connect()
            await client.say(text(b"before"))
            assert await client.heard() == "before"
            await client.write(sent + text().serialize(mask=True) * 2000)
            assert [await client.heard(), await client.heard()] == [code, None]
            client.connection.close()
            await server.is_empty()

    run(test)


def test_a_silent_client_is_pinged(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that answers stays, however long it is silent; one that does not is dropped."""
    monkeypatch.setattr(socket_wire, "PING_SECONDS", 0.02)

    async def test() -> None:
        async with serving() as (_, connect):
            alive, dead = await connect(), await connect()
            for _ in range(3):
                assert await alive.heard() == "ping"
                await alive.say(Frame(Opcode.PONG, b""))
            await alive.say(text())
            while (heard := await alive.heard()) == "ping":
                await alive.say(Frame(Opcode.PONG, b""))
            assert heard == "hello"
            assert [await dead.heard(), await dead.heard()] == ["ping", None]

    run(test)


@pytest.mark.parametrize(
    ("begun", "more"),
    [
        (Frame(Opcode.TEXT, b"x", fin=False).serialize(mask=True), Frame(Opcode.PONG, b"").serialize(mask=True)),
        (text(b"x" * 1000).serialize(mask=True)[:10], b"x"),
    ],
    ids=["message", "frame"],
)
def test_what_never_ends_is_dropped(monkeypatch: pytest.MonkeyPatch, begun: bytes, more: bytes) -> None:
    """A client that keeps a message or a frame unfinished is as good as dead, whatever it sends meanwhile."""
    monkeypatch.setattr(socket_wire, "PING_SECONDS", 0.02)

    async def test() -> None:
        async with serving() as (_, connect):
            client = await connect()
            await client.write(begun)
            with suppress(ConnectionError):
                while await client.heard() == "ping":
                    await client.write(more)

    run(test)


def test_frames_that_are_no_messages_have_their_pace() -> None:
    """After the burst, pings and fragments wait for their turn, and messages behind them; other connections do not."""

    async def test() -> None:
        async with serving(per_second=0.001, burst=3) as (_, connect):
            flood, other = await connect(), await connect()
            await flood.say(*[Frame(Opcode.PING, b"")] * 10_000, text())
            await other.say(Frame(Opcode.TEXT, b"", fin=False), Frame(Opcode.CONT, b"there"))
            assert await other.heard() == "there"
            # What was read in one go is answered: a kilobyte of frames of six bytes.
            pongs = 0
            with suppress(TimeoutError):
                while True:
                    await asyncio.wait_for(flood.heard(), 0.2)
                    pongs += 1
            assert pongs <= 2 * 1024 // 6

    run(test)


def test_who_does_not_read_is_not_read() -> None:
    """A client that leaves its answers unread is held back, and dropped when it is too slow; others are served."""

    async def test() -> None:
        async with serving(send_seconds=0.2, per_second=1e9, burst=1_000_000) as (server, connect):
            slow, other = await connect(), await connect()
            sent = 0
            frame = text(b"x" * 60_000).serialize(mask=True)
            with suppress(ConnectionError):
                while sent < 500:  # 30 MB, more than the buffers between the two hold
                    await slow.write(frame)
                    sent += 1
            assert sent < 500
            await other.say(text())
            assert await other.heard() == "hello"
            other.connection.close()
            slow.connection.close()
            await server.is_empty()

    run(test)


def test_who_does_not_read_pongs_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for them to be sent; but what is not sent costs memory, and the client cannot be heard."""
    monkeypatch.setattr(socket_wire, "PING_SECONDS", 0.05)

    async def test() -> None:
        async with serving(per_second=1e9, burst=1_000_000) as (_, connect):
            client = await connect()
            with suppress(ConnectionError):
                while True:
                    await client.say(*[Frame(Opcode.PING, b"x" * 125)] * 100)

    run(test)


def test_a_message_behind_unread_pongs_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes on when the pongs before it are taken, though nothing more comes."""
    wires = []

    def remembered(*arguments: Any) -> SocketWire:
        wires.append(SocketWire(*arguments))
        return wires[-1]

    async def test() -> None:
        async with serving() as (_, connect):
            client = await connect()
            await client.say(text(b"before"))
            assert await client.heard() == "before"
            (wire,) = wires
            wire.pause_writing()  # what the event loop calls when too much is unsent
            frame = text().serialize(mask=True)
            wire.get_buffer(-1)[: len(frame)] = frame
            wire.buffer_updated(len(frame))
            wire.resume_writing()
            assert await client.heard() == "hello"

    monkeypatch.setattr(socket_wire, "SocketWire", remembered)
    run(test)


def test_a_stop_does_not_wait_for_a_dead_client() -> None:
    """Everybody gets 1001; who does not close then is dropped after its time."""

    async def test() -> None:
        async with serving() as (server, connect):
            clients = [await connect() for _ in range(3)]
            await server.application.stop_websockets()
            for client in clients:
                assert [await client.heard(), await client.heard()] == [1001, None]

    run(test)


@pytest.mark.parametrize(
    ("name", "value", "detail"),
    [
        ("Sec-WebSocket-Key", "short", "Sec-WebSocket-Key"),
        ("Sec-WebSocket-Version", "8", "Sec-WebSocket-Version"),
        ("Content-Length", "5", "no body"),
        ("Transfer-Encoding", "chunked", "no body"),
    ],
)
def test_what_is_no_handshake(name: str, value: str, detail: str) -> None:
    """It is answered 400, with the version that is spoken here."""

    async def test() -> None:
        async with serving() as (server, _):
            assert b"HTTP/1.1 400 " in (answer := await ask(server, **{name: value})), answer
            assert detail.encode() in answer

    run(test)


@pytest.mark.parametrize(("name", "value"), [("Upgrade", "h2c"), ("Connection", "keep-alive")])
def test_what_asks_for_no_websocket(name: str, value: str) -> None:
    """It is a request as any other."""

    async def test() -> None:
        async with serving() as (server, _):
            assert (await ask(server, **{name: value})).endswith(b"plain")

    run(test)


async def ask(server: Server, **changed: str) -> bytes:
    """Send a handshake with other headers than it has to have; return the answer."""
    headers = {
        "Host": "x",
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in (headers | changed).items())
    answering = asyncio.create_task(server.serve_one())
    reader, writer = await asyncio.open_connection(*server.address)
    writer.write(f"GET /users/ HTTP/1.1\r\n{head}\r\n".encode())
    answer = await reader.read()
    writer.close()
    await answering
    return answer


def test_a_connection_that_cannot_be_taken_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    """Where the client has left meanwhile, nobody else's connection is taken for its own, and nothing is logged."""

    async def test() -> None:
        async with serving() as (server, connect):
            client = await connect()
            server.is_gone = True
            with pytest.raises(OSError, match="descriptor"):
                await ask(server)
            await client.say(text())
            assert await client.heard() == "hello"

    run(test)
    assert not caplog.records


def test_who_has_left_gets_no_other_connection() -> None:
    """Its handshake is over, though there is a connection from its address and port: that is another request's."""

    async def test() -> None:
        async with serving() as (server, _):
            server.is_left.set()
            assert b"HTTP/1.1 503 " in await ask(server)
            await server.is_empty()

    run(test)


def test_no_connection_is_taken_twice() -> None:
    """Not before it is given back: the frames of one client would be answered as those of another."""

    async def test() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening, socket.create_connection(listening.getsockname()):
            accepted, peer = listening.accept()
            taker, scope = ConnectionTaker(), {"client": peer}
            with accepted:
                taken = await taker.take(scope)
                assert taken is not None
                assert await taker.take(scope) is None
                taker.give_back(taken)
                again = await taker.take(scope)
                assert again is not None
                taker.give_back(again)

    run(test)


def test_a_connection_that_the_loop_does_not_take_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its client is told at once by its end, nothing is held for it, and the next one is taken."""

    async def fail(*_: object) -> None:
        raise OSError("not taken")

    async def test() -> None:
        async with serving() as (server, connect):
            loop = asyncio.get_running_loop()
            answering = asyncio.create_task(server.serve_one())
            client = Socket(socket.create_connection(server.address))
            client.connection.setblocking(False)  # noqa: FBT003 - its only parameter
            with monkeypatch.context() as patch:
                patch.setattr(loop, "connect_accepted_socket", fail)
                assert (await client.shake_hands()).status_code == 101
                [ended] = await asyncio.gather(answering, return_exceptions=True)
            assert await client.heard() is None
            client.connection.close()
            await server.is_empty()
            assert ended is None or str(ended) == "not taken"
            await (another := await connect()).say(text())
            assert await another.heard() == "hello"

    run(test)


@pytest.mark.parametrize("failing", ["os.dup", "asyncio.to_thread"])
def test_a_handshake_that_cannot_be_looked_up_is_refused(monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    """Where there is no descriptor or no thread for it, it is answered, and those that come after it are taken."""

    async def test() -> None:
        def fail(*_: object) -> None:
            raise OSError

        async with serving() as (server, connect):
            await connect()
            with monkeypatch.context() as patch:
                patch.setattr(f"api.connections.{failing}", fail)
                assert b"HTTP/1.1 503 " in await ask(server)
            await (client := await connect()).say(text())
            assert await client.heard() == "hello"

    run(test)


def test_a_connection_that_is_not_let_go_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Two that read from one connection would get half of the frames each."""
    monkeypatch.setattr(handshakes, "_RELEASE_SECONDS", 0.1)

    async def test() -> None:
        async with serving() as (server, _):
            server.lets_go = False
            answering = asyncio.create_task(server.serve_one())
            connection = socket.create_connection(server.address)
            connection.setblocking(False)  # noqa: FBT003 - its only parameter
            assert (await Socket(connection).shake_hands()).status_code == 101
            await answering
            connection.close()

    run(test)
    assert [record.message.partition(" at ")[0] for record in caplog.records] == [
        "a handshake failed: GET /users/: TimeoutError"
    ]


def test_frames_are_never_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Not even at debug level: they carry passwords."""
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.INFO, "api.access_log")

    async def test() -> None:
        async with serving() as (_, connect):
            client = await connect()
            await client.say(text(b"my secret"), Frame(Opcode.PING, b"my secret"))
            assert {await client.heard(), await client.heard()} == {"my secret", "pong"}

    run(test)
    logged = [record.getMessage() for record in caplog.records if record.name != "websockets.client"]
    assert any("GET /users/ 101" in line for line in logged)
    assert not any("secret" in line for line in logged)
