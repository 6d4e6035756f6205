"""The one protocol that every store keeps, and that ``tests/storage`` holds each of them to.

Conventions: a look-up returns ``None`` when nothing is there; a write that cannot be done raises. Every call may
raise ``UnavailableError`` when the database cannot be reached, and no other exception of a driver gets out. Every
write is durable when the call returns, and all of it happens or none. Calls may come from any thread and any process,
and a connection is never shared across a fork.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Protocol

from models.records import Record
from models.user import ListedName, OAuth, User, UserGroup


class Store(Protocol):
    def prepare(self) -> None:
        """Create what the store needs (schema, indexes); idempotent, and safe when several processes do it at once.

        Raises ``SetupError`` when this database cannot serve: a standalone mongod, a schema of a newer version.
        """

    def ping(self) -> None:
        """Do one small read, so that readiness can be told."""

    def close(self) -> None:
        """Release all connections. The store is not used afterwards."""

    def adopt_key_id(self, key_id: str, *, known: Collection[str]) -> bool:
        """Record ``key_id`` as the secret key's, if none is recorded or the recorded one is ``key_id`` or in ``known``.

        Returns whether it is recorded now. Atomic: of several first starts with different keys one wins.
        """

    def insert(self, users: Sequence[User]) -> None:
        """Add users, all or none.

        Raises ``UserExistsError``, ``EmailInUseError`` or ``TokenInUseError``; the unique index decides.
        """

    def insert_first_admin(self, user: User) -> bool:
        """Add ``user`` if the store has no guarding admin, in one atomic step; return whether it was added.

        Raises as ``insert`` does.
        """

    def has_admin(self) -> bool:
        """Tell whether an enabled ordinary admin with a password exists."""

    def find(self, name_key: str, oauth: OAuth = 0) -> User | None:
        """Look a user up by its mapped name."""

    def find_by_id(self, user_id: str) -> User | None:
        """Look a user up by its id; any string may be asked for."""

    def find_by_token(self, digest: str) -> User | None:
        """Look a user up by a digest of its API token, in a fixed number of indexed look-ups.

        The pointer only leads to the user: one whose own ``token_digests`` lacks ``digest`` is not returned.
        """

    def replace(self, before: User, after: User) -> None:
        """Put ``after`` in the place of ``before`` if the stored revision is still ``before.revision``.

        Id, name, name_key and oauth stay. Raises ``RevisionMismatchError`` (also when the user is gone),
        ``EmailInUseError``, ``TokenInUseError``, or ``LastAdminError`` when no guarding admin would remain, decided by
        the same atomic write.
        """

    def delete(self, user: User) -> None:
        """Remove the user, its pointers and its records, if the stored revision is still ``user.revision``.

        Raises ``RevisionMismatchError`` or ``LastAdminError`` as ``replace`` does.
        """

    def list_names(
        self,
        *,
        limit: int,
        oauth: OAuth = 0,
        after: str | None = None,
        prefix: str = "",
        user_group: UserGroup | None = None,
    ) -> list[ListedName]:
        """Return at most ``limit`` names in the order of their keys' code points, from the first key past ``after``.

        ``after`` and ``prefix`` are keys; ``after`` need not exist. By keyset on an index: any page costs the same.
        """

    def put_record(self, record: Record, *, now: datetime) -> None:
        """Add an expiring record.

        Raises ``RecordExistsError`` when one of this kind and id is there and not overdue.
        """

    def find_record(self, kind: str, record_id: str, *, now: datetime) -> Record | None:
        """Look a record up; an overdue one is not there, purged or not."""

    def delete_record(self, kind: str, record_id: str) -> bool:
        """Remove one record; return whether it was there."""

    def delete_records_of(self, user_id: str, kind: str | None = None) -> int:
        """Remove a user's records, of one kind or all, in bounded steps as ``purge`` does; return how many."""

    def purge(self, *, now: datetime) -> int:
        """Remove overdue records, in bounded steps that never hold up other writers; return how many."""
