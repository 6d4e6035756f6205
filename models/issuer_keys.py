"""The public keys of an OpenID Connect issuer, and what they have signed (RFC 7515, RFC 7517)."""

from collections.abc import Iterable, Iterator
from typing import Any

from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError, UnsupportedAlgorithmError
from joserfc.jwk import ECKey, Key, KeySet, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from models.jwt import BadTokenError

# Asymmetric ones alone: with HS256, whoever knows a public key could sign. Ed25519 is what RFC 9864 calls EdDSA.
_ALGORITHMS = frozenset({"RS256", "PS256", "ES256", "EdDSA", "Ed25519"})
_KEY_TYPES: dict[object, type[RSAKey | ECKey | OKPKey]] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}
_SHORTEST_MODULUS = 342  # characters of base64url: 2048 bits, the least that NIST SP 800-131A allows
_MOST_KEYS = 100
_RUBBISH = (JoseError, ValueError, TypeError, KeyError, AttributeError)  # what odd keys and tokens are told by


class UnknownKeyError(Exception):
    """The token names a key that is not among these; the issuer may have got it since."""


class IssuerKeys:
    """The keys that an issuer publishes, as far as they can verify anything here."""

    def __init__(self, key_set: object) -> None:
        keys = key_set.get("keys") if isinstance(key_set, dict) else None
        self._keys = KeySet(list(_usable(keys[:_MOST_KEYS] if isinstance(keys, list) else [])))

    def __bool__(self) -> bool:
        return bool(self._keys)

    def claims(self, token: str) -> dict[str, Any]:
        """Return what one of the keys has signed as an ID token. Raises ``BadTokenError``, ``UnknownKeyError``."""
        try:
            verified = jwt.decode(token, self._keys, registry=_Allowed())
        except InvalidKeyIdError as error:
            raise UnknownKeyError from error
        except _RUBBISH as error:
            raise BadTokenError from error
        # What has another type (an access token, a logout token) was signed for another purpose (RFC 8725, 3.11),
        # and no extension is understood here.
        if str(verified.header.get("typ", "JWT")).upper() != "JWT" or "crit" in verified.header:
            raise BadTokenError
        return dict(verified.claims)


class _Allowed(JWSRegistry):
    """Allows the algorithms above, and ignores members of the header that it does not know (RFC 7515, 4)."""

    def __init__(self) -> None:
        super().__init__(strict_check_header=False)

    def get_alg(self, name: str) -> Any:
        # The library's own would warn of EdDSA at each token; what it warns of is the name, and issuers use it.
        if name not in _ALGORITHMS:
            raise UnsupportedAlgorithmError
        return self.algorithms[name]


def _usable(keys: Iterable[object]) -> Iterator[Key]:
    """Yield the keys that can be read; the others are for somebody else (RFC 7517, 5)."""
    for key in keys:
        if not isinstance(key, dict) or key.get("kty") not in _KEY_TYPES:
            continue
        if key["kty"] == "RSA" and len(str(key.get("n"))) < _SHORTEST_MODULUS:
            continue
        try:
            usable = _KEY_TYPES[key["kty"]].import_key(key)
            usable.ensure_kid()
        except _RUBBISH:
            continue
        yield usable
