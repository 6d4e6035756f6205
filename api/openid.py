"""The OpenID Connect issuer: what it publishes of itself, and what it gives for a code."""

import time
from collections.abc import Callable
from threading import BoundedSemaphore, Lock
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit

from api.issuer_http import IssuerHttp, authorization_url
from api.setting_values import service_url
from api.threads import giving_way
from models.errors import UnavailableError
from models.id_tokens import RelyingParty
from models.jwt import IssuerKeys
from models.oauth_states import OAuthState
from models.secret import Secret
from models.waiting import about_to_wait

Document = TypeVar("Document")

_KEPT_SECONDS = 3600.0  # so long, keys that the issuer has withdrawn are taken
_ASKED_AGAIN_SECONDS = 10.0  # at the earliest, when a token names a key that is not among those known
_SILENT_SECONDS = 2.0  # after a failure, so that those who wait do not fail one after the other
_PATIENCE = 6.0
_MOST_WAITING = 64  # for one document, a process: far fewer than may give way, whom anybody's odd tokens would use up
# What has to be asked for to be told the claim that names users (OpenID Connect Core 1.0, 5.4).
_SCOPES = {"email": "openid email", "phone_number": "openid phone"}
_BASIC, _POST = "client_secret_basic", "client_secret_post"


class Issuer:
    """One issuer. Whatever cannot be had of it now is ``UnavailableError``, within seconds."""

    def __init__(self, party: RelyingParty, secret: Secret | None, redirect_url: str) -> None:
        self.party = party
        self.redirect_url = redirect_url
        self._secret = secret
        self._http = IssuerHttp()
        self._metadata = _Kept(self._discover)
        self._keys = _Kept(self._ask_for_keys)

    def keys(self, other_than: IssuerKeys | None = None) -> IssuerKeys:
        """Return the issuer's keys; ``other_than`` those which did not do, unless these have just been asked for."""
        return self._keys.get(other_than)

    def authorization_endpoint(self) -> str:
        """Return where browsers log in."""
        return self._url_of(self._metadata.get(), "authorization_endpoint")

    def authorization_url(self, endpoint: str, login: OAuthState) -> str:
        """Return where to send the browser of this login."""
        scope = _SCOPES.get(self.party.claim, "openid profile")
        return authorization_url(endpoint, self.party, self.redirect_url, scope, login)

    def is_named_by(self, named: str | None) -> bool:
        """Tell whether an answer comes from this issuer, by the ``iss`` that it carries (RFC 9207)."""
        if named is not None:
            return named == self.party.issuer
        return self._metadata.get().get("authorization_response_iss_parameter_supported") is not True

    def exchange(self, code: Secret, login: OAuthState) -> Secret:
        """Return the ID token that a code stands for. Raises ``NotAuthenticatedError`` when the issuer refuses it."""
        metadata = self._metadata.get()
        methods = metadata.get("token_endpoint_auth_methods_supported")
        method = _POST if isinstance(methods, list) and _POST in methods and _BASIC not in methods else _BASIC
        id_token = self._http.exchange(
            self._url_of(metadata, "token_endpoint"),
            self.party,
            self._secret,
            method,
            {
                "code": code.reveal(),
                "code_verifier": login.verifier.reveal(),
                "redirect_uri": self.redirect_url,
            },
        )
        if not isinstance(id_token, str):
            raise UnavailableError("the issuer gave no ID token")
        return Secret(id_token)

    def _discover(self) -> dict[str, Any]:
        found = self._http.document(f"{self.party.issuer.rstrip('/')}/.well-known/openid-configuration")
        if not isinstance(found, dict) or found.get("issuer") != self.party.issuer:
            raise UnavailableError("what OIDC_ISSUER publishes names another issuer")
        return found

    def _ask_for_keys(self) -> IssuerKeys:
        keys = IssuerKeys(self._http.document(self._url_of(self._metadata.get(), "jwks_uri")))
        if not keys:
            raise UnavailableError("the issuer publishes no key that is of use")
        return keys

    def _url_of(self, metadata: dict[str, Any], name: str) -> str:
        """Return a URL that the issuer publishes, if it is one that may be trusted with secrets.

        What listens on this machine is nothing to an issuer that does not.
        """
        try:
            url = service_url(str(metadata.get(name)))
        except ValueError as error:
            raise UnavailableError(f"the issuer's {name} is no https URL") from error
        if _is_https(self.party.issuer) and not _is_https(url):
            raise UnavailableError(f"the issuer's {name} is no https URL")
        return url


class _Kept(Generic[Document]):
    """A document that is asked for by one request at a time, and kept for a while."""

    def __init__(self, ask: Callable[[], Document]) -> None:
        self._ask = ask
        self._lock = Lock()
        self._places = BoundedSemaphore(_MOST_WAITING)
        self._kept: tuple[float, Document] | None = None  # when it was asked for, and what came
        self._silent_until = 0.0

    def get(self, other_than: Document | None = None) -> Document:
        now, kept = time.monotonic(), self._kept
        if kept is not None and self._does(kept, now, other_than):
            return kept[1]
        about_to_wait()
        if not self._places.acquire(blocking=False):
            raise UnavailableError("too many wait for what the issuer publishes")
        try:
            return self._get_in_turn(other_than)
        finally:
            self._places.release()

    def _get_in_turn(self, other_than: Document | None) -> Document:
        with giving_way():
            if not self._lock.acquire(timeout=_PATIENCE):
                raise UnavailableError("others wait for the issuer")
        try:
            now, kept = time.monotonic(), self._kept
            if kept is not None and self._does(kept, now, other_than):
                return kept[1]
            if now < self._silent_until:
                raise UnavailableError("the issuer gave no answer a moment ago")
            try:
                document = self._ask()
            except UnavailableError:
                self._silent_until = time.monotonic() + _SILENT_SECONDS
                raise
            self._kept = (now, document)
            return document
        finally:
            self._lock.release()

    @staticmethod
    def _does(kept: tuple[float, Document], now: float, other_than: Document | None) -> bool:
        asked_at, document = kept
        lasts = _KEPT_SECONDS if document is not other_than else _ASKED_AGAIN_SECONDS
        return now - asked_at < lasts


def _is_https(url: str) -> bool:
    return urlsplit(url).scheme == "https"
