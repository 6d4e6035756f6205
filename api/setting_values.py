"""How the texts of settings are read. Each reader raises ``ValueError`` for what is not allowed."""

import ipaddress
import os
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

from models.passwords import SHORTEST_WORD
from models.secret import Secret
from models.secret_key import MIN_SECRET_KEY_BYTES

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
# The ways in, by their names in the setting.
SURFACES = ("v2", "syncano", "classic", "jwt", "websocket", "console", "docs")
LOG_LEVELS = ("debug", "info", "warning", "error")
LOG_FORMATS = ("auto", "json", "text")
SQLITE = "sqlite:///"
_MONGODB = ("mongodb://", "mongodb+srv://")
_PORTS = {"http": 80, "https": 443}
FEWEST_DISTINCT = 8


def integer(least: int, most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,6}", text) or not least <= int(text) <= most:
            raise ValueError
        return int(text)

    return read


def matching(pattern: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError
        return text

    return read


def one_of(*values: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text.lower() not in values:
            raise ValueError
        return text.lower()

    return read


def surfaces(text: str) -> frozenset[str]:
    named = {part.strip().lower() for part in text.split(",") if part.strip()}
    if named == {"all"}:
        return frozenset(SURFACES)
    if not named or not named <= set(SURFACES):
        raise ValueError
    return frozenset(named)


def secret_key(text: str) -> Secret:
    # A few characters over and over are as long as a key, and no secret.
    if len(text.encode()) < MIN_SECRET_KEY_BYTES or len(set(text)) < FEWEST_DISTINCT:
        raise ValueError
    return Secret(text)


def database_url(text: str) -> Secret:
    if not text.startswith(_MONGODB):
        path = sqlite_path(text)
        if path is None or not path.name or "\0" in str(path):
            raise ValueError
    return Secret(text)


def sqlite_path(url: str) -> Path | None:
    """Return the file of an SQLite URL, or ``None`` for another database's."""
    return Path(unquote(url.removeprefix(SQLITE))) if url.startswith(SQLITE) else None


def origins(text: str) -> frozenset[str]:
    origins = frozenset(part.strip().lower() for part in text.split(",") if part.strip())
    for origin in origins:
        parts = urlsplit(origin)
        if parts.scheme not in _PORTS:
            raise ValueError
        # As browsers write one: no path, no user, no port that goes without saying. Reading a port may raise, too.
        if f"{parts.scheme}://{parts.netloc}" != origin or "@" in origin or not parts.hostname:
            raise ValueError
        if parts.port == _PORTS[parts.scheme]:
            raise ValueError
    return origins


def words(text: str) -> frozenset[str]:
    words = frozenset(part.strip().casefold() for part in text.split(",") if part.strip())
    if any(len(word) < SHORTEST_WORD or not any(character.isalpha() for character in word) for word in words):
        raise ValueError
    return words


def service_url(text: str) -> str:
    """Read a URL that what is secret may be sent to: over TLS, or to this very machine."""
    parts = urlsplit(text)
    if not re.fullmatch(r"[!-~]{1,500}", text) or parts.username is not None or parts.fragment or not parts.hostname:
        raise ValueError
    if parts.scheme != "https" and (parts.scheme != "http" or not is_loopback(parts.hostname)):
        raise ValueError
    parts.port  # noqa: B018 - reading it raises if it is none
    return text


def issuer_url(text: str) -> str:
    if "?" in text or "#" in text:  # OpenID Connect Discovery 1.0, 3
        raise ValueError
    return service_url(text)


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def networks(text: str) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())


def readable_file(text: str) -> Path:
    path = Path(text)
    if not path.is_file() or not os.access(path, os.R_OK):
        raise ValueError
    path.read_text("utf-8")  # certificates, keys and lists are text; what is not raises a ``ValueError``
    return path
