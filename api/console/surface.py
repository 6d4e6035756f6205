"""The console, ``/console``: pages for admins. Each view's docstring is its documentation."""

import re

from flask import Blueprint, Response, request
from werkzeug.exceptions import NotFound

from api.console.assets import Assets
from api.console.changes import Changes
from api.console.cookies import Cookies
from api.console.forms import Form, StaleFormError, read_fields
from api.console.logins import Logins
from api.console.pages import HOME, Pages, add_headers
from api.console.sessions import Sessions
from api.console.users import Users
from api.proxies import TrustedProxies
from api.refusals import Answers, ForeignOriginError, Refusal, Refusals
from api.routes import View, add_route, make_surface
from models import errors
from models.core import Core
from models.credentials import Caller

PREFIX = "/console"
_REFUSED = "The name or the password is wrong, or they are not an admin's."
_FOREIGN = (
    "This form does not come from a page of this console, so nothing was changed. Where a proxy stands before Doorman, "
    "TRUSTED_PROXIES has to name it, and it has to pass on Host or X-Forwarded-Host, and X-Forwarded-Proto."
)
_STALE_FORM = "This form is of an earlier login, so nothing was changed. Open the page anew."
_LOGGED_OUT = "Your session has ended, and nothing was changed. Log in to go on."
# Where a login may lead: to what a page of the console was asked for.
_PAGE = re.compile(r"users(/new|/[0-9a-f]{24}(/[a-z]+)?)?(\?[!-~]{0,1000})?")


class Console:
    """The routes of logging in and out, and of what belongs to every page."""

    def __init__(self, core: Core, proxies: TrustedProxies) -> None:
        cookies = Cookies(proxies)
        self._assets = Assets()
        self._pages = Pages(core.form_tokens, cookies, self._assets)
        self._logins = Logins(core, proxies, cookies)
        self._users = Users(core, self._pages, self._logins)
        self._changes = Changes(core, self._pages, self._logins)
        self._sessions = Sessions(core, self._pages)

    def blueprint(self) -> Blueprint:
        own: Answers = {
            errors.NotAuthenticatedError: lambda _: self._ask_to_log_in(),
            ForeignOriginError: lambda _: self._tell(Refusal(403, _FOREIGN)),
            StaleFormError: lambda _: self._tell(Refusal(403, _STALE_FORM)),
        }
        blueprint = make_surface("console", Refusals(self._tell, own))
        blueprint.after_request(add_headers)
        shown, changing = self._logins.shown, self._logins.changing
        users, changes = self._users, self._changes
        routes: dict[str, dict[str, View]] = {
            "": {"GET": self.home},
            "/login": {"GET": self.login_page, "POST": self.login},
            "/logout": {"POST": changing(self.logout)},
            "/assets/<file_name>": {"GET": self.read_asset},
            "/users": {"GET": shown(users.list_users)},
            "/users/new": {"GET": shown(users.new_page), "POST": changing(users.create)},
            "/users/<user_id>": {"GET": shown(users.read_user)},
            "/users/<user_id>/edit": {"GET": shown(changes.edit_page), "POST": changing(changes.edit)},
            "/users/<user_id>/password": {"GET": shown(changes.password_page), "POST": changing(changes.set_password)},
            "/users/<user_id>/token": {"GET": shown(changes.token_page), "POST": changing(changes.refresh_token)},
            "/users/<user_id>/delete": {"GET": shown(changes.delete_page), "POST": changing(changes.delete)},
            "/users/<user_id>/sessions": {"POST": changing(self._sessions.end)},
            "/<path:_>": {"GET": self.nothing},
        }
        for path, views in routes.items():
            add_route(blueprint, PREFIX + path, **views)
        return blueprint

    def home(self) -> Response:
        """Lead to the list of users."""
        return self._pages.lead(HOME)

    def login_page(self) -> Response:
        """Show the form to log in with, or lead on whoever is logged in."""
        try:
            self._logins.caller()
        except errors.NotAuthenticatedError:
            return self._login_form(Form({"next": request.args.get("next", "")}))
        return self._pages.lead(HOME)

    def login(self) -> Response:
        """Log an admin in. Any refusal says the same, whatever is wrong."""
        form = Form(read_fields())

        def begin() -> Response:
            answer = self._pages.lead(form["next"] if _PAGE.fullmatch(form["next"]) else HOME)
            self._logins.begin(form["user_name"], form.secret("password"), answer)
            return answer

        try:
            answer = form.attempt(begin)
        except errors.NotAuthenticatedError:
            form.problem, form.status = _REFUSED, 403
            answer = None
        return answer or self._login_form(form)

    def logout(self, caller: Caller, _: Form) -> Response:
        """Log out."""
        answer = self._pages.lead("login", "logged-out")
        self._logins.end(caller, answer)
        return answer

    def read_asset(self, file_name: str) -> Response:
        """Return a style sheet, a script or an icon, to anybody."""
        answer = self._assets.answer(file_name)
        if answer is None:
            raise NotFound
        return answer

    def nothing(self, _: str) -> Response:
        """Say that nothing is here."""
        raise NotFound

    def _ask_to_log_in(self) -> Response:
        if request.method in {"GET", "HEAD"}:
            asked = request.full_path.removeprefix(f"{PREFIX}/").rstrip("?")
            return self._pages.lead("login", next=asked if _PAGE.fullmatch(asked) else "")
        form = Form({})
        form.problem, form.status = _LOGGED_OUT, 403
        return self._login_form(form)

    def _login_form(self, form: Form) -> Response:
        return self._pages.show_form("login.html", None, form)

    def _tell(self, refusal: Refusal) -> Response:
        return self._pages.show("refusal.html", status=refusal.status, refusal=refusal)
