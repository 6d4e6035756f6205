"""What random requests to the users API over one WebSocket are made of, and what their answers look like."""

import json
import string
from collections.abc import Callable
from random import Random
from typing import Any

LARGEST = 64 * 1024
# The longest string that an action or an id is made of: both are echoed.
LONGEST = 60_000
MOST_DIGITS = 4300  # of an integer, to Python

Members = dict[str, Any]
IsRight = Callable[[Members], bool]

INVALID: Members = {"error": "Invalid data."}
ACTIONS = ("ping", "new", "login", "logout", "me", "details")
UNKNOWN = (
    "",
    "PING",
    "ping ",
    " ping",
    "pong",
    "__init__",
    "_caller",
    "answer",
    "pi\x00ng",
    "\u202eping",
    "ключ",
    "\U0001d561ing",
)
IDS = ("0", "-0", "1.0", "-0.0", "1e308", "5e-324", "1E5", '""', '"é"', '"\\u0000"', '"\\ud83d\\ude00"', '"null"')
BAD_IDS = ("true", "false", "null", "[]", "{}", "[1]", '{"id":1}', "1e999", "-1e999", "NaN", '"\\ud800"', "9" * 4301)
NO_OBJECTS = ("1", "-1.5", '"ping"', "null", "true", "[]", "[{}]", '[{"action":"ping"}]', "1e999", "0" * 20, "--1")
NO_STRINGS = ("null", "true", "false", "0", "-1.5", "1e999", "[]", "{}", '["x"]', '{"a":{"b":[]}}')
BLANKS = ("", " ", "\t\r\n ", "\n" * 1000)
NO_JSON = ("NaN", "Infinity", "-Infinity", "nan", "undefined", "'x'", "0x10", "01", ".5", "1.", "+1", "\ud7ff", "tru")
NASTY = string.printable + '"""{{{}}}[[]]:,,\\\\' + "\x00\x1f\x7f\ufeff\u2028\ufffe\U0010ffffé"


# What answers look like.


def same(one: Members, other: Members) -> bool:
    """Tell whether both are the same JSON: to Python, 1 and 1.0 and True are."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def exactly(expected: Members) -> IsRight:
    return lambda answer: same(answer, expected)


def told(action: str, echo: Members) -> IsRight:
    """Hold for any answer of this action that is no failure of the service."""

    def is_right(answer: Members) -> bool:
        rest = {name: value for name, value in answer.items() if name not in {"data", "error", "retry_after"}}
        if action == "ping":
            return same(answer, {"action": "pong"} | echo)
        return same(rest, {"action": action} | echo) and ("data" in answer or "error" in answer) and is_sound(answer)

    return is_right


def is_sound(answer: Members) -> bool:
    """Tell whether an answer, to whatever, has the form of one."""
    error = answer.get("error", "")
    is_told = isinstance(error, str) and "went wrong" not in error
    return is_told and {"id"} != answer.keys() <= {"action", "data", "error", "id", "retry_after"}


# Parts of requests.


def written(random: Random, value: object) -> str:
    return json.dumps(value, ensure_ascii=random.random() < 0.5)


def word(random: Random, most: int = 40) -> str:
    return "".join(random.choices(string.ascii_letters + "äß.-_@ 漢😀", k=random.randrange(most)))


def request(random: Random, **members: str) -> tuple[str, Members]:
    """Return a request of these members, whose values are JSON, and perhaps others; and what it wants echoed."""
    echo = {}
    if random.random() < 0.7:
        choices = (*IDS, str(random.randrange(-(10**20), 10**20)), written(random, word(random)))
        members["id"] = random.choice(choices)
        echo["id"] = json.loads(members["id"])
    if random.random() < 0.2:
        members[f"x{random.randrange(9)}"] = random.choice(NO_STRINGS)
    pairs = [f'"{name}"{space(random)}:{value}' for name, value in members.items()]
    random.shuffle(pairs)
    return "{" + f"{space(random)},".join(pairs) + "}" + space(random), echo


def space(random: Random) -> str:
    return random.choice(("", "", "", " ", "\n\t"))


def deep(random: Random) -> str:
    """Return a value that is nested as deep as fits, or a hundred times less."""
    opened, closed = random.choice((("[", "]"), ('{"a":', "}"), ('[{"":', "}]")))
    depth = random.choice((LONGEST, LONGEST // 2, 1000, 600)) // len(opened + closed)
    return opened * depth + "1" + closed * depth
