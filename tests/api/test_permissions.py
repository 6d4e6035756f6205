"""Who may do what: the contract's table of groups, cell by cell."""

import pytest

from tests.api.conftest import PASSWORD, USERS, Api

DENIED = (403, {"access_allowed": False})
ACTIONS = {
    "list": ("GET", "", None),
    "read": ("GET", "/{}", None),
    "create": ("POST", "/{}", {"password": PASSWORD}),
    "update": ("PUT", "/{}/update", {"name": "Renamed"}),
    "refresh": ("POST", "/{}/refresh", None),
    "delete": ("DELETE", "/{}", None),
    "sessions": ("GET", "/{}/sessions", None),
    "revoke": ("DELETE", "/{}/sessions", None),
}
ALLOWED = {
    "noob": {"own": {*ACTIONS} - {"list", "create"}, "other": set[str]()},
    "manager": {"own": {*ACTIONS} - {"create"}, "other": {"read", "list"}},
    "admin": {"own": set(ACTIONS), "other": set(ACTIONS)},
}


@pytest.mark.parametrize("group", ["noob", "manager", "admin"])
@pytest.mark.parametrize("target", ["own", "other"])
@pytest.mark.parametrize("action", list(ACTIONS))
def test_each_cell_of_the_table(sqlite_api: Api, group: str, target: str, action: str) -> None:
    """Each group may do to itself and to others what the contract allows, and is refused the rest in one shape."""
    caller = sqlite_api.add("caller", group)
    sqlite_api.add("other")
    method, path, body = ACTIONS[action]
    name = "caller" if target == "own" else "other"
    answer = sqlite_api.call(method, "/api/v2/users" + path.format(name), caller, **({"json": body} if body else {}))
    if action in ALLOWED[group][target]:
        # Creating a user who is there is refused for that reason, which shows that access was given.
        assert answer.status_code == 200 or answer.get_json() == {"user_exists": True}
    else:
        assert (answer.status_code, answer.get_json()) == DENIED


@pytest.mark.parametrize("action", ["read", "create", "update", "refresh", "delete", "sessions", "revoke"])
def test_refusals_do_not_tell_who_exists(sqlite_api: Api, action: str) -> None:
    """To a noob, another's name, nobody's name and what cannot be a name are refused alike."""
    caller = sqlite_api.add("caller")
    sqlite_api.add("other")
    method, path, body = ACTIONS[action]
    for name in ("other", "nobody", "not%20a%20name", "a%3Ab"):
        answer = sqlite_api.call(
            method, "/api/v2/users" + path.format(name), caller, **({"json": body} if body else {})
        )
        assert (answer.status_code, answer.get_json()) == DENIED


def test_access_is_checked_before_the_body(sqlite_api: Api) -> None:
    """A caller without access learns nothing from what is wrong with the body, its type, or the query."""
    caller = sqlite_api.add("caller")
    for rest in (
        {"data": b"{", "content_type": "application/json"},
        {"data": b"x", "content_type": "text/plain"},
        {"json": {"password": 1}},
    ):
        assert sqlite_api.call("POST", f"{USERS}/other", caller, **rest).get_json() == {"access_allowed": False}
    assert sqlite_api.get("/other?oauth=2", caller).get_json() == {"access_allowed": False}


def test_nobody_but_an_admin_changes_a_group(sqlite_api: Api) -> None:
    """A noob or manager who names ``user_group`` in an update of itself is refused, whatever the value."""
    for name, group in (("n", "noob"), ("m", "manager")):
        caller = sqlite_api.add(name, group)
        for value in ("admin", group, 5, None):
            answer = sqlite_api.put(f"/{name}/update", {"user_group": value, "name": "Changed"}, caller)
            assert (answer.status_code, answer.get_json()) == DENIED
        assert sqlite_api.core.accounts.get(name).name is None


def test_hashes_are_for_oneself_and_admins(sqlite_api: Api) -> None:
    """A manager reads ``null`` in place of another's hashes, and its own as they are."""
    manager = sqlite_api.add("manager", "manager")
    noob = sqlite_api.add("noob")
    assert sqlite_api.get("/noob", manager).get_json() == {"user_name": "noob", "password": None, "token": None}
    assert sqlite_api.get("/manager", manager).get_json()["password"].startswith("$2b$")
    assert sqlite_api.get("/noob", noob).get_json()["password"].startswith("$2b$")
    assert sqlite_api.get("/noob").get_json()["password"].startswith("$2b$")


def test_oneself_is_oneself_in_any_case(sqlite_api: Api) -> None:
    """A noob reaches its own account under every form of its name, and not the OAuth user of that name."""
    caller = sqlite_api.add("alice")
    assert sqlite_api.get("/ALICE", caller).status_code == 200
    assert sqlite_api.get("/alice?oauth=1", caller).get_json() == {"access_allowed": False}


@pytest.mark.parametrize(
    "spelling", ["01", "+1", "%2B1", "%201", "1%20", "0_1", "%EF%BC%91", "1.0", "true", "1&oauth=0", "0&oauth=1"]
)
def test_no_spelling_reaches_the_oauth_user_of_ones_own_name(sqlite_api: Api, spelling: str) -> None:
    """However ``oauth`` is written, access is judged for the very user that would be acted on."""
    sqlite_api.post("/alice?oauth=1", {"user_group": "admin", "token": "token-of-the-oauth-admin"})
    before = sqlite_api.core.accounts.get("alice", 1)
    for group in ("noob", "manager"):
        caller = sqlite_api.add("alice", group)
        for action in ("update", "refresh", "delete"):
            method, path, body = ACTIONS[action]
            target = f"{USERS}{path.format('alice')}?oauth={spelling}"
            answer = sqlite_api.call(method, target, caller, **({"json": body} if body else {}))
            assert (answer.status_code, answer.get_json()) == DENIED
        assert sqlite_api.get(f"/alice?oauth={spelling}", caller).status_code == (403 if group == "noob" else 400)
        assert sqlite_api.core.accounts.get("alice", 1) == before
        assert sqlite_api.delete("/alice").status_code == 200
    assert sqlite_api.delete(f"/alice?oauth={spelling}").status_code == 400


def test_a_change_of_group_counts_at_the_next_request(sqlite_api: Api) -> None:
    """The group is the stored one, not the one of an earlier request."""
    caller = sqlite_api.add("caller", "manager")
    assert sqlite_api.get("", caller).status_code == 200
    sqlite_api.put("/caller/update", {"user_group": "noob"})
    assert sqlite_api.get("", caller).get_json() == {"access_allowed": False}
