"""ID tokens: an issuer's word for who somebody is (OpenID Connect Core 1.0, 2 and 3.1.3.7), each taken once."""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from models.errors import NotAuthenticatedError, RecordExistsError
from models.jwt import BadTokenError, IssuerKeys
from models.records import Record
from models.secret import Secret
from models.storage import Records

_KIND = "id_token"
_OLDEST = timedelta(minutes=5)  # since it was issued
_CLOCKS_DIFFER = timedelta(minutes=1)
_LATEST = 1e15  # seconds, far past all dates
_KEPT_AT_MOST = timedelta(days=1)  # by then it has long been too old, whatever it says of its own end
# An address that nobody has confirmed is one that anybody may have typed (OpenID Connect Core 1.0, 5.1).
# What Keycloak and Amazon Cognito tell ID tokens by from access tokens, whose header and audience may be the same.
_TOLD_BY: Mapping[str, Sequence[object]] = {"typ": ("ID", "JWT"), "token_use": ("id",)}
_CONFIRMED_BY = {"email": "email_verified", "phone_number": "phone_number_verified"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RelyingParty:
    """What this service is to its issuer, and the claim by which the issuer names users."""

    issuer: str
    client_id: str
    claim: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """That an issuer has just named a user so. ``digest`` is what the token is known by, kept until ``expires_at``."""

    user_name: str
    name: str | None  # to show, as the issuer has it
    digest: str
    expires_at: datetime


class IdTokens:
    """Verifies ID tokens, and takes each once: an atomic write of the store decides."""

    def __init__(self, records: Records, clock: Callable[[], datetime]) -> None:
        self._records = records
        self._clock = clock

    def verify(self, party: RelyingParty, keys: IssuerKeys, token: Secret, nonce: Secret | None = None) -> Proof:
        """Return what the token proves to ``party``; with ``nonce``, that it answers this very request.

        Raises ``NotAuthenticatedError``, and ``UnknownKeyError`` when ``keys`` may be too old for it.
        """
        text, now = token.reveal(), self._clock()
        try:
            claims = keys.claims(text)
        except BadTokenError as error:
            raise NotAuthenticatedError from error
        user_name, name, ends = claims.get(party.claim), claims.get("name"), _seconds(claims, "exp")
        if not (
            isinstance(user_name, str)
            and claims.get("iss") == party.issuer
            and _is_for(party.client_id, claims)
            and _is_of_now(claims, now.timestamp())
            and (nonce is None or claims.get("nonce") == nonce.reveal())
            and (party.claim not in _CONFIRMED_BY or claims.get(_CONFIRMED_BY[party.claim]) is True)
            and all(claims.get(claim, kinds[0]) in kinds for claim, kinds in _TOLD_BY.items())
            and "events" not in claims  # those of a logout token (OpenID Connect Back-Channel Logout 1.0, 2.4)
        ):
            raise NotAuthenticatedError
        return Proof(
            user_name=user_name,
            name=name if isinstance(name, str) else None,
            # Without the signature, which can be written in several ways that all hold.
            digest=hashlib.sha256(text.rpartition(".")[0].encode()).hexdigest(),
            # Longer than it holds here: where a clock is behind, it holds still.
            expires_at=now
            + min(timedelta(seconds=math.ceil(min(ends - now.timestamp(), 1e6))) + _CLOCKS_DIFFER, _KEPT_AT_MOST),
        )

    def spend(self, proof: Proof) -> None:
        """Take the token that proved it, for all replicas. Raises ``NotAuthenticatedError`` the second time."""
        now = self._clock()
        record = Record(kind=_KIND, id=proof.digest, created_at=now, used_at=now, expires_at=proof.expires_at)
        try:
            self._records.put(record, now=now)
        except RecordExistsError as error:
            raise NotAuthenticatedError from error


def _is_for(client_id: str, claims: Mapping[str, Any]) -> bool:
    """Tell whether the client is the audience; where there are others, it must be the one that asked for the token."""
    audience, party = claims.get("aud"), claims.get("azp")
    if isinstance(audience, str):
        audience = [audience]
    if not isinstance(audience, list) or client_id not in audience:
        return False
    return party == client_id or (party is None and len(audience) == 1)


def _is_of_now(claims: Mapping[str, Any], now: float) -> bool:
    """Tell whether the token is in force, and new."""
    issued, begins = _seconds(claims, "iat"), _seconds(claims, "nbf", 0.0)
    is_new = now - _OLDEST.total_seconds() <= issued <= now + _CLOCKS_DIFFER.total_seconds()
    return is_new and begins <= now + _CLOCKS_DIFFER.total_seconds() and now < _seconds(claims, "exp")


def _seconds(claims: Mapping[str, Any], name: str, otherwise: float = math.nan) -> float:
    """Return a time as a number that compares with none if it is none (RFC 7519, 2: NumericDate)."""
    value = claims.get(name, otherwise)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _LATEST:
        return math.nan
    return float(value)
