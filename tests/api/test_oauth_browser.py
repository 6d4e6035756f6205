"""OAuth logins by the browser: each begins and ends once, in one browser, with what the issuer gave for it."""

import hashlib
import re
from base64 import b64decode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote_plus, urlsplit

import pytest
from werkzeug.test import TestResponse

from models.login_limiter import FREE_FAILURES_OF_ADDRESS
from tests.api.conftest import Api
from tests.api.cores import Clock, opened_api
from tests.api.issuers import CLIENT_ID, CLIENT_SECRET, REDIRECT_URL, TOKEN, SmallIssuer
from tests.databases import Environment, dump

UNAUTHORIZED = (401, "Unauthorized")
LOGIN, CALLBACK = "/users/login/oauth", "/users/login/oauth/callback"
MakeApi = Callable[[Environment], Api]


class Browser:
    """A login on its way: what the browser was sent to the issuer with, and its cookie."""

    def __init__(self, api: Api, issuer: SmallIssuer) -> None:
        self.api = api
        self.issuer = issuer
        self.sent = api.ask(LOGIN, method="GET")
        assert self.sent.status_code == 303, self.sent.text
        self.query = {name: value for name, [value] in parse_qs(urlsplit(self.sent.location).query).items()}
        self.cookie = self.sent.headers["Set-Cookie"].partition(";")[0]

    def grant(self, code: str = "a code", **changes: Any) -> None:
        """Have the issuer give a token for the code."""
        self.issuer.grants[code] = self.issuer.token(**({"nonce": self.query["nonce"]} | changes))

    def come_back(
        self, cookie: str | None = "", code: str | None = "a code", address: str | None = None, **changes: Any
    ) -> TestResponse:
        query = {"state": self.query["state"], "iss": self.issuer.url, "code": code} | changes
        cookie = self.cookie if cookie == "" else cookie
        headers = {"Cookie": cookie} if cookie is not None else {}
        rest = {"environ_base": {"REMOTE_ADDR": address}} if address else {}
        return self.api.ask(CALLBACK, method="GET", query_string=without_none(query), headers=headers, **rest)


def without_none(query: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in query.items() if value is not None}


def told(answer: TestResponse) -> tuple[int, Any]:
    return answer.status_code, answer.get_json()


def test_a_browser_logs_in(oauth_api: Api, issuer: SmallIssuer) -> None:
    """It is sent with PKCE, state and nonce, and its code is exchanged with the verifier and the client's secret."""
    browser = Browser(oauth_api, issuer)
    asked = browser.query
    assert browser.sent.location.startswith(f"{issuer.url}/authorize?")
    assert asked == asked | {
        "response_type": "code",
        "client_id": CLIENT_ID,
        "redirect_uri": REDIRECT_URL,
        "scope": "openid profile",
        "code_challenge_method": "S256",
    }
    assert min(len(asked["state"]), len(asked["nonce"]), len(asked["code_challenge"])) >= 43
    browser.grant()
    answer = browser.come_back()
    user = answer.get_json()["user"]
    expected = {"username": "hy103", "name": "Bill Yu", "oauth": 1, "user_group": "noob", "token": user["token"]}
    assert told(answer) == (200, {"user": expected})
    assert answer.headers["Set-Cookie"].startswith("oauth_login=;")
    [(authorization, form)] = issuer.forms
    verifier = form.pop("code_verifier")
    digest = urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode()
    assert digest.rstrip("=") == asked["code_challenge"]
    assert form == {"grant_type": "authorization_code", "code": "a code", "redirect_uri": REDIRECT_URL}
    assert authorization is not None
    credentials = b64decode(authorization.removeprefix("Basic ")).decode()
    assert credentials == f"{quote_plus(CLIENT_ID)}:{quote_plus(CLIENT_SECRET)}"


@pytest.mark.parametrize(
    ("claim", "scope"), [("email", "openid email"), ("phone_number", "openid phone"), ("upn", "openid profile")]
)
def test_no_more_is_asked_for_than_is_needed(
    sqlite_environment: Environment, issuer: SmallIssuer, make_api: MakeApi, claim: str, scope: str
) -> None:
    """The scope is the one that the claim which names users comes by."""
    browser = Browser(make_api(sqlite_environment | issuer.settings | {"OIDC_CLAIM": claim}), issuer)
    assert browser.query["scope"] == scope


def test_what_the_issuer_gives_stays_here(
    environment: Environment, issuer: SmallIssuer, make_api: MakeApi, tmp_path: Path
) -> None:
    """Its access, refresh and ID tokens reach neither the browser nor the store."""
    browser = Browser(make_api(environment | issuer.settings), issuer)
    browser.grant()
    given = {"access_token": "canary-access-token", "refresh_token": "canary-refresh-token"}
    issuer.granted = given
    secrets = [*given.values(), issuer.grants["a code"].rpartition(".")[2]]
    answer = browser.come_back()
    assert answer.status_code == 200
    reached = answer.data + str(answer.headers).encode() + dump(environment, tmp_path)
    assert not [secret for secret in secrets if secret.encode() in reached]


def test_the_cookie_is_for_the_callback_alone(
    sqlite_environment: Environment, issuer: SmallIssuer, make_api: MakeApi
) -> None:
    """No script reads it, no other path gets it, and behind TLS it does not cross the network without."""
    plain = Browser(make_api(sqlite_environment | issuer.settings), issuer).sent.headers["Set-Cookie"]
    url = {"OIDC_REDIRECT_URL": "https://users.example/api/users/login/oauth/callback"}
    secure = Browser(make_api(sqlite_environment | issuer.settings | url), issuer).sent.headers["Set-Cookie"]
    attributes = [set(re.split("; ", cookie)[1:]) for cookie in (plain, secure)]
    common = {"HttpOnly", "SameSite=Lax", "Max-Age=600"}
    assert attributes[0] >= common | {f"Path={CALLBACK}"}
    assert "Secure" not in attributes[0]
    assert attributes[1] >= common | {"Path=/api/users/login/oauth/callback", "Secure"}


def test_a_login_ends_once(oauth_api: Api, issuer: SmallIssuer) -> None:
    """Of simultaneous returns one logs in, and none does later, with another code either."""
    browser = Browser(oauth_api, issuer)
    for number in range(9):
        browser.grant(f"code {number}", jti=str(number))
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: told(browser.come_back(code=f"code {number}")), range(8)))
    assert sorted(status for status, _ in answers) == [200] + [401] * 7
    assert told(browser.come_back(code="code 8")) == UNAUTHORIZED
    assert len(issuer.forms) == 1


def test_another_browser_cannot_end_it(oauth_api: Api, issuer: SmallIssuer) -> None:
    """Without the cookie, with another's, or with several it is refused; and the right browser still comes back."""
    browser, other = Browser(oauth_api, issuer), Browser(oauth_api, issuer)
    browser.grant()
    for cookie in (None, "oauth_login=", "oauth_login=ü", other.cookie, f"{other.cookie}; {browser.cookie}"):
        assert told(browser.come_back(cookie)) == UNAUTHORIZED
    assert issuer.forms == []
    assert browser.come_back().status_code == 200


@pytest.mark.parametrize("state", [None, "", "x", "x" * 1000, ["one", "two"]])
def test_foreign_states_are_refused(sqlite_oauth_api: Api, issuer: SmallIssuer, state: object) -> None:
    """A state that did not begin here, or that nobody can tell, leads nowhere."""
    browser = Browser(sqlite_oauth_api, issuer)
    browser.grant()
    assert told(browser.come_back(state=state)) == UNAUTHORIZED
    assert issuer.forms == []


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://another.example"},
        {"iss": None},
        {"iss": ["https://another.example", "x"]},
        {"error": "access_denied", "code": None},
        {"error": "access_denied"},
        {"code": None},
        {"code": ["a code", "another"]},
        {"code": "x" * 5000},
    ],
)
def test_answers_that_are_refused(sqlite_oauth_api: Api, issuer: SmallIssuer, changes: dict[str, Any]) -> None:
    """An issuer's error, another issuer's answer, and one without a code; the login is over by that."""
    browser = Browser(sqlite_oauth_api, issuer)
    browser.grant()
    assert told(browser.come_back(**changes)) == UNAUTHORIZED
    assert told(browser.come_back()) == UNAUTHORIZED
    assert issuer.forms == []


def test_issuers_that_do_not_name_themselves(sqlite_oauth_api: Api, issuer: SmallIssuer) -> None:
    """RFC 9207 is kept where the issuer keeps it, and so is the way that it wants the secret."""
    issuer.publish(
        authorization_response_iss_parameter_supported=None,
        token_endpoint_auth_methods_supported=["client_secret_post"],
    )
    browser = Browser(sqlite_oauth_api, issuer)
    browser.grant()
    assert browser.come_back(iss=None).status_code == 200
    [(authorization, form)] = issuer.forms
    assert (authorization, form["client_id"], form["client_secret"]) == (None, CLIENT_ID, CLIENT_SECRET)


def test_public_clients_have_no_secret(sqlite_environment: Environment, issuer: SmallIssuer, make_api: MakeApi) -> None:
    """Without a secret the client names itself, and PKCE protects the code."""
    browser = Browser(make_api(sqlite_environment | issuer.settings | {"OIDC_CLIENT_SECRET": ""}), issuer)
    browser.grant()
    assert browser.come_back().status_code == 200
    [(authorization, form)] = issuer.forms
    assert (authorization, form["client_id"], "client_secret" in form) == (None, CLIENT_ID, False)


@pytest.mark.parametrize("changes", [{"nonce": "another"}, {"nonce": None}, {"aud": "another"}, {"exp": 1}])
def test_tokens_for_others_are_refused(oauth_api: Api, issuer: SmallIssuer, changes: dict[str, Any]) -> None:
    """What the code stands for has to answer this very login, and to hold like any ID token."""
    browser = Browser(oauth_api, issuer)
    browser.grant(**changes)
    assert told(browser.come_back()) == UNAUTHORIZED
    replayed = Browser(oauth_api, issuer)
    issuer.grants["a code"] = issuer.token(nonce=browser.query["nonce"])
    assert told(replayed.come_back()) == UNAUTHORIZED


@pytest.mark.parametrize(("status", "expected"), [(400, 401), (401, 503), (500, 503), (503, 503), (302, 503)])
def test_exchanges_that_fail(
    sqlite_oauth_api: Api, issuer: SmallIssuer, caplog: pytest.LogCaptureFixture, status: int, expected: int
) -> None:
    """A bad code is the browser's fault; a refused client or a broken issuer is not, and no secret is logged."""
    browser = Browser(sqlite_oauth_api, issuer)
    browser.grant()
    issuer.token_status = status
    answer = browser.come_back()
    assert (answer.status_code, type(answer.get_json())) == (expected, str)
    assert ("Retry-After" in answer.headers) == (expected == 503)
    [(_, form)] = issuer.forms
    secrets = [form["code"], form["code_verifier"], CLIENT_SECRET, browser.query["state"], browser.query["nonce"]]
    assert not [secret for secret in secrets if secret in caplog.text + answer.text]


def test_refused_codes_are_failed_logins(sqlite_environment: Environment, issuer: SmallIssuer, clock: Clock) -> None:
    """An address whose codes are refused has to wait, and the issuer is not asked meanwhile; nobody else waits."""
    here = "198.51.100.7"
    with opened_api(sqlite_environment | issuer.settings, clock=clock) as api:
        issuer.token_status = 400
        for _ in range(FREE_FAILURES_OF_ADDRESS + 1):
            assert told(Browser(api, issuer).come_back(address=here)) == UNAUTHORIZED
        issuer.token_status = 200
        browser, other = Browser(api, issuer), Browser(api, issuer)
        answer = browser.come_back(address=here)
        assert (answer.status_code, answer.headers["Retry-After"], type(answer.get_json())) == (429, "1", str)
        assert len(issuer.forms) == FREE_FAILURES_OF_ADDRESS + 1
        other.grant(jti="1")
        assert other.come_back().status_code == 200
        clock.advance(0.5)
        browser.grant(jti="2")
        assert browser.come_back(address=here).status_code == 200


@pytest.mark.parametrize("error", [["invalid_grant"], {"a": 1}, 5])
def test_errors_that_are_no_texts(sqlite_oauth_api: Api, issuer: SmallIssuer, error: object) -> None:
    """An issuer that does not say what is wrong is not taken to mean the code."""
    browser = Browser(sqlite_oauth_api, issuer)
    issuer.token_error, issuer.token_status = error, 400
    assert browser.come_back().status_code == 503


def test_an_issuer_that_gives_no_id_token(sqlite_oauth_api: Api, issuer: SmallIssuer) -> None:
    """Where the token is missing or takes too long, it is 503 within seconds."""
    browser = Browser(sqlite_oauth_api, issuer)
    issuer.grants["a code"] = None  # type: ignore[assignment]  # as no issuer should
    assert browser.come_back().status_code == 503
    browser = Browser(sqlite_oauth_api, issuer)
    browser.grant()
    issuer.silent.add(TOKEN)
    assert browser.come_back().status_code == 503


def test_an_issuer_that_gives_odd_numbers(sqlite_oauth_api: Api, issuer: SmallIssuer) -> None:
    """A lifetime without an end is the issuer's mistake, and none of Doorman's."""
    browser = Browser(sqlite_oauth_api, issuer)
    browser.grant()
    issuer.granted = {"expires_in": float("inf")}
    assert browser.come_back().status_code == 503


def test_nothing_is_written_while_the_issuer_is_away(sqlite_oauth_api: Api, issuer: SmallIssuer) -> None:
    """A browser that cannot be sent anywhere is told so."""
    issuer.publish(authorization_endpoint="http://issuer.example/")
    answer = sqlite_oauth_api.ask(LOGIN, method="GET")
    assert (answer.status_code, "Set-Cookie" in answer.headers) == (503, False)


def test_logins_end_after_ten_minutes(environment: Environment, issuer: SmallIssuer, clock: Clock) -> None:
    """Who comes back later begins anew."""
    with opened_api(environment | issuer.settings, clock=clock) as api:
        for seconds, status in ((599, 200), (601, 401)):
            browser = Browser(api, issuer)
            clock.advance(seconds)
            now = int(clock.now.timestamp())
            browser.grant(iat=now, exp=now + 60)
            assert browser.come_back().status_code == status


def test_neither_store_nor_cookie_tells_a_secret(
    environment: Environment, issuer: SmallIssuer, make_api: MakeApi, tmp_path: Path
) -> None:
    """Neither state nor nonce nor verifier can be read there, and the cookie tells the browser nothing."""
    browser = Browser(make_api(environment | issuer.settings), issuer)
    browser.grant()
    assert browser.come_back().status_code == 200
    held = dump(environment, tmp_path)
    assert b"oauth_state" in held
    cookie = browser.cookie.partition("=")[2]
    [(_, form)] = issuer.forms
    secrets = [browser.query["state"], browser.query["nonce"], form["code_verifier"]]
    readable = held + urlsafe_b64decode(cookie + "==")
    assert not [secret for secret in [*secrets, cookie] if secret.encode() in readable]


def test_cookies_are_not_made_by_others(sqlite_oauth_api: Api, issuer: SmallIssuer) -> None:
    """What is changed, cut or long is none, and costs the login nothing."""
    browser = Browser(sqlite_oauth_api, issuer)
    browser.grant()
    name, _, value = browser.cookie.partition("=")
    changed = value[:40] + ("A" if value[40] != "A" else "B") + value[41:]
    for other in (changed, value[:-8], value[:20], value + value, "A" * 2000, "=", "\u00fc"):
        assert told(browser.come_back(cookie=f"{name}={other}")) == UNAUTHORIZED
    assert browser.come_back().status_code == 200


def test_beginning_costs_others_nothing(sqlite_environment: Environment, issuer: SmallIssuer, tmp_path: Path) -> None:
    """However many begin at one address, the first login there comes back, and nothing is written for the others."""
    here = {"REMOTE_ADDR": "198.51.100.7"}
    with opened_api(sqlite_environment | issuer.settings) as api:
        browser = Browser(api, issuer)
        browser.grant()
        for _ in range(200):
            assert api.ask(LOGIN, method="GET", environ_base=here).status_code == 303
        assert b"oauth_state" not in dump(sqlite_environment, tmp_path)
        assert browser.come_back(address=here["REMOTE_ADDR"]).status_code == 200


def test_a_login_outlasts_a_rotation_of_the_secret_key(
    sqlite_environment: Environment, issuer: SmallIssuer, make_api: MakeApi
) -> None:
    """It comes back to a replica that takes the keys the other way round, and once to all of them."""
    old, new = sqlite_environment["SECRET_KEY"], "another-secret-key-of-some-length-0123456789"
    settings = sqlite_environment | issuer.settings
    during = settings | {"SECRET_KEY": new, "SECRET_KEY_PREVIOUS": old}
    one, other = make_api(settings | {"SECRET_KEY_PREVIOUS": new}), make_api(during)
    browser = Browser(one, issuer)
    browser.grant()
    browser.api = other
    assert browser.come_back().status_code == 200
    browser.api = one
    assert told(browser.come_back()) == UNAUTHORIZED
    assert len(issuer.forms) == 1
