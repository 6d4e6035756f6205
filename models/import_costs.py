"""What imported hashes cost to check, noted in the store before any of them is there."""

from collections.abc import Iterable

from models.foreign_hashes import ForeignHash
from models.patience import patiently
from models.storage import Store


class ImportCosts:
    """The highest costs that one import has met, each of which is noted once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known_cost = 0
        self._known_works: dict[str, int] = {}

    def note(self, hashes: Iterable[ForeignHash | int | None]) -> None:
        """Let refusals of logins take as long as the dearest of these hashes; of bcrypt's, the cost is given.

        Raises ``UnavailableError`` when the store stays away.
        """
        recipes = {}
        cost = 0
        for found in hashes:
            if isinstance(found, int):
                cost = max(cost, found)
            elif found is not None and found.work > self._known_works.get(found.family, 0):
                self._known_works[found.family] = found.work
                recipes[found.family] = found.recipe
        if cost > self._known_cost:
            self._known_cost = patiently(lambda: self._store.raise_highest_cost(cost))
        if recipes:
            patiently(lambda: self._store.note_foreign_hashes(list(recipes.values())))
