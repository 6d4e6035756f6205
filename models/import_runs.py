"""A whole import: entries are read and checked while the batch before them is written, and what was done is noted."""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Self

from models.errors import BrokenRuleError, InvalidParametersError, RecordExistsError
from models.import_results import Outcome, Result
from models.import_rules import Candidate, Entry, ImportRules
from models.imports import Imports
from models.records import Record
from models.storage import Records
from models.storage.changes import INSERT_BATCH
from models.user import User

# What is to be hashed makes a batch dearer, so that what was done shows, and is kept, every second or so.
_HASHES_IN_BATCH = 4 * (os.cpu_count() or 1)
# After so long a time of writing, other processes that wait for SQLite's lock get it: they ask every two milliseconds
# at least. With a batch that has just begun, nobody waits for more than 50.
_PAUSE_EVERY, _PAUSE = 0.025, 0.0025  # seconds

_KIND = "import"
_KEPT_FOR = timedelta(days=7)


@dataclass(slots=True)
class Done:
    """What came of some entries: ``position`` entries are settled by now, counted from the file's first one."""

    position: int
    results: list[Result]
    lost_tokens: int = 0
    weak_hashes: int = 0


@dataclass(slots=True)
class _Batch:
    candidates: list[Candidate] = field(default_factory=list)
    users: list[User] = field(default_factory=list)
    failed: list[Result] = field(default_factory=list)
    hashes: int = 0
    position: int = 0

    def add(self, entry: Entry, rules: ImportRules) -> None:
        self.position += 1
        try:
            candidate = rules.check(entry)
        except InvalidParametersError as error:
            name = entry.fields.get("user_name")
            shown = name if isinstance(name, str) else None
            self.failed.append(Result(entry.place, Outcome.FAILED, shown, error.fields))
        else:
            self.candidates.append(candidate)
            self.hashes += candidate.hashes

    def made(self, imports: Imports) -> Self:
        """Make the users here, and not in the thread that writes, unless something has to be hashed first."""
        if not self.hashes:
            self.users = [imports.new_user(candidate) for candidate in self.candidates]
        return self

    def is_full(self) -> bool:
        return len(self.candidates) + len(self.failed) >= INSERT_BATCH or self.hashes >= _HASHES_IN_BATCH


def run(rules: ImportRules, imports: Imports, entries: Iterable[Entry], position: int = 0) -> Iterator[Done]:
    """Import entries, the first of which comes after ``position``. Who stops asking lets the last batch finish.

    Raises ``BrokenRuleError`` where the entries cannot be read on, when those before are settled.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="writing") as writer:
        batches = _batches(rules, imports, entries, position)
        pauses = _Pauses()
        writing: Future[Done] | None = None
        unreadable: BrokenRuleError | None = None
        while True:
            batch = None
            try:
                batch = next(batches, None)
            except BrokenRuleError as error:
                unreadable = error
            if writing is not None:
                yield writing.result()
            if batch is None:
                break
            writing = writer.submit(_write, imports, batch, pauses)
    if unreadable is not None:
        raise unreadable


class _Pauses:
    """Lets others write, from time to time."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def rest(self) -> None:
        if time.monotonic() >= self._last + _PAUSE_EVERY:
            time.sleep(_PAUSE)
            self._last = time.monotonic()


def _batches(rules: ImportRules, imports: Imports, entries: Iterable[Entry], position: int) -> Iterator[_Batch]:
    batch = _Batch(position=position)
    unreadable: BrokenRuleError | None = None
    try:
        for entry in entries:
            batch.add(entry, rules)
            if batch.is_full():
                yield batch.made(imports)
                batch = _Batch(position=batch.position)
    except BrokenRuleError as error:
        unreadable = error
    if batch.candidates or batch.failed:
        yield batch.made(imports)
    if unreadable is not None:
        raise unreadable


def _write(imports: Imports, batch: _Batch, pauses: _Pauses) -> Done:
    pauses.rest()
    written = imports.write(batch.candidates, batch.users) if batch.candidates else []
    made = {result.place for result in written if result.outcome in {Outcome.CREATED, Outcome.UPDATED}}
    taken = [candidate for candidate in batch.candidates if candidate.place in made]
    return Done(
        batch.position,
        sorted([*batch.failed, *written], key=lambda result: result.place),
        sum(candidate.lost_token for candidate in taken),
        sum(not isinstance(candidate.hashed, int | None) and candidate.hashed.is_weak for candidate in taken),
    )


class NoCheckpoints:
    """Where nothing is kept of an import: it is of a stream, which cannot be read again, or changes nothing."""

    def find(self) -> tuple[int, Counter[str]]:
        return 0, Counter()

    def save(self, position: int, counts: Counter[str]) -> None:
        pass

    def clear(self) -> None:
        pass


class Checkpoints:
    """How far the import of a file has come, kept in the store for a week: for one that was interrupted."""

    def __init__(self, records: Records, name: str, clock: Callable[[], datetime]) -> None:
        self._records = records
        self._name = name
        self._clock = clock

    def find(self) -> tuple[int, Counter[str]]:
        """Return how many entries are settled, and what became of them."""
        record = self._records.find(_KIND, self._name, now=self._clock())
        if record is None:
            return 0, Counter()
        position, counts = record.data.get("position"), record.data.get("counts")
        if not isinstance(position, int) or not isinstance(counts, dict):
            return 0, Counter()
        return position, Counter(counts)

    def save(self, position: int, counts: Counter[str]) -> None:
        now = self._clock()
        data = {"position": position, "counts": dict(counts)}
        record = Record(kind=_KIND, id=self._name, created_at=now, used_at=now, expires_at=now + _KEPT_FOR, data=data)
        self.clear()
        with suppress(RecordExistsError):  # another import of the same file: it knows as well
            self._records.put(record, now=now)

    def clear(self) -> None:
        self._records.delete(_KIND, self._name)
