"""Every change, through whatever way in, leaves exactly its events, and nothing that is refused leaves any."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from api import cli
from api.websocket_actions import ACTIONS
from models.origins import NoOriginError
from models.own_changes import MOST_AN_HOUR
from tests.api.audited import AUDIT, Audited
from tests.api.commands import lines
from tests.api.conftest import PASSWORD, USERS, Api
from tests.api.consoles import Visitor, admin_at
from tests.api.cores import Clock, Open
from tests.databases import ADMIN, ADMIN_TOKEN, Environment

ROOT, OTHER = "root", "another password"
CREATED, UPDATED, DELETED = "user_created", "user_updated", "user_deleted"
DISABLED, ENABLED, GROUP = "user_disabled", "user_enabled", "authz_change"
PASSWORD_CHANGED, TOKEN, REVOKED = "authn_password_change", "authn_token_created", "session_revoked"
NOOB = {"user_group": "noob"}
SYSTEM, OPERATOR = "the system", "command line"


@pytest.fixture
def audited(api: Api, environment: Environment, tmp_path: Path) -> Audited:
    """An application over each store, in whose trail the first admin was looked at."""
    audited = Audited(api, environment, tmp_path)
    [made] = audited.events()
    assert (made["kind"], made["actor"]["name"], made["actor"]["id"], made["surface"]) == (
        CREATED,
        SYSTEM,
        None,
        "system",
    )
    assert (made["subject"]["name"], made["details"]) == (ROOT, {"user_group": "admin"})
    return audited


def one_session(kind: str, session_id: str) -> dict[str, Any]:
    return {"sessions": 1, "id": session_id, "kind": kind}


def change_by_v2(audited: Audited) -> None:
    call, expect, ann = audited.call, audited.expect, f"{USERS}/ann"
    call("POST", ann, {"password": PASSWORD}, auth=ADMIN)
    expect("v2", (CREATED, ROOT, "ann", NOOB))
    fields = {"password": OTHER, "user_group": "manager", "disabled": True, "email": "a@example.com", "name": "Ann"}
    call("PUT", f"{ann}/update", fields | {"token": "a-token-of-anns-own"}, auth=ADMIN)
    expect(
        "v2",
        (GROUP, ROOT, "ann", {"from": "noob", "to": "manager"}),
        (DISABLED, ROOT, "ann", {}),
        (PASSWORD_CHANGED, ROOT, "ann", {}),
        (TOKEN, ROOT, "ann", {}),
        (UPDATED, ROOT, "ann", {"fields": ["name", "email"]}),
    )
    call("PATCH", f"{ann}/update", {"disabled": False}, auth=ADMIN_TOKEN)
    expect("v2", (ENABLED, ROOT, "ann", {}))
    call("PATCH", f"{ann}/update", {"name": "Ann"}, auth=("ann", OTHER))
    expect("v2", (UPDATED, "ann", "ann", {"fields": []}))
    call("POST", f"{ann}/refresh", auth=("ann", OTHER))
    expect("v2", (TOKEN, "ann", "ann", {}))
    for _ in range(3):
        call("POST", "/login.json", {"username": "ann", "password": OTHER})
    one = call("GET", f"{ann}/sessions", auth=ADMIN)["sessions"][0]["id"]
    expect("v2")
    call("DELETE", f"{ann}/sessions/{one}", auth=ADMIN)
    expect("v2", (REVOKED, ROOT, "ann", one_session("session", one)))
    call("DELETE", f"{ann}/sessions", auth=("ann", OTHER))
    expect("v2", (REVOKED, "ann", "ann", {"sessions": 2, "kinds": ["session"]}))
    call("DELETE", f"{ann}/sessions", auth=ADMIN)
    expect("v2")
    call("DELETE", ann, auth=ADMIN)
    expect("v2", (DELETED, ROOT, "ann", {"user_group": "manager"}))
    call("POST", f"{ann}?oauth=1", {"name": "Ann of the issuer"}, auth=ADMIN)
    [made] = audited.events()
    assert made["subject"] == {"id": made["subject"]["id"], "name": "ann", "oauth": 1}


def change_by_classic(audited: Audited) -> None:
    call, expect, body = audited.call, audited.expect, {"username": "kim", "password": PASSWORD}
    call("POST", "/createuser.json", body)
    expect("classic", (CREATED, "kim", "kim", NOOB))
    session = call("POST", "/login.json", body)["id"]
    expect("classic")
    call("POST", f"/logout.json?s={session}")
    expect("classic")


def change_by_syncano(audited: Audited) -> None:
    call, expect = audited.call, audited.expect
    for at in ("/user-auth", "/v3/instances/i/endpoints/sockets/user-auth"):
        jo, body = "jo@example.com", {"username": "jo@example.com", "password": PASSWORD}
        call("POST", f"{at}/register/", body)
        expect("syncano", (CREATED, jo, jo, NOOB))
        key = call("POST", f"{at}/login/", body)["token"]
        expect("syncano")
        call("POST", f"{at}/update/?user_key={key}", {"username": "joe@example.com", "password": OTHER})
        renamed = {"fields": ["user_name"], "from": jo, "to": "joe@example.com"}
        expect("syncano", (PASSWORD_CHANGED, jo, jo, {}), (UPDATED, jo, jo, renamed))
        key = call("POST", f"{at}/login/", {"username": "joe@example.com", "password": OTHER})["token"]
        call("POST", f"{at}/delete/?user_key={key}")
        expect("syncano", (DELETED, "joe@example.com", "joe@example.com", NOOB))
    for at in ("/v2/instances/i/users/", "/v3/instances/i/users/"):
        key_of_admin = {"headers": {"X-Api-Key": ADMIN_TOKEN}}
        eve = call("POST", at, {"username": "eve", "password": PASSWORD}, **key_of_admin)["id"]
        expect("syncano", (CREATED, ROOT, "eve", NOOB))
        call("POST", f"{at}auth/", {"username": "eve", "password": PASSWORD}, **key_of_admin)
        expect("syncano")
        call("PATCH", f"{at}{eve}/", {"password": OTHER}, **key_of_admin)
        expect("syncano", (PASSWORD_CHANGED, ROOT, "eve", {}))
        call("DELETE", f"{at}{eve}/", **key_of_admin)
        expect("syncano", (DELETED, ROOT, "eve", NOOB))


def change_by_jwt(audited: Audited) -> None:
    call, expect = audited.call, audited.expect
    for group in ("noob", "manager", "admin"):
        body = {"username": f"m{group}", "password": PASSWORD, "name": "Mike"}
        call("POST", f"/users/{group}", {"user": body}, auth=ADMIN)
        expect("jwt", (CREATED, ROOT, f"m{group}", {"user_group": group}))
    call("POST", "/users/login", {"user": {"username": "mnoob", "password": PASSWORD}})
    [made] = audited.events()
    assert (made["kind"], made["actor"]["name"], made["surface"], made["address"]) == ("key_rotated", SYSTEM, "jwt", "")
    assert made["request_id"] == audited.request_id
    call("POST", "/users/permission", {"user": {"username": "mnoob", "oauth": 0, "permission": "admin"}}, auth=ADMIN)
    expect("jwt", (GROUP, ROOT, "mnoob", {"from": "noob", "to": "admin"}))
    call("POST", "/users/login/oauth", {"user": {"netid": "nettie", "name": "Nettie"}}, auth=ADMIN)
    expect("jwt", (CREATED, ROOT, "nettie", NOOB))


def change_by_websocket(audited: Audited) -> None:
    ask, expect = audited.connect(), audited.expect
    ask("new", username="wes", password=PASSWORD, email="wes@example.com")
    expect("websocket", (CREATED, "wes", "wes", NOOB))
    ask("login", username="wes", password=PASSWORD)
    audited.events()  # a key may have been made
    ask("logout")
    expect("websocket")


def change_by_console(audited: Audited) -> None:
    visitor = admin_at(audited.api)
    audited.address = visitor.peer
    submit = noting(audited, visitor)
    visitor.get("users/new")
    submit("new", user_name="zoe", password=PASSWORD)
    audited.expect("console", (CREATED, ROOT, "zoe", NOOB))
    zoe = visitor.path
    visitor.open("GET", f"{zoe}/edit")
    submit("edit", user_group="manager", disabled="yes", own_password=ADMIN[1])
    audited.expect("console", (GROUP, ROOT, "zoe", {"from": "noob", "to": "manager"}), (DISABLED, ROOT, "zoe", {}))
    visitor.open("GET", f"{zoe}/edit")
    submit("edit", user_group="noob", disabled=None, own_password=ADMIN[1])
    audited.expect("console", (GROUP, ROOT, "zoe", {"from": "manager", "to": "noob"}), (ENABLED, ROOT, "zoe", {}))
    visitor.open("GET", f"{zoe}/password")
    submit("password", password=OTHER, own_password=ADMIN[1])
    audited.expect("console", (PASSWORD_CHANGED, ROOT, "zoe", {}))
    visitor.open("GET", f"{zoe}/token")
    submit("token", own_password=ADMIN[1])
    audited.expect("console", (TOKEN, ROOT, "zoe", {}))
    audited.call("POST", "/login.json", {"username": "zoe", "password": OTHER})
    audited.address = visitor.peer
    visitor.open("GET", zoe)
    [form] = [form for form in visitor.page.forms if form.fields.get("session", "all") != "all"]
    visitor.page.forms = [form]
    submit("sessions")
    audited.expect("console", (REVOKED, ROOT, "zoe", one_session("session", form.fields["session"])))
    visitor.open("GET", f"{zoe}/delete")
    submit("delete", user_name="zoe", own_password=ADMIN[1])
    audited.expect("console", (DELETED, ROOT, "zoe", NOOB))
    visitor.get("users")
    submit("logout")
    audited.expect("console")


def noting(audited: Audited, visitor: Visitor) -> Callable[..., Any]:
    """Return what sends a form, and has its request's id be expected."""

    def submit(end: str = "", **filled: str | None) -> None:
        ask = visitor.ask

        def noted(method: str, path: str, **rest: Any) -> Any:
            answer = ask(method, path, **rest)
            if method == "POST":
                audited.request_id = answer.headers["X-Request-ID"]
                matched = audited.api.app.url_map.bind("localhost").match(path, method, return_rule=True)
                audited.routes.add((method, matched[0].rule))
            return answer

        visitor.ask = noted  # type: ignore[method-assign]  # to hear of it
        try:
            assert visitor.submit(end, **filled).status == 200, visitor.page.text
        finally:
            visitor.ask = ask  # type: ignore[method-assign]  # as it was

    return submit


def change_by_command_line(audited: Audited) -> None:
    run, expect = audited.run, audited.expect
    run("users", "create", "cleo", "--random-password")
    expect(OPERATOR, (CREATED, OPERATOR, "cleo", NOOB))
    run("users", "set", "cleo", "--group", "manager", "--disable")
    expect(OPERATOR, (GROUP, OPERATOR, "cleo", {"from": "noob", "to": "manager"}), (DISABLED, OPERATOR, "cleo", {}))
    run("users", "set", "cleo", "--enable", "--password-stdin", text=f"{OTHER}\n")
    expect(OPERATOR, (ENABLED, OPERATOR, "cleo", {}), (PASSWORD_CHANGED, OPERATOR, "cleo", {}))
    run("users", "refresh-token", "cleo")
    expect(OPERATOR, (TOKEN, OPERATOR, "cleo", {}))
    for _ in range(3):
        audited.api.ask("/login.json", {"username": "cleo", "password": OTHER})
    one = audited.call("GET", f"{USERS}/cleo/sessions", auth=ADMIN)["sessions"][0]["id"]
    run("users", "revoke", "cleo", one)
    expect(OPERATOR, (REVOKED, OPERATOR, "cleo", one_session("session", one)))
    run("users", "revoke", "cleo", "--all")
    expect(OPERATOR, (REVOKED, OPERATOR, "cleo", {"sessions": 2, "kinds": ["session"]}))
    run("users", "delete", "cleo", "--yes")
    expect(OPERATOR, (DELETED, OPERATOR, "cleo", {"user_group": "manager"}))
    run("admin", "create", "boss")
    expect(OPERATOR, (CREATED, OPERATOR, "boss", {"user_group": "admin"}))
    run("admin", "reset-password", "boss")
    expect(OPERATOR, (PASSWORD_CHANGED, OPERATOR, "boss", {}))
    made = run("keys", "rotate")["key_id"]
    expect(OPERATOR, ("key_rotated", OPERATOR, None, {"key_id": made}))
    run("keys", "retire", made)
    expect(OPERATOR, ("key_retired", OPERATOR, None, {"key_id": made}))
    users = [{"user_name": f"user{n}", "password_hash": f"$2b$04${'a' * 53}"} for n in range(250)]
    file = audited.commands.write("users.jsonl", lines(*users))
    run("import", file)
    counts = {"created": 250, "updated": 0, "unchanged": 0, "kept": 0, "failed": 0}
    batches = [("users_imported", OPERATOR, None, {"format": "jsonl", "users": n}) for n in (200, 50)]
    ended = {"format": "jsonl", "outcome": "done", **counts}
    expect(OPERATOR, *batches, ("import_ended", OPERATOR, None, ended))
    changed = [users[0] | {"name": "User 0"}, users[1]]
    run("import", audited.commands.write("users.jsonl", lines(*changed)), "--on-conflict", "update")
    ended |= {"created": 0, "updated": 1, "unchanged": 1}
    told = (UPDATED, OPERATOR, "user0", {"fields": ["name"]})
    expect(OPERATOR, told, ("import_ended", OPERATOR, None, ended))
    run("import", file, "--dry-run")
    expect(OPERATOR)
    run("export", str(audited.commands.directory / "all.jsonl"), "--with-hashes")
    expect(OPERATOR, ("users_exported", OPERATOR, None, {"with_hashes": True}))


def test_every_change_leaves_its_events(audited: Audited) -> None:
    """Through every way in: of the right kinds, with who did it, to whom, where, and in which request."""
    change_by_v2(audited)
    change_by_classic(audited)
    change_by_syncano(audited)
    change_by_jwt(audited)
    change_by_websocket(audited)
    change_by_console(audited)
    change_by_command_line(audited)
    assert changing_routes(audited.api) == audited.routes & changing_routes(audited.api)
    assert ACTIONS.keys() - {"ping", "me", "details"} == audited.actions
    assert set(changing_commands(cli.main)) == audited.ran


def changing_routes(api: Api) -> set[tuple[str, str]]:
    """Return all that an application has of them, with their methods, but what logs in or asks the issuer."""
    unsafe = {"POST", "PUT", "PATCH", "DELETE"}
    found = set()
    for rule in api.app.url_map.iter_rules():
        view = api.app.view_functions[rule.endpoint]
        methods = set(getattr(view, "views", rule.methods or ())) & unsafe
        found |= {(method, rule.rule) for method in methods}
    return found - {("POST", "/console/login")}


def changing_commands(group: click.Group, *path: str) -> Iterator[tuple[str, ...]]:
    """Yield all commands but those that only look."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from changing_commands(command, *path, name)
        elif name not in {"serve", "health", "doctor", "completion", "audit", "list", "show", "sessions"}:
            yield (*path, name)


def test_what_is_refused_leaves_no_event(audited: Audited) -> None:
    """Whatever the reason: no access, a broken rule, a name that is taken, another revision, the last admin."""
    audited.call("POST", f"{USERS}/ann", {"password": PASSWORD}, auth=ADMIN)
    audited.events()
    api, ann = audited.api, ("ann", PASSWORD)
    refused = [
        api.post("/eve", {"password": PASSWORD}, ann),
        api.post("/eve", {"password": "short"}),
        api.post("/ann", {"password": PASSWORD}),
        api.put("/ann/update", {"user_group": "admin"}, ann),
        api.put("/ann/update", {"name": "Ann"}, headers={"If-Match": '"x"'}),
        api.put("/root/update", {"disabled": True}),
        api.delete("/root"),
        api.delete("/nobody"),
        api.delete("/ann/sessions/x"),
        api.ask("/createuser.json", {"username": "ann", "password": PASSWORD}),
        api.ask("/logout.json?s=abc"),
    ]
    assert all(answer.status_code >= 400 for answer in refused)
    assert [event["kind"] for event in audited.events()] == ["authn_login_fail"]  # a taken name tells that it is there


def test_a_change_from_nowhere_is_none(sqlite_api: Api) -> None:
    """Where nobody has said where it comes from, or who does it, nothing is written: by a route of no surface, say."""
    app, core = sqlite_api.app, sqlite_api.core

    def forgotten() -> str:
        core.accounts.delete(None, "joe")
        return "done"

    app.add_url_rule("/forgotten", "forgotten", forgotten, methods=["POST"])
    sqlite_api.add("joe")
    sqlite_api.is_described = False
    assert sqlite_api.ask("/forgotten").status_code == 500
    with pytest.raises(NoOriginError):
        core.accounts.delete(None, "joe")
    assert sqlite_api.names() == ["joe", "root"]


def test_nothing_changes_or_removes_an_event(sqlite_api: Api) -> None:
    """The trail has one route, which reads; deleting a user keeps its events."""
    rules = [rule for rule in sqlite_api.app.url_map.iter_rules() if "audit" in rule.rule]
    assert [(rule.rule, rule.methods) for rule in rules] == [(AUDIT, {"GET", "HEAD"})]
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert sqlite_api.call(method, AUDIT).status_code == 405
    sqlite_api.add("joe")
    sqlite_api.delete("/joe")
    told = sqlite_api.call("GET", f"{AUDIT}?subject=joe").get_json()["events"]
    assert [event["kind"] for event in told] == [DELETED, CREATED]


def test_nobody_fills_the_trail_by_changing_itself(open_api: Open, clock: Clock) -> None:
    """After a hundred changes of oneself in an hour the next one waits, of all kinds, everywhere; an admin's do not."""
    one, other = open_api(), open_api()
    one.add("joe")
    one.add("eve")
    joe = ("joe", PASSWORD)
    for number in range(MOST_AN_HOUR):
        api = (one, other)[number % 2]
        assert api.put("/joe/update", {"name": f"Joe {number}"}, joe).status_code == 200
    one.ask("/login.json", {"username": "joe", "password": PASSWORD})
    for answer in (
        other.put("/joe/update", {"password": OTHER}, joe),
        one.post("/joe/refresh", auth=joe),
        one.delete("/joe/sessions", joe),
    ):
        assert answer.status_code == 429
        assert 0 < int(answer.headers["Retry-After"]) <= 3600
    assert one.put("/joe/update", {"name": "By root"}).status_code == 200
    assert one.put("/eve/update", {"name": "Eve"}, ("eve", PASSWORD)).status_code == 200
    clock.advance(3600)
    assert one.delete("/joe/sessions", joe).get_json() == {"revoked": 1}
    assert one.delete("/joe", joe).status_code == 200
