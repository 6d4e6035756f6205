"""What a newer Doorman keeps in a user beside what this one knows: both may serve one store during an upgrade."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pymongo import MongoClient

from models.storage import Store
from models.user import User
from tests.storage.stores import NOW, Address, find, make_admin, make_user, opened, with_email


def add_field(address: Address) -> None:
    """Have each user keep a 7 that this Doorman knows nothing of."""
    if address.kind == "sqlite":
        with opened(Path(address.place)) as connection:
            connection.execute("ALTER TABLE users ADD COLUMN newer INTEGER NOT NULL DEFAULT 0")
            connection.execute("UPDATE users SET newer = 7")
    else:
        with MongoClient[dict[str, object]](address.place) as client:
            client[address.database]["users"].update_many({}, {"$set": {"newer": 7}})


def field_of(address: Address, user: User) -> object:
    if address.kind == "sqlite":
        with opened(Path(address.place)) as connection:
            return connection.execute("SELECT newer FROM users WHERE id = ?", (user.id,)).fetchone()[0]
    with MongoClient[dict[str, object]](address.place) as client:
        return (client[address.database]["users"].find_one({"name_key": user.name_key}) or {})["newer"]


CHANGES: dict[str, Callable[[User], User]] = {
    "alone": lambda user: user.changed(NOW, name="Ann"),
    "pointers": lambda user: with_email(user.changed(NOW, token_digests=("another",)), "ann@x.org"),
    "group": lambda user: user.changed(NOW, user_group="admin"),
    "name": lambda user: user.changed(NOW, user_name="Bob", name_key="bob"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_leaves_what_a_newer_one_keeps(address: Address, durable_store: Store, change: str) -> None:
    """A change takes away nothing that this Doorman does not know; users can be read, added and deleted beside it."""
    ann = make_user("ann")
    durable_store.insert([ann, make_admin("root")], ())
    add_field(address)
    assert find(durable_store, "ann") == ann
    changed = CHANGES[change](ann)
    durable_store.replace(ann, changed, ())
    assert field_of(address, changed) == 7
    assert find(durable_store, changed.name_key) == changed
    durable_store.insert([make_user("cid")], ())
    durable_store.delete(changed, ())
