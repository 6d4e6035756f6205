"""A clock that is set back an hour, or forward a day and back again."""

import pytest

from models.sessions import MOST_SESSIONS
from tests.api.conftest import PASSWORD, Api
from tests.api.cores import Clock, Open
from tests.databases import ADMIN
from tests.faults.extent import extent

HOUR, DAY = 3600.0, 86400.0
# By how much the clock is moved, one after the other: at the end it is right again.
MOVES = {"back": [-HOUR, HOUR], "forward": [DAY, -DAY]}
stores = pytest.mark.parametrize("environment", extent(["sqlite"], ["sqlite", "mongod"]), indirect=True)
moved = pytest.mark.parametrize("moves", MOVES.values(), ids=MOVES)
MINUTE = 60.0  # the longest pause after failed logins
VERIFY = "/api/v2/verify"


class Keys:
    """All that opens one user, and whether it does."""

    def __init__(self, api: Api, name: str) -> None:
        self._api = api
        self.token = f"the-token-of-{name}"
        self.name, _ = api.add(name, token=self.token)
        self.session, self.user_key, self.jwt = self.log_in()

    def log_in(self) -> tuple[str, str, str]:
        login = {"username": self.name, "password": PASSWORD}
        return (
            self._api.ask("/login.json", login).get_json()["id"],
            self._api.ask("/user-auth/login", login).get_json()["token"],
            self._api.ask("/users/login", {"user": login}).get_json()["user"]["token"],
        )

    def opening(self) -> set[str]:
        """Return which of them open the user."""
        asked = {
            "password": self._api.call("GET", VERIFY, (self.name, PASSWORD)),
            "token": self._api.call("GET", VERIFY, self.token),
            "jwt": self._api.call("GET", VERIFY, self.jwt),
            "session": self._api.call("GET", VERIFY, None, headers={"Cookie": f"session={self.session}"}),
            "user key": self._api.ask(f"/user-auth/update?user_key={self.user_key}", {}),
        }
        # The last one is not told what to change, and says so to whom it lets in.
        return {door for door, answer in asked.items() if answer.status_code in {200, 204, 400}}


ALL = {"password", "token", "jwt", "session", "user key"}


@stores
@moved
def test_nobody_is_let_in_or_shut_out(open_api: Open, clock: Clock, moves: list[float]) -> None:
    """What opens a user goes on opening it; what was revoked, in whatever way and under whatever time, stays so."""
    apis = [open_api(), open_api()]
    ann, revoked, changed, disabled = (Keys(apis[0], name) for name in ("ann", "bob", "cid", "dan"))

    def end(api: Api) -> None:
        assert api.delete("/bob/sessions").status_code == 200
        assert api.put("/cid/update", {"password": "another password"}).status_code == 200
        assert api.put("/dan/update", {"disabled": True}).status_code == 200

    end(apis[0])
    late = Keys(apis[0], "eve")
    for move in moves:
        clock.advance(move)
        for keys, open_ in (
            (ann, ALL),
            (revoked, {"password", "token"}),
            (changed, {"token"}),
            (disabled, set()),
            (late, ALL),
        ):
            assert keys.opening() == open_, (move, keys.name)
        # What begins and ends by a wrong clock does so for good.
        for number, api in enumerate(apis):
            keys = Keys(api, f"user{number}{int(move)}".replace("-", "b"))
            assert keys.opening() == ALL, move
        late.session, late.user_key, late.jwt = late.log_in()
        assert late.opening() == ALL
    assert apis[1].delete("/eve/sessions").status_code == 200
    assert late.opening() == {"password", "token"}
    for api in apis:
        assert api.core.store.purge(now=clock()) == 0


@stores
@moved
def test_nothing_is_purged_before_its_time(open_api: Open, clock: Clock, moves: list[float]) -> None:
    """A purge by a clock that is wrong by so much takes no session, no key and no token that lasts longer than that."""
    api = open_api()
    ann = Keys(api, "ann")
    for move in moves:
        clock.advance(move)
        api.core.store.purge(now=clock())
        assert ann.opening() == ALL, move
    assert len(api.get("/ann/sessions").get_json()["sessions"]) == 3


@stores
@moved
def test_failed_logins_keep_nobody_out_for_long(open_api: Open, clock: Clock, moves: list[float]) -> None:
    """A pause that was begun by a wrong clock is over a minute after it at the latest, and counts while it lasts."""
    api = open_api()
    ann = Keys(api, "ann")
    here = {"environ_base": {"REMOTE_ADDR": "192.0.2.7"}}

    def log_in(password: str) -> int:
        return api.get("/ann", ("ann", password), **here).status_code

    assert log_in(PASSWORD) == 200  # it is remembered
    for move in moves:
        for guess in range(40):
            log_in(f"a wrong password {guess} {move}")
        assert log_in("another wrong password") == 429
        clock.advance(move)
        assert log_in(PASSWORD) in {200, 429}
        assert log_in(f"yet another one {move}") in {401, 429}
        clock.advance(MINUTE)
        assert log_in(PASSWORD) == 200, move
        clock.advance(MINUTE)
    assert ann.opening() == ALL


@stores
@moved
def test_logins_go_on_for_who_has_the_most_sessions(open_api: Open, clock: Clock, moves: list[float]) -> None:
    """A session that begins stays, also where a hundred were begun by a clock that was ahead; there are no more."""
    api = open_api()
    ann = Keys(api, "ann")
    login = {"username": "ann", "password": PASSWORD}
    for move in moves:
        for _ in range(MOST_SESSIONS):
            api.ask("/login.json", login)
        clock.advance(move)
        begun = [api.ask("/login.json", login).get_json()["id"] for _ in range(2)]
        ann.session = begun[-1]
        assert "session" in ann.opening(), move
        sessions = api.get("/ann/sessions?").get_json()["sessions"]
        assert sum(one["kind"] == "session" for one in sessions) == MOST_SESSIONS
    assert api.get("", ADMIN).status_code == 200
