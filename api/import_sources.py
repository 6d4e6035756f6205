"""What other systems call the fields of their users."""

import re
from base64 import b64encode
from collections.abc import Callable
from functools import partial
from typing import Any

from models.errors import BrokenRuleError

Object = dict[str, Any]

_AUTH0_TEXTS = {"argon2", "bcrypt", "pbkdf2", "ldap"}
_AUTH0_ENCODINGS = ("ascii", "utf8")


def django(item: Object) -> Object | None:
    """Read an object of ``manage.py dumpdata auth.user``; of other models, which have no password, none."""
    fields = item.get("fields")
    if not isinstance(fields, dict) or "password" not in fields:
        return None
    names = [fields.get(name) for name in ("first_name", "last_name")]
    hashed = fields.get("password")
    usable = isinstance(hashed, str) and not hashed.startswith("!") and hashed
    return _fields(
        user_name=fields.get("username") or fields.get("email"),
        email=fields.get("email"),
        name=" ".join(name for name in names if isinstance(name, str) and name),
        password_hash=hashed if usable else None,
        disabled=not fields.get("is_active", True),
    )


def kratos(item: Object) -> Object:
    """Read an identity of Ory Kratos, as ``list identities`` gives it with its credentials, or as imports take it."""
    traits, password = _member(item, "traits"), _member(item, "credentials", "password")
    config = _member(password, "config")
    identifiers = password.get("identifiers")
    name = traits.get("name")
    if isinstance(name, dict):
        name = " ".join(str(part) for part in (name.get("first"), name.get("last")) if part)
    return _fields(
        user_name=traits.get("username")
        or (identifiers[0] if isinstance(identifiers, list) and identifiers else traits.get("email")),
        email=traits.get("email"),
        name=name,
        password_hash=config.get("hashed_password"),
        password=config.get("password"),
        disabled=item.get("state", "active") != "active",
    )


def auth0(item: Object) -> Object:
    """Read a user of Auth0: of its bulk import's schema, or of the export with hashes that its support gives."""
    custom = item.get("custom_password_hash")
    hashed = item.get("password_hash") or item.get("passwordHash")
    if isinstance(custom, dict):
        hashed = _auth0_hash(custom)
    name = item.get("name")
    return _fields(
        user_name=item.get("username") or item.get("email"),
        email=item.get("email"),
        name=None if name == item.get("email") else name,
        password_hash=hashed,
        disabled=item.get("blocked", False),
    )


def firebase(config: str) -> Callable[[Object], Object]:
    """Return the reader of the users of ``firebase auth:export``, whose hashes need the project's parameters.

    ``config`` is the text that the console shows as "Password hash parameters". Raises ``BrokenRuleError``.
    """
    values = dict(re.findall(r'"?(\w+)"?\s*:\s*"?([A-Za-z0-9+/=_-]+)"?', config))
    try:
        settings = f"$firescrypt$ln={int(values['mem_cost'])},r={int(values['rounds'])},p=1"
        end = f"{values.get('base64_salt_separator', '')}${values['base64_signer_key']}"
    except (KeyError, ValueError) as error:
        raise BrokenRuleError(
            "The parameters of Firebase's hashes have to name base64_signer_key, base64_salt_separator, rounds and"
            " mem_cost."
        ) from error
    return partial(_firebase, settings, end)


def _firebase(settings: str, end: str, item: Object) -> Object:
    hashed = item.get("passwordHash")
    return _fields(
        user_name=item.get("email") or item.get("phoneNumber") or item.get("localId"),
        email=item.get("email"),
        name=item.get("displayName"),
        password_hash=f"{settings}${item.get('salt', '')}${hashed}${end}" if hashed else None,
        disabled=item.get("disabled", False),
    )


def _auth0_hash(custom: Object) -> str:
    if _member(custom, "password").get("encoding", "utf8") not in _AUTH0_ENCODINGS:
        raise BrokenRuleError("Its custom_password_hash is of a password in another encoding than UTF-8.")
    algorithm, hashed, salt = custom.get("algorithm"), _member(custom, "hash"), _member(custom, "salt")
    if isinstance(algorithm, str) and algorithm in _AUTH0_TEXTS:
        return str(hashed.get("value"))
    if algorithm == "scrypt":
        costs = f"ln={custom.get('cost', 16384)},r={custom.get('blockSize', 8)},p={custom.get('parallelization', 1)}"
        return f"$scrypt${costs}${_base64(salt)}${_base64(hashed)}"
    raise BrokenRuleError("The algorithm of its custom_password_hash is not one that Doorman knows.")


def _base64(encoded: Object) -> str:
    value, encoding = str(encoded.get("value", "")), encoded.get("encoding", "utf8")
    try:
        if encoding == "hex":
            return b64encode(bytes.fromhex(value)).decode()
    except ValueError as error:
        raise BrokenRuleError("A value of its custom_password_hash is not hex.") from error
    return value if encoding == "base64" else b64encode(value.encode("utf-8", "surrogatepass")).decode()


def _member(item: object, *path: str) -> Object:
    """Return an object within an object, or an empty one where there is none."""
    for name in path:
        item = item.get(name) if isinstance(item, dict) else None
    return item if isinstance(item, dict) else {}


def _fields(**fields: Any) -> Object:
    """Leave out what is not given, or empty, as other systems have it for nothing."""
    return {name: value for name, value in fields.items() if value is not None and value != ""}
