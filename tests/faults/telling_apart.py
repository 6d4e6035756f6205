"""What an attacker makes of times: how well they tell two kinds of requests apart."""

import random
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations
from math import log, sqrt
from statistics import fmean, median

Times = Sequence[float]

_FOLDS = 5
_BINS = 20
_GROUP = 5  # requests that an attacker makes of one name, of which it takes the median, the least, the mean
SINGLE, SHAPE = "single", "shape"
FEATURES = (SINGLE, SHAPE, "median of 5", "least of 5", "mean of 5")


def area(first: Times, second: Times) -> float:
    """Return the area under the ROC curve (Mann-Whitney's U): how likely one of ``second`` is the larger of two."""
    ordered = sorted(first)
    below = sum(bisect_left(ordered, value) + bisect_right(ordered, value) for value in second)
    return below / (2 * len(first) * len(second))


def deviation(first: int, second: int) -> float:
    """Return the standard deviation of ``area`` between so many times and so many, where nothing sets them apart."""
    return sqrt((first + second + 1) / (12 * first * second))


def shape_area(first: Times, second: Times) -> float:
    """Return the area for whoever knows how often each kind takes how long, and goes by that.

    It also finds kinds that have the same median and differ in how they scatter. What is judged was not learnt from.
    """
    scores: tuple[list[float], list[float]] = ([], [])
    for fold in range(_FOLDS):
        learnt = [[time for at, time in enumerate(times) if at % _FOLDS != fold] for times in (first, second)]
        pooled = sorted(learnt[0] + learnt[1])
        ends = [pooled[len(pooled) * step // _BINS] for step in range(1, _BINS)]
        weights = [_logarithms(times, ends) for times in learnt]
        for scored, times in zip(scores, (first, second), strict=True):
            for time in times[fold::_FOLDS]:
                place = bisect_right(ends, time)
                scored.append(weights[1][place] - weights[0][place])
    return area(*scores)


def _logarithms(times: Times, ends: Times) -> list[float]:
    counts = [1] * (len(ends) + 1)  # Laplace's: what was not seen yet may be seen
    for time in times:
        counts[bisect_right(ends, time)] += 1
    return [log(count / (len(times) + len(counts))) for count in counts]


def told_apart(first: Times, second: Times) -> dict[str, float]:
    """Return by feature how well it tells the kinds apart: 0.5 is a guess, 1 is certainty.

    Which kind is the slower one an attacker knows; so the area counts to either side, but not for ``SHAPE``, which is
    learnt and judged on different requests.
    """
    found = {SINGLE: _either_way(area(first, second)), SHAPE: shape_area(first, second)}
    features: Mapping[str, Callable[[Times], float]] = {"median": median, "least": min, "mean": fmean}
    for name, feature in features.items():
        grouped = [[feature(group) for group in _groups(times)] for times in (first, second)]
        found[f"{name} of {_GROUP}"] = _either_way(area(*grouped))
    return found


def by_pairs(times: Mapping[str, Times]) -> dict[tuple[str, str], dict[str, float]]:
    return {pair: told_apart(times[pair[0]], times[pair[1]]) for pair in combinations(times, 2)}


def by_chance(first: Times, second: Times, feature: str, runs: int = 100) -> float:
    """Return what ``feature`` tells, in 19 of 20 cases at the most, when the kinds are dealt out anew at random."""
    pooled = [*first, *second]
    found = []
    for _ in range(runs):
        random.shuffle(pooled)
        found.append(told_apart(pooled[: len(first)], pooled[len(first) :])[feature])
    return sorted(found)[runs * 19 // 20]


def _groups(times: Times) -> Iterator[Times]:
    for begin in range(0, len(times) - _GROUP + 1, _GROUP):
        yield times[begin : begin + _GROUP]


def _either_way(found: float) -> float:
    return max(found, 1 - found)
