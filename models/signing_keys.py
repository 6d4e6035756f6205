"""The keys that sign tokens: in the store, for all replicas, sealed there under the secret key."""

import binascii
import re
import secrets
from base64 import b64decode, b64encode
from collections.abc import Callable
from datetime import datetime, timedelta
from threading import Lock
from typing import Any

from models.jwt import SigningKey
from models.records import Record
from models.secret_key import KeyRing
from models.storage import Records

_KIND = "signing_key"
_OWNER = "doorman"  # no user's id, by which the records of all keys are found
_SIGNS_FOR = timedelta(days=30)
_MADE_AHEAD = timedelta(days=1)  # the next one, before the last one ceases to sign
_PUBLISHED_AHEAD = timedelta(minutes=10)  # before it signs, so that others have heard of it
_LOOKED_AT_EVERY = timedelta(minutes=1)
_KEY_ID = re.compile(r"[A-Za-z0-9_-]{22}")


class SigningKeys:
    """Makes, finds and retires the keys of one store.

    A key signs for thirty days, is known for ``lifetime`` of tokens longer, and then its record expires. The next one
    is made in time by whoever notices first; several at once do no harm. Which key signs is the same on all replicas,
    but for a minute.
    """

    def __init__(self, records: Records, keys: KeyRing, *, clock: Callable[[], datetime], lifetime: timedelta) -> None:
        self._records = records
        self._keys = keys
        self._clock = clock
        self._lifetime = lifetime
        self._lock = Lock()
        self._opened: dict[str, tuple[datetime, SigningKey]] = {}  # until when it is known
        self._current: SigningKey | None = None
        self._looked_at = datetime.min.replace(tzinfo=clock().tzinfo)

    def current(self) -> SigningKey:
        """Return the key that signs now."""
        now = self._clock()
        with self._lock:
            if self._current is None or not timedelta(0) <= now - self._looked_at < _LOOKED_AT_EVERY:
                self._current = self._choose(now)
                self._looked_at = now
            return self._current

    def find(self, key_id: str) -> SigningKey | None:
        """Return the key of that id, which another replica may have made a moment ago."""
        if not _KEY_ID.fullmatch(key_id):
            return None
        now = self._clock()
        until, key = self._opened.get(key_id, (now, None))
        if key is not None and now < until:
            return key
        record = self._records.find(_KIND, key_id, now=now)
        return self._open(record) if record else None

    def public(self) -> list[dict[str, Any]]:
        """Return the public keys of all that are known, as JSON Web Keys; the one that signs is among them."""
        self.current()
        return [key.public() for _, key in self._known(self._clock())]

    def rotate(self) -> str:
        """Make a new key, which signs when others have had the time to hear of it; return its id."""
        return self._make(self._clock()).id

    def _choose(self, now: datetime) -> SigningKey:
        own = [
            (record.created_at, key)
            for record, key in self._known(now)
            if record.data.get("sealed_under") == self._keys.current.id and now - record.created_at < _SIGNS_FOR
        ]
        if not own:
            return self._make(now)
        newest, _ = own[0]
        if now - newest >= _SIGNS_FOR - _MADE_AHEAD:
            self._make(now)
        return next((key for created_at, key in own if now - created_at >= _PUBLISHED_AHEAD), own[-1][1])

    def _known(self, now: datetime) -> list[tuple[Record, SigningKey]]:
        """Return what can be opened, the newest first."""
        records = self._records.of_user(_OWNER, [_KIND], now=now)
        found = (
            (record, self._open(record))
            for record in sorted(records, key=lambda one: (one.created_at, one.id), reverse=True)
        )
        return [(record, key) for record, key in found if key is not None]

    def _make(self, now: datetime) -> SigningKey:
        key = SigningKey.make(secrets.token_urlsafe(16))
        sealed = b64encode(self._keys.current.seal(key.pem(), key.id)).decode()
        self._records.put(
            Record(
                kind=_KIND,
                id=key.id,
                user_id=_OWNER,
                created_at=now,
                used_at=now,
                expires_at=now + _SIGNS_FOR + self._lifetime,
                data={"sealed": sealed, "sealed_under": self._keys.current.id},
            ),
            now=now,
        )
        return key

    def _open(self, record: Record) -> SigningKey | None:
        """Return the key of a record, or ``None`` if no secret key in service opens it."""
        known = self._opened.get(record.id)
        if known is not None:
            return known[1]
        try:
            sealed = b64decode(str(record.data.get("sealed")), validate=True)
        except binascii.Error:
            return None
        pem = next(filter(None, (key.unseal(sealed, record.id) for key in self._keys.keys)), None)
        if pem is None:
            return None
        key = SigningKey.from_pem(pem, record.id)
        self._opened = {key_id: entry for key_id, entry in self._opened.items() if entry[0] > self._clock()} | {
            record.id: (record.expires_at, key)
        }
        return key
