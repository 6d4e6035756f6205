"""What is measured side by side: Doorman, the bare look-up, and the peers; each started, filled and asked once."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from bench import accounts
from bench.processes import NotMeasuredError, Serving
from bench.wrk import Request
from tests.databases import ADMIN, SECRET_KEY, Environment
from tests.running import Doorman, running

WORKERS, THREADS = 2, 8
SPREAD_USERS = 16


@dataclass(frozen=True)
class Place:
    """Where a run takes place: its mongod, its directory, and the cost of bcrypt."""

    mongodb: str
    directory: Path
    cost: int

    def doorman_environment(self, database: str) -> Environment:
        return {
            "DATABASE_URL": self.mongodb,
            "DATABASE_NAME": database,
            "BASIC_AUTH_USER": ADMIN[0],
            "BASIC_AUTH_PASSWORD": ADMIN[1],
            "SECRET_KEY": SECRET_KEY,
            "WORKERS": str(WORKERS),
            "THREADS": str(THREADS),
            "BCRYPT_ROUNDS": str(self.cost),
        }


@dataclass(frozen=True)
class Target:
    """A server that is up, and the authenticated reads that are asked of it. Every answer holds ``expected``."""

    name: str
    server: Serving
    requests: list[Request]
    expected: str

    def check(self) -> None:
        """Ask once. Raises ``NotMeasuredError`` when the answer is not the user."""
        request = self.requests[0]
        url = f"http://127.0.0.1:{self.server.port}{request.path}"
        try:
            answer = httpx.get(url, headers=request.headers, timeout=60)
        except httpx.HTTPError as error:
            raise NotMeasuredError(f"it does not answer: {error!r}") from error
        if answer.status_code != httpx.codes.OK or self.expected not in answer.text:
            raise NotMeasuredError(f"it answers {answer.status_code} {answer.text[:200]}")


@contextmanager
def doorman(place: Place, database: str, names: list[str], **settings: str) -> Iterator[Doorman]:
    """Serve a fresh database with users of these ``names``, whose password is ``accounts.PASSWORD``."""
    environment = place.doorman_environment(database) | settings
    accounts.insert(environment, accounts.users(names, accounts.hash_once(place.cost)))
    with running(environment, place.directory) as served:
        yield served


@contextmanager
def doorman_targets(place: Place) -> Iterator[list[Target]]:
    """Yield Doorman's forms: a user that reads itself by password or by token, many who do, and an admin."""
    many = [f"user{number}" for number in range(SPREAD_USERS)]
    with doorman(place, "doorman_rates", [*many, accounts.TOKENS_OWNER]) as served:
        bearer = {"Authorization": f"Bearer {accounts.TOKEN}"}
        itself = [own_read(name) for name in many]
        yield [
            Target("doorman", served, itself[:1], '"user0"'),
            Target("doorman, as admin", served, [Request(itself[0].path, basic(*ADMIN))], '"user0"'),
            Target(
                "doorman, by token",
                served,
                [Request(f"/api/v2/users/{accounts.TOKENS_OWNER}", bearer)],
                f'"{accounts.TOKENS_OWNER}"',
            ),
            Target(f"doorman, {SPREAD_USERS} users", served, itself, '"user0"'),
        ]


def own_read(name: str) -> Request:
    """Return the request of a user that reads itself."""
    return Request(f"/api/v2/users/{name}", basic(name, accounts.PASSWORD))


def basic(user_name: str, password: str) -> dict[str, str]:
    credentials = base64.b64encode(f"{user_name}:{password}".encode()).decode()
    return {"Authorization": f"Basic {credentials}"}
