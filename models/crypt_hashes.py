"""crypt(3)'s ways of hashing passwords, by libpass, which is loaded when the first such hash is met.

Source: Drepper, "Unix crypt using SHA-256 and SHA-512".
"""

import re
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

from models.hash_bounds import require

# What crypt(3) of libxcrypt takes, which is more than it makes: "openssl passwd -salt" writes what it is given.
_SALT = re.compile(r"(?!rounds=)[^\x00-\x20\x7f-\uffff$!*:;\\]*")
_LEAST_ROUNDS, _MOST_ROUNDS = 1000, 1_000_000  # passlib's default is 656,000
_LONGEST_SHA_CRYPT_SALT, _LONGEST_MD5_CRYPT_SALT = 16, 8  # characters


@dataclass(frozen=True, slots=True)
class ShaCrypt:
    """``$5$`` and ``$6$`` of crypt(3). What it returns is text."""

    is_512: bool
    rounds: int
    salt: str

    def __post_init__(self) -> None:
        require(
            len(self.salt) <= _LONGEST_SHA_CRYPT_SALT,
            f"Its salt may have at most {_LONGEST_SHA_CRYPT_SALT} characters.",
        )
        require(
            _SALT.fullmatch(self.salt) is not None,
            "Its salt may have printable ASCII characters alone, but no space and none of !*:;\\.",
        )
        require(
            _LEAST_ROUNDS <= self.rounds <= _MOST_ROUNDS,
            f"Its rounds must be {_LEAST_ROUNDS} to {_MOST_ROUNDS}.",
        )

    @property
    def is_weak(self) -> bool:
        return not self.salt  # of which one guess is compared with all users at once

    def __call__(self, password: bytes) -> bytes:
        kind = _sha_crypt(is_512=self.is_512)
        return _last_part(kind.using(salt=self.salt, rounds=self.rounds).hash(password))


@dataclass(frozen=True, slots=True)
class Md5Crypt:
    """``$1$`` of crypt(3), and Apache's ``$apr1$``: a thousand rounds of MD5. What it returns is text."""

    is_apache: bool
    salt: str
    is_weak: ClassVar = True

    def __post_init__(self) -> None:
        require(
            len(self.salt) <= _LONGEST_MD5_CRYPT_SALT,
            f"Its salt may have at most {_LONGEST_MD5_CRYPT_SALT} characters.",
        )

    def __call__(self, password: bytes) -> bytes:
        from passlib.hash import apr_md5_crypt, md5_crypt  # noqa: PLC0415 - see the module's docstring

        kind = apr_md5_crypt if self.is_apache else md5_crypt
        return _last_part(kind.using(salt=self.salt).hash(password))


@cache
def _sha_crypt(*, is_512: bool) -> Any:
    """Return the library's way, without its own rule for salts: it knows only the characters that crypt(3) makes."""
    from passlib.hash import sha256_crypt, sha512_crypt  # noqa: PLC0415 - see the module's docstring

    kind = sha512_crypt if is_512 else sha256_crypt
    return type(kind.name, (kind,), {"salt_chars": None, "default_salt_chars": kind.salt_chars})


def _last_part(made: str) -> bytes:
    return made.rpartition("$")[2].encode()
