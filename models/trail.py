"""Making the events of the audit trail, which are written with the changes that they tell of."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from models.events import SYSTEM, Detail, Event, Kind, Party, event_ids
from models.origins import NoOriginError, Origin, Whence
from models.records import Record
from models.user import User

Happened = tuple[Kind, Mapping[str, Detail]]

# A user's event is not dated before the change that it follows on, by a clock that is behind: but for no more than so
# much, or a clock that was far ahead once would date all that comes after.
_MOST_AHEAD = timedelta(minutes=1)
_NAMES = ("user_name", "name", "email")


@dataclass(frozen=True, slots=True)
class Trail:
    """Makes events. What is to act has to be said: an actor of ``None`` is whom the origin names.

    Raises ``NoOriginError`` where no origin is known, or where it names nobody.
    """

    whence: Whence
    clock: Callable[[], datetime]
    noted: Callable[[], None] = lambda: None  # is called for each event that is made

    def from_here(self) -> "Trail":
        """Return a trail whose events come from where this is called, whichever thread they are made in."""
        origin = self.whence()
        return replace(self, whence=lambda: origin)

    def created(self, actor: User | None, user: User) -> list[Event]:
        """Tell that a user is made."""
        return self._about(actor, user, user, [(Kind.USER_CREATED, {"user_group": user.user_group})])

    def changed(self, actor: User | None, before: User, after: User) -> list[Event]:
        """Tell what has become of a user: an event for each kind of change, and one if nothing is other than it was."""
        return self._about(actor, before, after, _differences(before, after) or [(Kind.USER_UPDATED, {"fields": []})])

    def deleted(self, actor: User | None, user: User) -> list[Event]:
        """Tell that a user is deleted."""
        gone = user.changed(self.clock())
        return self._about(actor, user, gone, [(Kind.USER_DELETED, {"user_group": user.user_group})])

    def session_revoked(self, actor: User | None, user: User, kind: str, shown_id: str) -> list[Event]:
        """Tell that one session of a user is ended."""
        return self._about(actor, user, None, [(Kind.SESSION_REVOKED, {"sessions": 1, "id": shown_id, "kind": kind})])

    def sessions_revoked(self, actor: User | None, user: User, records: Sequence[Record]) -> list[Event]:
        """Tell that sessions of a user are ended all at once, if there are any."""
        kinds = sorted({record.kind for record in records})
        happened: list[Happened] = [(Kind.SESSION_REVOKED, {"sessions": len(records), "kinds": kinds})]
        return self._about(actor, user, None, happened) if records else []

    def by_system(self, kind: Kind, **details: Detail) -> list[Event]:
        """Tell of something that the service does by itself, whoever's request it was in."""
        origin = self.whence()
        return self._made(Origin(origin.surface, "", origin.request_id), SYSTEM, None, [(kind, details)])

    def by_operator(self, kind: Kind, **details: Detail) -> list[Event]:
        """Tell of something that no user can do, and that is about no user."""
        origin = self.whence()
        return self._made(origin, _actor(None, origin), None, [(kind, details)])

    def _about(self, actor: User | None, before: User, after: User | None, happened: Sequence[Happened]) -> list[Event]:
        origin = self.whence()
        subject = party_of(before)
        now = self.clock()
        if now < before.updated_at <= now + _MOST_AHEAD:
            now = before.updated_at
        order = 0 if after is None else after.revision
        return self._made(origin, _actor(actor, origin), subject, happened, event_ids(now, order))

    def _made(
        self,
        origin: Origin,
        actor: Party,
        subject: Party | None,
        happened: Sequence[Happened],
        ids: Iterable[str] | None = None,
    ) -> list[Event]:
        self.noted()
        return [
            Event(
                id=event_id,
                kind=kind,
                actor=actor,
                subject=subject,
                address=origin.address,
                request_id=origin.request_id,
                surface=origin.surface,
                details=details,
            )
            for event_id, (kind, details) in zip(ids or event_ids(self.clock()), happened, strict=False)
        ]


def party_of(user: User) -> Party:
    return Party(user.id, user.user_name, user.name_key, user.oauth)


def _actor(actor: User | None, origin: Origin) -> Party:
    if actor is not None:
        return party_of(actor)
    if origin.actor is None:
        raise NoOriginError("nobody has said who does this")
    return origin.actor


def _differences(before: User, after: User) -> list[Happened]:
    happened: list[Happened] = []
    if before.user_group != after.user_group:
        happened.append((Kind.GROUP_CHANGED, {"from": before.user_group, "to": after.user_group}))
    if before.disabled != after.disabled:
        happened.append((Kind.USER_DISABLED if after.disabled else Kind.USER_ENABLED, {}))
    if before.password_hash != after.password_hash:
        happened.append((Kind.PASSWORD_CHANGED, {}))
    if before.token_digests != after.token_digests:
        happened.append((Kind.TOKEN_CREATED, {}))
    if fields := [name for name in _NAMES if getattr(before, name) != getattr(after, name)]:
        # A user's names are told, since one is found by them later; what else there is of a person is not.
        renamed = {"from": before.user_name, "to": after.user_name} if "user_name" in fields else {}
        happened.append((Kind.USER_UPDATED, {"fields": fields, **renamed}))
    return happened
