"""The one protocol that every store keeps, and that ``tests/storage`` holds each of them to.

Conventions: a look-up of one returns ``None`` when nothing is there, and a look-up of many leaves it out; a write that
cannot be done raises. Every call may raise ``UnavailableError`` when the database cannot be reached, and no other
exception of a driver gets out. Every write is durable when the call returns, and all of it happens or none. Calls may
come from any thread and any process, and a connection is never shared across a fork.

``events`` are those of the change, and are written with it: either both are there, or neither.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from models.errors import CorruptRecordError
from models.events import Event, Sought
from models.findings import Finding
from models.records import Counted, Record, Use
from models.storage.telling import Telling, untold
from models.user import ListedName, OAuth, User, UserGroup

UserKey = tuple[str, OAuth]  # the mapped name, and the kind
Found = User | CorruptRecordError  # the error stands for a user that is not as Doorman writes users


class Audit(Protocol):
    """The audit trail of a store. Changes write their events by themselves; nothing changes or removes any."""

    def add(self, events: Sequence[Event]) -> None:
        """Write events that go with no change."""

    def add_up(self, tallies: Sequence[Event]) -> None:
        """Add each to the event of its id, which it becomes if there is none: counts add up, and lists unite.

        Atomic for each: of simultaneous calls none is lost.
        """

    def find(self, sought: Sought, *, limit: int) -> list[Event]:
        """Return at most ``limit`` events, the newest first. By keyset on an index: any page costs the same.

        With several terms the first ones' index is gone along. One that is not as Doorman writes events is logged, and
        left out.
        """

    def purge(self, *, before: datetime) -> int:
        """Remove the events from before a time, in bounded steps that never hold up other writers; return how many."""


class Records(Protocol):
    """The expiring records of a store. An overdue one is not there, purged or not.

    Neither is one that is not as Doorman writes records: it is logged, and spoils no other one's answer.
    """

    def put(self, record: Record, *, now: datetime, most: int | None = None, events: Sequence[Event] = ()) -> None:
        """Add a record; of its user's records of its kind, the ``most`` that were created last stay.

        Those that are dated more than ``CLOCKS_DIFFER`` ahead count as the first. Simultaneous calls end with no more.
        Raises ``RecordExistsError`` when one of this kind and id is there.
        """

    def find(self, kind: str, record_id: str, *, now: datetime) -> Record | None:
        """Look a record up."""

    def of_user(self, user_id: str, kinds: Collection[str], *, now: datetime) -> list[Record]:
        """Return a user's records of these kinds, the one that was created last first."""

    def note_uses(self, uses: Sequence[Use], *, now: datetime) -> None:
        """Move on when records that are there were used, and when they end; each by one atomic conditional write."""

    def delete(self, kind: str, record_id: str, *, events: Sequence[Event] = ()) -> bool:
        """Remove one record; return whether it was there, overdue or not. The events are written only if it was."""

    def delete_of(
        self, user_id: str, kinds: Collection[str], *, but: str | None = None, told: Telling = untold
    ) -> list[Record]:
        """Remove a user's records of these kinds, overdue or not, but the one with the id ``but``; return them.

        All of it is one step, so it is for kinds of which ``put`` keeps few. ``told`` makes the events of what was
        removed, and may be asked more than once.
        """


class Counters(Protocol):
    """The counters of a store. An overdue one is not there, purged or not, and is counted from zero."""

    def find(self, keys: Collection[str], *, now: datetime) -> Mapping[str, Counted]:
        """Look counters up, in one round trip."""

    def add(self, keys: Collection[str], *, now: datetime, expires_at: datetime) -> None:
        """Add one to each counter; ``last`` and ``expires_at`` are moved on, never back.

        Atomic for each key: of simultaneous calls none is lost.
        """

    def take(self, key: str, *, now: datetime, expires_at: datetime) -> int:
        """Do as ``add`` does for one counter, and return what it has become: no two calls get the same number."""


class Store(Protocol):
    kind: str  # what to call it
    schema_version: int | None  # of what it keeps; None: its documents have no version

    @property
    def records(self) -> Records: ...

    @property
    def counters(self) -> Counters: ...

    @property
    def audit(self) -> Audit: ...

    def prepare(self) -> None:
        """Create what the store needs (schema, indexes); idempotent, and safe when several processes do it at once.

        Raises ``SetupError`` when this database cannot serve: a standalone mongod, a schema of a newer version.
        """

    def ping(self) -> None:
        """Do one small read, so that readiness can be told."""

    def close(self) -> None:
        """Release all connections. The store is not used afterwards."""

    def adopt_key_id(self, key_id: str, *, known: Collection[str], events: Sequence[Event] = ()) -> bool:
        """Record ``key_id`` as the secret key's, if none is recorded or the recorded one is ``key_id`` or in ``known``.

        Returns whether it is recorded now. The events are written if another one was. Atomic: of several first starts
        with different keys one wins.
        """

    def insert(self, users: Sequence[User], events: Sequence[Event]) -> None:
        """Add users, all or none.

        Raises ``UserExistsError``, ``EmailInUseError`` or ``TokenInUseError``; the unique index decides.
        """

    def insert_first_admin(self, user: User, events: Sequence[Event]) -> bool:
        """Add ``user`` if the store has no guarding admin, in one atomic step; return whether it was added.

        Raises as ``insert`` does.
        """

    def has_admin(self) -> bool:
        """Tell whether an enabled ordinary admin with a password exists."""

    def find_users(self, keys: Collection[UserKey]) -> Mapping[UserKey, Found]:
        """Look users up by mapped name and kind, in one round trip (none for no keys, more for over a hundred).

        What is not there is left out, and so is what no store can hold. One that is not as Doorman writes users is
        given as its error, so that it does not spoil the others' answer. Each key is answered as of some moment of the
        call, and not all as of the same one. All of this goes for the other two as well.
        """

    def find_users_by_id(self, ids: Collection[str]) -> Mapping[str, Found]:
        """Look users up by their ids, in one round trip; any strings may be asked for."""

    def find_users_by_token(self, digests: Collection[str]) -> Mapping[str, Found]:
        """Look users up by digests of their API tokens, in two round trips at the most.

        The pointer only leads to the user: one whose own ``token_digests`` lacks the digest is not returned for it.
        """

    def replace(self, before: User, after: User, events: Sequence[Event]) -> None:
        """Put ``after`` in the place of ``before`` if the stored revision is still ``before.revision``.

        Id and oauth stay. Raises ``RevisionMismatchError`` (also when the user is gone), ``UserExistsError`` when the
        name is another's, ``EmailInUseError``, ``TokenInUseError``, or ``LastAdminError`` when no guarding admin would
        remain, decided by the same atomic write.
        """

    def delete(self, user: User, events: Sequence[Event]) -> None:
        """Remove the user, its pointers and its records, if the stored revision is still ``user.revision``.

        Many records go in bounded steps before the user does; if it was changed meanwhile, they are gone and it is not.
        Raises ``RevisionMismatchError`` or ``LastAdminError`` as ``replace`` does.
        """

    def list_names(
        self,
        *,
        limit: int,
        oauth: OAuth = 0,
        after: str | None = None,
        before: str | None = None,
        prefix: str = "",
        user_group: UserGroup | None = None,
    ) -> list[ListedName]:
        """Return at most ``limit`` names in the order of their keys' code points, from the first key past ``after``.

        With ``before`` these are the last ones that come before it. ``after``, ``before`` and ``prefix`` are keys; the
        first two need not exist. By keyset on an index: any page costs the same.
        """

    def raise_highest_cost(self, cost: int) -> int:
        """Record ``cost`` as the highest at which passwords here are hashed, unless a higher one is recorded.

        Returns the highest. Atomic, and never lowered. Nothing is written when nothing changes: 0 only asks.
        """

    def note_foreign_hashes(self, recipes: Collection[str]) -> Collection[str]:
        """Record how passwords here are hashed by other systems' ways; return all that was ever recorded.

        Each is atomic, and none is ever lost. Nothing is written when nothing changes: no recipes only ask.
        """

    def purge(self, *, now: datetime) -> int:
        """Remove overdue records and counters, in bounded steps that never hold up other writers; return how many."""


class Examination(Protocol):
    """A look at all of a store that need not be prepared. It writes nothing, and makes nothing.

    What is there may be changing: what is found is looked at again before it counts, where a change could feign it.
    """

    @property
    def is_readable(self) -> bool:
        """Whether the rest can be asked, once ``structure`` has been gone through."""

    @property
    def hash_kinds(self) -> Mapping[str, int]:
        """How many passwords' hashes are of each kind, by what ``contents`` was given."""

    def structure(self) -> Iterator[Finding]:
        """Yield what is wrong with the database itself. Raises ``UnavailableError`` when it cannot be reached."""

    def ping(self) -> None:
        """Do one small read."""

    def key_id(self) -> str | None:
        """Return the recorded id of the secret key, if there is one."""

    def has_admin(self) -> bool:
        """Tell whether an enabled ordinary admin with a password exists."""

    def contents(self, kind_of: Callable[[str], str]) -> Iterator[Finding]:
        """Read all users, pointers and records, in bounded memory, and yield what is wrong with them.

        ``kind_of`` tells of what kind a password's hash is, one of a few.
        """
