"""Asking an issuer over HTTP: within a size and a time, without redirects, over TLS or on this machine alone."""

import json
import socket
import ssl
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from threading import BoundedSemaphore, Thread
from typing import Any, TypeVar
from urllib.parse import quote_plus

import httpx2
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.httpx_client import OAuth2Client
from authlib.oauth2.client import OAuth2Client as AuthorizationClient

from api.setting_values import service_url
from api.threads import giving_way
from models.errors import NotAuthenticatedError, UnavailableError
from models.id_tokens import RelyingParty
from models.oauth_states import OAuthState
from models.secret import Secret
from models.waiting import about_to_wait

Result = TypeVar("Result")

_SECONDS = 5.0  # for all of a question and its answer
_STEP_SECONDS = 3.0  # for each of its steps: a connection, what arrives next
_MOST_BYTES = 256 * 1024
_MOST_AT_ONCE = 32
_RETRY_AFTER = 2
# What is said of a code that is none, or none any more (RFC 6749, 5.2); all else goes for every code.
_CODES_FAULT = {"invalid_grant", "invalid_request"}

# The last ones are what an answer that is not as it should be makes of the libraries.
_NO_ANSWER = (
    httpx2.HTTPError,
    httpx2.InvalidURL,
    OSError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RecursionError,
)


def authorization_url(endpoint: str, party: RelyingParty, redirect_url: str, scope: str, login: OAuthState) -> str:
    """Return where to send the browser: for a code, with PKCE (RFC 7636), a state and a nonce."""
    client = AuthorizationClient(
        None, party.client_id, scope=scope, redirect_uri=redirect_url, code_challenge_method="S256"
    )
    url, _ = client.create_authorization_url(
        endpoint, login.state.reveal(), login.verifier.reveal(), nonce=login.nonce.reveal()
    )
    return str(url)


class IssuerHttp:
    """Asks an issuer. Whatever comes of it but an answer is ``UnavailableError``, within seconds."""

    def __init__(self) -> None:
        self._tls = httpx2.create_ssl_context()
        self._free = BoundedSemaphore(_MOST_AT_ONCE)

    def document(self, url: str) -> object:
        """Return the JSON document at ``url``."""

        def ask(transport: _Bounded) -> object:
            with httpx2.Client(transport=transport, timeout=_STEP_SECONDS) as client:
                return json.loads(client.get(url).raise_for_status().content)

        return self._asked(ask)

    def exchange(
        self, endpoint: str, party: RelyingParty, secret: Secret | None, method: str, parameters: Mapping[str, str]
    ) -> object:
        """Return the ID token that the issuer gives for a code, as it comes.

        ``method`` is how the client proves itself, if it has a ``secret``. Raises ``NotAuthenticatedError`` when the
        issuer refuses the code.
        """

        def ask(transport: _Bounded) -> object:
            with OAuth2Client(
                party.client_id,
                secret.reveal() if secret else None,
                token_endpoint_auth_method=method if secret else "none",
                transport=transport,
                timeout=_STEP_SECONDS,
            ) as client:
                auth = None
                if secret and method == "client_secret_basic":
                    # RFC 6749, 2.3.1: both are form-encoded first, which the library leaves out.
                    auth = httpx2.BasicAuth(quote_plus(party.client_id), quote_plus(secret.reveal()))
                answer = client.fetch_token(endpoint, grant_type="authorization_code", auth=auth, **parameters)
                return answer.get("id_token")

        try:
            return self._asked(ask)
        except AuthlibBaseError as error:
            if str(error.error) in _CODES_FAULT:
                raise NotAuthenticatedError from error
            raise UnavailableError("the issuer refuses to exchange codes: see OIDC_CLIENT_ID and its secret") from error

    def _asked(self, ask: Callable[["_Bounded"], Result]) -> Result:
        """Ask in a thread of its own, which is left behind when time is up: looking up a host knows no limit.

        Whatever else it is at then ends at once, or an issuer that sends a little now and then would keep its place.
        """
        about_to_wait()
        if not self._free.acquire(blocking=False):
            raise UnavailableError("too many wait for the issuer", _RETRY_AFTER)
        answer: Future[Result] = Future()
        transport = _Bounded(self._tls)

        def work() -> None:
            try:
                answer.set_result(ask(transport))
            except BaseException as error:  # noqa: BLE001 - it is raised where the answer is waited for
                answer.set_exception(error)
            finally:
                self._free.release()

        try:
            Thread(target=work, name="issuer", daemon=True).start()
        except RuntimeError as error:  # the system gives no more threads
            self._free.release()
            raise UnavailableError("no thread for the issuer", _RETRY_AFTER) from error
        try:
            with giving_way():
                return answer.result(_SECONDS)
        except _NO_ANSWER as error:
            raise UnavailableError(f"the issuer gives no answer ({type(error).__name__})", _RETRY_AFTER) from error
        finally:
            transport.cut()


class _Bounded(httpx2.BaseTransport):
    """Reads one answer whole, up to a size, and as it is: unpacked, a small one may be huge.

    The time that the library is given is for each step, and an answer may have any number of them; so what bounds the
    whole is that another thread can ``cut`` the connection.
    """

    def __init__(self, tls: ssl.SSLContext) -> None:
        self._network = httpx2.HTTPTransport(verify=tls)
        self._connection: socket.socket | None = None
        self._is_cut = False

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        service_url(str(request.url))  # raises: the issuer's documents may name any URL
        request.headers["Accept-Encoding"] = "identity"
        request.extensions["trace"] = self._note
        response = self._network.handle_request(request)
        body = bytearray()
        try:
            if response.headers.get("Content-Encoding", "identity") != "identity":
                raise httpx2.DecodingError("packed")
            for chunk in response.iter_raw():
                body += chunk
                if len(body) > _MOST_BYTES:
                    raise httpx2.DecodingError("too large")
        finally:
            response.close()
        return httpx2.Response(response.status_code, content=bytes(body), request=request)

    def cut(self) -> None:
        """End the connection, and one that is made from now on; whoever waits for what comes by it fails."""
        self._is_cut = True
        if self._connection is not None:
            with suppress(OSError):  # it has ended
                self._connection.shutdown(socket.SHUT_RDWR)
            self._connection.close()

    def _note(self, event: str, info: Mapping[str, Any]) -> None:
        if event == "connection.connect_tcp.complete":
            # A second handle on the connection: TLS, which comes next, takes the first one away.
            self._connection = info["return_value"].get_extra_info("socket").dup()
            if self._is_cut:
                self.cut()

    def close(self) -> None:
        self._network.close()
