"""The routes of ``/api/v2/users`` as the contract has them."""

import re

import pytest

from tests.api.conftest import PASSWORD, USERS, Api
from tests.databases import ADMIN

BCRYPT = re.compile(r"\$2b\$04\$[./A-Za-z0-9]{53}")


def test_the_list_names_users_in_order(api: Api) -> None:
    """``GET /api/v2/users`` answers the names of all users, ordered by their keys."""
    for name in ("carol", "Bob", "alice"):
        api.add(name)
    answer = api.get()
    assert (answer.status_code, answer.get_json()) == (200, {"users": ["alice", "Bob", "carol", "root"]})
    assert answer.content_type == "application/json"


def test_create_answers_name_and_both_hashes(api: Api) -> None:
    """Creating answers exactly the user name and the bcrypt hashes of password and token."""
    answer = api.post("/test123", {"password": PASSWORD, "token": "a-token-of-mine-1"})
    body = answer.get_json()
    assert answer.status_code == 200
    assert list(body) == ["user_name", "password", "token"]
    assert body["user_name"] == "test123"
    assert BCRYPT.fullmatch(body["password"])
    assert BCRYPT.fullmatch(body["token"])


def test_created_credentials_open_the_door(api: Api) -> None:
    """A created user gets in by password, by token as Bearer, and by token in the password's place."""
    api.post("/test123", {"password": PASSWORD, "token": "a-token-of-mine-1"})
    for credential in (("test123", PASSWORD), "a-token-of-mine-1", ("test123", "a-token-of-mine-1")):
        assert api.get("/test123", credential).status_code == 200


def test_create_without_a_token_sets_one_that_nobody_sees(api: Api) -> None:
    """A user created without a token has the hash of one, and each has another."""
    first, second = (api.post(f"/{name}", {"password": PASSWORD}).get_json() for name in ("a1", "a2"))
    assert BCRYPT.fullmatch(first["token"])
    assert first["token"] != second["token"]


def test_creating_an_existing_user_is_refused(api: Api) -> None:
    """A taken name, also in another case or width, answers 403 and changes nothing."""
    api.add("alice")
    before = api.get("/alice").get_json()
    for name in ("alice", "ALICE", "\uff41lice"):
        answer = api.post(f"/{name}", {"password": "another password"})
        assert (answer.status_code, answer.get_json()) == (403, {"user_exists": True})
    assert api.get("/alice").get_json() == before


def test_read_shows_name_and_hashes(api: Api) -> None:
    """``GET`` of one user answers what creating it answered, whatever case asks for it."""
    created = api.post("/Alice", {"password": PASSWORD}).get_json()
    assert api.get("/Alice").get_json() == created
    assert api.get("/alice").get_json() == created


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_update_answers_id_name_and_new_hashes(api: Api, method: str) -> None:
    """``PUT`` and ``PATCH`` of ``/update`` change the given fields alone, and answer with the id."""
    before = api.post("/alice", {"password": PASSWORD, "token": "a-token-of-mine-1"}).get_json()
    answer = api.call(method, "/api/v2/users/alice/update", json={"password": "a new password"})
    body = answer.get_json()
    assert answer.status_code == 200
    assert list(body) == ["_id", "user_name", "password", "token"]
    assert re.fullmatch(r"[0-9a-f]{24}", body["_id"]["$oid"])
    assert list(body["_id"]) == ["$oid"]
    assert body["password"] != before["password"]
    assert body["token"] == before["token"]
    assert api.get("/alice", ("alice", "a new password")).status_code == 200
    assert api.get("/alice", ("alice", PASSWORD)).status_code == 401
    assert api.get("/alice", "a-token-of-mine-1").status_code == 200


def test_updating_the_token_ends_the_old_one(api: Api) -> None:
    """An update that names the token replaces it, as Bearer and in the password's place; the password stays."""
    api.add("alice", token="a-token-of-mine-1")
    assert api.put("/alice/update", {"token": "a-token-of-mine-2"}).status_code == 200
    assert api.get("/alice", "a-token-of-mine-1").status_code == 401
    assert api.get("/alice", ("alice", "a-token-of-mine-1")).status_code == 401
    assert api.get("/alice", "a-token-of-mine-2").status_code == 200
    assert api.get("/alice", ("alice", PASSWORD)).status_code == 200


def test_setting_the_same_token_again_is_no_conflict(api: Api) -> None:
    """One's own token may be set once more; it gets another hash and goes on working."""
    api.add("alice", token="a-token-of-mine-1")
    first = api.get("/alice").get_json()["token"]
    second = api.put("/alice/update", {"token": "a-token-of-mine-1"}).get_json()["token"]
    assert first != second
    assert api.get("/alice", "a-token-of-mine-1").status_code == 200


def test_refresh_returns_the_one_raw_token(api: Api) -> None:
    """Refreshing answers 43 characters of base64url that work at once, end the old token, and are stored hashed."""
    api.add("alice", token="a-token-of-mine-1")
    answer = api.post("/alice/refresh")
    token = answer.get_json()["token"]
    assert (answer.status_code, list(answer.get_json())) == (200, ["token"])
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", token)
    assert api.get("/alice", token).status_code == 200
    assert api.get("/alice", "a-token-of-mine-1").status_code == 401
    assert token not in api.get("/alice").text
    assert api.post("/alice/refresh").get_json()["token"] != token


def test_delete_answers_an_empty_object(api: Api) -> None:
    """Deleting answers 200 and ``{}``; the user, its password and its token are gone at the next request."""
    api.add("alice", token="a-token-of-mine-1")
    answer = api.delete("/alice")
    assert (answer.status_code, answer.get_json()) == (200, {})
    assert api.names() == ["root"]
    for credential in (("alice", PASSWORD), ("alice", "a-token-of-mine-1"), "a-token-of-mine-1"):
        assert api.get("/alice", credential).status_code == 401
    assert api.add("alice", token="a-token-of-mine-1")


def test_missing_users_are_told_to_admins(api: Api) -> None:
    """Reading, updating, refreshing and deleting nobody answers 403 ``{"user_exists": false}``."""
    answers = [
        api.get("/nobody"),
        api.put("/nobody/update", {"password": PASSWORD}),
        api.post("/nobody/refresh"),
        api.delete("/nobody"),
    ]
    assert [(answer.status_code, answer.get_json()) for answer in answers] == [(403, {"user_exists": False})] * 4


def test_refresh_and_delete_ignore_their_body(api: Api) -> None:
    """Whatever the body of a refresh or a deletion is, and whatever it calls itself, it does not matter."""
    api.add("alice")
    for method, path in (("POST", "/alice/refresh"), ("DELETE", "/alice")):
        answer = api.call(method, USERS + path, data=b"\xff{", content_type="text/plain")
        assert answer.status_code == 200


def test_optional_fields_are_kept(api: Api) -> None:
    """``name``, ``email``, ``user_group`` and ``disabled`` are stored with a new user, and change by update."""
    api.add("alice", "manager", name="Alice Liddell", email="Alice@Example.com", disabled=True)
    user = api.core.accounts.get("alice")
    assert (user.name, user.email, user.user_group, user.disabled) == (
        "Alice Liddell",
        "Alice@example.com",
        "manager",
        True,
    )
    changes = {"name": None, "email": None, "user_group": "noob", "disabled": False}
    assert api.put("/alice/update", changes).status_code == 200
    user = api.core.accounts.get("alice")
    assert (user.name, user.email, user.user_group, user.disabled) == (None, None, "noob", False)


def test_one_email_address_is_one_users(api: Api) -> None:
    """An address that is another's, in whatever case, is refused by create and update, and free again once cleared."""
    api.add("alice", email="a@example.com")
    api.add("bob")
    refusal = {"invalid_parameters": {"email": ["It is in use."]}}
    taken = api.post("/carol", {"password": PASSWORD, "email": "A@EXAMPLE.com"})
    assert (taken.status_code, taken.get_json()) == (400, refusal)
    taken = api.put("/bob/update", {"email": "A@example.com"})
    assert (taken.status_code, taken.get_json()) == (400, refusal)
    assert api.names() == ["alice", "bob", "root"]
    assert api.put("/alice/update", {"email": None}).status_code == 200
    assert api.put("/bob/update", {"email": "A@example.com"}).status_code == 200


def test_anothers_token_is_refused(api: Api) -> None:
    """A token in use cannot be taken by create or update, and the refusal does not say that it is another's."""
    api.add("alice", token="a-token-of-mine-1")
    api.add("bob")
    refusal = {"invalid_parameters": {"token": ["It cannot be taken; choose another."]}}
    taken = api.post("/carol", {"password": PASSWORD, "token": "a-token-of-mine-1"})
    assert (taken.status_code, taken.get_json()) == (400, refusal)
    taken = api.put("/bob/update", {"token": "a-token-of-mine-1"})
    assert (taken.status_code, taken.get_json()) == (400, refusal)
    assert api.names() == ["alice", "bob", "root"]


def test_oauth_users_are_a_kind_of_their_own(api: Api) -> None:
    """``?oauth=1`` names the OAuth user of a name on every route, and the ordinary one is another account."""
    api.add("hy103")
    created = api.post("/hy103?oauth=1", {"name": "Hy", "token": "token-of-the-oauth-user"})
    assert (created.status_code, created.get_json()["password"]) == (200, None)
    assert api.get("?oauth=1").get_json() == {"users": ["hy103"]}
    assert api.get("/hy103?oauth=1").get_json() == created.get_json()
    assert api.put("/hy103/update?oauth=1", {"name": "Hyacinth"}).status_code == 200
    assert api.post("/hy103/refresh?oauth=1").status_code == 200
    assert api.delete("/hy103?oauth=1").status_code == 200
    assert api.get("?oauth=1").get_json() == {"users": []}
    assert api.get("/hy103").status_code == 200


def test_oauth_users_have_no_password(api: Api) -> None:
    """An OAuth user cannot be given a password, and no password or Basic token opens its account."""
    refused = api.post("/hy103?oauth=1", {"password": PASSWORD})
    assert refused.get_json() == {"invalid_parameters": {"password": ["An OAuth user has no password."]}}
    api.post("/hy103?oauth=1", {"token": "token-of-the-oauth-user"})
    assert api.get("/hy103?oauth=1", ("hy103", "token-of-the-oauth-user")).status_code == 401
    assert api.get("/hy103?oauth=1", "token-of-the-oauth-user").status_code == 200
    assert api.get("/hy103", "token-of-the-oauth-user").status_code == 403


def test_the_etag_is_of_id_and_revision(api: Api) -> None:
    """The entity tag changes with every write and shows nothing of what is stored."""
    api.add("alice")
    first = api.get("/alice").headers["ETag"]
    assert re.fullmatch(r'"[0-9a-f]{24}-1"', first)
    assert api.get("/alice").headers["ETag"] == first
    updated = api.put("/alice/update", {"name": "Alice"}).headers["ETag"]
    assert updated == first.replace("-1", "-2")
    assert api.get("/alice").headers["ETag"] == updated


def test_if_match_guards_update_and_delete(api: Api) -> None:
    """``If-Match`` passes a current tag, alone or among others, and ``*``; all else answers 412 and changes nothing."""
    api.add("alice")
    current = api.get("/alice").headers["ETag"]
    for refused in ('"other"', f"W/{current}", "", "junk"):
        answer = api.put("/alice/update", {"name": "Changed"}, headers={"If-Match": refused})
        assert (answer.status_code, answer.content_type) == (412, "application/problem+json")
        assert api.delete("/alice", headers={"If-Match": refused}).status_code == 412
    assert api.get("/alice").headers["ETag"] == current
    for passed in (current, "*"):
        assert api.put("/alice/update", {"name": "Changed"}, headers={"If-Match": passed}).status_code == 200
    current = api.get("/alice").headers["ETag"]
    assert api.delete("/alice", headers={"If-Match": f'"other", {current}'}).status_code == 200


def test_if_match_on_nobody_tells_that_nobody_is_there(api: Api) -> None:
    """Existence is checked before the precondition."""
    answer = api.delete("/nobody", headers={"If-Match": "*"})
    assert (answer.status_code, answer.get_json()) == (403, {"user_exists": False})


def test_no_answer_is_cached(api: Api) -> None:
    """Every answer, an error too, carries ``Cache-Control: no-store``."""
    answers = [api.get(), api.get("/root"), api.get("/root", None), api.get("/nobody"), api.call("GET", "/elsewhere")]
    assert {answer.headers["Cache-Control"] for answer in answers} == {"no-store"}


def test_routes_are_exact(api: Api) -> None:
    """One more slash, an encoded slash or a doubled one is a 404, never a redirect, and never another route."""
    api.add("alice")
    for path in ("/", "/alice/", "/alice/update/", "/a%2Fb", "/alice%2Fupdate", "/alice%2frefresh", "//alice"):
        for method in ("GET", "POST", "PUT", "DELETE"):
            answer = api.call(method, "/api/v2/users" + path, json={"password": "hijacked password"})
            assert (answer.status_code, answer.content_type) == (404, "application/problem+json"), (method, path)
    assert api.get("/alice", ("alice", PASSWORD)).status_code == 200


def test_other_methods_are_refused_with_those_that_work(api: Api) -> None:
    """405 is a problem document with ``Allow``; OPTIONS is no way around authentication."""
    for method, path, allowed in [
        ("POST", "", "GET, HEAD"),
        ("OPTIONS", "/alice", "DELETE, GET, HEAD, POST"),
        ("GET", "/alice/update", "PATCH, PUT"),
        ("GET", "/alice/refresh", "POST"),
    ]:
        answer = api.call(method, "/api/v2/users" + path, None)
        assert (answer.status_code, answer.headers["Allow"]) == (405, allowed)
        assert answer.get_json()["status"] == 405


def test_the_last_admin_stays(api: Api) -> None:
    """The only enabled admin can be neither deleted, demoted nor disabled: 409, until there is another."""
    api.add("disabled", "admin", disabled=True)
    attempts = [
        api.delete("/root"),
        api.put("/root/update", {"user_group": "noob"}),
        api.put("/root/update", {"disabled": True}),
    ]
    for answer in attempts:
        assert (answer.status_code, answer.content_type) == (409, "application/problem+json")
        assert answer.get_json()["title"] == "Conflict"
    assert api.put("/root/update", {"password": ADMIN[1], "name": "Root"}).status_code == 200
    api.add("second", "admin")
    assert api.put("/root/update", {"user_group": "noob"}).status_code == 200
    assert api.delete("/second", ("second", PASSWORD)).status_code == 409
