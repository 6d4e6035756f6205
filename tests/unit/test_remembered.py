"""The memory of credentials that were right: bounded, of no use to another process, and without a secret in it."""

import gc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import FunctionType, ModuleType

from hypothesis import given
from hypothesis import strategies as st

from models.remembered import RememberedCredentials
from models.secret import Secret

HERE, THERE = "192.0.2.1/32", "192.0.2.2/32"


def credential(remembered: RememberedCredentials, number: int) -> bytes:
    return remembered.name_of("ann", Secret(f"password {number}"))


def test_what_was_right_is_known_with_what_it_was_right_for() -> None:
    """A credential that was never right has no stored value, one that was has the last, one that is forgotten none."""
    remembered = RememberedCredentials()
    name = credential(remembered, 1)
    assert remembered.stored_value(name, HERE) is None
    remembered.remember(name, HERE, "hash")
    remembered.remember(name, HERE, "newer hash")
    assert remembered.stored_value(name, HERE) == "newer hash"
    assert remembered.stored_value(credential(remembered, 2), HERE) is None
    remembered.forget(name, HERE)
    remembered.forget(name, HERE)
    assert remembered.stored_value(name, HERE) is None


def test_what_was_right_elsewhere_is_not_known_here() -> None:
    """Who has never logged in from an address cannot find out from it what others use: it is bound to the address."""
    remembered = RememberedCredentials()
    name = credential(remembered, 1)
    remembered.remember(name, THERE, "hash")
    assert remembered.stored_value(name, HERE) is None
    remembered.forget(name, HERE)
    assert remembered.stored_value(name, THERE) == "hash"


def test_a_token_by_itself_is_no_users_password() -> None:
    """A credential that names its user by itself is another one than that of a user without a name."""
    remembered = RememberedCredentials()
    assert remembered.name_of(None, Secret("a")) != remembered.name_of("", Secret("a"))


def test_what_was_not_used_for_longest_goes_first() -> None:
    """Being asked for and being right again both count as use."""
    remembered = RememberedCredentials(capacity=3)
    one, two, three, four, five = (credential(remembered, number) for number in range(5))
    for name in (one, two, three):
        remembered.remember(name, HERE, "hash")
    assert remembered.stored_value(one, HERE) == "hash"
    remembered.remember(four, HERE, "hash")
    assert remembered.stored_value(two, HERE) is None
    remembered.remember(three, HERE, "hash")
    remembered.remember(five, HERE, "hash")
    known = [name for name in (one, two, three, four, five) if remembered.stored_value(name, HERE)]
    assert known == [three, four, five]


def test_the_memory_is_bounded() -> None:
    """However many credentials are right, from however many threads, no more than the capacity are kept."""
    remembered = RememberedCredentials(capacity=50)

    def use(worker: int) -> None:
        for number in range(500):
            name = credential(remembered, worker * 1000 + number)
            remembered.remember(name, HERE, "hash")
            remembered.stored_value(name, HERE)
            if number % 7 == 0:
                remembered.forget(name, HERE)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(use, range(4)))
    assert len(remembered._stored) <= 50


@given(st.text("ab0:1\0é\ud800", max_size=6))
def test_no_two_credentials_have_one_name(text: str) -> None:
    """Where the user name ends and the password begins is told, whatever is in them, lone surrogates too."""
    remembered = RememberedCredentials()
    cuts = range(len(text) + 1)
    assert len({remembered.name_of(text[:cut], Secret(text[cut:])) for cut in cuts}) == len(cuts)
    assert remembered.name_of(text, Secret("a")) == remembered.name_of(text, Secret("a"))


def test_another_process_calls_it_something_else() -> None:
    """The names are made under a random key, so what one process holds says nothing in another."""
    names = {RememberedCredentials().name_of("ann", Secret("a password")) for _ in range(3)}
    assert len(names) == 3
    assert {len(name) for name in names} == {32}


def test_nothing_of_the_password_is_kept() -> None:
    """Neither name nor password, in any encoding, is in anything that the memory refers to."""
    remembered = RememberedCredentials()
    secret = "correct-horse-battery"
    for _ in range(2):
        name = remembered.name_of("annabella", Secret(secret))
        remembered.remember(name, HERE, "$2b$12$the-stored-hash")
        remembered.stored_value(name, HERE)
    kept = [value if isinstance(value, bytes) else value.encode() for value in texts_in(remembered)]
    assert b"$2b$12$the-stored-hash" in kept
    assert name in kept
    for raw in ("annabella", secret):
        assert not [value for value in kept if raw.encode() in value or raw.encode("utf-16-le") in value]


def texts_in(root: object) -> Iterator[str | bytes]:
    """Yield every text that can be reached from ``root`` without going through code."""
    seen: set[int] = set()
    pending = [root]
    while pending:
        value = pending.pop()
        if id(value) in seen or isinstance(value, type | ModuleType | FunctionType):
            continue
        seen.add(id(value))
        if isinstance(value, str | bytes | bytearray):
            yield value if isinstance(value, str) else bytes(value)
        pending += gc.get_referents(value)
