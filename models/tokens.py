"""Tokens: a session's id in a JSON Web Token, which says whose it is and which anybody can verify."""

from collections.abc import Callable
from datetime import datetime, timedelta

from models.clients import Client
from models.credentials import Caller
from models.errors import NotAuthenticatedError
from models.jwt import BadTokenError, named_key
from models.secret import Secret
from models.sessions import TOKEN, Sessions
from models.signing_keys import SigningKeys


class Tokens:
    """The tokens of one store.

    A token's ``jti`` is the id of a session, so a token is listed, ends and is revoked as sessions are. That nothing
    but the store decides is on purpose: what a token says of its user's name and group is for others to read.
    """

    def __init__(
        self,
        sessions: Sessions,
        signing_keys: SigningKeys,
        *,
        clock: Callable[[], datetime],
        issuer: str,
        lifetime: timedelta,
    ) -> None:
        self._sessions = sessions
        self._keys = signing_keys
        self._clock = clock
        self._issuer = issuer
        self._lifetime = lifetime

    def issue(self, caller: Caller, user_agent: str = "") -> Secret:
        """Make a token for a caller who has just logged in."""
        key = self._keys.current()
        jti, session = self._sessions.begin(caller, TOKEN, user_agent)
        user = caller.user
        claims = {
            "iss": self._issuer,
            "sub": user.id,
            "id": user.id,
            "name": user.name or user.user_name,
            "user_group": user.user_group,
            "iat": int(session.created_at.timestamp()),
            "exp": int((session.created_at + self._lifetime).timestamp()),  # sooner, if it is not used
            "jti": jti.reveal(),
        }
        return Secret(key.sign(claims))

    def resume(self, token: Secret, client: Client) -> Caller:
        """Return whose token it is. Raises ``NotAuthenticatedError``."""
        key_id = named_key(token.reveal())
        key = self._keys.find(key_id) if key_id is not None else None
        if key is None:
            raise NotAuthenticatedError
        try:
            claims = key.claims(token.reveal())
        except BadTokenError as error:
            raise NotAuthenticatedError from error
        expires_at, jti = claims.get("exp"), claims.get("jti")
        if claims.get("iss") != self._issuer or not isinstance(jti, str) or not isinstance(expires_at, int):
            raise NotAuthenticatedError
        if self._clock().timestamp() >= expires_at:
            raise NotAuthenticatedError
        caller = self._sessions.resume(TOKEN, Secret(jti), client)
        if caller.user.id != claims.get("sub"):
            raise NotAuthenticatedError
        return caller

    def revoke(self, caller: Caller) -> bool:
        """End the token that the caller came by; return whether it had not ended yet."""
        return self._sessions.end(caller)
