"""crypt(3)'s ways of hashing passwords, by libpass, which is loaded when the first such hash is met.

Source: Drepper, "Unix crypt using SHA-256 and SHA-512".
"""

from dataclasses import dataclass
from typing import ClassVar

from models.hash_bounds import require

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
            _LEAST_ROUNDS <= self.rounds <= _MOST_ROUNDS,
            f"Its rounds must be {_LEAST_ROUNDS} to {_MOST_ROUNDS}.",
        )

    @property
    def is_weak(self) -> bool:
        return not self.salt  # of which one guess is compared with all users at once

    def __call__(self, password: bytes) -> bytes:
        from passlib.hash import sha256_crypt, sha512_crypt  # noqa: PLC0415 - see the module's docstring

        kind = sha512_crypt if self.is_512 else sha256_crypt
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


def _last_part(made: str) -> bytes:
    return made.rpartition("$")[2].encode()
