"""Random conversations over a WebSocket: messages whole and in fragments, control frames, and how each ends."""

from dataclasses import dataclass
from enum import Enum, auto
from itertools import pairwise
from random import Random

from tests.faults.fuzzed_messages import Message, message
from tests.faults.fuzzed_requests import LARGEST
from tests.raw_websocket import BINARY, CLOSE, CONTINUATION, NO_MASK, PING, PONG, TEXT, close_frame, frame

# A connection may send 100 at once, and then has to wait; the rest is for how it ends.
_MOST_FRAMES = 96
_LONGEST_CONTROL = 125
_REQUEST = b'{"action":"ping"}'


class Ending(Enum):
    """Who ends a conversation: the client properly, the server since it has to, or the client by just leaving."""

    CLOSE = auto()
    FAILURE = auto()
    LEAVING = auto()
    RESET = auto()


@dataclass(frozen=True, slots=True)
class Conversation:
    """What a client sends: ``stream``, and then ``last``, which ends it; ``pings`` are what its pings carry, in order.

    ``codes`` are those that the server may close with. Who ``is_patient`` ends it only when everything is answered.
    """

    stream: bytes
    messages: list[Message]
    pings: list[bytes]
    frames: int
    is_patient: bool
    ending: Ending
    last: bytes
    codes: set[int]


@dataclass(frozen=True, slots=True)
class _Ping:
    payload: bytes


def conversation(random: Random) -> Conversation:
    frames: list[bytes | _Ping] = []
    messages: list[Message] = []
    while len(frames) < _MOST_FRAMES:
        if random.random() < 0.15:
            frames.append(_control(random))
        else:
            messages.append(message(random))
            frames += _framed(random, messages[-1])
    ending, last, codes = _ending(random)
    return Conversation(
        stream=b"".join(frame(PING, sent.payload) if isinstance(sent, _Ping) else sent for sent in frames),
        messages=messages,
        pings=[sent.payload for sent in frames if isinstance(sent, _Ping)],
        frames=len(frames) + 1,
        is_patient=random.random() < 0.7,
        ending=ending,
        last=last,
        codes=codes,
    )


def _framed(random: Random, sent: Message) -> list[bytes | _Ping]:
    """Return the frames of a message: mostly one, or fragments, some of them empty, with control frames among them."""
    opcode = TEXT if sent.is_text else BINARY
    if random.random() > 0.1:
        return [frame(opcode, sent.payload, mask=random.randbytes(4))]
    length = len(sent.payload)
    cuts = [0, *sorted(random.choices(range(length + 1), k=random.randrange(1, 6))), length]
    pieces = [sent.payload[begin:end] for begin, end in pairwise(cuts)]
    frames: list[bytes | _Ping] = [
        frame(CONTINUATION if n else opcode, piece, is_last=n == len(pieces) - 1, mask=random.randbytes(4))
        for n, piece in enumerate(pieces)
    ]
    for _ in range(random.randrange(3)):
        frames.insert(random.randrange(len(frames)), _control(random))
    return frames


def _control(random: Random) -> bytes | _Ping:
    payload = random.randbytes(random.choice((0, 1, 8, _LONGEST_CONTROL)))
    return frame(PONG, payload, mask=random.randbytes(4)) if random.random() < 0.3 else _Ping(payload)


def _ending(random: Random) -> tuple[Ending, bytes, set[int]]:
    kind = random.choices((Ending.CLOSE, Ending.FAILURE, Ending.LEAVING, Ending.RESET), weights=(3, 5, 2, 1))[0]
    if kind is Ending.CLOSE:
        code = random.choice((1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999))
        return kind, close_frame(code, random.choice((b"", b"bye", b"\xc3\xa9" * 61))), {code}
    if kind is Ending.FAILURE:
        last, codes = random.choice(FAILURES)
        return kind, last, codes
    whole = random.choice((frame(TEXT, _REQUEST), frame(BINARY, b"x" * 60_000), frame(TEXT, b"", length=100_000)))
    started = random.choice((b"", frame(TEXT, b"{", is_last=False)))
    return kind, started + whole[: random.randrange(len(whole))], set()


_PROTOCOL, _TEXT, _SIZE = {1002}, {1007}, {1009}
# What no client may send, and the codes of RFC 6455, section 7.4.1, for it.
FAILURES: list[tuple[bytes, set[int]]] = [
    *((frame(TEXT, _REQUEST, reserved=bits), _PROTOCOL) for bits in range(1, 8)),
    *((frame(opcode, _REQUEST), _PROTOCOL) for opcode in (0x3, 0x4, 0x5, 0x6, 0x7, 0xB, 0xC, 0xD, 0xE, 0xF)),
    *((frame(opcode, _REQUEST, mask=NO_MASK), _PROTOCOL) for opcode in (TEXT, BINARY, PING, PONG)),
    (frame(CONTINUATION, _REQUEST), _PROTOCOL),
    (frame(CONTINUATION, b"", is_last=False), _PROTOCOL),
    (frame(TEXT, _REQUEST[:5], is_last=False) + frame(TEXT, _REQUEST[5:]), _PROTOCOL),
    (frame(TEXT, b"", is_last=False) + frame(BINARY, b""), _PROTOCOL),
    *((frame(opcode, b"x" * 126), _PROTOCOL) for opcode in (CLOSE, PING, PONG)),
    *((frame(opcode, b"x" * 70_000), _PROTOCOL | _SIZE) for opcode in (CLOSE, PING, PONG)),
    *((frame(opcode, b"", is_last=False), _PROTOCOL) for opcode in (CLOSE, PING, PONG)),
    *((close_frame(code), _PROTOCOL) for code in (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535)),
    (frame(CLOSE, b"\x03"), _PROTOCOL),
    (close_frame(1000, b"\xff"), _PROTOCOL | _TEXT),
    *(
        (frame(TEXT, text), _TEXT)
        for text in (b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b'{"\xe2\x82')
    ),
    (frame(TEXT, b"\xc3", is_last=False) + frame(CONTINUATION, b"("), _TEXT),
    (frame(TEXT, b"x" * (LARGEST + 1)), _SIZE),
    (frame(BINARY, b"x" * (LARGEST + 1)), _SIZE),
    (frame(TEXT, b"x" * LARGEST, is_last=False) + frame(CONTINUATION, b"x"), _SIZE),
    (frame(TEXT, b"x" * 40_000, is_last=False) + frame(CONTINUATION, b"x" * 40_000), _SIZE),
    *(
        (frame(opcode, b"x", length=length), _PROTOCOL | _SIZE)
        for opcode in (TEXT, BINARY)
        for length in (1 << 63, 2**64 - 1)
    ),
    *((frame(opcode, b"x", length=length), _SIZE) for opcode in (TEXT, BINARY) for length in (1 << 32, 2**63 - 1)),
]
