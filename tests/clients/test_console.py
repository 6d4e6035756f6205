"""The console of a real Doorman, as admins have it in a real Chromium: by keyboard, on a phone, and under attack."""

from collections.abc import Iterator, Mapping
from html import escape
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx
import pytest

from tests.clients.chromium import Tab
from tests.clients.nodejs import HERE
from tests.clients.test_browser import HEAD, Site, site  # noqa: F401 - a fixture
from tests.databases import ADMIN, SECRET_KEY
from tests.running import Doorman, running
from tests.tools import missing

if TYPE_CHECKING:
    from playwright.sync_api import Page

USER_NAME, OWN_PASSWORD = ADMIN
PASSWORD = "a fine long password"
MARKUP, MARKUP_NAME = "<script>alert(1)<", "<img src=x onerror=alert(1)>"
HEBREW, LONG = "\u05d6\u05d5\u05d4\u05e8", "w" * 128
AXE = HERE / "node_modules" / "axe-core" / "axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
# What a refusal's own status makes Chromium say, and nothing else does.
STATUS_NOTE = "Failed to load resource: the server responded with a status of "
# What has the focus is called, and whether one can see that it has it.
FOCUSED = """() => {
    const found = document.activeElement;
    if (found === document.body) return ["", true];  // the browser's own buttons are next
    const style = getComputedStyle(found);
    const isSeen = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
    return [(found.ariaLabel || found.labels?.[0]?.textContent || found.textContent).trim(), isSeen];
}"""


@pytest.fixture(scope="module")
def doorman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doorman]:
    """One Doorman for the tests of this file; each makes the users that it needs."""
    directory = tmp_path_factory.mktemp("console")
    environment = {
        "BASIC_AUTH_USER": USER_NAME,
        "BASIC_AUTH_PASSWORD": OWN_PASSWORD,
        "SECRET_KEY": SECRET_KEY,
        "BCRYPT_ROUNDS": "4",
        "DATABASE_URL": f"sqlite:///{directory}/doorman.db",
        "LOG_LEVEL": "debug",
    }
    with running(environment, directory) as doorman:
        yield doorman


def add(doorman: Doorman, user_name: str, **fields: Any) -> None:
    answer = doorman.call("POST", f"/{quote(user_name)}", json={"password": PASSWORD} | fields)
    assert answer.status_code == 200, answer.text


def go_to(page: "Page", name: str) -> None:
    """Move the focus on until what is called so has it, and can be seen to have it."""
    for _ in range(80):
        page.keyboard.press("Tab")
        focused, is_seen = page.evaluate(FOCUSED)
        assert is_seen, focused
        if focused == name:
            return
    raise AssertionError(f"the focus does not come to {name!r}")


def fill(page: "Page", texts: Mapping[str, str]) -> None:
    """Type into fields, by their labels."""
    for label, text in texts.items():
        go_to(page, label)
        page.keyboard.type(text)


def press(page: "Page", name: str) -> None:
    """Go to a link or a button, press it, and come to the page that it leads to."""
    go_to(page, name)
    with page.expect_navigation():
        page.keyboard.press("Enter")


def check_accessibility(page: "Page", *rules: str) -> None:
    """Hold the page to the rules of WCAG 2.2 AA that a program can check, or to some of them."""
    if not AXE.exists():
        missing("what tests/clients/package.json names is not installed (make test does it)")
    page.evaluate(AXE.read_text())
    found = page.evaluate("(rules) => axe.run(document, {runOnly: rules})", list(rules or RULES))
    broken = [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found["violations"]]
    assert not broken, (page.url, broken)


def log_in(page: "Page", doorman: Doorman) -> None:
    page.goto(f"{doorman.url}/console")
    page.get_by_label("User name").fill(USER_NAME)
    page.get_by_label("Password").fill(OWN_PASSWORD)
    page.get_by_role("button").click()
    page.wait_for_url("**/console/users")


def leave_out_statuses(tab: Tab, *statuses: int) -> None:
    """Let the console have told that the server refused something, in this order, and nothing else."""
    assert [int(error.removeprefix(STATUS_NOTE)[:3]) for error in tab.errors] == list(statuses)
    tab.errors.clear()


def test_making_a_user_by_keyboard(doorman: Doorman, tab: Tab) -> None:
    """An admin logs in, skips the menu, makes a user and copies its password."""
    page = tab.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"{doorman.url}/console")
    check_accessibility(page)
    page.keyboard.type(USER_NAME)  # its field has the focus
    fill(page, {"Password": OWN_PASSWORD})
    press(page, "Log in")
    page.keyboard.press("Tab")
    assert page.evaluate(FOCUSED)[0] == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"

    press(page, "New user")
    page.keyboard.type("may")
    fill(page, {"Name": "May M", "E-mail address": "may@example.org"})
    press(page, "Create the user")
    check_accessibility(page)
    password = page.locator("#secret").inner_text()
    go_to(page, "Copy")
    page.keyboard.press("Enter")
    page.get_by_text("Copied.").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == password
    assert doorman.call("GET", "/may", auth=("may", password)).status_code == 200
    press(page, "Done")
    assert page.title() == "may · Doorman"
    press(page, "Log out")
    page.go_back()
    assert page.url.startswith(f"{doorman.url}/console/login")
    assert password not in doorman.log


def test_changing_a_user_by_keyboard(doorman: Doorman, tab: Tab) -> None:
    """An admin changes the group, the token and the password, ends the sessions, and deletes the user."""
    add(doorman, "zoe")
    page = tab.page
    log_in(page, doorman)
    page.keyboard.press("Tab")
    fill(page, {"Name begins with": "zo"})
    with page.expect_navigation():
        page.keyboard.press("Enter")
    press(page, "zoe")
    press(page, "Edit or change group")
    assert not page.get_by_label("Your own password").is_visible()
    go_to(page, "noob may see and change itself")
    page.keyboard.press("ArrowDown")
    fill(page, {"Your own password": OWN_PASSWORD})
    press(page, "Save")
    assert page.get_by_role("status").inner_text() == "The changes are saved."
    assert page.get_by_text("manager", exact=True).is_visible()

    press(page, "Refresh API token")
    fill(page, {"Your own password": OWN_PASSWORD})
    press(page, "Refresh the token")
    token = page.locator("#secret").inner_text()
    assert doorman.call("GET", "/zoe", auth=("zoe", token)).status_code == 200
    page.reload()  # which sends the form again
    assert "Somebody has changed this user" in page.get_by_role("alert").inner_text()
    assert page.locator("#secret").count() == 0
    assert doorman.call("GET", "/zoe", auth=("zoe", token)).status_code == 200
    leave_out_statuses(tab, 412)

    press(page, "← zoe")
    press(page, "Reset password")
    page.keyboard.type(PASSWORD)
    fill(page, {"Your own password": "not my own"})
    press(page, "Reset the password")
    leave_out_statuses(tab, 403)
    check_accessibility(page)
    page.keyboard.type(OWN_PASSWORD)  # what is wrong has the focus
    fill(page, {"New password": "another fine long one"})
    press(page, "Reset the password")
    login = {"username": "zoe", "password": "another fine long one"}
    assert httpx.post(f"{doorman.url}/login.json", json=login).status_code == 200

    page.reload()
    press(page, "End all")
    assert page.get_by_text("Nobody is logged in as this user.").is_visible()
    press(page, "Delete")
    page.keyboard.type("zoe")
    fill(page, {"Your own password": OWN_PASSWORD})
    press(page, "Delete")
    assert doorman.call("GET", "/zoe").json() == {"user_exists": False}
    for secret in (token, "another fine long one", OWN_PASSWORD):
        assert secret not in doorman.log


def test_on_a_phone(doorman: Doorman, tab: Tab) -> None:
    """No page is wider than 360 pixels, whatever users are called; each is accessible, in the light and in the dark."""
    add(doorman, MARKUP, name=MARKUP_NAME)
    add(doorman, HEBREW)
    add(doorman, LONG, name="W" * 70, email="e" * 60 + "@" + "example." * 20 + "org", user_group="admin")
    login = {"username": LONG, "password": PASSWORD}
    assert httpx.post(f"{doorman.url}/login.json", json=login, headers={"User-Agent": "x" * 200}).status_code == 200
    page = tab.page
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(f"{doorman.url}/console/login")
    page.get_by_label("User name").fill(LONG)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button").click()
    page.wait_for_url("**/console/users")
    for name in (MARKUP, HEBREW, LONG):
        assert page.get_by_role("link", name=name, exact=True).last.inner_text() == name
    user = page.get_by_role("link", name=LONG).last.get_attribute("href")
    paths = ["users", "users?prefix=nobody", "users/new", "nothing"]
    paths += [f"{user}{action}" for action in ("", "/edit", "/password", "/token", "/delete")]
    for path in paths:
        page.goto(f"{doorman.url}/console/{path}")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, path
        check_accessibility(page)
        page.emulate_media(color_scheme="dark")
        check_accessibility(page, "color-contrast")
        page.emulate_media(color_scheme="light")
    leave_out_statuses(tab, 404)


def test_foreign_pages_get_nothing(doorman: Doorman, site: Site, tab: Tab) -> None:  # noqa: F811 - the fixture
    """One of another port, which gets the cookie along, sends no form, even with its token; nor is it shown a frame."""
    page = tab.page
    log_in(page, doorman)
    page.goto(f"{doorman.url}/console/users/new")
    token = page.locator("form.card [name=form_token]").input_value()
    fields = {"form_token": token, "user_name": "evil", "password": PASSWORD, "oauth": "0", "user_group": "noob"}
    inputs = "".join(f'<input name="{name}" value="{escape(value)}">' for name, value in fields.items())
    target = f"{doorman.url}/console/users/new"
    site.page = f'{HEAD}<form method="post" action="{target}">{inputs}<button>Win</button></form>'
    for origin in (site.origin, site.origin.replace("127.0.0.1", "localhost")):
        page.goto(origin)
        page.get_by_role("button", name="Win").click()
        page.wait_for_url(target)
        assert "does not come from a page of this console" in page.get_by_role("alert").inner_text()
        leave_out_statuses(tab, 403)
    assert doorman.call("GET", "/evil").json() == {"user_exists": False}
    site.page = f'{HEAD}<iframe src="{doorman.url}/console/users"></iframe>'
    with page.expect_console_message(lambda message: "frame-ancestors" in message.text):
        page.goto(site.origin)
    tab.errors.clear()
    page.goto(f"{doorman.url}/console/users")
    assert page.get_by_role("heading", name="Users").is_visible()
