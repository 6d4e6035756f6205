"""Clients that write without a pause, each to users of its own, and hold every answer against what they know."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from random import Random
from threading import Event
from typing import Any

import httpx

from tests.databases import ADMIN_TOKEN
from tests.faults.extent import extent
from tests.faults.known_users import KnownUser, State
from tests.faults.tally import Tally
from tests.running import START_SECONDS, Doorman, from_own_address

CLIENTS = 8
_USERS_EACH = 10
_MOST_DOUBTFUL = 10
_PAUSE = extent(0.03, 0.01)  # seconds between the requests of one, which leaves some of the machine to the servers
_PAUSE_REFUSED = 0.05  # after a refusal: shorter than it asks for, to see how the next ones are refused
_PATIENCE = 5.0  # seconds after which what was read and is wrong will not become right
_SETTLING = 60.0  # seconds to end all doubts, once the faults are over

_BEARER = {"Authorization": f"Bearer {ADMIN_TOKEN}"}


class Writer:
    """One client, which asks the servers in turn by chance."""

    def __init__(self, number: int, doormen: Sequence[Doorman], tally: Tally) -> None:
        self._random = Random(number)  # noqa: S311 - it guards nothing
        self._number = number
        self._servers = [doorman.url for doorman in doormen]
        self._tally = tally
        transport = from_own_address()
        self._client = httpx.Client(transport=transport, timeout=START_SECONDS)
        self._serial = 0
        self.users: list[KnownUser] = []

    def write(self, stop: Event) -> None:
        """Write until told to stop, and then until nothing is in doubt."""
        with self._client:
            while not stop.wait(_PAUSE):
                self._act()
            deadline = time.monotonic() + _SETTLING
            while doubtful := [user for user in self.users if user.is_doubtful]:
                assert time.monotonic() < deadline, f"in doubt after a minute: {doubtful[0]}"
                self._settle(doubtful[0])

    def _act(self) -> None:
        doubtful = [user for user in self.users if user.is_doubtful]
        certain = [user for user in self.users if user.is_there and not user.is_doubtful]
        if doubtful and (len(doubtful) >= _MOST_DOUBTFUL or self._random.random() < 0.2):
            self._settle(self._random.choice(doubtful))
        elif len(certain) < _USERS_EACH:
            self._create()
        else:
            (act,) = self._random.choices(_ACTS, _WEIGHTS)
            act(self, self._random.choice(certain))

    def _create(self) -> None:
        self._serial += 1
        user = KnownUser(f"user-{self._number}-{self._serial}", [None])
        self.users.append(user)
        self._create_as(user, self._new_state(user))

    def _create_as(self, user: KnownUser, state: State) -> None:
        status = self._ask("POST", f"/api/v2/users/{user.name}", state.as_fields(), statuses={200})[0]
        if status == 200:
            user.created(state)
        else:
            user.maybe_created(state)

    def change(self, user: KnownUser) -> None:
        self._serial += 1
        new = self._new_state(user).as_fields()
        chosen = self._random.sample(sorted(new), self._random.randint(1, len(new)))
        self._change_by(user, {name: new[name] for name in chosen})

    def _change_by(self, user: KnownUser, fields: dict[str, Any]) -> int | None:
        gone = {403} if None in user.states else set[int]()
        status, _ = self._ask("PUT", f"/api/v2/users/{user.name}/update", fields, statuses={200} | gone)
        if status == 200:
            user.changed(fields)
        elif status not in gone:
            user.maybe_changed(fields)
        return status

    def refresh(self, user: KnownUser) -> None:
        status, body = self._ask("POST", f"/api/v2/users/{user.name}/refresh", statuses={200})
        if status == 200:
            user.changed({"token": body["token"]})
        else:
            user.maybe_changed({"token": None})

    def delete(self, user: KnownUser) -> None:
        if self._ask("DELETE", f"/api/v2/users/{user.name}", statuses={200})[0] == 200:
            user.deleted()
        else:
            user.maybe_deleted()

    def log_in(self, user: KnownUser) -> None:
        login = {"username": user.name, "password": user.state.password}
        status, body = self._ask("POST", "/login.json", login, statuses={200}, headers={})
        if status == 200:
            user.sessions.append(body["id"])

    def log_out(self, user: KnownUser) -> None:
        if user.sessions:
            session = user.sessions.pop()
            if self._ask("POST", f"/logout.json?s={session}", statuses={200}, headers={})[0] == 200:
                user.ended.append(session)

    def read(self, user: KnownUser) -> None:
        """Read the user in a way that must work, and compare; it may be right only later, which is worth knowing."""
        auths: list[Any] = [None, (user.name, user.state.password)]
        auths += [(user.name, user.state.token)] * (user.state.token is not None)
        auth, deadline = self._random.choice(auths), time.monotonic() + _PATIENCE
        wrong: list[str] = []
        while time.monotonic() < deadline:
            status, body = self._ask("GET", f"/api/v2/users/{user.name}", statuses={200, 401, 403}, auth=auth)
            if status in (200, 401, 403):
                if self._narrow(user, status, body):
                    self._tally.stale += wrong[:1]
                    return
                by = "an admin" if auth is None else "itself"
                wrong.append(f"{user} was read by {by}: {status} {body}")
            if not wrong:
                return
            time.sleep(_PAUSE_REFUSED)
        self._tally.lost += wrong[:1]
        self.users.remove(user)

    def _settle(self, user: KnownUser) -> None:
        """Write once more what tells: a write that is acknowledged leaves none before it that is still to come."""
        if not user.marker:
            self._serial += 1
            user.marker = f"settled by {self._serial}"
        status = self._change_by(user, {"name": user.marker})
        if status == 200:
            user.settled()
            self.read_anew(user)
        elif status == 403:
            # It may be made still by what was asked before; so it is settled by making it.
            state = State(
                password=f"battery staple {user.marker}",
                token=None,
                email=f"{user.name}.{user.marker.replace(' ', '-')}@example.com",
                name=user.marker,
                user_group="noob",
            )
            fields = state.as_fields()
            del fields["token"]
            status, _ = self._ask("POST", f"/api/v2/users/{user.name}", fields, statuses={200, 403})
            if status == 200:
                user.created(state)
                user.settled()
            elif status != 403:
                user.maybe_created(state)

    def read_anew(self, user: KnownUser) -> None:
        """Find out which of the states a user is in that is in one of them for good."""
        deadline = time.monotonic() + _SETTLING
        while time.monotonic() < deadline:
            status, body = self._ask("GET", f"/api/v2/users/{user.name}", statuses={200, 403})
            if status == 200 and self._narrow(user, status, body):
                return
            time.sleep(_PAUSE_REFUSED)
        self._tally.torn.append(f"{user} is {status} {body}")
        self.users.remove(user)

    @staticmethod
    def _narrow(user: KnownUser, status: int, body: Any) -> bool:
        """Keep the states that the answer may tell of; return whether there is one."""
        if status != 200:
            return False
        states = [state for state in user.states if state and state.has_hashes(body["password"], body["token"])]
        # A token that nobody was told is not one that somebody was.
        user.states = [state for state in states if state.token is not None] or [*states] or user.states
        return bool(states)

    def _new_state(self, user: KnownUser) -> State:
        n = self._serial
        return State(
            password=f"battery staple {n} of {self._number}",
            token=f"battery-staple-{n}-of-{self._number}",
            email=f"{user.name}.{n}@example.com",
            name=f"{user.name}, the {n}",
            user_group=self._random.choice(("noob", "noob", "noob", "manager", "admin")),
        )

    def _ask(
        self,
        method: str,
        path: str,
        fields: dict[str, Any] | None = None,
        *,
        statuses: set[int],
        headers: dict[str, str] = _BEARER,
        auth: Any = None,
    ) -> tuple[int | None, Any]:
        """Return status and body of an answer whose status is one of ``statuses``; no status, if nobody knows."""
        server = self._random.choice(self._servers)
        begun = time.monotonic()
        try:
            answer = self._client.request(
                method, server + path, json=fields, headers=headers if auth is None else {}, auth=auth
            )
        except httpx.TransportError as error:
            self._tally.broken.append(f"{method} {path}: {error!r} after {time.monotonic() - begun:.3f} s")
            time.sleep(_PAUSE_REFUSED)
            return None, None
        ended = time.monotonic()
        self._client.cookies.clear()  # a browser's login ends the session that it had before
        self._tally.note(f"{method} {path}", answer, ended - begun)
        if answer.status_code in statuses:
            if method != "GET" and answer.status_code == 200:
                self._tally.note_write(server, begun, ended)
            return answer.status_code, answer.json()
        self._tally.note_unexpected(f"{method} {path}", answer)
        time.sleep(_PAUSE_REFUSED)
        return None, None


_ACTS: list[Callable[[Writer, KnownUser], None]] = [
    Writer.change, Writer.refresh, Writer.delete, Writer.log_in, Writer.log_out, Writer.read,
]  # fmt: skip
_WEIGHTS = [8, 2, 2, 2, 1, 3]


@contextmanager
def writing(doormen: Sequence[Doorman], tally: Tally) -> Iterator[list[Writer]]:
    """Have clients write all the while; at the end nothing is in doubt any more."""
    stop = Event()
    writers = [Writer(number, doormen, tally) for number in range(CLIENTS)]
    with ThreadPoolExecutor(CLIENTS) as pool:
        begun = [pool.submit(writer.write, stop) for writer in writers]
        try:
            yield writers
        finally:
            stop.set()
        for writer in begun:
            writer.result()
