"""The examination of a store, before an upgrade or when something is odd: all that is wrong, and how to mend it."""

import statistics
import time
from collections.abc import Iterator, Mapping
from functools import partial

from models import bcrypt_hashes
from models.errors import UnavailableError
from models.findings import Finding
from models.foreign_hashes import find_hash
from models.secret_key import KeyRing
from models.storage import Examination

_PINGS = 5
_SLOW = 0.05  # seconds


def examine(examination: Examination, keys: KeyRing | None, rounds: int) -> Iterator[Finding]:
    """Yield all that is wrong, what was found first coming first. Nothing is written, nothing is made.

    ``keys`` are the secret keys in service, if they can be told. Raises ``UnavailableError`` when the store cannot be
    reached.
    """
    yield from examination.structure()
    if not examination.is_readable:
        return
    yield from _slowness(examination)
    yield from _secret_key(examination.key_id(), keys)
    if not examination.has_admin():
        yield Finding(
            code="no_admin",
            severity="warning",
            message="No enabled admin has a password.",
            remedy="The next start makes one, of BASIC_AUTH_USER; or run `doorman admin create`.",
        )
    yield from examination.contents(partial(_kind_of, rounds=rounds))
    yield from _hashes(examination.hash_kinds, rounds)


def _slowness(examination: Examination) -> Iterator[Finding]:
    took = []
    for _ in range(_PINGS):
        began = time.perf_counter()
        examination.ping()
        took.append(time.perf_counter() - began)
    if (median := statistics.median(took)) > _SLOW:
        yield Finding(
            code="slow_store",
            severity="warning",
            message=f"The store takes {median * 1000:.0f} ms to answer the smallest question.",
            remedy="Every request asks it at least once: bring it nearer, or find out what it is busy with.",
        )


def _secret_key(recorded: str | None, keys: KeyRing | None) -> Iterator[Finding]:
    if recorded is None or keys is None:
        return
    if recorded not in [key.id for key in keys.keys]:
        yield Finding(
            code="other_secret_key",
            severity="problem",
            message="SECRET_KEY is not the one that this store was used with: no start, and no token would be found.",
            remedy="Set the former key again, or restore the one that is backed up with this store.",
        )
    elif recorded != keys.current.id:
        yield Finding(
            code="secret_key_rotates",
            severity="note",
            message="The store knows SECRET_KEY_PREVIOUS: the next start goes on with the rotation of the secret key.",
        )


def _kind_of(hashed: str, rounds: int) -> str:
    cost = bcrypt_hashes.cost_of(hashed)
    if cost is not None:
        return "cheap" if cost < rounds else "own"
    found = find_hash(hashed)
    return "weak" if found is not None and found.is_weak else "foreign"


def _hashes(kinds: Mapping[str, int], rounds: int) -> Iterator[Finding]:
    cheap, weak, foreign = (kinds.get(kind, 0) for kind in ("cheap", "weak", "foreign"))
    if weak:
        yield Finding(
            code="weak_hashes",
            severity="warning",
            message="Passwords are kept under imported hashes that are cheap to guess: stolen ones are soon found.",
            remedy="They become bcrypt at the next login; give those who do not come a new password, or disable them.",
            count=weak,
        )
    if cheap:
        yield Finding(
            code="cheap_hashes",
            severity="note",
            message=f"Passwords are hashed at a lower cost than BCRYPT_ROUNDS={rounds}.",
            remedy="Each is hashed anew at its next login.",
            count=cheap,
        )
    if foreign:
        yield Finding(
            code="foreign_hashes",
            severity="note",
            message="Passwords are kept under other systems' hashes, as they were imported.",
            remedy="Each becomes bcrypt at its next login.",
            count=foreign,
        )


def unreachable(error: UnavailableError) -> Finding:
    """Return what is told when the store does not answer, at the start or on the way."""
    return Finding(
        code="unavailable",
        severity="problem",
        message=f"The store cannot be reached: {error}.",
        remedy="See that it runs and that this machine may reach it; then ask again.",
    )
