"""The keys that sign tokens: in the store, for all replicas, sealed there under the secret key."""

import logging
import re
import secrets
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock
from typing import Any

from models.errors import UnavailableError
from models.events import Event, Kind
from models.jwt import SigningKey
from models.records import Record
from models.secret_key import KeyRing
from models.storage import Records
from models.trail import Trail

logger = logging.getLogger(__name__)

_KIND = "signing_key"
_OWNER = "doorman"  # no user's id, by which the records of all keys are found
_SIGNS_FOR = timedelta(days=30)
_MADE_AHEAD = timedelta(days=1)  # the next one, before the last one ceases to sign
_PUBLISHED_AHEAD = timedelta(minutes=10)  # before it signs, so that others have heard of it
_LOOKED_AT_EVERY = timedelta(minutes=1)
_KEY_ID = re.compile(r"[A-Za-z0-9_-]{22}")


@dataclass(frozen=True, slots=True)
class _Known:
    """What a process has read of the keys: all that it can open, the newest first, and which one signs."""

    keys: list[SigningKey]
    signs: SigningKey
    read_at: datetime


class SigningKeys:
    """Makes, finds and retires the keys of one store.

    A key signs for thirty days, and is known until the last token that it may sign has ended. The next one is made in
    time by whoever notices first; several at once do no harm. Which key signs is the same on all replicas, but for a
    minute; and for as long a key is known that was retired meanwhile.
    """

    def __init__(
        self, records: Records, keys: KeyRing, *, trail: Trail, clock: Callable[[], datetime], lifetime: timedelta
    ) -> None:
        self._records = records
        self._trail = trail
        self._keys = keys
        self._clock = clock
        self._lifetime = lifetime
        self._reading = Lock()
        self._known: _Known | None = None
        self._found: dict[str, tuple[datetime, SigningKey]] = {}  # and when

    def current(self) -> SigningKey:
        """Return the key that signs now."""
        return self._look().signs

    def public(self) -> list[dict[str, Any]]:
        """Return the public keys of all that are known, as JSON Web Keys; the one that signs is among them."""
        return [key.public() for key in self._look().keys]

    def find(self, key_id: str) -> SigningKey | None:
        """Return the key of that id, which another replica may have made a moment ago."""
        if not _KEY_ID.fullmatch(key_id):
            return None
        now = self._clock()
        found_at, key = self._found.get(key_id, (now, None))
        if key is not None and timedelta(0) <= now - found_at < _LOOKED_AT_EVERY:
            return key
        record = self._records.find(_KIND, key_id, now=now)
        key = self._open(record) if record else None
        others = {
            one: found for one, found in self._found.items() if one != key_id and now - found[0] < _LOOKED_AT_EVERY
        }
        self._found = others | ({key_id: (now, key)} if key is not None else {})
        return key

    def rotate(self) -> str:
        """Make a new key, which signs when others have had the time to hear of it; return its id."""
        return self._make(self._clock(), self._trail.by_operator).id

    def retire(self, key_id: str) -> bool:
        """Forget a key, and with it all that it signed; return whether it was there."""
        events = self._trail.by_operator(Kind.KEY_RETIRED, key_id=key_id)
        return self._records.delete(_KIND, key_id, events=events)

    def _look(self) -> _Known:
        """Return what is known, read anew after a minute: by one thread, which others await if they know nothing."""
        now, known = self._clock(), self._known
        if known is not None and timedelta(0) <= now - known.read_at < _LOOKED_AT_EVERY:
            return known
        if not self._reading.acquire(blocking=known is None):
            assert known is not None  # noqa: S101 - or else it would have waited
            return known
        try:
            if self._known is known or self._known is None:  # nobody else has read them meanwhile
                self._known = self._read(now)
        except UnavailableError:
            if known is None or now - known.read_at >= _MADE_AHEAD:
                raise
            return known
        else:
            return self._known
        finally:
            self._reading.release()

    def _read(self, now: datetime) -> _Known:
        records = self._records.of_user(_OWNER, [_KIND], now=now)
        opened = [
            (record, key)
            for record in sorted(records, key=lambda one: (one.created_at, one.id), reverse=True)
            if (key := self._open(record)) is not None
        ]
        own = [
            (record.created_at, self._signs_until(record), key)
            for record, key in opened
            # What a clock has dated far ahead never signs, or it would for ever.
            if record.data.get("sealed_under") == self._keys.current.id
            and now - record.created_at >= -_PUBLISHED_AHEAD
            and now < self._signs_until(record)
        ]
        keys = [key for _, key in opened]
        if not own or max(end for _, end, _ in own) - now <= _MADE_AHEAD:
            keys.insert(0, made := self._make(now, self._trail.by_system))
            if not own:
                return _Known(keys, made, now)
        signs = next((key for created_at, _, key in own if now - created_at >= _PUBLISHED_AHEAD), own[-1][2])
        return _Known(keys, signs, now)

    def _signs_until(self, record: Record) -> datetime:
        """Return until when a key signs: it must be known for as long as its tokens last, whatever that is by now."""
        return min(record.created_at + _SIGNS_FOR, record.expires_at - self._lifetime - _LOOKED_AT_EVERY)

    def _make(self, now: datetime, told: Callable[..., list[Event]]) -> SigningKey:
        key = SigningKey.make(secrets.token_urlsafe(16))
        sealed = b64encode(self._keys.current.seal(key.pem(), key.id)).decode()
        record = Record(
            kind=_KIND,
            id=key.id,
            user_id=_OWNER,
            created_at=now,
            used_at=now,
            expires_at=now + _SIGNS_FOR + self._lifetime + _LOOKED_AT_EVERY,
            data={"sealed": sealed, "sealed_under": self._keys.current.id},
        )
        self._records.put(record, now=now, events=told(Kind.KEY_ROTATED, key_id=key.id))
        return key

    def _open(self, record: Record) -> SigningKey | None:
        """Return the key of a record, or ``None`` if no secret key in service opens it."""
        try:
            sealed = b64decode(str(record.data.get("sealed")), validate=True)
            pem = next(filter(None, (key.unseal(sealed, record.id) for key in self._keys.keys)), None)
            return SigningKey.from_pem(pem, record.id) if pem is not None else None
        except ValueError:
            logger.error("The signing key %s in the store is not as Doorman writes keys.", record.id)  # noqa: TRY400 - the trace would say no more
            return None
