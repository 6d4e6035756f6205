"""The surface ``/users/`` of a real Doorman, as pages in a real Chromium have it."""

import json
import re
import signal
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.clients.chromium import Tab
from tests.databases import Environment
from tests.running import Doorman

DOCUMENTS = Path(__file__).parents[2] / "docs"
PRINTED = "wss://users.example.com/users/"
# The password is the example's.
PASSWORD = "a fine long password"
JANE = {"username": "jane", "email": "jane@example.com", "password": PASSWORD}
PATIENCE = 20.0
# The icon is there, so that the browser does not ask for one.
HEAD = '<!doctype html><link rel="icon" href="data:,">'

Serve = Callable[[Environment], Doorman]

# Sends all frames at once, binary ones as lists of bytes; when each is answered, closes, and tells what came of it.
CONVERSE = """
([url, frames]) => new Promise((resolve) => {
    const connection = new WebSocket(url);
    const seen = [];
    connection.onopen = () => frames.forEach((frame) =>
        connection.send(typeof frame === "string" ? frame : new Uint8Array(frame)));
    connection.onmessage = (event) => {
        seen.push(JSON.parse(event.data));
        if (seen.length === frames.length) connection.close(1000);
    };
    connection.onerror = () => seen.push("error");
    connection.onclose = (event) => resolve([seen, event.code]);
})
"""
# Leaves a promise of how the connection ends.
OPEN = """
(url) => new Promise((resolve, reject) => {
    const connection = new WebSocket(url);
    connection.onopen = () => resolve();
    connection.onerror = () => reject(new Error("It could not be opened."));
    window.end = new Promise((ended) => {
        connection.onclose = ({ code, reason }) => ended([code, reason]);
    });
})
"""


class Site(ThreadingHTTPServer):
    """A web server on a port of this machine, that has one page."""

    page = HEAD

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), PageHandler)
        self.origin = f"http://127.0.0.1:{self.server_port}"


class PageHandler(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(self.server.page.encode())

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as site:
        Thread(target=site.serve_forever, args=(0.01,)).start()
        yield site
        site.shutdown()


@pytest.fixture
def serving(sqlite_environment: Environment, serve: Serve, site: Site) -> Doorman:
    """A Doorman that allows the pages of the site, and has the account of joe."""
    doorman = serve(sqlite_environment | {"ALLOWED_ORIGINS": site.origin})
    assert doorman.call("POST", "/joe", json={"password": PASSWORD}).status_code == 200
    return doorman


def users(doorman: Doorman) -> str:
    return f"ws://127.0.0.1:{doorman.port}/users/"


def frame(action: str, request_id: str | float, **data: str) -> str:
    return json.dumps({"action": action, "data": data, "id": request_id})


def example(document: str, doorman: Doorman) -> str:
    """Return a page that runs a document's example, of which nothing but the URLs are replaced."""
    (script,) = re.findall(r"```js\n(.*?)```", (DOCUMENTS / document).read_text(), re.DOTALL)
    script = script.replace(PRINTED, users(doorman)).replace(PRINTED.replace("wss:", "https:"), f"{doorman.url}/users/")
    assert "example.com" not in script
    return f"{HEAD}<script>{script}</script>"


def test_the_documents_example_works(serving: Doorman, site: Site, tab: Tab) -> None:
    """As printed, on a page of an allowed origin, it logs joe in and shows his name, and no error."""
    site.page = example("websocket.md", serving)
    with tab.page.expect_console_message() as shown:
        tab.page.goto(site.origin)
    assert (shown.value.type, shown.value.text) == ("log", "joe")


def test_the_example_with_a_token_works(serving: Doorman, site: Site, tab: Tab) -> None:
    """As printed, a page logs in by HTTP, and its token opens the WebSocket."""
    site.page = example("tokens.md", serving)
    with tab.page.expect_console_message() as shown:
        tab.page.goto(site.origin)
    assert (shown.value.type, shown.value.text) == ("log", "noob")


def test_the_documents_example_tells_what_is_wrong(serving: Doorman, site: Site, tab: Tab) -> None:
    """Where the login fails, it shows the sentence of the answer, and closes its connection."""
    assert serving.call("DELETE", "/joe").status_code == 200
    site.page = example("websocket.md", serving)
    with tab.page.expect_websocket() as opened, tab.page.expect_console_message() as shown:
        tab.page.goto(site.origin)
    if not opened.value.is_closed():
        opened.value.wait_for_event("close")
    assert (shown.value.type, shown.value.text) == ("error", "Valid credentials are needed.")
    assert tab.errors == ["Valid credentials are needed."]
    tab.errors.clear()


def test_every_action(serving: Doorman, tab: Tab) -> None:
    """A page of Doorman's own origin has every action, all asked at once, each answer in its turn and with its id."""
    tab.page.goto(f"{serving.url}/healthz/live")
    frames = [
        frame("ping", 1),
        frame("new", "zwei", **JANE),
        frame("me", 3),
        frame("login", 4.5, username="jane", password=PASSWORD),
        frame("me", "5"),
        frame("details", 6, username="joe"),
        frame("logout", 7),
        frame("me", 8),
    ]
    answers, code = tab.page.evaluate(CONVERSE, [users(serving), frames])
    assert code == 1000
    assert [(answer["action"], answer["id"]) for answer in answers] == [
        ("pong", 1),
        ("new", "zwei"),
        ("me", 3),
        ("login", 4.5),
        ("me", "5"),
        ("details", 6),
        ("logout", 7),
        ("me", 8),
    ]
    _, made, stranger, login, me, details, logout, left = answers
    jane = {name: JANE[name] for name in ("username", "email")}
    assert made["data"] == {"user_id": made["data"]["user_id"]} | jane
    assert login["data"].keys() == {"token"}
    assert me["data"].items() >= made["data"].items()
    assert details["data"].keys() == {"user_id", "username", "created_at"}
    assert logout["data"] == {"success": True}
    assert stranger["error"] == left["error"] == "Valid credentials are needed."


def test_binary_frames_are_no_requests(serving: Doorman, tab: Tab) -> None:
    """Even one that holds JSON is answered with an error, and the connection lives on."""
    tab.page.goto(f"{serving.url}/healthz/live")
    frames = [frame("ping", 1), list(frame("ping", 2).encode()), frame("ping", 3)]
    answers, code = tab.page.evaluate(CONVERSE, [users(serving), frames])
    assert answers == [{"action": "pong", "id": 1}, {"error": "Invalid data."}, {"action": "pong", "id": 3}]
    assert code == 1000


def test_foreign_pages_cannot_connect(serving: Doorman, site: Site, tab: Tab) -> None:
    """Another name of the same site is another origin: Doorman answers 403, and the page learns only that it failed."""
    tab.page.goto(site.origin.replace("127.0.0.1", "foreign.localhost"))
    with tab.page.expect_console_message() as shown:
        seen, code = tab.page.evaluate(CONVERSE, [users(serving), [frame("ping", 1)]])
    assert (seen, code) == (["error"], 1006)
    assert "Unexpected response code: 403" in shown.value.text
    assert tab.errors == [shown.value.text]
    tab.errors.clear()
    tab.page.goto(site.origin)
    answers, code = tab.page.evaluate(CONVERSE, [users(serving), [frame("ping", 1)]])
    assert (answers, code) == ([{"action": "pong", "id": 1}], 1000)


def test_a_stop_closes_properly(serving: Doorman, site: Site, tab: Tab) -> None:
    """After SIGTERM the page sees 1001 and why, not a connection that broke."""
    tab.page.goto(site.origin)
    tab.page.evaluate(OPEN, users(serving))
    serving.process.send_signal(signal.SIGTERM)
    assert tab.page.evaluate("() => window.end") == [1001, "The service stops."]
    assert serving.process.wait(PATIENCE) == 0
