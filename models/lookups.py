"""Reads of users that simultaneous requests share: one round trip for all that wait (coalesced reads)."""

import copy
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from threading import Lock
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from models.errors import CorruptRecordError
from models.storage import Found, Store, UserKey
from models.user import OAuth, User
from models.waiting import about_to_wait

Key = TypeVar("Key")

# One read of a kind runs at a time, which lets the next ones gather; but none waits longer for a slow one than this.
_PATIENCE = 0.05  # seconds
_MOST_KEYS = 64


@dataclass(eq=False, slots=True)
class _Batch(Generic[Key]):
    """Keys that are read together, and what came of it. Who holds the lock reads, and the others wait for it."""

    keys: set[Key] = field(default_factory=set)
    found: Mapping[Key, Found] | None = None
    error: Exception | None = None
    lock: Lock = field(default_factory=Lock)

    def is_answered(self) -> bool:
        return self.found is not None or self.error is not None


@dataclass(frozen=True, slots=True)
class Ticket(Generic[Key]):
    """One look-up that has been asked for."""

    key: Key
    batch: _Batch[Key]


class SharedRead(Generic[Key]):
    """A look-up whose simultaneous calls share one read of the store.

    A call joins a batch that *has not been sent yet*, so its read begins after the call did, and is as fresh as one of
    its own. Who first needs an answer sends the batch. If the read fails, everyone in it gets the error; if the thread
    that reads is ended, the next one reads.
    """

    def __init__(self, read: Callable[[Collection[Key]], Mapping[Key, Found]]) -> None:
        self._read = read
        self._lock = Lock()
        self._turn = Lock()
        self._gathering = _Batch[Key]()
        self._full: list[_Batch[Key]] = []  # that nobody has sent yet

    def ask(self, key: Key) -> Ticket[Key]:
        """Join the batch that will be sent next. Never blocks."""
        with self._lock:
            if len(self._gathering.keys) >= _MOST_KEYS:
                self._full.append(self._gathering)
                self._gathering = _Batch()
            self._gathering.keys.add(key)
            return Ticket(key, self._gathering)

    def answer(self, ticket: Ticket[Key]) -> User | None:
        """Return the user. Raises what the store raises, and ``CorruptRecordError`` for this very user's record."""
        batch = ticket.batch
        self._ensure_sent(batch)
        if batch.error is not None:
            raise _copied(batch.error) from batch.error
        found = batch.found and batch.found.get(ticket.key)
        if isinstance(found, CorruptRecordError):
            raise _copied(found)
        return found or None

    def send(self) -> None:
        """Read for those who have asked so far, if any have."""
        with self._lock:
            batches = [*self._full, self._gathering]
        for batch in batches:
            if batch.keys:
                self._ensure_sent(batch)

    def _ensure_sent(self, batch: _Batch[Key]) -> None:
        if batch.is_answered():
            return
        about_to_wait()
        with batch.lock:
            if not batch.is_answered():
                self._send(batch)

    def _send(self, batch: _Batch[Key]) -> None:
        has_turn = self._turn.acquire(timeout=_PATIENCE)
        try:
            with self._lock:
                if self._gathering is batch:
                    self._gathering = _Batch()  # nobody joins any more
                elif batch in self._full:
                    self._full.remove(batch)
            batch.found = self._read(batch.keys)
        except Exception as error:  # noqa: BLE001 - it is everybody's
            batch.error = error
        finally:
            if has_turn:
                self._turn.release()


def _copied(error: Exception) -> Exception:
    """Return a copy: each thread that raises an exception writes its own trace into it."""
    try:
        return copy.copy(error)
    except Exception:  # noqa: BLE001 - one that is not made of its ``args`` says more than what copying it raises
        return error


Foreseen = Mapping[UserKey | str, Ticket[Any]]  # by name and kind, or by token's digest
NOTHING: Foreseen = MappingProxyType({})


class Lookups:
    """The look-ups of single users in one store.

    ``foresee`` asks for users before they are needed, and ``read_ahead`` reads those of all requests that did so. What
    the former returns is handed over to the look-up, which then need not wait.
    """

    def __init__(self, store: Store) -> None:
        self._by_name = SharedRead[UserKey](store.find_users)
        self._by_id = SharedRead[str](store.find_users_by_id)
        self._by_token = SharedRead[str](store.find_users_by_token)

    def foresee(self, names: Iterable[UserKey] = (), digests: Iterable[str] = ()) -> Foreseen:
        tickets: dict[UserKey | str, Ticket[Any]] = {name: self._by_name.ask(name) for name in names}
        tickets.update((digest, self._by_token.ask(digest)) for digest in digests)
        return tickets

    def read_ahead(self) -> None:
        """Read what was foreseen so far; whether that fails, who asks is told."""
        self._by_name.send()
        self._by_token.send()

    def by_name(self, name_key: str, oauth: OAuth = 0, foreseen: Foreseen = NOTHING) -> User | None:
        key = (name_key, oauth)
        return self._by_name.answer(foreseen.get(key) or self._by_name.ask(key))

    def by_id(self, user_id: str) -> User | None:
        return self._by_id.answer(self._by_id.ask(user_id))

    def by_token(self, digest: str, foreseen: Foreseen = NOTHING) -> User | None:
        return self._by_token.answer(foreseen.get(digest) or self._by_token.ask(digest))
