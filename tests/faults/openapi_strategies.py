"""What is good where the document names a format of Doorman's own: texts that the rules of the core let pass."""

import re

import schemathesis
from hypothesis import strategies as st

from models import names
from models.errors import BrokenRuleError
from models.passwords import PasswordPolicy, shipped_blocklist
from models.secret import Secret

_LETTERS = "abcXYZ019._-@+%$<>'äßñéжшλ漢字かなアक"
_POLICY = PasswordPolicy(8, shipped_blocklist())


# In a path, Schemathesis takes this for a byte that is percent-encoded, when it has encoded it.
_LIKE_A_BYTE = re.compile(r"%[0-9a-fA-F]{2}")


def _is_user_name(text: str) -> bool:
    try:
        return bool(names.user_name(text)) and not _LIKE_A_BYTE.search(text)
    except BrokenRuleError:
        return False


def _is_password(text: str) -> bool:
    try:
        return bool(_POLICY.enforce(Secret(text), ""))
    except BrokenRuleError:
        return False


def register() -> None:
    """Teach Schemathesis the formats."""
    user_names = st.text(_LETTERS, min_size=1, max_size=24).filter(_is_user_name)
    words = st.text("abcdefghijklmnopqrstuvwxyz0123456789_", min_size=1, max_size=20)
    passwords = st.text('abcdefgh IJKLMN 0123456789 äßж漢!"#%&/()=?`:', min_size=8, max_size=24).filter(_is_password)
    schemathesis.openapi.format("user-name", user_names)
    schemathesis.openapi.format("new-password", passwords)
    shown = st.text("abc XYZ'.-äßжλ漢क", min_size=1, max_size=40).filter(lambda text: any(map(str.isalpha, text)))
    schemathesis.openapi.format("display-name", shown)
    schemathesis.openapi.format("email", st.builds("{}@{}.example.com".format, words, st.sampled_from("abc")))
