"""How users and records are laid out in MongoDB's collections. Times are BSON dates: milliseconds, UTC."""

import json
import re
from collections.abc import Callable
from dataclasses import fields
from datetime import datetime
from typing import Any

from bson.objectid import ObjectId

from models.errors import CorruptRecordError
from models.records import Record
from models.storage.keyset import is_storable
from models.user import USER_GROUPS, User

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


def is_text(value: object) -> bool:
    return isinstance(value, str) and is_storable(value)


def is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_text_or_none(value: object) -> bool:
    return value is None or is_text(value)


def _is_moment(value: object) -> bool:
    return isinstance(value, datetime)


# What each field of a user must be. Other programs may write to the collection as well, and not all of them know.
_RULES: dict[str, Callable[[Any], bool]] = {
    "user_name": is_text,
    "name_key": is_text,
    "oauth": lambda value: is_whole(value) and value in {0, 1},
    "password_hash": _is_text_or_none,
    "token_hash": is_text,
    "token_digests": lambda value: isinstance(value, list) and all(map(is_text, value)),
    "name": _is_text_or_none,
    "email": _is_text_or_none,
    "email_key": _is_text_or_none,
    "user_group": lambda value: isinstance(value, str) and value in USER_GROUPS,
    "disabled": lambda value: isinstance(value, bool),
    "epoch": is_whole,
    "revision": is_whole,
    "created_at": _is_moment,
    "updated_at": _is_moment,
}


def object_id(user_id: str) -> ObjectId | None:
    """Return the id as MongoDB keeps it, or ``None`` for a string that no user's id can be."""
    return ObjectId(user_id) if _OBJECT_ID.fullmatch(user_id) else None


def user_document(user: User) -> Document:
    document: Document = {"_id": ObjectId(user.id)}
    document.update((name, getattr(user, name)) for name in _FIELDS)
    document["token_digests"] = list(user.token_digests)
    return document


def user_from(document: Document) -> User:
    """Build the user from its document. Raises ``CorruptRecordError`` when that is not one that Doorman wrote."""
    is_sound = all(name in document and rule(document[name]) for name, rule in _RULES.items())
    if not (is_sound and isinstance(document["_id"], ObjectId)):
        raise CorruptRecordError(str(document["_id"]))
    values = {name: document[name] for name in _FIELDS}
    values["token_digests"] = tuple(values["token_digests"])
    return User(id=str(document["_id"]), **values)


def is_listed(row: Document) -> bool:
    """Tell whether a row of a list has what a list shows."""
    return is_text(row.get("name_key")) and is_text(row.get("user_name"))


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
