"""OAuth logins with a certified OpenID provider, oidc-provider, as users and other programs make them."""

import hashlib
import re
import secrets
import subprocess
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx
import pytest

from tests.clients.nodejs import HERE, installed_node
from tests.databases import Environment
from tests.mongod import free_port
from tests.running import Doorman

CLIENT = ("doorman of the tests", "a secret + of % this client")
# Where the provider sends browsers; what is in front of Doorman there, a test does by hand.
FRONT = "http://127.0.0.1:1"
REDIRECT_URL = f"{FRONT}/users/login/oauth/callback"


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    """The URL of a running provider."""
    port = free_port()
    command: list[str | Path] = [installed_node(), HERE / "oidc_provider.mjs", str(port), REDIRECT_URL, *CLIENT]
    with subprocess.Popen(
        command, cwd=HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == '"serves"\n'
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()


@pytest.fixture
def doorman(environment: Environment, provider: str, serve: Callable[[Environment], Doorman]) -> Doorman:
    """Doorman with the provider as its issuer, over each store."""
    settings = {
        "OIDC_ISSUER": provider,
        "OIDC_CLIENT_ID": CLIENT[0],
        "OIDC_CLIENT_SECRET": CLIENT[1],
        "OIDC_REDIRECT_URL": REDIRECT_URL,
    }
    return serve(environment | settings)


def log_in_there(browser: httpx.Client, url: str, user_name: str) -> str:
    """Walk through the provider's pages as a person would; return where it sends the browser in the end."""
    for _ in range(10):
        answer = browser.get(url)
        if answer.status_code == 200:
            page = answer.text
            action = re.search(r'<form[^>]* action="([^"]+)"', page)
            prompt = re.search(r'name="prompt" value="([a-z]+)"', page)
            assert action, page
            assert prompt, page
            form = {"prompt": prompt[1], "login": user_name, "password": "any"}
            answer = browser.post(urljoin(url, action[1]), data=form)
        assert answer.status_code in {302, 303}, answer.text
        url = urljoin(url, answer.headers["Location"])
        if url.startswith(FRONT):
            return url
    raise AssertionError("the provider does not send the browser back")


def id_token_of(provider: str, user_name: str) -> str:
    """Get an ID token as a program of the same client does."""
    verifier = secrets.token_urlsafe(48)
    query = {
        "client_id": CLIENT[0],
        "response_type": "code",
        "scope": "openid",
        "redirect_uri": REDIRECT_URL,
        "state": "of the program",
        "code_challenge": urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("="),
        "code_challenge_method": "S256",
    }
    with httpx.Client() as browser:
        back = log_in_there(browser, str(httpx.URL(f"{provider}/auth", params=query)), user_name)
        [code] = parse_qs(urlsplit(back).query)["code"]
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT_URL}
        secret = {"client_id": CLIENT[0], "client_secret": CLIENT[1]}
        metadata = browser.get(f"{provider}/.well-known/openid-configuration").json()
        auth = httpx.BasicAuth(*(str(httpx.QueryParams({"": text})).removeprefix("=") for text in secret.values()))
        answer = browser.post(metadata["token_endpoint"], data=form | {"code_verifier": verifier}, auth=auth)
        assert answer.status_code == 200, answer.text
        token: str = answer.json()["id_token"]
        return token


def test_a_browser_logs_in(doorman: Doorman, provider: str) -> None:
    """From Doorman to the provider and back, once; the token that is answered opens Doorman."""
    with httpx.Client() as browser:
        begun = browser.get(f"{doorman.url}/users/login/oauth")
        assert begun.status_code == 303, begun.text
        back = log_in_there(browser, begun.headers["Location"], "hy103").replace(FRONT, doorman.url)
        with httpx.Client() as other:
            assert (other.get(back).status_code, other.get(back).json()) == (401, "Unauthorized")
        answer = browser.get(back)
        assert answer.status_code == 200, doorman.log
        user = answer.json()["user"]
        expected = {"username": "hy103", "name": None, "oauth": 1, "user_group": "noob", "token": user["token"]}
        assert user == expected
        headers = {"Authorization": f"Token {user['token']}"}
        noob = browser.post(f"{doorman.url}/users/permission", json={}, headers=headers)
        assert (noob.status_code, noob.json()) == (403, "Unauthorized")
        again = browser.get(back)
        assert (again.status_code, again.json()) == (401, "Unauthorized")
    query = parse_qs(urlsplit(back).query)
    assert not [text for text in (query["code"][0], query["state"][0], user["token"]) if text in doorman.log]


def test_an_id_token_logs_in(doorman: Doorman, provider: str) -> None:
    """Whom the provider names, and nobody else, and once."""
    token = id_token_of(provider, "hy103")

    def present(net_id: str) -> httpx.Response:
        body = {"info": {"netid": net_id, "name": "Bill Yu", "id_token": token}}
        return httpx.post(f"{doorman.url}/users/login/oauth", json=body)

    assert (present("another").status_code, present("another").json()) == (401, "Unauthorized")
    user = present("hy103").json()["user"]
    assert (user["username"], user["name"], user["oauth"], user["user_group"]) == ("hy103", "Bill Yu", 1, "noob")
    assert (present("hy103").status_code, present("hy103").json()) == (401, "Unauthorized")
