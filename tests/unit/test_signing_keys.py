"""The keys that sign tokens: shared, sealed, made in time, and known for as long as what they signed."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from models.errors import UnavailableError
from models.records import Record
from models.secret import Secret
from models.secret_key import KeyRing, SecretKey
from models.signing_keys import SigningKeys
from models.storage import Records, Store
from tests.databases import SECRET_KEY, Environment, dump
from tests.origins import trail
from tests.storage.races import THREADS, race
from tests.unit.watched import Clock, Watched

FIRST, SECOND = Secret(SECRET_KEY), Secret("another secret key, which is as long as it has to be")
LIFETIME = timedelta(days=7)

Open = Callable[..., SigningKeys]


def keys_of(
    records: Records, keys: KeyRing, clock: Callable[[], datetime], lifetime: timedelta = LIFETIME
) -> SigningKeys:
    return SigningKeys(records, keys, trail=trail(clock), clock=clock, lifetime=lifetime)


@pytest.fixture
def replica(store: Store, clock: Clock) -> Open:
    """Make what a process knows of the keys, over one store."""

    def make(current: Secret = FIRST, previous: Secret | None = None) -> SigningKeys:
        return keys_of(store.records, KeyRing(current, previous), clock)

    return make


def test_replicas_sign_with_one_key(replica: Open, clock: Clock) -> None:
    """Whoever comes first makes it, and the others find it, also one that a moment ago knew of none."""
    one, other = replica(), replica()
    assert other.find("x" * 22) is None
    key = one.current()
    assert other.current().id == key.id
    found = replica().find(key.id)
    assert found is not None
    assert found.public() == key.public()
    clock.advance(hours=1)
    assert replica().current().id == one.current().id == key.id


def test_racing_first_uses_agree_in_the_end(replica: Open, clock: Clock) -> None:
    """Eight processes that start at once may make several keys; each knows all of them, and soon one signs."""
    replicas = [replica() for _ in range(THREADS)]
    made = {key.id for key in race([one.current for one in replicas])}
    assert all(one.find(key_id) for one in replicas for key_id in made)
    clock.advance(minutes=11)
    assert len({one.current().id for one in replicas}) == 1


def test_a_new_key_is_published_before_it_signs(replica: Open, clock: Clock) -> None:
    """After a rotation others have ten minutes to hear of it, and the former key goes on being known."""
    keys = replica()
    former = keys.current().id
    clock.advance(hours=1)
    made = replica().rotate()
    clock.advance(minutes=9)
    assert keys.current().id == former
    assert {key["kid"] for key in keys.public()} == {former, made}
    clock.advance(minutes=1)
    assert keys.current().id == replica().current().id == made
    assert keys.find(former) is not None
    assert {key["kid"] for key in keys.public()} == {former, made}


def test_keys_are_rotated_on_schedule(replica: Open, clock: Clock) -> None:
    """A day before a key ceases to sign the next one is made; it is known until its last token has ended."""
    keys = replica()
    first = keys.current().id
    clock.advance(days=29)
    assert keys.current().id == first
    clock.advance(minutes=10)
    second = keys.current().id
    assert second != first
    clock.advance(days=7, hours=23)
    assert keys.find(first) is not None
    assert replica().find(first) is not None
    clock.advance(minutes=51)
    assert keys.find(first) is None
    assert replica().find(first) is None
    assert first not in {key["kid"] for key in keys.public()}
    assert replica().current().id == keys.current().id == second


def test_a_key_is_known_as_long_as_its_tokens_last(replica: Open, store: Store, clock: Clock) -> None:
    """Where tokens come to last longer than when the key was made, another one signs them."""
    former = replica().current().id
    clock.advance(days=20)
    longer = keys_of(store.records, KeyRing(FIRST), clock, timedelta(days=90))
    assert longer.current().id != former
    clock.advance(hours=1)
    assert longer.find(longer.current().id) is not None


def test_a_retired_key_is_known_for_a_minute_at_most(replica: Open, clock: Clock) -> None:
    """Then it signs no more, is published no more, and what it signed is nobody's."""
    keys = replica()
    leaked = keys.current().id
    assert keys.find(leaked) is not None
    assert replica().retire(leaked)
    assert not replica().retire(leaked)
    clock.advance(minutes=1)
    assert keys.find(leaked) is None
    assert keys.current().id != leaked
    assert leaked not in {key["kid"] for key in keys.public()}


def test_a_key_from_the_future_signs_nothing(replica: Open, store: Store, clock: Clock) -> None:
    """One that a replica with a wrong clock has made neither signs for years nor keeps others from being made."""
    ahead = Clock()
    ahead.now = clock.now + timedelta(days=700)
    wrong = keys_of(store.records, KeyRing(FIRST), ahead).rotate()
    for _ in range(3):
        assert replica().current().id != wrong
        clock.advance(days=29, hours=23, minutes=30)


@pytest.mark.parametrize("sealed", ["é", "x", "", None, 5, "AAAA"])
def test_a_key_of_another_make_spoils_no_other_one(replica: Open, store: Store, clock: Clock, sealed: object) -> None:
    """It is as good as none, and the others sign and are published."""
    current = replica().current().id
    times: dict[str, Any] = {"created_at": clock.now, "used_at": clock.now, "expires_at": clock.now + LIFETIME}
    spoiled = Record(kind="signing_key", id="x" * 22, user_id="doorman", data={"sealed": sealed}, **times)
    store.records.put(spoiled, now=clock.now)
    assert replica().find("x" * 22) is None
    assert [key["kid"] for key in replica().public()] == [current]


def test_a_store_that_is_away_keeps_nobody_waiting(watched: Watched, clock: Clock) -> None:
    """What is known goes on signing, and only who knows nothing is told that the store is away."""
    keys = keys_of(cast("Records", watched.records), KeyRing(FIRST), clock)
    current = keys.current().id
    watched.fails = {"records.of_user"}
    clock.advance(hours=1)
    assert keys.current().id == current
    other = keys_of(cast("Records", watched.records), KeyRing(FIRST), clock)
    with pytest.raises(UnavailableError):
        other.current()


def test_a_key_that_nobody_used_for_long_signs_no_more(replica: Open, clock: Clock) -> None:
    """After two months without a login there is a new one at once."""
    first = replica().current().id
    clock.advance(days=60)
    assert replica().current().id != first


def test_private_keys_are_sealed(replica: Open, store: Store, environment: Environment, tmp_path: Path) -> None:
    """Nothing of a private key stands in the database, and no other secret key opens what stands there."""
    key = replica().current()
    pem = key.pem()
    written = dump(environment, tmp_path)
    assert key.id.encode() in written
    for line in pem.splitlines()[1:-1]:
        assert line not in written
    assert replica(SECOND).find(key.id) is None
    assert replica(SECOND).current().id != key.id


def test_what_is_sealed_is_bound_to_its_name() -> None:
    """Under another name, changed or cut off, it cannot be opened (AES-GCM)."""
    key = SecretKey(FIRST)
    sealed = key.seal(b"secret", "one")
    assert key.unseal(sealed, "one") == b"secret"
    assert key.seal(b"secret", "one") != sealed
    changed = sealed[:-1] + bytes([sealed[-1] ^ 1])
    assert [
        key.unseal(*wrong) for wrong in ((sealed, "two"), (changed, "one"), (sealed[:20], "one"), (b"", "one"))
    ] == [None] * 4
    assert SecretKey(SECOND).unseal(sealed, "one") is None


def test_a_rotation_of_the_secret_key_logs_nobody_out(replica: Open, clock: Clock) -> None:
    """While both are known, either's keys are; then those sealed under the new one are, which sign by then."""
    old = replica(FIRST).current().id
    between = replica(SECOND, FIRST)
    assert between.find(old) is not None
    new = between.current().id
    assert new != old
    assert replica(FIRST, SECOND).find(new) is not None
    clock.advance(days=8)
    after = replica(SECOND)
    assert after.current().id == new
    assert after.find(old) is None


@pytest.mark.parametrize("key_id", ["", "x", "é" * 22, "x" * 23, "x" * 21 + "\n", "../../../../etc/passwd"])
def test_what_is_no_id_is_not_looked_up(replica: Open, key_id: str) -> None:
    """Whatever a token names as its key is nothing unless it has the form of one."""
    assert replica().find(key_id) is None
