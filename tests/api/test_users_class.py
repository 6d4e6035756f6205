"""The users class, as the contract has it and @syncano/core calls it."""

import json
import re
from typing import Any
from urllib.parse import quote

import pytest
from werkzeug.test import TestResponse

from tests.api.conftest import PASSWORD, Api
from tests.api.cores import Clock, opened_api
from tests.databases import ADMIN_TOKEN, Environment

V2, V3 = "/v2/instances/any-name/users/", "/v3/instances/any-name/users/"
ANN = {"username": "ann", "password": PASSWORD}
NOT_FOUND = (404, {"detail": "Not found."})
SHOWN = {"id", "username", "created_at", "updated_at", "groups"}


def call(api: Api, method: str, path: str, body: Any = None, key: str | None = ADMIN_TOKEN) -> TestResponse:
    return api.ask(path, body, method=method, headers={"X-Api-Key": key} if key is not None else {})


def told(answer: TestResponse) -> tuple[int, Any]:
    return answer.status_code, answer.get_json()


def create(api: Api, user_name: str) -> dict[str, Any]:
    answer = call(api, "POST", V2, ANN | {"username": user_name})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.get_json()
    return made


def found(api: Api, query: object, more: str = "") -> list[str]:
    answer = call(api, "GET", f"{V3}?query={quote(json.dumps(query))}{more}")
    assert answer.status_code == 200, answer.text
    listed = answer.get_json()
    assert (listed["next"], listed["prev"]) == (None, None)
    return [user["username"] for user in listed["objects"]]


def test_a_user_is_created(api: Api) -> None:
    """The answer shows it, with a user key that works, and no hash; it is a noob."""
    made = create(api, "ann")
    assert made.keys() == SHOWN | {"user_key"}
    user = api.core.accounts.get("ann")
    assert (made["id"], made["username"], made["groups"]) == (user.id, "ann", ["noob"])
    assert re.fullmatch("[0-9a-f]{40}", made["user_key"])
    answer = api.ask(f"/user-auth/update?user_key={made['user_key']}", {"username": "ann"})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("changes", "told_fields"),
    [
        ({"username": "root"}, {"username": ["This field must be unique."]}),
        ({"username": "ROOT"}, {"username": ["This field must be unique."]}),
        ({"username": "a b"}, {"username": ["It may not contain spaces."]}),
        ({"username": "ann\n"}, {"username": ["It may not contain control characters."]}),
        ({"username": 5}, {"username": ["It must be a string."]}),
        ({"password": "short"}, {"password": ["It must have at least 8 characters."]}),
        ({"password": None}, {"password": ["It may not be null."]}),
    ],
)
def test_what_cannot_be_created(sqlite_api: Api, changes: dict[str, Any], told_fields: dict[str, Any]) -> None:
    """A broken rule is told under the field's name, and nothing is made."""
    assert told(call(sqlite_api, "POST", V2, ANN | changes)) == (400, told_fields)
    assert sqlite_api.names() == ["root"]


def test_a_user_is_changed(api: Api) -> None:
    """Name and password, one or both; the id stays, and a new password ends the user's keys."""
    made = create(api, "ann")
    path = f"{V2}{made['id']}/"
    answer = call(api, "PATCH", path, {"username": "Anna"})
    assert answer.status_code == 200
    assert answer.get_json().keys() == SHOWN
    assert (answer.get_json()["id"], answer.get_json()["username"]) == (made["id"], "Anna")
    assert call(api, "PATCH", path, {"username": "Anna", "password": "another password"}).status_code == 200
    assert api.ask("/user-auth/delete", {}, headers={"X-USER-KEY": made["user_key"]}).status_code == 401
    assert call(api, "POST", f"{V2}auth/", {"username": "anna", "password": PASSWORD}).status_code == 401
    assert call(api, "POST", f"{V2}auth/", {"username": "anna", "password": "another password"}).status_code == 200


def test_what_cannot_be_changed(api: Api) -> None:
    """A name that is taken, a bad password, nothing at all, and the id of nobody."""
    made = create(api, "ann")
    path = f"{V2}{made['id']}/"
    assert told(call(api, "PATCH", path, {"username": "root"})) == (400, {"username": ["This field must be unique."]})
    assert call(api, "PATCH", path, {"password": "short"}).get_json().keys() == {"password"}
    assert call(api, "PATCH", path, {}).get_json().keys() == {"detail"}
    assert call(api, "PATCH", path, {"groups": ["admin"]}).status_code == 400
    assert told(call(api, "PATCH", f"{V2}{'0' * 24}/", {"username": "zoe"})) == NOT_FOUND
    assert told(call(api, "PATCH", f"{V2}ann/", {"username": "zoe"})) == NOT_FOUND
    assert api.core.accounts.get("ann").user_group == "noob"


def test_a_user_is_deleted(api: Api) -> None:
    """The answer is empty; then nobody has the id, and the key opens nothing."""
    made = create(api, "ann")
    answer = call(api, "DELETE", f"{V2}{made['id']}/")
    assert (answer.status_code, answer.data) == (204, b"")
    assert "Content-Type" not in answer.headers
    assert told(call(api, "DELETE", f"{V2}{made['id']}/")) == NOT_FOUND
    assert api.ask("/user-auth/delete", {}, headers={"X-USER-KEY": made["user_key"]}).status_code == 401
    assert api.names() == ["root"]


def test_the_last_admin_stays(api: Api) -> None:
    """Also where an admin's own token deletes it."""
    user_id = api.core.accounts.get("root").id
    answer = call(api, "DELETE", f"{V2}{user_id}/")
    assert (answer.status_code, answer.get_json().keys()) == (409, {"detail"})


def test_a_user_logs_in(api: Api) -> None:
    """With the password, whatever way it came; each login gives a key of its own."""
    api.add("joe")
    keys = set()
    for _ in range(2):
        answer = call(api, "POST", f"{V2}auth/", {"username": "joe", "password": PASSWORD})
        assert answer.status_code == 200
        assert answer.get_json().keys() == SHOWN | {"user_key"}
        keys.add(answer.get_json()["user_key"])
    assert len(keys) == 2
    for name, password in (("joe", "wrong password"), ("nobody", PASSWORD), ("root", ADMIN_TOKEN)):
        answer = call(api, "POST", f"{V2}auth/", {"username": name, "password": password})
        assert told(answer) == (401, {"detail": "Invalid username or password."})


@pytest.mark.parametrize("version", [V2, V3])
def test_users_are_found(sqlite_api: Api, version: str) -> None:
    """By id, by name in any case, by several of each, and by both at once."""
    ids = {name: create(sqlite_api, name)["id"] for name in ("ann", "bob", "cid")}
    assert sqlite_api.post("/ann?oauth=1", {"user_group": "noob"}).status_code == 200
    for query, names in (
        ({"id": {"_eq": ids["bob"]}}, ["bob"]),
        ({"id": {"_eq": "0" * 24}}, []),
        ({"id": {"_eq": 55}}, []),
        ({"id": {"_in": [ids["cid"], ids["ann"], ids["ann"], None, "x"]}}, ["ann", "cid"]),
        ({"username": {"_eq": "ANN"}}, ["ann"]),
        ({"username": {"_eq": "no\ud7ffbody"}}, []),
        ({"username": {"_in": ["bob", "nobody", "cid", "", "a b"]}}, ["bob", "cid"]),
        ({"username": {"_eq": "ann"}, "id": {"_in": list(ids.values())}}, ["ann"]),
        ({"username": {"_eq": "ann"}, "id": {"_eq": ids["bob"]}}, []),
        ({"id": {"_in": []}}, []),
        ({}, ["ann", "bob", "cid", "root"]),
    ):
        assert found(sqlite_api, query) == names, query
        assert call(sqlite_api, "GET", f"{version}?query={quote(json.dumps(query))}&page_size=1").status_code == 200
    shown = call(sqlite_api, "GET", f"{version}{ids['ann']}/")
    assert (shown.status_code, shown.get_json()["username"], shown.get_json().keys()) == (200, "ann", SHOWN)


@pytest.mark.parametrize(
    "query",
    [
        "query={",
        "query=[]",
        "query=" + quote('{"email": {"_eq": "x"}}'),
        "query=" + quote('{"username": "ann"}'),
        "query=" + quote('{"username": {"_gt": "ann"}}'),
        "query=" + quote('{"username": {"_eq": "ann", "_in": []}}'),
        "query=" + quote('{"username": {}}'),
        "query=" + quote('{"id": {"_in": "x"}}'),
        "query=" + quote(json.dumps({"id": {"_in": ["x"] * 501}})),
        "page_size=0",
        "page_size=501",
        "page_size=x",
        "page_size=1&page_size=2",
        "after=%ff",
        "order_by=-created_at",
    ],
)
def test_what_cannot_be_asked_for(sqlite_api: Api, query: str) -> None:
    """A query that is not understood is refused by the parameter's name; it never answers with everyone."""
    answer = call(sqlite_api, "GET", f"{V3}?{query}")
    name = "query" if "%ff" in query else query.partition("=")[0]
    assert (answer.status_code, answer.get_json().keys()) == (400, {name})


def test_all_are_listed_page_by_page(api: Api) -> None:
    """``next`` leads from page to page, until it is null; no user is twice there, or left out."""
    for name in ("cid", "ann", "Bob", "dan@email.com"):
        create(api, name)
    path: str | None = f"{V3}?page_size=2"
    pages = []
    while path is not None:
        listed = call(api, "GET", path).get_json()
        assert listed.keys() == {"next", "prev", "objects"}
        assert all(user.keys() == SHOWN for user in listed["objects"])
        pages.append([user["username"] for user in listed["objects"]])
        path = listed["next"]
    assert pages == [["ann", "Bob"], ["cid", "dan@email.com"], ["root"]]


@pytest.mark.parametrize("instance", ["%3Fa", "%23", "a%25b", "%0d%0a", "%C3%BC"])
def test_the_next_page_has_the_instances_name(sqlite_api: Api, instance: str) -> None:
    """It leads to the same place, whatever characters the instance's name has."""
    create(sqlite_api, "ann")
    page = call(sqlite_api, "GET", f"/v3/instances/{instance}/users/?page_size=1").get_json()
    assert [user["username"] for user in call(sqlite_api, "GET", page["next"]).get_json()["objects"]] == ["root"]


@pytest.mark.parametrize("group", ["noob", "manager", "admin"])
def test_only_an_admins_token_opens_it(sqlite_api: Api, group: str) -> None:
    """No key, a wrong one, and that of somebody else are refused alike; neither is an admin's password one."""
    sqlite_api.add("ann", group, token="the-token-of-this-user")
    user_id = sqlite_api.core.accounts.get("ann").id
    calls = [("GET", V3, None), ("POST", V2, ANN), ("POST", f"{V2}auth/", ANN)]
    calls += [("GET", f"{V2}{user_id}/", None), ("PATCH", f"{V2}{user_id}/", ANN), ("DELETE", f"{V2}{user_id}/", None)]
    for key in (None, "", "wrong-token-0123456789", "correct-horse-battery", "the-token-of-this-user"):
        if group == "admin" and key == "the-token-of-this-user":
            assert call(sqlite_api, "GET", V3, key=key).status_code == 200
            continue
        for method, path, body in calls:
            assert told(call(sqlite_api, method, path, body, key)) == (403, {"detail": "No such API Key."})
    assert sqlite_api.names() == ["ann", "root"]


def test_oauth_users_are_not_there(sqlite_api: Api) -> None:
    """They have no password to manage, so their ids are nobody's here."""
    assert sqlite_api.post("/ann?oauth=1", {"user_group": "noob"}).status_code == 200
    user_id = sqlite_api.core.accounts.get("ann", 1).id
    for method, body in (("GET", None), ("PATCH", {"password": "another password"}), ("DELETE", None)):
        assert told(call(sqlite_api, method, f"{V2}{user_id}/", body)) == NOT_FOUND


def test_other_methods_are_refused(sqlite_api: Api) -> None:
    """In the surface's own shape, with those that work."""
    for path, allowed in ((V2, "GET, HEAD, POST"), (f"{V2}auth/", "POST"), (f"{V2}x/", "DELETE, GET, HEAD, PATCH")):
        answer = call(sqlite_api, "PUT", path, {})
        assert (answer.status_code, answer.headers["Allow"], answer.get_json().keys()) == (405, allowed, {"detail"})


def test_one_users_failures_keep_nobody_else_out(environment: Environment) -> None:
    """All users of a server come from its address, so each of them is slowed down by itself."""
    here: dict[str, Any] = {"environ_base": {"REMOTE_ADDR": "203.0.113.9"}, "headers": {"X-Api-Key": ADMIN_TOKEN}}

    def log_in(name: str, password: str) -> TestResponse:
        return api.ask(f"{V2}auth/", {"username": name, "password": password}, **here)

    with opened_api(environment, clock=Clock()) as api:
        api.add("joe")
        assert [log_in(f"nobody{number}", "wrong password").status_code for number in range(25)] == [401] * 25
        assert log_in("joe", "wrong password").status_code == 401
        answer = log_in("joe", PASSWORD)
        assert (answer.status_code, answer.get_json().keys()) == (429, {"detail"})
        assert answer.headers["Retry-After"] == "1"
        assert log_in("root", "correct-horse-battery").status_code == 200
