"""Forward authentication: ``GET /api/v2/verify``, which proxies ask before they let a request through.

What is answered goes by the credential alone. What else a proxy says of the request (``X-Forwarded-Uri``,
``X-Original-Method``) comes from the client, and decides nothing.
"""

from urllib.parse import quote

from flask import Blueprint, Response, request

from api.exchanges import recognised
from api.foresight import foreseen
from api.jwt_auth import caller_by
from api.proxies import TrustedProxies
from api.queries import query
from api.routes import add_route
from api.schemas import VERIFY_QUERY
from api.session_cookie import session_ids
from models import permissions
from models.core import Core
from models.credentials import Caller
from models.errors import NotAuthenticatedError
from models.secret import Secret
from models.sessions import SESSION
from models.user import User

# So long may a proxy go by an answer, and so long may what was revoked go on opening what is behind it.
_LIFETIME = {"Cache-Control": "private, max-age=5", "Vary": "Authorization, Cookie"}
# Of what is no letter or digit: what no proxy, server or list of values reads in a way of its own.
_PLAIN = "-._~@"


class ForwardAuth:
    """The route. Passwords and tokens come in ``Authorization``; without one, the cookie of a session counts."""

    def __init__(self, core: Core, proxies: TrustedProxies) -> None:
        self._core = core
        self._proxies = proxies

    def blueprint(self) -> Blueprint:
        blueprint = Blueprint("forward_auth", __name__, url_prefix="/api/v2")
        # A proxy may ask by its client's method and go by the status, so none but these may be answered otherwise.
        add_route(blueprint, "/verify", GET=self.verify)
        return blueprint

    def verify(self) -> Response:
        """Tell whose credential the request has, in headers; with ``group``, whether the user is in one of these."""
        caller = recognised(self._caller())
        if request.query_string:
            groups = query(VERIFY_QUERY)["group"]
            if groups is not None:
                permissions.require_group(caller, groups)
        answer = Response(headers={**identity(caller.user), **_LIFETIME})
        del answer.headers["Content-Type"]
        return answer

    def _caller(self) -> Caller:
        client = self._proxies.client(request.environ)
        authorization = request.headers.get("Authorization")
        if authorization is not None:
            return caller_by(self._core, Secret(authorization), client, foreseen())
        # Another site of the domain may have added a cookie, to have people work as somebody else: two are none.
        sessions = set(session_ids())
        if len(sessions) != 1:
            raise NotAuthenticatedError
        return self._core.sessions.resume(SESSION, Secret(sessions.pop()), client)


def identity(user: User) -> dict[str, str]:
    """Return the headers that say who a user is: ASCII without spaces, commas or quotes, whatever the name is.

    In the name everything but ASCII letters, digits and ``-._~@`` is percent-encoded (RFC 3986, 2.1), ``%`` as well, so
    no two names are written alike. OAuth users may have the names of ordinary ones, in which there is no colon: they
    are told apart by ``oauth:``. The id is never another's, also when the name is.
    """
    name = quote(user.user_name, safe=_PLAIN)
    return {
        "X-Auth-User": f"oauth:{name}" if user.oauth else name,
        "X-Auth-Id": user.id,
        "X-Auth-Group": user.user_group,
    }
