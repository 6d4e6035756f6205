"""Logging in users whom an issuer has named."""

from models.account_rules import Changes
from models.accounts import Accounts
from models.clients import Client
from models.credentials import Caller
from models.errors import (
    BrokenRuleError,
    InvalidParametersError,
    NotAuthenticatedError,
    UserExistsError,
    UserNotFoundError,
)
from models.id_tokens import IdTokens, Proof
from models.login_failures import LoginFailures
from models.login_limiter import LoginLimiter
from models.names import LONGEST_TRIED, display_name, lookup_key, user_name
from models.user import User


class OAuthLogins:
    """Turns proofs into callers. A user who is not known yet is made, of the group ``noob``."""

    def __init__(self, accounts: Accounts, id_tokens: IdTokens, limiter: LoginLimiter, failures: LoginFailures) -> None:
        self._accounts = accounts
        self._failures = failures
        self._id_tokens = id_tokens
        self._limiter = limiter

    def admit(self, client: Client) -> None:
        """Let a code from there be shown to the issuer. Raises ``TooManyAttemptsError``."""
        self._limiter.admit(client)

    def code_refused(self, client: Client) -> None:
        """Count a code that the issuer refuses as a failed login: it costs the issuer something, too."""
        self._limiter.failed(client)

    def token_refused(self, client: Client, net_id: str) -> None:
        """Note an ID token that vouches for nobody. It costs a signature's check alone, and slows nobody down."""
        self._failures.failed(client, lookup_key(net_id) or net_id[:LONGEST_TRIED])

    def log_in(self, client: Client, proof: Proof, name: str | None = None) -> Caller:
        """Return whom the proof names, who is shown as ``name`` if new, or as the issuer has it.

        Raises ``InvalidParametersError`` for what can be no user's name, ``UserExistsError`` when it is another
        user's in all but its case, and ``NotAuthenticatedError`` for a disabled user, or when the proof was used.
        A proof is used up by this, unless its name was refused.
        """
        user = self.known(proof.user_name)
        fields = _shown(name, proof.name)
        self._id_tokens.spend(proof)
        if user is None:
            try:
                user = self._accounts.create_oauth(client, proof.user_name, fields)
            except UserExistsError:  # by a request that came at the same moment
                user = self.known(proof.user_name)
        if user is None or user.disabled:
            raise NotAuthenticatedError
        return Caller(user, client)

    def known(self, name: str) -> User | None:
        """Return the user who is called so to the letter, or ``None``. Raises as ``log_in`` does for such names.

        Whoever vouches may tell "Ann" from "ann", or from an "Ann" in wide letters, who must not share an account here.
        """
        _require_stored_form(name)
        try:
            user = self._accounts.get(name, 1)
        except UserNotFoundError:
            return None
        if user.user_name != name:
            raise UserExistsError
        return user


def _require_stored_form(name: str) -> None:
    try:
        stored = user_name(name).shown
    except BrokenRuleError as error:
        raise InvalidParametersError({"user_name": [str(error)]}) from error
    if stored != name:
        raise InvalidParametersError({"user_name": ["It has characters that stand for others (RFC 8265)."]})


def _shown(given: str | None, issued: str | None) -> Changes:
    """Return the name to show. The given one has to keep the rule; the issuer's is left out if it does not."""
    try:
        if given is not None and given.strip():
            return Changes(name=display_name(given))
    except BrokenRuleError as error:
        raise InvalidParametersError({"name": [str(error)]}) from error
    try:
        return Changes(name=display_name(issued)) if issued is not None else Changes()
    except BrokenRuleError:
        return Changes()
