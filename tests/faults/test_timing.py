"""How long refusals take: it tells nobody who has an account, or of which kind."""

import hashlib
import random
import secrets
from base64 import b64encode
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from urllib.parse import urlencode

import bcrypt
import pytest

from api.settings import Settings
from app import create_core
from models.clients import client_at
from models.core import Core
from models.credentials import Caller
from models.foreign_hashes import read_hash
from models.sessions import CONSOLE
from models.storage import Store
from tests.databases import Environment
from tests.faults.extent import IS_FULL, extent
from tests.faults.password_doors import DOORS, Door, request, timed
from tests.faults.telling_apart import FEATURES, SINGLE, by_chance, by_pairs, deviation
from tests.running import Doorman
from tests.storage.stores import make_user
from tests.workers import on_linux

pytestmark = [pytest.mark.alone, on_linux]  # elsewhere there is one address to come from

Serve = Callable[[Environment], Doorman]
Columns = Mapping[str, object]
Ask = Callable[[], tuple[float, bytes]]

ROUNDS = 6
PASSWORD, WRONG = "a fine password", "another, wrong1"
EACH = extent(16, 1000)  # requests of each kind, so twice as many for each pair
# So many are made before, and not looked at: the first ones load code, measure hashes and begin threads.
FIRST = extent(2, 10)
# Of what a guess tells, 0.5. The bound is for single requests; what is 0.55 there would be 0.61 of five.
BOUNDS = dict.fromkeys(FEATURES, extent(1.0, 0.62)) | {SINGLE: extent(0.9, 0.55), "shape": extent(1.0, 0.55)}
UNKNOWN, OAUTH = "unknown", "OAuth only"
FEW = {UNKNOWN, "wrong password", "disabled, right password", "cheaper foreign hash"}
NOBODY = {UNKNOWN, OAUTH}  # there is no ordinary user of these names


def hashed(rounds: int) -> str:
    return bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(rounds)).decode()


def pbkdf2(iterations: int) -> str:
    """Hash the password as Django does."""
    digest = hashlib.pbkdf2_hmac("sha256", PASSWORD.encode(), b"seasalt", iterations)
    return f"pbkdf2_sha256${iterations}$seasalt${b64encode(digest).decode()}"


def salted_sha1() -> str:
    """Hash it as LDAP's servers did, which takes no time."""
    return (
        "{SSHA}"
        + b64encode(hashlib.sha1(PASSWORD.encode() + b"salt", usedforsecurity=False).digest() + b"salt").decode()
    )


def kinds() -> dict[str, Columns]:
    """Return what the users of each kind have; nobody has the names of the first."""
    own = hashed(ROUNDS)
    return {
        UNKNOWN: {},
        "wrong password": {"password_hash": own},
        OAUTH: {"oauth": 1, "password_hash": None},
        "no password": {"password_hash": None},
        "disabled, right password": {"password_hash": own, "disabled": True},
        "cheaper hash": {"password_hash": hashed(4)},
    }


def foreign_kinds() -> dict[str, Columns]:
    return {
        "dearer foreign hash": {"password_hash": pbkdf2(20_000)},
        "cheaper foreign hash": {"password_hash": salted_sha1()},
    }


@contextmanager
def core_of(environment: Environment) -> Iterator[Core]:
    core = create_core(Settings.from_env(environment))
    try:
        yield core
    finally:
        core.close()


def with_users(store: Store, kind: Columns, number: int) -> list[str]:
    """Return names that nobody has used yet, and put users of the kind there past the hashing, if they are any."""
    names = [secrets.token_hex(8) for _ in range(number)]
    if kind:
        users = [make_user(name, **kind) for name in names]
        for begin in range(0, number, 200):
            store.insert(users[begin : begin + 200], ())
    if str(kind.get("password_hash") or "$2").startswith("$2"):
        return names
    store.note_foreign_hashes([read_hash(str(kind["password_hash"])).recipe])
    return names


def interleaved(asks: Mapping[str, Sequence[Ask]]) -> tuple[dict[str, list[float]], dict[bytes, set[str]]]:
    """Make the requests of all kinds in an order of chance; return their times, and which kinds had which answers."""
    order = [kind for kind, of_kind in asks.items() for _ in of_kind]
    random.shuffle(order)
    left = {kind: iter(of_kind) for kind, of_kind in asks.items()}
    times: dict[str, list[float]] = {kind: [] for kind in asks}
    answers = defaultdict[bytes, set[str]](set)
    for kind in order:
        seconds, answer = next(left[kind])()
        times[kind].append(seconds)
        answers[answer].add(kind)
    return times, answers


def assert_not_told_apart(
    where: str, sample: Callable[[], dict[str, list[float]]], record_property: Callable[[str, object], None]
) -> None:
    """Hold that no feature tells any two kinds apart. What seems to do so has to do it again: chance does not."""
    times = sample()
    found = by_pairs(times)
    pair, most = max(((pair, told[SINGLE]) for pair, told in found.items()), key=lambda pair_told: pair_told[1])
    around = 1.96 * deviation(EACH, EACH)
    others = ", ".join(
        f"{name} {max(told[name] for told in found.values()):.3f}" for name in FEATURES if name != SINGLE
    )
    chance = by_chance(times[pair[0]], times[pair[1]], SINGLE) if IS_FULL else 0.5 + around
    record_property(
        f"{where}, {len(found)} pairs", f"AUC at most {most:.3f} ± {around:.3f} (by chance {chance:.3f}; {others})"
    )
    suspects = {(pair, name) for pair, told in found.items() for name in FEATURES if told[name] > BOUNDS[name]}
    if suspects:
        again = by_pairs(sample())
        confirmed = {
            (*pair, name): (round(found[pair][name], 3), round(again[pair][name], 3))
            for pair, name in suspects
            if again[pair][name] > BOUNDS[name]
        }
        assert not confirmed, (where, confirmed)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("others", extent([True], [False, True]), ids=lambda others: "foreign" if others else "bcrypt")
def test_the_time_of_a_refusal_tells_nothing(
    sqlite_environment: Environment,
    serve: Serve,
    record_property: Callable[[str, object], None],
    others: bool,  # noqa: FBT001 - the parameter's
) -> None:
    """Unknown, wrong password, disabled, OAuth, cheaper or foreign hash: no door's refusal or its time tells which.

    Once any user has a foreign hash, every refusal takes longer. What differs without one is behind all doors.
    """
    environment = sqlite_environment | {"BCRYPT_ROUNDS": str(ROUNDS)}
    wanted = kinds() | (foreign_kinds() if others else {})
    wanted = {name: kind for name, kind in wanted.items() if name in extent(FEW, wanted.keys())}
    with core_of(environment) as core:
        doorman = serve(environment)
        for where, door in DOORS.items() if others else [("v2", DOORS["v2"])]:
            assert_not_told_apart(where, partial(sample_door, core.store, doorman, door, wanted), record_property)


def sample_door(store: Store, doorman: Doorman, door: Door, wanted: Mapping[str, Columns]) -> dict[str, list[float]]:
    def asks(kind: Columns, number: int) -> list[Ask]:
        password = PASSWORD if kind.get("disabled") else WRONG
        return [partial(timed, doorman.port, door, name, password) for name in with_users(store, kind, number)]

    interleaved({name: asks(kind, FIRST) for name, kind in wanted.items()})
    times, answers = interleaved({name: asks(kind, EACH) for name, kind in wanted.items()})
    # Where the contract tells who is there, the statuses may differ, and the times may not.
    told = [NOBODY & wanted.keys(), wanted.keys() - NOBODY] if door.tells_names else [set(wanted)]
    assert sorted(answers.values(), key=len) == told, answers
    return times


def own_password(doorman: Doorman, core: Core, admin: str) -> Ask:
    """Log an admin in to the console, and have it ask for another's token with a wrong password of its own."""
    user = core.lookups.by_name(admin)
    assert user is not None
    client = client_at("127.0.0.1")
    session, _ = core.sessions.begin(Caller(user, client), CONSOLE)
    caller = core.sessions.resume(CONSOLE, session, client)

    def send(user_name: str, password: str) -> bytes:
        fields = {"form_token": core.form_tokens.make(caller), "revision": user.revision, "own_password": password}
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Origin": "http://x",
            "Cookie": f"doorman-console={session.reveal()}",
        }
        return request("POST", f"/console/users/{user.id}/token", headers, urlencode(fields))

    def ask() -> tuple[float, bytes]:
        seconds, answer = timed(doorman.port, Door(send), admin, WRONG)
        return seconds, answer.replace(user.id.encode(), b"")

    return ask


@pytest.mark.timeout(3600)
def test_the_time_of_a_wrong_own_password_tells_nothing(
    sqlite_environment: Environment, serve: Serve, record_property: Callable[[str, object], None]
) -> None:
    """Where an admin's own password is asked for again, the time tells nothing about how it is hashed."""
    environment = sqlite_environment | {"BCRYPT_ROUNDS": str(ROUNDS)}
    own = {name: kind for name, kind in kinds().items() if name in {"wrong password", "cheaper hash"}}
    wanted = {name: {**kind, "user_group": "admin"} for name, kind in (own | foreign_kinds()).items()}
    with core_of(environment) as core:
        doorman = serve(environment)

        def sample() -> dict[str, list[float]]:
            for number in (FIRST, EACH):
                names = {name: with_users(core.store, kind, number) for name, kind in wanted.items()}
                asks = {name: [own_password(doorman, core, admin) for admin in names[name]] for name in names}
                times, answers = interleaved(asks)
            assert list(answers.values()) == [set(wanted)], answers
            return times

        assert_not_told_apart("console's own password", sample, record_property)
