"""Bounds on what the parts of other systems' hashes may be."""

from models.errors import BrokenRuleError

_LONGEST_SALT, _SHORTEST_DIGEST, _LONGEST_DIGEST = 256, 16, 128  # bytes


def check_sizes(salt: bytes, length: int) -> None:
    require(len(salt) <= _LONGEST_SALT, f"Its salt may have at most {_LONGEST_SALT} bytes.")
    require(
        _SHORTEST_DIGEST <= length <= _LONGEST_DIGEST,
        f"Its digest must have {_SHORTEST_DIGEST} to {_LONGEST_DIGEST} bytes.",
    )


def require(condition: bool, rule: str) -> None:  # noqa: FBT001 - it reads as a sentence
    if not condition:
        raise BrokenRuleError(rule)
