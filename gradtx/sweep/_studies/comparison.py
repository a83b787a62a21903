"""Two points of a sweep: do they differ by more than the noise of their seeds?"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradtx._value.errors import TransformationError
from gradtx.sweep._studies.ranking import interval, points_of, ranked_points
from gradtx.sweep._studies.student import quantile, two_sided

DIFFERENT, NOISE, DIVERGED = "different", "noise", "diverged"


@dataclass(frozen=True)
class Comparison:
    """What is known of the difference of two points, ``a`` minus ``b``, in the mean of a metric over seeds.

    *Paired*, where both have lanes of the same seeds, at least two: such lanes see the same batches, and start from the
    same parameters, so what the seeds do to both cancels. With d the differences of the pairs,

        t = mean(d)/(std(d)/√n),   ν = n − 1

    Otherwise Welch's test, for which the seeds of a and b are independent:

        t = (mean(a) − mean(b))/√(va + vb),   v = std²/n,   ν = (va + vb)²/(va²/(na − 1) + vb²/(nb − 1))

    ``p`` is the probability of a difference as large as this by chance alone, if there is none. ``verdict``:
    ``"different"`` if p < ``level``, ``"noise"`` if not, and ``"diverged"`` if a lane diverged, so there is no mean.
    ``low`` and ``high``: the interval of the difference, with the probability 1 − ``level``.

    The trap: p is for two points that were chosen before anyone looked. The best of many points has been lucky; repeat
    it and its rival with new seeds. Source: Student 1908; Welch 1947.
    """

    a: dict[str, Any]
    b: dict[str, Any]
    metric: str
    better: str
    difference: float
    low: float
    high: float
    p: float
    seeds: int
    paired: bool
    level: float

    @property
    def verdict(self) -> str:
        """``"different"``, ``"noise"`` or ``"diverged"``."""
        return DIVERGED if math.isnan(self.p) else DIFFERENT if self.p < self.level else NOISE

    def __str__(self) -> str:
        """The verdict in a sentence."""
        a, b = (", ".join(f"{k}={_short(x)}" for k, x in point.items()) or "a" for point in (self.a, self.b))
        over = f"over {self.seeds} {'common seeds' if self.paired else 'seeds'}"
        if self.verdict == DIVERGED:
            return f"({a}) and ({b}) cannot be compared in {self.metric}: a lane diverged"
        ends = f"{100 * (1 - self.level):.4g} % interval {_short(self.low)} to {_short(self.high)}"
        range_of = f"{ends}, p = {self.p:.2g}, {over}"
        if self.verdict == NOISE:
            return f"({a}) and ({b}) cannot be told apart in {self.metric}: {_short(self.difference)}, {range_of}"
        word = "better" if (self.difference < 0) == (self.better == "lower") else "worse"
        return f"({a}) is {word} than ({b}) in {self.metric}: {_short(self.difference)}, {range_of}"


def compare(result: Any, a: Any, b: Any, *, metric: str | None, level: float) -> Comparison:
    """The comparison of two points of a sweep."""
    if isinstance(level, bool) or not isinstance(level, int | float) or not 0 < level < 1:
        raise TransformationError(f"compare: level: expected a number between 0 and 1, found {level!r}")
    result = result if metric is None else result.ranked_by(metric)
    lanes = _lanes(result, a, b)
    return of_lanes(result, *lanes, level=level)


def of_lanes(result: Any, a: Sequence[int], b: Sequence[int], *, level: float) -> Comparison:
    """The comparison of two points, given by their lanes."""
    score = np.asarray(result.score, np.float64)
    drawn = result.population.seeds
    own = [{int(drawn[n]): score[n] for n in lanes} for lanes in (a, b)] if drawn is not None else [{}, {}]
    common = [seed for seed in own[0] if seed in own[1]]
    if len(common) > 1:
        found = _paired([own[0][seed] - own[1][seed] for seed in common], level)
    else:
        found = _welch(score[list(a)].tolist(), score[list(b)].tolist(), level)
    one, other = ({k: x for k, x in result.points[lanes[0]].items() if k != "seed"} for lanes in (a, b))
    seeds = len(common) if len(common) > 1 else len(a) + len(b)
    return Comparison(one, other, result.metric, result.better, *found, seeds, len(common) > 1, level)


# Tests ----------------------------------------------------------------------------------------------------------------


def _paired(differences: Sequence[float], level: float) -> tuple[float, float, float, float]:
    """The difference, its interval and p, of the differences of pairs."""
    found = interval(differences, 1 - level)
    return found.mean, found.low, found.high, _p(found.mean, found.std / math.sqrt(found.n), found.n - 1)


def _welch(a: Sequence[float], b: Sequence[float], level: float) -> tuple[float, float, float, float]:
    """The difference, its interval and p, of two samples whose variances may differ."""
    one, two = interval(a), interval(b)
    parts = one.std**2 / one.n, two.std**2 / two.n
    error, difference = math.sqrt(sum(parts)), one.mean - two.mean
    if math.isnan(error):
        return difference, math.nan, math.nan, math.nan
    freedom = sum(parts) ** 2 / (parts[0] ** 2 / (one.n - 1) + parts[1] ** 2 / (two.n - 1)) if error else 1.0
    half = quantile(1 - level, freedom) * error if error else 0.0
    return difference, difference - half, difference + half, _p(difference, error, freedom)


def _p(difference: float, error: float, freedom: float) -> float:
    if error == 0:
        return 0.0 if difference else 1.0
    return two_sided(difference / error, freedom)


# Which points ---------------------------------------------------------------------------------------------------------


def _lanes(result: Any, a: Any, b: Any) -> tuple[list[int], list[int]]:
    """The lanes of both points; the best that are left, where they are not given."""
    if result.history is not None:
        raise TransformationError("compare: the numbers of this population evolved, so its lanes are of no one point")
    every = points_of(result)
    found = [None if point is None else _one(result, every, word, point) for word, point in (("a", a), ("b", b))]
    for n, lanes in enumerate(found):
        if lanes is None:
            taken = [sorted(other) for other in found if other is not None]
            free = [own for own in ranked_points(result) if sorted(own) not in taken]
            if not free:
                raise TransformationError("compare: expected two points, the sweep has one")
            found[n] = free[0]
    for word, lanes in zip("ab", found, strict=True):
        if lanes is not None and len(lanes) < 2:
            raise TransformationError(
                f"compare: {word}: expected a point with two seeds or more, found {result.points[lanes[0]]}; "
                "give the population seeds=range(5), say"
            )
    return found[0] or [], found[1] or []


def _one(result: Any, every: list[list[int]], word: str, point: Any) -> list[int]:
    """The lanes of the one point that is meant."""
    if isinstance(point, Mapping):
        known = {name for own in result.points for name in own}
        wrong = next((name for name in point if name not in known), None)
        if wrong is not None:
            raise TransformationError(
                f"compare: {word}: no point has a {wrong!r}; there are {', '.join(sorted(known))}"
            )
        found = [
            own for own in every if all(result.points[own[0]].get(k) == x for k, x in point.items() if k != "seed")
        ]
        if len(found) != 1:
            raise TransformationError(f"compare: {word}: expected one point, found {len(found)} with {dict(point)}")
        return found[0]
    if isinstance(point, int | np.integer) and not isinstance(point, bool) and 0 <= point < len(result.points):
        return next(own for own in every if int(point) in own)
    raise TransformationError(f"compare: {word}: expected a point, or the number of a lane, found {point!r}")


def _short(x: Any) -> str:
    return f"{x:.4g}" if isinstance(x, float) else str(x)
