"""Names: what may be one, and when two are the same (RFC 8264 and 8265, PRECIS).

Every rule is applied to the *enforced* name, because enforcement itself maps look-alikes: U+FF0F becomes ``/``.
"""

import re
from functools import lru_cache
from typing import NamedTuple

import email_validator
from precis_i18n import get_profile
from precis_i18n.profile import Profile

from models.errors import BrokenRuleError

USER_NAME_MAX = 128
DISPLAY_NAME_MAX = 70
LONGEST_TRIED = 4 * USER_NAME_MAX + 1  # mapping never shortens a text to a fourth: what is as long is no name
EMAIL_MAX = 254  # RFC 5321, 4.5.3.1.3, without the angle brackets
# Names of this length are remembered, and so few of them, that nobody can fill the memory with the names they try.
_REMEMBERED_LENGTH, _REMEMBERED = 64, 2048

# What needs no mapping, which is nearly all: an import of a million users would spend half of its time on it.
_PLAIN_USER_NAME = re.compile(r"(?!\.{1,2}\Z)[!-.0-9;-~]{1,128}")
_PLAIN_DISPLAY_NAME = re.compile(r"(?! *\Z)[ -~]{1,70}")
_PLAIN_EMAIL = re.compile(
    r"(?=[^@]{1,64}@)[A-Za-z0-9_]+(?:[.-][A-Za-z0-9_]+)*@"
    r"(?:(?=[^.]{1,63}\.)[a-z0-9]+(?:-[a-z0-9]+)*\.)+[a-z]{2,63}"
)

_case_preserved = get_profile("UsernameCasePreserved")
_case_mapped = get_profile("UsernameCaseMapped")
_opaque = get_profile("OpaqueString")

# Doorman often runs in networks whose own domains are reserved elsewhere (.local, .test, .internal).
email_validator.SPECIAL_USE_DOMAIN_NAMES.clear()

_PRECIS_RULES = {
    "spaces": "It may not contain spaces.",
    "controls": "It may not contain control characters.",
    "empty": "It may not be empty.",
    "bidi_rule": "Its right-to-left and left-to-right characters may not be mixed like this (RFC 5893).",
}
_PRECIS_RULE_OTHERWISE = "It contains a character that is not allowed (RFC 8265)."


class UserName(NamedTuple):
    """A user name: as it is shown, case preserved, and the key by which it is compared and ordered."""

    shown: str
    key: str


def user_name(text: str) -> UserName:
    """Return the user name that ``text`` stands for. Raises ``BrokenRuleError``."""
    if len(text) >= LONGEST_TRIED:  # before any work is spent on it
        raise BrokenRuleError(f"It may have at most {USER_NAME_MAX} characters.")
    return _remembered_user_name(text) if len(text) <= _REMEMBERED_LENGTH else _user_name(text)


def _user_name(text: str) -> UserName:
    if _PLAIN_USER_NAME.fullmatch(text):
        return UserName(text, text.lower())
    name = _enforce(_case_preserved, text)
    key = _enforce(_case_mapped, text)
    if ":" in name:
        raise BrokenRuleError('It may not contain ":" (RFC 7617).')
    if "/" in name:
        raise BrokenRuleError('It may not contain "/".')
    if name in {".", ".."}:
        raise BrokenRuleError('It may not be "." or "..".')
    if len(name) > USER_NAME_MAX:
        raise BrokenRuleError(f"It may have at most {USER_NAME_MAX} characters.")
    return UserName(name, key)


# A request asks up to three times for one name, and mapping one takes ten times as long as a look-up.
_remembered_user_name = lru_cache(_REMEMBERED)(_user_name)


def lookup_key(text: str) -> str | None:
    """Return the key of the user name ``text``, or ``None`` if no user can have that name."""
    try:
        return user_name(text).key
    except BrokenRuleError:
        return None


def position_key(text: str) -> str:
    """Map ``text``, a whole name or a part of one, to where it stands in the order of keys."""
    mapped = _case_mapped.width_mapping_rule(text[: 4 * USER_NAME_MAX])
    return str(_case_mapped.normalization_rule(_case_mapped.case_mapping_rule(mapped)))


def display_name(text: str) -> str:
    """Return ``text`` as a display name (OpaqueString). Raises ``BrokenRuleError``."""
    if _PLAIN_DISPLAY_NAME.fullmatch(text):
        return text
    if len(text) > 4 * DISPLAY_NAME_MAX:
        raise BrokenRuleError(f"It may have at most {DISPLAY_NAME_MAX} characters.")
    name = _enforce(_opaque, text)
    if not name.strip():
        raise BrokenRuleError("It may not be empty.")
    if len(name) > DISPLAY_NAME_MAX:
        raise BrokenRuleError(f"It may have at most {DISPLAY_NAME_MAX} characters.")
    return name


def email_address(text: str) -> tuple[str, str]:
    """Return ``text`` as an e-mail address, and the mapped address by which two are the same (RFC 5321, 6531).

    Raises ``BrokenRuleError``.
    """
    if len(text) > EMAIL_MAX:
        raise BrokenRuleError(f"It may have at most {EMAIL_MAX} characters.")
    if _PLAIN_EMAIL.fullmatch(text):
        return text, text.lower()
    try:
        address = email_validator.validate_email(
            text, strict=True, check_deliverability=False, globally_deliverable=False
        ).normalized
    except (email_validator.EmailNotValidError, UnicodeError) as error:
        raise BrokenRuleError(f"It is not an e-mail address: {error}") from error
    return address, position_key(address)


def opaque_string(text: str) -> str:
    """Return ``text`` as the OpaqueString that it stands for: the form in which passwords are compared."""
    return _enforce(_opaque, text)


def _enforce(profile: Profile, text: str) -> str:
    try:
        return profile.enforce(text)
    except UnicodeEncodeError as error:
        reason = error.reason.rpartition("/")[2]
        raise BrokenRuleError(_PRECIS_RULES.get(reason, _PRECIS_RULE_OTHERWISE)) from error
