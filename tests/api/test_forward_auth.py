"""``/api/v2/verify``: what a proxy is told of a request's credential."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from api.forward_auth import identity
from models.user import new_user
from tests.api.conftest import PASSWORD, Api, Credential, authorization
from tests.api.cores import Clock, Open
from tests.databases import ADMIN, Environment

VERIFY = "/api/v2/verify"
TOKEN = "the-token-of-joe-0123"


def verify(api: Api, auth: Credential = None, query: str = "", *, method: str = "GET", **rest: Any) -> TestResponse:
    return api.call(method, f"{VERIFY}{query}", auth, **rest)


def by_cookies(api: Api, *cookies: str) -> int:
    return verify(api, headers={"Cookie": "; ".join(cookies)}).status_code


def session_of(api: Api, user_name: str = "joe") -> str:
    found: str = api.ask("/login.json", {"username": user_name, "password": PASSWORD}).get_json()["id"]
    return found


def test_who_asks_is_told_in_headers(api: Api) -> None:
    """The name, the id and the group, in an empty answer that its proxy may keep for seconds, for this credential."""
    api.add("joe", "manager")
    user = api.core.accounts.get("joe")
    answer = verify(api, ("joe", PASSWORD))
    assert (answer.status_code, answer.data) == (200, b"")
    assert {name: value for name, value in answer.headers if name.startswith("X-Auth")} == {
        "X-Auth-User": "joe",
        "X-Auth-Id": user.id,
        "X-Auth-Group": "manager",
    }
    assert answer.headers["Cache-Control"] == "private, max-age=5"
    assert answer.headers["Vary"] == "Authorization, Cookie"
    assert verify(api, ("joe", PASSWORD), method="HEAD").headers["X-Auth-User"] == "joe"


@pytest.mark.parametrize("origin", [None, "https://evil.example", "https://app.example.com"])
@pytest.mark.parametrize("auth", [None, ADMIN])
def test_preflights_get_through_nowhere(
    sqlite_environment: Environment, make_api: Callable[[Environment], Api], auth: Credential, origin: str | None
) -> None:
    """``OPTIONS`` is answered 405, whatever comes along: a proxy that passes on its client's method lets nobody in."""
    api = make_api(sqlite_environment | {"ALLOWED_ORIGINS": "https://app.example.com"})
    headers = {"Access-Control-Request-Method": "GET"} | ({"Origin": origin} if origin else {})
    answer = verify(api, auth, method="OPTIONS", headers=headers)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD")
    assert "X-Auth-User" not in answer.headers
    assert verify(api, auth, "?group=admin", method="OPTIONS").status_code == 405


@pytest.mark.parametrize(
    ("auth", "challenges"),
    [
        (None, ['Basic realm="Doorman", charset="UTF-8"']),
        (("joe", "wrong"), ['Basic realm="Doorman", charset="UTF-8"']),
        (
            "wrong-token",
            ['Basic realm="Doorman", charset="UTF-8"', 'Bearer realm="Doorman", error="invalid_token"'],
        ),
    ],
)
def test_who_is_not_known_is_asked_for_a_password(sqlite_api: Api, auth: Credential, challenges: list[str]) -> None:
    """401, which says nothing of anybody, is kept by nobody, and has the challenge that browsers ask people by."""
    sqlite_api.add("joe")
    for query in ("", "?group=admin", "?group=king", "?s=1"):
        answer = verify(sqlite_api, auth, query)
        assert answer.status_code == 401
        assert answer.headers.getlist("WWW-Authenticate") == challenges
        assert answer.headers["Cache-Control"] == "no-store"
        assert not [name for name, _ in answer.headers if name.startswith("X-Auth")]


@pytest.mark.parametrize(
    ("query", "admitted"),
    [
        ("", {"noob", "manager", "admin"}),
        ("?group=noob", {"noob"}),
        ("?group=manager", {"manager"}),
        ("?group=admin", {"admin"}),
        ("?group=admin,manager", {"manager", "admin"}),
        ("?group=noob,manager,admin", {"noob", "manager", "admin"}),
    ],
)
def test_a_group_is_demanded_by_name(sqlite_api: Api, query: str, admitted: set[str]) -> None:
    """Who is in none of the groups gets 403, which no cache keeps; no group has another one in it."""
    for group in ("noob", "manager", "admin"):
        answer = verify(sqlite_api, sqlite_api.add(f"a-{group}", group), query)
        assert (answer.status_code == 200) == (group in admitted)
        if group not in admitted:
            assert (answer.status_code, answer.get_json()) == (403, {"access_allowed": False})
            assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("?group=king", "group"),
        ("?group=", "group"),
        ("?group=Admin", "group"),
        ("?group=admin,", "group"),
        ("?group=admin,%20noob", "group"),
        ("?group=admin,admin", "group"),
        ("?group=admin&group=noob", "group"),
        ("?groups=admin", "groups"),
        ("?s=1", "s"),
        ("?oauth=1", "oauth"),
    ],
)
def test_a_mistake_in_the_proxys_configuration_admits_nobody(sqlite_api: Api, query: str, name: str) -> None:
    """A query that is not understood is 400, by name: a misspelt group must not let everybody in."""
    answer = verify(sqlite_api, ADMIN, query)
    assert answer.status_code == 400
    assert answer.get_json()["invalid_parameters"].keys() == {name}


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_verifying_is_reading(sqlite_api: Api, method: str) -> None:
    """Whatever the client's method was, a proxy asks by GET or HEAD."""
    answer = verify(sqlite_api, ADMIN, method=method)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD")


def test_what_the_client_says_of_its_request_decides_nothing(sqlite_api: Api) -> None:
    """Neither a page's origin, nor the method and address of the client's request, nor what it calls itself."""
    claims = {
        "Origin": "https://elsewhere.example",
        "Sec-Fetch-Site": "cross-site",
        "X-Forwarded-Method": "DELETE",
        "X-Forwarded-Uri": "/api/v2/verify?group=noob",
        "X-Original-URI": "/healthz/live",
        "X-HTTP-Method-Override": "DELETE",
        "X-Auth-User": "somebody-else",
        "X-Auth-Group": "admin",
    }
    answer = verify(sqlite_api, sqlite_api.add("joe"), headers=claims)
    assert answer.status_code == 200
    assert answer.headers.getlist("X-Auth-User") == ["joe"]
    assert answer.headers.getlist("X-Auth-Group") == ["noob"]
    assert verify(sqlite_api, None, headers=claims).status_code == 401


def test_a_session_is_enough(api: Api) -> None:
    """The cookie of /login.json is a credential until its session ends."""
    api.add("joe")
    session = session_of(api)
    answer = verify(api, headers={"Cookie": f"other=1; session={session}; more=2"})
    assert (answer.status_code, answer.headers["X-Auth-User"]) == (200, "joe")
    api.ask("/logout.json", headers={"Cookie": f"session={session}"})
    assert by_cookies(api, f"session={session}") == 401


def test_a_neighbours_cookie_makes_nobody_somebody_else(sqlite_api: Api) -> None:
    """Of two sessions neither counts, in whatever order; the same one twice is one."""
    sqlite_api.add("joe")
    sqlite_api.add("mallory")
    mine, other = f"session={session_of(sqlite_api)}", f"session={session_of(sqlite_api, 'mallory')}"
    assert by_cookies(sqlite_api, mine) == by_cookies(sqlite_api, mine, mine) == by_cookies(sqlite_api, other) == 200
    assert by_cookies(sqlite_api, mine, other) == by_cookies(sqlite_api, other, mine) == 401
    assert by_cookies(sqlite_api, mine, "session=") == by_cookies(sqlite_api, "session=junk", mine) == 401


def test_what_is_presented_counts_alone(sqlite_api: Api) -> None:
    """With ``Authorization``, right or wrong, no cookie is looked at."""
    sqlite_api.add("joe")
    headers = {"Cookie": f"session={session_of(sqlite_api)}"}
    assert verify(sqlite_api, ADMIN, headers=headers).headers["X-Auth-User"] == "root"
    for wrong in (("joe", "wrong"), "wrong-token"):
        assert verify(sqlite_api, wrong, headers=headers).status_code == 401
    for wrong in ("", "Basic", "Negotiate abc", f"{authorization(ADMIN)},{authorization(ADMIN)}"):
        assert verify(sqlite_api, headers={**headers, "Authorization": wrong}).status_code == 401


@pytest.mark.parametrize("changes", [{"disabled": True}, {"password": "another fine password"}])
def test_revocation_is_at_once(api: Api, changes: dict[str, Any]) -> None:
    """Who is disabled or has another password is refused at the next request, by password, session and JWT."""
    login = api.add("joe")
    headers = [
        {"Authorization": authorization(login)},
        {"Cookie": f"session={session_of(api)}"},
        {"Authorization": f"Token {jwt_of(api)}"},
    ]
    assert [verify(api, headers=each).status_code for each in headers] == [200] * 3
    assert api.put("/joe/update", changes).status_code == 200
    assert [verify(api, headers=each).status_code for each in headers] == [401] * 3


def jwt_of(api: Api) -> str:
    body = {"user": {"username": "joe", "password": PASSWORD}}
    token: str = api.ask("/users/login", body).get_json()["user"]["token"]
    return token


def test_oauth_users_are_told_apart(api: Api) -> None:
    """An OAuth user may have an ordinary one's name, and is never written like it."""
    api.add("joe", token=TOKEN)
    assert api.post("/joe?oauth=1", {"token": f"{TOKEN}-oauth"}).status_code == 200
    assert verify(api, TOKEN).headers["X-Auth-User"] == "joe"
    oauth = verify(api, f"{TOKEN}-oauth").headers
    assert (oauth["X-Auth-User"], oauth["X-Auth-Group"]) == ("oauth:joe", "noob")
    assert oauth["X-Auth-Id"] != verify(api, TOKEN).headers["X-Auth-Id"]


@pytest.mark.parametrize(
    ("user_name", "written"),
    [
        ("joe@example.com", "joe@example.com"),
        ("Jürgen", "J%C3%BCrgen"),
        ("名字", "%E5%90%8D%E5%AD%97"),
        ("a%20b", "a%2520b"),
        ("a,b;c=d+e", "a%2Cb%3Bc%3Dd%2Be"),
        ("<{env.HOME}>", "%3C%7Benv.HOME%7D%3E"),
        ("oauth%3Ajoe", "oauth%253Ajoe"),
    ],
)
def test_names_are_percent_encoded(sqlite_api: Api, user_name: str, written: str) -> None:
    """What is no ASCII letter, digit or one of ``-._~@`` is; a percent sign too, so that it can be undone."""
    sqlite_api.post(f"/{user_name.replace('%', '%25').replace(';', '%3B')}", {"password": PASSWORD})
    assert verify(sqlite_api, (user_name, PASSWORD)).headers["X-Auth-User"] == written
    assert unquote(written) == user_name


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20), st.sampled_from([0, 1]))
def test_no_name_can_be_taken_for_anything_else(name: str, oauth: Any) -> None:
    """Whatever a name is, its header is one plain word, which tells the name and the kind of user."""
    user = new_user((name, name), oauth, {"token_hash": "", "token_digests": ()}, Clock().now)
    written = identity(user)["X-Auth-User"]
    assert set(written.removeprefix("oauth:")) <= set("%-._~@") | set(map(chr, range(48, 58))) | {
        letter for letter in map(chr, range(65, 123)) if letter.isalpha()
    }
    assert (unquote(written.removeprefix("oauth:")), written.startswith("oauth:")) == (name, bool(oauth))


def test_failures_count_by_the_forwarded_address(open_api: Open) -> None:
    """Through a trusted proxy, who guesses is slowed down, and nobody else behind it."""
    api = open_api(TRUSTED_PROXIES="192.0.2.1")
    api.add("joe")

    def status(password: str, client: str) -> int:
        proxy = {"REMOTE_ADDR": "192.0.2.1"}
        headers = {"X-Forwarded-For": client}
        return verify(api, ("joe", password), headers=headers, environ_base=proxy).status_code

    assert [status("a wrong one", "203.0.113.1"), status("another", "198.51.100.9, 203.0.113.1")] == [401, 429]
    assert [status("another", "203.0.113.2"), status(PASSWORD, "203.0.113.3")] == [401, 200]


def test_a_known_password_is_not_hashed_again(sqlite_api: Api, spent: list[int]) -> None:
    """It costs one hash an address, as on every route."""
    sqlite_api.add("joe")
    here = {"REMOTE_ADDR": "203.0.113.1"}
    spent.clear()
    assert verify(sqlite_api, ("joe", PASSWORD), environ_base=here).status_code == 200
    assert len(spent) == 1
    assert verify(sqlite_api, ("joe", PASSWORD), "?group=noob", environ_base=here).status_code == 200
    assert len(spent) == 1


def test_a_session_that_is_verified_is_used(open_api: Open, clock: Clock) -> None:
    """Who works behind the proxy alone is not logged out for being idle."""
    api = open_api()
    api.add("joe")
    cookie = f"session={session_of(api)}"
    for _ in range(3):
        clock.advance(timedelta(days=20).total_seconds())
        assert by_cookies(api, cookie) == 200
        api.core.uses.flush()
