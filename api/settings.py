"""The settings, read from the environment once, checked at start, wrong ones named."""

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

from api.contradictions import contradictions
from api.misspellings import misspellings
from api.options import ADVISED_ROUNDS, OPTIONS, Option
from api.setting_values import Network, is_loopback, sqlite_path
from models.errors import SetupError
from models.id_tokens import RelyingParty
from models.registrations import RegistrationPolicy
from models.secret import Secret
from models.sessions import Lifetimes


class _WrongSettingError(Exception):
    """A setting is wrong in a way that the message tells in full."""


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
    password_words: frozenset[str]
    surfaces: frozenset[str]
    registration: str
    registrations_per_hour: int
    session_idle_days: int
    session_max_days: int
    audit_days: int
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
    log_format: str
    access_log: str
    metrics_host: str
    metrics_port: int | None
    tls_cert: Path | None
    tls_key: Path | None
    misspelt: tuple[str, ...]  # warnings of variables that are like settings and are none

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
        open_doors, misspelt = misspellings(environ)
        wrong += open_doors
        if wrong:
            raise SetupError("\n".join(["The settings are wrong:", *(f"  {line}" for line in wrong)]))
        return cls(**values, misspelt=tuple(misspelt))

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
    def audit_kept(self) -> timedelta | None:
        """For how long the audit trail keeps its events; ``None`` is for ever."""
        return timedelta(days=self.audit_days) if self.audit_days else None

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
        return f"{'https' if self.tls_cert else 'http'}://{_bracketed(self.host)}:{self.port}"

    @property
    def metrics_url(self) -> str:
        return f"http://{_bracketed(self.metrics_host)}:{self.metrics_port}/metrics"

    @property
    def logging_level(self) -> int:
        return logging.getLevelNamesMapping()[self.log_level.upper()]

    def warnings(self) -> list[str]:
        """Return what is allowed and unwise, a sentence each."""
        found = [*self.misspelt]
        if self.bcrypt_rounds < ADVISED_ROUNDS:
            found.append(f"BCRYPT_ROUNDS={self.bcrypt_rounds} makes stolen hashes cheap to crack; use 12 in service.")
        if not is_loopback(self.host) and not self.tls_cert and not self.trusted_proxies:
            found.append(
                f"HOST={self.host} takes passwords from the network in plain text: "
                "set TLS_CERT and TLS_KEY, or TRUSTED_PROXIES to the proxy that ends TLS."
            )
        if self.metrics_port and not is_loopback(self.metrics_host):
            found.append(
                f"METRICS_HOST={self.metrics_host} shows the metrics to the network, without credentials: "
                "let a firewall, or a network of their own, keep others away."
            )
        return found


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


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
