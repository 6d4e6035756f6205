"""The installation's secret key, and the sub-keys that are derived from it, one a purpose (RFC 5869)."""

import hmac
import json
import secrets
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from models.secret import Secret

MIN_SECRET_KEY_BYTES = 32
_NONCE_BYTES = 12


class SecretKey:
    """One secret key: its public id, and digests under its sub-keys."""

    def __init__(self, secret: Secret) -> None:
        self._material = secret.reveal().encode()
        self.id = self._derive("key-id", 8).hex()
        self._tokens = hmac.new(self._derive("api-token", 32), digestmod="sha256")
        self._sessions = hmac.new(self._derive("session-id", 32), digestmod="sha256")
        self._sealing = AESGCM(self._derive("signing-keys", 32))
        self._limiter = hmac.new(self._derive("login-limiter", 32), digestmod="sha256")
        self._forms = hmac.new(self._derive("console-forms", 32), digestmod="sha256")
        self._audit = hmac.new(self._derive("audit", 32), digestmod="sha256")

    def token_digest(self, token: Secret) -> str:
        """Return the HMAC-SHA256 by which a token is found, in hex. It can be computed by the key's holders alone."""
        return _digest(self._tokens, token.reveal().encode("utf-8", "surrogatepass"))

    def session_digest(self, kind: str, secret: Secret) -> str:
        """Return what the session of an id is called in the store, in hex; each kind has digests of its own."""
        return _digest(self._sessions, f"{kind} {secret.reveal()}".encode())

    def limiter_digest(self, *parts: str) -> str:
        """Return what a counter is called in the store, in hex: it tells nobody the names tried."""
        return _digest(self._limiter, json.dumps(parts).encode())

    def form_digest(self, *parts: str) -> str:
        """Return what a form has to bring along to be one of a session's own pages, in hex."""
        return _digest(self._forms, json.dumps(parts).encode())

    def audit_digest(self, *parts: str) -> str:
        """Return what the audit trail has in the place of what was tried, in hex: it tells nobody a name."""
        return _digest(self._audit, json.dumps(parts).encode())

    def seal(self, plain: bytes, name: str) -> bytes:
        """Encrypt what the store keeps under ``name``, bound to it: AES-256-GCM, a random nonce first."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._sealing.encrypt(nonce, plain, name.encode())

    def unseal(self, sealed: bytes, name: str) -> bytes | None:
        """Return what ``seal`` was given, or ``None`` if another key or another name sealed it."""
        try:
            return self._sealing.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], name.encode())
        except (InvalidTag, ValueError):
            return None

    def _derive(self, purpose: str, length: int) -> bytes:
        return HKDF(SHA256(), length, salt=None, info=f"doorman {purpose}".encode()).derive(self._material)


def _digest(mac: hmac.HMAC, text: bytes) -> str:
    # Not hmac.digest(), which lets go of the interpreter's lock: each request would wait for it to be free again.
    mac = mac.copy()
    mac.update(text)
    return mac.hexdigest()


class KeyRing:
    """The secret keys in service: the current one, then a previous one while a rotation lasts.

    A token is stored under a digest for each of them, so that replicas whose settings differ in which of the two is
    the current one find each other's tokens.
    """

    def __init__(self, current: Secret, previous: Secret | None = None) -> None:
        self.current = SecretKey(current)
        self.previous = SecretKey(previous) if previous else None

    @property
    def keys(self) -> Sequence[SecretKey]:
        return [self.current, self.previous] if self.previous else [self.current]

    @property
    def lasting(self) -> SecretKey:
        """The key that is the same on all replicas, and all through a rotation."""
        return min(self.keys, key=lambda key: key.id)

    def token_digests(self, token: Secret) -> tuple[str, ...]:
        return tuple(key.token_digest(token) for key in self.keys)
