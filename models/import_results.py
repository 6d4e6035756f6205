"""What an import is told to do, and what became of each user."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum


class OnConflict(StrEnum):
    """What to do about a user who is there already, and differs."""

    SKIP = "skip"
    UPDATE = "update"
    FAIL = "fail"


class Outcome(StrEnum):
    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"  # there already, just like this
    KEPT = "kept"  # there already, and different
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one user; ``rules`` has for each field what is wrong with it, or that it differs."""

    place: int
    outcome: Outcome
    user_name: str | None = None
    rules: Mapping[str, Sequence[str]] = field(default_factory=dict)
