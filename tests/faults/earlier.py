"""An earlier Doorman: its code, out of the history, and what its users can do at any Doorman over the same store.

``python -m tests.faults.earlier`` has it write the stores in ``earlier_stores`` anew.
"""

import io
import json
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from bson import json_util
from pymongo import MongoClient

from tests.databases import ADMIN, SECRET_KEY, Environment
from tests.mongod import Mongod, mongod_program
from tests.running import START_SECONDS, Doorman, from_own_address
from tests.storage.stores import opened
from tests.tools import missing

ROOT = Path(__file__).parents[2]
STORES = Path(__file__).with_name("earlier_stores")
# Before passwords of other systems, imports and the console; with sessions, user keys and tokens. Where releases are
# tagged, the last one takes its place.
COMMIT = "7a5ebc262061094383d333691733a13c59daa1de"
PASSWORD = "the password of everybody"

# Runs a command of Doorman with the code in a folder, in the environment that this one has.
_RUNS = """
import sys
sys.path.insert(0, sys.argv[1])
sys.argv = ["doorman", *sys.argv[3:]]
from app import main
main()
"""


def earlier_commit() -> str:
    """Return the last release that is tagged, or ``COMMIT``. Where the history lacks it, the test is skipped."""
    git = ["git", "-C", str(ROOT)]
    tag = subprocess.run(
        [*git, "describe", "--tags", "--abbrev=0", "--match", "v*", "HEAD^"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    commit = tag or COMMIT
    if subprocess.run([*git, "cat-file", "-e", f"{commit}^{{commit}}"], capture_output=True, check=False).returncode:
        missing(f"the history has no commit {commit}: fetch all of it (git fetch --unshallow)")
    return commit


def unpack(commit: str, directory: Path) -> Path:
    """Put the code of a commit into a folder."""
    command = ["git", "-C", str(ROOT), "archive", commit, "app.py", "api", "models"]
    archive = subprocess.run(command, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(directory, filter="data")
    return directory


@contextmanager
def running_code(code: Path, environment: Environment, directory: Path) -> Iterator[Doorman]:
    """Serve with the code of another version."""
    doorman = Doorman(environment, directory, through=[sys.executable, "-c", _RUNS, str(code)])
    try:
        doorman.await_ready()
        yield doorman
    finally:
        doorman.kill()


@dataclass(frozen=True)
class Known:
    """All that opens one user."""

    name: str
    token: str
    session: str
    user_key: str
    jwt: str


def make_admin(doorman: Doorman, name: str) -> Known:
    """Make an admin, and log in by every door."""
    token = f"the-token-of-{name}"
    fields = {"password": PASSWORD, "token": token, "email": f"{name}@example.org", "user_group": "admin"}
    answer = doorman.call("POST", f"/{name}", json=fields)
    assert answer.status_code == 200, answer.text
    login = {"username": name, "password": PASSWORD}
    return Known(
        name,
        token,
        _post(doorman, "/login.json", login)["id"],
        _post(doorman, "/user-auth/login", login)["token"],
        _post(doorman, "/users/login", {"user": login})["user"]["token"],
    )


# What a request by each door is answered that opens the user: of those which are not told what to change, 400.
OPEN = {"password": 200, "token": 200, "user key": 400, "jwt": 400, "sessions": 3}


def doors(known: Known, doorman: Doorman) -> dict[str, int]:
    """Return what a Doorman answers at each door of a user; ``OPEN`` if all of them let it in."""
    me, bearer = f"/{known.name}", {"Authorization": f"Bearer {known.token}"}
    return {
        "password": doorman.call("GET", me, (known.name, PASSWORD)).status_code,
        "token": doorman.call("GET", me, None, headers=bearer).status_code,
        "user key": _ask(doorman, f"/user-auth/update?user_key={known.user_key}").status_code,
        "jwt": _ask(
            doorman, "/users/permission", {"user": {}}, headers={"Authorization": f"Bearer {known.jwt}"}
        ).status_code,
        "sessions": len(doorman.call("GET", f"{me}/sessions").json().get("sessions", [])),
    }


def log_out(known: Known, doorman: Doorman) -> int:
    """End the user's session of the classic surface."""
    return _ask(doorman, f"/logout.json?s={known.session}").status_code


def _post(doorman: Doorman, path: str, body: object) -> Any:
    answer = _ask(doorman, path, body)
    assert answer.status_code == 200, (path, answer.status_code, answer.text, doorman.log)
    return answer.json()


def _ask(doorman: Doorman, path: str, body: object = None, headers: Mapping[str, str] | None = None) -> httpx.Response:
    with httpx.Client(transport=from_own_address(), timeout=START_SECONDS) as client:
        return client.post(doorman.url + path, json={} if body is None else body, headers=headers)


def kept_file(name: str) -> Path:
    return STORES / name


def load(environment: Environment) -> tuple[Known, Known]:
    """Put what the earlier Doorman has written into an empty database, its times moved on; return who is in it."""
    about = json.loads(kept_file("about.json").read_text())
    age = datetime.now(UTC) - datetime.fromisoformat(about["written_at"])
    if environment["DATABASE_URL"].startswith("sqlite"):
        path = Path(environment["DATABASE_URL"].removeprefix("sqlite:///"))
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with opened(path) as connection:
            connection.executescript(kept_file("sqlite.sql").read_text())
            moved = ", ".join(f"{column} = {column} + ?" for column in _TIMES)
            connection.execute(f"UPDATE records SET {moved}", [age // timedelta(milliseconds=1)] * len(_TIMES))
    else:
        with MongoClient[dict[str, Any]](environment["DATABASE_URL"]) as client:
            database = client[environment["DATABASE_NAME"]]
            for name, documents in json_util.loads(kept_file("mongodb.json").read_text()).items():
                for document in documents:
                    if name == "records":
                        document |= {column: document[column] + age for column in _TIMES}
                    database[name].insert_one(document)
    kind = "sqlite" if environment["DATABASE_URL"].startswith("sqlite") else "mongodb"
    ann, bob = (Known(**one) for one in about["users"][kind])
    return ann, bob


_TIMES = ("created_at", "used_at", "expires_at")


def write_anew() -> None:
    """Write the files that ``load`` reads."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        commit = earlier_commit()
        (place / "code").mkdir()
        code = unpack(commit, place / "code")
        common = {
            "BASIC_AUTH_USER": ADMIN[0],
            "BASIC_AUTH_PASSWORD": ADMIN[1],
            "SECRET_KEY": SECRET_KEY,
            "BCRYPT_ROUNDS": "4",
        }
        STORES.mkdir(exist_ok=True)
        sqlite = common | {"DATABASE_URL": f"sqlite:///{place}/doorman.db"}
        with running_code(code, sqlite, place) as doorman:
            users = [make_admin(doorman, name) for name in ("ann", "bob")]
            doorman.stop()
        with opened(place / "doorman.db") as connection:
            marks = [
                f"PRAGMA {name} = {connection.execute(f'PRAGMA {name}').fetchone()[0]};"
                for name in ("application_id", "user_version")
            ]
            kept_file("sqlite.sql").write_text("\n".join([*marks, *connection.iterdump()]) + "\n")
        (place / "mongod").mkdir()
        server = Mongod(mongod_program(), place / "mongod")
        server.start()
        try:
            mongo = common | {"DATABASE_URL": server.uri, "DATABASE_NAME": "doorman"}
            with running_code(code, mongo, place) as doorman:
                users += [make_admin(doorman, name) for name in ("ann", "bob")]
                doorman.stop()
            with MongoClient[dict[str, Any]](server.uri, tz_aware=True) as client:
                database = client["doorman"]
                documents = {name: list(database[name].find()) for name in sorted(database.list_collection_names())}
            kept_file("mongodb.json").write_text(json_util.dumps(documents, indent=1) + "\n")
        finally:
            server.kill()
        about = {
            "commit": commit,
            "written_at": datetime.now(UTC).isoformat(),
            "users": {"sqlite": list(map(asdict, users[:2])), "mongodb": list(map(asdict, users[2:]))},
        }
        kept_file("about.json").write_text(json.dumps(about, indent=1) + "\n")


if __name__ == "__main__":
    write_anew()
