"""Who makes a request that may carry a JSON Web Token: as ``Token`` or ``Bearer``; or an API token, or a password."""

from flask import request

from api.authorization import Basic, Bearer, read_authorization
from api.exchanges import recognised
from api.proxies import TrustedProxies
from models import permissions
from models.clients import Client
from models.core import Core
from models.credentials import Caller
from models.errors import AccessDeniedError, NotAuthenticatedError
from models.jwt import named_key
from models.lookups import NOTHING, Foreseen
from models.passwords import MAX_BYTES
from models.secret import Secret


class JwtAuth:
    """Reads the ``Authorization`` header for the surfaces that issue tokens."""

    def __init__(self, core: Core, proxies: TrustedProxies) -> None:
        self._core = core
        self._proxies = proxies

    def caller(self) -> Caller:
        """Return who asks. Raises ``NotAuthenticatedError``, ``TooManyAttemptsError``, ``UnavailableError``."""
        presented = Secret(request.headers.get("Authorization", ""))
        return recognised(caller_by(self._core, presented, self._proxies.client(request.environ)))

    def admin(self) -> Caller:
        """Return the admin who asks. Raises as ``caller``, and ``AccessDeniedError`` for who is none."""
        caller = self.caller()
        permissions.require_group_change(caller)
        return caller

    def voucher(self) -> Caller:
        """Return the admin who vouches for another user, by password or API token. Raises as ``admin``.

        A session vouches for nobody: it could renew itself for ever.
        """
        caller = self.admin()
        if caller.session is not None:
            raise AccessDeniedError
        return caller


def caller_by(core: Core, authorization: Secret, client: Client, foreseen: Foreseen = NOTHING) -> Caller:
    """Return who presents this ``Authorization`` header. Raises as ``JwtAuth.caller`` does."""
    header = authorization.reveal()
    scheme, _, token = header.partition(" ")
    if scheme.lower() == "token":
        return core.tokens.resume(Secret(token.strip(" ")), client)
    match read_authorization(header):
        case Bearer(token=presented):
            # An API token may look like anything, but has not the length of a token that names a key.
            if len(presented.reveal()) > MAX_BYTES and named_key(presented.reveal()) is not None:
                return core.tokens.resume(presented, client)
            return core.authenticator.bearer(presented, client, foreseen)
        case Basic(user_name, secret):
            return core.authenticator.basic(user_name, secret, client, foreseen)
    raise NotAuthenticatedError
