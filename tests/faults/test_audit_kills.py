"""The audit trail and kills: no change is left without its event, and no event without its change."""

import json
import random
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPException
from itertools import count

import pytest

from api.settings import Settings
from app import open_store
from models.events import Event, Sought
from models.storage import Store
from models.user import User
from tests.api.small_app import until
from tests.databases import ADMIN_TOKEN, Environment
from tests.faults.extent import extent
from tests.running import Doorman
from tests.workers import Line, on_linux

pytestmark = on_linux

KILLS = extent(1, 20)
CLIENTS = 4
CHANGES = 20  # are acknowledged before each kill, which comes at some time after that
LATER = 0.1  # seconds
_PAGE = 1000


def change_until_killed(doorman: Doorman, name: str, acknowledged: list[str]) -> None:
    """Make users and change them until the server is gone; add the name of each to what was acknowledged."""
    line = Line(doorman.port)
    try:
        for user in (f"{name}-{number}" for number in count()):
            for method, path, fields in (
                ("POST", f"/{user}", {"password": "a fine password"}),
                ("PUT", f"/{user}/update", {"name": "Somebody"}),
                ("PUT", f"/{user}/update", {"user_group": "manager", "disabled": True}),
            ):
                status, _ = line.ask(method, f"/api/v2/users{path}", ADMIN_TOKEN, json.dumps(fields))
                assert status == 200
                acknowledged.append(user)
    except (OSError, HTTPException):
        pass
    finally:
        line.close()


def all_events(store: Store) -> list[Event]:
    events: list[Event] = []
    while page := store.audit.find(Sought(below=events[-1].id if events else "g"), limit=_PAGE):
        events += page
    return events


@pytest.mark.timeout(600)
def test_a_kill_parts_no_change_from_its_event(
    environment: Environment,
    serve: Callable[[Environment], Doorman],
    record_property: Callable[[str, object], None],
) -> None:
    """After kills in the middle of writing, acknowledged changes are there, and each change has exactly its events."""
    told: list[str] = []
    with ThreadPoolExecutor(CLIENTS) as clients:
        for kill in range(KILLS):
            doorman, wanted = serve(environment | {"WORKERS": "2"}), len(told) + CHANGES
            begun = [
                clients.submit(change_until_killed, doorman, f"u{kill}-{client}", told) for client in range(CLIENTS)
            ]
            until(lambda: len(told) >= wanted, "changes")  # noqa: B023 - asked at once
            time.sleep(random.uniform(0, LATER))  # noqa: S311 - when is chance
            doorman.kill()
            for client in begun:
                client.result()
    acknowledged = Counter(told)
    with closing(open_store(Settings.from_env(environment))) as store:
        store.prepare()
        events = all_events(store)
        of_user = Counter(event.subject.id for event in events if event.subject)
        created = {event.subject.id or "" for event in events if event.subject and event.kind == "user_created"}
        users = [user for user in store.find_users_by_id(created).values() if isinstance(user, User)]
        assert len(users) == len(created)  # no event without its user
        listed = [name.user_name for name in store.list_names(limit=100_000)]
        assert sorted(user.user_name for user in users) == sorted(listed)  # and none without its event
        # The third change of a user is two events: its group, and that it is disabled.
        assert {user.user_name: of_user[user.id] for user in users} == {
            user.user_name: user.revision + (user.revision == 3) for user in users
        }
        lost = sum((acknowledged - Counter({user.user_name: user.revision for user in users})).values())
        assert lost == 0
    record_property("kills", KILLS)
    record_property("acknowledged changes", sum(acknowledged.values()))
    record_property("lost, or without their events", lost)
