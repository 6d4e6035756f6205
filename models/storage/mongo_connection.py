"""How this process reaches MongoDB: the client and its time limits, transactions, and the driver's errors."""

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC
from typing import Any, Protocol, TypeVar

import pymongo
from pymongo import MongoClient
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import (
    BulkWriteError,
    ConfigurationError,
    ConnectionFailure,
    DuplicateKeyError,
    InvalidURI,
    PyMongoError,
    WaitQueueTimeoutError,
)
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference
from pymongo.write_concern import WriteConcern

from models.errors import DoormanError, SetupError, UnavailableError
from models.storage.outage import Outage

Document = dict[str, Any]
Client = MongoClient[Document]
T = TypeVar("T")

_DUPLICATE_KEY = 11000
_DURABLE = WriteConcern(w="majority", j=True)

CALL_LIMIT = 3.0  # seconds for one call of the store, all its commands and retries together
_SELECTION_LIMIT = 2.0  # seconds of these to wait for a primary: longer than an election that goes well
_RETRY_PAUSE = 0.5  # seconds in which nobody tries again after a failure to reach the server
_LEAVE_LIMIT = 1.0  # seconds
_POOL_SIZE = 50


class Transact(Protocol):
    """Runs ``work`` in a transaction, again when told to by the server, and returns what it returns."""

    def __call__(self, client: Client, work: Callable[[ClientSession | None], T]) -> T: ...


def make_client(url: str) -> Client:
    """Build a client that connects at its first call. Raises ``SetupError`` when ``url`` cannot be understood."""
    try:
        with warnings.catch_warnings():
            # The driver warns of an option that it does not understand and goes on without it: ``tls``, for one.
            warnings.simplefilter("error", UserWarning)
            return MongoClient(
                url,
                connect=False,
                appname="doorman",
                document_class=dict,
                tz_aware=True,
                tzinfo=UTC,
                uuidRepresentation="standard",
                w="majority",
                journal=True,
                readConcernLevel="majority",
                readPreference="primary",
                retryWrites=True,
                retryReads=True,
                maxPoolSize=_POOL_SIZE,
                maxConnecting=4,
                serverSelectionTimeoutMS=int(_SELECTION_LIMIT * 1000),
                connectTimeoutMS=int(_SELECTION_LIMIT * 1000),
                timeoutMS=int(CALL_LIMIT * 1000),
            )
    except (InvalidURI, ConfigurationError, UserWarning, ValueError) as error:
        # The address may hold a password, and so may the driver's message: neither is repeated.
        raise SetupError("DATABASE_URL is not an address of MongoDB that the driver understands") from error


class Transactions:
    """The runner for real servers.

    A transaction whose abort did not reach the server stays open there, and blocks every writer to the same documents
    for a minute. So the ids of such sessions are added to ``abandoned``, to be killed when the server answers again.
    """

    def __init__(self, abandoned: list[Document]) -> None:
        self._abandoned = abandoned

    def __call__(self, client: Client, work: Callable[[ClientSession | None], T]) -> T:
        with client.start_session() as session:
            session_id = dict(session.session_id)
            try:
                return session.with_transaction(
                    work,
                    read_concern=ReadConcern("snapshot"),
                    write_concern=_DURABLE,
                    read_preference=ReadPreference.PRIMARY,
                )
            except PyMongoError as error:
                if error.timeout or _is_lost(error):
                    self._abandoned.append(session_id)
                raise


class _Link:
    """One process's client, and what the process knows about the server."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.outage = Outage(pause=_RETRY_PAUSE, patience=CALL_LIMIT)


class MongoConnection:
    """Lends the database for one call at a time, and turns the driver's errors into ``UnavailableError``."""

    def __init__(
        self,
        client: Client,
        database_name: str,
        *,
        transact: Transact | None = None,
        renew: Callable[[], Client] | None = None,
    ) -> None:
        self._links = {os.getpid(): _Link(client)}
        self.database_name = database_name
        self._abandoned: list[Document] = []
        self._transact: Transact = transact or Transactions(self._abandoned)
        self._renew = renew

    @contextmanager
    def call(self, *, limit: float = CALL_LIMIT) -> Iterator[Database[Document]]:
        """Lend the database for one call, which has ``limit`` seconds in all."""
        link = self._link()
        link.outage.refuse_or_try()
        try:
            with pymongo.timeout(limit):
                self._kill_abandoned(link.client)
                yield link.client[self.database_name]
        except PyMongoError as error:
            link.outage.note(lost=_is_lost(error))
            raise UnavailableError(f"MongoDB: {type(error).__name__}: {error}") from error
        except DoormanError:
            link.outage.note(lost=False)
            raise
        link.outage.note(lost=False)

    def transaction(self, work: Callable[[Database[Document], ClientSession | None], T]) -> T:
        """Run ``work`` so that all of it happens or none. It may run more than once; it may raise the core's errors."""
        with self.call() as database:
            return self._transact(self._link().client, lambda session: work(database, session))

    def close(self) -> None:
        # The driver takes leave of the server, which may not be listening.
        with pymongo.timeout(_LEAVE_LIMIT):
            self._link().client.close()

    def _kill_abandoned(self, client: Client) -> None:
        sessions: list[Document] = []
        while self._abandoned:
            with suppress(IndexError):  # Another thread may have taken the last one.
                sessions.append(self._abandoned.pop())
        if sessions:
            try:
                client.admin.command("killSessions", sessions)
            except PyMongoError:
                self._abandoned.extend(sessions)
                raise

    def _link(self) -> _Link:
        """Return this process's own: a forked child must not use its parent's sockets, nor wait for its locks."""
        process = os.getpid()
        link = self._links.get(process)
        if link is None:
            if self._renew is None:
                raise RuntimeError("this store was forked without a way to make a client of its own")
            # Of two threads that come here first, one's client is dropped, which has not connected yet.
            link = self._links.setdefault(process, _Link(self._renew()))
        return link


def _is_lost(error: BaseException) -> bool:
    """Tell whether the server could not be reached; a transaction's time-out has the reason as its cause."""
    if isinstance(error, WaitQueueTimeoutError):
        return False  # A full pool says nothing about the server.
    if isinstance(error, ConnectionFailure):
        return True
    return error.__cause__ is not None and _is_lost(error.__cause__)


@contextmanager
def duplicate_raises(error: type[DoormanError]) -> Iterator[None]:
    """Turn a violated unique index into ``error``."""
    try:
        yield
    except DuplicateKeyError as duplicate:
        raise error from duplicate
    except BulkWriteError as failure:
        if any(write["code"] == _DUPLICATE_KEY for write in failure.details["writeErrors"]):
            raise error from failure
        raise
