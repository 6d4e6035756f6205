"""Bringing many users in: batches that the store takes whole, and what became of each user."""

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import cache
from typing import Any

from models.compare_and_set import compare_and_set
from models.errors import (
    CorruptRecordError,
    EmailInUseError,
    InvalidParametersError,
    LastAdminError,
    TokenInUseError,
    UserExistsError,
)
from models.events import Kind
from models.import_costs import ImportCosts
from models.import_results import OnConflict, Outcome, Result
from models.import_rules import SECRETS, Candidate, ImportRules, refused_changes
from models.passwords import Hasher
from models.patience import patiently
from models.secret import Secret
from models.secret_key import KeyRing
from models.storage import Found, Store
from models.trail import Trail
from models.user import User

_COMPARED = (
    *("user_name", "password_hash", "token_hash", "token_digests"),
    *("name", "email", "user_group", "disabled", "id"),
)
_TAKEN = {
    EmailInUseError: ("email", "It is in use."),
    TokenInUseError: ("token", "It cannot be taken; choose another."),
    UserExistsError: ("id", "It is in use."),  # for the name is free by then
}


class Imports:
    """Writes candidates, a batch at a time, each user whole or not at all.

    What is in the store decides, by the same unique indexes and the same guard of the last admin as for every other
    change. So a batch may be written again, and by several at once.
    """

    def __init__(
        self,
        store: Store,
        rules: ImportRules,
        hasher: Hasher,
        keys: KeyRing,
        *,
        on_conflict: OnConflict,
        source: str,
        dry_run: bool,
        trail: Trail,
        clock: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._rules = rules
        self._hasher = hasher
        self._keys = keys
        self._on_conflict = on_conflict
        self._source = source
        self._dry_run = dry_run
        self._trail = trail
        self._clock = clock
        self._looks_first = dry_run
        self._costs = ImportCosts(store)
        self._tried: set[tuple[str, object]] = set()  # in a dry run: what the store would refuse the second time
        self._threads = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="hashing")

    def close(self) -> None:
        self._threads.shutdown(cancel_futures=True)

    def new_user(self, candidate: Candidate, hashes: Mapping[str, Any] | None = None) -> User:
        return self._rules.new_user(candidate, hashes or {}, self._clock())

    def write(self, batch: Sequence[Candidate], users: Sequence[User] = ()) -> list[Result]:
        """Write a batch, of at most ``INSERT_BATCH``; ``users`` are those that it makes, if nothing has to be hashed.

        Raises ``UnavailableError`` when the store stays away.
        """
        if not self._dry_run:
            self._costs.note(candidate.hashed for candidate in batch)
        # Most batches are of new users, or of users who are there: what the last one was is a good guess.
        if users and not self._looks_first:
            try:
                self._add(users)
            except (UserExistsError, EmailInUseError, TokenInUseError):
                self._looks_first = True
            else:
                return [_made(candidate) for candidate in batch]
        found = patiently(lambda: self._store.find_users([candidate.key for candidate in batch]))
        new = [candidate for candidate in batch if candidate.key not in found]
        results = {} if self._dry_run else self._insert(new)
        for candidate in batch:
            if self._dry_run and candidate.key not in found:
                results[candidate.place] = self._tried_once(candidate)
            elif candidate.key in found:
                results[candidate.place] = self._settle(candidate, found[candidate.key])
        self._looks_first = self._dry_run or len(new) < len(batch) // 2
        return [results[candidate.place] for candidate in batch]

    def _insert(self, batch: Sequence[Candidate]) -> dict[int, Result]:
        """Insert users who were not there; of a part that the store refuses, each half by itself."""
        hashes = list(self._threads.map(self._hashed, batch)) if any(c.hashes for c in batch) else [{}] * len(batch)
        users = [self.new_user(candidate, made) for candidate, made in zip(batch, hashes, strict=True)]
        return self._insert_users(batch, users)

    def _insert_users(self, batch: Sequence[Candidate], users: Sequence[User]) -> dict[int, Result]:
        if not batch:
            return {}
        try:
            self._add(users)
        except (UserExistsError, EmailInUseError, TokenInUseError) as error:
            if len(batch) > 1:
                half = len(batch) // 2
                first = self._insert_users(batch[:half], users[:half])
                return first | self._insert_users(batch[half:], users[half:])
            [candidate] = batch
            found = patiently(lambda: self._store.find_users([candidate.key])).get(candidate.key)
            if found is not None:  # it came before this one in the file, or somebody else made it
                return {candidate.place: self._settle(candidate, found)}
            name, rule = _TAKEN[type(error)]
            return {candidate.place: _failed(candidate, {name: [rule]})}
        return {candidate.place: _made(candidate) for candidate in batch}

    def _add(self, users: Sequence[User]) -> None:
        events = self._trail.by_operator(Kind.USERS_IMPORTED, format=self._source, users=len(users))
        patiently(lambda: self._store.insert(users, events))

    def _settle(self, candidate: Candidate, found: Found) -> Result:
        """Decide about a user who is there."""
        if isinstance(found, CorruptRecordError):
            return _failed(candidate, {"user_name": ["The user is there, and is not as Doorman writes users."]})
        differing = self._differing(candidate, found)
        if not differing:
            return Result(candidate.place, Outcome.UNCHANGED, candidate.name.shown)
        rules = {name: ["It differs from the user's who is there."] for name in differing}
        if self._on_conflict is OnConflict.SKIP:
            return Result(candidate.place, Outcome.KEPT, candidate.name.shown, rules)
        refused = refused_changes(candidate, found, differing)
        if self._on_conflict is OnConflict.FAIL or refused:
            return _failed(candidate, refused if self._on_conflict is OnConflict.UPDATE else rules)
        if self._dry_run:
            return Result(candidate.place, Outcome.UPDATED, candidate.name.shown)
        return self._update(candidate, found, differing)

    def _update(self, candidate: Candidate, found: User, differing: Sequence[str]) -> Result:
        hashed = cache(lambda secret: self._hashed(candidate, [secret]))
        candidate.changes(differing, hashed)  # before the user is read again, for hashing takes its time

        def read() -> User:
            now = self._store.find_users_by_id([found.id]).get(found.id)
            if not isinstance(now, User):
                raise UserExistsError  # whoever has the name by now is another
            return now

        outcome = Outcome.UPDATED

        def write(before: User) -> User:
            nonlocal outcome
            # Since the batch was looked up, the user may have become one who must not be changed.
            wanted = differing if before == found else self._differing(candidate, before)
            if refused := refused_changes(candidate, before, wanted):
                raise InvalidParametersError(refused)
            if not wanted:
                outcome = Outcome.UNCHANGED
                return before
            after = before.changed(self._clock(), **candidate.changes(wanted, hashed))
            self._store.replace(before, after, self._trail.changed(None, before, after))
            return after

        try:
            patiently(lambda: compare_and_set(read, write))
        except InvalidParametersError as error:
            return _failed(candidate, error.fields)
        except LastAdminError:
            return _failed(candidate, {"user_group": ["The last enabled admin with a password stays one."]})
        except (UserExistsError, EmailInUseError, TokenInUseError) as error:
            name, rule = _TAKEN[type(error)]
            return _failed(candidate, {name: [rule]})
        return Result(candidate.place, outcome, candidate.name.shown)

    def _tried_once(self, candidate: Candidate) -> Result:
        """Say what would become of a user who is not there, going by the file alone."""
        for name, value in (("user_name", candidate.key), ("email", candidate.columns.get("email_key"))):
            if value is not None and (name, value) in self._tried:
                outcome = Outcome.FAILED if name == "email" else Outcome.KEPT
                return Result(candidate.place, outcome, candidate.name.shown, {name: ["It is in this file twice."]})
            self._tried.add((name, value))
        return _made(candidate)

    def _differing(self, candidate: Candidate, found: User) -> list[str]:
        columns = candidate.columns
        differing = [name for name in _COMPARED if name in columns and columns[name] != getattr(found, name)]
        if candidate.token is not None and not {*self._keys.token_digests(candidate.token)} & {*found.token_digests}:
            differing.append("token")
        if candidate.password is not None and self._is_other(candidate.password, found.password_hash):
            differing.append("password")
        return differing

    def _is_other(self, password: Secret, hashed: str | None) -> bool:
        """Tell whether it is not the user's password. Where nothing would come of it, that is not looked at."""
        if hashed is None:
            return True
        return self._on_conflict is not OnConflict.SKIP and not self._hasher.verify(password, hashed)

    def _hashed(self, candidate: Candidate, wanted: Collection[str] = SECRETS) -> dict[str, Any]:
        made: dict[str, Any] = {}
        if candidate.password is not None and "password" in wanted:
            made["password_hash"] = self._hasher.hash(candidate.password)
        if candidate.token is not None and "token" in wanted:
            made["token_hash"] = self._hasher.hash(candidate.token)
            made["token_digests"] = self._keys.token_digests(candidate.token)
        return made


def _made(candidate: Candidate) -> Result:
    return Result(candidate.place, Outcome.CREATED, candidate.name.shown)


def _failed(candidate: Candidate, rules: Mapping[str, Sequence[str]]) -> Result:
    return Result(candidate.place, Outcome.FAILED, candidate.name.shown, rules)
