"""Lists of user names, in the order of their keys, by keyset: any page costs the same, and memory stays flat."""

import logging
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from models import names
from models.errors import CorruptRecordError
from models.names import position_key
from models.storage import Found, Store
from models.user import ListedName, OAuth, User, UserGroup

logger = logging.getLogger(__name__)

MAX_PAGE = 1000
_STREAMED_PAGE = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class NameFilter:
    """Which names to list: past a name, beginning with a text, of one group; the OAuth users' or the ordinary ones'.

    With ``before``, the last ones that come before that name.
    """

    oauth: OAuth = 0
    after: str | None = None
    before: str | None = None
    prefix: str = ""
    user_group: UserGroup | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Some names, and the name after which the next page begins, or ``None`` on the last page."""

    names: list[str]
    next_after: str | None


@dataclass(frozen=True, slots=True)
class UserPage:
    """Some users, and the names before and after which the neighbouring pages are, or ``None`` where none is."""

    users: list[User]
    previous_before: str | None
    next_after: str | None


class Listing:
    """The names of one store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def page(self, wanted: NameFilter, limit: int) -> Page:
        """Return at most ``limit`` names."""
        rows = self._rows(wanted, _start(wanted), limit + 1)
        names = [row.user_name for row in rows[:limit]]
        return Page(names, names[-1] if len(rows) > limit else None)

    def users(self, wanted: NameFilter, limit: int) -> UserPage:
        """Return the users of a page of names."""
        rows = self._rows(wanted, _start(wanted), limit + 1)
        is_backward, has_more = wanted.before is not None, len(rows) > limit
        shown = rows[-limit:] if is_backward else rows[:limit]
        found = self._store.find_users([(row.name_key, wanted.oauth) for row in shown])
        users = [found[row.name_key, wanted.oauth] for row in shown if (row.name_key, wanted.oauth) in found]
        has_previous = has_more if is_backward else wanted.after is not None
        has_next = has_more or is_backward
        return UserPage(
            _readable(users),
            shown[0].user_name if shown and has_previous else None,
            shown[-1].user_name if shown and has_next else None,
        )

    def users_among(
        self, *, ids: Collection[str] | None = None, user_names: Collection[str] | None = None
    ) -> list[User]:
        """Return the ordinary users who have one of the ids and one of the names, by name."""
        keys = None if user_names is None else {names.lookup_key(user_name) for user_name in user_names}
        if ids is not None:
            found = _readable(self._store.find_users_by_id(ids).values())
        else:
            found = _readable(self._store.find_users([(key, 0) for key in keys or () if key is not None]).values())
        users = [user for user in found if user.oauth == 0 and (keys is None or user.name_key in keys)]
        return sorted(users, key=lambda user: user.name_key)

    def stream(self, wanted: NameFilter) -> Iterator[list[str]]:
        """Yield all names, page by page. Each page is a read of its own, and may be asked for by another thread.

        The first page is read before this returns, so that a store which is gone is an error and not a broken stream.
        """
        return self._pages_from(wanted, self._rows(wanted, _start(wanted), _STREAMED_PAGE))

    def _pages_from(self, wanted: NameFilter, rows: list[ListedName]) -> Iterator[list[str]]:
        while rows:
            yield [row.user_name for row in rows]
            if len(rows) < _STREAMED_PAGE:
                return
            rows = self._rows(wanted, rows[-1].name_key, _STREAMED_PAGE)

    def _rows(self, wanted: NameFilter, after: str | None, limit: int) -> list[ListedName]:
        return self._store.list_names(
            limit=limit,
            oauth=wanted.oauth,
            after=after,
            before=None if wanted.before is None else position_key(wanted.before),
            prefix=position_key(wanted.prefix),
            user_group=wanted.user_group,
        )


def _readable(found: Collection[Found]) -> list[User]:
    """Return the users; one that is not as Doorman writes users is logged, and spoils nobody else's answer."""
    for error in found:
        if isinstance(error, CorruptRecordError):
            logger.error("The user with the id %s is not as Doorman writes users.", error.record_id)
    return [user for user in found if isinstance(user, User)]


def _start(wanted: NameFilter) -> str | None:
    return None if wanted.after is None else position_key(wanted.after)
