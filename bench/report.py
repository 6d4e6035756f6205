"""Lines of the report: a floor that no release may fall below, a target, and what was measured against the two."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median

TIMES = "\N{MULTIPLICATION SIGN}"


@dataclass(frozen=True)
class Check:
    """One bound, and what was measured against it in each round.

    The median of the rounds decides; of ``shares``, which are to hold every time, the worst.
    """

    bound: float
    rounds: Sequence[float]
    unit: str = TIMES
    digits: int = 2
    what: str = ""
    at_most: bool = False
    shares: bool = False

    @property
    def decisive(self) -> float:
        if not self.rounds or any(math.isnan(figure) for figure in self.rounds):
            return math.nan
        if self.shares:
            return (max if self.at_most else min)(self.rounds)
        return median(self.rounds)

    @property
    def holds(self) -> bool:
        """Whether the bound is kept; what could not be measured does not keep it."""
        return self.decisive <= self.bound if self.at_most else self.decisive >= self.bound

    def demanded(self) -> str:
        return f"{self.what} {'≤' if self.at_most else '≥'} {self.bound:g}{self.unit}".strip()

    def measured(self) -> str:
        median_or_worst, *rounds = (f"{figure:.{self.digits}f}" for figure in (self.decisive, *self.rounds))
        each = f" ({', '.join(rounds)})" if len(rounds) > 1 else ""
        return f"{self.what} {median_or_worst}{self.unit}{each}".strip()


@dataclass(frozen=True)
class Line:
    """One row. ``reason`` says why there is nothing measured; that counts as a fault only if it is Doorman's."""

    title: str
    floor: Sequence[Check] = ()
    target: Sequence[Check] = ()
    reason: str | None = None
    at_fault: bool = False

    @property
    def passed(self) -> bool:
        return not self.at_fault if self.reason else all(check.holds for check in self.floor)

    @property
    def mark(self) -> str:
        if self.reason:
            return "not measured" if self.passed else "**NOT PASSED**"
        if not self.passed:
            return "**NOT PASSED**"
        return "target reached" if all(check.holds for check in self.target) else "passed"

    def row(self) -> list[str]:
        measured = dict.fromkeys(check.measured() for check in (*self.floor, *self.target))
        return [
            self.title,
            "; ".join(check.demanded() for check in self.floor),
            "; ".join(check.demanded() for check in self.target),
            cell(self.reason) if self.reason else "; ".join(measured),
            self.mark,
        ]


@dataclass
class Section:
    """What one part of the benchmark found: rows of the table of goals, and a part of the report.

    ``others`` are the shares of the cores that other programs took, one for each load that was watched.
    """

    lines: list[Line] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    others: list[float] = field(default_factory=list)


def compared(title: str, floor: float, target: float, rounds: Sequence[float], **rest: object) -> Line:
    """Return a line of which the floor and the target bound the same figure."""
    checks = [Check(bound, rounds, **rest) for bound in (floor, target)]  # type: ignore[arg-type]  # Check's own fields
    return Line(title, checks[:1], checks[1:])


def goals(lines: Iterable[Line]) -> str:
    heads = ["", "floor", "target", "measured: median (each round)", ""]
    return table(heads, [line.row() for line in lines])


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def cell(text: str) -> str:
    """Return text that stays within one cell."""
    return " ".join(text.replace("|", "/").split())
