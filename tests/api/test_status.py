"""``GET /api/v2/status``: what is running, for admins alone."""

from datetime import UTC, datetime
from importlib.metadata import version

import pytest

from api.setting_values import SURFACES
from api.settings import Settings
from app import create_app
from models.errors import UnavailableError
from tests.api.conftest import Api
from tests.databases import ADMIN_TOKEN, Environment

STATUS = "/api/v2/status"


def test_an_admin_sees_what_runs(api: Api, environment: Environment) -> None:
    """The answer has the version, the start, the workers, the surfaces, and the store with how soon it answers."""
    answer = api.call("GET", STATUS)
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    told = answer.get_json()
    started_at = datetime.fromisoformat(told.pop("started_at"))
    assert 0 <= (datetime.now(UTC) - started_at).total_seconds() < 60
    assert 0 <= told.pop("uptime_seconds") < 60
    assert 0 < told["store"].pop("answered_in_ms") < 5000
    is_sqlite = environment["DATABASE_URL"].startswith("sqlite")
    assert told == {
        "version": version("doorman"),
        "workers": 2,
        "surfaces": sorted(SURFACES),
        "store": {
            "kind": "sqlite" if is_sqlite else "mongodb",
            "schema_version": 1 if is_sqlite else None,
            "answers": True,
        },
    }
    assert api.call("GET", STATUS, ADMIN_TOKEN).status_code == 200


@pytest.mark.parametrize("group", ["noob", "manager"])
def test_nobody_else_does(sqlite_api: Api, group: str) -> None:
    """Users of other groups are denied, and strangers challenged, as on every route of v2."""
    answer = sqlite_api.call("GET", STATUS, sqlite_api.add("joe", group))
    assert (answer.status_code, answer.get_json()) == (403, {"access_allowed": False})
    for stranger in (None, ("joe", "a wrong password"), "no-such-token-at-all"):
        answer = sqlite_api.call("GET", STATUS, stranger)
        assert (answer.status_code, answer.content_type) == (401, "application/problem+json")
        assert answer.headers["WWW-Authenticate"].startswith("Basic ")
    assert sqlite_api.call("POST", STATUS).status_code == 405


def test_a_store_that_does_not_answer_is_a_503(sqlite_api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told as everywhere, with when to come again, and not as a status of 200."""

    def ping() -> None:
        raise UnavailableError("the store cannot be reached", 7)

    monkeypatch.setattr(sqlite_api.core.store, "ping", ping)
    answer = sqlite_api.call("GET", STATUS)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "7")


def test_it_is_of_the_v2_surface(sqlite_api: Api, sqlite_environment: Environment) -> None:
    """Where v2 is not served, there is no status."""
    app = create_app(Settings.from_env(sqlite_environment | {"SURFACES": "jwt"}), sqlite_api.core)
    assert Api(app).call("GET", STATUS).status_code == 404
