"""What opens what: each kind of credential on each surface, cell by cell."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.api.conftest import PASSWORD, USERS, Api, authorization
from tests.api.consoles import admin_at

TOKEN = "the-token-of-joe-0123"

IN_HEADERS: list[Callable[[str], dict[str, Any]]] = [
    lambda secret: {"headers": {"Authorization": authorization(("joe", secret))}},
    lambda secret: {"headers": {"Authorization": authorization(secret)}},
    lambda secret: {"headers": {"Authorization": f"Token {secret}"}},
    lambda secret: {"headers": {"Cookie": f"session={secret}"}},
    lambda secret: {"headers": {"X-USER-KEY": secret}},
    lambda secret: {"headers": {"X-Api-Key": secret}},
]
BASIC, BEARER, TOKEN_SCHEME, COOKIE, USER_KEY, API_KEY, QUERY = range(7)
OWN = QUERY  # the last one: a cookie of the console's own
# How each credential could be brought along on each surface: as what it is, and as what others are there.
PLACES: dict[str, list[Callable[[str], dict[str, Any]]]] = {
    "v2": IN_HEADERS,
    "socket": [*IN_HEADERS, lambda secret: {"query_string": {"user_key": secret}}],
    "users class": IN_HEADERS,
    "classic": [*IN_HEADERS, lambda secret: {"query_string": {"s": secret}}],
    "jwt": IN_HEADERS,
    "verify": [*IN_HEADERS, lambda secret: {"query_string": {"s": secret}}],
    "console": [*IN_HEADERS, lambda secret: {"headers": {"Cookie": f"doorman-console={secret}"}}],
}
CALLS: dict[str, tuple[str, str, Any]] = {
    "v2": ("GET", f"{USERS}/joe", None),
    "socket": ("POST", "/user-auth/update", {"username": "joe"}),
    "users class": ("GET", "/v2/instances/i/users/?page_size=1", None),
    "classic": ("POST", "/logout.json", None),
    "jwt": ("POST", "/users/permission", {"user": {"username": "joe", "oauth": 0, "permission": "admin"}}),
    "verify": ("GET", "/api/v2/verify", None),
    "console": ("GET", "/console/users", None),
}
OPENS = {
    "password": {"v2": {BASIC}, "jwt": {BASIC}, "verify": {BASIC}},
    "token": {"v2": {BASIC, BEARER}, "users class": {API_KEY}, "jwt": {BASIC, BEARER}, "verify": {BASIC, BEARER}},
    "JWT": {"jwt": {BEARER, TOKEN_SCHEME}, "verify": {BEARER, TOKEN_SCHEME}},
    "user key": {"socket": {USER_KEY, QUERY}},
    "session": {"classic": {COOKIE, QUERY}, "verify": {COOKIE}},
    "console session": {"console": {OWN}},
}


def credential(api: Api, kind: str) -> str:
    body = {"username": "joe", "password": PASSWORD}
    made: dict[str, Callable[[], str]] = {
        "password": lambda: PASSWORD,
        "token": lambda: TOKEN,
        "JWT": lambda: api.ask("/users/login", {"user": body}).get_json()["user"]["token"],
        "user key": lambda: api.ask("/user-auth/login", body).get_json()["token"],
        "session": lambda: api.ask("/login.json", body).get_json()["id"],
        "console session": lambda: admin_at(api, ("joe", PASSWORD)).cookie() or "",
    }
    secret: str = made[kind]()
    return secret


@pytest.mark.parametrize("kind", OPENS)
@pytest.mark.parametrize("surface", PLACES)
def test_each_cell(api: Api, kind: str, surface: str) -> None:
    """A credential opens the surface that it is for, brought along as it is meant to be, and nothing else."""
    api.add("joe", "admin", token=TOKEN)
    method, path, body = CALLS[surface]
    opened = set()
    for number, place in enumerate(PLACES[surface]):
        secret = credential(api, kind)
        if secret == PASSWORD and "Cookie" in place("x").get("headers", {}):
            continue  # a cookie holds no spaces
        answer = api.ask(path, body, method=method, **place(secret))
        assert answer.status_code in {200, 401, 403} or answer.headers["Location"] == "login?next=users"
        if answer.status_code == 200:
            opened.add(number)
    assert opened == OPENS[kind].get(surface, set())


@pytest.mark.parametrize("path", ["/login.json", "/user-auth/login"])
def test_only_the_password_logs_in(api: Api, path: str) -> None:
    """A token is none there, nor is the id of a session or a user key."""
    api.add("joe", token=TOKEN)
    assert api.ask(path, {"username": "joe", "password": PASSWORD}).status_code == 200
    for kind in ("token", "user key", "session"):
        body = {"username": "joe", "password": credential(api, kind)}
        assert api.ask(path, body).status_code in {400, 401}


def test_a_token_that_v2_remembers_logs_in_nowhere_else(api: Api) -> None:
    """What a process has verified as a token is no password by that, and goes on being a token there."""
    api.add("joe", token=TOKEN)
    here: dict[str, Any] = {"environ_base": {"REMOTE_ADDR": "203.0.113.7"}}
    body = {"username": "joe", "password": TOKEN}
    assert api.get("/joe", ("joe", TOKEN), **here).status_code == 200
    assert api.ask("/login.json", body, **here).status_code == 401
    assert api.get("/joe", ("joe", TOKEN), **here).status_code == 200
