"""Surface 2: the users API over one WebSocket at ``/users/``. Each action's docstring is its documentation."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from api.browsers import BrowserRules
from api.exchanges import KEY as EXCHANGE
from api.exchanges import Exchange, RunningFor
from api.frames import InvalidDataError, Members, encoded, parsed, texts, told
from api.jwt_auth import caller_by
from api.metrics import REFUSALS as REFUSED
from api.metrics import WEBSOCKET_MESSAGES
from api.problems import RefusedError
from api.proxies import TrustedProxies
from api.refusals import REFUSALS, ForeignOriginError, reason_of
from api.schemas import iso_time
from api.wires import WebSocketLimits
from models import errors
from models.accounts import UserId
from models.clients import Client
from models.core import Core
from models.credentials import Caller
from models.meter import UNMETERED, Meter
from models.secret import Secret
from models.user import User

PATHS = ("/users", "/users/")
# Anything else that is raised is a defect.
_REFUSED: tuple[type[errors.DoormanError], ...] = (*REFUSALS, errors.EmailInUseError)

logger = logging.getLogger(__name__)


class UserConversations:
    """Begins the conversations of the surface."""

    def __init__(
        self,
        core: Core,
        proxies: TrustedProxies,
        browsers: BrowserRules,
        limits: WebSocketLimits,
        meter: Meter = UNMETERED,
    ) -> None:
        self.limits = limits
        self._meter = meter
        self._core = core
        self._proxies = proxies
        self._browsers = browsers

    def begin(self, environ: dict[str, Any]) -> "UserConversation":
        """Begin one for a handshake. Raises ``RefusedError``: 404 elsewhere, 403 for a foreign page."""
        exchange = environ.get(EXCHANGE) or Exchange()
        exchange.read(environ, self._proxies)
        # As it was sent: an encoded slash is none.
        if environ["RAW_URI"].partition("?")[0].removeprefix(environ["SCRIPT_NAME"]) not in PATHS:
            raise RefusedError(404, "No WebSocket is here.")
        if not self._browsers.welcome(environ):
            foreign = ForeignOriginError()
            refusal = REFUSALS[ForeignOriginError](foreign)
            raise RefusedError(refusal.status, refusal.detail, reason=reason_of(foreign))
        # Of the environ, no more is kept than is needed: it would stay for as long as the connection does.
        return UserConversation(
            self._core,
            self._proxies.client(environ),
            Secret(environ.get("HTTP_AUTHORIZATION", "")),
            environ.get("HTTP_USER_AGENT", ""),
            exchange=exchange.follow_up("websocket"),
            meter=self._meter,
        )


class UserConversation:
    """One connection's actions, one after the other.

    Who asks is decided anew at every action: by the token in its data; else by the login that was made here, even if
    its token was revoked since, which makes the connection anonymous; else by the handshake's ``Authorization``.
    """

    def __init__(
        self,
        core: Core,
        client: Client,
        authorization: Secret,
        user_agent: str,
        *,
        exchange: Exchange | None = None,
        meter: Meter = UNMETERED,
    ) -> None:
        self.client = client
        self._exchange = exchange or Exchange("websocket")
        self._meter = meter
        self._core = core
        self._authorization = authorization
        self._user_agent = user_agent
        self._token: Secret | None = None  # of the login that was made on this connection

    def answer(self, frame: str | bytes) -> str:
        """Carry out the action of a frame, and return the frame that answers it."""
        with RunningFor(self._exchange):
            return self._enveloped(frame, self._carry_out)

    def busy(self, frame: str | bytes, retry_after: int) -> str:
        """Return the answer to a frame that is not looked at, since no thread is free for it."""
        return self._enveloped(
            frame, lambda action, _: self._told(action, errors.UnavailableError("no thread is free", retry_after))
        )

    def _enveloped(self, frame: str | bytes, handle: Callable[[str, Any], Members]) -> str:
        try:
            request = parsed(frame)
        except InvalidDataError:
            return encoded(self._refused("other", {"error": "Invalid data."}))
        echo = {"id": request["id"]} if "id" in request else {}
        action = request.get("action")
        if "action" not in request:
            answer = self._refused("other", {"error": "No action provided."})
        elif not isinstance(action, str):
            answer = self._refused("other", {"error": "Invalid action type."})
        elif action not in ACTIONS:
            answer = self._refused("other", {"action": action, "error": "Unknown action."})
        else:
            answer = handle(action, request.get("data"))
        return encoded(answer | echo)

    def _carry_out(self, action: str, data: Any) -> Members:
        if data is not None and not isinstance(data, dict):
            return self._refused(action, {"action": action, "error": "Invalid data."})
        try:
            answer = ACTIONS[action](self, data or {})
        except _REFUSED as error:
            return self._told(action, error)
        except Exception:
            # The data is left out: it carries credentials.
            logger.exception("The action %s failed", action)
            answer = {"action": action, "error": "Something went wrong here; it was logged."}
            return self._refused(action, answer, "crash")
        self._meter.count(WEBSOCKET_MESSAGES, action, "done")
        return {"action": "pong"} if answer is None else {"action": action, "data": answer}

    def _told(self, action: str, error: errors.DoormanError) -> Members:
        return self._refused(action, told(action, error), reason_of(error))

    def _refused(self, action: str, answer: Members, reason: str = "invalid_frame") -> Members:
        """Count a message that is answered with an error, and return the answer."""
        self._meter.count(WEBSOCKET_MESSAGES, action, reason)
        self._meter.count(REFUSED, reason)
        return answer

    # The actions.

    def ping(self, _: Members) -> None:
        """Show that both ends are there, and keep the connection open."""

    def new(self, data: Members) -> Members:
        """Register ``username`` with ``email`` and ``password``; the connection does not become this user's."""
        self._core.registrations.require_open()
        user_name, email, password = texts(data, "username", "email", "password")
        caller = self._core.registrations.register(self.client, user_name, Secret(password), email=email)
        return {"user_id": caller.user.id, "username": caller.user.user_name, "email": caller.user.email}

    def log_in(self, data: Members) -> Members:
        """Log in with ``username`` and ``password``: the answer has a token, and the connection is this user's."""
        user_name, password = texts(data, "username", "password")
        caller = self._core.authenticator.password(user_name, Secret(password), self.client)
        self._token = self._core.tokens.issue(caller, self._user_agent)
        return {"token": self._token.reveal()}

    def log_out(self, data: Members) -> Members:
        """Revoke the caller's ``token``, everywhere; or, without one, that of the login or of the handshake."""
        caller = self._caller(data)
        if ("token" in data and self._is_anothers(caller)) or not self._core.tokens.revoke(caller):
            raise errors.NotAuthenticatedError
        return {"success": True}

    def me(self, data: Members) -> Members:
        """Return all about the caller."""
        user = self._caller(data).user
        return {
            "user_id": user.id,
            "username": user.user_name,
            "email": user.email,
            "name": user.name,
            "user_group": user.user_group,
            "created_at": iso_time(user.created_at),
            "updated_at": iso_time(user.updated_at),
        }

    def details(self, data: Members) -> Members:
        """Return what is public of the user ``user_id`` or ``username``; the e-mail to itself and to admins."""
        caller = self._caller(data)
        user = self._named(data)
        shown: Members = {
            "user_id": user.id,
            "username": user.user_name,
            "created_at": iso_time(user.created_at),
        }
        if caller.user.id == user.id or caller.user.user_group == "admin":
            shown["email"] = user.email
        return shown

    def _named(self, data: Members) -> User:
        if "user_id" in data:
            (user_id,) = texts(data, "user_id")
            return self._core.accounts.get(UserId(user_id))
        (user_name,) = texts(data, "username")
        return self._core.accounts.get(user_name)

    def _caller(self, data: Members) -> Caller:
        """Return who asks. Raises ``NotAuthenticatedError``, ``TooManyAttemptsError``, ``UnavailableError``."""
        if "token" in data:
            return self._core.tokens.resume(Secret(*texts(data, "token")), self.client)
        if self._token is not None:
            return self._core.tokens.resume(self._token, self.client)
        return caller_by(self._core, self._authorization, self.client)

    def _is_anothers(self, caller: Caller) -> bool:
        """Tell whether this connection is another user's; one of nobody's may present any token."""
        try:
            own = self._caller({})
        except errors.NotAuthenticatedError:
            return False
        return own.user.id != caller.user.id


ACTIONS: Mapping[str, Callable[[UserConversation, Members], Members | None]] = {
    "ping": UserConversation.ping,
    "new": UserConversation.new,
    "login": UserConversation.log_in,
    "logout": UserConversation.log_out,
    "me": UserConversation.me,
    "details": UserConversation.details,
}
