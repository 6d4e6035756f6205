"""Sessions: random ids that stand for a login, until they expire or are revoked (OWASP Session Management)."""

import re
import secrets
import string
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from models.clients import Client
from models.credentials import Caller
from models.errors import NotAuthenticatedError, SessionNotFoundError
from models.events import Event
from models.lookups import Lookups
from models.meter import SESSIONS_BEGUN, SESSIONS_ENDED, SESSIONS_PRESENTED, UNMETERED, Meter
from models.records import Record, Use
from models.secret import Secret
from models.secret_key import KeyRing
from models.storage import Store
from models.trail import Trail
from models.user import User
from models.uses import Uses

MOST_SESSIONS = 100  # of one kind a user; the one that began first goes first
_NOTED_EVERY = timedelta(minutes=1)
_SHOWN_LENGTH = 24  # hex digits of the digest: an id to name a session by, which opens nothing
_LONGEST_USER_AGENT = 200


class SessionKind:
    """What the secret ids of one kind of session look like. Its name is the kind of their records."""

    def __init__(self, name: str, alphabet: str, length: int) -> None:
        self.name = name
        self._alphabet = alphabet
        self._length = length
        self._form = re.compile(f"[{alphabet}]{{{length}}}")

    def new_id(self) -> Secret:
        return Secret("".join(secrets.choice(self._alphabet) for _ in range(self._length)))

    def has_form(self, presented: Secret) -> bool:
        return self._form.fullmatch(presented.reveal()) is not None


SESSION = SessionKind("session", string.ascii_lowercase + string.digits, 15)  # 77 bits
USER_KEY = SessionKind("user_key", "0123456789abcdef", 40)  # 160 bits
TOKEN = SessionKind("token", string.ascii_letters + string.digits, 27)  # 160 bits, in a JSON Web Token
CONSOLE = SessionKind("console", string.ascii_letters + string.digits, 27)  # 160 bits
KINDS = (SESSION, USER_KEY, TOKEN, CONSOLE)
_NAMES = [kind.name for kind in KINDS]
# An admin's, on whatever screen it was left open: NIST SP 800-63B-3, 4.2.3 (AAL2).
_CONSOLE_IDLE, _CONSOLE_MAX = timedelta(minutes=30), timedelta(hours=12)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetimes:
    """How long a session lasts after it was last used, and after it began at the most; and a token at the most.

    Those of the console end sooner, whatever is set here.
    """

    idle: timedelta
    absolute: timedelta
    token: timedelta

    def end(self, kind: str, created_at: datetime, used_at: datetime) -> datetime:
        if kind == TOKEN.name:
            return min(used_at + self.idle, created_at + self.token)
        if kind == CONSOLE.name:
            return min(used_at + _CONSOLE_IDLE, created_at + _CONSOLE_MAX)
        return min(used_at + self.idle, created_at + self.absolute)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A session as its user and admins see it. Times are UTC; ``used_at`` is exact to a minute."""

    id: str  # 24 hex digits: names the session, and opens nothing
    kind: str
    created_at: datetime
    used_at: datetime
    expires_at: datetime
    address: str  # of the client at the login; of an IPv6 one, its /64
    user_agent: str  # what the client called itself then


class Sessions:
    """The sessions of one store.

    A session is kept under a digest of its id, and bound to its user's epoch (``User.epoch``): whatever ends an epoch
    ends it, at the next request on every replica, also one that is begun by a login from before.
    """

    def __init__(
        self,
        store: Store,
        lookups: Lookups,
        keys: KeyRing,
        *,
        clock: Callable[[], datetime],
        lifetimes: Lifetimes,
        uses: Uses,
        trail: Trail,
        meter: Meter = UNMETERED,
    ) -> None:
        self._meter = meter
        self._trail = trail
        self._records = store.records
        self._lookups = lookups
        self._keys = keys
        self._clock = clock
        self._lifetimes = lifetimes
        self._uses = uses

    def begin(self, caller: Caller, kind: SessionKind, user_agent: str = "") -> tuple[Secret, Session]:
        """Begin a session for a caller who has just logged in; return its secret id, the only time that it is shown."""
        secret, now = kind.new_id(), self._clock()
        record = Record(
            kind=kind.name,
            id=self._keys.current.session_digest(kind.name, secret),
            created_at=now,
            used_at=now,
            expires_at=self._lifetimes.end(kind.name, now, now),
            user_id=caller.user.id,
            epoch=caller.user.epoch,
            data={
                "address": caller.client.address.removesuffix("/32"),
                "user_agent": _printable(user_agent)[:_LONGEST_USER_AGENT],
            },
        )
        self._records.put(record, now=now, most=MOST_SESSIONS)
        self._meter.count(SESSIONS_BEGUN, kind.name)
        return secret, self._session(record)

    def resume(self, kind: SessionKind, presented: Secret, client: Client) -> Caller:
        """Return whose session ``presented`` is the id of. Raises ``NotAuthenticatedError``."""
        record = self._find(kind, presented)
        user = self._lookups.by_id(record.user_id) if record and record.user_id else None
        if record is None or user is None or user.disabled or user.epoch != record.epoch:
            self._meter.count(SESSIONS_PRESENTED, kind.name, "refused")
            raise NotAuthenticatedError
        self._meter.count(SESSIONS_PRESENTED, kind.name, "accepted")
        self._note_use(record)
        return Caller(user, client, session=(record.kind, record.id))

    def end(self, caller: Caller) -> bool:
        """End the session that the caller came by; return whether it had not ended yet."""
        return caller.session is not None and self._delete(caller.user, caller.user, *caller.session)

    @staticmethod
    def shown_id(caller: Caller) -> str | None:
        """Return by which id lists name the session that the caller came by, if it came by one."""
        return caller.session[1][:_SHOWN_LENGTH] if caller.session is not None else None

    def of(self, user: User) -> list[Session]:
        """Return the sessions that open ``user``, the one that began last first."""
        return [self._session(record) for record in self._in_force(user)]

    def find(self, user: User, session_id: str) -> Session:
        """Return one of the user's sessions. Raises ``SessionNotFoundError``."""
        return self._session(self._named(user, session_id))

    def revoke(self, caller: Caller | None, user: User, session_id: str) -> None:
        """End one of the user's sessions. Raises ``SessionNotFoundError``.

        ``caller`` is who asks; ``None`` is the operator at the command line.
        """
        record = self._named(user, session_id)
        if not self._delete(None if caller is None else caller.user, user, record.kind, record.id):
            raise SessionNotFoundError

    def revoke_all(self, caller: Caller | None, user: User, but: str | None = None) -> int:
        """End the user's sessions, all or all ``but`` one; return how many. Raises ``SessionNotFoundError``."""
        now, actor = self._clock(), None if caller is None else caller.user
        kept = None if but is None else self._named(user, but).id

        def told(removed: Sequence[Record]) -> Sequence[Event]:
            return self._trail.sessions_revoked(actor, user, self._opening(user, removed, now))

        ended = self._opening(user, self._records.delete_of(user.id, _NAMES, but=kept, told=told), now)
        for record in ended:
            self._meter.count(SESSIONS_ENDED, record.kind)
        return len(ended)

    def _delete(self, actor: User | None, user: User, kind: str, record_id: str) -> bool:
        events = self._trail.session_revoked(actor, user, kind, record_id[:_SHOWN_LENGTH])
        is_gone = self._records.delete(kind, record_id, events=events)
        self._meter.count(SESSIONS_ENDED, kind, by=is_gone)
        return is_gone

    def _find(self, kind: SessionKind, presented: Secret) -> Record | None:
        if not kind.has_form(presented):
            return None
        now = self._clock()
        digests = (key.session_digest(kind.name, presented) for key in self._keys.keys)
        found = (self._records.find(kind.name, digest, now=now) for digest in digests)
        return next((record for record in found if record and self._end(record) > now), None)

    def _in_force(self, user: User) -> list[Record]:
        now = self._clock()
        return self._opening(user, self._records.of_user(user.id, _NAMES, now=now), now)

    def _opening(self, user: User, records: Iterable[Record], now: datetime) -> list[Record]:
        """Return those of the user's records that open it."""
        return [record for record in records if record.epoch == user.epoch and self._end(record) > now]

    def _named(self, user: User, session_id: str) -> Record:
        for record in self._in_force(user):
            if _shown_id(record) == session_id:
                return record
        raise SessionNotFoundError

    def _end(self, record: Record) -> datetime:
        """Return when the session ends by the settings, which may have become stricter since it was written."""
        return min(record.expires_at, self._lifetimes.end(record.kind, record.created_at, record.used_at))

    def _note_use(self, record: Record) -> None:
        now = self._clock()
        if now - record.used_at >= _NOTED_EVERY:
            self._uses.note(
                Use(
                    kind=record.kind,
                    id=record.id,
                    used_at=now,
                    unless_after=now - _NOTED_EVERY,
                    expires_at=self._lifetimes.end(record.kind, record.created_at, now),
                )
            )

    def _session(self, record: Record) -> Session:
        return Session(
            id=_shown_id(record),
            kind=record.kind,
            created_at=record.created_at,
            used_at=record.used_at,
            expires_at=self._end(record),
            address=str(record.data.get("address", "")),
            user_agent=str(record.data.get("user_agent", "")),
        )


def _shown_id(record: Record) -> str:
    return record.id[:_SHOWN_LENGTH]


def _printable(text: str) -> str:
    return "".join(character for character in text if character.isprintable())
