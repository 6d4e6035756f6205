"""Random requests against a real server: each is answered or refused at once, and nothing is left of them."""

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from random import Random, SystemRandom

import pytest

from api.settings import Settings
from app import create_core
from postman.document import full_document
from tests.api.small_app import until
from tests.databases import ADMIN, Environment, rows
from tests.faults.extent import extent
from tests.faults.fuzzed_http import Input, Inputs
from tests.faults.openapi_callers import GROUPS, KEPT, KeptUser
from tests.raw_http import Exchange, exchange
from tests.running import Doorman
from tests.workers import connections, on_linux, opened, resident_bytes

pytestmark = on_linux

INPUTS = extent(800, 100_000)
WARM_UP = extent(200, 40_000)  # until caches that are bounded are as large as they become
# What the second half may leave over what the first has left: some is the allocator's.
MORE_BYTES = 6 * 1024 * 1024
MORE_FILES = 8  # that a thread may have opened for itself
AT_ONCE = 12
PROMPT_SECONDS = extent(5.0, 2.0)  # in short, other tests run beside it
PATIENCE = 30.0
LOG_BYTES = 20_000
# To have a run again, name its seed.
SEED = int(os.environ.get("FUZZ_SEED") or SystemRandom().randrange(1 << 32))

OPERATIONS = [(method.upper(), path) for path, methods in full_document()["paths"].items() for method in methods]


class Fuzzed:
    """A server of one worker, and what it has answered."""

    def __init__(self, doorman: Doorman) -> None:
        self._doorman = doorman
        (self.worker,) = doorman.workers()
        assert doorman.answers("/.well-known/jwks.json") == 200  # makes the key, in whose place none would come else
        self._number = 0
        self.statuses: Counter[int] = Counter()
        self.slowest = 0.0

    def send(self, inputs: Inputs, number: int) -> None:
        """Send so many random inputs."""
        asyncio.run(self._send(inputs.one(self._random()) for _ in range(number)))

    def send_all(self, inputs: Inputs) -> None:
        """Send the whole corpus."""
        asyncio.run(self._send(inputs.all(self._random())))

    def _random(self) -> Random:
        self._number += 1
        return Random(f"{SEED} {self._number}")  # noqa: S311 - it guards nothing

    async def _send(self, inputs: Iterator[Input]) -> None:
        async def talk() -> None:
            for one in inputs:
                n = self._number
                try:
                    self._check(one, await exchange(self._doorman.port, one.data, one.is_whole, patience=PATIENCE))
                except Exception as error:
                    error.add_note(f"input {n} of FUZZ_SEED={SEED}: {one.data[:300]!r}, {len(one.data)} bytes")
                    raise

        async with asyncio.TaskGroup() as together:
            for _ in range(AT_ONCE):
                together.create_task(talk())

    def _check(self, sent: Input, came: Exchange) -> None:
        """Hold that a whole request is answered, nothing twice, everything soon, and no server error is among it."""
        self.statuses.update(came.statuses)
        self.slowest = max(self.slowest, came.seconds)
        assert came.seconds < PROMPT_SECONDS
        assert len(came.statuses) <= sent.asks_for, came.answered
        if sent.is_whole and not came.was_reset:
            assert came.statuses, came.answered
        for status in came.statuses:
            assert status < 500 or is_promised(status, came), came.answered

    def assert_unharmed(self) -> None:
        """Hold that the worker is the one that was, is ready, holds no connection, and has little to tell."""
        assert self._doorman.workers() == [self.worker]
        assert self._doorman.answers("/healthz/ready") == 200
        until(lambda: connections(self._doorman.port) == 0, "the connections to be closed")
        for word in ("Traceback", '"error"', '"critical"', "panicked", "never retrieved"):
            assert word not in self._doorman.log
        assert len(self._doorman.log) < LOG_BYTES


def is_promised(status: int, came: Exchange) -> bool:
    """Tell whether an answer past 500 is one that Doorman means: it is busy, or it knows no such method (RFC 9110)."""
    return (status == 503 and b"\r\nretry-after: " in came.answered.lower()) or (
        status == 501 and b"Methods are written in capital letters." in came.answered
    )


@pytest.fixture
def doorman(environment: Environment, serve: Callable[[Environment], Doorman]) -> Doorman:
    """Serve over each store; registering often is no matter here."""
    return serve(environment | {"REGISTRATIONS_PER_HOUR": "100000"})


@pytest.fixture
def known(doorman: Doorman, environment: Environment) -> Iterator[list[KeptUser]]:
    """Users of the same store, one of each group."""
    core = create_core(Settings.from_env(environment), with_first_admin=False)
    yield [KeptUser(core, group) for group in GROUPS]
    core.close()


def presented(user: KeptUser) -> Iterator[bytes]:
    """Yield header lines that open a user, each in another way."""
    for scheme in ("basic", "basic", "bearer", "token", "token", "apiKey", "userKeyHeader", "sessionCookie"):
        where, name, value = user.presented((scheme,))
        yield (f"Cookie: {name}={value}" if where == "cookies" else f"{name}: {value}").encode()


def told(row: dict[str, object]) -> str:
    """Tell a row, but not when its session was last used, and so ends: that is written some time after it was."""
    return str({name: value for name, value in row.items() if name not in {"used_at", "expires_at"}})


def owner(row: dict[str, object]) -> str:
    """Return the id of the user that a row is, or belongs to."""
    return str(row.get("user_id") or row.get("_id") or row.get("id"))


def assert_only_registered(before: Sequence[dict[str, object]], after: Sequence[dict[str, object]]) -> None:
    """Hold that all that was stored still is as it was, and what came beside it is of noobs who have registered.

    Some of these have passwords of the corpus: who has, may log in, and out.
    """
    open_to_all = {owner(row) for row in after if "password_hash" in row and not is_kept(row)}
    known, left = ({told(row): row for row in some} for some in (before, after))
    lost = [row for text, row in known.items() if text not in left]
    new = [row for text, row in left.items() if text not in known]
    assert not [row for row in lost if "password_hash" in row or owner(row) not in open_to_all]
    assert not [row for row in new if owner(row) not in open_to_all]
    assert all((row["user_group"], row["oauth"]) == ("noob", 0) for row in new if "password_hash" in row)


def is_kept(user: dict[str, object]) -> bool:
    """Tell whether nobody who does not know them already can know what opens a user."""
    return user["user_name"] == ADMIN[0] or str(user["user_name"]).startswith(KEPT)


@pytest.mark.timeout(extent(300, 3600))
def test_random_requests_leave_nothing_behind(
    doorman: Doorman,
    environment: Environment,
    known: list[KeptUser],
    record_property: Callable[[str, object], None],
) -> None:
    """Whatever is sent is answered in 2 s without a server error; memory, files and, of nobody, the store stay."""
    fuzzed, resident, files = Fuzzed(doorman), [], []
    anybody = Inputs(OPERATIONS)
    *_, admin = known
    fuzzed.send_all(Inputs(OPERATIONS, list(presented(admin))))
    half = (INPUTS - WARM_UP) // 2
    for inputs in (WARM_UP, half, half):
        before = rows(environment)
        if inputs == WARM_UP:
            fuzzed.send_all(anybody)
        fuzzed.send(anybody, inputs * 7 // 10)
        assert_only_registered(before, rows(environment))
        for user in known:
            fuzzed.send(Inputs(OPERATIONS, list(presented(user))), inputs // 10)
        fuzzed.assert_unharmed()
        resident.append(resident_bytes(fuzzed.worker))
        files.append(len(opened(fuzzed.worker)))
    assert resident[2] - resident[1] < MORE_BYTES, f"{resident} (FUZZ_SEED={SEED})"
    assert files[2] - files[1] < MORE_FILES, f"{files} (FUZZ_SEED={SEED})"
    record_property("inputs", INPUTS)
    record_property("slowest answer", f"{fuzzed.slowest:.2f} s")
    record_property("answers by status", dict(sorted(fuzzed.statuses.items())))
    record_property("memory after each half", " and ".join(f"{size // 1_000_000} MB" for size in resident[1:]))
    record_property("seed", SEED)
