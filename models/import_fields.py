"""What each field of a user that comes from elsewhere must be."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, get_args

from models import bcrypt_hashes, names
from models.account_rules import check_token
from models.bcrypt_hashes import LEAST_ROUNDS, MOST_ROUNDS
from models.errors import BrokenRuleError
from models.foreign_hashes import ForeignHash, read_hash
from models.secret import Secret
from models.user import USER_GROUPS, OAuth

_ID = re.compile("[0-9a-f]{24}")
_DIGEST = re.compile("[0-9a-f]{64}")
_MOST_DIGESTS = 8
# Of what is counted. JSON's readers agree on integers up to 2^53: half of them is left to be counted on.
_MOST = 1 << 52
_OAUTHS: tuple[OAuth, ...] = get_args(OAuth)


def read_field(name: str, value: object) -> Any:
    """Return what a field's value, as JSON has it, stands for. Raises ``BrokenRuleError``."""
    if name not in _READERS:
        raise BrokenRuleError("There is no such field.")
    return None if value is None and name in _MAY_BE_NULL else _READERS[name](value)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise BrokenRuleError("It must be a text.")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise BrokenRuleError("It is not Unicode that UTF-8 can carry.") from error
    if "\0" in value:
        raise BrokenRuleError("It may not contain a NUL.")
    return value


def _secret(value: object) -> Secret:
    return Secret(_text(value))


def _token(value: object) -> Secret:
    token = _secret(value)
    check_token(token)
    return token


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise BrokenRuleError("It must be true or false.")
    return value


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MOST:
        raise BrokenRuleError(f"It must be a whole number, 0 to {_MOST}.")
    return value


def _oauth(value: object) -> int:
    if not isinstance(value, int | str) or isinstance(value, bool) or value not in _OAUTHS:
        raise BrokenRuleError("It must be 0 or 1.")
    return int(str(value))


def _group(value: object) -> str:
    if value not in USER_GROUPS:
        raise BrokenRuleError(f"It must be one of {', '.join(USER_GROUPS)}.")
    return str(value)


def _moment(value: object) -> datetime:
    try:
        moment = datetime.fromisoformat(_text(value))
        if moment.tzinfo is None:
            raise BrokenRuleError("It must say its time zone, as in 2026-01-31T12:00:00.000Z.")
        moment = moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise BrokenRuleError("It must be a time like 2026-01-31T12:00:00.000Z.") from error
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def _id(value: object) -> str:
    if not _ID.fullmatch(_text(value)):
        raise BrokenRuleError("It must be 24 hex digits, in small letters.")
    return str(value)


def _password_hash(value: object) -> tuple[str, ForeignHash | int]:
    text = _text(value)
    text = text.removeprefix("bcrypt$") if text.startswith("bcrypt$$2") else text  # Django's
    cost = bcrypt_hashes.strict_cost_of(text)
    if cost is None:
        return text, read_hash(text)
    if not LEAST_ROUNDS <= cost <= MOST_ROUNDS:
        raise BrokenRuleError(f"Its cost must be {LEAST_ROUNDS} to {MOST_ROUNDS}.")
    return text, cost


def _token_hash(value: object) -> str:
    if bcrypt_hashes.strict_cost_of(_text(value)) is None:
        raise BrokenRuleError("It must be a hash of bcrypt.")
    return str(value)


def _texts(value: object) -> list[str]:
    if not isinstance(value, list) or len(value) > _MOST_DIGESTS:
        raise BrokenRuleError(f"It must be a list of at most {_MOST_DIGESTS} texts.")
    return [_text(item) for item in value]


def _digests(value: object) -> tuple[str, ...]:
    texts = tuple(_texts(value))
    if not all(map(_DIGEST.fullmatch, texts)):
        raise BrokenRuleError("Each must be 64 hex digits, in small letters.")
    return texts


_MAY_BE_NULL = {"password", "password_hash", "name", "email"}
_READERS: dict[str, Callable[[object], Any]] = {
    "user_name": lambda value: names.user_name(_text(value)),
    "oauth": _oauth,
    "password": _secret,
    "password_hash": _password_hash,
    "token": _token,
    "token_hash": _token_hash,
    "token_digests": _digests,
    "secret_keys": _texts,
    "name": lambda value: names.display_name(_text(value)),
    "email": lambda value: names.email_address(_text(value)),
    "user_group": _group,
    "disabled": _flag,
    "id": _id,
    "epoch": _count,
    "revision": _count,
    "created_at": _moment,
    "updated_at": _moment,
}
