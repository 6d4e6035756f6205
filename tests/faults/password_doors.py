"""Every door that takes a password, as the bytes that a client sends there; and how long the answer takes."""

import json
import re
import socket
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from urllib.parse import urlencode

from tests.databases import ADMIN_TOKEN
from tests.raw_websocket import TEXT, frame
from tests.running import SOURCES, START_SECONDS

Send = Callable[[str, str], bytes]  # of a user name and a password

_WEBSOCKET = (
    b"GET /users/ HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
_WARM = b"GET /healthz/live HTTP/1.1\r\nHost: x\r\n\r\n"
# What no two answers have alike.
_OWN = re.compile(rb"(?im)^(date|x-request-id):[^\r]*\r\n")
_FORM_TOKEN = re.compile(rb'value="[0-9a-f]{80}"')


@dataclass(frozen=True)
class Door:
    """What is sent, on a connection on which ``before`` was answered already."""

    send: Send
    before: bytes = _WARM
    tells_names: bool = False  # by its contract


def request(method: str, path: str, headers: Mapping[str, str], body: str = "") -> bytes:
    fields = {"Host": "x", **headers, "Content-Length": str(len(body.encode()))}
    return (
        f"{method} {path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in fields.items()) + f"\r\n{body}"
    ).encode()


def _posted(path: str, wrapper: str | None = None, headers: Mapping[str, str] | None = None) -> Send:
    """Send name and password as JSON."""

    def send(user_name: str, password: str) -> bytes:
        body: object = {"username": user_name, "password": password}
        body = {wrapper: body} if wrapper else body
        return request("POST", path, {"Content-Type": "application/json", **(headers or {})}, json.dumps(body))

    return send


def _basic(method: str, path: str) -> Send:
    """Send them as ``Authorization: Basic``."""

    def send(user_name: str, password: str) -> bytes:
        encoded = b64encode(f"{user_name}:{password}".encode()).decode()
        return request(method, path, {"Authorization": f"Basic {encoded}"})

    return send


def _form(path: str) -> Send:
    def send(user_name: str, password: str) -> bytes:
        body = urlencode({"user_name": user_name, "password": password})
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Origin": "http://x"}
        return request("POST", path, headers, body)

    return send


def _message(user_name: str, password: str) -> bytes:
    data = {"username": user_name, "password": password}
    return frame(TEXT, json.dumps({"action": "login", "data": data}).encode())


_NET_ID = b': 24\r\n\r\n{"user":{"netid":"new"}}'
DOORS = {
    "v2": Door(_basic("GET", "/api/v2/users")),
    "verify": Door(_basic("GET", "/api/v2/verify")),
    "user-auth": Door(_posted("/user-auth/login")),
    "users class": Door(_posted("/v2/instances/any/users/auth/", headers={"X-Api-Key": ADMIN_TOKEN})),
    "classic": Door(_posted("/login.json"), tells_names=True),
    "jwt": Door(_posted("/users/login", "user")),
    "voucher": Door(lambda *who: _basic("POST", "/users/login/oauth")(*who).replace(b": 0\r\n\r\n", _NET_ID)),
    "websocket": Door(_message, _WEBSOCKET),
    "console": Door(_form("/console/login")),
}


def timed(port: int, door: Door, user_name: str, password: str) -> tuple[float, bytes]:
    """Go to a door from a new address; return the seconds until the answer began, and the answer without what differs.

    In it the user name is left out, too.
    """
    sent = door.send(user_name, password)
    with ExitStack() as ends:
        client = ends.enter_context(socket.socket())
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.settimeout(START_SECONDS)
        client.bind((next(SOURCES), 0))
        client.connect(("127.0.0.1", port))
        client.sendall(door.before)
        _read(client)
        began = time.perf_counter()
        client.sendall(sent)
        answer = client.recv(1 << 16)
        seconds = time.perf_counter() - began
        answer = _read(client, answer)
    return seconds, _FORM_TOKEN.sub(b"", _OWN.sub(b"", answer)).replace(user_name.encode(), b"")


def _read(client: socket.socket, received: bytes = b"") -> bytes:
    """Return a whole answer, of which a part may be there: of HTTP, or one small frame."""
    while not _is_whole(received):
        part = client.recv(1 << 16)
        assert part, received
        received += part
    return received


def _is_whole(received: bytes) -> bool:
    if received[:1] == b"\x81":
        short = received[1:2] and received[1] < 126
        length = 2 + received[1] if short else 4 + int.from_bytes(received[2:4], "big")
        return len(received) >= max(length, 4)
    head, end, body = received.partition(b"\r\n\r\n")
    if not end:
        return False
    length_told = re.search(rb"(?im)^content-length: *(\d+)", head)
    return length_told is None or len(body) >= int(length_told[1])
