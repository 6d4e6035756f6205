"""No credential outlives its revocation, on any worker: two servers of two workers each over one store, under load."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import chain
from operator import call
from threading import Event

import pytest

from tests.databases import ADMIN_TOKEN, Environment
from tests.faults.extent import extent
from tests.running import Doorman
from tests.workers import Credential, Line, lines_to_workers, on_linux

pytestmark = [pytest.mark.alone, on_linux]

USERS = "/api/v2/users"
OLD, NEW = "the old password", "the new password"
CHANGES = extent(30, 200)
# A line is an address, and of one address twenty failures are free.
CHANGES_A_LINE = 10
READERS = 2  # for each server
PAUSE = 0.005  # seconds between the requests of one, which leaves some of the machine to the changes

Change = Callable[[Line, str], None]


def change(line: Line, method: str, path: str, **fields: object) -> None:
    """Have the admin change something, and return when that is acknowledged."""
    status, answer = line.ask(method, USERS + path, ADMIN_TOKEN, json.dumps(fields) if fields else None)
    assert status == 200, answer


def token_of(name: str) -> str:
    return f"the-old-token-of-{name}"


# What is changed, and a credential that it ends.
KINDS: list[tuple[Callable[[str], Credential], Change]] = [
    (lambda name: (name, OLD), lambda line, name: change(line, "PUT", f"/{name}/update", password=NEW)),
    (token_of, lambda line, name: change(line, "POST", f"/{name}/refresh")),
    (lambda name: (name, OLD), lambda line, name: change(line, "DELETE", f"/{name}")),
    (lambda name: (name, token_of(name)), lambda line, name: change(line, "POST", f"/{name}/refresh")),
    (token_of, lambda line, name: change(line, "DELETE", f"/{name}")),
]


@contextmanager
def reading(doormen: list[Doorman]) -> Iterator[Counter[int]]:
    """Read all the while, with credentials that are remembered and stay right; count the answers."""
    stop, answers = Event(), Counter[int]()

    def read(doorman: Doorman, name: str) -> list[int]:
        line, statuses = Line(doorman.port), list[int]()
        while not stop.wait(PAUSE):
            statuses.append(line.get(name, (name, OLD)))
        line.close()
        return statuses

    with ThreadPoolExecutor(READERS * len(doormen)) as pool:
        names = [f"reader{number}" for number in range(READERS)]
        begun = [pool.submit(read, doorman, name) for doorman in doormen for name in names]
        try:
            yield answers
        finally:
            stop.set()
        answers.update(chain.from_iterable(reader.result() for reader in begun))


@pytest.mark.timeout(300)  # ten seconds where nothing else runs, and ten times that where much does
def test_no_worker_accepts_what_was_revoked(environment: Environment, serve: Callable[[Environment], Doorman]) -> None:
    """No change leaves the old credential working on one of four workers that all remember it: 401 each."""
    doormen = [serve(environment | {"WORKERS": "2"}) for _ in range(2)]
    admins = [Line(doorman.port) for doorman in doormen]
    for number in range(READERS):
        change(admins[0], "POST", f"/reader{number}", password=OLD)
    before, after = Counter[int](), Counter[int]()
    lines: list[Line] = []
    with reading(doormen) as beside, ThreadPoolExecutor(4) as workers:
        for number in range(CHANGES):
            if number % CHANGES_A_LINE == 0:
                for line in lines:
                    line.close()
                lines = [line for doorman in doormen for line in lines_to_workers(doorman).values()]
            name, (old, revoke) = f"user{number}", KINDS[number % len(KINDS)]
            change(admins[0], "POST", f"/{name}", password=OLD, token=token_of(name))
            asked = [partial(line.get, name, old(name)) for line in lines]
            before.update(workers.map(call, asked))
            revoke(admins[number % 2], name)
            after.update(workers.map(call, asked))
    assert before == {200: 4 * CHANGES}
    assert after == {401: 4 * CHANGES}
    assert beside.keys() == {200}
    assert beside[200] > CHANGES
    for line in (*lines, *admins):
        line.close()
    assert [doorman.stop() for doorman in doormen] == [0, 0]


def begin_session(line: Line, name: str) -> str:
    """Log in for a user key."""
    status, answer = line.ask("POST", "/user-auth/login", body=json.dumps({"username": name, "password": OLD}))
    assert status == 200, answer
    key: str = json.loads(answer)["token"]
    return key


def use_session(line: Line, key: str) -> int:
    """Return 400 if the key opens its user, since nothing is asked for then, and 401 if it does not."""
    return line.ask("POST", f"/user-auth/update?user_key={key}", body="{}")[0]


def revoke_by_key(line: Line, name: str, key: str) -> None:
    """Have the user change its password by its own key."""
    del name
    status, answer = line.ask("POST", f"/user-auth/update?user_key={key}", body=json.dumps({"password": NEW}))
    assert status == 200, answer


# What ends a session: its user's new password, given by an admin or by the session, its revocation, or a deletion.
ENDS: list[Callable[[Line, str, str], None]] = [
    lambda line, name, _: change(line, "PUT", f"/{name}/update", password=NEW),
    revoke_by_key,
    lambda line, name, _: change(line, "DELETE", f"/{name}/sessions"),
    lambda line, name, _: change(line, "DELETE", f"/{name}"),
]
SESSIONS = extent(20, 80)


@pytest.mark.timeout(300)  # as above
def test_no_worker_accepts_a_session_that_ended(
    environment: Environment, serve: Callable[[Environment], Doorman]
) -> None:
    """No session that all of four workers have accepted opens its user on any of them once it has ended."""
    doormen = [serve(environment | {"WORKERS": "2"}) for _ in range(2)]
    admins = [Line(doorman.port) for doorman in doormen]
    lines = [line for doorman in doormen for line in lines_to_workers(doorman).values()]
    before, after = Counter[int](), Counter[int]()
    for number in range(SESSIONS):
        name = f"user{number}"
        change(admins[0], "POST", f"/{name}", password=OLD)
        key = begin_session(admins[number % 2], name)
        before.update(use_session(line, key) for line in lines)
        ENDS[number % len(ENDS)](admins[1 - number % 2], name, key)
        after.update(use_session(line, key) for line in lines)
    assert before == {400: 4 * SESSIONS}
    assert after == {401: 4 * SESSIONS}
    for line in (*lines, *admins):
        line.close()
