"""JSON Web Tokens (RFC 7519), signed with ES256. The only importer of the library."""

from collections.abc import Mapping
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeyParameters
from joserfc.jws import extract_compact

_ALGORITHM = "ES256"
_CURVE = "P-256"


class BadTokenError(Exception):
    """The text is no token, or not one that the key has signed."""


class SigningKey:
    """A key pair, and its id, which the tokens that it signs name."""

    def __init__(self, key: ECKey, key_id: str) -> None:
        self._key = key
        self.id = key_id

    @classmethod
    def make(cls, key_id: str) -> "SigningKey":
        return cls(ECKey.generate_key(_CURVE, _parameters(key_id)), key_id)

    @classmethod
    def from_pem(cls, pem: bytes, key_id: str) -> "SigningKey":
        return cls(ECKey.import_key(pem, _parameters(key_id)), key_id)

    def pem(self) -> bytes:
        """Return the private key."""
        return self._key.as_pem(private=True)

    def public(self) -> dict[str, Any]:
        """Return the public key as a JSON Web Key (RFC 7517)."""
        return dict(self._key.as_dict(private=False))

    def sign(self, claims: Mapping[str, object]) -> str:
        header = {"alg": _ALGORITHM, "kid": self.id, "typ": "JWT"}
        return jwt.encode(header, dict(claims), self._key, algorithms=[_ALGORITHM])

    def claims(self, token: str) -> dict[str, Any]:
        """Return what the key has signed, under the one algorithm that it is for. Raises ``BadTokenError``."""
        try:
            return dict(jwt.decode(token, self._key, algorithms=[_ALGORITHM]).claims)
        except (JoseError, ValueError, TypeError) as error:
            raise BadTokenError from error


def named_key(token: str) -> str | None:
    """Return the id of the key that a text names as its token's, or ``None`` if it is no token. Nothing is verified."""
    try:
        key_id = extract_compact(token.encode()).headers().get("kid")
    except (JoseError, ValueError, TypeError):
        return None
    return key_id if isinstance(key_id, str) else None


def _parameters(key_id: str) -> KeyParameters:
    return {"kid": key_id, "use": "sig", "alg": _ALGORITHM}
