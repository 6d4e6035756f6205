"""The system's Chromium, without a window, for tests of what pages see."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.tools import missing

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page

# What the browser is called on Debian, on other systems, and where people have Google's build of it.
NAMES = ("chromium", "chromium-browser", "chromium-headless-shell", "google-chrome", "google-chrome-stable")
MILLISECONDS = 20_000


class Tab:
    """A page that shares no cookie or storage with another one, and the errors that its console shows."""

    def __init__(self, page: "Page") -> None:
        self.page = page
        self.errors: list[str] = []
        page.on("console", self._note)
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _note(self, message: "ConsoleMessage") -> None:
        # Chromium asks for the icon by itself, and that there is none is no error of the page.
        if message.type == "error" and not message.location["url"].endswith("/favicon.ico"):
            self.errors.append(message.text)


# Not for the session: while it is there, its event loop runs in this thread, and asyncio.run has to refuse.
@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """One Chromium for the tests of a file."""
    try:
        # Imported here, because it takes a fifth of a second, and is not to be had on every platform.
        from playwright.sync_api import sync_playwright  # noqa: PLC0415 - see above
    except ImportError:
        missing("Playwright is not installed (make test does it, where there is a package)")
    with sync_playwright() as playwright:
        program = _installed(playwright.chromium.executable_path)
        # Root cannot have Chromium's sandbox, and the tests of CI run as root; elsewhere, it takes user namespaces that
        # containers and some distributions forbid. The pages in here are the tests' own.
        browser = playwright.chromium.launch(executable_path=program, chromium_sandbox=False)
        yield browser
        browser.close()


@pytest.fixture
def tab(browser: "Browser") -> Iterator[Tab]:
    """A tab, whose console has to be without errors at the end; a test that expects some takes them away."""
    with browser.new_context() as context:
        context.set_default_timeout(MILLISECONDS)
        tab = Tab(context.new_page())
        yield tab
    assert tab.errors == []


def _installed(of_playwright: str) -> Path:
    """Return the system's browser, or else the one that ``playwright install chromium`` has fetched."""
    candidates = [Path(found) for name in NAMES if (found := shutil.which(name))] + [Path(of_playwright)]
    return next((path for path in candidates if path.exists()), None) or missing("Chromium is not installed")
