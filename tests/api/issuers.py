"""A small OpenID Connect issuer of the tests' own, which issues whatever a test wants, and applications that ask it."""

import hmac
import json
import ssl
import threading
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

import pytest
from joserfc import jws
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from models.core import utc_now
from tests.api.conftest import Api
from tests.databases import Environment

CLIENT_ID, CLIENT_SECRET = "doorman of the tests", "a secret + of % this client"
REDIRECT_URL = "http://localhost/users/login/oauth/callback"
DISCOVERY, JWKS, TOKEN = "/.well-known/openid-configuration", "/jwks", "/token"

USELESS = [
    {"kty": "odd"},
    {"kty": ["EC"]},
    {},
    "no key",
    {"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "short"},
    {"kty": "EC", "crv": "P-256", "kid": "half of one"},
]


class AnyAlgorithm(JWSRegistry):
    """Signs with algorithms that nobody should take, and headers that nobody knows."""

    def __init__(self) -> None:
        super().__init__(strict_check_header=False)

    def check_header(self, header: dict[str, Any]) -> None:
        pass

    def get_alg(self, name: str) -> Any:
        return self.algorithms[name]


@cache
def new_key(key_id: str, kind: str = "EC") -> RSAKey | ECKey | OKPKey:
    """Make a key, once for all tests: those of RSA take their time."""
    parameters: Any = {"kid": key_id, "use": "sig"}
    if kind == "RSA":
        return RSAKey.generate_key(2048, parameters)
    return OKPKey.generate_key("Ed25519", parameters) if kind == "OKP" else ECKey.generate_key("P-256", parameters)


def signed(claims: Mapping[str, Any], key: Key | None, algorithm: str = "ES256", **header: Any) -> str:
    """Return a token as it is, without a look at whether it makes sense."""
    named = {"kid": key.kid} if key is not None else {}
    return jws.serialize_compact(
        {"alg": algorithm, **named, **header}, json.dumps(claims), key, registry=AnyAlgorithm()
    )


def signed_with_text(claims: Mapping[str, Any], text: bytes, key_id: str) -> str:
    """Return a token of HS256 whose secret is any text, a public key too, which the library would refuse to be."""
    parts = ({"alg": "HS256", "kid": key_id}, claims)
    content = b".".join(urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in parts)
    signature = urlsafe_b64encode(hmac.digest(text, content, "sha256")).rstrip(b"=")
    return b".".join([content, signature]).decode()


class SmallIssuer:
    """``documents`` are what it publishes, by path; ``grants`` are the ID tokens that codes stand for."""

    def __init__(self, port: int, scheme: str) -> None:
        self.url = f"{scheme}://127.0.0.1:{port}"
        self.keys = [new_key("ec"), new_key("rsa", "RSA"), new_key("okp", "OKP")]
        self.documents: dict[str, bytes] = {}
        self.grants: dict[str, str] = {}
        self.token_status = 200
        self.token_error: object = None  # in place of the one that goes with the status
        self.granted: dict[str, Any] = {}  # beside what it gives for a code
        self.encoding = "identity"
        self.asked: list[str] = []
        self.forms: list[tuple[str | None, dict[str, str]]] = []
        self.silent: set[str] = set()  # paths where it lets clients wait until it ends
        self.dripping: set[str] = set()  # paths where it says again and again that it is at it
        self.ends = threading.Event()
        self.publish()

    def publish(self, **changes: Any) -> None:
        """Publish the keys, and metadata with these changes."""
        metadata = {
            "issuer": self.url,
            "jwks_uri": self.url + JWKS,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": self.url + TOKEN,
            "authorization_response_iss_parameter_supported": True,
        }
        keys = [key.as_dict(private=False) for key in self.keys]
        self.documents[DISCOVERY] = json.dumps(metadata | changes).encode()
        self.documents[JWKS] = json.dumps({"keys": [*USELESS, *keys]}).encode()

    @property
    def settings(self) -> Environment:
        return {
            "OIDC_ISSUER": self.url,
            "OIDC_CLIENT_ID": CLIENT_ID,
            "OIDC_CLIENT_SECRET": CLIENT_SECRET,
            "OIDC_REDIRECT_URL": REDIRECT_URL,
        }

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Return what a right token says, but for the changes; ``None`` leaves a claim out."""
        now = int(utc_now().timestamp())
        claims = {"iss": self.url, "aud": CLIENT_ID, "sub": "hy103", "name": "Bill Yu", "iat": now, "exp": now + 600}
        return {name: value for name, value in (claims | changes).items() if value is not None}

    def token(self, **changes: Any) -> str:
        return signed(self.claims(**changes), self.keys[0])


@contextmanager
def running_issuer(tls: ssl.SSLContext | None = None) -> Iterator[SmallIssuer]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer.asked.append(self.path)
            self._answer(200 if self.path in issuer.documents else 404, issuer.documents.get(self.path, b"{}"))

        def do_POST(self) -> None:
            issuer.asked.append(self.path)
            form = dict(parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
            issuer.forms.append((self.headers["Authorization"], form))
            if form["code"] in issuer.grants and issuer.token_status == 200:
                granted = {"access_token": "x", "token_type": "Bearer", "id_token": issuer.grants.pop(form["code"])}
                self._answer(200, json.dumps(granted | issuer.granted).encode())
            else:
                error = {400: "invalid_grant", 401: "invalid_client"}.get(issuer.token_status, "server_error")
                self._answer(issuer.token_status, json.dumps({"error": issuer.token_error or error}).encode())

        def _answer(self, status: int, body: bytes) -> None:
            if self.path in issuer.silent:
                issuer.ends.wait()
            with suppress(OSError):  # the client has gone
                while self.path in issuer.dripping and not issuer.ends.wait(0.1):
                    self.wfile.write(b"HTTP/1.1 102 Processing\r\n\r\n")
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Encoding", issuer.encoding)
            self.send_header("Content-Length", str(len(body)))
            if status in {301, 302}:
                self.send_header("Location", issuer.url + DISCOVERY)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        issuer = SmallIssuer(server.server_port, "https" if tls else "http")
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        server.block_on_close = False
        server.daemon_threads = True
        serving = threading.Thread(target=server.serve_forever, args=(0.01,))
        serving.start()
        try:
            yield issuer
        finally:
            issuer.ends.set()
            server.shutdown()
            serving.join()


MakeApi = Callable[[Environment], Api]


@pytest.fixture(name="issuer")
def fresh_issuer() -> Iterator[SmallIssuer]:
    with running_issuer() as running:
        yield running


@pytest.fixture
def oauth_api(environment: Environment, issuer: SmallIssuer, make_api: MakeApi) -> Api:
    """The application with an issuer, over each store."""
    return make_api(environment | issuer.settings)


@pytest.fixture
def sqlite_oauth_api(sqlite_environment: Environment, issuer: SmallIssuer, make_api: MakeApi) -> Api:
    """The application with an issuer over SQLite, for what has nothing to do with the store."""
    return make_api(sqlite_environment | issuer.settings)
