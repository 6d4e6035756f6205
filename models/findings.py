"""What an examination of a store finds, and how that is mended."""

from dataclasses import dataclass, field
from typing import Literal

# A problem stops a start or gives wrong answers, or will after an upgrade; a warning is unwise; a note wants nothing.
Severity = Literal["problem", "warning", "note"]

_MOST_EXAMPLES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was found. ``code`` names it for programs; ``remedy`` is a sentence for who has to mend it.

    ``count`` says how many there are where there may be several, and ``examples`` names some: users by their ids.
    """

    code: str
    severity: Severity
    message: str
    remedy: str = ""
    count: int | None = None
    examples: tuple[str, ...] = ()


@dataclass(slots=True)
class Tally:
    """How many of a kind there are, and which the first of them were. However many there are, it stays small."""

    code: str
    severity: Severity
    message: str
    remedy: str
    count: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, example: object) -> None:
        self.count += 1
        if len(self.examples) < _MOST_EXAMPLES:
            self.examples.append(str(example))

    def found(self) -> list[Finding]:
        """Return the finding, or none if there was nothing to count."""
        if not self.count:
            return []
        return [
            Finding(
                code=self.code,
                severity=self.severity,
                message=self.message,
                remedy=self.remedy,
                count=self.count,
                examples=tuple(self.examples),
            )
        ]
