"""How OAuth users prove who they are: by an ID token that they bring, or by a browser that is sent to the issuer."""

from typing import TYPE_CHECKING, Protocol, TypedDict
from urllib.parse import urlsplit

from flask import Response, request

from api.proxies import TrustedProxies
from api.settings import Settings
from models.core import Core
from models.credentials import Caller
from models.errors import DoormanError, NotAuthenticatedError
from models.id_tokens import Proof
from models.jwt import UnknownKeyError
from models.oauth_states import OPEN_FOR
from models.secret import Secret

if TYPE_CHECKING:
    from api.openid import Issuer

COOKIE = "oauth_login"
_LONGEST_CODE = 4096


class NoIssuerError(DoormanError):
    """No issuer is configured, so none can vouch for anybody."""


class OAuthProofs(Protocol):
    """What can be proved without an admin. Each call raises ``NoIssuerError`` where nothing can."""

    def by_id_token(self, net_id: str, id_token: object, name: str | None) -> Caller:
        """Log in whom the token names ``net_id``. Raises ``NotAuthenticatedError``, and as ``OAuthLogins.log_in``."""

    def begin(self) -> Response:
        """Send the browser to the issuer."""

    def finish(self) -> Caller:
        """Log in whom the issuer sends back. Raises as ``by_id_token`` does, and ``TooManyAttemptsError``."""

    def forget(self, answer: Response) -> Response:
        """Take from the browser what ``begin`` gave it."""


class NoProofs:
    """What there is without an issuer."""

    def by_id_token(self, net_id: str, id_token: object, name: str | None) -> Caller:  # noqa: ARG002 - the protocol's
        raise NoIssuerError

    def begin(self) -> Response:
        raise NoIssuerError

    def finish(self) -> Caller:
        raise NoIssuerError

    def forget(self, answer: Response) -> Response:
        return answer


class IssuerProofs:
    """What an issuer vouches for."""

    def __init__(self, core: Core, proxies: TrustedProxies, issuer: "Issuer") -> None:
        self._core = core
        self._proxies = proxies
        self._issuer = issuer

    def by_id_token(self, net_id: str, id_token: object, name: str | None) -> Caller:
        client = self._proxies.client(request.environ)
        try:
            return self._core.oauth_logins.log_in(client, self._proof_of(net_id, id_token), name)
        except NotAuthenticatedError:
            self._core.oauth_logins.token_refused(client, net_id)
            raise

    def _proof_of(self, net_id: str, id_token: object) -> Proof:
        if not isinstance(id_token, str):
            raise NotAuthenticatedError
        proof = self._verified(Secret(id_token))
        if proof.user_name != net_id:
            raise NotAuthenticatedError
        return proof

    def begin(self) -> Response:
        endpoint = self._issuer.authorization_endpoint()
        login, browser = self._core.oauth_states.begin()
        answer = Response(status=303, headers={"Location": self._issuer.authorization_url(endpoint, login)})
        answer.set_cookie(COOKIE, browser.reveal(), max_age=OPEN_FOR, **self._cookie_options())
        return answer

    def finish(self) -> Caller:
        client = self._proxies.client(request.environ)
        self._core.oauth_logins.admit(client)  # first: who has to wait loses no login by it
        state, browser = _only(request.args.getlist("state")), _only(request.cookies.getlist(COOKIE))
        login = self._core.oauth_states.finish(Secret(state), Secret(browser))
        issuers = request.args.getlist("iss")
        if len(issuers) > 1 or not self._issuer.is_named_by(issuers[0] if issuers else None):
            raise NotAuthenticatedError
        if "error" in request.args:
            raise NotAuthenticatedError
        code = _only(request.args.getlist("code"))
        if len(code) > _LONGEST_CODE:
            raise NotAuthenticatedError
        try:
            id_token = self._issuer.exchange(Secret(code), login)
        except NotAuthenticatedError:
            self._core.oauth_logins.code_refused(client)
            raise
        return self._core.oauth_logins.log_in(client, self._verified(id_token, login.nonce))

    def forget(self, answer: Response) -> Response:
        answer.delete_cookie(COOKIE, **self._cookie_options())
        return answer

    def _verified(self, id_token: Secret, nonce: Secret | None = None) -> Proof:
        keys = self._issuer.keys()
        try:
            return self._core.id_tokens.verify(self._issuer.party, keys, id_token, nonce)
        except UnknownKeyError:
            keys = self._issuer.keys(other_than=keys)
        try:
            return self._core.id_tokens.verify(self._issuer.party, keys, id_token, nonce)
        except UnknownKeyError as error:
            raise NotAuthenticatedError from error

    def _cookie_options(self) -> "_CookieOptions":
        # As browsers see the callback, which a proxy may have put behind TLS and under another path.
        callback = urlsplit(self._issuer.redirect_url)
        return {
            "path": callback.path or "/",
            "secure": callback.scheme == "https",
            "httponly": True,
            "samesite": "Lax",
        }


class _CookieOptions(TypedDict):
    path: str
    secure: bool
    httponly: bool
    samesite: str


def proofs_for(settings: Settings, core: Core, proxies: TrustedProxies) -> OAuthProofs:
    """Return what the settings allow to prove."""
    party, redirect_url = settings.relying_party, settings.oidc_redirect_url
    if party is None or redirect_url is None:
        return NoProofs()
    from api.openid import Issuer  # noqa: PLC0415 - what it needs takes 5 MB in each worker

    return IssuerProofs(core, proxies, Issuer(party, settings.oidc_client_secret, redirect_url))


def _only(values: list[str]) -> str:
    """Return the value if there is exactly one: two are somebody else's doing."""
    if len(values) != 1:
        raise NotAuthenticatedError
    return values[0]
