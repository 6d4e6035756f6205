"""The console's ending of sessions."""

from contextlib import suppress

from flask import Response

from api.console.forms import Form
from api.console.pages import Pages
from models.accounts import UserId
from models.core import Core
from models.credentials import Caller
from models.errors import SessionNotFoundError

_ALL = "all"


class Sessions:
    """Sessions and tokens of users. To end one needs no more than a click: whoever it was logs in again."""

    def __init__(self, core: Core, pages: Pages) -> None:
        self._core = core
        self._pages = pages

    def end(self, caller: Caller, form: Form, user_id: str) -> Response:
        """End the session ``session`` of a user, or ``all``: of one's own, all but the one that asks."""
        user = self._core.accounts.get(UserId(user_id))
        way = f"users/{user.id}"
        if form["session"] == _ALL:
            but = self._core.sessions.shown_id(caller) if user.id == caller.user.id else None
            self._core.sessions.revoke_all(caller, user, but)
            return self._pages.lead(way, "sessions-ended")
        with suppress(SessionNotFoundError):  # it has ended by itself, or by another admin
            self._core.sessions.revoke(caller, user, form["session"])
        return self._pages.lead(way, "session-ended")
