"""Events as the core makes them: in the order of a user's changes, whatever clocks say, and never by nobody."""

from datetime import timedelta

import pytest

from models.events import SYSTEM, Event, Kind
from models.origins import NoOriginError, Origin, nowhere
from models.trail import Trail
from models.user import User
from tests.origins import trail, whence
from tests.storage.stores import make_user
from tests.unit.watched import Clock


def named(number: int, user: User, clock: Clock) -> User:
    return user.changed(clock(), name=f"Name {number}")


def test_changes_of_one_moment_keep_their_order(clock: Clock) -> None:
    """Those of one user have ids in the order of its revisions, and those of one change in theirs."""
    user, events = make_user("ann", created_at=clock.now, updated_at=clock.now), list[Event]()
    for number in range(40):
        changed = user.changed(clock(), name=f"Name {number}", disabled=number % 2 == 0, password_hash=str(number))
        events += trail(clock).changed(user, user, changed)
        user = changed
    events += trail(clock).deleted(None, user)
    assert [event.kind for event in events[:3]] == [Kind.USER_DISABLED, Kind.PASSWORD_CHANGED, Kind.USER_UPDATED]
    assert sorted(events, key=lambda event: event.id) == events
    assert {event.at for event in events} == {clock.now}


@pytest.mark.parametrize(("behind", "is_put_off"), [(1, True), (59, True), (61, False), (86_400, False)])
def test_a_clock_that_is_behind_dates_no_event_before_what_it_follows(
    clock: Clock, *, behind: int, is_put_off: bool
) -> None:
    """It is dated with the change before it, unless that one's clock was far ahead."""
    before = make_user("ann", updated_at=clock.now + timedelta(seconds=behind))
    [event] = trail(clock).changed(before, before, named(1, before, clock))
    assert event.at == (before.updated_at if is_put_off else clock.now)


def test_nothing_is_done_by_nobody(clock: Clock) -> None:
    """Where no origin is known, or it names no actor and there is no caller, no event is made."""
    user = make_user("ann")
    for origin in (nowhere, lambda: Origin("v2", "192.0.2.1", "a request")):
        with pytest.raises(NoOriginError):
            Trail(origin, clock).created(None, user)
    with pytest.raises(NoOriginError):
        Trail(nowhere, clock).by_system(Kind.KEY_ROTATED)
    [event] = Trail(whence, clock).by_system(Kind.KEY_ROTATED, key_id="x")
    assert (event.actor, event.address) == (SYSTEM, "")
