"""The ``Authorization`` header, read strictly: Basic (RFC 7617) and Bearer (RFC 6750)."""

import base64
from dataclasses import dataclass
from typing import Any

from models.account_rules import B64TOKEN
from models.secret import Secret

_KEY = "doorman.authorization"


@dataclass(frozen=True, slots=True)
class Basic:
    """A user name, and the password or token that came with it."""

    user_name: str
    secret: Secret


@dataclass(frozen=True, slots=True)
class Bearer:
    """A token that names its user by itself."""

    token: Secret


def authorization_of(environ: dict[str, Any]) -> Basic | Bearer | None:
    """Return what a request presents, or ``None`` if it is absent or not exactly as its RFC has it; read once."""
    if _KEY not in environ:
        environ[_KEY] = read_authorization(environ.get("HTTP_AUTHORIZATION", ""))
    found: Basic | Bearer | None = environ[_KEY]
    return found


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
