"""JSON Web Tokens (RFC 7519): our own, signed with ES256, and those of an issuer. The only importer of the library."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError, UnsupportedAlgorithmError
from joserfc.jwk import ECKey, Key, KeyParameters, KeySet, OKPKey, RSAKey
from joserfc.jws import JWSRegistry, extract_compact

_ALGORITHM = "ES256"
_CURVE = "P-256"
# Asymmetric ones alone: with HS256, whoever knows a public key could sign. Ed25519 is what RFC 9864 calls EdDSA.
_ISSUERS_ALGORITHMS = frozenset({"RS256", "PS256", "ES256", "EdDSA", "Ed25519"})
_KEY_TYPES: dict[object, type[RSAKey | ECKey | OKPKey]] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}
_SHORTEST_MODULUS = 342  # characters of base64url: 2048 bits, the least that NIST SP 800-131A allows
_MOST_KEYS = 100
# What odd keys and tokens are told by.
_RUBBISH = (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError)


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
        except (JoseError, ValueError, TypeError):  # which may quote what they could not read
            raise BadTokenError from None


def named_key(token: str) -> str | None:
    """Return the id of the key that a text names as its token's, or ``None`` if it is no token. Nothing is verified."""
    try:
        key_id = extract_compact(token.encode()).headers().get("kid")
    except _RUBBISH:  # a header need not even be an object
        return None
    return key_id if isinstance(key_id, str) else None


def _parameters(key_id: str) -> KeyParameters:
    return {"kid": key_id, "use": "sig", "alg": _ALGORITHM}


class UnknownKeyError(Exception):
    """The token names a key that is not among these; the issuer may have got it since."""


class IssuerKeys:
    """The keys that an OpenID Connect issuer publishes, as far as they can verify anything here (RFC 7517)."""

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
        except _RUBBISH:
            raise BadTokenError from None
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
        if name not in _ISSUERS_ALGORITHMS:
            raise UnsupportedAlgorithmError
        return self.algorithms[name]


def _usable(keys: Iterable[object]) -> Iterator[Key]:
    """Yield the keys that can be read; the others are for somebody else (RFC 7517, 5)."""
    for key in keys:
        if not isinstance(key, dict) or (key.get("kty") == "RSA" and len(str(key.get("n"))) < _SHORTEST_MODULUS):
            continue
        try:
            usable = _KEY_TYPES[key["kty"]].import_key(key)
            usable.ensure_kid()
        except _RUBBISH:
            continue
        yield usable
