"""What the store keeps for a time only: sessions, issued tokens, nonces."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

# Replicas' clocks are together within this time. What is dated further ahead, a clock has dated that was wrong.
CLOCKS_DIFFER = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One expiring record, found by ``(kind, id)``. Times are UTC with millisecond precision.

    ``id`` is a digest where the original is a secret. ``user_id`` and ``epoch`` bind it to a user's state at the
    time of issue; deleting the user deletes the records that it has then. ``data`` holds JSON values.
    """

    kind: str
    id: str
    created_at: datetime
    used_at: datetime
    expires_at: datetime  # from this moment on the record is not there, whether or not it was purged
    user_id: str | None = None
    epoch: int = 0
    data: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """That a record was used at a time, which puts its end off to ``expires_at``.

    It is noted once for as long as the record says that it was used after ``unless_after``.
    """

    kind: str
    id: str
    used_at: datetime
    unless_after: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Counted:
    """What one counter holds: how often it was counted, and when last."""

    count: int
    last: datetime
