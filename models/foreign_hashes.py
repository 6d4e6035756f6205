"""Hashes of passwords that other systems wrote, read from the forms in which they write them.

PHC strings (Argon2; PBKDF2 and scrypt as Kratos and passlib write them), Django's and Werkzeug's, crypt(3)'s, and those
of htpasswd and LDAP. What is no such hash, or would cost too much to check, is refused with the rule that it breaks.
"""

import binascii
import hmac
import re
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from models.crypt_hashes import Md5Crypt, ShaCrypt
from models.derivations import (
    PBKDF2_DIGESTS,
    Argon2,
    BcryptOfSha256,
    FirebaseScrypt,
    Pbkdf2,
    Scrypt,
    Sha1,
)
from models.errors import BrokenRuleError, UnavailableError

Derivation = Argon2 | BcryptOfSha256 | FirebaseScrypt | Md5Crypt | Pbkdf2 | Scrypt | Sha1 | ShaCrypt

_LONGEST_HASH = 1024  # characters
_LONGEST_PASSWORD = 1024  # bytes, all of which are hashed once
_LONGEST_IN_ROUNDS = 128  # bytes, where each round takes the password anew: who presents more cannot slow it down
_LARGEST_LOGARITHM = 31  # what is larger is no logarithm of N, but N itself, as Kratos writes it
_SHA1_BYTES = 20


@dataclass(frozen=True, slots=True)
class ForeignHash:
    """One hash: what derives it, and what has to come out.

    ``recipe`` is a hash of the same cost with nothing of this one in it. Those of one ``family`` compare by ``work``.
    """

    derive: Derivation
    digest: bytes
    family: str
    work: int
    recipe: str

    @property
    def is_weak(self) -> bool:
        """Whether whoever gets hold of it can guess its password, unless that is a very good one."""
        return self.derive.is_weak

    @property
    def longest(self) -> int:
        """The most bytes of a password that are looked at."""
        return _LONGEST_IN_ROUNDS if isinstance(self.derive, ShaCrypt | Md5Crypt) else _LONGEST_PASSWORD

    def matches(self, password: bytes) -> bool:
        # HMAC takes a password with NULs at its end for the one without them, and crypt(3) ends at the first.
        if len(password) > self.longest or b"\0" in password:
            return False
        try:
            return hmac.compare_digest(self.derive(password), self.digest)
        except ValueError:  # what a library does not take
            return False
        except MemoryError as error:  # which says nothing about the password
            raise UnavailableError("there is no memory to check a password of another system") from error

    def compute(self) -> None:
        """Do what a check of the longest password costs."""
        self.matches(b"x" * self.longest)


def read_hash(text: str) -> ForeignHash:
    """Return the hash that ``text`` is. Raises ``BrokenRuleError``."""
    if len(text) > _LONGEST_HASH or not text.isascii():
        raise BrokenRuleError("It is no hash that Doorman knows.")
    text = text.removeprefix("argon2") if text.startswith("argon2$argon2") else text  # Django's
    try:
        for pattern, read in _FORMS:
            if found := pattern.fullmatch(text):
                return read(**found.groupdict())
    except (ValueError, binascii.Error) as error:
        raise BrokenRuleError("It is no hash that Doorman knows.") from error
    raise BrokenRuleError(next((rule for pattern, rule in _REFUSED if pattern.match(text)), _UNKNOWN))


def find_hash(text: str) -> ForeignHash | None:
    """Return the hash that ``text`` is, or ``None`` for bcrypt's, and for what is none, or too dear to be looked at."""
    if text.startswith("$2"):
        return None
    try:
        return read_hash(text)
    except BrokenRuleError:
        return None


def without_key(hashed: str | None) -> str | None:
    """Return a hash as it may be shown: of Firebase's without the project's signer key, which is no user's."""
    return hashed.rpartition("$")[0] if hashed is not None and hashed.startswith("$firescrypt$") else hashed


def _argon2(*, variant: str, version: str | None, m: str, t: str, p: str, salt: str, digest: str) -> ForeignHash:
    wanted = _decoded(digest)
    derive = Argon2(variant, int(version or 16), int(m), int(t), int(p), _decoded(salt), len(wanted))
    settings = f"$argon2{variant}$v={derive.version}$m={derive.memory},t={derive.passes},p={derive.lanes}"
    return ForeignHash(derive, wanted, f"argon2{variant}", derive.memory * derive.passes, _blank(settings, len(wanted)))


def _pbkdf2(name: str | None, iterations: str, salt: bytes, wanted: bytes) -> ForeignHash:
    derive = Pbkdf2(name or "sha1", int(iterations), salt, len(wanted))
    family = f"pbkdf2-{derive.digest}"
    recipe = _blank(f"${family}$i={derive.iterations},l={derive.length}", derive.length)
    return ForeignHash(derive, wanted, family, derive.work, recipe)


def _pbkdf2_phc(name: str | None, iterations: str, length: str | None, salt: str, digest: str) -> ForeignHash:
    found = _pbkdf2(name, iterations, _decoded(salt), _decoded(digest))
    if length is not None and int(length) != len(found.digest):
        raise BrokenRuleError("Its digest does not have the length that it names.")
    return found


def _pbkdf2_django(name: str, iterations: str, salt: str, digest: str) -> ForeignHash:
    return _pbkdf2(name, iterations, salt.encode(), _decoded(digest))


def _pbkdf2_werkzeug(name: str, iterations: str, salt: str, digest: str) -> ForeignHash:
    return _pbkdf2(name, iterations, salt.encode(), bytes.fromhex(digest))


def _scrypt(n: str, r: str, p: str, salt: bytes, wanted: bytes) -> ForeignHash:
    derive = Scrypt(int(n), int(r), int(p), salt, len(wanted))
    recipe = _blank(f"$scrypt$ln={derive.n},r={derive.r},p={derive.p}", derive.length)
    return ForeignHash(derive, wanted, "scrypt", derive.n * derive.r * derive.p, recipe)


def _scrypt_phc(n: str, r: str, p: str, salt: str, digest: str) -> ForeignHash:
    return _scrypt(_cost_of_scrypt(n), r, p, _decoded(salt), _decoded(digest))


def _scrypt_django(n: str, r: str, p: str, salt: str, digest: str) -> ForeignHash:
    return _scrypt(n, r, p, salt.encode(), _decoded(digest))


def _scrypt_werkzeug(n: str, r: str, p: str, salt: str, digest: str) -> ForeignHash:
    return _scrypt(n, r, p, salt.encode(), bytes.fromhex(digest))


def _firebase(*, n: str, r: str, p: str, salt: str, digest: str, separator: str, key: str) -> ForeignHash:
    scrypt = Scrypt(int(_cost_of_scrypt(n)), int(r), int(p), _decoded(salt) + _decoded(separator), 32)
    wanted = _decoded(digest)
    derive = FirebaseScrypt(scrypt, _decoded(key))
    if len(wanted) != len(derive.signer_key):
        raise BrokenRuleError("Its digest and its signer key do not have the same length.")
    settings = f"$firescrypt$ln={scrypt.n},r={scrypt.r},p={scrypt.p}"
    recipe = f"{_blank(settings, len(wanted))}${_encoded(b'')}${_encoded(bytes(len(wanted)))}"
    return ForeignHash(derive, wanted, "firescrypt", scrypt.n * scrypt.r * scrypt.p, recipe)


def _sha_crypt(kind: str, rounds: str | None, salt: str, digest: str) -> ForeignHash:
    derive = ShaCrypt(kind == "6", int(rounds or 5000), salt)
    recipe = f"${kind}$rounds={derive.rounds}${'.' * 16}${'.' * len(digest)}"
    return ForeignHash(derive, digest.encode(), f"sha-crypt-{kind}", derive.rounds, recipe)


def _md5_crypt(kind: str, salt: str, digest: str) -> ForeignHash:
    recipe = f"${kind}${'.' * 8}${'.' * len(digest)}"
    return ForeignHash(Md5Crypt(kind == "apr1", salt), digest.encode(), "md5-crypt", 1, recipe)


def _sha1(digest: str) -> ForeignHash:
    value = _decoded(digest)
    if len(value) < _SHA1_BYTES:
        raise BrokenRuleError("It is too short for a SHA-1.")
    recipe = "{SHA}" + b64encode(bytes(_SHA1_BYTES)).decode()
    return ForeignHash(Sha1(value[_SHA1_BYTES:]), value[:_SHA1_BYTES], "sha1", 1, recipe)


def _bcrypt_of_sha256(hashed: str, rounds: str) -> ForeignHash:
    derive = BcryptOfSha256(hashed[:29], int(rounds))
    recipe = f"bcrypt_sha256$$2b${rounds}${'.' * 53}"
    return ForeignHash(derive, hashed.encode(), "bcrypt-sha256", 1 << derive.rounds, recipe)


def _cost_of_scrypt(n: str) -> str:
    return str(1 << int(n)) if int(n) <= _LARGEST_LOGARITHM else n


def _decoded(text: str) -> bytes:
    """Decode base64, padded or not, with either alphabet, and passlib's that has a dot."""
    text = text.rstrip("=").translate(_TO_STANDARD)
    return b64decode(text + "=" * (-len(text) % 4), validate=True)


def _encoded(value: bytes) -> str:
    return b64encode(value).decode().rstrip("=")


def _blank(settings: str, length: int) -> str:
    return f"{settings}${_encoded(bytes(16))}${_encoded(bytes(length))}"


_TO_STANDARD = str.maketrans({".": "+", "-": "+", "_": "/"})
_UNKNOWN = "It is no hash that Doorman knows."
_B64, _CRYPT, _NUMBER = "[A-Za-z0-9+/._-]", "[./A-Za-z0-9]", "[0-9]{1,10}"
_SALT, _TEXT_SALT, _CRYPT_SALT = rf"(?P<salt>{_B64}*=*)", "(?P<salt>[^$]*)", r"(?P<salt>[^$:\n]*)"
_DIGEST, _HEX_DIGEST = rf"(?P<digest>{_B64}+=*)", "(?P<digest>[0-9a-f]+)"
_NAME, _ITERATIONS = f"(?P<name>{'|'.join(PBKDF2_DIGESTS)})", f"(?P<iterations>{_NUMBER})"
_N, _R, _P, _M, _T = (f"(?P<{name}>{_NUMBER})" for name in "nrpmt")
_ROUNDS = rf"(?:rounds=(?P<rounds>{_NUMBER})\$)?"
_FORMS: list[tuple[re.Pattern[str], Callable[..., ForeignHash]]] = [
    (re.compile(pattern), read)
    for pattern, read in (
        (
            rf"\$argon2(?P<variant>id|i|d)\$(?:v=(?P<version>{_NUMBER})\$)?m={_M},t={_T},p={_P}\${_SALT}\${_DIGEST}",
            _argon2,
        ),
        (rf"pbkdf2_{_NAME}\${_ITERATIONS}\${_TEXT_SALT}\${_DIGEST}", _pbkdf2_django),
        (rf"\$pbkdf2(?:-{_NAME})?\$(?:i=)?{_ITERATIONS}(?:,l=(?P<length>{_NUMBER}))?\${_SALT}\${_DIGEST}", _pbkdf2_phc),
        (rf"pbkdf2:{_NAME}:{_ITERATIONS}\${_TEXT_SALT}\${_HEX_DIGEST}", _pbkdf2_werkzeug),
        (rf"\$scrypt\$ln={_N},r={_R},p={_P}\${_SALT}\${_DIGEST}", _scrypt_phc),
        (rf"scrypt\${_N}\${_TEXT_SALT}\${_R}\${_P}\${_DIGEST}", _scrypt_django),
        (rf"scrypt:{_N}:{_R}:{_P}\${_TEXT_SALT}\${_HEX_DIGEST}", _scrypt_werkzeug),
        (
            rf"\$firescrypt\$ln={_N},r={_R},p={_P}\${_SALT}\${_DIGEST}\$(?P<separator>{_B64}*=*)\$(?P<key>{_B64}+=*)",
            _firebase,
        ),
        (rf"\$5\${_ROUNDS}{_CRYPT_SALT}\$(?P<digest>{_CRYPT}{{43}})", partial(_sha_crypt, "5")),
        (rf"\$6\${_ROUNDS}{_CRYPT_SALT}\$(?P<digest>{_CRYPT}{{86}})", partial(_sha_crypt, "6")),
        (rf"\$(?P<kind>apr1|1)\$(?P<salt>{_CRYPT}*)\$(?P<digest>{_CRYPT}{{22}})", _md5_crypt),
        (rf"\{{SS?HA\}}{_DIGEST}", _sha1),
        (rf"bcrypt_sha256\$(?P<hashed>\$2[aby]\$(?P<rounds>[0-9]{{2}})\${_CRYPT}{{53}})", _bcrypt_of_sha256),
    )
]
_REFUSED = [
    (re.compile(pattern), rule)
    for pattern, rule in (
        (r"[./A-Za-z0-9]{13}\Z", "It is a hash of crypt's DES, which holds 8 characters alone: set a new password."),
        (r"\$y\$|\$gy\$|\$7\$", "It is a hash of yescrypt, which Doorman does not know."),
        (r"\$2x?\$", "It is of a version of bcrypt that was broken."),
    )
]
