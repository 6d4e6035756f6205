"""How users and records are laid out in MongoDB's collections. Times are BSON dates: milliseconds, UTC."""

import json
import re
from datetime import datetime
from itertools import product
from operator import itemgetter
from typing import Any

from bson.int64 import Int64
from bson.objectid import ObjectId

from models.errors import CorruptRecordError
from models.records import Record
from models.storage import Found
from models.storage.keyset import is_storable
from models.storage.layout import FIELDS, build_user
from models.storage.unreadable import make_record
from models.user import USER_GROUPS, User

Document = dict[str, Any]

USERS = "users"  # _id is the user's id
EMAILS = "emails"  # _id is the mapped address, ``user_id`` whose it is
TOKENS = "tokens"  # _id is the digest, ``user_id`` whose it is
RECORDS = "records"  # _id is {kind, id}
COUNTERS = "failures"  # _id is the counter's key; the collection has the name of what was counted first
GUARD = "guard"  # the one document ``ADMINS`` counts the guarding admins in ``n``
# The document ``KEY`` has the secret key's id, ``COST`` the highest cost of a password's hash, and ``FOREIGN`` in what
# other ways passwords are hashed.
META = "meta"
AUDIT = "audit"  # _id is the event's id, which sorts by time; ``terms`` are what it is found by

SOUGHT = "sought"  # the index of the events by their terms
OF_USER = "of_user"  # the index of the records by user and kind

ADMINS = "admins"
KEY = "secret_key"
COST = "highest_cost"
FOREIGN = "foreign_hashes"

_OBJECT_ID = re.compile(r"[0-9a-f]{24}")
_OAUTHS = (0, 1)
_TEXTS = frozenset({str})
_MICROSECONDS_PER_MILLISECOND = 1000


def is_text(value: object) -> bool:
    return isinstance(value, str) and is_storable(value)


def is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


# Of what types a user's fields may be. Other programs may write to the collection as well, and not all of them know.
# Any text that was decoded from BSON is one that can be stored.
_TEXT, _TEXT_OR_NONE, _WHOLE = (str,), (str, type(None)), (int, Int64)
_TYPES: dict[str, tuple[type, ...]] = {
    "id": (ObjectId,),
    "user_name": _TEXT,
    "name_key": _TEXT,
    "oauth": _WHOLE,
    "password_hash": _TEXT_OR_NONE,
    "token_hash": _TEXT,
    "token_digests": (list,),
    "name": _TEXT_OR_NONE,
    "email": _TEXT_OR_NONE,
    "email_key": _TEXT_OR_NONE,
    "user_group": _TEXT,
    "disabled": (bool,),
    "epoch": _WHOLE,
    "revision": _WHOLE,
    "created_at": (datetime,),
    "updated_at": (datetime,),
}
_SHAPES = frozenset(product(*(_TYPES[name] for name in FIELDS)))
_values_of = itemgetter("_id", *FIELDS[1:])
_OAUTH, _GROUP, _DIGESTS = map(FIELDS.index, ("oauth", "user_group", "token_digests"))


def object_id(user_id: str) -> ObjectId | None:
    """Return the id as MongoDB keeps it, or ``None`` for a string that no user's id can be."""
    return ObjectId(user_id) if _OBJECT_ID.fullmatch(user_id) else None


def user_document(user: User) -> Document:
    document: Document = {"_id": ObjectId(user.id)}
    document.update((name, getattr(user, name)) for name in FIELDS[1:])
    document["token_digests"] = list(user.token_digests)
    return document


def found_from(document: Document) -> Found:
    """Build the user from its document, or the error for one that Doorman did not write."""
    try:
        values = list(_values_of(document))
    except KeyError:
        return CorruptRecordError(str(document["_id"]))
    digests = values[_DIGESTS]
    if not (
        tuple(map(type, values)) in _SHAPES
        and values[_OAUTH] in _OAUTHS
        and values[_GROUP] in USER_GROUPS
        and _TEXTS.issuperset(map(type, digests))
    ):
        return CorruptRecordError(str(values[0]))
    values[0], values[_DIGESTS] = str(values[0]), tuple(digests)
    return build_user(values)


def user_from(document: Document) -> User:
    """Build the user from its document. Raises ``CorruptRecordError`` when that is not one that Doorman wrote."""
    found = found_from(document)
    if isinstance(found, CorruptRecordError):
        raise found
    return found


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


def likeness_filter(user: User) -> Document:
    """Match the user if it is still at this revision, with the same pointers, and as much of an admin."""
    likeness: Document = {
        name: getattr(user, name) for name in ("email_key", "user_group", "disabled", "password_hash")
    }
    return {**revision_filter(user), **likeness, "token_digests": list(user.token_digests)}


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
        "created_at": to_millisecond(record.created_at),
        "used_at": to_millisecond(record.used_at),
        "expires_at": to_millisecond(record.expires_at),
        "user_id": record.user_id,
        "epoch": record.epoch,
        # As text: JSON's field names may hold dots, dollars and NULs, and its integers have no size.
        "data": json.dumps(dict(record.data)),
    }


def record_from(document: Document) -> Record:
    """Build the record from its document. Raises ``KeyError``, ``TypeError`` or ``ValueError`` for another's."""
    return make_record(
        document["data"],
        kind=document["_id"]["kind"],
        id=document["_id"]["id"],
        **{name: document[name] for name in ("created_at", "used_at", "expires_at", "user_id", "epoch")},
    )


def to_millisecond(moment: datetime) -> datetime:
    """Drop what a BSON date cannot keep, so that comparing in here and in the server gives the same."""
    return moment.replace(
        microsecond=moment.microsecond // _MICROSECONDS_PER_MILLISECOND * _MICROSECONDS_PER_MILLISECOND
    )
