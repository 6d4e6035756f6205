"""Beginning imports into one store, and telling the audit trail of their end."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from models.events import Kind
from models.import_results import OnConflict
from models.import_rules import ImportRules
from models.imports import Imports
from models.passwords import Hasher, PasswordPolicy
from models.patience import patiently
from models.secret_key import KeyRing
from models.storage import Store
from models.trail import Trail


@dataclass(frozen=True, slots=True)
class Importer:
    """Begins imports into one store."""

    store: Store
    policy: PasswordPolicy
    hasher: Hasher
    keys: KeyRing
    trail: Trail
    clock: Callable[[], datetime]

    def rules(self, *, passwordless: bool) -> ImportRules:
        return ImportRules(self.policy, self.keys, self.hasher.rounds, passwordless=passwordless)

    def imports(self, rules: ImportRules, on_conflict: OnConflict, source: str, *, dry_run: bool) -> Imports:
        """Begin an import; ``source`` is what the audit trail calls the kind of file."""
        return Imports(
            self.store,
            rules,
            self.hasher,
            self.keys,
            on_conflict=on_conflict,
            source=source,
            dry_run=dry_run,
            trail=self.trail.from_here(),
            clock=self.clock,
        )

    def ended(self, source: str, outcome: str, counts: Mapping[str, int]) -> None:
        """Tell how an import has ended that was no dry run. Raises ``UnavailableError``."""
        events = self.trail.by_operator(Kind.IMPORT_ENDED, format=source, outcome=outcome, **counts)
        patiently(lambda: self.store.audit.add(events))
