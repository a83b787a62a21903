"""One ranking for all tables: points by the conservative end of the interval of their mean over seeds, then lanes."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradtx.sweep._studies.student import quantile

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """The mean of ``n`` values, their standard deviation, and the interval that holds the true mean.

        mean ± t · std/√n,   t the quantile of Student's distribution with n − 1 degrees of freedom

    The interval is right for values that are drawn independently from a normal distribution. One value has none: NaN.
    """

    mean: float
    std: float
    low: float
    high: float
    n: int


def interval(values: Iterable[float], confidence: float = CONFIDENCE) -> Interval:
    """The mean of some values and its interval; the order of the values does not matter, to the last bit.

    >>> found = interval([1.0, 2.0, 3.0])
    >>> found.mean, found.std, round(found.high, 3)  # 2 + 4.303/√3
    (2.0, 1.0, 4.484)
    """
    own = [float(x) for x in values]
    if not all(map(math.isfinite, own)):
        return Interval(math.nan, math.nan, math.nan, math.nan, len(own))
    mean = own[0] if min(own) == max(own) else math.fsum(own) / len(own)
    if len(own) < 2:
        return Interval(mean, math.nan, math.nan, math.nan, len(own))
    std = math.sqrt(math.fsum((x - mean) ** 2 for x in own) / (len(own) - 1))
    half = quantile(confidence, len(own) - 1) * std / math.sqrt(len(own))
    return Interval(mean, std, mean - half, mean + half, len(own))


def points_of(result: Any) -> list[list[int]]:
    """The lanes of every point, in the order of the lanes. Without seeds, or where lanes evolved, one each."""
    return [[n] for n in range(len(result.points))] if result.history is not None else lanes_of(result.population)


def lanes_of(population: Any) -> list[list[int]]:
    """The lanes of every point of a population; without seeds one each."""
    if population.seeds is None:
        return [[n] for n in range(population.size)]
    found: dict[str, list[int]] = {}
    for n, point in enumerate(population.points):
        found.setdefault(repr({name: x for name, x in point.items() if name != "seed"}), []).append(n)
    return list(found.values())


def ranked_points(result: Any) -> list[list[int]]:
    """The lanes of every point, the best point first, and in a point the best lane first.

    This is the rule of every table:

    - points with lanes that diverged come last, those with the larger share after the others;
    - before them those with lanes that were dropped by selection, those that trained less after the others;
    - the others by the end of the interval of their mean score that is the worse; a point of one lane has none, and is
      ranked by its score where all are of one lane, else after the points that have one;
    - where that is equal: by the mean score, by the mean final loss (lower is better), by the number of the lane.
    """
    sign = -1.0 if result.better == "higher" else 1.0
    score = sign * np.asarray(result.score, np.float64)
    lost = ~np.isfinite(result.final_loss) | ~np.isfinite(score)
    loss = np.where(lost, np.inf, np.asarray(result.final_loss, np.float64))
    dropped = np.asarray([status == "dropped" for status in result.status])
    early = np.where(dropped, -np.asarray(result.steps, np.float64), -np.inf)
    lanes = [sorted(own, key=lambda n: (lost[n], early[n], score[n], loss[n], n)) for own in points_of(result)]
    several = any(len(own) > 1 for own in lanes)

    def key(own: list[int]) -> tuple[Any, ...]:
        left = [n for n in own if not lost[n]]
        scores = interval(score[left]) if left else Interval(math.inf, math.nan, math.nan, math.inf, 0)
        bound = scores.high if scores.n > 1 else math.inf if several else scores.mean
        trained = -float(np.mean(result.steps[own])) if dropped[own].any() else -math.inf
        return (
            1 - len(left) / len(own),
            trained,
            bound,
            scores.mean,
            interval(loss[left]).mean if left else math.inf,
            min(own),
        )

    return sorted(lanes, key=key)


def places(population: Any, ranks: np.ndarray, lanes: Iterable[int]) -> dict[int, int]:
    """The places of some lanes, the best 0: by the worse end of the interval of their point, then by their own ranks.

    ``ranks``: the lower the better, infinite where a lane diverged. The lanes of a point stand together.
    """
    some, found = set(lanes), ranks.astype(np.float64)
    for own in lanes_of(population):
        left = [n for n in own if n in some]
        if len(left) > 1:
            found[left] = interval(ranks[left]).high if np.isfinite(ranks[left]).all() else np.inf
    return {n: place for place, n in enumerate(sorted(some, key=lambda n: (found[n], ranks[n], n)))}


def over_seeds(result: Any) -> list[dict[str, Any]]:
    """One row per point, the best first: every column's mean over its seeds, with standard deviation and interval."""
    names = dict.fromkeys(name for point in result.points for name in point)
    if result.population.seeds is not None:
        names.pop("seed")
    rows = []
    for lanes in ranked_points(result):
        row: dict[str, Any] = {name: result.points[lanes[0]].get(name) for name in names} | {"seeds": len(lanes)}
        for name, column in {"final_loss": result.final_loss, **result.metrics}.items():
            found = interval(np.asarray(column, np.float64)[sorted(lanes)])
            row |= {name: found.mean, f"{name}_std": found.std, f"{name}_low": found.low, f"{name}_high": found.high}
        rows.append(row)
    return rows
