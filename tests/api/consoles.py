"""A browser without scripts for the console: it keeps cookies, follows links, and fills in forms."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urljoin, urlsplit

from werkzeug.test import TestResponse

from tests.api.conftest import ADDRESSES, Api
from tests.databases import ADMIN

# What has no content, and so no end.
_VOID = {"meta", "link", "img", "input"}


@dataclass
class HtmlForm:
    """A form as it is shown: where it leads, and what would be sent of it as it is."""

    action: str = ""
    method: str = "get"
    fields: dict[str, str] = field(default_factory=dict)


class Page(HTMLParser):
    """An answer that is a page: its forms, links and text."""

    def __init__(self, answer: TestResponse) -> None:
        super().__init__()
        self.status = answer.status_code
        self.headers = answer.headers
        self.html = answer.get_data(as_text=True)
        self.forms: list[HtmlForm] = []
        self.links: dict[str, str] = {}
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.alert = self.notice = self.secret = ""
        self.listed: list[str] = []  # the names that head the rows of a table
        self._open: list[dict[str, str]] = []
        self._texts: list[str] = []
        self.feed(self.html)
        self.text = " ".join(" ".join(self._texts).split())

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        self.elements.append((tag, given))
        if tag not in _VOID:
            self._open.append(given)
        if tag == "form":
            self.forms.append(HtmlForm(given["action"], given["method"]))
        is_chosen = given.get("type") not in {"radio", "checkbox"} or "checked" in given
        if tag == "input" and "name" in given and is_chosen:
            self.forms[-1].fields[given["name"]] = given.get("value", "")

    def handle_endtag(self, _: str) -> None:
        self._open.pop()

    def handle_data(self, data: str) -> None:
        self._texts.append(data)
        for given in self._open:
            if given.get("role") == "alert":
                self.alert += data
            elif given.get("role") == "status":
                self.notice += data
            elif given.get("id") == "secret":
                self.secret += data
            elif "href" in given:
                self.links[data.strip()] = given["href"]
                self.listed += [data] if {"scope": "row"} in self._open else []

    def form_to(self, end: str) -> HtmlForm:
        """Return the form whose action ends so."""
        (form,) = (form for form in self.forms if form.action.endswith(end))
        return form


class Visitor:
    """One browser, at one address; its last page is ``page``."""

    page: Page
    path: str

    def __init__(self, api: Api, base_url: str = "http://localhost", root: str = "") -> None:
        self.client = api.app.test_client()
        self.base_url = base_url
        self.root = root
        self.peer = next(ADDRESSES)
        self._peer = {"REMOTE_ADDR": self.peer, "SCRIPT_NAME": root}

    def open(self, method: str, path: str, **rest: Any) -> Page:
        """Send one request, and follow where it leads."""
        answer = self.ask(method, path, **rest)
        self.path = path
        while answer.status_code == 303:
            self.path = urljoin(self.path, answer.headers["Location"])
            answer = self.ask("GET", self.path)
        self.page = Page(answer)
        return self.page

    def ask(self, method: str, path: str, **rest: Any) -> TestResponse:
        """Send one request; ``path`` is as a browser has it, with what a proxy would take away."""
        headers = dict(rest.pop("headers", {}))
        if method == "POST":
            headers = {"Origin": self.base_url, "Sec-Fetch-Site": "same-origin"} | headers
        assert path.startswith(self.root), path
        url = urlsplit(path.removeprefix(self.root))
        rest |= {"base_url": self.base_url, "query_string": url.query, "headers": headers}
        return self.client.open(url.path, method=method, environ_overrides=self._peer, **rest)

    def get(self, path: str) -> Page:
        return self.open("GET", f"{self.root}/console/{path}")

    def submit(self, end: str = "", **filled: str | None) -> Page:
        """Send a form of the page, filled in; ``None`` leaves a field out."""
        form = self.page.form_to(end)
        fields = {name: value for name, value in (form.fields | filled).items() if value is not None}
        return self.open("POST", urljoin(self.path, form.action), data=fields)

    def log_in(self, credential: tuple[str, str] = ADMIN, **rest: str) -> Page:
        self.get("login")
        return self.submit("login", user_name=credential[0], password=credential[1], **rest)

    def cookie(self, name: str = "doorman-console") -> str | None:
        """Return the value of a cookie."""
        found = self.client.get_cookie(name, urlsplit(self.base_url).hostname or "")
        return found.value if found is not None else None


def admin_at(api: Api, credential: tuple[str, str] = ADMIN) -> Visitor:
    """Return a browser in which an admin has logged in."""
    visitor = Visitor(api)
    assert visitor.log_in(credential).status == 200, visitor.page.text
    assert visitor.path == "/console/users", visitor.page.alert
    return visitor
