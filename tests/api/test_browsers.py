"""Decision 13: pages of foreign origins change nothing, and ``ALLOWED_ORIGINS`` drives CORS."""

from collections.abc import Callable

import pytest

from tests.api.conftest import USERS, Api
from tests.databases import Environment

FRIEND = "https://app.example.com"


@pytest.fixture
def allowing(sqlite_environment: Environment, make_api: Callable[[Environment], Api]) -> Api:
    return make_api(
        sqlite_environment | {"ALLOWED_ORIGINS": f"{FRIEND}, http://other.example", "TRUSTED_PROXIES": "10.0.0.0/8"}
    )


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "https://app.example.com.evil.example"},
        {"Origin": "http://app.example.com"},
        {"Origin": "https://localhost"},
        {"Origin": "http://localhost:5000"},
        {"Origin": ""},
        {"Sec-Fetch-Site": "cross-site"},
        {"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"},
        {"Origin": "https://evil.example", "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https"},
    ],
)
def test_foreign_pages_change_nothing(allowing: Api, headers: dict[str, str]) -> None:
    """Each unsafe method from a foreign origin answers 403 before credentials are looked at, and does nothing."""
    for method, path in (("POST", "/new"), ("PUT", "/root/update"), ("PATCH", "/root/update"), ("DELETE", "/root")):
        answer = allowing.call(method, USERS + path, json={"password": "a fine password"}, headers=headers)
        assert (answer.status_code, answer.content_type) == (403, "application/problem+json")
        assert "Access-Control-Allow-Origin" not in answer.headers
    assert allowing.names() == ["root"]
    assert allowing.get("/root").status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://localhost"},
        {"Origin": FRIEND, "Sec-Fetch-Site": "cross-site"},
        {"Origin": "http://other.example"},
        {"Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
    ],
)
def test_own_and_allowed_pages_may(allowing: Api, headers: dict[str, str]) -> None:
    """The service's own origin, an allowed one, and clients that are no browsers are served."""
    assert allowing.post("/new", {"password": "a fine password"}, headers=headers).status_code == 200


def test_reading_needs_no_permission(allowing: Api) -> None:
    """A safe method is answered whatever the origin; without CORS headers the page cannot read it."""
    answer = allowing.get("", headers={"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 200
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_the_own_origin_behind_a_proxy(allowing: Api) -> None:
    """Scheme and host come from a proxy's headers only where ``TRUSTED_PROXIES`` names the proxy."""
    forwarded = {
        "Origin": "https://users.example",
        "X-Forwarded-Proto": "https, http",
        "X-Forwarded-Host": "users.example:443",
    }
    for peer, status in (("10.1.2.3", 200), ("::ffff:10.1.2.4", 200), ("192.0.2.1", 403), ("", 403)):
        answer = allowing.put("/root/update", {"name": "Root"}, headers=forwarded, environ_base={"REMOTE_ADDR": peer})
        assert answer.status_code == status


def test_allowed_origins_get_cors(allowing: Api) -> None:
    """An allowed origin may read answers, errors too, and the headers that the API speaks with."""
    for answer in (allowing.get("", headers={"Origin": FRIEND}), allowing.get("", None, headers={"Origin": FRIEND})):
        assert answer.headers["Access-Control-Allow-Origin"] == FRIEND
        assert answer.headers["Vary"] == "Origin"
        assert "ETag" in answer.headers["Access-Control-Expose-Headers"]


def test_preflights_are_answered_without_credentials(allowing: Api) -> None:
    """A preflight tells an allowed origin what it may send, and a foreign one nothing; neither reaches a route."""
    headers = {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "authorization"}
    answer = allowing.call("OPTIONS", f"{USERS}/root/update", None, headers={**headers, "Origin": FRIEND})
    assert answer.status_code == 204
    assert answer.headers["Access-Control-Allow-Origin"] == FRIEND
    assert "PUT" in answer.headers["Access-Control-Allow-Methods"]
    assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]
    foreign = allowing.call(
        "OPTIONS", f"{USERS}/root/update", None, headers={**headers, "Origin": "https://evil.example"}
    )
    assert not [name for name, _ in foreign.headers if name.startswith("Access-Control")]


def test_no_origin_is_allowed_unless_named(sqlite_api: Api) -> None:
    """With ``ALLOWED_ORIGINS`` empty there is no CORS at all."""
    answer = sqlite_api.get("", headers={"Origin": FRIEND})
    assert not [name for name, _ in answer.headers if name.startswith("Access-Control")]
    assert sqlite_api.post("/new", {"password": "a fine password"}, headers={"Origin": FRIEND}).status_code == 403
