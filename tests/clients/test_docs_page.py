"""The page ``/docs`` of a real Doorman, in a real Chromium."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from tests.api.conftest import authorization
from tests.clients.chromium import MILLISECONDS, Tab
from tests.databases import ADMIN, Environment
from tests.running import Doorman

if TYPE_CHECKING:
    from playwright.sync_api import Browser

READ_USER = "#operations-v2-v2_read_user"


@pytest.fixture
def keen_tab(browser: "Browser") -> Iterator[Tab]:
    """A tab of a browser that knows the admin's password, and gives it whenever it may answer a challenge by itself."""
    with browser.new_context(http_credentials={"username": ADMIN[0], "password": ADMIN[1]}) as context:
        context.set_default_timeout(MILLISECONDS)
        tab = Tab(context.new_page())
        yield tab
    # A status is all that the console has to say.
    assert not [error for error in tab.errors if not error.startswith("Failed to load resource: the server responded")]


def log_in(tab: Tab, password: str) -> None:
    """Give the admin's name and a password to the page."""
    tab.page.click("button.authorize")
    tab.page.fill("#auth-basic-username", ADMIN[0])
    tab.page.fill("#auth-basic-password", password)
    tab.page.click(".auth-container:has(#auth-basic-password) button.authorize")
    tab.page.click(".modal-ux .close-modal")


def log_out(tab: Tab) -> None:
    tab.page.click("button.authorize")
    tab.page.click(".auth-container button:text-is('Logout')")
    tab.page.click(".modal-ux .close-modal")


def read_user(tab: Tab, name: str) -> tuple[str, str]:
    """Try the route for one user; return the status and the body that the page shows."""
    tab.page.fill(f"{READ_USER} tr[data-param-name=user_name] input", name)
    tab.page.click(f"{READ_USER} button.execute")
    shown = tab.page.locator(f"{READ_USER} .live-responses-table tbody")
    status = shown.locator(".response-col_status").inner_text().split()[0]
    body = shown.locator(".response-col_description pre").first.inner_text()
    tab.page.click(f"{READ_USER} button.btn-clear")  # so that the next answer is not taken for this one
    return status, body


def test_the_page_tries_the_api(
    sqlite_environment: Environment, serve: Callable[[Environment], Doorman], keen_tab: Tab
) -> None:
    """The right password opens a route; of a wrong one the page shows the refusal, and the browser is not asked.

    Everything comes from Doorman, under a policy that forbids the rest.
    """
    doorman, page = serve(sqlite_environment), keen_tab.page
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{doorman.url}/docs")
    page.click(f"{READ_USER} .opblock-summary-control")

    log_in(keen_tab, "not the password")
    assert read_user(keen_tab, "root")[0] == "401"
    log_out(keen_tab)
    log_in(keen_tab, ADMIN[1])
    status, body = read_user(keen_tab, "root")
    assert (status, '"user_name": "root"' in body) == ("200", True)

    # What changes something has an Origin, which is Doorman's own.
    change = (
        "key => fetch('api/v2/users/root/refresh', {method: 'POST', headers: {Authorization: key}}).then(r => r.status)"
    )
    assert page.evaluate(change, authorization(ADMIN)) == 200

    assert page.locator("#actions summary").count() == 6
    assert {url for url in asked if not url.startswith((f"{doorman.url}/", "data:"))} == set()
    assert page.evaluate("fetch('https://example.com').then(() => 'sent', () => 'refused')") == "refused"
    keen_tab.errors = [error for error in keen_tab.errors if "https://example.com" not in error]
