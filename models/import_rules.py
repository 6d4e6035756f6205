"""Users that come from elsewhere, held to every rule and made ready for the store."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from models import bcrypt_hashes
from models.errors import BrokenRuleError, InvalidParametersError
from models.foreign_hashes import ForeignHash
from models.import_fields import read_field
from models.names import UserName
from models.passwords import PasswordPolicy
from models.secret import Secret
from models.secret_key import KeyRing
from models.user import OAuth, User, new_user_id

Fields = Mapping[str, object]


SECRETS = frozenset({"password", "token"})  # that are to be hashed
_HARMLESS = frozenset({"name"})


@dataclass(frozen=True, slots=True)
class Entry:
    """One user as a file gives it, at a place that is told when something is wrong: a line, or which of a list."""

    place: int
    fields: Fields
    broken: Mapping[str, list[str]] = field(default_factory=dict)  # what was wrong before any field could be looked at
    # A password is not given on purpose: who is new is made without one, and who is there keeps what there is.
    passwordless: bool = False


@dataclass(slots=True)
class Candidate:
    """An entry that broke no rule: the user's columns that it gives, and the secrets that are to be hashed."""

    place: int
    name: UserName
    oauth: OAuth
    columns: dict[str, Any]
    password: Secret | None
    token: Secret | None
    hashed: ForeignHash | int | None  # the kind of the password's hash; of bcrypt's the cost
    lost_token: bool  # its digests are of another secret key

    @property
    def key(self) -> tuple[str, OAuth]:
        return self.name.key, self.oauth

    @property
    def hashes(self) -> int:
        """How many secrets are to be hashed."""
        return (self.password is not None) + (self.token is not None)

    def changes(self, wanted: Collection[str], hashed: Callable[[str], Mapping[str, Any]]) -> dict[str, Any]:
        """Return the columns that change with the fields ``wanted``; ``hashed`` gives those of a secret."""
        changes = {name: self.columns[name] for name in wanted if name in self.columns}
        if "email" in changes:
            changes["email_key"] = self.columns["email_key"]
        for secret in SECRETS.intersection(wanted):
            changes |= hashed(secret)
        return changes


class ImportRules:
    """``passwordless`` takes users for whom no password is given: they cannot log in until an admin gives them one."""

    def __init__(self, policy: PasswordPolicy, keys: KeyRing, rounds: int, *, passwordless: bool = False) -> None:
        self._policy = policy
        self._key_ids = {key.id for key in keys.keys}
        self._rounds = rounds
        self._passwordless = passwordless

    def check(self, entry: Entry) -> Candidate:
        """Hold each value to its rule. Raises ``InvalidParametersError`` with all that are broken."""
        broken = {name: list(rules) for name, rules in entry.broken.items()}
        values: dict[str, Any] = {}
        for name, value in entry.fields.items():
            try:
                values[name] = read_field(name, value)
            except BrokenRuleError as error:
                broken[name] = [str(error)]
        if not broken:
            self._check_together(values, broken, passwordless=self._passwordless or entry.passwordless)
        if broken:
            raise InvalidParametersError(broken)
        return self._candidate(entry.place, values)

    def new_user(self, candidate: Candidate, hashes: Mapping[str, Any], now: datetime) -> User:
        """Make the user, ``hashes`` being the columns of the secrets that were hashed."""
        values: dict[str, Any] = {
            "id": new_user_id(now),
            "oauth": candidate.oauth,
            "password_hash": None,
            "token_digests": (),
            "name": None,
            "email": None,
            "email_key": None,
            "user_group": "noob",
            "disabled": False,
            "epoch": 1,
            "revision": 1,
            "created_at": now,
            "updated_at": now,
        }
        values |= candidate.columns
        values |= hashes
        if "token_hash" not in values:  # of a token that nobody has, until one is asked for
            values["token_hash"] = bcrypt_hashes.of_nothing(self._rounds)
        return User(**values)

    def _check_together(self, values: dict[str, Any], broken: dict[str, list[str]], *, passwordless: bool) -> None:
        oauth = values.get("oauth", 0)
        if "user_name" not in values:
            broken["user_name"] = ["It is required."]
            return
        if values.get("password") is not None and values.get("password_hash") is not None:
            broken["password"] = ["It cannot be given beside password_hash."]
        if values.get("token") is not None and values.get("token_hash") is not None:
            broken["token"] = ["It cannot be given beside token_hash."]
        if "token_digests" in values and "token_hash" not in values:
            broken["token_digests"] = ["They need token_hash beside them."]
        has_password = values.get("password") is not None or values.get("password_hash") is not None
        if oauth and has_password:
            broken["password"] = ["An OAuth user has no password."]
        if not oauth and not has_password and "password_hash" not in values and not passwordless:
            broken["password"] = ["It is required, or password_hash."]
        if values.get("password") is not None:
            try:
                values["password"] = self._policy.enforce(values["password"], values["user_name"].shown)
            except BrokenRuleError as error:
                broken["password"] = [str(error)]

    def _candidate(self, place: int, values: dict[str, Any]) -> Candidate:
        name: UserName = values.pop("user_name")
        oauth: OAuth = values.pop("oauth", 0)
        password, token, key_ids = (values.pop(key, None) for key in ("password", "token", "secret_keys"))
        columns: dict[str, Any] = {"user_name": name.shown, "name_key": name.key, **values}
        hashed = None
        if "password_hash" in columns:
            found = columns["password_hash"]
            columns["password_hash"], hashed = (None, None) if found is None else found
            if password is not None:
                del columns["password_hash"]
        if "email" in columns:
            columns["email"], columns["email_key"] = columns["email"] or (None, None)
        lost = False
        if "token_hash" in columns:
            digests = columns.get("token_digests", ())
            lost = bool(digests) and not self._key_ids & set(key_ids or ())
            columns["token_digests"] = () if lost else digests
        return Candidate(place, name, oauth, columns, password, token, hashed, lost)


def refused_changes(candidate: Candidate, found: User, differing: Sequence[str]) -> Mapping[str, Sequence[str]]:
    """Return what must not be changed of a user who is there, with the rules."""
    if "id" in differing:
        return {"id": ["It never changes, and the user who is there has another one."]}
    if "user_name" in differing:
        return {"user_name": ["The user who is there writes it otherwise, and may be somebody else."]}
    # In other systems people choose their names, and whoever is called like an admin here is none.
    if found.user_group != "noob" and "user_group" not in candidate.columns and not _HARMLESS.issuperset(differing):
        return {"user_group": ["The user who is there is no noob: to change it, the file has to name its group."]}
    return {}
