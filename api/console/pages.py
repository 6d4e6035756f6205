"""Pages from templates: what is put into them is text, whatever it holds, and nothing but the console's files runs."""

from datetime import datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from flask import Response, request
from jinja2 import Environment, PackageLoader, StrictUndefined

from api.console.assets import Assets
from api.console.cookies import Cookies
from api.console.forms import Form
from models.credentials import Caller
from models.form_tokens import FormTokens
from models.user import USER_GROUPS

HOME = "users"
_HOME_DEPTH = len(("console", HOME))
_NOTICE = "notice"
# What a page may be told to say first, once, by the one that leads to it.
_NOTICES = {
    "logged-out": "You are logged out.",
    "created": "The user was created.",
    "changed": "The changes are saved.",
    "password": "The password was changed, and all sessions of the user have ended.",
    "deleted": "The user was deleted.",
    "session-ended": "The session has ended.",
    "sessions-ended": "The sessions have ended.",
}
_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # With "no-referrer", browsers send "Origin: null" along with forms, which tells nothing of where they come from.
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",  # for browsers that do not know frame-ancestors
    "X-Robots-Tag": "noindex",
}
_KINDS = {
    "session": "Session of /login.json",
    "user_key": "User key",
    "token": "JSON Web Token",
    "console": "Console",
}


class Pages:
    """Makes pages. Their links are relative to them, so that they work behind any proxy that adds a prefix."""

    def __init__(self, form_tokens: FormTokens, cookies: Cookies, assets: Assets) -> None:
        self._form_tokens = form_tokens
        self._cookies = cookies
        # Not Flask's own, which would look for templates in the folder that Doorman is started in, too.
        self._templates = Environment(
            loader=PackageLoader("api.console"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._templates.globals |= {
            "link": link,
            "asset": lambda name: link(f"assets/{assets.name(name)}"),
            "groups": USER_GROUPS,
            "kinds": _KINDS,
        }
        self._templates.filters["time"] = _shown_time

    def show(self, template: str, caller: Caller | None = None, *, status: int = 200, **values: Any) -> Response:
        """Make a page; its forms are the caller's."""
        notice = self._cookies.read(_NOTICE)
        text = self._templates.get_template(template).render(
            caller=caller,
            form_token=self._form_tokens.make(caller) if caller is not None else None,
            notice=_NOTICES.get(notice),
            **values,
        )
        answer = Response(text, status, content_type="text/html; charset=utf-8")
        if notice:
            self._cookies.drop(answer, _NOTICE)
        return answer

    def show_form(self, template: str, caller: Caller | None, form: Form, **values: Any) -> Response:
        """Make a page with a form, and what is to be said of it."""
        answer = self.show(template, caller, status=form.status, form=form, **values)
        answer.headers.update(form.headers)
        return answer

    def lead(self, path: str, notice: str | None = None, **query: str) -> Response:
        """Lead the browser to another page, which may say ``notice`` first."""
        answer = Response(status=HTTPStatus.SEE_OTHER, headers={"Location": link(path, **query)})
        if notice is not None:
            self._cookies.write(answer, _NOTICE, notice)
        return answer


def add_headers(answer: Response) -> Response:
    """Let a page load nothing but the console's own files, be in nobody's frame, and send forms to Doorman alone."""
    answer.headers.update(_HEADERS)
    return answer


def link(path: str, **query: str | None) -> str:
    """Return the way to a page of the console from the one that was asked for."""
    given = urlencode({name: value for name, value in query.items() if value})
    depth = request.path.count("/") - _HOME_DEPTH
    way = "../" * depth if depth >= 0 else "console/"
    return way + path + (f"?{given}" if given else "")


def _shown_time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M")
