"""The rules for names: what they stand for is stable, and the same everywhere."""

import email_validator
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from models import names
from models.errors import BrokenRuleError
from models.names import UserName

# Texts of what is likely to be mapped: case, width, marks, other scripts, and what PRECIS refuses.
TEXTS = st.text(
    st.one_of(
        st.characters(min_codepoint=0x20, max_codepoint=0x2FF, exclude_categories=["Cc"]),
        st.sampled_from("İıſßẞΑΣςσ\u0301\u0308\uff41\uff21\uff1a\uff0f\uff0e\u05d0\u0661日本𐐀𐐨"),
    ),
    min_size=1,
    max_size=20,
)
# Much of it is refused, and chance may have it that most of it is.
most_may_be_refused = settings(suppress_health_check=[HealthCheck.filter_too_much])


def enforced(text: str) -> UserName:
    try:
        return names.user_name(text)
    except BrokenRuleError:
        assume(condition=False)
        raise


@most_may_be_refused
@given(TEXTS)
def test_an_enforced_name_stands_for_itself(text: str) -> None:
    """Enforcing a name again changes nothing, so what is shown can be asked for and logs in."""
    name = enforced(text)
    assert names.user_name(name.shown) == name


@most_may_be_refused
@given(TEXTS)
def test_a_key_is_the_key_of_every_spelling(text: str) -> None:
    """The name, its key, and look-ups of either agree on one key, which no further mapping changes."""
    name = enforced(text)
    assert names.lookup_key(text) == names.lookup_key(name.shown) == name.key
    assert names.position_key(name.shown) == name.key


@most_may_be_refused
@given(TEXTS)
def test_no_mapping_brings_in_what_is_refused(text: str) -> None:
    """Neither the name nor its key holds a colon, a slash, a space or a control, whatever look-alike was sent."""
    name = enforced(text)
    for form in name:
        assert not set(form) & set(":/ \x00\n")
        assert form not in {"", ".", ".."}


@pytest.mark.parametrize(
    ("text", "shown", "key"),
    [
        ("john@email.com", "john@email.com", "john@email.com"),
        ("Admin", "Admin", "admin"),
        ("\uff21dmin", "Admin", "admin"),
        ("u\u0308ber", "\u00fcber", "\u00fcber"),
        ("$gt", "$gt", "$gt"),
        ("a" * 128, "a" * 128, "a" * 128),
    ],
)
def test_names_are_mapped(text: str, shown: str, key: str) -> None:
    """Width and marks are unified, case is kept to be shown and not compared (RFC 8265, 3.4)."""
    assert names.user_name(text) == (shown, key)


@pytest.mark.parametrize(
    ("text", "address", "key"),
    [
        ("Ann@Example.COM", "Ann@example.com", "ann@example.com"),
        ("ann@corp.local", "ann@corp.local", "ann@corp.local"),
        ("ann@localhost", "ann@localhost", "ann@localhost"),
        ("ann@xn--mnchen-3ya.de", "ann@m\u00fcnchen.de", "ann@m\u00fcnchen.de"),
    ],
)
def test_addresses_are_mapped(text: str, address: str, key: str) -> None:
    """Two addresses that differ in case or in the spelling of their domain are one."""
    assert names.email_address(text) == (address, key)


@pytest.mark.parametrize(
    "text", ["", "ann", "ann@", "@example.com", "a b@example.com", "ann@example.com\n", "a\ud800@b.c"]
)
def test_what_is_no_address(text: str) -> None:
    """What is no e-mail address breaks the rule and nothing else."""
    with pytest.raises(BrokenRuleError):
        names.email_address(text)


def test_an_address_that_is_too_long_is_not_looked_into() -> None:
    """Past the 254 characters that one may have it is refused for that, before any work is spent on it."""
    with pytest.raises(BrokenRuleError, match="at most 254 characters"):
        names.email_address("x" * 243 + "@email.com.xy")


# Letters of all kinds that a short cut for plain text could get wrong.
PLAIN = st.text(st.sampled_from("abzABZ019._-@:/ !~+$'\"\\(),;<>[]\x7f\x1f\u00e4"), max_size=12)


@given(PLAIN)
def test_plain_names_are_what_the_mapping_makes_of_them(text: str) -> None:
    """Where a name needs no mapping, the short cut gives what RFC 8265 gives."""
    plain = names._PLAIN_USER_NAME
    if plain.fullmatch(text):
        assert (text, text.lower()) == (names._case_preserved.enforce(text), names._case_mapped.enforce(text))
        assert not set(text) & {":", "/"}
        assert text not in {".", ".."}
    if names._PLAIN_DISPLAY_NAME.fullmatch(text):
        assert names._opaque.enforce(text) == text
        assert text.strip()


# As the short cut's own expression without what it looks ahead for, which would have most of what is made up refused.
LIKE_ADDRESSES = st.from_regex(
    r"[A-Za-z0-9_]{1,40}([.-][A-Za-z0-9_]{1,9}){0,3}@([a-z0-9]{1,40}(-[a-z0-9]{1,9}){0,3}\.){1,4}[a-z]{2,63}",
    fullmatch=True,
)


@given(LIKE_ADDRESSES | st.builds("{}@{}.example".format, PLAIN, PLAIN))
@example("a" * 64 + "@" + "b" * 63 + ".example")
@example("a" * 65 + "@b.example")
@example("a@" + "b" * 64 + ".example")
def test_plain_addresses_are_what_the_library_makes_of_them(text: str) -> None:
    """Where the short cut takes an e-mail address, email-validator takes it, and leaves it as it is."""
    if len(text) <= 254 and names._PLAIN_EMAIL.fullmatch(text):
        checked = email_validator.validate_email(
            text, strict=True, check_deliverability=False, globally_deliverable=False
        )
        assert checked.normalized == text
        assert names.position_key(text) == text.lower()
