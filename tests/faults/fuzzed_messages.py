"""Random messages for the users API over one WebSocket, right and wrong, and what must be answered to each."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from tests.faults.fuzzed_requests import (
    ACTIONS,
    BAD_IDS,
    BLANKS,
    INVALID,
    LARGEST,
    LONGEST,
    MOST_DIGITS,
    NASTY,
    NO_JSON,
    NO_OBJECTS,
    NO_STRINGS,
    UNKNOWN,
    IsRight,
    deep,
    exactly,
    is_sound,
    request,
    same,
    told,
    word,
    written,
)


@dataclass(frozen=True, slots=True)
class Message:
    """``is_right`` tells whether an answer, of which there must be exactly one, is what the contract has."""

    payload: bytes
    is_right: IsRight
    is_text: bool = True


def message(random: Random) -> Message:
    return random.choices(_MAKERS, cum_weights=_CUMULATED)[0](random)


def _answered(text: str, is_right: IsRight) -> Message:
    return Message(text.encode(), is_right)


def _refused(text: str) -> Message:
    return Message(text.encode(), exactly(INVALID))


# The kinds of messages.


def _pings(random: Random) -> Message:
    text, echo = request(random, action='"ping"', data=random.choice(("{}", "null", '{"x":1}')))
    if random.random() < 0.02:
        text += " " * (LARGEST - len(text.encode()))
    return _answered(text, exactly({"action": "pong"} | echo))


def _without_action(random: Random) -> Message:
    text, echo = request(random, **random.choice(({}, {"data": "{}"}, {"Action": '"ping"'}, {"": "1"})))
    return _answered(text, exactly({"error": "No action provided."} | echo))


def _actions_of_wrong_type(random: Random) -> Message:
    text, echo = request(random, action=random.choice(NO_STRINGS))
    return _answered(text, exactly({"error": "Invalid action type."} | echo))


def _unknown_actions(random: Random) -> Message:
    action = random.choice((*UNKNOWN, f"x{word(random)}", f"x{word(random, 2000)}"))
    if random.random() < 0.02:
        action = "y" * random.randrange(LONGEST)
    text, echo = request(random, action=written(random, action), data=random.choice(NO_STRINGS))
    return _answered(text, exactly({"action": action, "error": "Unknown action."} | echo))


def _data_of_wrong_type(random: Random) -> Message:
    action = random.choice(ACTIONS)
    data = random.choice(("[]", "0", "1", "false", "true", '""', '"x"', "1.5", "1e999", "[{}]"))
    text, echo = request(random, action=f'"{action}"', data=data)
    return _answered(text, exactly({"action": action, "error": "Invalid data."} | echo))


def _fields_of_wrong_type(random: Random) -> Message:
    """Make what wants texts, and gets others: each of those, and none else, is named."""
    action, names = random.choice((("new", ["username", "email", "password"]), ("login", ["username", "password"])))
    fields = {name: random.choice(("", '"joe"', *NO_STRINGS)) for name in names}
    fields[random.choice(names)] = random.choice(NO_STRINGS)
    data = "{" + ",".join(f'"{name}":{value}' for name, value in fields.items() if value) + "}"
    text, echo = request(random, action=f'"{action}"', data=data)
    broken = {
        name: ["It must be a string." if value else "It is required."]
        for name, value in fields.items()
        if value != '"joe"'
    }
    return _answered(text, exactly({"action": action, "error": "invalid_data", "data": broken} | echo))


def _wrong_tokens(random: Random) -> Message:
    """Make tokens that are none; what is said of them depends on who else the connection is."""
    action = random.choice(("me", "details", "logout"))
    tokens = (*NO_STRINGS, '"x.y.z"', '"' + "eyJ" * random.randrange(900) + '"', written(random, word(random)))
    data = '{{"token":{},"username":{},"user_id":{}}}'.format(*random.choices(tokens, k=3))
    text, echo = request(random, action=f'"{action}"', data=data)
    is_told = told(action, echo)
    return _answered(text, lambda answer: is_told(answer) and "error" in answer)


def _callers_actions(random: Random) -> Message:
    action = random.choice(("me", "details", "logout"))
    data = random.choice(
        ("{}", "null", '{"username":"root"}', '{"user_id":[]}', '{"user_id":"x"}', '{"username":"%s"}')
    )
    text, echo = request(random, action=f'"{action}"', data=data.replace("%s", word(random).replace('"', "")))
    return _answered(text, told(action, echo))


def _registrations_and_logins(random: Random) -> Message:
    """Make what costs hashes, or is refused for its length; this has to be rare."""
    action = random.choice(("new", "login"))
    values = [word(random), word(random, 200), "z" * random.randrange(20_000), "\x00" * 9, "a@example.com"]
    fields = dict(zip(("username", "email", "password"), random.choices(values, k=3), strict=True))
    text, echo = request(random, action=f'"{action}"', data=written(random, fields))
    return _answered(text, told(action, echo))


def _bad_ids(random: Random) -> Message:
    return _refused('{"action":"ping","id":' + random.choice(BAD_IDS) + "}")


def _no_objects(random: Random) -> Message:
    return _refused(random.choice((*NO_OBJECTS, *BLANKS, *NO_JSON)))


def _truncated(random: Random) -> Message:
    text, _ = request(random, action='"me"', data='{"token":"x","n":[1,{"a":null}]}')
    text = text.rstrip()
    return _refused(text[: random.randrange(len(text))])


def _twice(random: Random) -> Message:
    pair = random.choice(('{"a":1,"a":1}', '{"a":1,"\\u0061":2}', '{"":0,"b":[],"":0}'))
    return _refused(f'{{"action":"ping","data":{pair}}}')


def _bad_values(random: Random) -> Message:
    """Make requests in which one value, however deep, is none of JSON's, or none that is read."""
    digits = str(random.randrange(1, 9)) * random.randrange(MOST_DIGITS + 1, LONGEST)
    surrogate = random.choice(('"\\ud800"', '"\\udfff\\ud800"', '"x\\uDBFFy"', '{"\\udc00":1}'))
    control = '"' + chr(random.randrange(32)) + '"'
    bad = random.choice((*NO_JSON, digits, f"-{digits}", surrogate, surrogate, control, control, '"\\x"', '"\\u12"'))
    value = random.choice((bad, f"[{bad}]", f'{{"a":[{{"b":{bad}}}]}}'))
    return _refused(f'{{"action":"ping","data":{value}}}')


def _surrounded(random: Random) -> Message:
    request = '{"action":"ping"}'
    marks = ("\ufeff", "\x00", "x", "]", ",", "//", "\u00a0", request)
    return _refused(random.choice(marks) + request if random.random() < 0.5 else request + random.choice(marks))


def _nested(random: Random) -> Message:
    """Make what is nested; where that is too deep is the parser's choice, but an object is there or is not."""
    value = deep(random)
    if random.random() < 0.5:
        return _refused(random.choice((value[: random.randrange(1, len(value))], f"[{value}]")))
    text, echo = request(random, action='"ping"', x=value)
    pong = {"action": "pong"} | echo
    return _answered(text, lambda answer: same(answer, pong) or same(answer, INVALID))


def _shallow(random: Random) -> Message:
    """Make what is nested not too deep to be read."""
    depth = random.randrange(1, 100)
    text, echo = request(random, action='"ping"', x="[" * depth + "]" * depth, y='{"a":' * depth + "1" + "}" * depth)
    return _answered(text, exactly({"action": "pong"} | echo))


def _binary(random: Random) -> Message:
    text, _ = request(random, action='"ping"')
    payload = random.choice((text.encode(), b"", random.randbytes(random.randrange(300))))
    return Message(payload, exactly(INVALID), is_text=False)


def _mutated(random: Random) -> Message:
    """Make requests with changed characters, which may still be some; what is not JSON does not get through."""
    text, _ = request(random, action=f'"{random.choice(("ping", "me", "edit"))}"', data='{"token":"x"}')
    characters = list(text)
    for _ in range(random.randrange(1, 4)):
        at = random.randrange(len(characters))
        characters[at : at + random.randrange(2)] = random.choice(NASTY) * random.randrange(3)
    text = "".join(characters)
    try:
        json.loads(text)
    except ValueError:
        return _refused(text)
    return _answered(text, is_sound)


_WEIGHTS: list[tuple[float, Callable[[Random], Message]]] = [
    (10, _pings),
    (5, _without_action),
    (5, _actions_of_wrong_type),
    (8, _unknown_actions),
    (6, _data_of_wrong_type),
    (6, _fields_of_wrong_type),
    (4, _wrong_tokens),
    (4, _callers_actions),
    (0.3, _registrations_and_logins),
    (5, _bad_ids),
    (6, _no_objects),
    (6, _truncated),
    (4, _twice),
    (7, _bad_values),
    (4, _surrounded),
    (2, _nested),
    (2, _shallow),
    (6, _binary),
    (10, _mutated),
]
_MAKERS = [maker for _, maker in _WEIGHTS]
_CUMULATED = [sum(weight for weight, _ in _WEIGHTS[: n + 1]) for n in range(len(_WEIGHTS))]
