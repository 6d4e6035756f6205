"""Lists of names: one order on every store, and no key lost or shown twice between pages."""

import random

import pytest

from models.storage import Store
from models.storage.keyset import key_range
from models.user import USER_GROUPS, ListedName, UserGroup
from tests.storage.stores import make_user

# In code point order, which is neither UTF-16's (that sorts U+1F600 before U+FFFD) nor any language's.
KEYS = [
    *("A", "Z", "a", "a\0", "a\0b", "a a", "a-", "aa", "ab", "b", "z", "~"),
    *("\u00e4", "\u0130", "\ud7ff", "\ud7ffx", "\ue000", "\ufffd", "\uffff"),
    *("\U00010000", "\U0001f600", "\U0010fffe", "\U0010ffff", "\U0010ffffa", "\U0010ffff\U0010ffff"),
]
PREFIXES = ["", "a", "a\0", "\ud7ff", "\ue000", "\uffff", "\U0010fffe", "\U0010ffff", "\U0010ffff\U0010ffff", "no"]
AFTERS = [
    None,
    "",
    "a",
    "a\0",
    "aaa",
    "\ud7ff",
    "\ud800",
    "\udfffx",
    "a\udc00",
    "\uffff",
    "\U0010ffff",
    "\U0010ffff" * 3,
]


def fill(store: Store) -> None:
    keys = KEYS[:]
    random.Random(0).shuffle(keys)  # noqa: S311 - It shuffles.
    store.insert(
        [
            make_user(f"shown {key}", name_key=key, oauth=oauth, user_group=group_of(key), token_digests=())
            for key in keys
            for oauth in (0, 1)
            if oauth == 0 or key < "b"
        ],
        (),
    )


def group_of(key: str) -> UserGroup:
    return USER_GROUPS[KEYS.index(key) % 3]


def names(keys: list[str]) -> list[ListedName]:
    return [ListedName(key, f"shown {key}") for key in keys]


def test_names_are_listed_in_the_order_of_code_points(store: Store) -> None:
    """Keys come in code point order, with the names to show, those of one kind only."""
    fill(store)
    assert store.list_names(limit=100) == names(KEYS) == names(sorted(KEYS))
    assert store.list_names(limit=100, oauth=1) == names([key for key in KEYS if key < "b"])
    assert store.list_names(limit=0) == []


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize("group", [None, *USER_GROUPS])
def test_pages_join_to_the_whole(store: Store, size: int, group: UserGroup | None) -> None:
    """Asking on after each page's last key shows every name once."""
    fill(store)
    found: list[ListedName] = []
    while page := store.list_names(limit=size, after=found[-1].name_key if found else None, user_group=group):
        assert len(page) <= size
        found += page
    assert found == names([key for key in KEYS if group in (None, group_of(key))])


@pytest.mark.parametrize("size", [1, 3, 7])
@pytest.mark.parametrize("group", [None, "noob"])
def test_pages_join_to_the_whole_from_the_end_on(store: Store, size: int, group: UserGroup | None) -> None:
    """Asking back before each page's first key shows every name once, each page in order."""
    fill(store)
    found: list[ListedName] = []
    before = "\U0010ffff" * 3
    while page := store.list_names(limit=size, before=before, user_group=group):
        assert len(page) <= size
        found = page + found
        before = page[0].name_key
    assert found == names([key for key in KEYS if group in (None, group_of(key))])


def test_before_goes_with_prefix_and_after(store: Store) -> None:
    """Any combination gives the last ones of what a plain filter over all the keys gives."""
    fill(store)
    for prefix in PREFIXES:
        for before in filter(None, AFTERS):
            for after in (None, "a\0", "\ud7ff"):
                expected = [
                    key for key in KEYS if key.startswith(prefix) and key < before and (after is None or key > after)
                ]
                listed = store.list_names(limit=3, prefix=prefix, after=after, before=before)
                assert listed == names(expected[-3:]), (prefix, after, before)
    assert store.list_names(limit=3, before="") == []


def test_prefix_after_and_group_go_together(store: Store) -> None:
    """Any combination gives what a plain filter over all the keys gives."""
    fill(store)
    for prefix in PREFIXES:
        for after in AFTERS:
            for group in (None, "noob"):
                expected = [
                    key
                    for key in KEYS
                    if key.startswith(prefix) and (after is None or key > after) and group in (None, group_of(key))
                ]
                listed = store.list_names(limit=100, prefix=prefix, after=after, user_group=group)
                assert listed == names(expected), (prefix, after, group)


def test_a_range_without_keys_is_none() -> None:
    """What cannot be there is not asked for."""
    assert key_range(after=None, prefix="a\ud800") is None
    assert key_range(after="b", prefix="a") is None
    assert key_range(after=None, prefix="") == ("", None)
    assert key_range(after="\U0010ffff", prefix="\U0010ffff") == ("\U0010ffff\0", None)
