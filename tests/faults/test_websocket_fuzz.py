"""Random frames against a real server: it answers each message, and nothing is left of them."""

import asyncio
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from random import Random, SystemRandom

import pytest

from tests.api.small_app import until
from tests.databases import ADMIN_TOKEN, Environment
from tests.faults.extent import extent
from tests.faults.fuzzed_conversations import Conversation, Ending, conversation
from tests.raw_websocket import CONTINUATION, TEXT, Connection, frame
from tests.running import Doorman
from tests.workers import on_linux, opened, resident_bytes, sockets

pytestmark = on_linux

FRAMES = extent(6_000, 100_000)
WARM_UP = extent(2000, 4000)
AT_ONCE = 24
PATIENCE = 30.0
# What the second half may leave over what the first has left: some is the allocator's.
MORE_BYTES = 6 * 1024 * 1024
PROMPT_SECONDS = 5.0  # other tests run beside it
MORE_FILES = 8  # that a thread may have opened for itself
EMPTY_FRAGMENTS = extent(20_000, 200_000)
HELD_BACK_SECONDS = 5.0
# To have a run again, name its seed.
SEED = int(os.environ.get("FUZZ_SEED") or SystemRandom().randrange(1 << 32))


async def hold(said: Conversation, port: int, random: Random) -> None:
    """Hold a conversation, and check what is answered."""
    credential = random.choices((None, f"Bearer {ADMIN_TOKEN}", "Bearer x.y.z"), weights=(8, 2, 1))[0]
    connection = await Connection.open(port, credential)
    try:
        stream = said.stream if said.is_patient else said.stream + said.last
        send_in_pieces(connection, stream, random)
        if said.is_patient:
            while len(connection.answers) < len(said.messages):
                await connection.receive()
                assert not connection.is_at_end, f"it ended: {connection.closed}"
            connection.writer.write(said.last)
        if said.ending is Ending.RESET:
            connection.reset()
        elif said.ending is Ending.LEAVING:
            await connection.close()
        else:
            while not connection.is_at_end and connection.closed is None:
                await connection.receive()
        check(said, connection)
    finally:
        await connection.close()


def send_in_pieces(connection: Connection, stream: bytes, random: Random) -> None:
    """Send in one piece or in several, which are cut anywhere."""
    cuts = sorted(random.choices(range(len(stream)), k=random.choice((0, 0, 4, 12))))
    for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        connection.writer.write(stream[begin:end])


def check(said: Conversation, connection: Connection) -> None:
    if said.is_patient:
        assert len(connection.answers) == len(said.messages), connection.answers[len(said.messages) :]
    for sent, text in zip(said.messages, connection.answers, strict=False):
        assert sent.is_right(json.loads(text)), f"{sent.payload[:500]!r} was answered {text[:500]!r}"
    assert connection.pongs == said.pings[: len(connection.pongs)]
    if said.is_patient and said.ending is Ending.CLOSE:
        assert len(connection.pongs) == len(said.pings)
    if connection.closed is not None:
        assert connection.closed.code in said.codes, (said.last[:80], connection.closed)


async def fuzz(port: int, numbers: Iterator[int], frames: int) -> tuple[int, int]:
    """Hold conversations, some at once, until so many frames were sent; return how many, and how many messages."""
    sent = messages = 0

    async def talk() -> None:
        nonlocal sent, messages
        while sent < frames:
            number = next(numbers)
            random = Random(f"{SEED} {number}")  # noqa: S311 - it guards nothing
            said = conversation(random)
            sent += said.frames
            messages += len(said.messages)
            try:
                async with asyncio.timeout(PATIENCE):
                    await hold(said, port, random)
            except Exception as error:
                error.add_note(
                    f"in conversation {number} of FUZZ_SEED={SEED}, which ends by {said.ending} with {said.last[:40]!r}"
                )
                raise

    async with asyncio.TaskGroup() as together:
        for _ in range(AT_ONCE):
            together.create_task(talk())
    return sent, messages


async def pinged(port: int) -> float:
    """Return in how many seconds a new connection has its first answer."""
    begun = time.monotonic()
    connection = await Connection.open(port, None)
    connection.writer.write(frame(TEXT, b'{"action":"ping"}'))
    async with asyncio.timeout(PATIENCE):
        while not connection.answers:
            await connection.receive()
    await connection.close()
    return time.monotonic() - begun


class Watched:
    """A server of one worker, and what that held before anybody came."""

    def __init__(self, doorman: Doorman) -> None:
        self.port = doorman.port
        self._doorman = doorman
        (self.worker,) = doorman.workers()
        self._sockets = sockets(self.worker)

    def assert_unharmed(self) -> None:
        """Hold that the worker is the one that was, answers, has no connection open, and has nothing to complain of."""
        assert self._doorman.workers() == [self.worker]
        assert asyncio.run(pinged(self.port)) < PROMPT_SECONDS
        until(lambda: sockets(self.worker) <= self._sockets, "the connections to be closed")
        for word in ("Traceback", "ERROR", "CRITICAL", "failed", "exception", "never retrieved"):
            assert word not in self._doorman.log


@pytest.fixture
def watched(sqlite_environment: Environment, serve: Callable[[Environment], Doorman]) -> Watched:
    """Have it do a little of everything: its threads are there then, and what they import."""
    watched = Watched(serve(sqlite_environment))
    asyncio.run(fuzz(watched.port, count(-1000), WARM_UP))
    watched.assert_unharmed()
    return watched


@pytest.mark.timeout(300)  # ten seconds where nothing else runs, and ten times that where much does
def test_random_frames_leave_nothing_behind(watched: Watched) -> None:
    """Each message of random frames is answered as it should be; the server stays, and its memory and files do."""
    numbers, resident, files = count(), [], []
    for _ in range(2):
        frames, messages = asyncio.run(fuzz(watched.port, numbers, FRAMES // 2))
        assert frames >= FRAMES // 2
        assert messages > frames // 2
        watched.assert_unharmed()
        resident.append(resident_bytes(watched.worker))
        files.append(len(opened(watched.worker)))
    assert resident[1] - resident[0] < MORE_BYTES, f"{resident} (FUZZ_SEED={SEED})"
    assert files[1] - files[0] < MORE_FILES, f"{files} (FUZZ_SEED={SEED})"


async def send_empty_fragments(port: int) -> None:
    """Send a message of many fragments, for as long as the server takes them in."""
    connection = await Connection.open(port, None)
    connection.writer.write(frame(TEXT, b"{", is_last=False))
    with suppress(TimeoutError, ConnectionError):
        async with asyncio.timeout(HELD_BACK_SECONDS):
            for _ in range(EMPTY_FRAGMENTS // 1000):
                connection.writer.write(frame(CONTINUATION, is_last=False) * 1000)
                await connection.writer.drain()
            connection.writer.write(frame(CONTINUATION, b"}"))
            while not (connection.answers or connection.is_at_end):
                await connection.receive()
    connection.reset()
    if connection.answers:
        assert json.loads(connection.answers[0]) == {"error": "No action provided."}


def test_a_message_of_endless_empty_fragments_costs_nothing(watched: Watched) -> None:
    """Endless fragments of no bytes are read, held back or refused, but not kept; others are answered meanwhile."""
    resident = resident_bytes(watched.worker)

    async def send_and_watch() -> None:
        sending = [asyncio.create_task(send_empty_fragments(watched.port)) for _ in range(4)]
        while not all(task.done() for task in sending):
            assert await pinged(watched.port) < PROMPT_SECONDS
            assert resident_bytes(watched.worker) - resident < MORE_BYTES
        await asyncio.gather(*sending)

    asyncio.run(send_and_watch())
    watched.assert_unharmed()
