"""``/createuser.json``, ``/login.json`` and ``/logout.json``, as the contract has them."""

import re
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests.api.conftest import PASSWORD, Api
from tests.storage.stores import opened

JOE = {"username": "joe", "password": "supersecure"}


def post(api: Api, path: str, body: Any = "", **rest: Any) -> TestResponse:
    return api.ask(path, data=body, content_type="text/plain;charset=UTF-8", **rest)


@pytest.fixture
def joe(api: Api) -> Api:
    """The application with joe in it."""
    assert api.ask("/createuser.json", JOE).status_code == 200
    return api


def log_in(api: Api, **rest: Any) -> str:
    answer = api.ask("/login.json", JOE, **rest)
    assert answer.status_code == 200, answer.text
    session_id: str = answer.get_json()["id"]
    return session_id


def log_out(api: Api, session_id: str, **rest: Any) -> tuple[int, Any]:
    answer = api.ask(f"/logout.json?s={session_id}", **rest)
    return answer.status_code, answer.get_json()


SUCCESS, NO_SESSION = (200, {"success": True}), (401, {"error": "No session"})


def test_a_user_is_made(api: Api) -> None:
    """The answer has the name, the bcrypt hash, and when that was; the user is a noob without an address."""
    answer = api.ask("/createuser.json", JOE)
    assert (answer.status_code, answer.content_type) == (200, "application/json")
    made = answer.get_json()
    assert made.keys() == {"username", "hash", "created"}
    assert made["username"] == "joe"
    assert made["hash"].startswith("$2b$04$")
    assert datetime.fromisoformat(made["created"]).utcoffset() is not None
    user = api.core.accounts.get("joe")
    assert (user.user_group, user.email, user.password_hash) == ("noob", None, made["hash"])


def test_a_login_begins_a_session(joe: Api) -> None:
    """The answer has its id, 15 letters and digits, which the cookie has too; each login begins another one."""
    answer = joe.ask("/login.json", JOE)
    begun = answer.get_json()
    assert begun.keys() == {"id", "username", "created"}
    assert re.fullmatch("[a-z0-9]{15}", begun["id"])
    assert datetime.fromisoformat(begun["created"]).utcoffset() is not None
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith(f"session={begun['id']};")
    assert {"HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=2592000"} <= set(cookie.split("; "))
    assert "Secure" not in cookie
    assert log_in(joe) != begun["id"]


def test_the_cookie_is_secure_behind_tls(joe: Api) -> None:
    """Where the client speaks TLS, the cookie goes over nothing else."""
    answer = joe.ask("/login.json", JOE, base_url="https://doorman.example")
    assert "Secure" in answer.headers["Set-Cookie"].split("; ")


def test_a_logout_ends_the_session(joe: Api) -> None:
    """It works once, and for no other session."""
    first, second = log_in(joe), log_in(joe)
    assert log_out(joe, first) == SUCCESS
    assert log_out(joe, first) == NO_SESSION
    assert log_out(joe, second) == SUCCESS


def test_a_cookie_logs_out_too(joe: Api) -> None:
    """Without ``s`` the cookie names the session, and is taken away when the session ends."""
    session_id = log_in(joe)
    answer = joe.ask("/logout.json", headers={"Cookie": f"session={session_id}"})
    assert (answer.status_code, answer.get_json()) == SUCCESS
    assert answer.headers["Set-Cookie"].startswith("session=;")
    assert "Max-Age=0" in answer.headers["Set-Cookie"]
    assert log_out(joe, session_id) == NO_SESSION


@pytest.mark.parametrize("query", ["s=", "s=aaaaaaaaaaaaaaa", "s=x", "s=%ff", "s={0}&s={0}", "s={0}%0A", "s={0}&s="])
def test_what_the_query_names_wins(joe: Api, query: str) -> None:
    """A wrong or an empty ``s``, or two of them, is no session, whatever the cookie says; the session goes on."""
    session_id = log_in(joe)
    answer = joe.ask(f"/logout.json?{query.format(session_id)}", headers={"Cookie": f"session={session_id}"})
    assert (answer.status_code, answer.get_json()) == NO_SESSION
    assert "Set-Cookie" not in answer.headers
    assert log_out(joe, session_id) == SUCCESS


def test_a_cookie_of_another_site_keeps_nobody_in(joe: Api) -> None:
    """A second cookie of the name, which a neighbouring site can set, does not hinder the logout."""
    session_id = log_in(joe)
    for cookies in ("session=tossed; session={}", "session={}; session=aaaaaaaaaaaaaaa"):
        answer = joe.ask("/logout.json", headers={"Cookie": cookies.format(session_id)})
        assert (answer.status_code, answer.get_json()) == SUCCESS
        session_id = log_in(joe)


def test_many_cookies_hide_no_session(joe: Api) -> None:
    """What has not the form of an id does not count; so many ids that not all are looked at are no success."""
    mine = log_in(joe)
    others = "; ".join(f"session={number:015}" for number in range(51))
    answer = joe.ask("/logout.json", headers={"Cookie": f"{others}; session={mine}"})
    assert (answer.status_code, answer.get_json()) == NO_SESSION
    assert "Set-Cookie" not in answer.headers
    others = "; ".join(["session=xxxxx"] * 60 + [f"session={number:015}" for number in range(49)])
    answer = joe.ask("/logout.json", headers={"Cookie": f"{others}; session={mine}"})
    assert (answer.status_code, answer.get_json()) == SUCCESS
    assert log_out(joe, mine) == NO_SESSION


def test_another_sessions_cookie_stays(joe: Api) -> None:
    """Who ends a session by its id keeps the cookie of another one."""
    one, other = log_in(joe), log_in(joe)
    answer = joe.ask(f"/logout.json?s={one}", headers={"Cookie": f"session={other}"})
    assert answer.status_code == 200
    assert "Set-Cookie" not in answer.headers


def test_a_new_login_ends_the_one_whose_cookie_it_takes(joe: Api) -> None:
    """The session whose id the browser forgets by logging in again is ended (OWASP ASVS 5, 7.2.4)."""
    former = log_in(joe)
    log_in(joe, headers={"Cookie": f"session={former}"})
    assert log_out(joe, former) == NO_SESSION


def test_a_cookie_of_a_spoiled_user_costs_no_login(sqlite_api: Api, tmp_path: Path) -> None:
    """Whatever is wrong with the session of the old cookie, who logs in anew is logged in."""
    sqlite_api.ask("/createuser.json", JOE)
    sqlite_api.add("ann")
    former = sqlite_api.ask("/login.json", {"username": "ann", "password": PASSWORD}).get_json()["id"]
    with opened(tmp_path / "doorman.db") as database:
        database.execute("UPDATE users SET user_group = 'king' WHERE name_key = 'ann'")
    assert log_out(sqlite_api, log_in(sqlite_api, headers={"Cookie": f"session={former}"})) == SUCCESS


def test_nobody_chooses_an_id(joe: Api) -> None:
    """An id that a client brings along at login, known or made up, is not the session's (session fixation)."""
    known = log_in(joe)
    for brought in (known, "attackersession"):
        rests: list[dict[str, Any]] = [{"headers": {"Cookie": f"session={brought}"}}, {"query_string": {"s": brought}}]
        for rest in rests:
            answer = joe.ask("/login.json", JOE | {"id": brought, "session": brought}, **rest)
            assert answer.get_json()["id"] != brought
    assert log_out(joe, "attackersession") == NO_SESSION


BAD_NAMES = [
    "jo",
    "",
    "j" * 41,
    "joe!",
    "jöe",
    "joe doe",
    "joe\n",
    "\njoe",
    "joe\r",
    "joe\x00",
    "joe\u2028",
    "\uff4a\uff4f\uff45",
]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_an_invalid_name_is_refused(sqlite_api: Api, name: str) -> None:
    """Only 3 to 40 ASCII letters, digits and underscores make a name: no newline at its end either."""
    answer = sqlite_api.ask("/createuser.json", JOE | {"username": name})
    assert (answer.status_code, answer.get_json()["error"]) == (400, "Invalid username")
    assert sqlite_api.names() == ["root"]


@pytest.mark.parametrize("name", ["abc", "A_9", "j" * 40, "___"])
def test_a_valid_name_is_taken(sqlite_api: Api, name: str) -> None:
    """The shortest, the longest, and those of odd but allowed characters."""
    assert sqlite_api.ask("/createuser.json", JOE | {"username": name}).status_code == 200


@pytest.mark.parametrize("password", ["short", "password", "x" * 73, "aaaaaaaaaaaa", "joejoejoe\x00"])
def test_an_invalid_password_is_refused(sqlite_api: Api, password: str) -> None:
    """What breaks the policy is refused, and the rule is told."""
    answer = sqlite_api.ask("/createuser.json", JOE | {"password": password})
    assert (answer.status_code, answer.get_json()["error"]) == (400, "Invalid password")
    assert answer.get_json()["detail"].startswith("It ")


def test_a_taken_name_is_refused(joe: Api) -> None:
    """In any case of letters, also one that came in another way."""
    joe.add("ann")
    for name in ("joe", "JOE", "ann", "Ann"):
        answer = joe.ask("/createuser.json", JOE | {"username": name})
        assert (answer.status_code, answer.get_json()) == (409, {"error": "User already exists"})


def test_a_wrong_login_is_told_as_documented(joe: Api) -> None:
    """An unknown user from a wrong password, which is the contract's choice; and neither begins a session."""
    joe.add("gone", disabled=True)
    for name, password, told in (
        ("nobody", PASSWORD, (409, {"error": "User does not exist"})),
        ("no\nbody", PASSWORD, (409, {"error": "User does not exist"})),
        ("joe", "wrong password", (401, {"error": "Invalid password"})),
        ("gone", PASSWORD, (401, {"error": "Invalid password"})),
        ("root", "wrong password", (401, {"error": "Invalid password"})),
    ):
        answer = joe.ask("/login.json", {"username": name, "password": password})
        assert (answer.status_code, answer.get_json()) == told
        assert "Set-Cookie" not in answer.headers


def test_any_content_type_is_json(api: Api) -> None:
    """A ``fetch()`` with a string sends ``text/plain``, and curl a form."""
    body = '{"username": "joe", "password": "supersecure"}'
    assert post(api, "/createuser.json", body).status_code == 200
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "application/json", None):
        assert api.ask("/login.json", data=body, content_type=content_type).status_code == 200


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("", "username: It is required. password: It is required."),
        ("{}", "username: It is required. password: It is required."),
        ('{"username": "joe"}', "password: It is required."),
        ('{"password": "supersecure"}', "username: It is required."),
        ('{"username": 5, "password": "supersecure"}', "username: It must be a string."),
        ('{"username": "joe", "password": null}', "password: It may not be null."),
        ('{"username": "joe", "password": ["x"]}', "password: It must be a string."),
        ("joe", "The body is not JSON."),
        ("[]", "The body is not a JSON object."),
        ('{"username": "joe", "username": "ann", "password": "x"}', 'The body names "username" twice.'),
        (b'{"username": "\xff"}', "The body is not UTF-8."),
        ('{"username": "\\ud800", "password": "supersecure"}', "The body has a lone surrogate, which is no character."),
    ],
)
@pytest.mark.parametrize("path", ["/createuser.json", "/login.json"])
def test_a_bad_body_is_told(sqlite_api: Api, path: str, body: Any, told: str) -> None:
    """What is no JSON object with the two texts gets 400, and is told what is wrong with which field."""
    answer = post(sqlite_api, path, body)
    assert (answer.status_code, answer.get_json()) == (400, {"error": told})


@pytest.mark.parametrize("path", ["/createuser.json", "/login.json", "/logout.json"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"])
def test_other_methods_do_nothing(sqlite_api: Api, path: str, method: str) -> None:
    """They are 405 with ``Allow: POST``, whatever comes with them."""
    sqlite_api.ask("/createuser.json", JOE)
    session_id = log_in(sqlite_api)
    answer = sqlite_api.ask(f"{path}?s={session_id}", JOE | {"username": "ann"}, method=method)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
    if method != "HEAD":
        assert answer.get_json().keys() == {"error"}
    assert sqlite_api.names() == ["joe", "root"]
    assert log_out(sqlite_api, session_id) == SUCCESS


def test_a_large_body_is_refused(sqlite_api: Api) -> None:
    """Past 64 KiB, in the surface's own shape."""
    answer = post(sqlite_api, "/login.json", b" " * (64 * 1024 + 1))
    assert (answer.status_code, answer.get_json().keys()) == (413, {"error"})


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Origin": "https://evil.example", "Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_foreign_page_logs_nobody_in_or_out(sqlite_api: Api, headers: dict[str, str]) -> None:
    """A form on another site ends no session by its cookie, and begins none (CSRF)."""
    sqlite_api.ask("/createuser.json", JOE)
    session_id = log_in(sqlite_api)
    cookie = {"Cookie": f"session={session_id}"}
    for path in ("/logout.json", "/login.json", "/createuser.json"):
        answer = post(sqlite_api, path, '{"username": "ann", "password": "supersecure"}', headers=cookie | headers)
        assert (answer.status_code, answer.get_json().keys()) == (403, {"error"})
        assert "Set-Cookie" not in answer.headers
    assert sqlite_api.names() == ["joe", "root"]
    assert log_out(sqlite_api, session_id) == SUCCESS


def test_answers_are_nobody_elses(joe: Api) -> None:
    """They are kept by no cache, and their address, which may hold an id, is told to no other page."""
    for answer in (joe.ask("/login.json", JOE), joe.ask("/logout.json?s=aaaaaaaaaaaaaaa")):
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
