"""Where the pointers of a MongoDB database, and the users that they lead to, do not agree."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from pymongo.database import Database

from models.findings import Finding, Tally
from models.storage.mongo.connection import Document
from models.storage.mongo.documents import EMAILS, TOKENS, USERS

_BATCH = 500  # that are looked at a second time at once

Pipeline = Sequence[Document]


def _joined(to: str, by: str, key: str, *steps: Document) -> Pipeline:
    return [*steps, {"$lookup": {"from": to, "localField": by, "foreignField": key, "as": "found"}}]


_LOST_EMAILS = [
    *_joined(EMAILS, "email_key", "_id", {"$match": {"email_key": {"$type": "string"}}}),
    {"$match": {"$expr": {"$ne": [{"$first": "$found.user_id"}, "$_id"]}}},
    {"$project": {"example": "$_id"}},
]
_LOST_TOKENS = [
    *_joined(TOKENS, "token_digests", "_id", {"$match": {"token_digests": {"$type": "array"}}}),
    {"$unwind": "$token_digests"},
    {"$match": {"$expr": {"$not": {"$in": [{"_id": "$token_digests", "user_id": "$_id"}, "$found"]}}}},
    {"$project": {"example": "$_id"}},
]
_STALE_EMAILS = [
    *_joined(USERS, "user_id", "_id"),
    {"$match": {"$expr": {"$ne": [{"$first": "$found.email_key"}, "$_id"]}}},
    {"$project": {"example": "$user_id"}},
]
_STALE_TOKENS = [
    *_joined(USERS, "user_id", "_id"),
    {"$match": {"$expr": {"$not": {"$in": ["$_id", {"$ifNull": [{"$first": "$found.token_digests"}, []]}]}}}},
    {"$project": {"example": "$user_id"}},
]
_SET_ANEW = "Another program has changed users: set the user's {0} anew, which mends it."
_FREE = "Nobody gets in by them, and Doorman takes one away when somebody else asks for what it holds."


def pointers_found(database: Database[Document]) -> Iterator[Finding]:
    """Yield what does not agree. The server compares, by the indexes, and sends what does not agree alone."""
    for collection, pipeline, code, message, remedy in (
        (
            USERS,
            _LOST_EMAILS,
            "lost_emails",
            "Users whose e-mail address leads to nobody, or to another user.",
            _SET_ANEW.format("e-mail address"),
        ),
        (
            EMAILS,
            _STALE_EMAILS,
            "stale_emails",
            "Pointers of e-mail addresses lead to users who do not have them.",
            _FREE,
        ),
        (
            USERS,
            _LOST_TOKENS,
            "lost_tokens",
            "Users whose API token leads to nobody, or to another user.",
            _SET_ANEW.format("token"),
        ),
        (TOKENS, _STALE_TOKENS, "stale_tokens", "Pointers of API tokens lead to users who do not have them.", _FREE),
    ):
        tally = Tally(code, "warning", message, remedy)
        ids = _ids(database, collection, pipeline)
        while some := list(islice(ids, _BATCH)):
            # A user who was changed while the server compared is as it has to be now.
            again = [{"$match": {"_id": {"$in": some}}}, *pipeline]
            for found in database[collection].aggregate(again):
                tally.add(found.get("example"))
        yield from tally.found()


def _ids(database: Database[Document], collection: str, pipeline: Pipeline) -> Iterator[Any]:
    for found in database[collection].aggregate(list(pipeline), allowDiskUse=True):
        yield found["_id"]
