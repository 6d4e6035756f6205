"""Every setting there is, in one table: its default, what is allowed, and how it is read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from api.setting_values import (
    FEWEST_DISTINCT,
    LOG_FORMATS,
    LOG_LEVELS,
    SURFACES,
    database_url,
    integer,
    issuer_url,
    matching,
    networks,
    one_of,
    origins,
    readable_file,
    secret_key,
    service_url,
    surfaces,
    words,
)
from models.passwords import LEAST_ROUNDS, MAX_BYTES, MOST_ROUNDS, SHORTEST_WORD
from models.secret import Secret
from models.secret_key import MIN_SECRET_KEY_BYTES

ADVISED_ROUNDS = 10  # OWASP Password Storage Cheat Sheet
_LEAST_PASSWORD = 8  # NIST SP 800-63B, 3.1.1.2
_KEY_RULE = f"at least {MIN_SECRET_KEY_BYTES} bytes, of {FEWEST_DISTINCT} characters or more"


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
        "12", f"{LEAST_ROUNDS} to {MOST_ROUNDS}; below {ADVISED_ROUNDS} warns", integer(LEAST_ROUNDS, MOST_ROUNDS)
    ),
    "PASSWORD_MIN_LENGTH": Option("8", f"{_LEAST_PASSWORD} to {MAX_BYTES}", integer(_LEAST_PASSWORD, MAX_BYTES)),
    "PASSWORD_BLOCKLIST": Option(
        "", "a readable file, one password a line, in place of the list that ships", readable_file
    ),
    "PASSWORD_WORDS": Option("doorman", f"words of {SHORTEST_WORD} characters or more, separated by commas", words),
    "SURFACES": Option("all", "all, or some of " + ", ".join(SURFACES) + ", separated by commas", surfaces),
    "REGISTRATION": Option("open", "open, or closed: then only admins make accounts", one_of("open", "closed")),
    "REGISTRATIONS_PER_HOUR": Option("20", "1 to 100000 for each address", integer(1, 100_000)),
    "SESSION_IDLE_DAYS": Option("30", "1 to 365 days, after which an unused session ends", integer(1, 365)),
    "SESSION_MAX_DAYS": Option("90", "1 to 365 days, after which any session ends", integer(1, 365)),
    "AUDIT_DAYS": Option(
        "400", "0 to 36500 days that the audit trail keeps an event; 0 is for ever", integer(0, 36_500)
    ),
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
    "LOG_FORMAT": Option("auto", "one of " + ", ".join(LOG_FORMATS), one_of(*LOG_FORMATS)),
    "ACCESS_LOG": Option("off", "on, or off", one_of("on", "off")),
    "METRICS_HOST": Option("127.0.0.1", "an address or host name to answer /metrics on", matching(r"[A-Za-z0-9.:_-]+")),
    "METRICS_PORT": Option("", "1 to 65535; without, there is no /metrics", integer(1, 65535)),
    "TLS_CERT": Option("", "a readable PEM file, together with TLS_KEY", readable_file),
    "TLS_KEY": Option("", "a readable PEM file, together with TLS_CERT", readable_file),
}
