"""What an examination finds of the servers of MongoDB, and of what Doorman may do there."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime

from pymongo.database import Database
from pymongo.errors import OperationFailure

from models.findings import Finding
from models.storage.mongo.connection import Document

_OLDEST_TRIED = (6, 0)
_CLOCKS_MAY_DIFFER = 2.0  # seconds
# What the role readWrite allows and Doorman does.
_NEEDED = ("find", "insert", "update", "remove", "createCollection", "createIndex", "listCollections", "listIndexes")


def server_found(database: Database[Document], *, now: Callable[[], datetime]) -> Iterator[Finding]:
    """Yield what is wrong, or unwise, with a server that is fit."""
    before = now()
    hello = database.client.admin.command("hello", codec_options=database.codec_options)
    after = now()
    skew = (hello["localTime"] - (before + (after - before) / 2)).total_seconds()
    if abs(skew) > _CLOCKS_MAY_DIFFER + (after - before).total_seconds():
        yield Finding(
            code="clock_skew",
            severity="warning",
            message=f"MongoDB's clock is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} this machine's.",
            remedy="Keep the clocks together (NTP): sessions, tokens and pauses end by them.",
        )
    if len(hello.get("hosts", [])) == 1:
        yield Finding(
            code="one_member",
            severity="note",
            message="The replica set has one member.",
            remedy="The loss of its machine is the loss of the store: three members on three machines survive one.",
        )
    version = database.client.server_info()["version"]
    if tuple(map(int, version.split(".")[:2])) < _OLDEST_TRIED:
        yield Finding(
            code="old_server",
            severity="warning",
            message=f"This is MongoDB {version}, and Doorman is tried on 6.0 and newer ones.",
            remedy="Upgrade MongoDB.",
        )
    with suppress(OperationFailure):  # who may not ask is not told
        yield from _rights(database)


def _rights(database: Database[Document]) -> Iterator[Finding]:
    told = database.client.admin.command("connectionStatus", showPrivileges=True)["authInfo"]
    if not told["authenticatedUsers"]:
        yield Finding(
            code="no_authentication",
            severity="note",
            message="DATABASE_URL names no user: whoever reaches MongoDB's port may do all that Doorman may.",
            remedy="Start MongoDB with authorization, and give Doorman a user with readWrite on its database alone.",
        )
        return
    allowed: set[str] = set()
    for privilege in told["authenticatedUserPrivileges"]:
        resource = privilege["resource"]
        if resource.get("anyResource") or (
            resource.get("db") in {"", database.name} and resource.get("collection") == ""
        ):
            allowed.update(privilege["actions"])
    if missing := [action for action in _NEEDED if action not in allowed]:
        yield Finding(
            code="lacking_rights",
            severity="problem",
            message=f"The user of DATABASE_URL may not {', '.join(missing)} in {database.name}.",
            remedy=f"db.grantRolesToUser(<user>, [{{role: 'readWrite', db: '{database.name}'}}])",
        )
    powerful = [
        role["role"]
        for role in told["authenticatedUserRoles"]
        if (role["role"], role["db"]) != ("readWrite", database.name)
    ]
    if powerful:
        yield Finding(
            code="more_rights",
            severity="note",
            message=f"The user of DATABASE_URL has {', '.join(powerful)} beside readWrite on {database.name}.",
            remedy="It needs no more than that role.",
        )
