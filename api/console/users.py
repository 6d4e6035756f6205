"""The console's pages of users: the list, one of them, and a new one."""

import secrets

from flask import Response

from api.console.events import MOST_EVENTS, recent_events
from api.console.forms import USERS_QUERY, Form
from api.console.logins import Logins, raises
from api.console.pages import Pages
from api.queries import query
from models import account_rules
from models.accounts import UserId
from models.core import Core
from models.credentials import Caller
from models.errors import InvalidParametersError
from models.listing import NameFilter
from models.secret import Secret
from models.user import USER_GROUPS, OAuth

_PAGE_LENGTH = 25
_KINDS: dict[str, OAuth] = {"0": 0, "1": 1}


class Users:
    """Users are named by their ids, which stay the same, and tell whoever reads an access log nothing."""

    def __init__(self, core: Core, pages: Pages, logins: Logins) -> None:
        self._core = core
        self._pages = pages
        self._logins = logins

    def list_users(self, caller: Caller) -> Response:
        """List users by name, page by page: those whose names begin with ``prefix``, of one group, of one kind."""
        asked = query(USERS_QUERY)
        group = next((group for group in USER_GROUPS if group == asked["user_group"]), None)
        wanted = NameFilter(
            oauth=asked["oauth"],
            after=asked["after"],
            before=asked["before"],
            prefix=asked["prefix"].strip(),
            user_group=group,
        )
        page = self._core.listing.users(wanted, _PAGE_LENGTH)
        return self._pages.show("users.html", caller, page=page, wanted=wanted)

    def read_user(self, caller: Caller, user_id: str) -> Response:
        """Show a user, with what it has logged in by and what has happened to it."""
        user = self._core.accounts.get(UserId(user_id))
        sessions = self._core.sessions.of(user)
        return self._pages.show(
            "user.html",
            caller,
            user=user,
            sessions=sessions,
            events=recent_events(self._core.audit.about(user, MOST_EVENTS), sessions),
            current=self._core.sessions.shown_id(caller),
        )

    def new_page(self, caller: Caller) -> Response:
        """Show the form for a new user."""
        return self._pages.show_form("new.html", caller, Form({"user_group": "noob", "oauth": "0"}))

    def create(self, caller: Caller, form: Form) -> Response:
        """Create a user, with the password that was typed, or a random one that is shown this once."""

        def create() -> Response:
            group, oauth = form.group(), _kind(form)
            fields = account_rules.Changes(user_group=group, name=form.optional("name"), email=form.optional("email"))
            if not oauth:
                fields["password"] = form.secret("password") if form["password"] else random_password()
            if raises(None, group, disabled=False):
                self._logins.confirm(caller, form)
            user = self._core.accounts.create(caller, form["user_name"], fields, oauth)
            if oauth or form["password"]:
                return self._pages.lead(f"users/{user.id}", "created")
            return self._pages.show("secret.html", caller, user=user, noun="password", secret=fields["password"])

        return form.attempt(create) or self._pages.show_form("new.html", caller, form)


def random_password() -> Secret:
    """Make a password of 144 random bits, in 24 characters."""
    return Secret(secrets.token_urlsafe(18))


def _kind(form: Form) -> OAuth:
    if form["oauth"] not in _KINDS:
        raise InvalidParametersError({"oauth": ["Choose one."]})
    return _KINDS[form["oauth"]]
