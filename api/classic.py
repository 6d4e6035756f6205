"""Surface 3: ``/createuser.json``, ``/login.json`` and ``/logout.json``. Each view's docstring is its documentation."""

import re
from contextlib import suppress

from flask import Blueprint, Response, jsonify, request

from api.answers import json_answer
from api.exchanges import recognised
from api.json_body import parse_object
from api.proxies import TrustedProxies
from api.refusals import Refusal, Refusals
from api.routes import add_route, make_surface
from api.schemas import iso_time, load_credentials
from api.session_cookie import COOKIE, session_ids
from models import errors
from models.clients import Client
from models.core import Core
from models.secret import Secret
from models.sessions import SESSION, Session

_MOST_COOKIES = 50
_USER_NAME = re.compile(r"[a-zA-Z0-9_]{3,40}")


class BadUserNameError(errors.DoormanError):
    """The user name is none of this surface's; the message is the rule."""


class BadPasswordError(errors.DoormanError):
    """The password breaks a rule; the message is the rule."""


class NoSessionError(errors.DoormanError):
    """Nothing that the request names is a session."""


class Classic:
    """The routes. Any content type is read as JSON, since the contract's own client sends ``text/plain``."""

    def __init__(self, core: Core, proxies: TrustedProxies) -> None:
        self._core = core
        self._proxies = proxies

    def blueprint(self) -> Blueprint:
        blueprint = make_surface("classic", REFUSALS)
        add_route(blueprint, "/createuser.json", POST=self.create_user)
        add_route(blueprint, "/login.json", POST=self.login)
        add_route(blueprint, "/logout.json", POST=self.logout)
        return blueprint

    def create_user(self) -> Response:
        """Register: ``username``, 3 to 40 letters, digits and underscores, and ``password``."""
        self._core.registrations.require_open()
        user_name, password = load_credentials(parse_object(request.get_data()))
        if not _USER_NAME.fullmatch(user_name):
            raise BadUserNameError("It must have 3 to 40 letters, digits and underscores.")
        try:
            user = self._core.registrations.register(self._client(), user_name, password).user
        except errors.InvalidParametersError as error:
            raise BadPasswordError(" ".join(error.fields.get("password", []))) from error
        return jsonify(username=user.user_name, hash=user.password_hash, created=iso_time(user.created_at))

    def login(self) -> Response:
        """Log in with ``username`` and ``password``: the ``id`` is that of a new session, which a cookie holds too."""
        user_name, password = load_credentials(parse_object(request.get_data()))
        caller = recognised(self._core.authenticator.password(user_name, password, self._client()))
        secret, session = self._core.sessions.begin(caller, SESSION, request.user_agent.string)
        with suppress(errors.DoormanError):  # or else this login would be lost, and its session not
            self._end(*session_ids())  # its place is taken: nobody could end it any more
        answer = jsonify(id=secret.reveal(), username=caller.user.user_name, created=iso_time(session.created_at))
        self._set_cookie(answer, secret, session)
        return answer

    def logout(self) -> Response:
        """End the session that ``?s=`` names, or the cookie where there is no ``s``."""
        named, cookies = request.args.getlist("s"), session_ids()
        is_ended = len(named) == 1 and self._end(named[0]) if "s" in request.args else self._end(*cookies)
        if not is_ended:
            raise NoSessionError
        answer = jsonify(success=True)
        if "s" not in request.args or named == cookies:
            answer.delete_cookie(COOKIE, httponly=True, samesite="Lax", secure=self._is_secure())
        return answer

    def _end(self, *session_ids: str) -> bool:
        """End the sessions, and tell whether there was one. Another site of the domain may have added cookies."""
        named = {Secret(session_id) for session_id in session_ids if SESSION.has_form(Secret(session_id))}
        if len(named) > _MOST_COOKIES:
            return False
        ended = 0
        for session_id in named:
            with suppress(errors.NotAuthenticatedError):
                caller = recognised(self._core.sessions.resume(SESSION, session_id, self._client()))
                ended += self._core.sessions.end(caller)
        return ended > 0

    def _client(self) -> Client:
        return self._proxies.client(request.environ)

    def _set_cookie(self, answer: Response, secret: Secret, session: Session) -> None:
        answer.set_cookie(
            COOKIE,
            secret.reveal(),
            max_age=session.expires_at - session.created_at,
            httponly=True,
            samesite="Lax",
            secure=self._is_secure(),
        )

    def _is_secure(self) -> bool:
        return self._proxies.scheme(request.environ) == "https"


def _refused(status: int, error: str, detail: str | None = None) -> Response:
    return json_answer(status, {"error": error} | ({"detail": detail} if detail else {}))


def _shape(refusal: Refusal) -> Response:
    return _refused(refusal.status, refusal.detail)


REFUSALS = Refusals(
    _shape,
    {
        BadUserNameError: lambda error: _refused(400, "Invalid username", str(error)),
        BadPasswordError: lambda error: _refused(400, "Invalid password", str(error)),
        NoSessionError: lambda _: _refused(401, "No session"),
        errors.UserExistsError: lambda _: _refused(409, "User already exists"),
        errors.UnknownUserError: lambda _: _refused(409, "User does not exist"),
        errors.NotAuthenticatedError: lambda _: _refused(401, "Invalid password"),
    },
)
