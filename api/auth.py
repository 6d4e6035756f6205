"""From the ``Authorization`` header to one caller: Basic (RFC 7617) and Bearer (RFC 6750), read strictly."""

import base64
from dataclasses import dataclass
from typing import Any

from flask import request
from flask_httpauth import HTTPAuth

from models.account_rules import B64TOKEN
from models.credentials import Authenticator, Caller
from models.errors import NotAuthenticatedError
from models.secret import Secret

_BASIC_CHALLENGE = 'Basic realm="Doorman", charset="UTF-8"'
_BEARER_CHALLENGE = 'Bearer realm="Doorman", error="invalid_token"'


@dataclass(frozen=True, slots=True)
class Basic:
    """A user name, and the password or token that came with it."""

    user_name: str
    secret: Secret


@dataclass(frozen=True, slots=True)
class Bearer:
    """A token that names its user by itself."""

    token: Secret


class HeaderAuth(HTTPAuth):  # type: ignore[misc]  # Flask-HTTPAuth has no types
    """Flask-HTTPAuth with its leniences closed, and with both schemes behind one ``login_required``.

    Its own ``MultiAuth`` answers a failed Bearer with a challenge for Bearer alone, and its Basic tolerates junk in the
    base64, falls back to Latin-1 and names no charset.
    """

    def __init__(self, authenticator: Authenticator) -> None:
        super().__init__("Basic", "Doorman")
        self._authenticator = authenticator
        self.error_handler(_refuse)

    def get_auth(self) -> Basic | Bearer | None:
        """Return what the header presents, or ``None`` if it is absent or not exactly as its RFC has it."""
        return read_authorization(request.headers.get("Authorization", ""))

    def get_auth_password(self, auth: Basic | Bearer | None) -> None:
        """Look nothing up: what is stored never leaves the core."""

    def authenticate(self, auth: Basic | Bearer | None, _: None) -> Caller:
        match auth:
            case Basic(user_name, secret):
                return self._authenticator.basic(user_name, secret)
            case Bearer(token):
                return self._authenticator.bearer(token)
            case None:
                raise NotAuthenticatedError

    def caller(self) -> Caller:
        """Return who makes the current request, inside ``login_required``."""
        caller = self.current_user()
        if not isinstance(caller, Caller):
            raise NotAuthenticatedError
        return caller


def read_authorization(header: str) -> Basic | Bearer | None:
    """Parse an ``Authorization`` header; ``None`` if it is not one well-formed Basic or Bearer credential."""
    scheme, _, value = header.partition(" ")
    value = value.strip(" ")
    if scheme.lower() == "bearer":
        return Bearer(Secret(value)) if B64TOKEN.fullmatch(value) else None
    if scheme.lower() != "basic":
        return None
    try:
        user_name, colon, secret = base64.b64decode(value, validate=True).decode().partition(":")
    except ValueError:  # not base64, or not UTF-8
        return None
    return Basic(user_name, Secret(secret)) if colon else None


def challenges() -> list[str]:
    """Return the values of ``WWW-Authenticate`` for a refusal of the current request."""
    presented = request.headers.get("Authorization", "").partition(" ")[0].lower()
    return [_BASIC_CHALLENGE, _BEARER_CHALLENGE] if presented == "bearer" else [_BASIC_CHALLENGE]


def _refuse(_: int) -> Any:
    raise NotAuthenticatedError
