"""The settings: every one in ``OPTIONS``, read from the environment once, checked at start, wrong ones named."""

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

from api.contradictions import contradictions
from api.setting_values import (
    FEWEST_DISTINCT,
    LOG_LEVELS,
    SURFACES,
    Network,
    database_url,
    integer,
    is_loopback,
    issuer_url,
    matching,
    networks,
    one_of,
    origins,
    readable_file,
    secret_key,
    service_url,
    sqlite_path,
    surfaces,
)
from models.errors import SetupError
from models.id_tokens import RelyingParty
from models.passwords import LEAST_ROUNDS, MAX_BYTES, MOST_ROUNDS
from models.registrations import RegistrationPolicy
from models.secret import Secret
from models.secret_key import MIN_SECRET_KEY_BYTES
from models.sessions import Lifetimes

_LEAST_PASSWORD = 8  # NIST SP 800-63B, 3.1.1.2
_ADVISED_ROUNDS = 10  # OWASP Password Storage Cheat Sheet
_KEY_RULE = f"at least {MIN_SECRET_KEY_BYTES} bytes, of {FEWEST_DISTINCT} characters or more"


class _WrongSettingError(Exception):
    """A setting is wrong in a way that the message tells in full."""


@dataclass(frozen=True, slots=True)
class Option:
    """One setting: its default as it would be written, what is allowed, and how it is read (``ValueError``: wrong)."""

    default: str
    allowed: str
    read: Callable[[str], Any]
    in_file: bool = False  # may also be given in a file, which NAME_FILE names
    absent: Any = None  # the value of a setting that is empty


OPTIONS: Mapping[str, Option] = {
    "HOST": Option("127.0.0.1", "an address or host name to listen on", matching(r"[A-Za-z0-9.:_-]+")),
    "PORT": Option("5000", "1 to 65535", integer(1, 65535)),
    "WORKERS": Option("2", "1 to 64 processes", integer(1, 64)),
    "THREADS": Option("8", "1 to 64 threads a process", integer(1, 64)),
    "DATABASE_URL": Option(
        "sqlite:///data/doorman.db", "sqlite:///<path>, mongodb://… or mongodb+srv://…", database_url, in_file=True
    ),
    "DATABASE_NAME": Option(
        "doorman", "1 to 63 ASCII letters, digits, _ and - (MongoDB only)", matching(r"[A-Za-z0-9_-]{1,63}")
    ),
    "BASIC_AUTH_USER": Option("", "the first admin's user name, with BASIC_AUTH_PASSWORD", str, in_file=True),
    "BASIC_AUTH_PASSWORD": Option("", "the first admin's password, as the policy has it", Secret, in_file=True),
    "AUTH_TOKEN": Option("", "the first admin's API token, 15 to 72 characters of RFC 6750", Secret, in_file=True),
    "SECRET_KEY": Option("", f"{_KEY_RULE}; made at the first start with SQLite", secret_key, in_file=True),
    "SECRET_KEY_PREVIOUS": Option("", f"{_KEY_RULE}; the other key while one is rotated", secret_key, in_file=True),
    "ALLOWED_ORIGINS": Option(
        "", "origins like https://app.example.com, separated by commas", origins, absent=frozenset()
    ),
    "TRUSTED_PROXIES": Option(
        "", "addresses like 10.0.0.2 or networks like 10.0.0.0/24, separated by commas", networks, absent=()
    ),
    "BCRYPT_ROUNDS": Option(
        "12", f"{LEAST_ROUNDS} to {MOST_ROUNDS}; below {_ADVISED_ROUNDS} warns", integer(LEAST_ROUNDS, MOST_ROUNDS)
    ),
    "PASSWORD_MIN_LENGTH": Option("8", f"{_LEAST_PASSWORD} to {MAX_BYTES}", integer(_LEAST_PASSWORD, MAX_BYTES)),
    "PASSWORD_BLOCKLIST": Option(
        "", "a readable file, one password a line, in place of the list that ships", readable_file
    ),
    "SURFACES": Option("all", "all, or some of " + ", ".join(SURFACES) + ", separated by commas", surfaces),
    "REGISTRATION": Option("open", "open, or closed: then only admins make accounts", one_of("open", "closed")),
    "REGISTRATIONS_PER_HOUR": Option("20", "1 to 100000 for each address", integer(1, 100_000)),
    "SESSION_IDLE_DAYS": Option("30", "1 to 365 days, after which an unused session ends", integer(1, 365)),
    "SESSION_MAX_DAYS": Option("90", "1 to 365 days, after which any session ends", integer(1, 365)),
    "TOKEN_DAYS": Option("7", "1 to 90 days, after which a JSON Web Token ends", integer(1, 90)),
    "TOKEN_ISSUER": Option("doorman", "1 to 200 characters without spaces", matching(r"[!-~]{1,200}")),
    "OIDC_ISSUER": Option("", "an https URL without a query, or http on loopback", issuer_url),
    "OIDC_CLIENT_ID": Option("", "1 to 200 printable ASCII characters", matching(r"[ -~]{1,200}")),
    "OIDC_CLIENT_SECRET": Option("", "what the issuer gave this client, if anything", Secret, in_file=True),
    "OIDC_CLAIM": Option("sub", "the name of a claim, without spaces", matching(r"[!-~]{1,200}")),
    "OIDC_REDIRECT_URL": Option("", "an https URL, or http on loopback", service_url),
    "WEBSOCKETS": Option("4096", "1 to 100000 open at once, a process", integer(1, 100_000)),
    "WEBSOCKETS_PER_ADDRESS": Option("128", "1 to 100000 open at once, a process and address", integer(1, 100_000)),
    "LOG_LEVEL": Option("info", "one of " + ", ".join(LOG_LEVELS), one_of(*LOG_LEVELS)),
    "TLS_CERT": Option("", "a readable PEM file, together with TLS_KEY", readable_file),
    "TLS_KEY": Option("", "a readable PEM file, together with TLS_CERT", readable_file),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The checked settings; ``None`` where an optional one is absent."""

    host: str
    port: int
    workers: int
    threads: int
    database_url: Secret
    database_name: str
    basic_auth_user: str | None
    basic_auth_password: Secret | None
    auth_token: Secret | None
    secret_key: Secret | None
    secret_key_previous: Secret | None
    allowed_origins: frozenset[str]
    trusted_proxies: tuple[Network, ...]
    bcrypt_rounds: int
    password_min_length: int
    password_blocklist: Path | None
    surfaces: frozenset[str]
    registration: str
    registrations_per_hour: int
    session_idle_days: int
    session_max_days: int
    token_days: int
    token_issuer: str
    oidc_issuer: str | None
    oidc_client_id: str | None
    oidc_client_secret: Secret | None
    oidc_claim: str
    oidc_redirect_url: str | None
    websockets: int
    websockets_per_address: int
    log_level: str
    tls_cert: Path | None
    tls_key: Path | None

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read all settings; an empty one counts as absent. Raises ``SetupError`` that names each wrong one."""
        environ = os.environ if environ is None else environ
        values: dict[str, Any] = {}
        wrong: list[str] = []
        for name, option in OPTIONS.items():
            try:
                text = _given(name, option, environ) or option.default
                values[name.lower()] = option.read(text) if text else option.absent
            except _WrongSettingError as error:
                wrong.append(str(error))
            except ValueError:
                wrong.append(f"{name} must be {option.allowed}.")
        if not wrong:
            wrong = contradictions(values)
        if wrong:
            raise SetupError("\n".join(["The settings are wrong:", *(f"  {line}" for line in wrong)]))
        return cls(**values)

    @property
    def sqlite_path(self) -> Path | None:
        """The database file, or ``None`` with MongoDB."""
        return sqlite_path(self.database_url.reveal())

    @property
    def registration_policy(self) -> RegistrationPolicy:
        return RegistrationPolicy(is_open=self.registration == "open", most_an_hour=self.registrations_per_hour)

    @property
    def session_lifetimes(self) -> Lifetimes:
        return Lifetimes(
            idle=timedelta(days=self.session_idle_days),
            absolute=timedelta(days=self.session_max_days),
            token=timedelta(days=self.token_days),
        )

    @property
    def relying_party(self) -> RelyingParty | None:
        """What this service is to its issuer, or ``None`` where none is configured."""
        if self.oidc_issuer is None or self.oidc_client_id is None:
            return None
        return RelyingParty(issuer=self.oidc_issuer, client_id=self.oidc_client_id, claim=self.oidc_claim)

    @property
    def store_name(self) -> str:
        """What to call the store in messages: never its address, which may hold a password."""
        return (
            f"MongoDB database {self.database_name}" if self.sqlite_path is None else str(self.sqlite_path.absolute())
        )

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls_cert else 'http'}://{host}:{self.port}"

    @property
    def logging_level(self) -> int:
        return logging.getLevelNamesMapping()[self.log_level.upper()]

    def warnings(self) -> list[str]:
        """Return what is allowed and unwise, a sentence each."""
        found = []
        if self.bcrypt_rounds < _ADVISED_ROUNDS:
            found.append(f"BCRYPT_ROUNDS={self.bcrypt_rounds} makes stolen hashes cheap to crack; use 12 in service.")
        if not is_loopback(self.host) and not self.tls_cert and not self.trusted_proxies:
            found.append(
                f"HOST={self.host} takes passwords from the network in plain text: "
                "set TLS_CERT and TLS_KEY, or TRUSTED_PROXIES to the proxy that ends TLS."
            )
        return found


def _given(name: str, option: Option, environ: Mapping[str, str]) -> str:
    text = environ.get(name, "")
    path = environ.get(f"{name}_FILE", "") if option.in_file else ""
    if text and path:
        raise _WrongSettingError(f"{name} and {name}_FILE are both set: set one of them.")
    if not path:
        return text
    try:
        text = Path(path).read_text("utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise _WrongSettingError(f"{name}_FILE: {path} cannot be read as text.") from error
    if not text:
        raise _WrongSettingError(f"{name}_FILE: {path} is empty.")
    return text
