"""What a surface asks to be set on an account, held to every rule and made ready for the store."""

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypedDict

from models import names
from models.clients import Client
from models.errors import BrokenRuleError, InvalidParametersError
from models.hashing_gate import HashingGate
from models.names import UserName
from models.passwords import MAX_BYTES, Hasher, PasswordPolicy
from models.secret import Secret
from models.secret_key import KeyRing
from models.user import OAuth, UserGroup

# For whom something is hashed: an admin, by its id, or anybody else, by where they are.
Asker = str | Client

TOKEN_MIN = 15
B64TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]+=*")  # RFC 6750, 2.1


class Changes(TypedDict, total=False):
    """The fields that an account takes from outside; an absent one stays as it is, and ``None`` clears it."""

    user_name: str
    password: Secret
    token: Secret
    name: str | None
    email: str | None
    user_group: UserGroup
    disabled: bool


@dataclass(frozen=True, slots=True)
class CheckedChanges:
    """Changes that broke no rule: the user's columns as far as they need no hashing, and the secrets that do."""

    user_name: UserName  # that the user will have
    columns: dict[str, Any] = field(default_factory=dict)
    password: Secret | None = None
    token: Secret | None = None


class AccountRules:
    """The rules for each field, and the hashing that comes after them."""

    def __init__(self, policy: PasswordPolicy, hasher: Hasher, gate: HashingGate, keys: KeyRing) -> None:
        self._policy = policy
        self._hasher = hasher
        self._gate = gate
        self._keys = keys

    @staticmethod
    def name(user_name: str) -> UserName:
        """Hold a name alone to its rule. Raises ``InvalidParametersError``."""
        try:
            return names.user_name(user_name)
        except BrokenRuleError as error:
            raise InvalidParametersError({"user_name": [str(error)]}) from error

    def check(self, user_name: str, changes: Changes, oauth: OAuth = 0, *, creating: bool = False) -> CheckedChanges:
        """Hold the name and every value to its rule. Raises ``InvalidParametersError`` with all that are broken.

        ``user_name`` is the user's, unless the changes give another one.
        """
        broken: dict[str, list[str]] = {}
        columns: dict[str, Any] = {key: changes[key] for key in ("user_group", "disabled") if key in changes}
        password, token = changes.get("password"), changes.get("token")
        user_name = changes.get("user_name", user_name)
        name = UserName(user_name, user_name)
        with _noting(broken, "user_name"):
            name = names.user_name(user_name)
        if "user_name" in changes:
            columns["user_name"], columns["name_key"] = name
        with _noting(broken, "password"):
            if password is not None and oauth:
                raise BrokenRuleError("An OAuth user has no password.")
            if password is None and creating and not oauth:
                raise BrokenRuleError("It is required.")
            if password is not None:
                password = self._policy.enforce(password, name.shown)
        with _noting(broken, "token"):
            if token is not None:
                check_token(token)
                self._policy.enforce_token(token, name.shown)
        if "name" in changes:
            with _noting(broken, "name"):
                columns["name"] = None if changes["name"] is None else names.display_name(changes["name"])
        if "email" in changes:
            with _noting(broken, "email"):
                columns["email"], columns["email_key"] = (
                    (None, None) if changes["email"] is None else names.email_address(changes["email"])
                )
        if broken:
            raise InvalidParametersError(broken)
        if creating and token is None:
            token = new_token()
        return CheckedChanges(name, columns, password, token)

    def hashed(self, checked: CheckedChanges, asker: Asker) -> dict[str, Any]:
        """Return the columns to write, secrets hashed: about 0.2 s of a core for each at the default cost.

        ``asker`` waits for its turn to hash. Raises ``UnavailableError``.
        """
        columns = dict(checked.columns)
        if checked.password is None and checked.token is None:
            return columns
        with self._gate.change(asker) if isinstance(asker, str) else self._gate.login(asker.network):
            if checked.password is not None:
                columns["password_hash"] = self._hasher.hash(checked.password)
            if checked.token is not None:
                columns["token_hash"] = self._hasher.hash(checked.token)
                columns["token_digests"] = self._keys.token_digests(checked.token)
        return columns


def new_token() -> Secret:
    """Make an API token: 256 random bits in 43 characters of base64url."""
    return Secret(secrets.token_urlsafe(32))


def check_token(token: Secret) -> None:
    """Raise ``BrokenRuleError`` for what cannot be an API token."""
    text = token.reveal()
    if not TOKEN_MIN <= len(text) <= MAX_BYTES:
        raise BrokenRuleError(f"It must have {TOKEN_MIN} to {MAX_BYTES} characters.")
    if not B64TOKEN.fullmatch(text):
        raise BrokenRuleError('It may contain ASCII letters, digits and "-._~+/", and "=" at the end (RFC 6750).')


@contextmanager
def _noting(broken: dict[str, list[str]], name: str) -> Iterator[None]:
    try:
        yield
    except BrokenRuleError as error:
        broken.setdefault(name, []).append(str(error))
