"""How this process reaches MongoDB: the client and its time limits, transactions, and the driver's errors."""

import logging
import os
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC
from typing import Any, Protocol, TypeVar

import pymongo
from bson.errors import InvalidDocument, InvalidStringData
from pymongo import MongoClient
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import (
    ConfigurationError,
    ConnectionFailure,
    InvalidURI,
    NetworkTimeout,
    OperationFailure,
    PyMongoError,
    WaitQueueTimeoutError,
)
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference
from pymongo.write_concern import WriteConcern

from models.errors import SetupError, UnavailableError
from models.storage.mongo.orphans import APPLICATION, orphaned_sessions
from models.storage.outage import Outage
from models.waiting import about_to_wait

Document = dict[str, Any]
Client = MongoClient[Document]
T = TypeVar("T")

logger = logging.getLogger(__name__)

_DURABLE = WriteConcern(w="majority", j=True)

CALL_LIMIT = 3.0  # seconds for one call of the store, all its commands and retries together
_SELECTION_LIMIT = 2.0  # seconds of these to wait for a primary: longer than an election that goes well
_RETRY_PAUSE = 0.5  # seconds in which nobody tries again after a failure to reach the server
_LEAVE_LIMIT = 1.0  # seconds
_PING_LIMIT = 0.5  # seconds for a command that no document can hold up
_POOL_SIZE = 100  # more than there may be threads
_MOST_ABANDONED = 1000


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
                appname=APPLICATION,
                document_class=dict,
                tz_aware=True,
                tzinfo=UTC,
                # What other programs wrote need not be a time or a text that Python can hold: it is looked at later.
                datetime_conversion="DATETIME_AUTO",
                unicode_decode_error_handler="replace",
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
        raise SetupError(
            "DATABASE_URL is not an address of MongoDB that the driver understands. Special characters in its user "
            "name and its password have to be percent-encoded: @ as %40, / as %2F, : as %3A."
        ) from error


class Transactions:
    """The runner for real servers.

    A transaction whose abort did not reach the server stays open there, and blocks every writer to the same documents
    for a minute. So the ids of such sessions are added to ``abandoned``, to be killed when the server answers again.
    """

    def __init__(self, abandoned: deque[Document]) -> None:
        self._abandoned = abandoned

    def __call__(self, client: Client, work: Callable[[ClientSession | None], T]) -> T:
        with ExitStack() as end:
            session = client.start_session()
            end.callback(session.end_session)
            try:
                return session.with_transaction(
                    work,
                    read_concern=ReadConcern("snapshot"),
                    write_concern=_DURABLE,
                    read_preference=ReadPreference.PRIMARY,
                )
            except PyMongoError as error:
                if error.timeout or _connection_failure(error) is not None:
                    self._abandoned.append(dict(session.session_id))
                    # The driver uses the id of a session that was ended for another one, which must not be killed.
                    end.pop_all()
                raise


class _Link:
    """One process's client, and what the process knows about the server."""

    def __init__(self, client: Client, database_name: str) -> None:
        self.client = client
        self.database = client[database_name]
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
        self._links = {os.getpid(): _Link(client, database_name)}
        self.database_name = database_name
        self._abandoned: deque[Document] = deque(maxlen=_MOST_ABANDONED)
        self._may_kill = True
        self._transact: Transact = transact or Transactions(self._abandoned)
        self._renew = renew

    @contextmanager
    def call(self, *, limit: float = CALL_LIMIT) -> Iterator[Database[Document]]:
        """Lend the database for one call, which has ``limit`` seconds in all."""
        about_to_wait()
        link = self._link()
        link.outage.refuse_or_try()
        lost = False
        try:
            with pymongo.timeout(limit):
                if self._abandoned:
                    self._kill_abandoned(link.client)
                yield link.database
        except PyMongoError as error:
            lost = _has_lost_server(error, link.client)
            if not lost and _was_held_up(error):
                self._abandoned.extend(orphaned_sessions(link.client, oldest=CALL_LIMIT))
            raise UnavailableError(f"MongoDB: {_told(error)}") from error
        except (InvalidDocument, InvalidStringData, UnicodeEncodeError, OverflowError) as error:
            raise ValueError("a text or a number that no store can hold") from error
        finally:
            link.outage.note(lost=lost)

    def transaction(self, work: Callable[[Database[Document], ClientSession | None], T]) -> T:
        """Run ``work`` so that all of it happens or none. It may run more than once; it may raise the core's errors."""
        with self.call() as database:
            return self._transact(self._link().client, lambda session: work(database, session))

    def has_uninitiated_server(self) -> bool:
        """Tell whether a server that was found is to be in a replica set which nobody has initiated."""
        servers = self._link().client.topology_description.server_descriptions().values()
        return any(server.server_type_name == "RSGhost" for server in servers)

    def close(self) -> None:
        # The driver takes leave of the server, which may not be listening.
        with pymongo.timeout(_LEAVE_LIMIT):
            self._kill_abandoned(self._link().client)
            self._link().client.close()

    def _kill_abandoned(self, client: Client) -> None:
        """End the transactions that were left open. Not the caller's business: it fails in silence."""
        sessions: list[Document] = []
        with suppress(IndexError):  # when none is left
            while True:
                sessions.append(self._abandoned.pop())
        if not sessions:
            return
        try:
            with pymongo.timeout(_PING_LIMIT):
                client.admin.command("killSessions", sessions)
        except PyMongoError as error:
            if not isinstance(error, OperationFailure) or error.timeout:
                self._abandoned.extend(sessions)
            elif self._may_kill:
                logger.warning("MongoDB ends abandoned transactions only after a minute: %s", _told(error))
                self._may_kill = False

    def _link(self) -> _Link:
        """Return this process's own: a forked child must not use its parent's sockets, nor wait for its locks."""
        process = os.getpid()
        link = self._links.get(process)
        if link is None:
            if self._renew is None:
                raise RuntimeError("this store was forked without a way to make a client of its own")
            # Of two threads that come here first, one's client is dropped, which has not connected yet.
            link = self._links.setdefault(process, _Link(self._renew(), self.database_name))
        return link


def _connection_failure(error: BaseException | None) -> ConnectionFailure | None:
    """Return the failure to reach the server that is behind ``error``: a transaction's time-out has it as its cause."""
    while error is not None and not isinstance(error, ConnectionFailure):
        error = error.__cause__
    return error


def _has_lost_server(error: PyMongoError, client: Client) -> bool:
    failure = _connection_failure(error)
    if failure is None and not error.timeout:
        return False
    if failure is None or isinstance(failure, NetworkTimeout | WaitQueueTimeoutError):
        # That one command took too long, or found no connection, says nothing: a document may be held by others.
        try:
            with pymongo.timeout(_PING_LIMIT):
                client.admin.command("ping")
        except PyMongoError:
            return True
        return False
    return True


def _was_held_up(error: PyMongoError) -> bool:
    """Tell whether others may have had what was to be changed: the driver tries again until its time is over."""
    return error.timeout or error.has_error_label("TransientTransactionError")


def _told(error: PyMongoError) -> str:
    """Describe the error without what the server says of a command, which may quote documents."""
    if isinstance(error, OperationFailure):
        return f"{type(error).__name__} {error.code}"
    return f"{type(error).__name__}: {error}"
