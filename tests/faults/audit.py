"""The look at everything after faults: by the API, and in the store, down to what leads to users and counts them."""

import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import fields
from typing import Any

import httpx
from pymongo import MongoClient

from api.settings import Settings
from app import open_store
from models.errors import CorruptRecordError
from models.secret import Secret
from models.secret_key import KeyRing
from models.storage import UserKey
from models.user import User
from tests.databases import ADMIN, SECRET_KEY, Environment
from tests.faults.extent import extent
from tests.faults.known_users import KnownUser, State
from tests.faults.tally import Tally
from tests.running import PLAIN, START_SECONDS, Doorman

_LOGINS = extent(5, 100)  # users whose logins are tried


class Audit:
    """Compares what the clients know with what is there, and adds to the tally what is wrong."""

    def __init__(self, environment: Environment, doorman: Doorman, users: Collection[KnownUser], tally: Tally) -> None:
        self._environment = environment
        self._doorman = doorman
        self._there = {user.name: user for user in users if user.states != [None]}
        self._gone = {user.name for user in users} - self._there.keys()
        self._users = users
        self._tally = tally

    def run(self) -> None:
        self._audit_list()
        self._audit_store()
        self._audit_logins()
        self._audit_sessions()

    def _audit_list(self) -> None:
        names = self._doorman.call("GET").json()["users"]
        self._tally.doubled += [f"{name} is listed {n} times" for name, n in Counter(names).items() if n > 1]
        expected = {*self._there, ADMIN[0]}
        self._tally.lost += [f"{name} is not listed" for name in expected.difference(names)]
        self._tally.lost += [f"{name} was deleted, and is listed" for name in set(names) - expected]

    def _audit_store(self) -> None:
        with closing(open_store(Settings.from_env(self._environment))) as store:
            keys: list[UserKey] = [(name, 0) for name in (*self._there, *self._gone, ADMIN[0])]
            found = store.find_users(keys)
        users: dict[str, User] = {}
        for (name, _), user in found.items():
            if isinstance(user, CorruptRecordError):
                self._tally.torn.append(f"{name} cannot be read")
            else:
                users[name] = user
        for name, known in self._there.items():
            if name in users:
                self._audit_user(known, users[name])
        self._audit_pointers(users.values())

    def _audit_user(self, known: KnownUser, user: User) -> None:
        wrong = [_differences(state, user) for state in known.states if state is not None]
        if not any(names == [] for names in wrong):
            kind = self._tally.torn if any(len(names) < len(fields(State)) - 1 for names in wrong) else self._tally.lost
            kind.append(f"{user.user_name} differs in {wrong}")
        if not known.writes <= user.revision <= known.writes + known.doubts:
            text = f"{user.user_name} has revision {user.revision} after {known.writes} and {known.doubts} writes"
            (self._tally.lost if user.revision < known.writes else self._tally.doubled).append(text)

    def _audit_pointers(self, users: Iterable[User]) -> None:
        users = list(users)
        stored = raw_contents(self._environment)
        wanted: dict[str, dict[str, Any]] = {
            "names": {user.name_key: user.id for user in users},
            "emails": {user.email_key: user.id for user in users if user.email_key},
            "tokens": {digest: user.id for user in users for digest in user.token_digests},
            "admins": {"n": sum(user.is_guarding_admin for user in users)},
        }
        for kind, expected in wanted.items():
            there = stored.get(kind, expected)
            if there != expected:
                self._tally.torn.append(f"{kind}: {there.items() ^ expected.items()}")

    def _audit_logins(self) -> None:
        for user in sorted(self._there.values(), key=lambda user: user.former is None)[:_LOGINS]:
            self._expect(user, (user.name, user.state.password), 200)
            if user.former is not None:
                self._expect(user, (user.name, user.former), 401)
            if user.state.token is not None:
                self._expect(user, (user.name, user.state.token), 200)
        for name in sorted(self._gone)[:_LOGINS]:
            if (status := self._doorman.call("GET", f"/{name}").status_code) != 403:
                self._tally.lost.append(f"{name} was deleted, and read with {status}")

    def _expect(self, user: KnownUser, auth: tuple[str, str], status: int) -> None:
        answer = self._doorman.call("GET", f"/{user.name}", auth)
        if answer.status_code != status:
            self._tally.lost.append(f"{user} logs in by {auth} with {answer.status_code}")

    def _audit_sessions(self) -> None:
        with httpx.Client(verify=PLAIN, timeout=START_SECONDS) as client:
            for sessions, status in (("sessions", 200), ("ended", 401)):
                for user in self._users:
                    for session in getattr(user, sessions):
                        answer = client.get(
                            f"{self._doorman.url}/api/v2/verify", headers={"Cookie": f"session={session}"}
                        )
                        if answer.status_code != status:
                            self._tally.lost.append(f"{user} has a session of {sessions}: {answer.status_code}")


def _differences(state: State, user: User) -> list[str]:
    """Return the fields in which a user is not in that state."""
    wrong = [name for name in ("email", "name", "user_group") if getattr(state, name) != getattr(user, name)]
    password_hash, token_hash = user.password_hash or "", user.token_hash
    wrong += [] if state.has_hashes(password_hash, token_hash) else ["secrets"]
    if state.token is not None and user.token_digests != KeyRing(Secret(SECRET_KEY)).token_digests(Secret(state.token)):
        wrong.append("token_digests")
    return wrong


def raw_contents(environment: Environment) -> Mapping[str, dict[str, Any]]:
    """Return, without the code of the stores: the users' names, what leads to users, and the count of admins."""
    if environment["DATABASE_URL"].startswith("sqlite"):
        with closing(sqlite3.connect(environment["DATABASE_URL"].removeprefix("sqlite:///"))) as connection:
            return {
                "names": dict(connection.execute("SELECT name_key, id FROM users")),
                "emails": dict(connection.execute("SELECT email_key, user_id FROM emails")),
                "tokens": dict(connection.execute("SELECT digest, user_id FROM tokens")),
            }
    with MongoClient[dict[str, Any]](environment["DATABASE_URL"]) as client:
        database = client[environment["DATABASE_NAME"]]
        guard = database["guard"].find_one({"_id": "admins"}) or {}
        return {
            "names": {user["name_key"]: str(user["_id"]) for user in database["users"].find()},
            "emails": {pointer["_id"]: str(pointer["user_id"]) for pointer in database["emails"].find()},
            "tokens": {pointer["_id"]: str(pointer["user_id"]) for pointer in database["tokens"].find()},
            "admins": {"n": guard.get("n")},
        }


def figures(tally: Tally) -> Sequence[tuple[str, object]]:
    """Return what is reported of every test that had clients write."""
    return [
        ("acknowledged writes", tally.acknowledged),
        ("lost", len(tally.lost)),
        ("doubled", len(tally.doubled)),
        ("torn", len(tally.torn)),
        ("read as before", len(tally.stale)),
        ("refused", ", ".join(f"{n} by {status}" for status, n in sorted(tally.refused.items())) or 0),
        ("of these without Retry-After", tally.without_retry_after),
        ("without an answer", len(tally.broken)),
        ("slowest answer, s", f"{tally.slowest:.2f}"),
    ]
