"""The account, as every store keeps it and every surface shows a part of it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal, NamedTuple, Self, get_args

OAuth = Literal[0, 1]
UserGroup = Literal["noob", "manager", "admin"]
USER_GROUPS: tuple[UserGroup, ...] = get_args(UserGroup)


class ListedName(NamedTuple):
    """One row of a list: the key that orders it, and the name to show."""

    name_key: str
    user_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """One account. Immutable: a change makes another value, and the store decides whether it may take the place.

    ``(name_key, oauth)`` is unique, ``email_key`` is unique where present, and so is each of ``token_digests``.
    Times are UTC with millisecond precision, which every store keeps exactly.
    """

    id: str  # 24 lower-case hex digits, never reused
    user_name: str  # as enforced by PRECIS UsernameCasePreserved
    name_key: str  # as mapped by UsernameCaseMapped: what is compared and ordered
    oauth: OAuth
    # Bcrypt's, or of the kind that the user was imported with; None: there is no password, and password logins fail.
    password_hash: str | None
    token_hash: str  # bcrypt of the API token, which the v2 contract shows
    token_digests: tuple[str, ...]  # HMAC-SHA256 of the API token, one for each secret key in service
    name: str | None
    email: str | None
    email_key: str | None
    user_group: UserGroup
    disabled: bool
    epoch: int  # incremented with the password, and when disabled: what was issued in an earlier epoch is revoked
    revision: int  # incremented by every write: what compare-and-set and ETag go by
    created_at: datetime
    updated_at: datetime

    @property
    def is_guarding_admin(self) -> bool:
        """Whether this user counts towards the admins of whom one must remain."""
        return self.user_group == "admin" and not self.disabled and self.password_hash is not None and self.oauth == 0

    def has_name(self, name_key: str, oauth: OAuth) -> bool:
        """Tell whether this is the user of that mapped name and kind."""
        return (self.name_key, self.oauth) == (name_key, oauth)

    def changed(self, now: datetime, **changes: Any) -> Self:
        """Return this user with ``changes``, one revision on, and one epoch on if its sessions end by them."""
        has_other_password = changes.get("password_hash", self.password_hash) != self.password_hash
        is_shut_out = changes.get("disabled", False) and not self.disabled
        if has_other_password or is_shut_out:
            changes["epoch"] = self.epoch + 1
        return replace(self, revision=self.revision + 1, updated_at=now, **changes)

    def rehashed(self, password_hash: str) -> Self:
        """Return this user with another hash of the same password: one revision on, and in the same epoch."""
        return replace(self, revision=self.revision + 1, password_hash=password_hash)


def new_user(name: tuple[str, str], oauth: OAuth, columns: Mapping[str, Any], now: datetime) -> User:
    """Make a user of a name, as it is shown and as it is mapped; ``columns`` give at least the token's."""
    absent = dict.fromkeys(("password_hash", "name", "email", "email_key"))
    values: dict[str, Any] = {**absent, "user_group": "noob", "disabled": False, **columns}
    user_name, name_key = name
    return User(
        id=new_user_id(now),
        user_name=user_name,
        name_key=name_key,
        oauth=oauth,
        epoch=1,
        revision=1,
        created_at=now,
        updated_at=now,
        **values,
    )


def new_user_id(now: datetime) -> str:
    """Make an id of 24 hex digits in the layout of a MongoDB ObjectId: 4 bytes of time, then 8 random ones."""
    return f"{int(now.timestamp()) & 0xFFFFFFFF:08x}{os.urandom(8).hex()}"
