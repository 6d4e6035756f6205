"""What the core's parts are tested over."""

from collections.abc import Iterator

import pytest

from api.settings import Settings
from app import open_store
from models.storage import Store
from tests.databases import Environment
from tests.unit.watched import Clock, Watched


@pytest.fixture
def store(environment: Environment) -> Iterator[Store]:
    """Each store in turn, empty and prepared."""
    opened = open_store(Settings.from_env(environment))
    opened.prepare()
    yield opened
    opened.close()


@pytest.fixture
def watched(store: Store) -> Watched:
    return Watched(store)


@pytest.fixture
def clock() -> Clock:
    return Clock()
