"""What is kept of a browser between the moment when it is sent to the issuer and the one when it comes back."""

import json
import secrets
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from models.clients import Client
from models.errors import NotAuthenticatedError
from models.records import Record
from models.secret import Secret
from models.secret_key import KeyRing, SecretKey
from models.storage import Records

OPEN_FOR = timedelta(minutes=10)
_KIND = "oauth_state"
_MOST_OPEN = 100  # of one address; the one that began first goes first
_LONGEST = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuthState:
    """One login on its way. ``state`` travels through the issuer, ``browser`` stays with the browser."""

    state: Secret
    browser: Secret
    nonce: Secret  # what the ID token has to repeat
    verifier: Secret  # what the code is exchanged with (RFC 7636)


class OAuthStates:
    """The logins on their way of one store. Each comes back once, to whom it began with: the store decides."""

    def __init__(self, records: Records, keys: KeyRing, clock: Callable[[], datetime]) -> None:
        self._records = records
        self._keys = keys
        self._clock = clock

    def begin(self, client: Client) -> OAuthState:
        """Remember a login that begins now, for ten minutes."""
        key, now = self._keys.current, self._clock()
        login = OAuthState(
            state=_random(), browser=_random(), nonce=_random(), verifier=Secret(secrets.token_urlsafe(48))
        )
        record_id = key.session_digest(_KIND, login.state)
        hidden = json.dumps([secret.reveal() for secret in (login.browser, login.nonce, login.verifier)])
        self._records.put(
            Record(
                kind=_KIND,
                id=record_id,
                # No user's id, by which those of one address are found, so that they stay few.
                user_id=self._keys.lasting.limiter_digest(_KIND, client.address),
                created_at=now,
                used_at=now,
                expires_at=now + OPEN_FOR,
                data={"sealed": b64encode(key.seal(hidden.encode(), _sealed_as(record_id))).decode()},
            ),
            now=now,
            most=_MOST_OPEN,
        )
        return login

    def finish(self, state: Secret, browser: Secret) -> OAuthState:
        """Return the login of that state, which ends by it. Raises ``NotAuthenticatedError``.

        Another browser's does not end, so that nobody can spoil it who has only seen the address of the page.
        """
        if max(len(state.reveal()), len(browser.reveal())) > _LONGEST:
            raise NotAuthenticatedError
        for key in self._keys.keys:
            record_id = key.session_digest(_KIND, state)
            record = self._records.find(_KIND, record_id, now=self._clock())
            login = _opened(key, record, state) if record is not None else None
            if login is None or not secrets.compare_digest(
                login.browser.reveal().encode(), browser.reveal().encode("utf-8", "surrogatepass")
            ):
                continue
            if self._records.delete(_KIND, record_id):
                return login
        raise NotAuthenticatedError


def _random() -> Secret:
    return Secret(secrets.token_urlsafe(32))


def _sealed_as(record_id: str) -> str:
    return f"{_KIND} {record_id}"


def _opened(key: SecretKey, record: Record, state: Secret) -> OAuthState | None:
    try:
        plain = key.unseal(b64decode(str(record.data.get("sealed")), validate=True), _sealed_as(record.id))
    except ValueError:
        return None
    if plain is None:
        return None
    browser, nonce, verifier = (Secret(text) for text in json.loads(plain))
    return OAuthState(state=state, browser=browser, nonce=nonce, verifier=verifier)
