"""What an import tells: how far it is, what is wrong with which line, and what became of all."""

import json
import time
from collections import Counter
from typing import Any

import click

from models.import_results import Outcome, Result
from models.import_runs import Done

_SHOWN_LINES, _SHOWN_IN_JSON = 100, 1000
_SAVED_EVERY = 3.0  # seconds
_SHOWN_NAME = 60
_LOST_TOKENS, _WEAK_HASHES = "lost_tokens", "weak_hashes"  # counted, and kept for who goes on, beside the outcomes


class Report:
    """The results of one import so far; ``status`` is what the process ends with."""

    def __init__(self, *, as_json: bool, dry_run: bool) -> None:
        self.position = 0
        self.counts: Counter[str] = Counter()
        self.status = 0
        self._as_json = as_json
        self._dry_run = dry_run
        self._told: list[dict[str, Any]] = []
        self._untold = 0
        self._stopped: str | None = None
        self._saved = time.monotonic()

    def resume(self, position: int, counts: Counter[str]) -> None:
        """Go on where an import was interrupted, with what became of the users before, failures included."""
        self.position, self.counts = position, counts
        self._note_failures()
        if position:
            click.echo(f"Going on after {position:,} users, where this import was interrupted.", err=True)

    def add(self, done: Done) -> None:
        self.position = done.position
        self.counts[_LOST_TOKENS] += done.lost_tokens
        self.counts[_WEAK_HASHES] += done.weak_hashes
        for result in done.results:
            self.counts[result.outcome.value] += 1
            if result.rules:
                self._tell(result)
        self._note_failures()

    def stop(self, reason: str) -> None:
        """Note that the rest of the file cannot be read."""
        self._stopped, self.status = reason, 1

    def is_time_to_save(self) -> bool:
        now = time.monotonic()
        if now < self._saved + _SAVED_EVERY:
            return False
        self._saved = now
        return True

    @property
    def is_stopped(self) -> bool:
        """Whether the rest of the file cannot be read."""
        return self._stopped is not None

    def told_counts(self) -> dict[str, int]:
        """Return what became of how many users."""
        return {outcome.value: self.counts[outcome.value] for outcome in Outcome}

    def show(self) -> None:
        counts = self.told_counts()
        lost_tokens, weak_hashes = self.counts[_LOST_TOKENS], self.counts[_WEAK_HASHES]
        if self._as_json:
            more = {"dry_run": self._dry_run, _WEAK_HASHES: weak_hashes, _LOST_TOKENS: lost_tokens}
            told = {"results": self._told, "results_left_out": self._untold, "stopped": self._stopped}
            click.echo(json.dumps({**counts, **more, **told}))
            return
        if self._untold:
            click.echo(f"… and {self._untold:,} more; --json shows up to {_SHOWN_IN_JSON:,}.", err=True)
        if self._stopped:
            click.echo(f"Error: {self._stopped} Nothing after that was read.", err=True)
        if weak_hashes:
            click.echo(
                f"Warning: {weak_hashes:,} passwords are hashed so weakly (SHA-1, MD5, few rounds, no salt) that"
                " whoever gets hold of the database can guess them, until their users log in for the first time.",
                err=True,
            )
        if lost_tokens:
            click.echo(
                f"Warning: {lost_tokens:,} API tokens were made under another SECRET_KEY, and open nothing here.",
                err=True,
            )
        click.echo(", ".join(f"{name} {count:,}" for name, count in counts.items()))
        if self._dry_run:
            click.echo(
                "Nothing was changed. Addresses and tokens that others have are found by the import alone.", err=True
            )

    def _note_failures(self) -> None:
        if self.counts[Outcome.FAILED.value]:
            self.status = 1

    def _tell(self, result: Result) -> None:
        if len(self._told) >= (_SHOWN_IN_JSON if self._as_json else _SHOWN_LINES):
            self._untold += 1
            return
        name = _shown(result.user_name)
        told = {"place": result.place, "outcome": result.outcome.value, "user_name": name, "rules": result.rules}
        self._told.append(told)
        if not self._as_json:
            rules = "; ".join(f"{_shown(field)}: {' '.join(broken)}" for field, broken in result.rules.items())
            click.echo(f"{result.place}: {f'{name}: ' if name else ''}{result.outcome.value}: {rules}", err=True)


def _shown(name: str | None) -> str | None:
    """Return a name as a terminal may show it: what is no name may be anything."""
    if name is None:
        return None
    return "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in name[:_SHOWN_NAME]
    )
