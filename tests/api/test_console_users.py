"""What admins do in the console: finding users, making and changing them, and ending their sessions."""

from datetime import timedelta
from itertools import chain
from typing import Any

import pytest

from api.exchanges import by_command_line
from models.clients import client_at
from models.credentials import Caller
from models.secret import Secret
from models.sessions import SESSION, TOKEN, USER_KEY
from models.user import User
from tests.api.conftest import PASSWORD, Api
from tests.api.consoles import Page, Visitor, admin_at
from tests.databases import ADMIN
from tests.storage.stores import make_user

OWN = ADMIN[1]
NEW_PASSWORD = "another password of some length"
STALE = "Somebody has changed this user since you opened the page. Nothing was saved: this is how it is now."
WRONG = "Nothing was saved: see what is marked below."


def user_of(api: Api, name: str, oauth: Any = 0) -> User:
    return api.core.accounts.get(name, oauth)


def opened(visitor: Visitor, api: Api, name: str, page: str = "", oauth: Any = 0) -> Page:
    return visitor.get(f"users/{user_of(api, name, oauth).id}" + (f"/{page}" if page else ""))


def logs_in(api: Api, name: str, password: str) -> bool:
    return api.get(f"/{name}", (name, password)).status_code == 200


def marked(page: Page) -> list[str]:
    """Return the fields that are marked as wrong; each of them names the sentence that says why."""
    found = [given for tag, given in page.elements if tag == "input" and given.get("aria-invalid") == "true"]
    ids = {given.get("id") for _, given in page.elements}
    assert all(set(given["aria-describedby"].split()) <= ids for given in found)
    return [given["name"] for given in found]


def test_the_list_is_paged_both_ways(api: Api) -> None:
    """Pages of 25, forward and back by links, of the names that begin as asked, in any case."""
    names = [f"user{number:02}" for number in range(60)]
    api.core.store.insert([make_user(name) for name in names], ())
    visitor = admin_at(api)
    pages = [visitor.get("users?prefix=USER&user_group=&oauth=0").listed]
    assert "← Back" not in visitor.page.links
    while "Next →" in visitor.page.links:
        pages.append(visitor.open("GET", f"/console/{visitor.page.links['Next →']}").listed)
    assert [len(page) for page in pages] == [25, 25, 10]
    assert list(chain.from_iterable(pages)) == names
    for expected in (pages[1], pages[0]):
        assert visitor.open("GET", f"/console/{visitor.page.links['← Back']}").listed == expected
    assert "← Back" not in visitor.page.links


def test_the_list_goes_by_group_and_kind(sqlite_api: Api) -> None:
    """Filters go together; what fits none is said to be empty; what is no filter is refused."""
    sqlite_api.add("mia", "manager")
    with by_command_line():
        sqlite_api.core.accounts.create(None, "net", {"name": "Net"}, 1)
    visitor = admin_at(sqlite_api)
    assert visitor.get("users").listed == ["mia", "root"]
    assert visitor.get("users?user_group=manager").listed == ["mia"]
    assert visitor.get("users?oauth=1").listed == ["net"]
    assert "No user is like that." in visitor.get("users?prefix=mia&user_group=admin").text
    assert "Nobody is on this page any more." in visitor.get("users?after=zzz").text
    for query in ("user_group=root", "oauth=2", "oauth=01", "limit=3", "prefix=%ff", "prefix=a&prefix=b"):
        assert visitor.get(f"users?{query}").status == 400


@pytest.mark.parametrize(
    "name",
    [
        "<script>alert(1)<",
        '"onmouseover="alert(1)',
        "{{7*7}}",
        "'><img",
        "a" * 128,
        "\u05d6\u05d5\u05d4\u05e8",
        "%2e%2e",
        "javascript:alert"[:10],
    ],
)
def test_names_are_text(sqlite_api: Api, name: str) -> None:
    """Whatever a user or its agent is called is shown as it is, by itself, on each page; none becomes an element."""
    shown = "<b>bold</b> & \u05e9\u05dc\u05d5\u05dd"
    with by_command_line():
        sqlite_api.core.accounts.create(None, name, {"password": Secret(PASSWORD), "name": shown})
    user = user_of(sqlite_api, name)
    caller = Caller(user, client_at("192.0.2.1"))
    sqlite_api.core.sessions.begin(caller, SESSION, "<img src=x onerror=alert(1)>\u202eevil")
    visitor = admin_at(sqlite_api)
    for path in ("users", f"users/{user.id}", *(f"users/{user.id}/{page}" for page in ("edit", "token", "delete"))):
        page = visitor.get(path)
        assert page.status == 200
        assert user.user_name in page.text
        assert [given["src"] for tag, given in page.elements if tag == "img"] == [
            given["href"] for tag, given in page.elements if given.get("rel") == "icon"
        ]
        assert "\u202e" not in page.html
        assert not [tag for tag, given in page.elements if "onmouseover" in given]
    assert [tag for tag, _ in visitor.get("users").elements].count("bdi") >= 4


def test_a_user_is_made(sqlite_api: Api) -> None:
    """With the password that was typed, and what else was; then its page is shown."""
    visitor = admin_at(sqlite_api)
    visitor.get("users/new")
    page = visitor.submit("new", user_name="Zoe", password=PASSWORD, name=" Zoe Z ", email="zoe@example.org")
    assert page.notice == "The user was created."
    assert PASSWORD not in page.html
    zoe = user_of(sqlite_api, "zoe")
    assert (zoe.user_name, zoe.name, zoe.email, zoe.user_group) == ("Zoe", "Zoe Z", "zoe@example.org", "noob")
    assert visitor.path == f"/console/users/{zoe.id}"
    assert logs_in(sqlite_api, "zoe", PASSWORD)
    assert visitor.get(f"users/{zoe.id}").notice == ""


def test_a_random_password_is_shown_once(sqlite_api: Api) -> None:
    """It is that of the new user, in the answer alone; to send the form again makes and shows nothing."""
    visitor = admin_at(sqlite_api)
    fields = visitor.get("users/new").form_to("new").fields | {"user_name": "zoe"}
    page = visitor.open("POST", "/console/users/new", data=fields)
    assert len(page.secret) == 24
    assert page.headers["Cache-Control"] == "no-store"
    assert page.secret not in str(page.headers) + visitor.path
    assert logs_in(sqlite_api, "zoe", page.secret)
    again = visitor.open("POST", "/console/users/new", data=fields)
    assert (again.status, again.secret, marked(again)) == (409, "", ["user_name"])


def test_oauth_users_have_no_password(sqlite_api: Api) -> None:
    """They are made without one, and cannot be given one."""
    visitor = admin_at(sqlite_api)
    visitor.get("users/new")
    page = visitor.submit("new", user_name="net", password="ignored where it is not shown", oauth="1")
    assert page.notice == "The user was created."
    assert user_of(sqlite_api, "net", 1).password_hash is None
    assert "Reset password" not in page.links
    opened(visitor, sqlite_api, "net", "password", 1)
    page = visitor.submit("password", password=NEW_PASSWORD, own_password=OWN)
    assert (page.status, marked(page)) == (400, ["password"])


@pytest.mark.parametrize(
    ("filled", "status", "wrong"),
    [
        ({"user_name": "a b"}, 400, ["user_name"]),
        ({"user_name": "root"}, 409, ["user_name"]),
        ({"user_name": "ROOT"}, 409, ["user_name"]),
        ({"user_name": ""}, 400, ["user_name"]),
        ({"password": "short"}, 400, ["password"]),
        ({"password": "short", "email": "no address", "user_name": "a/b"}, 400, ["user_name", "password", "email"]),
        ({"name": "n" * 71}, 400, ["name"]),
        ({"user_group": "root"}, 400, []),
        ({"user_group": None}, 400, []),
        ({"oauth": "7"}, 400, []),
        ({"user_group": "admin"}, 400, ["own_password"]),
        ({"user_group": "manager"}, 400, ["own_password"]),
        ({"user_group": "admin", "own_password": "not my own"}, 403, ["own_password"]),
    ],
)
def test_what_is_wrong_is_said_at_the_field(
    sqlite_api: Api, filled: dict[str, str], status: int, wrong: list[str]
) -> None:
    """The form is shown again as it was filled in, but for passwords, and nobody was made."""
    visitor = admin_at(sqlite_api)
    visitor.get("users/new")
    page = visitor.submit("new", **{"user_name": "zoe", "password": PASSWORD, "name": "Zoe"} | filled)
    assert (page.status, page.alert, marked(page)) == (status, WRONG, wrong)
    assert page.form_to("new").fields["name"] == filled.get("name", "Zoe")
    assert page.form_to("new").fields["password"] == page.form_to("new").fields["own_password"] == ""
    assert sqlite_api.names() == ["root"]


def test_a_user_is_changed(sqlite_api: Api) -> None:
    """Name, address, group and whether it is disabled, as the form says; less power needs no password."""
    sqlite_api.add("zoe", "manager", name="Zoe")
    visitor = admin_at(sqlite_api)
    form = opened(visitor, sqlite_api, "zoe", "edit").form_to("edit")
    assert (form.fields["name"], form.fields["user_group"], "disabled" in form.fields) == ("Zoe", "manager", False)
    page = visitor.submit("edit", name="", email="z@example.org", user_group="noob", disabled="yes")
    assert page.notice == "The changes are saved."
    zoe = user_of(sqlite_api, "zoe")
    assert (zoe.name, zoe.email, zoe.user_group, zoe.disabled) == (None, "z@example.org", "noob", True)
    assert opened(visitor, sqlite_api, "zoe", "edit").form_to("edit").fields["disabled"] == "yes"
    assert visitor.submit("edit", disabled=None, own_password=OWN).notice == "The changes are saved."
    assert logs_in(sqlite_api, "zoe", PASSWORD)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {"user_group": "manager"}),
        ({}, {"user_group": "admin"}),
        ({"user_group": "manager"}, {"user_group": "admin"}),
        ({"user_group": "admin", "disabled": True}, {"disabled": None}),
        ({"disabled": True}, {"disabled": None}),
        ({"user_group": "manager", "disabled": True}, {"disabled": None, "user_group": "noob"}),
        ({"disabled": True}, {"disabled": None, "user_group": "manager"}),
    ],
)
def test_more_power_takes_the_own_password(
    sqlite_api: Api, before: dict[str, Any], after: dict[str, str | None]
) -> None:
    """Who has got hold of a session makes nobody an admin, and enables none, to come back as them."""
    group = before.pop("user_group", "noob")
    sqlite_api.add("zoe", group, **before)
    zoe = user_of(sqlite_api, "zoe")
    visitor = admin_at(sqlite_api)
    for own_password, status in (("", 400), ("wrong", 403)):
        opened(visitor, sqlite_api, "zoe", "edit")
        page = visitor.submit("edit", own_password=own_password, **after)
        assert (page.status, marked(page)) == (status, ["own_password"])
        assert user_of(sqlite_api, "zoe") == zoe
    page = visitor.submit("edit", own_password=OWN, **after)
    # One that was right before passes at once, also right after a wrong one.
    assert page.notice == "The changes are saved."
    assert user_of(sqlite_api, "zoe").user_group == after.get("user_group", group)


@pytest.mark.parametrize("page", ["password", "token", "delete"])
def test_what_outlasts_a_session_takes_the_own_password(sqlite_api: Api, page: str) -> None:
    """A new password, a new token and a deletion; wrong ones are slowed down as wrong logins are."""
    sqlite_api.add("zoe")
    zoe = user_of(sqlite_api, "zoe")
    visitor = admin_at(sqlite_api)
    opened(visitor, sqlite_api, "zoe", page)
    filled = {"user_name": "zoe"} if page == "delete" else {}
    assert marked(visitor.submit(page, own_password="", **filled)) == ["own_password"]
    answer = visitor.submit(page, own_password="wrong", **filled)
    assert (answer.status, marked(answer)) == (403, ["own_password"])
    answer = visitor.submit(page, own_password="wrong as well", **filled)
    assert (answer.status, answer.headers["Retry-After"]) == (429, "1")
    assert user_of(sqlite_api, "zoe") == zoe


def test_a_password_is_reset(sqlite_api: Api) -> None:
    """To the one typed, or a random one that is shown once; the user's sessions end either way."""
    sqlite_api.add("zoe")
    visitor = admin_at(sqlite_api)
    before = sqlite_api.core.sessions.begin(Caller(user_of(sqlite_api, "zoe"), client_at("192.0.2.1")), SESSION)[0]
    opened(visitor, sqlite_api, "zoe", "password")
    page = visitor.submit("password", password=NEW_PASSWORD, own_password=OWN)
    assert page.notice == "The password was changed, and all sessions of the user have ended."
    assert "Nobody is logged in as this user." in page.text
    assert before.reveal() not in page.html
    assert logs_in(sqlite_api, "zoe", NEW_PASSWORD)
    fields = opened(visitor, sqlite_api, "zoe", "password").form_to("password").fields | {"own_password": OWN}
    page = visitor.submit("password", own_password=OWN)
    assert logs_in(sqlite_api, "zoe", page.secret)
    again = visitor.open("POST", f"/console/users/{user_of(sqlite_api, 'zoe').id}/password", data=fields)
    assert (again.status, again.alert, again.secret) == (412, STALE, "")
    assert logs_in(sqlite_api, "zoe", page.secret)


def test_ones_own_password_ends_the_own_session(sqlite_api: Api) -> None:
    """The new one is shown, and the next page asks for it."""
    visitor = admin_at(sqlite_api)
    opened(visitor, sqlite_api, "root", "password")
    secret = visitor.submit("password", own_password=OWN).secret
    visitor.get("users")
    assert visitor.path == "/console/login?next=users"
    assert visitor.log_in((ADMIN[0], secret)).status == 200


def test_a_token_is_refreshed(sqlite_api: Api) -> None:
    """It is shown once, opens what the old one opened, and loading the answer anew makes no other one."""
    sqlite_api.add("zoe", token="the-token-of-zoe-0123")
    visitor = admin_at(sqlite_api)
    fields = opened(visitor, sqlite_api, "zoe", "token").form_to("token").fields | {"own_password": OWN}
    page = visitor.submit("token", own_password=OWN)
    assert len(page.secret) == 43
    assert page.secret not in visitor.path + str(page.headers)
    assert sqlite_api.get("/zoe", page.secret).status_code == 200
    assert sqlite_api.get("/zoe", "the-token-of-zoe-0123").status_code == 401
    again = visitor.open("POST", visitor.path, data=fields)
    assert (again.status, again.alert, again.secret) == (412, STALE, "")
    assert sqlite_api.get("/zoe", page.secret).status_code == 200


@pytest.mark.parametrize("page", ["edit", "password", "token", "delete"])
def test_two_admins_do_not_undo_each_others_changes(sqlite_api: Api, page: str) -> None:
    """Whose page shows what is not so any more is told so, sees what is, and can go on from there."""
    sqlite_api.add("zoe")
    visitor = admin_at(sqlite_api)
    opened(visitor, sqlite_api, "zoe", page)
    assert sqlite_api.put("/zoe/update", {"name": "By the other admin"}).status_code == 200
    zoe = user_of(sqlite_api, "zoe")
    filled = {"edit": {"name": "Mine"}, "delete": {"user_name": "zoe"}}.get(page, {})
    for stale in ({}, {"revision": ""}, {"revision": None}, {"revision": "x"}):
        told = visitor.submit(page, own_password="not looked at", **filled | stale)
        assert (told.status, told.alert, user_of(sqlite_api, "zoe")) == (412, STALE, zoe)
    if page == "edit":
        assert told.form_to("edit").fields["name"] == "By the other admin"
    assert visitor.submit(page, own_password=OWN, **filled).status == 200


@pytest.mark.parametrize("page", ["edit", "password", "token", "delete"])
def test_who_is_quicker_wins(sqlite_api: Api, monkeypatch: pytest.MonkeyPatch, page: str) -> None:
    """A change that comes after the form was looked at, and before it is written, makes it stale as well."""
    sqlite_api.add("zoe")
    visitor = admin_at(sqlite_api)
    opened(visitor, sqlite_api, "zoe", page)
    check = sqlite_api.core.authenticator.password

    def check_slowly(*values: Any, **named: Any) -> Caller:
        with by_command_line():
            sqlite_api.core.accounts.update(None, "zoe", {"name": "By the other admin"})
        return check(*values, **named)

    monkeypatch.setattr(sqlite_api.core.authenticator, "password", check_slowly)
    filled = {"edit": {"user_group": "admin"}, "delete": {"user_name": "zoe"}}.get(page, {})
    told = visitor.submit(page, own_password=OWN, **filled)
    assert (told.status, told.alert, told.secret) == (412, STALE, "")
    zoe = user_of(sqlite_api, "zoe")
    assert (zoe.name, zoe.user_group, zoe.revision) == ("By the other admin", "noob", 2)
    assert logs_in(sqlite_api, "zoe", PASSWORD)


def test_the_last_admin_stays(sqlite_api: Api) -> None:
    """It can be neither deleted, demoted nor disabled, and is told why."""
    visitor = admin_at(sqlite_api)
    for page, filled in (
        ("edit", {"user_group": "noob"}),
        ("edit", {"disabled": "yes"}),
        ("delete", {"user_name": "root", "own_password": OWN}),
    ):
        opened(visitor, sqlite_api, "root", page)
        answer = visitor.submit(page, **filled)
        assert (answer.status, "last enabled admin" in answer.alert) == (409, True)
    assert sqlite_api.names() == ["root"]


def test_a_user_is_deleted_by_its_name(sqlite_api: Api) -> None:
    """Typed in any case, but no other one."""
    sqlite_api.add("Zoe")
    visitor = admin_at(sqlite_api)
    opened(visitor, sqlite_api, "zoe", "delete")
    for name in ("", "joe", "zoe2"):
        page = visitor.submit("delete", user_name=name, own_password=OWN)
        assert (page.status, marked(page)) == (400, ["user_name"])
    zoe = user_of(sqlite_api, "zoe")
    page = visitor.submit("delete", user_name="zoe", own_password=OWN)
    assert (visitor.path, page.notice) == ("/console/users", "The user was deleted.")
    assert sqlite_api.names() == ["root"]
    for path in ("", "/edit", "/token"):
        assert visitor.get(f"users/{zoe.id}{path}").status == 404


def test_sessions_are_seen_and_ended(api: Api) -> None:
    """Each kind with its address, agent and times, one by one and all at once; what is shown opens nothing."""
    api.add("zoe")
    zoe = Caller(user_of(api, "zoe"), client_at("203.0.113.9"))
    begun = [
        api.core.sessions.begin(zoe, kind, f"Agent of {kind.name}") for kind in (SESSION, USER_KEY, TOKEN, SESSION)
    ]
    visitor = admin_at(api)
    page = opened(visitor, api, "zoe")
    for secret, session in begun:
        assert f"Agent of {session.kind}" in page.text
        assert secret.reveal() not in page.html
    assert page.text.count("from 203.0.113.9") == 8  # as sessions, and as events
    assert f"ends {begun[0][1].created_at + timedelta(days=30):%Y-%m-%d %H:%M} UTC" in page.text
    one = next(form for form in page.forms if form.fields.get("session") == begun[0][1].id)
    page = visitor.open("POST", f"/console/users/{zoe.user.id}/sessions", data=one.fields)
    assert page.notice == "The session has ended."
    assert {session.id for session in api.core.sessions.of(zoe.user)} == {session.id for _, session in begun[1:]}
    page = visitor.open("POST", f"/console/users/{zoe.user.id}/sessions", data=one.fields)
    assert page.notice == "The session has ended."
    page = visitor.open("POST", f"/console/users/{zoe.user.id}/sessions", data=one.fields | {"session": "all"})
    assert page.notice == "The sessions have ended."
    assert api.core.sessions.of(zoe.user) == []


def test_ending_all_of_ones_own_sessions_keeps_this_one(sqlite_api: Api) -> None:
    """The others end, as the button says, and the page that asked is shown again."""
    other, visitor = admin_at(sqlite_api), admin_at(sqlite_api)
    page = opened(visitor, sqlite_api, "root")
    assert page.text.count("this one") == 1
    assert "End all others" in page.text
    everything = next(form for form in page.forms if form.fields.get("session") == "all")
    page = visitor.open("POST", f"/console/users/{user_of(sqlite_api, 'root').id}/sessions", data=everything.fields)
    assert (page.status, page.notice) == (200, "The sessions have ended.")
    assert other.get("users").headers.get("Location") is None
    assert other.path == "/console/login?next=users"


@pytest.mark.parametrize("user_id", ["none", "0" * 24, "x" * 500, "%00", "..", "\u00e9", "new2"])
def test_who_is_not_there_is_not_found(sqlite_api: Api, user_id: str) -> None:
    """A page says so, whatever stands in the address."""
    visitor = admin_at(sqlite_api)
    for path in ("", "/edit"):
        assert visitor.get(f"users/{user_id}{path}").status == 404
