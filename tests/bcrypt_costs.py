"""What bcrypt is made to compute during a test."""

import bcrypt
import pytest

from models import bcrypt_hashes


@pytest.fixture
def spent(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The costs of all bcrypt computations, as they are made."""
    bcrypt_hashes.spend_set_up()  # which is timed once
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
