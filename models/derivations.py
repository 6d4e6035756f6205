"""The functions with which other systems hash passwords, each within bounds on what one check may cost.

What each takes: a password as it was presented, in UTF-8. Whatever a library has to be loaded for is loaded when the
first such hash is met. Sources: RFC 9106 (Argon2), RFC 7914 (scrypt), RFC 8018 (PBKDF2), and firebase/scrypt for
what Firebase makes of scrypt. crypt(3)'s stand in ``crypt_hashes``.
"""

import ctypes
import hashlib
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

from models import bcrypt_hashes
from models.bcrypt_hashes import LEAST_ROUNDS, MOST_ROUNDS
from models.hash_bounds import check_sizes, require

# A check takes a core for no more than about two seconds, and no more memory than this.
_MOST_MEMORY = 256 << 20  # bytes
_MOST_ARGON2_PASSES = 2 << 20  # KiB times passes
_MOST_SCRYPT_WORK = 1 << 30  # bytes that are filled, over all lanes
_MOST_PBKDF2_ITERATIONS = 5_000_000
# What costs less than this is guessed by the ten million a second and more, as MD5-crypt and SHA-1 are; and without a
# salt, one guess is compared with all users at once.
_LEAST_MEMORY = 128  # KiB that are filled, over all passes or lanes
_LEAST_PBKDF2_ITERATIONS = 1000
_ARGON2_HAS_NO_MEMORY = -22  # ARGON2_MEMORY_ALLOCATION_ERROR of its argon2.h
_SHORTEST_ARGON2_SALT, _MOST_LANES = 8, 64
_SHORTEST_KEY, _LONGEST_KEY = 16, 128  # bytes
_SHA1_BYTES = 20

_M_MMAP_THRESHOLD = -3  # of malloc.h

PBKDF2_DIGESTS = {name: hashlib.new(name).digest_size for name in ("sha1", "sha224", "sha256", "sha384", "sha512")}


@dataclass(frozen=True, slots=True)
class Argon2:
    """``memory`` is in KiB. It runs in one thread, whatever ``lanes`` says: a check may take one core."""

    variant: str  # i, d or id
    version: int
    memory: int
    passes: int
    lanes: int
    salt: bytes
    length: int

    def __post_init__(self) -> None:
        check_sizes(self.salt, self.length)
        require(len(self.salt) >= _SHORTEST_ARGON2_SALT, f"Its salt must have {_SHORTEST_ARGON2_SALT} bytes or more.")
        require(self.version in {0x10, 0x13}, "Its version of Argon2 must be 16 or 19.")
        require(1 <= self.lanes <= _MOST_LANES, f"Its parallelism must be 1 to {_MOST_LANES}.")
        require(
            8 * self.lanes <= self.memory <= _MOST_MEMORY >> 10,
            f"Its memory must be 8 KiB for each lane to {_MOST_MEMORY >> 10} KiB.",
        )
        require(
            self.passes >= 1 and self.memory * self.passes <= _MOST_ARGON2_PASSES,
            f"Its memory times its passes may be at most {_MOST_ARGON2_PASSES} KiB.",
        )

    @property
    def is_weak(self) -> bool:
        return self.memory * self.passes < _LEAST_MEMORY

    def __call__(self, password: bytes) -> bytes:
        # Neither ``verify_secret`` nor cryptography's Argon2id can be kept from starting a thread for each lane.
        from argon2 import low_level  # noqa: PLC0415 - see the module's docstring

        _return_memory_at_once()
        ffi = low_level.ffi
        out, given, salt = ffi.new(f"uint8_t[{self.length}]"), ffi.from_buffer(password), ffi.from_buffer(self.salt)
        nothing = {"secret": ffi.NULL, "secretlen": 0, "ad": ffi.NULL, "adlen": 0}
        context = ffi.new(
            "argon2_context *",
            {
                **nothing,
                "out": out,
                "outlen": self.length,
                "pwd": ffi.cast("uint8_t *", given),
                "pwdlen": len(password),
                "salt": ffi.cast("uint8_t *", salt),
                "saltlen": len(self.salt),
                "t_cost": self.passes,
                "m_cost": self.memory,
                "lanes": self.lanes,
                "threads": 1,
                "version": self.version,
                "allocate_cbk": ffi.NULL,
                "free_cbk": ffi.NULL,
                "flags": 0,
            },
        )
        kind = {"i": low_level.Type.I, "d": low_level.Type.D, "id": low_level.Type.ID}[self.variant]
        if code := low_level.core(context, kind.value):
            raise MemoryError if code == _ARGON2_HAS_NO_MEMORY else ValueError(low_level.error_to_str(code))
        return bytes(ffi.buffer(out))


@dataclass(frozen=True, slots=True)
class Pbkdf2:
    digest: str  # of ``PBKDF2_DIGESTS``
    iterations: int
    salt: bytes
    length: int

    def __post_init__(self) -> None:
        check_sizes(self.salt, self.length)
        require(
            self.iterations >= 1 and self.work <= _MOST_PBKDF2_ITERATIONS,
            f"Its iterations must be 1 to {_MOST_PBKDF2_ITERATIONS}, over all blocks of its length.",
        )

    @property
    def work(self) -> int:
        return self.iterations * -(-self.length // PBKDF2_DIGESTS[self.digest])

    @property
    def is_weak(self) -> bool:
        return self.iterations < _LEAST_PBKDF2_ITERATIONS or not self.salt

    def __call__(self, password: bytes) -> bytes:
        return hashlib.pbkdf2_hmac(self.digest, password, self.salt, self.iterations, self.length)


@dataclass(frozen=True, slots=True)
class Scrypt:
    n: int
    r: int
    p: int
    salt: bytes
    length: int

    def __post_init__(self) -> None:
        check_sizes(self.salt, self.length)
        require(self.n > 1 and self.n & (self.n - 1) == 0, "Its N must be a power of two.")
        require(min(self.r, self.p) >= 1, "Its r and p must be 1 or more.")
        require(128 * self.n * self.r <= _MOST_MEMORY, f"128 times its N times its r may be at most {_MOST_MEMORY}.")
        require(
            128 * self.n * self.r * self.p <= _MOST_SCRYPT_WORK,
            f"128 times its N, r and p may be at most {_MOST_SCRYPT_WORK}.",
        )
        # With a small N, the blocks of all p lanes are most of the memory, and mixing them most of the work.
        require(
            4 * 128 * self.r * self.p <= _MOST_MEMORY, f"512 times its r times its p may be at most {_MOST_MEMORY}."
        )

    @property
    def is_weak(self) -> bool:
        return 128 * self.n * self.r * self.p < _LEAST_MEMORY << 10 or not self.salt

    def __call__(self, password: bytes) -> bytes:
        _return_memory_at_once()
        room = 128 * self.r * (self.n + self.p + 2) + (1 << 20)
        return hashlib.scrypt(password, salt=self.salt, n=self.n, r=self.r, p=self.p, maxmem=room, dklen=self.length)


@dataclass(frozen=True, slots=True)
class FirebaseScrypt:
    """Firebase's own: the project's signer key, encrypted by AES-256-CTR under what scrypt derives."""

    scrypt: Scrypt  # whose salt is the user's and the project's separator
    signer_key: bytes

    def __post_init__(self) -> None:
        require(_SHORTEST_KEY <= len(self.signer_key) <= _LONGEST_KEY, "Its signer key has a wrong length.")

    @property
    def is_weak(self) -> bool:
        return self.scrypt.is_weak

    def __call__(self, password: bytes) -> bytes:
        encryptor = Cipher(AES(self.scrypt(password)[:32]), CTR(bytes(16))).encryptor()
        return encryptor.update(self.signer_key) + encryptor.finalize()


@dataclass(frozen=True, slots=True)
class Sha1:
    """``{SHA}`` and ``{SSHA}`` of LDAP: one SHA-1."""

    salt: bytes
    is_weak: ClassVar = True

    def __post_init__(self) -> None:
        check_sizes(self.salt, _SHA1_BYTES)

    def __call__(self, password: bytes) -> bytes:
        return hashlib.sha1(password + self.salt, usedforsecurity=False).digest()


@dataclass(frozen=True, slots=True)
class BcryptOfSha256:
    """Django's ``bcrypt_sha256``: bcrypt of the hex digits of the password's SHA-256. What it returns is text."""

    settings: str  # $2b$12$ and 22 characters of salt
    rounds: int
    is_weak: ClassVar = False

    def __post_init__(self) -> None:
        require(LEAST_ROUNDS <= self.rounds <= MOST_ROUNDS, f"Its cost must be {LEAST_ROUNDS} to {MOST_ROUNDS}.")

    def __call__(self, password: bytes) -> bytes:
        return bcrypt_hashes.derive(hashlib.sha256(password).hexdigest().encode(), self.settings)


@cache
def _return_memory_at_once() -> None:
    """Have glibc map what takes a megabyte or more by itself, and unmap it when it is freed.

    Or else it would come to keep the memory of a check for each thread that ever made one: 70 MB at 8 MiB a check.
    """
    with suppress(AttributeError, OSError, TypeError):  # elsewhere there is no such function
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, 1 << 20)
