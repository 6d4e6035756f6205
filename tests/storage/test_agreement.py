"""The same random operations give the same results on SQLite, on MongoDB and in a model of a few lines."""

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from models.errors import (
    EmailInUseError,
    LastAdminError,
    RevisionMismatchError,
    TokenInUseError,
    UserExistsError,
)
from models.storage import Store, UserKey
from models.user import USER_GROUPS, User
from tests.storage.races import outcome
from tests.storage.stores import NOW, Address, make_user

OPERATIONS = 300
NAMES = ["ann", "bob", "cid", "Dan", "\ufffd", "\U0001f600"]
EMAILS = [None, "a@x.org", "b@x.org", "c@x.org"]
TOKENS = ["t1", "t2", "t3", "t4", "t5", "t6", "t7", "t8"]


class Model:
    """What a store does, without a database: the users in a dictionary by id, and all that was ever stored."""

    def __init__(self) -> None:
        self.users: dict[str, User] = {}
        self.history: list[User] = []

    def insert(self, users: list[User], _: tuple[()] = ()) -> None:
        self._check([*self.users.values(), *users])
        self.users |= {user.id: user for user in users}
        self.history += users

    def insert_first_admin(self, user: User, _: tuple[()]) -> bool:
        if self.has_admin():
            return False
        self.insert([user])
        return True

    def has_admin(self) -> bool:
        return any(user.is_guarding_admin for user in self.users.values())

    def find_users(self, keys: list[UserKey]) -> dict[UserKey, User]:
        by_key: dict[UserKey, User] = {(user.name_key, user.oauth): user for user in self.users.values()}
        return {key: by_key[key] for key in keys if key in by_key}

    def find_users_by_id(self, ids: list[str]) -> dict[str, User]:
        return {key: self.users[key] for key in ids if key in self.users}

    def find_users_by_token(self, digests: list[str]) -> dict[str, User]:
        by_digest = {digest: user for user in self.users.values() for digest in user.token_digests}
        return {digest: by_digest[digest] for digest in digests if digest in by_digest}

    def replace(self, before: User, after: User, _: tuple[()]) -> None:
        self._check_revision(before)
        changed = self.users | {after.id: after}
        self._check_names(list(changed.values()))
        self._check_admins(changed)
        self._check(list(changed.values()))
        self.users = changed
        self.history.append(after)

    def delete(self, user: User, _: tuple[()]) -> None:
        self._check_revision(user)
        rest = {key: one for key, one in self.users.items() if key != user.id}
        self._check_admins(rest)
        self.users = rest

    def list_names(
        self, *, limit: int, oauth: int, after: str | None, before: str | None, prefix: str, user_group: str | None
    ) -> Any:
        found = sorted(
            (user.name_key, user.user_name)
            for user in self.users.values()
            if user.oauth == oauth
            and user.name_key.startswith(prefix)
            and (after is None or user.name_key > after)
            and (before is None or user.name_key < before)
            and user_group in (None, user.user_group)
        )
        return found[:limit] if before is None else found[-limit:]

    def _check_revision(self, user: User) -> None:
        if user.id not in self.users or self.users[user.id].revision != user.revision:
            raise RevisionMismatchError

    def _check_admins(self, users: dict[str, User]) -> None:
        if self.has_admin() and not any(user.is_guarding_admin for user in users.values()):
            raise LastAdminError

    @staticmethod
    def _check_names(users: list[User]) -> None:
        if len({(user.name_key, user.oauth) for user in users}) < len(users):
            raise UserExistsError

    def _check(self, users: list[User]) -> None:
        self._check_names(users)
        for keys, error in (
            ([user.email_key for user in users if user.email_key is not None], EmailInUseError),
            ([digest for user in users for digest in user.token_digests], TokenInUseError),
        ):
            if len(set(keys)) < len(keys):
                raise error


class Choice:
    """Makes up one operation after the other, on users that are there, were there or never were."""

    def __init__(self, seed: int, model: Model) -> None:
        self.random = random.Random(seed)  # noqa: S311 - It must repeat itself.
        self.positions = random.Random(seed)  # noqa: S311 - as above
        self.model = model

    def operation(self) -> Callable[[Any], Any]:
        choose = self.random.choice
        name = choose(
            ["insert", "insert", "first", "find", "token", "id", "replace", "replace", "replace", "delete", "list"]
        )
        users = [self._user() for _ in range(choose([1, 1, 1, 2, 3]))]
        before, after = self._change()
        oauth, some = choose([0, 1]), choose([1, 2, 5])
        keys = [(choose(NAMES), choose([0, 1])) for _ in range(some)]
        ids = [before.id, *(choose([*self.model.history, before]).id for _ in range(some))]
        digests = self.random.choices(TOKENS, k=some)
        admin = replace(users[0], user_group="admin", oauth=0, disabled=False, password_hash="h")
        page = {
            "limit": choose([1, 2, 10]),
            "oauth": oauth,
            "after": choose([None, *NAMES]),
            "before": self.positions.choice([None, None, None, *NAMES]),
            "prefix": choose(["", "", "a", "\ufffd"]),
            "user_group": choose([None, *USER_GROUPS]),
        }
        operations: dict[str, Callable[[Any], Any]] = {
            "insert": lambda store: store.insert(users, ()),
            "first": lambda store: store.insert_first_admin(admin, ()),
            "find": lambda store: (store.find_users(keys), store.has_admin()),
            "token": lambda store: store.find_users_by_token(digests),
            "id": lambda store: store.find_users_by_id(ids),
            "replace": lambda store: store.replace(before, after, ()),
            "delete": lambda store: store.delete(before, ()),
            "list": lambda store: store.list_names(**page),
        }
        return operations[name]

    def _user(self) -> User:
        key = self.random.choice(NAMES)
        return make_user(key, name_key=key, oauth=self.random.choice([0, 0, 1]), **self._values())

    def _values(self) -> dict[str, Any]:
        choose = self.random.choice
        email = choose(EMAILS)
        return {
            "email": email,
            "email_key": email,
            "token_digests": tuple(self.random.sample(TOKENS, choose([0, 1, 1, 2]))),
            "user_group": choose(USER_GROUPS),
            "disabled": choose([False, False, True]),
            "password_hash": choose([None, "h1", "h2"]),
        }

    def _change(self) -> tuple[User, User]:
        stored = list(self.model.users.values())
        before = self.random.choice([*stored, *stored, *stored, *self.model.history[-3:], self._user()])
        name = self.random.choice(NAMES)
        values = self._values() | {"name_key": name, "user_name": name}
        kept = {*self.random.sample(sorted(values), self.random.choice([0, 4, 8]))}
        kept |= {"name_key", "user_name"} if kept & {"name_key", "user_name"} else set()
        return before, before.changed(NOW, **{key: value for key, value in values.items() if key not in kept})


def test_what_is_stored_decides(durable_store: Store) -> None:
    """Who takes the last admin, at the right revision, for somebody else removes it as little as anyone."""
    root = make_user("root", user_group="admin")
    durable_store.insert([root], ())
    taken_for = replace(root, user_group="noob")
    with pytest.raises(LastAdminError):
        durable_store.replace(taken_for, taken_for.changed(NOW, name="Root"), ())
    assert durable_store.find_users_by_id([root.id]) == {root.id: root}


@pytest.mark.parametrize("seed", range(3))
def test_stores_agree_on_random_operations(address: Address, durable_store: Store, seed: int) -> None:
    """Each result, error or value, is the model's, and so is what is stored at the end."""
    model = Model()
    choice = Choice(seed, model)
    for number in range(OPERATIONS):
        operation = choice.operation()
        assert outcome(lambda: operation(durable_store)) == outcome(lambda: operation(model)), number  # noqa: B023 - both run before the next round
    assert durable_store.find_users_by_id(list(model.users)) == model.users
    assert durable_store.find_users_by_token(TOKENS) == model.find_users_by_token(TOKENS)
