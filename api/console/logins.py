"""Who uses the console: an admin, by a session of the console's own kind, which opens nothing else."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from flask import Response, request

from api.console.cookies import Cookies
from api.console.forms import TOKEN_FIELD, Form, StaleFormError, WrongOwnPasswordError, read_fields
from api.exchanges import recognised
from api.proxies import TrustedProxies
from models import errors
from models.core import Core
from models.credentials import Caller
from models.secret import Secret
from models.sessions import CONSOLE
from models.user import USER_GROUPS, User, UserGroup

_COOKIE = "console"
_DISABLED = -1


class Logins:
    """The session of the cookie. No other credential is looked at, whatever else a browser sends along."""

    def __init__(self, core: Core, proxies: TrustedProxies, cookies: Cookies) -> None:
        self._core = core
        self._proxies = proxies
        self._cookies = cookies

    def caller(self) -> Caller:
        """Return the admin whose session the request brings. Raises ``NotAuthenticatedError``."""
        presented = Secret(self._cookies.read(_COOKIE))
        caller = self._core.sessions.resume(CONSOLE, presented, self._proxies.client(request.environ))
        if caller.user.user_group != "admin":
            self._core.sessions.end(caller)  # or else it would go on if they became one again
            raise errors.NotAuthenticatedError
        return recognised(caller)

    def shown(self, view: Callable[..., Response]) -> Callable[..., Response]:
        """Let a view have the caller."""
        return lambda **values: view(self.caller(), **values)

    def changing(self, view: Callable[..., Response]) -> Callable[..., Response]:
        """Let a view have the caller, and the form that a page of this very session sent. Raises ``StaleFormError``."""

        def run(**values: Any) -> Response:
            caller = self.caller()
            fields = read_fields()
            if not self._core.form_tokens.is_right(caller, fields.get(TOKEN_FIELD, "")):
                raise StaleFormError
            return view(caller, Form(fields), **values)

        return run

    def begin(self, user_name: str, password: Secret, answer: Response) -> None:
        """Log an admin in, by a new session. Raises ``NotAuthenticatedError``, for anybody else as for anything wrong.

        The session that the browser had ends.
        """
        client = self._proxies.client(request.environ)
        caller = self._core.authenticator.password(user_name, password, client, group="admin")
        secret, _ = self._core.sessions.begin(caller, CONSOLE, request.user_agent.string)
        with suppress(errors.NotAuthenticatedError):
            self._core.sessions.end(self.caller())
        recognised(caller)
        self._cookies.write(answer, _COOKIE, secret.reveal())

    def end(self, caller: Caller, answer: Response) -> None:
        """Log out."""
        self._core.sessions.end(caller)
        self._cookies.drop(answer, _COOKIE)

    def confirm(self, caller: Caller, form: Form) -> None:
        """Have the admin type its own password, for what would outlast a session that somebody else has got hold of.

        Raises ``WrongOwnPasswordError``, and as any login does.
        """
        if not form["own_password"]:
            raise errors.InvalidParametersError({"own_password": ["Type your own password."]})
        try:
            confirmed = self._core.authenticator.password(
                caller.user.user_name, form.secret("own_password"), caller.client, group="admin"
            )
        except errors.NotAuthenticatedError as error:
            raise WrongOwnPasswordError from error
        if confirmed.user.id != caller.user.id:  # the name has changed hands
            raise WrongOwnPasswordError


def raises(before: User | None, group: UserGroup, *, disabled: bool) -> bool:
    """Tell whether an account may do more in this group than it may as it is. A new one may do what a noob may."""
    return not disabled and USER_GROUPS.index(group) > rank(before)


def rank(user: User | None) -> int:
    """Return how much an account may do, as its group's place. A disabled one may do less than any that is not.

    One that is not there yet counts as the least, since making a noob gives nobody anything that was not theirs.
    """
    if user is None:
        return 0
    return _DISABLED if user.disabled else USER_GROUPS.index(user.user_group)
