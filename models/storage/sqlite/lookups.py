"""Looking users up in SQLite, many at a time."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from models.storage import Found, UserKey
from models.storage.batches import batches, storable
from models.storage.layout import FIELDS
from models.storage.sqlite.database import Database
from models.storage.sqlite.schema import found_from
from models.user import OAuth, User

BATCH = 128  # keys in one statement
_KINDS: tuple[OAuth, ...] = (0, 1)

_SELECT = f"SELECT {', '.join(f'users.{column}' for column in FIELDS)}"
_ID, _NAME_KEY = FIELDS.index("id"), FIELDS.index("name_key")

# Each takes as many keys as there are to be question marks in it (``asking``).
FIND = f"{_SELECT} FROM users INDEXED BY users_by_name WHERE name_key IN (%s) AND oauth = ?"
FIND_BY_ID = f"{_SELECT} FROM users WHERE id IN (%s)"
# CROSS: the pointers come first.
FIND_BY_TOKEN = f"{_SELECT}, digest FROM tokens CROSS JOIN users ON users.id = tokens.user_id WHERE digest IN (%s)"


def asking(query: str, count: int) -> str:
    """Return the query for ``count`` keys."""
    return query % ", ".join("?" * count)


class Query:
    """A query for any number of keys, as a few statements which connections remember: those of 1, 2, 4 … keys."""

    def __init__(self, query: str) -> None:
        self._statements = [asking(query, 1 << power) for power in range(BATCH.bit_length())]

    def rows(self, database: Database, keys: Sequence[str], *rest: object) -> Iterator[Sequence[Any]]:
        """Yield what is found of ``keys``; the last of them fills a batch up."""
        for some in batches(keys, BATCH):
            power = (len(some) - 1).bit_length()
            padding = [some[-1]] * ((1 << power) - len(some))
            yield from database.rows(self._statements[power], (*some, *padding, *rest))


_BY_NAME, _BY_ID, _BY_TOKEN = map(Query, (FIND, FIND_BY_ID, FIND_BY_TOKEN))


class SqliteLookups:
    def __init__(self, database: Database) -> None:
        self._database = database

    def by_name(self, keys: Collection[UserKey]) -> Mapping[UserKey, Found]:
        return {
            (row[_NAME_KEY], kind): found_from(row)
            for kind in _KINDS
            for row in _BY_NAME.rows(
                self._database, storable(name_key for name_key, oauth in keys if oauth == kind), kind
            )
        }

    def by_id(self, ids: Collection[str]) -> Mapping[str, Found]:
        return {row[_ID]: found_from(row) for row in _BY_ID.rows(self._database, storable(ids))}

    def by_token(self, digests: Collection[str]) -> Mapping[str, Found]:
        users: dict[str, Found] = {}
        for *row, digest in _BY_TOKEN.rows(self._database, storable(digests)):
            found = found_from(row)
            if not isinstance(found, User) or digest in found.token_digests:
                users[digest] = found
        return users
