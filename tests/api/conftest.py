"""The application, called as its clients would, over each store."""

from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from ipaddress import IPv4Address
from itertools import count
from typing import Any

import pytest
from werkzeug.test import TestResponse

from api.application import Doorman
from api.settings import Settings
from app import create_app
from tests.api.described import description
from tests.databases import ADMIN, Environment

USERS = "/api/v2/users"
PASSWORD = "a password of some length"
# Not a generator, which two threads cannot ask at once.
ADDRESSES = map(lambda number: str(IPv4Address("198.18.0.1") + number), count())  # noqa: C417 - see above

Credential = tuple[str, str] | str | None


class Api:
    """One application. A credential is a pair for Basic, a text for Bearer, or ``None``.

    Each answer has to be as the OpenAPI document says, unless the test has errors raised that cannot be.
    """

    is_described = True

    def __init__(self, app: Doorman) -> None:
        self.app = app
        self.core = app.core

    def call(self, method: str, path: str, auth: Credential = ADMIN, **rest: Any) -> TestResponse:
        headers = dict(rest.pop("headers", {}))
        # Each call from an address of its own, so that the limit on failed logins is met only where it is meant to be.
        rest.setdefault("environ_base", {"REMOTE_ADDR": next(ADDRESSES)})
        if auth is not None:
            headers["Authorization"] = authorization(auth)
        answer = self.app.test_client(use_cookies=False).open(path, method=method, headers=headers, **rest)
        if self.is_described:
            description().check(self.app, answer, rest.get("json"))
        return answer

    def get(self, path: str = "", auth: Credential = ADMIN, **rest: Any) -> TestResponse:
        return self.call("GET", USERS + path, auth, **rest)

    def post(self, path: str, json: Any = None, auth: Credential = ADMIN, **rest: Any) -> TestResponse:
        return self.call("POST", USERS + path, auth, **({"json": json} if json is not None else {}), **rest)

    def put(self, path: str, json: Any, auth: Credential = ADMIN, **rest: Any) -> TestResponse:
        return self.call("PUT", USERS + path, auth, json=json, **rest)

    def delete(self, path: str, auth: Credential = ADMIN, **rest: Any) -> TestResponse:
        return self.call("DELETE", USERS + path, auth, **rest)

    def ask(self, path: str, json: Any = None, *, method: str = "POST", **rest: Any) -> TestResponse:
        """Send a body without credentials of the v2 surface."""
        return self.call(method, path, None, **({"json": json} if json is not None else {}), **rest)

    def add(self, user_name: str, group: str = "noob", **fields: Any) -> tuple[str, str]:
        """Create a user, and return the pair that it logs in with."""
        answer = self.post(f"/{user_name}", {"password": PASSWORD, "user_group": group} | fields)
        assert answer.status_code == 200, answer.text
        return user_name, fields.get("password", PASSWORD)

    def names(self) -> list[str]:
        listed: list[str] = self.get().get_json()["users"]
        return listed


def authorization(credential: tuple[str, str] | str) -> str:
    if isinstance(credential, str):
        return f"Bearer {credential}"
    return "Basic " + b64encode(":".join(credential).encode()).decode()


@pytest.fixture
def make_api() -> Iterator[Callable[[Environment], Api]]:
    """Make applications that are closed after the test."""
    with ExitStack() as ends:

        def make(environment: Environment) -> Api:
            api = Api(create_app(Settings.from_env(environment)))
            ends.callback(api.core.close)
            return api

        yield make


@pytest.fixture
def api(environment: Environment, make_api: Callable[[Environment], Api]) -> Api:
    """The application over each store."""
    return make_api(environment)


@pytest.fixture
def sqlite_api(sqlite_environment: Environment, make_api: Callable[[Environment], Api]) -> Api:
    """The application over SQLite, for what has nothing to do with the store."""
    return make_api(sqlite_environment)
