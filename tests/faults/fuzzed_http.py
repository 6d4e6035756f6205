"""Random HTTP requests, put together of what the corpus has and then, some of them, spoilt."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from tests.faults.corpus import bodies, credentials, headers, names, wholes

# What is for people, and what the document of the API leaves out.
PAGES = (
    b"/console", b"/console/login", b"/console/logout", b"/console/users", b"/console/users/{id}",
    b"/console/users/{id}/delete", b"/console/users/{id}/token", b"/docs", b"/docs/{id}/docs.js", b"/users/",
)  # fmt: skip
# What reads a body, of anybody or of those who are let in.
_READERS = (b"/login.json", b"/createuser.json", b"/user-auth/login", b"/user-auth/register", b"/users/login")
_GUARDED_READERS = (b"/api/v2/users/joe", b"/users/noob", b"/users/permission", b"/users/login/oauth")
_NASTY = (
    b"\x00", b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"%00", b"%", b":", b";", b"=",
    b'"', b"\\", b"{", b"[", b"]}", b",", b"/..", b"//", b"?", b"&", b" ", b"\t", b"A" * 3000, b"[" * 3000, b"-1",
    b"18446744073709551616", b"HTTP/1.1", b"Transfer-Encoding: chunked\r\n", b"Content-Length: 5\r\n",
    "\u202e".encode(), "é".encode("latin-1"),
)  # fmt: skip
# What follows some requests on the same connection: who has not been cut off before gets this answer last.
FOLLOWING = b"GET /healthz/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Input:
    """What a client sends over one connection. One that ``is_whole`` is answered without any more of it.

    ``asks_for`` are the most answers that it can have.
    """

    data: bytes
    is_whole: bool
    asks_for: int

    @property
    def method(self) -> bytes:
        return self.data.lstrip(b"\r\n").partition(b" ")[0]


class Inputs:
    """Makes the inputs of one caller: ``presented`` are header lines that open something, for who has any."""

    def __init__(self, operations: Sequence[tuple[str, str]], presented: Sequence[bytes] = ()) -> None:
        self._routes = [(method.encode(), path.encode()) for method, path in operations]
        self._routes += [(method, path) for path in PAGES for method in (b"GET", b"POST")]
        self._presented = presented

    def all(self, random: Random) -> Iterator[Input]:
        """Yield each thing of the corpus once, where it is read, and all else as it should be."""
        shown = random.choice(self._presented) if self._presented else b"Accept: */*"
        readers = _GUARDED_READERS if self._presented else _READERS
        yield from _in_targets(shown)
        yield from _in_heads(shown)
        yield from _in_bodies(random, readers, shown)
        for data in wholes.REQUESTS.values():
            yield Input(data, is_whole=False, asks_for=100)

    def one(self, random: Random) -> Input:
        if random.random() < 0.1:
            data = _any(random, wholes.REQUESTS)
            return Input(_spoilt(random, data) if random.random() < 0.5 else data, is_whole=False, asks_for=100)
        data, asks_for = self._request(random), 1
        if random.random() < 0.3:
            return Input(_spoilt(random, data), is_whole=False, asks_for=100)
        if b"\r\nConnection: close\r\n" not in data:
            data, asks_for = data + FOLLOWING, 2
        return Input(data, is_whole=True, asks_for=asks_for)

    def _request(self, random: Random) -> bytes:
        method, path = random.choice(self._routes)
        target = b"".join(
            (piece if n % 2 == 0 else _any(random, names.PARTS) if random.random() < 0.6 else b"joe")
            for n, piece in enumerate(path.replace(b"}", b"{").split(b"{"))
        )
        if random.random() < 0.1:
            method = _any(random, headers.METHODS)
        if random.random() < 0.1:
            target = _any(random, headers.TARGETS)
        if random.random() < 0.3:
            target += b"?" + b"&".join(_any(random, credentials.QUERIES) for _ in range(random.choice((1, 1, 2))))
        lines = [b"%s %s HTTP/1.1" % (method, target), b"Host: 127.0.0.1"]
        if random.random() < 0.7:
            lines.append(b"Connection: close")
        if self._presented and random.random() < 0.8:
            lines.append(random.choice(self._presented))
        elif random.random() < 0.5:
            lines.append(_authorization(random))
        if random.random() < 0.15:
            lines.append(b"Cookie: " + _any(random, credentials.COOKIES))
        lines += [_any(random, headers.HEADERS) for _ in range(random.choice((0, 0, 1, 1, 2)))]
        body = b""
        if method in {b"POST", b"PUT", b"PATCH"} or random.random() < 0.1:
            body, kind = _body(random)
            lines.append(b"Content-Type: " + kind)
            if random.random() < 0.2:
                lines.append(b"Transfer-Encoding: chunked")
                body = _chunked(random, body)
            else:
                lines.append(b"Content-Length: %d" % len(body))
        return b"\r\n".join([*lines, b"", body])


def _whole(method: bytes, target: bytes, *lines: bytes, body: bytes | None = None) -> Input:
    head = [b"%s %s HTTP/1.1" % (method, target), b"Host: 127.0.0.1", b"Connection: close", *lines]
    length = [] if body is None else [b"Content-Length: %d" % len(body)]
    return Input(b"\r\n".join([*head, *length, b"", body or b""]), is_whole=True, asks_for=1)


def _in_targets(shown: bytes) -> Iterator[Input]:
    for part in names.PARTS.values():
        yield _whole(b"GET", b"/api/v2/users/" + part, shown)
    for target in headers.TARGETS.values():
        yield _whole(b"GET", target, shown)
    for method in headers.METHODS.values():
        yield _whole(method, b"/api/v2/users/joe", shown)
    for query in credentials.QUERIES.values():
        yield _whole(b"GET", b"/api/v2/users?" + query, shown)
        yield _whole(b"GET", b"/v2/instances/i/users/?" + query, shown)
        yield _whole(b"POST", b"/logout.json?" + query, shown)


def _in_heads(shown: bytes) -> Iterator[Input]:
    for line in headers.HEADERS.values():
        yield _whole(b"GET", b"/api/v2/users/joe", shown, line)
    for presented in credentials.AUTHORIZATIONS.values():
        yield _whole(b"GET", b"/api/v2/users", b"Authorization: " + presented)
    for token in credentials.TOKENS.values():
        yield _whole(b"GET", b"/api/v2/verify", b"Authorization: Bearer " + token)
    for cookie in credentials.COOKIES.values():
        yield _whole(b"POST", b"/logout.json", b"Cookie: " + cookie)


def _in_bodies(random: Random, readers: Sequence[bytes], shown: bytes) -> Iterator[Input]:
    for body in bodies.BODIES.values():
        yield _whole(b"POST", random.choice(readers), shown, b"Content-Type: " + bodies.JSON, body=body)
    for kind in bodies.CONTENT_TYPES.values():
        yield _whole(b"POST", random.choice(readers), shown, b"Content-Type: " + kind, body=b"{}")


def _any(random: Random, some: dict[str, bytes]) -> bytes:
    return random.choice(list(some.values()))


def _authorization(random: Random) -> bytes:
    if random.random() < 0.35:
        scheme = random.choice((b"Bearer ", b"Token ", b"token  "))
        return b"Authorization: " + scheme + _spoilt_a_little(random, _any(random, credentials.TOKENS))
    if random.random() < 0.1:
        return b"Authorization: " + credentials.basic(random.randbytes(random.randrange(60)))
    return b"Authorization: " + _any(random, credentials.AUTHORIZATIONS)


def _body(random: Random) -> tuple[bytes, bytes]:
    kind = bodies.JSON if random.random() < 0.75 else _any(random, bodies.CONTENT_TYPES)
    if random.random() < 0.5:
        return _spoilt_a_little(random, _any(random, bodies.BODIES)), kind
    given = random.sample(bodies.FIELDS, random.randrange(1, 4))
    body = b"{" + b",".join(json.dumps(name).encode() + b":" + random.choice(bodies.VALUES) for name in given) + b"}"
    return (b'{"user":' + body + b"}" if random.random() < 0.4 else body), kind


def _chunked(random: Random, body: bytes) -> bytes:
    size = random.choice((1, 7, 1000, 16_384)) if len(body) < 2000 else 16_384
    chunks = [body[begin : begin + size] for begin in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"


def _spoilt_a_little(random: Random, data: bytes) -> bytes:
    """Spoil one of five, without line ends: what it is part of stays whole."""
    if random.random() < 0.8 or b"\n" in data:
        return data
    return _spoilt(random, data).replace(b"\r", b"").replace(b"\n", b"")


def _spoilt(random: Random, data: bytes) -> bytes:
    """Change bytes, put some in, take some away, say some twice, or end early."""
    spoilt = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 4, 16))):
        # Heads are short, and it is they that are parsed with most care.
        begin = (
            random.randrange(len(spoilt) + 1) if random.random() < 0.5 else random.randrange(min(len(spoilt), 300) + 1)
        )
        end = min(len(spoilt), begin + random.choice((1, 1, 4, 40)))
        match random.randrange(6):
            case 0:
                spoilt[begin:begin] = random.choice(_NASTY)
            case 1:
                spoilt[begin:end] = random.choice(_NASTY)
            case 2:
                spoilt[begin:end] = random.randbytes(end - begin)
            case 3:
                del spoilt[begin:end]
            case 4:
                spoilt[end:end] = spoilt[begin:end] * random.choice((1, 2, 30))
            case _:
                del spoilt[begin if random.random() < 0.2 else len(spoilt) :]
    return bytes(spoilt)
