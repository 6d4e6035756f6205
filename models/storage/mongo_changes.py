"""The parts that changes to users are made of in MongoDB, each a step of the caller's transaction."""

from collections.abc import Sequence

from pymongo.client_session import ClientSession
from pymongo.database import Database

from models.errors import (
    EmailInUseError,
    LastAdminError,
    TokenInUseError,
    UnavailableError,
    UserExistsError,
)
from models.storage.mongo_connection import duplicate_raises
from models.storage.mongo_documents import (
    ADMINS,
    EMAILS,
    GUARD,
    TOKENS,
    USERS,
    Document,
    email_pointers,
    token_pointers,
    user_document,
)
from models.user import User


def insert_users(database: Database[Document], session: ClientSession | None, users: Sequence[User]) -> None:
    insert_uncounted(database, session, users)
    count_admins(database, session, sum(user.is_guarding_admin for user in users))


def insert_uncounted(database: Database[Document], session: ClientSession | None, users: Sequence[User]) -> None:
    with duplicate_raises(UserExistsError):
        database[USERS].insert_many([user_document(user) for user in users], session=session)
    emails = [pointer for user in users for pointer in email_pointers(user)]
    add_pointers(database, session, EMAILS, emails, EmailInUseError)
    tokens = [pointer for user in users for pointer in token_pointers(user)]
    add_pointers(database, session, TOKENS, tokens, TokenInUseError)


def add_pointers(
    database: Database[Document],
    session: ClientSession | None,
    collection: str,
    pointers: list[Document],
    error: type[EmailInUseError | TokenInUseError],
) -> None:
    if pointers:
        with duplicate_raises(error):
            database[collection].insert_many(pointers, session=session)


def remove_pointers(
    database: Database[Document], session: ClientSession | None, collection: str, pointers: list[Document]
) -> None:
    for pointer in pointers:
        # A pointer that leads to somebody else is left alone.
        database[collection].delete_one(pointer, session=session)


def count_admins(database: Database[Document], session: ClientSession | None, difference: int) -> None:
    """Change the guard's count, as the last admin's removal must not, in the transaction that changes the admins.

    Two who each remove the other both write this one document, so that the server lets only one of them.
    """
    if difference == 0:
        return
    wanted: Document = {"_id": ADMINS} if difference > 0 else {"_id": ADMINS, "n": {"$gt": 1}}
    guard = database[GUARD].update_one(wanted, {"$inc": {"n": difference}}, session=session)
    if guard.matched_count == 0:
        if difference < 0:
            raise LastAdminError
        raise UnavailableError("the database was not prepared: its count of admins is missing")
