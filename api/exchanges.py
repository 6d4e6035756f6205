"""One request and its answer, as logs and metrics tell them: what it is called, where it led, why it was refused."""

import os
import re
import time
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

from api.proxies import TrustedProxies
from api.trace_context import Trace, continued
from models.clients import plain_address
from models.credentials import Caller
from models.events import COMMAND_LINE, SYSTEM, Party
from models.origins import NoOriginError, Origin, nowhere

KEY = "doorman.exchange"  # in the environ, and in the scope
REQUEST_ID = "X-Request-ID"
UNMATCHED = "unmatched"
NOT_ANSWERED = 499  # as nginx has it: the client left first
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/+=@-]{0,127}")
_NO_PROXIES = TrustedProxies(())


class Exchange:
    """What is known of one request so far.

    ``route`` is the rule that its path met, and never the path, which clients choose. ``user_id`` is the id of who has
    proved to be that user; names that were typed are not kept. ``surface`` is the way in, as ``SURFACES`` has it, and
    ``actor`` who acts where that is no user.
    """

    __slots__ = (
        *("_address", "_environ", "_proxies", "_trace"),
        *("actor", "began", "reason", "request_id", "route", "status", "surface", "user_id"),
    )

    def __init__(self, surface: str | None = None, actor: Party | None = None) -> None:
        self.surface = surface
        self.actor = actor
        self.began = time.perf_counter()
        self.status = NOT_ANSWERED
        self.request_id = os.urandom(12).hex()
        self.route = UNMATCHED
        self.reason: str | None = None  # why it was refused, as metrics call it
        self.user_id: str | None = None
        self._address: str | None = None
        self._environ: Mapping[str, Any] = {}
        self._proxies = _NO_PROXIES
        self._trace: Trace | None = None

    def read(self, environ: Mapping[str, Any], proxies: TrustedProxies) -> None:
        """Take over what the request says of itself; its id is a trusted proxy's to give, and nobody else's."""
        self._environ, self._proxies = environ, proxies
        given = environ.get("HTTP_X_REQUEST_ID")
        if given is not None and proxies.sent(environ) and _ID.fullmatch(given):
            self.request_id = given

    def refuse(self, status: int, reason: str) -> None:
        """Note that it is answered with ``status``, for a reason as metrics call it."""
        self.status, self.reason = status, reason

    def forget(self) -> None:
        """Let go of the request: the scope, which knows this, may be kept for as long as the connection is."""
        self._environ = {}

    def follow_up(self, surface: str) -> "Exchange":
        """Return what is to be told of what follows on the same connection; nothing of the request is kept for it."""
        following = Exchange(surface)
        following._address = self.client
        self.fields()  # which reads the trace
        following.request_id, following._trace = self.request_id, self._trace
        return following

    @property
    def client(self) -> str:
        """The client's address, whole; empty where there is none."""
        return self._proxies.address(self._environ) if self._address is None else self._address

    def origin(self) -> Origin:
        """Return what the audit trail says of where this comes from. Raises ``NoOriginError`` outside any surface."""
        if self.surface is None:
            raise NoOriginError("no surface has this route: see Doorman.open_surface")
        return Origin(self.surface, plain_address(self.client), self.request_id, self.actor)

    def fields(self) -> dict[str, str]:
        """Return what every log line about this request says."""
        if self._trace is None and "HTTP_TRACEPARENT" in self._environ:
            self._trace = continued(self._environ["HTTP_TRACEPARENT"])
        return {"request_id": self.request_id} | (self._trace.fields() if self._trace else {})


_current: ContextVar[Exchange | None] = ContextVar("exchange", default=None)


def current() -> Exchange:
    """Return the exchange that this code runs for; one that nobody looks at where there is none."""
    return _current.get() or Exchange()


def current_fields() -> dict[str, str]:
    """Return what log lines say of the exchange that this code runs for."""
    exchange = _current.get()
    return {} if exchange is None else exchange.fields()


def current_origin() -> Origin:
    """Return where what this code does comes from. Raises ``NoOriginError`` where it runs for no exchange."""
    exchange = _current.get()
    return nowhere() if exchange is None else exchange.origin()


def request_id_headers(scope: Mapping[str, Any]) -> list[tuple[bytes, bytes]]:
    """Return the header by which an answer names the request of ``scope``, if that has been begun as an exchange."""
    exchange: Exchange | None = scope.get(KEY)
    return [] if exchange is None else [(b"x-request-id", exchange.request_id.encode())]


class RunningFor:
    """Has what is inside know which exchange it runs for. A generator would take each request half a µs more."""

    __slots__ = ("_exchange", "_token")

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def __enter__(self) -> None:
        self._token = _current.set(self._exchange)

    def __exit__(self, *_: object) -> None:
        _current.reset(self._token)


def by_command_line() -> RunningFor:
    """Have what is inside be done by the operator, who needs no credential."""
    return RunningFor(Exchange("command line", COMMAND_LINE))


def by_system() -> RunningFor:
    """Have what is inside be done by the service itself."""
    return RunningFor(Exchange("system", SYSTEM))


def recognised(caller: Caller) -> Caller:
    """Note who makes the request that this code runs for."""
    exchange = _current.get()
    if exchange is not None:
        exchange.user_id = caller.user.id
    return caller
