"""Imports: how many users a second ``doorman import`` brings in, beside what its store takes in bulk.

Each of the three gets the same users, with hashes and e-mail addresses, and a database of its own, in turn: the
command; the store's ``insert`` of the same batches, which keeps every promise of the import's but reads and checks
nothing; and the database's own bulk insert of the users alone, into one table or collection with its indexes, in as
many transactions that are just as durable. Making the users counts for nobody. A million users take long enough to
be one round.
"""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from pymongo import MongoClient, WriteConcern

from api.settings import Settings
from app import create_core, open_store
from bench import accounts, lists
from bench.contention import others
from bench.processes import NotMeasuredError
from bench.report import Section, compared, table
from models.storage.changes import INSERT_BATCH
from models.storage.mongo.documents import USERS, user_document
from models.storage.sqlite.schema import user_row
from models.storage.sqlite.store import INSERT
from models.user import User
from tests.databases import SECRET_KEY, Environment
from tests.running import DOORMAN, clean_environment

_FLOOR, _TARGET = 0.5, 0.8


def measure(mongodb: str, directory: Path, count: int) -> Section:
    section, rows = Section(), []
    file = directory / "imported.jsonl"
    with file.open("w") as out:
        out.writelines(f"{json.dumps(_entry(user))}\n" for user in _users(count))
    for store in lists.STORES:
        with others() as watched:
            rates = [
                count / seconds
                for seconds in (
                    _imported(_environment(store, mongodb, directory, "imported"), file),
                    _inserted(_environment(store, mongodb, directory, "inserted"), count),
                    _in_bulk(_environment(store, mongodb, directory, "bulk"), count),
                )
            ]
        section.others.append(watched.share)
        rows.append([store, *(f"{rate:,.0f}/s" for rate in rates), f"{watched.share:.0%}"])
        print(f"  {', '.join(rows[-1])}", flush=True)
        title = f"import of {count:,} users against the store's bulk insert, {store}"
        section.lines.append(compared(title, _FLOOR, _TARGET, [rates[0] / rates[1]]))
    heads = ["store", "doorman import", "the store's insert", "the database's own, of users alone"]
    section.text.append(f"## Imports\n\n{count:,} users.\n\n" + table([*heads, "cores taken by others"], rows))
    return section


def _users(count: int) -> Iterator[User]:
    for user in accounts.users(lists.names(count)):
        email = f"{user.user_name}@example.com"
        yield replace(user, token_digests=(), name=f"User {user.user_name}", email=email, email_key=email)


def _entry(user: User) -> dict[str, Any]:
    return {name: getattr(user, name) for name in ("user_name", "password_hash", "name", "email")}


def _environment(store: str, mongodb: str, directory: Path, name: str) -> Environment:
    place = mongodb if store == "mongod" else f"sqlite:///{directory}/{name}.db"
    return {"DATABASE_URL": place, "DATABASE_NAME": name, "SECRET_KEY": SECRET_KEY}


def _imported(environment: Environment, file: Path) -> float:
    """Return how long the command takes. Raises ``NotMeasuredError`` if it brings in fewer than all."""
    create_core(Settings.from_env(environment), with_first_admin=False).close()
    started = time.perf_counter()
    done = subprocess.run(  # noqa: S603 - this project's own command
        [DOORMAN, "import", file, "--json"],
        env=clean_environment() | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - started
    if done.returncode or json.loads(done.stdout)["failed"]:
        raise NotMeasuredError(f"doorman import: {done.stderr[-200:]}")
    return seconds


def _inserted(environment: Environment, count: int) -> float:
    with closing(open_store(Settings.from_env(environment))) as store:
        store.prepare()
        return _timed(count, lambda users: store.insert(users, ()))


def _in_bulk(environment: Environment, count: int) -> float:
    settings = Settings.from_env(environment)
    with closing(open_store(settings)) as store:
        store.prepare()
    if settings.sqlite_path is not None:
        return _in_bulk_by_sqlite(settings.sqlite_path, count)
    with MongoClient[dict[str, Any]](settings.database_url.reveal()) as client:
        collection = client[settings.database_name].get_collection(
            USERS, write_concern=WriteConcern("majority", j=True)
        )
        return _timed(count, lambda users: collection.insert_many(map(user_document, users), ordered=False))


def _in_bulk_by_sqlite(path: Path, count: int) -> float:
    with closing(open_store(Settings.from_env({"DATABASE_URL": f"sqlite:///{path}"}))) as store:
        database = store._database  # type: ignore[attr-defined]  # noqa: SLF001 - its connection, not its calls

        def insert(users: list[User]) -> None:
            with database.writing() as connection:
                connection.executemany(INSERT, map(user_row, users))

        return _timed(count, insert)


def _timed(count: int, insert: Callable[[list[User]], object]) -> float:
    """Return how long it takes to insert so many users, batch by batch; a million are never held at once."""
    users, seconds = _users(count), 0.0
    while batch := list(islice(users, INSERT_BATCH)):
        started = time.perf_counter()
        insert(batch)
        seconds += time.perf_counter() - started
    return seconds
