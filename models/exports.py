"""All users, one after the other, as files take them."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from models.events import Kind
from models.patience import patiently
from models.secret_key import KeyRing
from models.storage import Found, Store
from models.trail import Trail
from models.user import OAuth, User

_PAGE = 1000
_KINDS: tuple[OAuth, ...] = (0, 1)

PLAIN_FIELDS = (
    *("id", "user_name", "oauth", "name", "email", "user_group", "disabled"),
    *("created_at", "updated_at"),
)
# With what opens doors: hashes of passwords and tokens, and under which secret keys the tokens are found.
ALL_FIELDS = (*PLAIN_FIELDS, "epoch", "revision", "password_hash", "token_hash", "token_digests", "secret_keys")


class Exports:
    """Reads all users of one store by pages. Who is added, renamed or removed meanwhile may be in it or not."""

    def __init__(self, store: Store, keys: KeyRing, trail: Trail) -> None:
        self._store = store
        self._trail = trail
        self._key_ids = [key.id for key in keys.keys]

    def begin(self, *, with_hashes: bool) -> None:
        """Write down that users are exported, before any of them is. Raises ``UnavailableError``."""
        self._store.audit.add(self._trail.by_operator(Kind.USERS_EXPORTED, with_hashes=with_hashes))

    def users(self) -> Iterator[Found]:
        """Yield each user, in order of names, the OAuth users last; or the error for one that cannot be read."""
        for oauth in _KINDS:
            after: str | None = None
            while names := patiently(lambda: self._store.list_names(limit=_PAGE, oauth=oauth, after=after)):  # noqa: B023 - called at once
                keys = [(name.name_key, oauth) for name in names]
                found = patiently(lambda: self._store.find_users(keys))  # noqa: B023 - called at once
                yield from (found[key] for key in keys if key in found)
                after = names[-1].name_key

    def described(self, user: User, *, with_hashes: bool) -> dict[str, Any]:
        """Return the user's fields, as JSON has them."""
        names = ALL_FIELDS if with_hashes else PLAIN_FIELDS
        return {name: self._key_ids if name == "secret_keys" else _as_json(getattr(user, name)) for name in names}


def _as_json(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return list(value) if isinstance(value, tuple) else value
