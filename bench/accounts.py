"""Accounts to measure with, put into Doorman's database through its own store."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing

import bcrypt

from api.settings import Settings
from app import open_store
from models.core import utc_now
from models.secret import Secret
from models.secret_key import KeyRing
from models.storage.changes import INSERT_BATCH
from models.user import User, new_user_id
from tests.databases import SECRET_KEY, Environment

PASSWORD = "a-password-of-the-yardstick"
TOKEN = "a-token-of-the-yardstick-0123456789"
TOKENS_OWNER = "bearer"
_NO_HASH = "$2b$12$" + "." * 53


def hash_once(cost: int) -> str:
    """Return one hash of ``PASSWORD``, for all who share it: each of their logins costs a check of its own."""
    return bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(cost)).decode()


def users(names: Iterable[str], password_hash: str = _NO_HASH, *, first: int = 0) -> Iterator[User]:
    """Make ordinary users, numbered from ``first``, for no two may have one token.

    The token of ``TOKENS_OWNER`` is ``TOKEN``, and nobody knows those of the others.
    """
    now = utc_now()
    digests = KeyRing(Secret(SECRET_KEY)).token_digests(Secret(TOKEN))
    for number, name in enumerate(names, first):
        yield User(
            id=new_user_id(now),
            user_name=name,
            name_key=name,
            oauth=0,
            password_hash=password_hash,
            token_hash=_NO_HASH,
            token_digests=digests if name == TOKENS_OWNER else (f"{number:064x}",),
            name=None,
            email=None,
            email_key=None,
            user_group="noob",
            disabled=False,
            epoch=1,
            revision=1,
            created_at=now,
            updated_at=now,
        )


def insert(environment: Environment, added: Iterable[User]) -> None:
    """Put users into the database that ``environment`` names."""
    iterator = iter(added)
    with closing(open_store(Settings.from_env(environment))) as store:
        store.prepare()
        while batch := list(itertools.islice(iterator, INSERT_BATCH)):
            store.insert(batch, ())


def names(prefix: str) -> Callable[[int], list[str]]:
    """Return a source of names that never come twice."""
    numbers = itertools.count()
    return lambda count: [f"{prefix}{next(numbers)}" for _ in range(count)]
