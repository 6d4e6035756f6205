"""Applications over cores with a clock or a gate of the test's own, and fixtures for those whose clock stands."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta

import pytest

from api.exchanges import current_origin
from api.settings import Settings
from app import create_app, create_core, open_store
from models.core import build_core, utc_now
from models.hashing_gate import HashingGate
from models.passwords import Blocklist, Hasher, PasswordPolicy
from models.secret_key import KeyRing
from tests.api.conftest import Api
from tests.databases import Environment


class Clock:
    """A clock that stands still until it is moved on. It begins now: MongoDB purges by the true time."""

    def __init__(self) -> None:
        self.now = utc_now()

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@contextmanager
def opened_api(
    environment: Environment, *, clock: Callable[[], datetime] = utc_now, gate: HashingGate | None = None
) -> Iterator[Api]:
    settings = Settings.from_env(environment)
    create_core(settings).close()  # prepared, with its first admin
    assert settings.secret_key is not None
    policy = PasswordPolicy(settings.password_min_length, Blocklist(""))
    keys, hasher = KeyRing(settings.secret_key), Hasher(settings.bcrypt_rounds)
    core = build_core(
        open_store(settings),
        keys,
        hasher,
        policy,
        gate=gate,
        registration=settings.registration_policy,
        lifetimes=settings.session_lifetimes,
        issuer=settings.token_issuer,
        whence=current_origin,
        clock=clock,
    )
    try:
        yield Api(create_app(settings, core))
    finally:
        core.close()


Open = Callable[..., Api]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def open_api(environment: Environment, clock: Clock) -> Iterator[Open]:
    """Open applications over one store and one clock, each with settings of its own: replicas of one another."""
    with ExitStack() as ends:
        yield lambda **more: ends.enter_context(opened_api(environment | more, clock=clock))
