"""Sessions over every surface: how long they last, what ends them, and who sees them."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from models.clients import client_at
from models.errors import NotAuthenticatedError
from models.secret import Secret
from models.secret_key import SecretKey
from models.sessions import SESSION, USER_KEY
from tests.api.conftest import PASSWORD, USERS, Api
from tests.api.cores import Clock, Open
from tests.databases import ADMIN, ADMIN_TOKEN, Environment, dump

MINUTE, DAY = 60.0, 86_400.0
JOE, SESSIONS = ("joe", PASSWORD), "/joe/sessions"
BROWSER = {"User-Agent": "Browser/1.0"}


@pytest.fixture
def api(open_api: Open) -> Api:
    api = open_api()
    api.add("joe")
    return api


def log_in(api: Api, password: str = PASSWORD, **rest: Any) -> str:
    """Log joe in for a session of ``/login.json``."""
    answer = api.ask("/login.json", {"username": "joe", "password": password}, **rest)
    assert answer.status_code == 200, answer.text
    session_id: str = answer.get_json()["id"]
    return session_id


def get_key(api: Api, password: str = PASSWORD) -> str:
    """Log joe in for a user key of the socket."""
    answer = api.ask("/user-auth/login", {"username": "joe", "password": password})
    assert answer.status_code == 200, answer.text
    key: str = answer.get_json()["token"]
    return key


def is_open(api: Api, secret: str) -> bool:
    """Tell whether a session goes on, without ending it."""
    kind = SESSION if len(secret) == 15 else USER_KEY
    try:
        api.core.sessions.resume(kind, Secret(secret), client_at("192.0.2.1"))
    except NotAuthenticatedError:
        return False
    return True


def listed(api: Api, auth: Any = JOE) -> list[dict[str, Any]]:
    answer = api.get(SESSIONS, auth)
    assert answer.status_code == 200, answer.text
    sessions: list[dict[str, Any]] = answer.get_json()["sessions"]
    return sessions


def test_an_account_of_any_surface_logs_in_on_all(api: Api) -> None:
    """Rules for names bind who registers, and not who logs in."""
    api.ask("/createuser.json", {"username": "classic", "password": PASSWORD})
    api.ask("/user-auth/register", {"username": "john@email.com", "password": PASSWORD})
    for name in ("joe", "classic", "john@email.com"):
        body = {"username": name, "password": PASSWORD}
        assert api.ask("/login.json", body).get_json()["username"] == name
        assert api.ask("/user-auth/login", body).get_json()["username"] == name
        assert api.get(f"/{name}", (name, PASSWORD)).status_code == 200


CHANGES: dict[str, Callable[[Api], Any]] = {
    "v2": lambda api: api.put("/joe/update", {"password": "another password"}, JOE),
    "v2 admin": lambda api: api.put("/joe/update", {"password": "another password"}),
    "v2 disable": lambda api: api.put("/joe/update", {"disabled": True}),
    "socket": lambda api: api.ask(f"/user-auth/update?user_key={get_key(api)}", {"password": "another password"}),
    "users class": lambda api: api.ask(
        f"/v2/instances/i/users/{api.core.accounts.get('joe').id}/",
        {"password": "another password"},
        method="PATCH",
        headers={"X-Api-Key": ADMIN_TOKEN},
    ),
    "v2 delete": lambda api: api.delete("/joe"),
    "socket delete": lambda api: api.ask(f"/user-auth/delete?user_key={get_key(api)}", {}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_ends_every_session_on_every_replica(open_api: Open, api: Api, change: str) -> None:
    """A new password, a deletion and a disabling on any surface end those of all, at the next request anywhere."""
    replica = open_api()
    api.add("ann")
    secrets = [log_in(api), get_key(api), log_in(replica), get_key(replica)]
    kept = api.ask("/login.json", {"username": "ann", "password": PASSWORD}).get_json()["id"]
    assert all(is_open(one, secret) for one in (api, replica) for secret in secrets)
    assert CHANGES[change](api).status_code == 200
    assert not any(is_open(one, secret) for one in (replica, api) for secret in secrets)
    assert is_open(replica, kept)
    if change == "v2 disable":
        assert api.put("/joe/update", {"disabled": False}).status_code == 200
        assert not any(is_open(api, secret) for secret in secrets)
        assert is_open(api, log_in(api))


def test_other_changes_end_nothing(api: Api) -> None:
    """A name, an address, a group and a token are no reason."""
    secrets = [log_in(api), get_key(api)]
    for change in ({"name": "Joe"}, {"email": "joe@email.com"}, {"user_group": "manager"}, {"disabled": False}):
        assert api.put("/joe/update", change).status_code == 200
    assert api.post("/joe/refresh").status_code == 200
    assert all(is_open(api, secret) for secret in secrets)


def test_a_session_ends_when_it_is_not_used(api: Api, clock: Clock) -> None:
    """Thirty days after the login or the last use, whichever is later, to the millisecond."""
    unused, looked_at, used = (log_in(api) for _ in range(3))
    clock.advance(29 * DAY)
    assert is_open(api, used)
    api.core.uses.flush()
    now = clock.now.isoformat(timespec="milliseconds")
    assert [session["last_used_at"] == now for session in listed(api)].count(True) == 1
    clock.advance(DAY - 0.001)
    assert is_open(api, looked_at)
    clock.advance(0.001)
    assert not is_open(api, unused)
    assert is_open(api, used)


def test_a_session_ends_however_much_it_is_used(api: Api, clock: Clock) -> None:
    """Ninety days after the login it is over, and says so from the start of its last thirty."""
    session_id = log_in(api)
    for _ in range(4):
        clock.advance(20 * DAY)
        assert is_open(api, session_id)
        api.core.uses.flush()
    [session] = listed(api)
    begun, end = (datetime.fromisoformat(session[name]) for name in ("created_at", "expires_at"))
    assert (end - begun).days == 90
    clock.advance(10 * DAY - 0.001)
    assert is_open(api, session_id)
    clock.advance(0.001)
    assert not is_open(api, session_id)


def test_lifetimes_are_settings(open_api: Open, clock: Clock) -> None:
    """Of the two, the earlier end is it."""
    api = open_api(SESSION_IDLE_DAYS="2", SESSION_MAX_DAYS="3")
    api.add("joe")
    session_id = log_in(api)
    clock.advance(2 * DAY - MINUTE)
    assert is_open(api, session_id)
    api.core.uses.flush()
    clock.advance(DAY)
    assert is_open(api, session_id)
    clock.advance(MINUTE)
    assert not is_open(api, session_id)


def test_stricter_lifetimes_hold_for_what_is_there(open_api: Open, api: Api, clock: Clock) -> None:
    """A session that began under longer ones ends, and is shown to end, by those that are set now."""
    session_id = log_in(api)
    strict = open_api(SESSION_IDLE_DAYS="2")
    [session] = listed(strict)
    assert datetime.fromisoformat(session["expires_at"]) == clock.now + timedelta(days=2)
    clock.advance(2 * DAY)
    assert not is_open(strict, session_id)
    assert listed(strict) == []


def test_sessions_are_listed(api: Api, clock: Clock) -> None:
    """With when they began, were used and end, and where they came from; the one that began last is first."""
    here: dict[str, Any] = {"environ_base": {"REMOTE_ADDR": "198.51.100.7"}, "headers": BROWSER}
    log_in(api, **here)
    clock.advance(1)
    get_key(api)
    key, session = listed(api)
    assert (key["kind"], session["kind"]) == ("user_key", "session")
    assert session.keys() == {"id", "kind", "created_at", "last_used_at", "expires_at", "address", "user_agent"}
    assert (session["address"], session["user_agent"]) == ("198.51.100.7", "Browser/1.0")
    for name in ("created_at", "last_used_at", "expires_at"):
        assert datetime.fromisoformat(session[name]).utcoffset() is not None
    assert session["created_at"] == session["last_used_at"] < key["created_at"]
    assert api.get(f"{SESSIONS}/{session['id']}", JOE).get_json() == session


def test_an_id_that_is_shown_opens_nothing(api: Api) -> None:
    """It is no part of the secret one, and is refused wherever that works."""
    secret, key = log_in(api), get_key(api)
    for session in listed(api):
        assert session["id"] not in secret + key
        assert secret not in str(session)
        assert key not in str(session)
        for presented in (session["id"], session["id"][:15], session["id"].ljust(40, "0")):
            assert not is_open(api, presented)
            assert api.ask(f"/logout.json?s={presented}").status_code == 401
            assert api.ask(f"/user-auth/delete?user_key={presented}", {}).status_code == 401


def test_a_user_agent_is_kept_short_and_plain(api: Api) -> None:
    """What a client calls itself fills neither the store nor a terminal with what it likes."""
    log_in(api, headers={"User-Agent": "x\u001b[31m" + "y" * 1000})
    [session] = listed(api)
    assert session["user_agent"].startswith("x[31myyy")
    assert len(session["user_agent"]) == 200


def test_one_session_is_revoked(open_api: Open, api: Api, clock: Clock) -> None:
    """On every replica, and once; the others go on."""
    first = log_in(api)
    clock.advance(1)
    second = log_in(api)
    replica = open_api()
    assert is_open(replica, second)
    named = f"{SESSIONS}/{listed(api)[0]['id']}"
    answer = api.delete(named, JOE)
    assert (answer.status_code, answer.get_json()) == (200, {})
    assert (is_open(replica, first), is_open(replica, second)) == (True, False)
    for method in ("GET", "DELETE"):
        answer = api.call(method, USERS + named, JOE)
        assert (answer.status_code, answer.content_type) == (404, "application/problem+json")
    assert len(listed(api)) == 1


def test_all_sessions_are_revoked_or_all_others(api: Api) -> None:
    """``except`` names the one that stays; of a session that is not there, nothing is revoked."""
    secrets = [log_in(api), log_in(api), get_key(api)]
    kept = listed(api)[0]["id"]
    assert api.delete(f"{SESSIONS}?except=000000000000000000000000", JOE).status_code == 404
    assert all(is_open(api, secret) for secret in secrets)
    assert api.delete(f"{SESSIONS}?except={kept}", JOE).get_json() == {"revoked": 2}
    assert [session["id"] for session in listed(api)] == [kept]
    assert api.delete(SESSIONS, JOE).get_json() == {"revoked": 1}
    assert api.delete(SESSIONS, JOE).get_json() == {"revoked": 0}
    assert not any(is_open(api, secret) for secret in secrets)
    assert is_open(api, log_in(api))


def test_they_are_for_oneself_and_admins(api: Api) -> None:
    """To others it is refused whether or not there is such a user; an admin is told that there is none."""
    log_in(api)
    session_id = listed(api)[0]["id"]
    manager, noob = api.add("manager", "manager"), api.add("noob")
    for caller in (manager, noob):
        for name in ("joe", "nobody"):
            for method, path in (("GET", ""), ("DELETE", ""), ("GET", f"/{session_id}"), ("DELETE", f"/{session_id}")):
                answer = api.call(method, f"{USERS}/{name}/sessions{path}", caller)
                assert (answer.status_code, answer.get_json()) == (403, {"access_allowed": False})
        assert api.get(f"/{caller[0]}/sessions", caller).get_json() == {"sessions": []}
        assert api.get(f"/{caller[0]}/sessions/{session_id}", caller).status_code == 404
        assert api.delete(f"/{caller[0]}/sessions/{session_id}", caller).status_code == 404
    assert len(listed(api, ADMIN)) == 1
    assert api.get("/nobody/sessions").get_json() == {"user_exists": False}
    assert api.get("/joe/sessions?oauth=1").get_json() == {"user_exists": False}
    assert api.delete(f"{SESSIONS}/{session_id}").status_code == 200
    assert api.get("/joe/sessions", None).status_code == 401
    assert api.delete("/joe/sessions?excpet=x").get_json() == {
        "invalid_parameters": {"excpet": ["It is not a field that can be given here."]}
    }


def test_a_user_has_no_more_than_a_hundred(api: Api, clock: Clock) -> None:
    """Of each kind; the one that began first goes first, and others' stay."""
    api.add("ann")
    anns = api.ask("/login.json", {"username": "ann", "password": PASSWORD}).get_json()["id"]
    key = get_key(api)
    secrets = []
    for _ in range(103):
        clock.advance(1)
        secrets.append(log_in(api))
    assert [is_open(api, secret) for secret in secrets] == [False] * 3 + [True] * 100
    assert is_open(api, key)
    assert is_open(api, anns)
    assert len(listed(api)) == 101


def test_only_digests_are_stored(environment: Environment, api: Api, tmp_path: Any) -> None:
    """No id is in the database, whole or in its digits; neither is it in its records' keys."""
    secrets = [log_in(api), get_key(api)]
    stored = dump(environment, tmp_path)
    assert len(listed(api)) == 2
    for secret in secrets:
        assert secret.encode() not in stored
        assert secret[:12].encode() not in stored


def test_a_digest_is_of_one_purpose() -> None:
    """The same secret as another kind of session, or as a token, has another digest."""
    key = SecretKey(Secret("a secret key of this test, and no other"))
    assert key.session_digest("session", Secret("a" * 40)) != key.session_digest("user_key", Secret("a" * 40))
    assert key.session_digest("session", Secret("a" * 40)) != key.token_digest(Secret("a" * 40))
