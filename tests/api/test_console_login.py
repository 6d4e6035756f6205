"""Who gets into the console, how long they stay, and what other pages can make their browsers do."""

import re
from collections.abc import Callable
from urllib.parse import urljoin

import pytest

from api.exchanges import by_command_line
from models import errors
from models.clients import client_at
from models.secret import Secret
from models.sessions import CONSOLE, KINDS
from tests.api.conftest import PASSWORD, Api, authorization
from tests.api.consoles import Page, Visitor, admin_at
from tests.api.cores import Clock, Open
from tests.databases import ADMIN, ADMIN_TOKEN, Environment

FRIEND = "https://app.example.com"
MINUTE, HOUR = 60.0, 3600.0
COOKIE = "doorman-console"
REFUSED = "The name or the password is wrong, or they are not an admin's."


def is_in(visitor: Visitor) -> bool:
    visitor.get("users")
    return visitor.path == "/console/users"


def test_an_admin_logs_in_and_out(api: Api) -> None:
    """The form takes an admin's password and leads to the users; after the logout the session opens nothing."""
    visitor = Visitor(api)
    assert visitor.get("").status == 200
    assert visitor.path == "/console/login?next=users"
    visitor.submit("login", user_name=ADMIN[0], password=ADMIN[1])
    assert visitor.path == "/console/users"
    session = visitor.cookie()
    visitor.submit("logout")
    assert (visitor.path, visitor.page.notice) == ("/console/login", "You are logged out.")
    assert visitor.cookie() is None
    assert visitor.get("login").notice == ""
    visitor.client.set_cookie(COOKIE, session or "")
    assert not is_in(visitor)


def test_a_login_leads_to_the_page_that_was_asked_for(sqlite_api: Api) -> None:
    """To pages of the console alone, wherever somebody else's link says that it shall lead."""
    visitor = Visitor(sqlite_api)
    visitor.get("users?prefix=ro&user_group=admin")
    assert visitor.log_in().status == 200
    visitor = Visitor(sqlite_api)
    visitor.get("users?prefix=ro&user_group=admin&oauth=0")
    visitor.submit("login", user_name=ADMIN[0], password=ADMIN[1])
    assert visitor.path == "/console/users?prefix=ro&user_group=admin&oauth=0"
    for elsewhere in ("//evil.example", "https://evil.example", "../../v2", "users/../../x", "users\r\nX: y", "/x"):
        visitor = Visitor(sqlite_api)
        visitor.log_in(next=elsewhere)
        assert visitor.path == "/console/users"


@pytest.mark.parametrize("wrong", ["password", "name", "noob", "manager", "token", "disabled", "oauth", "nothing"])
def test_everybody_else_is_told_the_same(sqlite_api: Api, wrong: str) -> None:
    """A wrong password, an unknown name and a right password of no admin: one answer, and all count as failures."""
    sqlite_api.add("noob")
    sqlite_api.add("manager", "manager")
    sqlite_api.add("off", "admin", disabled=True)
    with by_command_line():
        sqlite_api.core.accounts.create(None, "netid", {"user_group": "admin"}, 1)
    credential = {
        "password": (ADMIN[0], "a wrong password"),
        "name": ("nobody", PASSWORD),
        "noob": ("noob", PASSWORD),
        "manager": ("manager", PASSWORD),
        "token": (ADMIN[0], ADMIN_TOKEN),
        "disabled": ("off", PASSWORD),
        "oauth": ("netid", PASSWORD),
        "nothing": ("", ""),
    }[wrong]
    visitor = Visitor(sqlite_api)
    page = visitor.log_in(credential)
    assert (page.status, page.alert) == (403, REFUSED)
    assert visitor.cookie() is None
    assert credential[1] == "" or credential[1] not in page.html
    again = visitor.log_in((credential[0], "another password"))
    assert (again.status, again.headers["Retry-After"]) == (429, "1")
    assert again.alert == "Logins from here have failed. Try again in 1 s."


def test_a_right_password_of_no_admin_is_never_quick(sqlite_api: Api) -> None:
    """What a process remembers of it from other surfaces makes no difference either."""
    sqlite_api.add("noob")
    visitor = Visitor(sqlite_api)
    here = {"environ_base": {"REMOTE_ADDR": visitor._peer["REMOTE_ADDR"]}}
    assert sqlite_api.get("/noob", ("noob", PASSWORD), **here).status_code == 200
    assert visitor.log_in(("noob", PASSWORD)).status == 403
    assert visitor.log_in(("noob", PASSWORD)).status == 429


@pytest.mark.parametrize("error", [errors.UnavailableError("canary", 7), RuntimeError("canary")])
def test_what_goes_wrong_is_a_page(sqlite_api: Api, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """A store that is away and a crash are told as a page of the console that leaks nothing."""

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(sqlite_api.core.authenticator, "password", fail)
    page = Visitor(sqlite_api).log_in()
    assert page.status == (503 if isinstance(error, errors.UnavailableError) else 500)
    assert page.headers.get("Retry-After") == ("7" if page.status == 503 else None)
    assert page.alert
    assert "canary" not in page.html
    check_headers(page)


def test_the_cookie(sqlite_api: Api) -> None:
    """It is for this host alone, out of reach of scripts, not sent from other sites, and over TLS for TLS alone."""
    for base_url, name in (("http://localhost", COOKIE), ("https://localhost", f"__Host-{COOKIE}")):
        visitor = Visitor(sqlite_api, base_url)
        visitor.get("login")
        fields = {"user_name": ADMIN[0], "password": ADMIN[1]}
        (set_cookie,) = visitor.ask("POST", "/console/login", data=fields).headers.getlist("Set-Cookie")
        name_and_value, *attributes = set_cookie.split("; ")
        assert re.fullmatch(f"{name}=[A-Za-z0-9]{{27}}", name_and_value)
        secure = ["Secure"] if base_url.startswith("https") else []
        assert attributes == [*secure, "HttpOnly", "Path=/", "SameSite=Strict"]
        assert is_in(visitor)


def test_a_cookie_of_plain_http_opens_nothing_over_tls(sqlite_api: Api) -> None:
    """Anybody on the way could have set it."""
    session = admin_at(sqlite_api).cookie() or ""
    visitor = Visitor(sqlite_api, "https://localhost")
    visitor.client.set_cookie(COOKIE, session, domain="localhost")
    assert not is_in(visitor)


def test_each_login_is_a_new_session(sqlite_api: Api) -> None:
    """An id that was there before the login opens nothing afterwards, whether it was a session's or made up."""
    visitor = admin_at(sqlite_api)
    before = visitor.cookie()
    visitor.ask("POST", "/console/login", data={"user_name": ADMIN[0], "password": ADMIN[1]})
    assert visitor.cookie() not in {before, None}
    stranger = Visitor(sqlite_api)
    for planted in (before or "", "a" * 27):
        stranger.client.set_cookie(COOKIE, planted)
        assert not is_in(stranger)


def test_a_session_ends_after_half_an_hour_and_after_twelve(open_api: Open, clock: Clock) -> None:
    """Without a request for 30 minutes, and 12 hours after the login at the latest, on every replica."""
    api = open_api()
    visitor = admin_at(api)
    clock.advance(29 * MINUTE)
    assert is_in(visitor)
    api.core.uses.flush()
    clock.advance(29 * MINUTE)
    assert is_in(visitor)
    api.core.uses.flush()
    clock.advance(30 * MINUTE)
    assert not is_in(visitor)
    visitor = admin_at(api)
    for _ in range(24):
        clock.advance(29 * MINUTE)
        assert is_in(visitor)
        api.core.uses.flush()
    clock.advance(24 * MINUTE)
    assert not is_in(visitor)


def demote(api: Api) -> None:
    assert api.put("/ann/update", {"user_group": "manager"}).status_code == 200


OUT: dict[str, Callable[[Api], object]] = {
    "demoted": demote,
    "disabled": lambda api: api.put("/ann/update", {"disabled": True}),
    "password": lambda api: api.put("/ann/update", {"password": "another password"}),
    "deleted": lambda api: api.delete("/ann"),
    "revoked": lambda api: api.delete("/ann/sessions"),
}


@pytest.mark.parametrize("change", OUT)
def test_an_admin_who_is_none_any_more_is_out(sqlite_api: Api, change: str) -> None:
    """At the next request: the page leads to the login, and a form changes nothing."""
    visitor = admin_at(sqlite_api, sqlite_api.add("ann", "admin"))
    form = visitor.get("users/new")
    OUT[change](sqlite_api)
    form.form_to("new").fields |= {"user_name": "made", "password": PASSWORD}
    page = visitor.submit("new")
    assert (page.status, page.alert) == (403, "Your session has ended, and nothing was changed. Log in to go on.")
    assert not is_in(visitor)
    assert "made" not in sqlite_api.names()
    if change == "demoted":
        assert sqlite_api.put("/ann/update", {"user_group": "admin"}).status_code == 200
        assert not is_in(visitor)


def test_no_other_credential_opens_the_console(sqlite_api: Api) -> None:
    """Neither a password or token in a header nor the id of a session of another kind, wherever it is put."""
    sqlite_api.add("joe", "admin", token="the-token-of-joe-0123")
    body = {"username": "joe", "password": PASSWORD}
    session, key = (
        sqlite_api.ask("/login.json", body).get_json()["id"],
        sqlite_api.ask("/user-auth/login", body).get_json()["token"],
    )
    token = sqlite_api.ask("/users/login", {"user": body}).get_json()["user"]["token"]
    caller = sqlite_api.core.authenticator.password("joe", Secret(PASSWORD), client_at("192.0.2.1"))
    others = [sqlite_api.core.sessions.begin(caller, kind)[0].reveal() for kind in KINDS if kind is not CONSOLE]
    headers = [
        {"Authorization": authorization(("joe", PASSWORD))},
        {"Authorization": authorization(("joe", "the-token-of-joe-0123"))},
        {"Authorization": authorization("the-token-of-joe-0123")},
        {"Authorization": f"Token {token}"},
        {"X-USER-KEY": key},
        {"X-Api-Key": "the-token-of-joe-0123"},
        *({"Cookie": f"{COOKIE}={secret}; session={secret}"} for secret in (session, key, token, *others)),
    ]
    for given in headers:
        answer = sqlite_api.call("GET", "/console/users", None, headers=given)
        assert (answer.status_code, answer.headers["Location"]) == (303, "login?next=users")
        assert "WWW-Authenticate" not in answer.headers


@pytest.fixture
def allowing(sqlite_environment: Environment, make_api: Callable[[Environment], Api]) -> Api:
    return make_api(sqlite_environment | {"ALLOWED_ORIGINS": FRIEND, "TRUSTED_PROXIES": "10.0.0.0/8"})


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": FRIEND},
        {"Origin": FRIEND, "Sec-Fetch-Site": "same-site"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "https://localhost"},
        {"Origin": "http://localhost:5000"},
    ],
)
def test_pages_of_other_origins_send_no_forms(allowing: Api, headers: dict[str, str]) -> None:
    """Not even those of ``ALLOWED_ORIGINS``, with the right token and the cookie; neither can they log anybody in."""
    visitor = admin_at(allowing)
    visitor.get("users/new")
    fields = visitor.page.form_to("new").fields | {"user_name": "made", "password": PASSWORD}
    page = Page(visitor.ask("POST", "/console/users/new", data=fields, headers=headers))
    assert page.status == 403
    assert "does not come from a page of this console" in page.alert
    login = {"user_name": ADMIN[0], "password": ADMIN[1]}
    answer = Visitor(allowing).ask("POST", "/console/login", data=login, headers=headers)
    assert (answer.status_code, answer.headers.getlist("Set-Cookie")) == (403, [])
    assert allowing.names() == ["root"]


@pytest.mark.parametrize("site", ["cross-site", "same-site", "something"])
def test_a_request_without_origin_tells_where_it_comes_from(sqlite_api: Api, site: str) -> None:
    """A browser that sends no Origin says in Sec-Fetch-Site that the page is another one."""
    login = {"user_name": ADMIN[0], "password": ADMIN[1]}
    for given, status in (({"Sec-Fetch-Site": site}, 403), ({"Sec-Fetch-Site": "same-origin"}, 303), ({}, 303)):
        assert sqlite_api.call("POST", "/console/login", None, data=login, headers=given).status_code == status


def test_no_other_origin_reads_a_page(allowing: Api) -> None:
    """The console's answers have no CORS headers for an origin that the API has them for, preflights included."""
    visitor = admin_at(allowing)
    asked = {"Origin": FRIEND, "Access-Control-Request-Method": "POST"}
    for answer in (
        visitor.ask("GET", "/console/users", headers={"Origin": FRIEND}),
        visitor.ask("GET", "/console/nothing", headers={"Origin": FRIEND}),
        visitor.ask("OPTIONS", "/console/login", headers=asked),
    ):
        assert not [name for name, _ in answer.headers if name.startswith("Access-Control")]
    assert "Access-Control-Allow-Origin" in allowing.get("", headers={"Origin": FRIEND}).headers


@pytest.mark.parametrize("token", ["missing", "empty", "another session's", "changed", "not ascii", "long"])
def test_a_form_needs_the_token_of_its_session(sqlite_api: Api, token: str) -> None:
    """Without it, or with that of another admin or of an earlier login, nothing changes."""
    visitor, other = admin_at(sqlite_api), admin_at(sqlite_api)
    fields = visitor.get("users/new").form_to("new").fields | {"user_name": "made", "password": PASSWORD}
    right = fields["form_token"]
    wrong = {
        "missing": None,
        "empty": "",
        "another session's": other.get("users/new").form_to("new").fields["form_token"],
        "changed": right[:-1] + ("0" if right[-1] != "0" else "1"),
        "not ascii": "é" * len(right),
        "long": right * 2,
    }[token]
    page = visitor.submit("new", user_name="made", password=PASSWORD, form_token=wrong)
    assert (page.status, sqlite_api.names()) == (403, ["root"])
    assert "of an earlier login" in page.alert
    assert right != visitor.get("users/new").form_to("new").fields["form_token"]
    visitor.open("POST", "/console/users/new", data=fields)
    assert sqlite_api.names() == ["made", "root"]


def test_reading_changes_nothing(sqlite_api: Api) -> None:
    """What a form may be sent to is no link: a GET of it shows its form, or does not work."""
    visitor = admin_at(sqlite_api)
    user = sqlite_api.core.accounts.get("root")
    assert visitor.get("logout").status == 405
    assert visitor.get(f"users/{user.id}/sessions?session=all").status == 405
    for page in ("edit", "password", "token", "delete"):
        assert visitor.get(f"users/{user.id}/{page}").status == 200
    assert sqlite_api.core.accounts.get("root") == user
    assert is_in(visitor)


@pytest.mark.parametrize(
    ("content_type", "data"),
    [
        ("application/json", b"{}"),
        ("multipart/form-data; boundary=x", b"--x--"),
        ("text/plain", b"user_name=root"),
        ("application/x-www-form-urlencoded", b"user_name=%ff"),
        ("application/x-www-form-urlencoded", b"user_name=\xff"),
        ("application/x-www-form-urlencoded", b"user_name=a&user_name=b"),
        ("application/x-www-form-urlencoded", b"&".join(b"f%d=" % number for number in range(30))),
        ("application/x-www-form-urlencoded", b"user_name=\0&password=%00"),
    ],
)
def test_what_is_no_form_is_refused(sqlite_api: Api, content_type: str, data: bytes) -> None:
    """As a page, before or after anything was looked at."""
    page = Visitor(sqlite_api).open("POST", "/console/login", data=data, content_type=content_type)
    assert page.status in {400, 403}
    assert page.alert


def check_headers(page: Page) -> None:
    """See that a page runs nothing but the console's files, is in nobody's frame, and is kept by nobody."""
    policy = dict(part.split(" ", 1) for part in page.headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["form-action"] == "'self'"
    assert page.headers["X-Frame-Options"] == "DENY"
    assert page.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert page.headers["Cache-Control"] == "no-store"
    assert page.headers["Referrer-Policy"] == "same-origin"
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    for tag, given in page.elements:
        assert tag != "style"
        assert not {name for name in given if name == "style" or name.startswith("on")}
        assert "src" in given or tag != "script"
        assert not [value for name, value in given.items() if name in {"src", "href", "action"} and ":" in value]


def test_every_page_has_its_headers(sqlite_api: Api) -> None:
    """Pages of those who are logged in and of others, and errors: no script or style stands in them."""
    visitor = Visitor(sqlite_api)
    check_headers(visitor.get("login"))
    visitor.log_in()
    user_id = sqlite_api.core.accounts.get("root").id
    for path in ("users", "users/new", "nothing", "users/none", "users?limit=3", f"users/{user_id}"):
        check_headers(visitor.get(path))
    for path in ("edit", "password", "token", "delete"):
        check_headers(visitor.get(f"users/{user_id}/{path}"))


def test_assets_are_kept_for_good(sqlite_api: Api) -> None:
    """Under the name that pages have for them; under another version's, there is the same, and nobody keeps it."""
    page = Visitor(sqlite_api).get("login")
    names = {given.get("src") or given["href"] for tag, given in page.elements if tag in {"script", "link", "img"}}
    assert len(names) == 3
    for name in names:
        answer = sqlite_api.call("GET", f"/console/{name}", None)
        assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "public, max-age=31536000, immutable")
        stem, digest, suffix = name.rpartition("/")[2].split(".")
        assert re.fullmatch("[0-9a-f]{16}", digest)
        other = sqlite_api.call("GET", f"/console/assets/{stem}.0123456789abcdef.{suffix}", None)
        assert (other.data, other.headers["Cache-Control"]) == (answer.data, "no-store")
        assert answer.content_type.split(";")[0] in {"text/css", "text/javascript", "image/svg+xml"}
    for name in ("none.css", "..", "console", "console.css.map", "__init__.py"):
        assert sqlite_api.call("GET", f"/console/assets/{name}", None).status_code == 404


def test_links_work_behind_a_prefix(sqlite_api: Api) -> None:
    """Whether the server knows of it or not: each link and form leads on below the page itself."""
    for root, is_known in (("/identity/doorman", True), ("/other", False), ("", True)):
        visitor = Visitor(sqlite_api, root=root)
        visitor._peer["SCRIPT_NAME"] = root if is_known else ""
        visitor.get("")
        visitor.submit("login", user_name=ADMIN[0], password=ADMIN[1])
        assert visitor.path == f"{root}/console/users"
        for path in (visitor.page.links["root"], visitor.page.links["New user"]):
            assert visitor.open("GET", urljoin(f"{root}/console/users", path)).status == 200
        visitor.submit("new", user_name=f"made{len(root)}", password=PASSWORD)
        assert visitor.path.startswith(f"{root}/console/users/")
        visitor.submit("logout")
        assert visitor.path == f"{root}/console/login"
        visitor.log_in()
        assert visitor.get("users/a/b/c/d").status == 404
        assert visitor.open("GET", urljoin(visitor.path, visitor.page.links["To the list of users"])).status == 200


def test_the_console_can_be_left_out(sqlite_environment: Environment, make_api: Callable[[Environment], Api]) -> None:
    """Where SURFACES does not name it, nothing is there."""
    api = make_api(sqlite_environment | {"SURFACES": "v2"})
    for path in ("/console", "/console/login", "/console/assets/console.css"):
        assert api.call("GET", path, None).status_code == 404
