"""A replica set of three real mongods on loopback, whose primary can be killed or cut off, and comes back."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from tests.api.small_app import until
from tests.mongod import REPLICA_SET, Mongod, mongod_program

MEMBERS = 3
DEFAULT_SECONDS, QUICK_SECONDS = 10.0, 1.0
HEARTBEATS_AN_ELECTION = 5  # as by default: every 2 s, and 10 s
# By default 5: a member that follows one that was cut off goes on asking it for some ten seconds. Until it gives up,
# no write has a majority.
_QUICK = {"oplogNetworkTimeoutBufferSeconds": 1}
ELECTION_LIMIT = 60.0  # seconds
_POLL = 0.005

Member = MongoClient[dict[str, Any]]


class ReplicaSet:
    """Members that vote and may lead alike. ``election_seconds``: after how long without a primary they elect one."""

    def __init__(self, members: list[Mongod], election_seconds: float) -> None:
        self.members = members
        self._election_milliseconds = round(election_seconds * 1000)
        # Each asks one member alone, of what that member knows.
        self._clients = {
            member: Member(
                member.uri, directConnection=True, serverSelectionTimeoutMS=2000, socketTimeoutMS=500, connect=False
            )
            for member in members
        }

    @property
    def uri(self) -> str:
        return f"mongodb://{','.join(member.host for member in self.members)}/?replicaSet={REPLICA_SET}"

    def start(self) -> None:
        """Start the members, and return when one leads and the others have all that it has."""
        for member in self.members:
            member.launch()
        for member in self.members:
            member.await_listening()
        settings = {
            "electionTimeoutMillis": self._election_milliseconds,
            "heartbeatIntervalMillis": self._election_milliseconds // HEARTBEATS_AN_ELECTION,
        }
        members = [{"_id": number, "host": member.host} for number, member in enumerate(self.members)]
        configuration = {"_id": REPLICA_SET, "members": members, "settings": settings}
        with Member(self.members[0].uri, directConnection=True) as client:
            client.admin.command("replSetInitiate", configuration)
        until(self.is_whole, "the members to be there")

    def primary(self) -> Mongod:
        """Return the member that leads."""
        return self.elected(set())

    def elected(self, others: set[Mongod]) -> Mongod:
        """Return the member that leads and is none of ``others``, as soon as there is one."""
        deadline = time.monotonic() + ELECTION_LIMIT
        while time.monotonic() < deadline:
            for member in self.members:
                if member not in others and self._leads(member):
                    return member
            time.sleep(_POLL)
        raise AssertionError("no member was elected")

    def written(self) -> float:
        """Return when the driver alone, without Doorman, first had a write acknowledged by a majority."""
        with Member(self.uri, w="majority", journal=True, timeoutMS=1000) as client:
            while True:
                with suppress(PyMongoError):
                    client["probe"]["writes"].insert_one({})
                    return time.monotonic()

    def is_whole(self) -> bool:
        """Tell whether one member leads, and the others have come as far as it had when they were asked."""
        try:
            status = self._clients[self.primary()].admin.command("replSetGetStatus")
        except PyMongoError:
            return False
        members = status["members"]
        led = [member["optime"]["ts"] for member in members if member["stateStr"] == "PRIMARY"]
        following = [member["optime"]["ts"] for member in members if member["stateStr"] == "SECONDARY"]
        # What they are known to have is as old as their last heartbeat.
        return len(led) == 1 and len(following) == MEMBERS - 1 and min(following).time >= led[0].time - 1

    def close(self) -> None:
        for client in self._clients.values():
            client.close()

    def _leads(self, member: Mongod) -> bool:
        try:
            return bool(self._clients[member].admin.command("hello")["isWritablePrimary"])
        except PyMongoError:
            return False


@pytest.fixture
def replica_set(tmp_path: Path) -> Iterator[Callable[[float], ReplicaSet]]:
    """Start replica sets that a test may do anything to: with MongoDB's defaults, or as quick as they can well be."""
    with ExitStack() as ends:

        def start(election_seconds: float) -> ReplicaSet:
            members = []
            parameters = _QUICK if election_seconds == QUICK_SECONDS else {}
            for number in range(MEMBERS):
                directory = tmp_path / f"member-{number}"
                directory.mkdir()
                members.append(Mongod(mongod_program(), directory, parameters=parameters))
                ends.callback(shutil.rmtree, directory, ignore_errors=True)
                ends.callback(members[-1].kill)
            replicas = ReplicaSet(members, election_seconds)
            ends.callback(replicas.close)
            replicas.start()
            return replicas

        yield start
