"""The parts that changes to users are made of in MongoDB, each a step of the caller's transaction."""

from collections.abc import Sequence

from pymongo import ReturnDocument
from pymongo.client_session import ClientSession
from pymongo.database import Database

from models.errors import (
    EmailInUseError,
    LastAdminError,
    TokenInUseError,
    UnavailableError,
    UserExistsError,
)
from models.storage.mongo.documents import (
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
from models.storage.mongo.duplicates import duplicate_raises
from models.user import User


def insert_users(database: Database[Document], session: ClientSession | None, users: Sequence[User]) -> None:
    count_admins(database, session, sum(user.is_guarding_admin for user in users))
    insert_uncounted(database, session, users)


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


def release_stale_pointers(database: Database[Document], session: ClientSession | None, users: Sequence[User]) -> bool:
    """Remove the pointers to these users' addresses and tokens that lead to users who do not have them, or are gone.

    Doorman leaves none, but other programs that delete users do. Return whether there were any.
    """
    released = False
    for collection, field, pointers in (
        (EMAILS, "email_key", [pointer["_id"] for user in users for pointer in email_pointers(user)]),
        (TOKENS, "token_digests", [pointer["_id"] for user in users for pointer in token_pointers(user)]),
    ):
        for pointer in database[collection].find({"_id": {"$in": pointers}}, session=session):
            holder = {"_id": pointer.get("user_id"), field: pointer["_id"]}
            if database[USERS].find_one(holder, {"_id": 1}, session=session) is None:
                database[collection].delete_one({"_id": pointer["_id"]}, session=session)
                released = True
    return released


def count_admins(database: Database[Document], session: ClientSession | None, difference: int) -> int:
    """Change the guard's count in the transaction that changes the admins, and return it (1 if it does not change).

    Two who each remove the other both write this one document, so that the server lets only one of them. It comes
    first in a transaction, since whoever meets another there has done nothing in vain. Whether the count may be what it
    has become is asked later (``require_admin``): a user who has changed meanwhile is the error that comes first.
    """
    if difference == 0:
        return 1
    guard = database[GUARD].find_one_and_update(
        {"_id": ADMINS}, {"$inc": {"n": difference}}, return_document=ReturnDocument.AFTER, session=session
    )
    if guard is None:
        raise UnavailableError("the database was not prepared: its count of admins is missing")
    count: int = guard["n"]
    return count


def require_admin(
    database: Database[Document], session: ClientSession | None, count: int, *, counted: int, difference: int
) -> None:
    """Raise ``LastAdminError`` if ``difference`` leaves none.

    ``count`` is after ``counted``, which went by what the caller knew of the user, and not by what was stored.
    """
    if counted != difference:
        count = count_admins(database, session, difference - counted)
    if difference < 0 and count < 1:
        raise LastAdminError
