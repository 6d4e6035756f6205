"""Reading the audit trail: who may, by pages, by filters, and failed logins."""

import json
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.api.audited import AUDIT
from tests.api.commands import Commands
from tests.api.conftest import PASSWORD, USERS, Api, authorization
from tests.api.consoles import Visitor, admin_at
from tests.api.cores import Clock, Open
from tests.databases import ADMIN_TOKEN, Environment, dump

TYPED = "hunter2-typed-as-a-name"
LATER = "2100-01-01"
Told = list[dict[str, Any]]


def read(api: Api, query: str = "") -> Told:
    api.core.audit_upkeep.flush()
    found: Told = api.call("GET", f"{AUDIT}?{query}").get_json()["events"]
    return found


def subjects(events: Told) -> list[str | None]:
    return [event["subject"] and event["subject"]["name"] for event in events]


def test_admins_alone_read_the_trail(api: Api) -> None:
    """Not a manager, not a user about itself, nor anybody without a credential."""
    for group in ("noob", "manager"):
        assert api.call("GET", AUDIT, api.add(f"a-{group}", group)).status_code == 403
    assert api.call("GET", AUDIT, None).status_code == 401
    assert api.call("GET", AUDIT, ADMIN_TOKEN).status_code == 200


def test_the_trail_is_paged(api: Api) -> None:
    """From the newest on, by links that keep the filters, with each event once, though others arrive meanwhile."""
    for number in range(7):
        api.add(f"user{number}")
    path, seen = f"{AUDIT}?limit=3&kind=user_created&actor=root", list[str | None]()
    while True:
        answer = api.call("GET", path)
        seen += subjects(answer.get_json()["events"])
        api.add(f"later{len(seen)}")
        if "Link" not in answer.headers:
            break
        link = re.fullmatch(r'<(/api/v2/audit\?[^>]*)>; rel="next"', answer.headers["Link"])
        assert link
        path = link[1]
    assert seen == [f"user{number}" for number in range(6, -1, -1)]


def test_the_trail_is_filtered(api: Api) -> None:
    """By kind, by who did it, to whom, from where and when; in any case of names, and by ids of users who are gone."""
    api.add("Ann", "admin")
    api.add("bob")
    api.delete("/bob", auth=("Ann", PASSWORD), environ_base={"REMOTE_ADDR": "2001:db8::1:2"})
    [gone, made] = read(api, "subject=BOB")
    assert [gone["kind"], made["kind"]] == ["user_deleted", "user_created"]
    bob, ann = gone["subject"]["id"], gone["actor"]["id"]
    since, at = made["at"].replace("+00:00", "Z"), gone["at"]
    for query, found in (
        (f"subject={bob}", 2),
        ("actor=ann", 1),
        (f"actor={ann}", 1),
        ("actor=command+line", 0),
        ("actor=the+system", 1),
        ("kind=user_deleted", 1),
        ("kind=user_deleted&actor=root", 0),
        ("address=2001:db8::1:2", 1),
        ("address=2001:DB8:0::1:2&subject=bob", 1),
        ("address=2001:db8::2", 0),
        (f"subject=bob&since={since}", 2),
        (f"subject=bob&until={since}", 0),
        (f"subject=bob&since={at}", 1),  # the "+" of the offset has become a space
        (f"since={LATER}", 0),
        (f"until={LATER}&subject=bob", 2),
        ("until=2000-01-01", 0),
        ("subject=nobody", 0),
        (f"after={made['id']}&subject=bob", 0),
        (f"after={gone['id']}&subject=bob", 1),
    ):
        assert len(read(api, query)) == found, query


@pytest.mark.parametrize(
    ("query", "field"),
    [
        *((f"limit={value}", "limit") for value in ("0", "1001", "x", "-1")),
        *((f"{name}={value}", name) for name in ("since", "until") for value in ("x", "2026-02-30", "12:00", "2026")),
        ("since=2026-01-01T12:00:00", "since"),
        ("kind=odd", "kind"),
        ("after=x", "after"),
        ("after=" + "G" * 32, "after"),
        ("kind=user_created&kind=user_deleted", "kind"),
        ("before=x", "before"),
        ("actor=%ff", "query"),
    ],
)
def test_a_query_that_cannot_be_is_named(sqlite_api: Api, query: str, field: str) -> None:
    """With the rule that it breaks."""
    answer = sqlite_api.call("GET", f"{AUDIT}?{query}")
    assert answer.status_code == 400
    [(name, [rule])] = answer.get_json()["invalid_parameters"].items()
    assert name == field
    assert rule.startswith("It ")


def wrong_logins(api: Api) -> dict[str, tuple[str, Callable[[dict[str, Any]], Any]]]:
    """Return a wrong login by each way in, with the surface that it is of; each takes where it comes from."""
    body, basic = {"username": "joe", "password": "wrong one"}, {"Authorization": authorization(("joe", "wrong one"))}

    def by_console(more: dict[str, Any]) -> None:
        visitor = Visitor(api)
        visitor._peer |= more["environ_base"]
        visitor.log_in(("joe", "wrong one"))

    def by_websocket(more: dict[str, Any]) -> None:
        assert api.app.conversations is not None
        environ = {"RAW_URI": "/users/", "SCRIPT_NAME": "", "HTTP_HOST": "localhost", "wsgi.url_scheme": "http"}
        conversation: Any = api.app.conversations.begin(environ | more["environ_base"])
        conversation.answer(json.dumps({"action": "login", "data": body}))

    def by(path: str, json: Any = None, **more: Any) -> Callable[[dict[str, Any]], Any]:
        return lambda where: api.ask(path, json, **more, **where)

    return {
        "basic": ("v2", by(USERS, method="GET", headers=basic)),
        "bearer": ("v2", by(USERS, method="GET", headers={"Authorization": "Bearer none-of-anybodys"})),
        "status": ("v2", by("/api/v2/status", method="GET", headers=basic)),
        "audit": ("v2", by(AUDIT, method="GET", headers=basic)),
        "verify": ("v2", by("/api/v2/verify", method="GET", headers=basic)),
        "classic": ("classic", by("/login.json", body)),
        "socket": ("syncano", by("/user-auth/login/", body)),
        "users class": ("syncano", by("/v2/instances/i/users/auth/", body, headers={"X-Api-Key": ADMIN_TOKEN})),
        "api key": ("syncano", by("/v2/instances/i/users/", method="GET", headers={"X-Api-Key": "none-of-anybodys"})),
        "jwt": ("jwt", by("/users/login", {"user": body})),
        "admin": ("jwt", by("/users/permission", {}, headers=basic)),
        "console": ("console", by_console),
        "websocket": ("websocket", by_websocket),
    }


def test_each_failed_login_is_counted_once(api: Api) -> None:
    """By whichever way in: at its address, with its surface, and under the digest of its name, if it has one."""
    api.add("joe")
    nameless = {"bearer", "api key"}
    for number, (way, (surface, log_in)) in enumerate(wrong_logins(api).items()):
        log_in({"environ_base": {"REMOTE_ADDR": f"203.0.113.{number}"}})
        [event] = read(api, f"address=203.0.113.{number}&kind=authn_login_fail")
        assert (event["actor"], event["subject"], event["surface"]) == (None, None, ""), way
        details = event["details"]
        counted = details["count"], details["surfaces"], len(details["names"])
        assert counted == (1, [surface], way not in nameless), way
        assert bool(read(api, f"address=203.0.113.{number}&subject=JOE")) == (way not in nameless)
        assert not read(api, f"address=203.0.113.{number}&subject=ann")


def test_what_is_refused_is_counted_once(api: Api) -> None:
    """A guess that is not looked at, since the one before it was wrong, is told as such."""
    where: dict[str, Any] = {"environ_base": {"REMOTE_ADDR": "203.0.113.9"}}
    for number in range(5):
        api.ask("/login.json", {"username": "joe", "password": f"guess {number}"}, **where)
    counts = {event["kind"]: event["details"]["count"] for event in read(api, "address=203.0.113.9")}
    assert counts == {"authn_login_fail": 1, "excess_rate_limit_exceeded": 4}


def test_no_typed_name_or_password_is_written(api: Api, environment: Environment, tmp_path: Path) -> None:
    """Whatever was typed, where: the database has digests, and the admin finds them by the name alone."""
    for auth in ((TYPED, "a-wrong-password-1"), ("root", f"{TYPED}-2"), ("root", f"{TYPED}-3")):
        assert api.get("", auth).status_code == 401
    api.ask("/login.json", {"username": TYPED, "password": "a-wrong-password-1"})
    assert len(read(api, f"subject={TYPED}")) == 2
    assert len(read(api, "subject=root&kind=authn_login_fail")) == 2
    api.core.close()
    held = dump(environment, tmp_path)
    assert b"authn_login_fail" in held
    assert TYPED.encode() not in held
    assert b"a-wrong-password-1" not in held


def test_what_is_too_old_goes(environment: Environment, open_api: Open, clock: Clock) -> None:
    """After ``AUDIT_DAYS``, by the setting as it is now; with 0 it stays."""
    api = open_api()
    api.add("joe")
    clock.advance(timedelta(days=399).total_seconds())
    for kept_for, left in ((None, 2), (timedelta(days=400), 2), (timedelta(days=398), 0)):
        upkeep = api.core.audit_upkeep
        upkeep._kept_for = kept_for
        upkeep._purge()
        assert len(read(api, "kind=user_created")) == left


def test_the_console_shows_what_has_happened_to_a_user(api: Api) -> None:
    """Changes with who made them, and failed logins at its name, the latest first."""
    api.add("joe")
    api.put("/joe/update", {"user_group": "manager"})
    api.get("", ("joe", "wrong one"), environ_base={"REMOTE_ADDR": "203.0.113.5"})
    api.core.audit_upkeep.flush()
    visitor = admin_at(api)
    visitor.get("users")
    page = visitor.open("GET", f"/console/{visitor.page.links['joe']}").text
    told = ["Login failed: 1 times", "from 203.0.113.5", "Group changed: from noob to manager", "by root"]
    assert all(text in page for text in [*told, "Account created"]), page
    assert page.index("Group changed") < page.index("Account created")


def test_the_command_line_shows_the_trail(api: Api, environment: Environment, tmp_path: Path) -> None:
    """As a table, or with ``--json`` the objects of the API, with its filters; and it writes nothing itself."""
    api.add("joe")
    api.add("eve")
    commands = Commands(environment, tmp_path)
    shown = commands.run("audit", "--subject", "joe", "--json")
    assert [json.loads(line) for line in shown.out.splitlines()] == read(api, "subject=joe")
    assert len(commands.run("audit", "--kind", "user_created", "--limit", "2").out.splitlines()) == 2
    table = commands.run("audit", "--since", "2020-01-01", "--actor", "root").out
    assert [line.split("\t")[1:4] for line in table.splitlines()] == [
        ["user_created", "root", "eve"],
        ["user_created", "root", "joe"],
    ]
    assert "user_group=noob" in table
    assert commands.run("audit", "--until", "yesterday").status == 2
    assert commands.run("audit", "--kind", "odd").status == 2
    assert len(read(api)) == 3
