"""Transactions that nobody will end: of a process that died, or was cut off, in the middle of a call.

The server keeps them open for a minute, unless it is told otherwise, and with them what they changed: a user, or the
count of admins, which nobody else can change meanwhile. It tells each user of the database of its own, without a
privilege; and it ends them by their sessions.
"""

from collections.abc import Sequence
from typing import Any

import pymongo
from bson.binary import Binary
from pymongo import MongoClient
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern

APPLICATION = "doorman"  # what this program calls itself to the server

_MOST = 100
_LIMIT = 0.5  # seconds


def orphaned_sessions(client: MongoClient[dict[str, Any]], *, oldest: float) -> Sequence[dict[str, Any]]:
    """Return the sessions of this program whose transactions are idle, and open for longer than ``oldest`` seconds.

    No call takes that long, so whoever began them is gone, or has been told that it failed. Returns none if the server
    does not say.
    """
    idle = {
        "type": "idleSession",
        "appName": APPLICATION,
        "transaction.timeOpenMicros": {"$gt": round(oldest * 1_000_000)},
    }
    pipeline: list[dict[str, Any]] = [
        {"$currentOp": {"allUsers": False, "idleSessions": True}},
        {"$match": idle},
        {"$limit": _MOST},
        {"$project": {"lsid": 1}},
    ]
    admin = client.get_database("admin", read_concern=ReadConcern("local"))
    try:
        with pymongo.timeout(_LIMIT):
            # Commands are not encoded as the client's settings have it.
            return [{"id": Binary.from_uuid(found["lsid"]["id"])} for found in admin.aggregate(pipeline)]
    except PyMongoError:
        return []
