"""The socket ``user-auth``, as the contract has it and @syncano/client calls it."""

import re
from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests.api.conftest import Api

JOHN = {"username": "john@email.com", "password": "superpass123"}
SHORT, LONG = "/user-auth/", "/v3/instances/any-name/endpoints/sockets/user-auth/"
UNAUTHORISED = (401, "Unauthorised")
NO_EMAIL = (400, {"username": "Given email is invalid."})


def told(answer: TestResponse) -> tuple[int, Any]:
    return answer.status_code, answer.get_json()


def call(api: Api, endpoint: str, body: Any = None, key: str | None = None, **rest: Any) -> TestResponse:
    """Call an endpoint as the client does: the key is sent twice."""
    query = "" if key is None else f"?user_key={key}&user_key={key}"
    return api.ask(f"{LONG}{endpoint}/{query}", {} if body is None else body, **rest)


@pytest.fixture
def key(api: Api) -> str:
    """The user key of john, who has just registered."""
    token: str = call(api, "register", JOHN).get_json()["token"]
    return token


def log_in(api: Api, **changes: str) -> str:
    token: str = call(api, "login", JOHN | changes).get_json()["token"]
    return token


@pytest.mark.parametrize("path", [f"{SHORT}{{}}", f"{SHORT}{{}}/", f"{LONG}{{}}", f"{LONG}{{}}/"])
def test_each_path_leads_there(sqlite_api: Api, path: str) -> None:
    """The short one and the client's own, with and without a slash at the end."""
    assert sqlite_api.ask(path.format("register"), JOHN).status_code == 200
    assert sqlite_api.ask(path.format("login"), JOHN).status_code == 200
    assert sqlite_api.ask(path.format("update"), {}).status_code == 401
    assert sqlite_api.ask(path.format("delete"), {}).status_code == 401
    assert sqlite_api.ask(path.format("nothing"), {}).status_code == 404


def test_registering_and_logging_in(api: Api) -> None:
    """Each gives the id, the name and a user key of 40 hex digits, another one each time; all of them work."""
    answers = [call(api, endpoint, JOHN) for endpoint in ("register", "login", "login")]
    assert [answer.status_code for answer in answers] == [200] * 3
    bodies = [answer.get_json() for answer in answers]
    user = api.core.accounts.get("john@email.com")
    assert (user.user_group, user.email) == ("noob", None)
    for body in bodies:
        assert body.keys() == {"id", "username", "token"}
        assert (body["id"], body["username"]) == (user.id, "john@email.com")
        assert re.fullmatch("[0-9a-f]{40}", body["token"])
    assert len({body["token"] for body in bodies}) == 3
    for body in bodies:
        assert call(api, "update", {"username": JOHN["username"]}, body["token"]).status_code == 200


def test_a_taken_name_is_refused(api: Api) -> None:
    """In any case of letters."""
    for name in ("john@email.com", "John@Email.com", "JOHN@EMAIL.COM"):
        answer = call(api, "register", JOHN | {"username": name})
        assert told(answer) == (
            (200, answer.get_json()) if name == "john@email.com" else (400, {"username": "User already exists."})
        )


@pytest.mark.parametrize(
    "name",
    [None, 5, "", "john", "john@", "@email.com", "john@email.com\n", "jo hn@email.com", "a/b@email.com", ["j@e.com"]],
)
def test_only_an_address_registers(sqlite_api: Api, name: object) -> None:
    """What is no e-mail address, or no user name, is refused; so is an absent one."""
    assert told(call(sqlite_api, "register", JOHN | {"username": name})) == NO_EMAIL
    assert told(call(sqlite_api, "register", {"password": "superpass123"})) == NO_EMAIL
    assert sqlite_api.names() == ["root"]


@pytest.mark.parametrize("password", ["short", "password1", "x" * 73, "john@email.com", None, 5])
def test_a_password_that_breaks_the_policy_is_refused(sqlite_api: Api, password: object) -> None:
    """The rule is told under the field's name; an absent one is required."""
    status, body = told(call(sqlite_api, "register", JOHN | {"password": password}))
    assert (status, body.keys()) == (400, {"password"})
    assert told(call(sqlite_api, "register", {"username": JOHN["username"]})) == (400, {"password": "It is required."})
    assert sqlite_api.names() == ["root"]


def test_a_wrong_login_tells_nothing(api: Api, key: str) -> None:
    """An unknown user, a wrong password, a disabled user and an API token are refused alike."""
    api.add("gone", disabled=True)
    api.add("service", token="token-of-the-service")
    refused = (400, {"message": "Given credentials are invalid."})
    for name, password in (
        ("nobody@email.com", "superpass123"),
        ("john@email.com", "wrong password"),
        ("gone", "a password of some length"),
        ("service", "token-of-the-service"),
    ):
        assert told(call(api, "login", {"username": name, "password": password})) == refused
    assert call(api, "login", {"username": "service", "password": "a password of some length"}).status_code == 200


def test_an_update_changes_name_and_password(api: Api, key: str) -> None:
    """The new ones log in and the old ones do not; the password ends every key, the one in use included."""
    other = log_in(api)
    user_id = api.core.accounts.get("john@email.com").id
    done = (200, {"msg": f"User with ID {user_id} has been updated!"})
    assert told(call(api, "update", {"username": "jim@email.com"}, key)) == done
    assert call(api, "login", JOHN).status_code == 400
    assert told(call(api, "update", {"username": "jim@email.com", "password": "another password"}, key)) == done
    for former in (key, other):
        assert told(call(api, "update", {"username": "joe@email.com"}, former)) == UNAUTHORISED
    assert call(api, "login", {"username": "jim@email.com", "password": "superpass123"}).status_code == 400
    assert call(api, "login", {"username": "jim@email.com", "password": "another password"}).status_code == 200
    assert api.core.accounts.get("jim@email.com").id == user_id


def test_an_update_needs_something_good(api: Api, key: str) -> None:
    """Nothing to change, a name that is taken or no address, and a bad password are refused and change nothing."""
    call(api, "register", JOHN | {"username": "ann@email.com"})
    before = api.core.accounts.get("john@email.com")
    for body, refusal in (
        ({}, (400, {"message": "The body gives neither a username nor a password."})),
        ({"username": "jim"}, NO_EMAIL),
        ({"username": "jim", "password": "another password"}, NO_EMAIL),
        (
            {"username": "jim@email.com", "password": "short"},
            (400, {"password": "It must have at least 8 characters."}),
        ),
        ({"username": None}, (400, {"username": "It may not be null."})),
        ({"username": "Ann@email.com"}, (400, {"username": "User already exists."})),
    ):
        assert told(call(api, "update", body, key)) == refusal
    assert api.core.accounts.get("john@email.com") == before


def test_whoever_has_another_name_keeps_it(api: Api) -> None:
    """An account that came in another way need not have an address for its name to change its password."""
    name, password = api.add("joe")
    token = call(api, "login", {"username": name, "password": password}).get_json()["token"]
    assert call(api, "update", {"username": "joe", "password": "another password"}, token).status_code == 200


def test_a_deletion_ends_everything(api: Api, key: str) -> None:
    """The user is gone, and so are its keys."""
    other = log_in(api)
    user_id = api.core.accounts.get("john@email.com").id
    assert told(call(api, "delete", key=key)) == (200, {"msg": f"User with ID {user_id} has been deleted!"})
    for former in (key, other):
        assert told(call(api, "delete", key=former)) == UNAUTHORISED
    assert api.names() == ["root"]
    assert call(api, "register", JOHN).status_code == 200


def test_the_last_admin_stays(api: Api) -> None:
    """It can be deleted here as little as elsewhere."""
    token = call(api, "login", {"username": "root", "password": "correct-horse-battery"}).get_json()["token"]
    answer = call(api, "delete", key=token)
    assert (answer.status_code, answer.get_json().keys()) == (409, {"message"})
    assert api.names() == ["root"]


def test_nobody_is_nobody(api: Api, key: str) -> None:
    """No key, a wrong one, one that is cut off or has a newline, and two different ones are an anonymous caller's."""
    wrong = key[:-1] + ("0" if key[-1] != "0" else "1")
    queries = ["", "user_key=", f"user_key={wrong}", f"user_key={key[:-1]}", f"user_key={key}%0A"]
    queries += [f"user_key={key.upper()}x", f"user_key={key}&user_key={wrong}", f"user_key={key}&user_key="]
    for query in queries:
        for endpoint in ("update", "delete"):
            assert told(api.ask(f"{SHORT}{endpoint}?{query}", {"username": "x@email.com"})) == UNAUTHORISED
    assert told(api.ask(f"{SHORT}delete?user_key={key}", {}, headers={"X-USER-KEY": wrong})) == UNAUTHORISED
    assert api.names() == ["john@email.com", "root"]


def test_a_stale_key_hinders_no_login(api: Api, key: str) -> None:
    """Who sends one along registers and logs in like anybody."""
    for endpoint, body in (("login", JOHN), ("register", JOHN | {"username": "ann@email.com"})):
        assert call(api, endpoint, body, "0" * 40).status_code == 200


def test_the_key_may_come_in_a_header(api: Api, key: str) -> None:
    """``X-USER-KEY`` alone, or beside the same parameter."""
    for query in ("", f"?user_key={key}"):
        answer = api.ask(f"{SHORT}update{query}", {"username": JOHN["username"]}, headers={"X-USER-KEY": key})
        assert answer.status_code == 200


def test_a_page_of_an_allowed_origin_may(make_api: Any, sqlite_environment: dict[str, str]) -> None:
    """Its preflight is told that it may send what the client sends; another origin's calls are refused."""
    friend, stranger = "https://app.example.com", "https://evil.example"
    api = make_api(sqlite_environment | {"ALLOWED_ORIGINS": friend})
    asked = {"Origin": friend, "Access-Control-Request-Method": "POST"}
    preflight = api.ask(f"{LONG}login/", method="OPTIONS", headers=asked)
    assert preflight.status_code == 204
    assert {"Content-Type", "X-USER-KEY"} <= set(preflight.headers["Access-Control-Allow-Headers"].split(", "))
    answer = call(api, "register", JOHN, headers={"Origin": friend})
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (200, friend)
    answer = call(api, "login", JOHN, headers={"Origin": stranger})
    assert (answer.status_code, answer.get_json().keys()) == (403, {"message"})


@pytest.mark.parametrize("endpoint", ["register", "login", "update", "delete"])
def test_other_methods_and_bodies_are_refused(sqlite_api: Api, endpoint: str) -> None:
    """In the surface's own shape: 405, 415, 400 and 413."""
    key = call(sqlite_api, "register", JOHN).get_json()["token"]
    path = f"{LONG}{endpoint}/?user_key={key}"
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        answer = sqlite_api.ask(path, method=method)
        assert (answer.status_code, answer.headers["Allow"], answer.get_json().keys()) == (405, "POST", {"message"})
    if endpoint != "delete":
        for status, body, content_type in (
            (415, "{}", "text/plain"),
            (400, "{", "application/json"),
            (400, "[]", "application/json"),
        ):
            answer = sqlite_api.ask(path, data=body, content_type=content_type)
            assert answer.status_code == status
            assert answer.get_json().keys() == {"message"}
    assert sqlite_api.names() == ["john@email.com", "root"]
