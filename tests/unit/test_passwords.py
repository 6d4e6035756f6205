"""Hashing: what a check costs, and what it lets pass."""

import bcrypt
import pytest

from models.errors import BrokenRuleError
from models.passwords import Hasher, PasswordPolicy, read_blocklist, shipped_blocklist
from models.secret import Secret

ROUNDS = 6


@pytest.fixture
def spent(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The costs of all bcrypt computations, as they are made."""
    costs: list[int] = []
    check, hash_ = bcrypt.checkpw, bcrypt.hashpw

    def checkpw(password: bytes, hashed: bytes) -> bool:
        matches = check(password, hashed)
        costs.append(int(hashed.split(b"$")[2]))
        return matches

    def hashpw(password: bytes, salt: bytes) -> bytes:
        costs.append(int(salt.split(b"$")[2]))
        return hash_(password, salt)

    monkeypatch.setattr(bcrypt, "checkpw", checkpw)
    monkeypatch.setattr(bcrypt, "hashpw", hashpw)
    return costs


@pytest.mark.parametrize(
    ("stored", "presented"),
    [
        (None, "a password"),
        (Hasher(ROUNDS).hash(Secret("another")), "a password"),
        (Hasher(4).hash(Secret("another")), "a password"),
        (Hasher(ROUNDS).hash(Secret("another")), "a" * 73),
        (Hasher(ROUNDS).hash(Secret("another")), "\ud800"),
        ("no hash at all", "a password"),
        ("", "a password"),
    ],
)
def test_every_refusal_costs_the_same(spent: list[int], stored: str | None, presented: str) -> None:
    """Whatever there is to check against, a refusal costs 2^rounds in all."""
    assert not Hasher(ROUNDS).verify(Secret(presented), stored)
    assert sum(2**cost for cost in spent) == 2**ROUNDS


def test_a_match_costs_what_its_hash_costs(spent: list[int]) -> None:
    """A correct password is not made to wait: that it is correct is no secret from whoever sent it."""
    hashed = Hasher(4).hash(Secret("a password"))
    spent.clear()
    assert Hasher(ROUNDS).verify(Secret("a password"), hashed)
    assert spent == [4]


def test_foreign_prefixes_match() -> None:
    """$2a$ and $2y$, which other programs write, are checked like $2b$."""
    hashed = Hasher(4).hash(Secret("a password"))
    for prefix in ("$2a$", "$2y$"):
        assert Hasher(4).verify(Secret("a password"), prefix + hashed[4:])


def test_the_shipped_blocklist_is_of_use() -> None:
    """It holds thousands of passwords that the length alone would let pass."""
    blocklist = shipped_blocklist()
    assert len(blocklist) > 10_000
    assert {"password", "12345678", "iloveyou", "password123"} <= set(blocklist)


def test_a_blocklist_replaces_the_shipped_one() -> None:
    """Its lines count in any case; comments and empty lines do not."""
    policy = PasswordPolicy(8, read_blocklist("# ours\n\nCorrect Horse\n"))
    with pytest.raises(BrokenRuleError, match="most common"):
        policy.enforce(Secret("correct HORSE"), "ann")
    assert policy.enforce(Secret("password"), "ann").reveal() == "password"


def test_passwords_are_stored_in_normal_form() -> None:
    """What is hashed is the OpaqueString: composed, with plain spaces, case kept (RFC 8265, 4.2)."""
    policy = PasswordPolicy(8, [])
    assert policy.enforce(Secret("Pa\u0308ss\u00a0wo\u0308rt"), "ann").reveal() == "P\u00e4ss w\u00f6rt"
