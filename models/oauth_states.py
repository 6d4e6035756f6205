"""What is known of a login between the moment when a browser is sent to the issuer and the one when it comes back."""

import json
import secrets
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from models.errors import NotAuthenticatedError, RecordExistsError
from models.records import Record
from models.secret import Secret
from models.secret_key import KeyRing, SecretKey
from models.storage import Records

OPEN_FOR = timedelta(minutes=10)
_CLOCKS_DIFFER = timedelta(minutes=1)
_KIND = "oauth_state"
_LONGEST = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuthState:
    """One login on its way. ``state`` travels through the issuer, and all of it, sealed, stays with the browser."""

    state: Secret
    nonce: Secret  # what the ID token has to repeat
    verifier: Secret  # what the code is exchanged with (RFC 7636)
    expires_at: datetime


class OAuthStates:
    """The logins on their way. Each comes back once, to the browser that it began with.

    The store knows those alone that came back: anybody may begin as many as they like, and that costs nobody anything.
    """

    def __init__(self, records: Records, keys: KeyRing, clock: Callable[[], datetime]) -> None:
        self._records = records
        self._keys = keys
        self._clock = clock

    def begin(self) -> tuple[OAuthState, Secret]:
        """Begin a login that may last ten minutes; return it, and what its browser has to keep."""
        login = OAuthState(
            state=Secret(secrets.token_urlsafe(32)),
            nonce=Secret(secrets.token_urlsafe(32)),
            verifier=Secret(secrets.token_urlsafe(48)),
            expires_at=self._clock() + OPEN_FOR,
        )
        texts = [secret.reveal() for secret in (login.state, login.nonce, login.verifier)]
        plain = json.dumps([*texts, login.expires_at.timestamp()]).encode()
        return login, Secret(urlsafe_b64encode(self._keys.current.seal(plain, _KIND)).decode().rstrip("="))

    def finish(self, state: Secret, browser: Secret) -> OAuthState:
        """Return the login of that state, which ends by it. Raises ``NotAuthenticatedError``.

        Another browser's does not end, so that nobody can spoil it who has only seen the address of the page.
        """
        key, login = self._unsealed(browser)
        now, given = self._clock(), state.reveal().encode("utf-8", "surrogatepass")
        if now >= login.expires_at or not secrets.compare_digest(login.state.reveal().encode(), given):
            raise NotAuthenticatedError
        record = Record(
            kind=_KIND,
            id=key.session_digest(_KIND, login.state),  # of the key that sealed it: the same on all replicas
            created_at=now,
            used_at=now,
            expires_at=login.expires_at + _CLOCKS_DIFFER,
        )
        try:
            self._records.put(record, now=now)
        except RecordExistsError as error:
            raise NotAuthenticatedError from error
        return login

    def _unsealed(self, browser: Secret) -> tuple[SecretKey, OAuthState]:
        text = browser.reveal()
        if len(text) > _LONGEST:
            raise NotAuthenticatedError
        try:
            sealed = b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except ValueError:  # which quotes what it could not read
            raise NotAuthenticatedError from None
        for key in self._keys.keys:
            if (plain := key.unseal(sealed, _KIND)) is not None:
                *texts, expires_at = json.loads(plain)
                state, nonce, verifier = map(Secret, texts)
                at = datetime.fromtimestamp(expires_at, UTC)
                return key, OAuthState(state=state, nonce=nonce, verifier=verifier, expires_at=at)
        raise NotAuthenticatedError
