"""How users and records are laid out in MongoDB's collections. Times are BSON dates: milliseconds, UTC."""

import json
import re
from dataclasses import fields
from datetime import datetime
from typing import Any

from bson.objectid import ObjectId

from models.records import Record
from models.user import User

Document = dict[str, Any]

USERS = "users"  # _id is the user's id
EMAILS = "emails"  # _id is the mapped address, ``user_id`` whose it is
TOKENS = "tokens"  # _id is the digest, ``user_id`` whose it is
RECORDS = "records"  # _id is {kind, id}
GUARD = "guard"  # the one document ``ADMINS`` counts the guarding admins in ``n``
META = "meta"  # the one document ``KEY`` has the secret key's id

ADMINS = "admins"
KEY = "secret_key"

_OBJECT_ID = re.compile(r"[0-9a-f]{24}")
_FIELDS = tuple(field.name for field in fields(User) if field.name != "id")
_MICROSECONDS_PER_MILLISECOND = 1000


def object_id(user_id: str) -> ObjectId | None:
    """Return the id as MongoDB keeps it, or ``None`` for a string that no user's id can be."""
    return ObjectId(user_id) if _OBJECT_ID.fullmatch(user_id) else None


def user_document(user: User) -> Document:
    document: Document = {"_id": ObjectId(user.id)}
    document.update((name, getattr(user, name)) for name in _FIELDS)
    document["token_digests"] = list(user.token_digests)
    return document


def user_from(document: Document) -> User:
    values = {name: document[name] for name in _FIELDS}
    values["token_digests"] = tuple(values["token_digests"])
    return User(id=str(document["_id"]), **values)


def revision_filter(user: User) -> Document:
    """Match the user if it is still at this revision; by its name too, which leads to one shard."""
    return {
        "_id": ObjectId(user.id),
        "name_key": user.name_key,
        "oauth": user.oauth,
        "revision": user.revision,
    }


def email_pointers(user: User) -> list[Document]:
    return [] if user.email_key is None else [{"_id": user.email_key, "user_id": ObjectId(user.id)}]


def token_pointers(user: User) -> list[Document]:
    return [{"_id": digest, "user_id": ObjectId(user.id)} for digest in dict.fromkeys(user.token_digests)]


def record_key(kind: str, record_id: str) -> Document:
    """Return the record's ``_id``, whose fields keep their order: to MongoDB another order is another id."""
    return {"kind": kind, "id": record_id}


def record_document(record: Record) -> Document:
    return {
        "_id": record_key(record.kind, record.id),
        "expires_at": to_millisecond(record.expires_at),
        "user_id": record.user_id,
        "epoch": record.epoch,
        # As text: JSON's field names may hold dots, dollars and NULs, and its integers have no size.
        "data": json.dumps(dict(record.data)),
    }


def record_from(document: Document) -> Record:
    return Record(
        kind=document["_id"]["kind"],
        id=document["_id"]["id"],
        expires_at=document["expires_at"],
        user_id=document["user_id"],
        epoch=document["epoch"],
        data=json.loads(document["data"]),
    )


def to_millisecond(moment: datetime) -> datetime:
    """Drop what a BSON date cannot keep, so that comparing in here and in the server gives the same."""
    return moment.replace(
        microsecond=moment.microsecond // _MICROSECONDS_PER_MILLISECOND * _MICROSECONDS_PER_MILLISECOND
    )
