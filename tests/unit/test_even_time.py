"""Refusals where passwords are hashed in several ways: they end at one time, by the thread's own clock."""

import time
from typing import Self

import pytest

from models.even_time import EvenTime
from models.passwords import Hasher
from models.secret import Secret
from tests.foreign_vectors import HASHES, PASSWORD

ROUNDS = 6
DEAR = f"$argon2id$v=19$m=16384,t=2,p=1${'A' * 22}${'A' * 43}"


class Worked:
    """How long this thread worked for something."""

    def __enter__(self) -> Self:
        self.began = time.thread_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.thread_time() - self.began


def refused(hasher: Hasher, stored: str | None, *, may_open: bool = True, presented: str = "wrong") -> float:
    with Worked() as worked:
        assert not hasher.verify(Secret(presented), stored, may_open=may_open)
    return worked.seconds


@pytest.mark.alone
def test_every_refusal_ends_at_the_same_time() -> None:
    """No hash, bcrypt of any cost, a foreign one, cheap or dear, or one that may open nothing: each works as long."""
    hasher = Hasher(ROUNDS)
    hasher.expect_foreign([DEAR])
    kinds = [None, Hasher(4).hash(Secret("x")), Hasher(ROUNDS).hash(Secret("x")), DEAR, *HASHES.values(), "rubbish"]
    for stored in kinds:  # what is met for the first time is measured
        refused(hasher, stored)
    times = [min(refused(hasher, stored) for _ in range(3)) for stored in kinds]
    times.append(min(refused(hasher, HASHES["htpasswd -s"], may_open=False, presented=PASSWORD) for _ in range(3)))
    times.append(min(refused(hasher, HASHES["htpasswd -s"], presented="x" * 2000) for _ in range(3)))
    assert max(times) - min(times) < 0.05 * min(times)


def test_a_match_is_not_made_to_wait() -> None:
    """The right password of a cheap foreign hash costs what its hash costs."""
    hasher = Hasher(ROUNDS)
    hasher.expect_foreign([DEAR])
    whole = refused(hasher, None)
    with Worked() as worked:
        assert hasher.verify(Secret(PASSWORD), HASHES["htpasswd -s"])
    assert worked.seconds < whole / 4


def test_without_foreign_hashes_nothing_is_timed() -> None:
    """Where all hashes are bcrypt's, their own costs make up the difference."""

    def clock() -> float:
        raise AssertionError

    even = EvenTime(clock)
    assert not even.expect([], ROUNDS)
    assert not even.expect(["no recipe", "$2b$04$" + "." * 53], ROUNDS)
    assert not even.is_needed


def test_a_higher_cost_of_bcrypt_moves_the_end() -> None:
    """When another replica raises bcrypt's cost, refusals take as long as that, whatever the foreign ones cost."""
    hasher = Hasher(4)
    hasher.expect_foreign([HASHES["htpasswd -s"]])
    before = refused(hasher, None)
    hasher.expect(9)
    assert refused(hasher, HASHES["htpasswd -s"]) > 8 * before


def test_one_who_is_slowed_down_moves_the_end_a_little() -> None:
    """A check that took far longer than those that were measured moves the end to twice of that, and no further."""
    now = 0.0

    def clock() -> float:
        nonlocal now
        now += 0.001
        return now

    even = EvenTime(clock)
    even.expect([HASHES["htpasswd -s"]], 4)
    with_furthest = even._furthest
    now += 100.0
    even.pad(now - 50.0, 4)
    assert even._end == pytest.approx(with_furthest)
