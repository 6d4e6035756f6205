"""Secrets that are looked for in whatever is written, in every form that they might be written in."""

import hashlib
import json
import secrets
from base64 import b64encode
from collections.abc import Iterator
from urllib.parse import quote, quote_plus


class Canaries:
    """Secrets by what they are used for."""

    def __init__(self) -> None:
        self._forms: dict[bytes, str] = {}
        self.values: dict[str, str] = {}

    def text(self, use: str) -> str:
        """Make a password: with characters that are written otherwise in URLs, in JSON and in bytes."""
        return self.add(use, f'ca"n\\ry é&{use}={secrets.token_hex(6)}')

    def token(self, use: str) -> str:
        """Make what may stand in a header as it is."""
        return self.add(use, f"canary-{use.replace(' ', '-')}-{secrets.token_hex(8)}")

    def add(self, use: str, value: str) -> str:
        self.values[use] = value
        for form in forms(value):
            self._forms[form] = use
        if value.count(".") == 2:  # a JSON Web Token: its parts alone are a leak as well
            for part in value.split(".")[1:]:
                self._forms[part.encode()] = use
        return value

    def found_in(self, written: bytes) -> list[str]:
        """Return the uses of those that are in it, and around what they were found."""
        return [
            f"{use}: …{written[max(at - 100, 0) : at + len(form) + 20]!r}"
            for form, use in self._forms.items()
            if (at := written.find(form)) >= 0
        ]


def forms(value: str) -> Iterator[bytes]:
    """Yield a secret as it is, and encoded; and digests that need nothing but guesses."""
    raw = value.encode()
    yield raw
    yield from (quote(value, safe="").encode(), quote_plus(value).encode())
    yield from (json.dumps(value)[1:-1].encode(), json.dumps(value, ensure_ascii=False)[1:-1].encode())
    yield from (repr(value)[1:-1].encode(), repr(raw)[2:-1].encode(), value.encode("unicode_escape"))
    yield from (raw.hex().encode(), raw.hex().upper().encode())
    yield from _base64(raw)
    digest = hashlib.sha256(raw)
    yield from (digest.hexdigest().encode(), digest.digest(), b64encode(digest.digest()))


def _base64(raw: bytes) -> Iterator[bytes]:
    """Yield what is the same of its base64 wherever in a text it stands: "user:password", for one."""
    for offset in range(3):
        encoded = b64encode(b"\0" * offset + raw)
        whole = encoded[-(-8 * offset // 6) : 8 * (offset + len(raw)) // 6]
        yield whole
        yield whole.translate(bytes.maketrans(b"+/", b"-_"))
