"""Shared look-ups over real stores give what single reads give."""

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from models.lookups import Lookups
from models.storage import Store
from models.user import User
from tests.storage.stores import digest_of, make_user


def test_what_was_foreseen_is_handed_over(store: Store) -> None:
    """Who foresaw its users gets them from the reads of others, and whom it did not foresee by one of its own."""
    ann, bob, cid = (make_user(name) for name in ("ann", "bob", "cid"))
    store.insert([ann, bob, cid], ())
    shared = Lookups(store)
    foreseen = shared.foresee([("ann", 0), ("bob", 0), ("ann", 0), ("nobody", 0)], [*bob.token_digests, "x"])
    assert shared.by_name("cid") == cid
    assert shared.by_token(cid.token_digests[0]) == cid
    store.replace(ann, ann.changed(ann.updated_at, name="Ann"), ())
    store.delete(bob, ())
    assert shared.by_name("ann", foreseen=foreseen) == ann
    assert shared.by_name("bob", foreseen=foreseen) == bob
    assert shared.by_token(bob.token_digests[0], foreseen) == bob
    assert shared.by_name("nobody", foreseen=foreseen) is None
    assert shared.by_token("x", foreseen) is None
    assert shared.by_name("cid", foreseen=foreseen) == cid
    assert shared.by_name("bob", 1, foreseen=foreseen) is None
    assert shared.by_name("bob") is None
    found = shared.by_name("ann")
    assert found is not None
    assert found.name == "Ann"


def test_many_threads_find_what_single_reads_find(store: Store) -> None:
    """Sixteen threads that look up random names, ids and tokens at once get what one thread gets, one by one."""
    users = [make_user(f"user{number}") for number in range(30)]
    store.insert([*users, *(make_user(f"user{number}", oauth=1) for number in range(5))], ())
    shared = Lookups(store)
    wanted: dict[Callable[[], User | None], User | None] = {}
    for number in range(40):
        for oauth in (0, 1):
            name = f"user{number}"
            single = store.find_users([(name, oauth)]).get((name, oauth))
            assert single is None or isinstance(single, User)
            wanted[partial(shared.by_name, name, oauth)] = single
    for user in users:
        wanted[partial(shared.by_id, user.id)] = user
        wanted[partial(shared.by_token, digest_of(f"{user.user_name} 0"))] = user
    for odd in ("", "\ud800", "0" * 24, "x\0y"):
        wanted |= {partial(shared.by_name, odd): None, partial(shared.by_id, odd): None}
        wanted[partial(shared.by_token, odd)] = None

    def look_up_many(seed: int) -> int:
        chance = random.Random(seed)  # noqa: S311 - it must repeat itself
        asked = chance.choices(list(wanted), k=100)
        return sum(look_up() == wanted[look_up] for look_up in asked)

    with ThreadPoolExecutor(16) as threads:
        assert list(threads.map(look_up_many, range(16))) == [100] * 16
