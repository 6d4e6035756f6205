"""Hashes that other systems wrote: which of them are known, and which are refused."""

import re
import resource
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import BrokenRuleError, UnavailableError
from models.foreign_hashes import find_hash, read_hash
from tests.foreign_vectors import FIREBASE_HASH, FIREBASE_PASSWORD, HASHES, PASSWORD

FOREIGN = {name: text for name, text in HASHES.items() if name != "Django bcrypt"}
B16, B32 = "A" * 22, "A" * 43  # bytes in base64


@pytest.mark.parametrize("name", FOREIGN)
def test_hashes_of_other_systems_are_verified(name: str) -> None:
    """What each of them wrote is the hash of its password and of no other, a longer one or one with a NUL included."""
    found = read_hash(FOREIGN[name])
    assert found.matches(PASSWORD.encode())
    for wrong in ("", PASSWORD[:-1], PASSWORD + "x", PASSWORD + "\0", PASSWORD.upper(), "x" * 5000):
        assert not found.matches(wrong.encode())


@pytest.mark.parametrize(
    ("name", "form", "kratos"),
    [
        ("passlib pbkdf2-sha256", "$1000$", "$i=1000,l=32$"),
        ("passlib pbkdf2-sha512", "$1000$", "$i=1000,l=64$"),
        ("passlib scrypt", "$ln=10,", "$ln=1024,"),
    ],
)
def test_the_forms_of_kratos_are_read(name: str, form: str, kratos: str) -> None:
    """It names the length of PBKDF2's digest, and writes N itself where others write its logarithm."""
    assert read_hash(FOREIGN[name].replace(form, kratos).replace(".", "+")).matches(PASSWORD.encode())


def test_firebase_hashes_are_verified() -> None:
    """Firebase's own example is the hash of its password."""
    assert read_hash(FIREBASE_HASH).matches(FIREBASE_PASSWORD.encode())
    assert not read_hash(FIREBASE_HASH).matches(b"user2password")


def test_a_check_without_memory_says_nothing_of_the_password() -> None:
    """It is a service that cannot answer now, and not a wrong password, which would count against who has given it."""

    def derive(_: bytes) -> bytes:
        raise MemoryError

    found = replace(read_hash(FOREIGN["openssl -6"]), derive=derive)  # type: ignore[arg-type]  # one that finds none
    with pytest.raises(UnavailableError, match="no memory"):
        found.matches(PASSWORD.encode())


@pytest.mark.parametrize("text", [*FOREIGN.values(), FIREBASE_HASH], ids=count())
def test_a_recipe_costs_the_same_and_tells_nothing(text: str) -> None:
    """A recipe is a hash of the same work, in which nothing of the salt, the digest or a key is left."""
    found = read_hash(text)
    recipe = read_hash(found.recipe)
    assert (recipe.family, recipe.work, recipe.recipe) == (found.family, found.work, found.recipe)
    secrets = [part for part in text.split("$")[2:] if len(part) >= 7 and not re.match("[a-z]+=", part)]
    assert not [secret for secret in secrets if secret in found.recipe]


@pytest.mark.parametrize(
    ("text", "is_weak"),
    [
        (f"pbkdf2_sha256$1$${B32}", True),
        (f"pbkdf2_sha256$999$salt${B32}", True),
        (f"pbkdf2_sha256$1000$salt${B32}", False),
        (f"pbkdf2_sha256$600000$${B32}", True),
        (f"$scrypt$ln=1,r=1,p=1${B16}${B32}", True),
        (f"$scrypt$ln=9,r=1,p=1${B16}${B32}", True),
        (f"$scrypt$ln=10,r=1,p=1${B16}${B32}", False),
        (f"$scrypt$ln=14,r=8,p=1$${B32}", True),
        (f"$firescrypt$ln=1,r=1,p=1${B16}${B32}$Bw==${B32}", True),
        (f"$argon2id$v=19$m=8,t=1,p=1${B16}${B32}", True),
        (f"$argon2id$v=19$m=64,t=2,p=1${B16}${B32}", False),
        (f"$6$${'.' * 86}", True),
        (f"$6$rounds=1000$salt${'.' * 86}", False),
    ],
    ids=count(),
)
def test_a_hash_is_weak_by_what_a_guess_costs(text: str, *, is_weak: bool) -> None:
    """Few rounds, little memory or no salt are as weak as the kinds that have none of them."""
    assert read_hash(text).is_weak == is_weak


@pytest.mark.parametrize("name", FOREIGN)
def test_hashes_as_systems_make_them_are_weak_by_their_kind(name: str) -> None:
    """SHA-1 and MD5 are, whatever their salt."""
    assert read_hash(FOREIGN[name]).is_weak == (name in {"openssl -apr1", "openssl -1", "htpasswd -s", "LDAP {SSHA}"})


on_linux = pytest.mark.skipif(sys.platform != "linux", reason="/proc tells of threads and memory")


@on_linux
def test_argon2_takes_one_thread() -> None:
    """However many lanes a hash has, its check keeps to the thread that asks: the gate counts one core for it."""
    found = read_hash(f"$argon2id$v=19$m=65536,t=1,p=8${B16}${B32}")
    checking = threading.Thread(target=found.compute)
    before = _threads()
    checking.start()
    most = 0
    while checking.is_alive():
        most = max(most, _threads())
    # Those of other tests may come to their end meanwhile.
    assert most <= max(before, _threads()) + 1


@on_linux
def test_checks_leave_no_memory_behind() -> None:
    """What a check fills is the system's again after it, in whatever thread it ran."""
    found = read_hash(f"$argon2id$v=19$m=8192,t=1,p=1${B16}${B32}")
    found.compute()
    before = _resident()
    with ThreadPoolExecutor(8) as threads:
        started = threading.Barrier(8)

        def check(_: int) -> None:
            started.wait(10)
            found.compute()
            found.compute()

        list(threads.map(check, range(8)))
        assert _resident() - before < 24e6


def _threads() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


def _resident() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (f"$argon2id$v=19$m=262145,t=1,p=1${B16}${B32}", "memory must be"),
        (f"$argon2id$v=19$m=7,t=1,p=1${B16}${B32}", "memory must be"),
        (f"$argon2id$v=19$m=262144,t=9,p=1${B16}${B32}", "times its passes"),
        (f"$argon2id$v=19$m=1024,t=0,p=1${B16}${B32}", "times its passes"),
        (f"$argon2id$v=19$m=1024,t=1,p=65${B16}${B32}", "parallelism"),
        (f"$argon2id$v=20$m=1024,t=1,p=1${B16}${B32}", "version"),
        (f"$argon2id$v=19$m=1024,t=1,p=1$AAAA${B32}", "salt must have 8 bytes"),
        (f"$argon2id$v=19$m=1024,t=1,p=1${B16}$AAAAAAAA", "digest must have 16 to 128 bytes"),
        (f"pbkdf2_sha256$5000001$salt${B32}", "iterations"),
        (f"pbkdf2_sha256$0$salt${B32}", "iterations"),
        (f"$pbkdf2-sha1$i=4000000,l=32${B16}${B32}", "over all blocks"),
        (f"$pbkdf2-sha256$i=1000,l=16${B16}${B32}", "length that it names"),
        (f"pbkdf2_sha256$1000${'s' * 257}${B32}", "salt may have"),
        (f"$scrypt$ln=22,r=8,p=1${B16}${B32}", "128 times its N times its r"),
        (f"$scrypt$ln=14,r=8,p=100${B16}${B32}", "128 times its N, r and p"),
        (f"$scrypt$ln=1000,r=8,p=1${B16}${B32}", "power of two"),
        (f"$scrypt$ln=14,r=0,p=1${B16}${B32}", "r and p"),
        (f"$scrypt$ln=1,r=1,p=4194304${B16}${B32}", "r times its p"),
        (f"$6$rounds=1000001$salt${'.' * 86}", "rounds must be"),
        (f"$6$rounds=999$salt${'.' * 86}", "rounds must be"),
        (f"$6$saltsaltsaltsalts${'.' * 86}", "16 characters"),
        (f"$6$sea salt${'.' * 86}", "salt may have printable ASCII"),
        (f"$5$salt\\0${'.' * 43}", "salt may have printable ASCII"),
        (f"$5$rounds=1000$s*lt;${'.' * 43}", "salt may have printable ASCII"),
        (f"$6$rounds=5000${'.' * 86}", "salt may have printable ASCII"),
        (f"$6$salt\x7f${'.' * 86}", "salt may have printable ASCII"),
        (f"$apr1$saltsalts${'.' * 22}", "8 characters"),
        (f"bcrypt_sha256$$2b$17${'.' * 53}", "cost must be 4 to 16"),
        (f"$firescrypt$ln=14,r=8,p=1${B16}${B32}$Bw==$AAAA", "signer key"),
        (f"$firescrypt$ln=14,r=8,p=1${B16}${B32}$Bw==${B32}AAAA", "same length"),
        ("{SHA}AAAA", "too short"),
        ("abJnggxhB/yWI", "DES"),
        (f"$y$j9T$salt${'.' * 43}", "yescrypt"),
        (f"$2x$10${'.' * 53}", "broken"),
        ("md5$salt$5f4dcc3b5aa765d61d8327deb882cf99", "no hash that Doorman knows"),
        ("a password in clear", "no hash that Doorman knows"),
        ("", "no hash that Doorman knows"),
        ("\ud800", "no hash that Doorman knows"),
        ("$" * 5000, "no hash that Doorman knows"),
    ],
    ids=count(),
)
def test_what_is_no_hash_or_costs_too_much_is_refused_by_its_rule(text: str, rule: str) -> None:
    """A check may not take more memory or time than others; the refusal says which bound is passed, never the hash."""
    with pytest.raises(BrokenRuleError, match=rule) as refusal:
        read_hash(text)
    assert not text or text not in str(refusal.value)
    assert find_hash(text) is None


@given(
    st.sampled_from([*FOREIGN.values(), FIREBASE_HASH]),
    st.integers(0, 80),
    st.text("$.,=0123456789ArpltmnivÅ{}:/+\n", max_size=3),
)
def test_no_text_is_a_reason_to_fail(text: str, place: int, put: str) -> None:
    """Whatever stands in a hash's place, it is read or refused."""
    found = find_hash(text[:place] + put + text[place + 1 :])
    assert found is None or found.work >= 1
