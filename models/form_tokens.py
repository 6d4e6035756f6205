"""Tokens in forms: that a form comes from a page of the very session, and not from one that rides on its cookie."""

import hmac
import re
import secrets

from models.credentials import Caller
from models.secret_key import KeyRing

_NONCE_LENGTH = 16
_FORM = re.compile(rf"[0-9a-f]{{{_NONCE_LENGTH + 64}}}")


class FormTokens:
    """An HMAC over the session, which nothing has to remember (OWASP: Cross-Site Request Forgery Prevention).

    Each page has another one, so that nobody can guess it piece by piece from how well a page compresses (BREACH).
    """

    def __init__(self, keys: KeyRing) -> None:
        self._keys = keys

    def make(self, caller: Caller) -> str:
        """Make a token for the forms of a page that is shown to the caller."""
        nonce = secrets.token_hex(_NONCE_LENGTH // 2)
        return nonce + self._keys.current.form_digest(nonce, *(caller.session or ()))

    def is_right(self, caller: Caller, presented: str) -> bool:
        """Tell whether a form that the caller sends comes from a page that was shown to the same session."""
        if caller.session is None or not _FORM.fullmatch(presented):
            return False
        nonce, digest = presented[:_NONCE_LENGTH], presented[_NONCE_LENGTH:]
        return any(hmac.compare_digest(digest, key.form_digest(nonce, *caller.session)) for key in self._keys.keys)
