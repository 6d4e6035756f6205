"""From the ``Authorization`` header to one caller: Basic (RFC 7617) and Bearer (RFC 6750), read strictly."""

from typing import Any

from flask import request
from flask_httpauth import HTTPAuth

from api.authorization import Basic, Bearer, authorization_of
from api.exchanges import recognised
from api.foresight import foreseen
from api.proxies import TrustedProxies
from models.credentials import Authenticator, Caller
from models.errors import NotAuthenticatedError

_BASIC_CHALLENGE = 'Basic realm="Doorman", charset="UTF-8"'
_BEARER_CHALLENGE = 'Bearer realm="Doorman", error="invalid_token"'


class HeaderAuth(HTTPAuth):  # type: ignore[misc]  # Flask-HTTPAuth has no types
    """Flask-HTTPAuth with its leniences closed, and with both schemes behind one ``login_required``.

    Its own ``MultiAuth`` answers a failed Bearer with a challenge for Bearer alone, and its Basic tolerates junk in the
    base64, falls back to Latin-1 and names no charset.
    """

    def __init__(self, authenticator: Authenticator, proxies: TrustedProxies) -> None:
        super().__init__("Basic", "Doorman")
        self._authenticator = authenticator
        self._proxies = proxies
        self.error_handler(_refuse)

    def get_auth(self) -> Basic | Bearer | None:
        return authorization_of(request.environ)

    def get_auth_password(self, auth: Basic | Bearer | None) -> None:
        """Look nothing up: what is stored never leaves the core."""

    def authenticate(self, auth: Basic | Bearer | None, _: None) -> Caller:
        match auth:
            case Basic(user_name, secret):
                client = self._proxies.client(request.environ)
                return recognised(self._authenticator.basic(user_name, secret, client, foreseen()))
            case Bearer(token):
                client = self._proxies.client(request.environ)
                return recognised(self._authenticator.bearer(token, client, foreseen()))
            case None:
                raise NotAuthenticatedError

    def caller(self) -> Caller:
        """Return who makes the current request, inside ``login_required``."""
        caller = self.current_user()
        if not isinstance(caller, Caller):
            raise NotAuthenticatedError
        return caller


def challenges() -> list[str]:
    """Return the values of ``WWW-Authenticate`` for a refusal of the current request."""
    presented = request.headers.get("Authorization", "").partition(" ")[0].lower()
    return [_BASIC_CHALLENGE, _BEARER_CHALLENGE] if presented == "bearer" else [_BASIC_CHALLENGE]


def _refuse(_: int) -> Any:
    raise NotAuthenticatedError
