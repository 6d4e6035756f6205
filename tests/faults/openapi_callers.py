"""Who calls in the runs of Schemathesis: users who are put back before each call, whatever the calls do to them."""

from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import cycle
from typing import Any

from api.exchanges import by_command_line
from models.clients import client_at
from models.core import Core
from models.credentials import Caller
from models.errors import NotAuthenticatedError, UserNotFoundError
from models.secret import Secret
from models.sessions import SESSION, USER_KEY, SessionKind
from models.user import USER_GROUPS, User

PASSWORD = "a password of some length"
GROUPS = tuple(USER_GROUPS)
KEPT = "caller-"  # how the names of these users begin
_HERE = client_at("127.0.0.1")

# Where a credential goes (headers, query or cookies), by what name, and what it is.
Presented = tuple[str, str, str]


class KeptUser:
    """A user of the group that it is named after, and all that opens it.

    An admin is handed calls that delete, rename, disable and demote users, itself among them. So each of its calls
    begins with looking whether it is still there.
    """

    def __init__(self, core: Core, group: str) -> None:
        self._core = core
        self._name = f"{KEPT}{group}"
        self._group = group
        self._token = ""
        self._user: User | None = None
        self._secrets: dict[str, Secret] = {}
        self._ways: dict[tuple[str, ...], Iterator[Callable[[], Presented]]] = {}
        self.restored = 0

    def presented(self, schemes: tuple[str, ...]) -> Presented:
        """Return a credential of one of these security schemes of the document, each kind of them in turn."""
        if schemes not in self._ways:
            self._ways[schemes] = cycle([way for scheme in schemes for way in self._ways_of(scheme)])
        with by_command_line():
            self._restore()
            return next(self._ways[schemes])()

    def _ways_of(self, scheme: str) -> list[Callable[[], Presented]]:
        def header(name: str, value: Callable[[], str]) -> Callable[[], Presented]:
            return lambda: ("headers", name, value())

        authorization = "Authorization"
        ways: dict[str, list[Callable[[], Presented]]] = {
            "basic": [
                header(authorization, lambda: self._basic(PASSWORD)),
                header(authorization, lambda: self._basic(self._token)),
            ],
            "bearer": [header(authorization, lambda: f"Bearer {self._token}")],
            "token": [
                header(authorization, lambda: f"Token {self._jwt()}"),
                header(authorization, lambda: f"Bearer {self._jwt()}"),
            ],
            "apiKey": [header("X-Api-Key", lambda: self._token)],
            "userKey": [lambda: ("query", "user_key", self._session(USER_KEY))],
            "userKeyHeader": [header("X-USER-KEY", lambda: self._session(USER_KEY))],
            "session": [lambda: ("query", "s", self._session(SESSION))],
            "sessionCookie": [lambda: ("cookies", "session", self._session(SESSION))],
        }
        return ways[scheme]

    def _basic(self, secret: str) -> str:
        return "Basic " + b64encode(f"{self._name}:{secret}".encode()).decode()

    def _restore(self) -> None:
        try:
            user = self._core.accounts.get(self._name)
        except UserNotFoundError:
            user = None
        if user is not None and self._user is not None and user.revision == self._user.revision:
            return
        self.restored += 1
        self._token = f"token-of-{self._group}-{self.restored:08}"  # the last one may be another's by now: a new name's
        fields: Any = {
            "password": Secret(PASSWORD),
            "token": Secret(self._token),
            "user_group": self._group,
            "disabled": False,
        }
        if user is None:
            with by_command_line():
                self._user = self._core.accounts.create(None, self._name, fields)
        else:
            with by_command_line():
                self._user = self._core.accounts.update(None, self._name, fields)

    def _caller(self) -> Caller:
        assert self._user is not None
        return Caller(self._user, _HERE)

    def _session(self, kind: SessionKind) -> str:
        def begin() -> Secret:
            return self._core.sessions.begin(self._caller(), kind)[0]

        return self._kept(kind.name, begin, lambda secret: self._core.sessions.resume(kind, secret, _HERE))

    def _jwt(self) -> str:
        return self._kept(
            "jwt",
            lambda: self._core.tokens.issue(self._caller()),
            lambda token: self._core.tokens.resume(token, _HERE),
        )

    def _kept(self, name: str, begin: Callable[[], Secret], resume: Callable[[Secret], Caller]) -> str:
        """Return what was begun under this name, begun anew if it does not open the user any more."""
        if name in self._secrets:
            with suppress(NotAuthenticatedError):
                if resume(self._secrets[name]).user.id == self._caller().user.id:
                    return self._secrets[name].reveal()
        with by_command_line():  # a first token has a key made, which the audit trail tells
            self._secrets[name] = begin()
        return self._secrets[name].reveal()
