"""What a first start makes: the secret key beside an SQLite database, and the first admin."""

import contextlib
import logging
import os
import secrets
import sys
from pathlib import Path
from typing import TextIO

from api.exchanges import by_system
from api.settings import Settings
from models.account_rules import Changes
from models.accounts import Accounts
from models.errors import InvalidParametersError, SetupError, UserExistsError
from models.secret import Secret

logger = logging.getLogger(__name__)
_MAGIC = b"SQLite format 3\0"  # https://www.sqlite.org/fileformat.html, 1.3
_GENERATED_NAME = "admin"
_SETTING_OF = {"user_name": "BASIC_AUTH_USER", "password": "BASIC_AUTH_PASSWORD", "token": "AUTH_TOKEN"}


def secret_key(settings: Settings) -> Secret:
    """Return ``SECRET_KEY``, or the key beside the SQLite database, which the very first start makes.

    Raises ``SetupError`` if it cannot be read or made, or if there is a database whose key is gone.
    """
    if settings.secret_key is not None:
        return settings.secret_key
    if settings.sqlite_path is None:
        raise SetupError("SECRET_KEY is required with MongoDB, since all replicas share it.")
    database = settings.sqlite_path
    path = database.with_name(f"{database.name}.secret-key")
    try:
        # The key is always made before the database, so a database without a key has lost it.
        if not path.exists() and database.exists() and database.stat().st_size:
            _require_database(database)
            raise SetupError(f"{database} is there, but its secret key is not: restore {path}, or set SECRET_KEY.")
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write_once(path, f"{secrets.token_urlsafe(48)}\n")
        return Secret(path.read_text("ascii").strip())
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise SetupError(f"The secret key in {path} can be neither read nor made: {reason}.") from error


def present_secret_key(settings: Settings) -> Secret | None:
    """Return the secret key if there is one, and make none. Raises ``SetupError`` if it cannot be read."""
    if settings.secret_key is not None:
        return settings.secret_key
    path = secret_key_path(settings)
    return secret_key(settings) if path is not None and path.exists() else None


def secret_key_path(settings: Settings) -> Path | None:
    """Return the file beside the SQLite database that holds the key, or ``None`` where the settings hold it."""
    if settings.secret_key is not None or settings.sqlite_path is None:
        return None
    return settings.sqlite_path.with_name(f"{settings.sqlite_path.name}.secret-key")


def _require_database(path: Path) -> None:
    """Raise ``SetupError`` for what never was a database, and has lost no key."""
    if path.is_dir():
        raise SetupError(f"{path} is a folder, and no database: have DATABASE_URL name a file.")
    if not path.is_file():
        raise SetupError(f"{path} is no file, and so no database: have DATABASE_URL name a file.")
    with path.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise SetupError(f"{path} is no database of SQLite: name a new file, or one that Doorman made.")


def first_admin(settings: Settings, accounts: Accounts, out: TextIO | None = None) -> None:
    """Make the first admin in a store that has none: the one that the settings name, or one with a random password.

    A random password is shown if standard output is a terminal. Otherwise it goes to a file of mode 0600, since the
    output of a service is a log. The file is there before the account is, so that no crash leaves a locked door.
    """
    with by_system():
        _first_admin(settings, accounts, out)


def _first_admin(settings: Settings, accounts: Accounts, out: TextIO | None) -> None:
    if settings.basic_auth_user is not None and settings.basic_auth_password is not None:
        fields: Changes = {"password": settings.basic_auth_password}
        if settings.auth_token is not None:
            fields["token"] = settings.auth_token
        if _create(accounts, settings.basic_auth_user, fields):
            logger.info("Created the first admin, %s, from the settings.", settings.basic_auth_user)
    elif not accounts.has_admin():
        _create_with_random_password(_credentials_path(settings), accounts, out or sys.stdout)


def _create_with_random_password(path: Path, accounts: Accounts, out: TextIO | None) -> None:
    password = Secret(secrets.token_urlsafe(18))
    shown = f"user name  {_GENERATED_NAME}\npassword   {password.reveal()}\n"
    if out is not None and out.isatty():  # a service may have been started without any standard output
        if _create(accounts, _GENERATED_NAME, {"password": password}):
            out.write(f"\nThe first admin of this store. This is shown once:\n\n{shown}\n")
            out.flush()
        return
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(draft, shown)
    except OSError as error:
        raise SetupError(
            f"The first admin's password cannot be written to {path.absolute()} ({error.strerror}): "
            "set BASIC_AUTH_USER and BASIC_AUTH_PASSWORD."
        ) from error
    try:
        created = _create(accounts, _GENERATED_NAME, {"password": password})
    except SetupError:
        draft.unlink()
        raise
    # Where the store was lost on the way, the account may be there all the same, and the file stays.
    if created:
        draft.rename(path)
        logger.warning("Created the first admin. Its credentials are in %s: keep them, and delete it.", path.absolute())
    else:
        draft.unlink()


def _credentials_path(settings: Settings) -> Path:
    database = settings.sqlite_path or Path("data/doorman")
    return database.with_name(f"{database.name}.first-admin")


def _create(accounts: Accounts, user_name: str, fields: Changes) -> bool:
    try:
        return accounts.create_first_admin(user_name, fields)
    except UserExistsError as error:
        raise SetupError(
            f"This store has no admin, and its user {user_name} is none: set BASIC_AUTH_USER to another name, or run "
            "`doorman admin create`."
        ) from error
    except InvalidParametersError as error:
        lines = [f"  {_SETTING_OF[field]}: {' '.join(rules)}" for field, rules in error.fields.items()]
        raise SetupError("\n".join(["The settings are wrong:", *lines])) from error


def _write_once(path: Path, text: str) -> None:
    """Make the file with its whole text, or leave the one that another process was first to make."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    _write(draft, text)
    with contextlib.suppress(FileExistsError):
        os.link(draft, path)
    draft.unlink()


def _write(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
