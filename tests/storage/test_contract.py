"""What every store does with users, looked at from one thread."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from models.errors import (
    EmailInUseError,
    LastAdminError,
    RevisionMismatchError,
    TokenInUseError,
    UserExistsError,
)
from models.events import Sought
from models.storage import Store
from models.storage.changes import INSERT_BATCH
from models.user import new_user_id
from tests.storage.stores import (
    NOW,
    Address,
    digest_of,
    find,
    find_by_id,
    find_by_token,
    make_admin,
    make_user,
    with_email,
)

UNSTORABLE = ["\ud800", "ann\udfff", "", "\0", "ann\0", "$gt", "x" * 100_000]


def test_a_user_is_found_as_it_was_put_in(store: Store) -> None:
    """Every field comes back the same, times to the millisecond, by name, id and token."""
    user = make_user("Ann", name="Ann 💐", email="Ann@x.org", email_key="ann@x.org", token_digests=("b", "a"), epoch=7)
    store.insert([user], ())
    assert find(store, "ann") == user
    assert find_by_id(store, user.id) == user
    assert find_by_token(store, "a") == find_by_token(store, "b") == user


def test_a_user_without_anything_optional_is_found(store: Store) -> None:
    """None stays None, and no digests stay none."""
    user = make_user("ann", password_hash=None, token_digests=(), disabled=True, oauth=1)
    store.insert([user], ())
    assert find(store, "ann", 1) == user
    assert find(store, "ann", 0) is None


@pytest.mark.parametrize("text", UNSTORABLE)
def test_any_text_may_be_looked_up(store: Store, text: str) -> None:
    """What no store can hold is not there; it is no error."""
    store.insert([make_user("ann")], ())
    assert find(store, text) is None
    assert find_by_id(store, text) is None
    assert find_by_token(store, text) is None
    assert store.records.find(text, text, now=NOW) is None
    assert not store.records.delete(text, text)
    assert store.records.delete_of(text, [text]) == []
    assert store.audit.find(Sought([[text]]), limit=5) == []
    assert store.list_names(limit=5, prefix=text or "zz") == []


def test_an_id_is_found_in_its_own_spelling_only(store: Store) -> None:
    """Hex digits in upper case, or with blanks about them, are another id."""
    user = make_user("ann", id="abcdefabcdefabcdefabcdef")
    store.insert([user], ())
    assert find_by_id(store, user.id.upper()) is None
    assert find_by_id(store, user.id + "\n") is None


def test_one_name_may_stand_once_in_each_kind(store: Store) -> None:
    """(name_key, oauth) is unique, and neither half of it alone is."""
    store.insert([make_user("ann"), make_user("ann", oauth=1)], ())
    with pytest.raises(UserExistsError):
        store.insert([make_user("ANN")], ())


def test_of_many_users_all_or_none_are_inserted(durable_store: Store) -> None:
    """A batch with one taken name, address or token leaves nothing behind, neither users nor pointers."""
    durable_store.insert([with_email(make_user("ann"), "ann@x.org")], ())
    good = with_email(make_user("bob"), "bob@x.org")
    for bad, error in (
        (make_user("ann"), UserExistsError),
        (with_email(make_user("cid"), "ann@x.org"), EmailInUseError),
        (make_user("cid", token_digests=(digest_of("ann 0"),)), TokenInUseError),
    ):
        with pytest.raises(error):
            durable_store.insert([good, bad], ())
        assert find(durable_store, "bob") is None
    durable_store.insert([good], ())
    assert find_by_token(durable_store, good.token_digests[0]) == good


def test_one_batch_may_not_repeat_itself(durable_store: Store) -> None:
    """Names, addresses and tokens must differ within a batch as well."""
    with pytest.raises(UserExistsError):
        durable_store.insert([make_user("ann"), make_user("ann", token_digests=())], ())
    with pytest.raises(EmailInUseError):
        durable_store.insert([with_email(make_user("ann"), "e"), with_email(make_user("bob"), "e")], ())
    with pytest.raises(TokenInUseError):
        durable_store.insert([make_user("ann", token_digests=("t",)), make_user("bob", token_digests=("t",))], ())
    assert durable_store.list_names(limit=5) == []


def test_a_full_batch_is_inserted(durable_store: Store) -> None:
    """As many users as one call should carry go in at once; no users at all is no error."""
    durable_store.insert([with_email(make_user(f"user{n:04}"), f"{n}@x.org") for n in range(INSERT_BATCH)], ())
    durable_store.insert([], ())
    assert len(durable_store.list_names(limit=INSERT_BATCH + 1)) == INSERT_BATCH


def test_a_replacement_is_stored_whole(store: Store) -> None:
    """What replaces a user is what is found, with its pointers, and the old pointers are free."""
    before = with_email(make_user("ann"), "old@x.org")
    store.insert([before], ())
    after = with_email(before, "new@x.org").changed(
        NOW + timedelta(seconds=1), token_digests=("new",), password_hash=None, name="Ann"
    )
    store.replace(before, after, ())
    assert find(store, "ann") == after
    assert find_by_token(store, "new") == after
    assert find_by_token(store, before.token_digests[0]) is None
    store.insert([with_email(make_user("bob", token_digests=before.token_digests), "old@x.org")], ())


def test_only_the_stored_revision_is_replaced_or_deleted(store: Store) -> None:
    """A stale or a deleted user raises, and changes nothing."""
    first = make_user("ann")
    store.insert([first], ())
    second = first.changed(NOW, name="second")
    store.replace(first, second, ())
    with pytest.raises(RevisionMismatchError):
        store.replace(first, first.changed(NOW, name="third"), ())
    with pytest.raises(RevisionMismatchError):
        store.delete(first, ())
    assert find(store, "ann") == second
    store.delete(second, ())
    with pytest.raises(RevisionMismatchError):
        store.replace(second, second.changed(NOW), ())
    with pytest.raises(RevisionMismatchError):
        store.delete(second, ())


@pytest.mark.parametrize("field", ["id", "oauth"])
def test_who_a_user_is_cannot_be_replaced(store: Store, field: str) -> None:
    """A caller that tries to is wrong, and is told so."""
    before = make_user("ann")
    other = make_user("bob", oauth=1)
    with pytest.raises(ValueError, match="never change"):
        store.replace(before, before.changed(NOW, **{field: getattr(other, field)}), ())


def test_a_user_is_renamed(durable_store: Store) -> None:
    """It is found by its new name alone, its old one is free, and its place in the list is another."""
    ann, bob = make_user("ann"), make_user("bob")
    durable_store.insert([ann, bob], ())
    renamed = ann.changed(NOW, user_name="Zoe", name_key="zoe")
    durable_store.replace(ann, renamed, ())
    assert find(durable_store, "ann") is None
    assert find(durable_store, "zoe") == find_by_id(durable_store, ann.id) == renamed
    assert [name for _, name in durable_store.list_names(limit=3)] == ["bob", "Zoe"]
    durable_store.insert([make_user("ann", token_digests=("new",))], ())


def test_a_user_gets_nobodys_name(durable_store: Store) -> None:
    """A name that is taken raises, and changes nothing; that of another kind of user is free."""
    ann, bob, cid = make_user("ann"), make_user("bob"), make_user("cid", oauth=1)
    durable_store.insert([ann, bob, cid], ())
    with pytest.raises(UserExistsError):
        durable_store.replace(ann, ann.changed(NOW, user_name="Bob", name_key="bob"), ())
    assert find(durable_store, "ann") == ann
    durable_store.replace(ann, ann.changed(NOW, user_name="cid", name_key="cid"), ())
    assert find(durable_store, "cid", 1) == cid


def test_a_replacement_takes_nobodys_address_or_token(durable_store: Store) -> None:
    """A conflict raises, and leaves both users as they were."""
    ann, bob = with_email(make_user("ann"), "ann@x.org"), with_email(make_user("bob"), "bob@x.org")
    durable_store.insert([ann, bob], ())
    with pytest.raises(EmailInUseError):
        durable_store.replace(bob, with_email(bob, "ann@x.org"), ())
    with pytest.raises(TokenInUseError):
        durable_store.replace(bob, with_email(bob, None).changed(NOW, token_digests=ann.token_digests), ())
    assert find(durable_store, "bob") == bob
    with pytest.raises(EmailInUseError):
        durable_store.insert([with_email(make_user("cid"), "bob@x.org")], ())


def test_deleting_frees_name_address_and_token(store: Store) -> None:
    """Another user may take them at once, and the old id is not found."""
    ann = with_email(make_user("ann"), "ann@x.org")
    store.insert([ann], ())
    store.delete(ann, ())
    assert find_by_id(store, ann.id) is None
    assert find_by_token(store, ann.token_digests[0]) is None
    again = with_email(make_user("ann"), "ann@x.org")
    store.insert([again], ())
    assert find_by_token(store, ann.token_digests[0]) == again


def test_the_first_admin_is_added_once(store: Store) -> None:
    """With an admin there, nobody is added; with ordinary users only, one is."""
    store.insert([make_user("ann"), make_admin("off", disabled=True), make_admin("else", oauth=1)], ())
    store.insert([make_admin("mute", password_hash=None)], ())
    assert not store.has_admin()
    assert store.insert_first_admin(make_admin("root"), ())
    assert store.has_admin()
    assert not store.insert_first_admin(make_admin("root2"), ())
    assert find(store, "root2") is None
    with pytest.raises(ValueError, match="first admin"):
        store.insert_first_admin(make_user("bob"), ())


def test_a_first_admin_whose_name_is_taken_is_not_counted(durable_store: Store) -> None:
    """The error leaves the store without an admin, and open for the next try."""
    durable_store.insert([make_user("root")], ())
    with pytest.raises(UserExistsError):
        durable_store.insert_first_admin(make_admin("root", token_digests=()), ())
    assert not durable_store.has_admin()
    assert durable_store.insert_first_admin(make_admin("root2"), ())


@pytest.mark.parametrize("change", [{"disabled": True}, {"user_group": "manager"}, {"password_hash": None}])
def test_the_last_admin_stays(durable_store: Store, change: dict[str, object]) -> None:
    """The last enabled admin with a password is neither deleted nor made less; with another one, it is."""
    root = make_admin("root")
    durable_store.insert([root, make_admin("off", disabled=True)], ())
    with pytest.raises(LastAdminError):
        durable_store.delete(root, ())
    with pytest.raises(LastAdminError):
        durable_store.replace(root, root.changed(NOW, **change), ())
    assert find(durable_store, "root") == root
    other = make_user("other")
    durable_store.insert([other], ())
    durable_store.replace(other, other.changed(NOW, user_group="admin"), ())
    durable_store.replace(root, root.changed(NOW, **change), ())
    with pytest.raises(LastAdminError):
        durable_store.delete(other.changed(NOW), ())


def test_the_last_admin_may_change_otherwise(store: Store) -> None:
    """A new password or address of the last admin is an ordinary change."""
    root = make_admin("root")
    store.insert([root], ())
    changed = with_email(root, "root@x.org").changed(NOW, password_hash="new")
    store.replace(root, changed, ())
    assert find(store, "root") == changed


def test_preparing_again_changes_nothing(durable_store: Store) -> None:
    """What was stored stays, and the admins stay counted."""
    durable_store.insert([make_admin("root")], ())
    durable_store.prepare()
    durable_store.ping()
    assert durable_store.has_admin()


def test_a_user_has_one_id(store: Store) -> None:
    """An id that is in use cannot be given again."""
    user_id = new_user_id(NOW)
    store.insert([make_user("ann", id=user_id)], ())
    with pytest.raises(UserExistsError):
        store.insert([make_user("bob", id=user_id)], ())


def test_the_key_id_is_adopted_once(store: Store) -> None:
    """The first is recorded; later only the same, or the successor of a known one, is."""
    assert store.adopt_key_id("one", known=[])
    assert store.adopt_key_id("one", known=["zero"])
    assert not store.adopt_key_id("two", known=["zero"])
    assert store.adopt_key_id("two", known=["one"])
    assert not store.adopt_key_id("one", known=[])


def test_a_store_can_be_opened_again(address: Address, open_prepared: Callable[[Address], Store]) -> None:
    """What one store object has written, another reads."""
    user = make_user("ann")
    open_prepared(address).insert([user], ())
    assert find(open_prepared(address), "ann") == user
