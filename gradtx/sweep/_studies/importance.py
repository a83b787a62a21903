"""Which numbers matter: how much of the variance of a metric over a sweep is due to each of its axes."""

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from gradtx._value.errors import TransformationError
from gradtx._value.whole import whole_number
from gradtx.sweep._engine.seeds import as_numpy_has_it
from gradtx.sweep._studies import anova
from gradtx.sweep._studies.axes import Axis, axes_of

RESAMPLES = 200  # draws of seeds from which an interval comes


@dataclass(frozen=True)
class Importance:
    """The shares of the variance of a metric, and their uncertainty; see `importance`.

    ``method``: ``"exact"`` for a full grid, ``"forest"`` for other points. ``shares`` maps the names of axes to shares,
    ``(name,)`` for one axis alone and ``(name, other)`` for what only the two together explain; ``totals``: the share
    of all terms that an axis has a part in. ``low`` and ``high`` hold the 90 % intervals of both, NaN where there is
    nothing to tell them from (a grid without seeds).
    """

    metric: str
    method: str
    shares: dict[tuple[str, ...], float]
    totals: dict[str, float]
    low: dict[Any, float]
    high: dict[Any, float]

    def table(self) -> list[dict[str, Any]]:
        """One row per axis, then per pair: ``number``, ``importance`` (its share), its interval, an axis's total."""
        rows = []
        for many in (1, 2):
            names = [of for of in self.shares if len(of) == many]
            for of in sorted(names, key=lambda of: -self.shares[of]):
                row = {
                    "number": " × ".join(of),
                    "importance": self.shares[of],
                    "low": self.low[of],
                    "high": self.high[of],
                }
                total = {"total": self.totals[of[0]]} if many == 1 else {"total": math.nan}
                rows.append(row | total)
        return rows

    def plot(self) -> Any:
        """The shares as bars, the largest above, with their intervals; a matplotlib figure."""
        from gradtx._report import studies

        return studies.importances(self)

    def __str__(self) -> str:
        """The table as text."""
        lines = [f"{'share':>7}  {'90 % interval':>15}  {'total':>7}"]
        for row in self.table():
            sure = "" if math.isnan(row["low"]) else f"{row['low']:.1%} to {row['high']:.1%}"
            total = "" if math.isnan(row["total"]) else f"{row['total']:.1%}"
            lines.append(f"{row['importance']:7.1%}  {sure:>15}  {total:>7}  {row['number']}")
        return "\n".join(lines)


def importance(
    result: Any,
    metric: str | None = None,
    *,
    scale: Literal["value", "capped", "rank"] = "value",
    trees: int = 64,
    seed: int = 0,
) -> Importance:
    """How much of the variance of a metric over a sweep each axis explains: the functional ANOVA.

        f(x) = f₀ + Σᵢ fᵢ(xᵢ) + Σᵢⱼ fᵢⱼ(xᵢ, xⱼ) + ...,   share of S = Var(f_S)/Var(f)

    Every term has mean 0 over each of its axes, so the shares of all terms add up to 1. The axes are weighted as the
    points are: on a grid each value counts the same, of drawn points each quantile. Of a full grid the decomposition is
    exact. Other points are fitted by a forest of ``trees``, each on points drawn with replacement, and the shares are
    means over the trees, each exact for its tree; needs scikit-learn. The metric is the mean over seeds.

    *Uncertainty.* On a grid seeds are drawn with replacement, in a forest each tree is a draw; the interval is from the
    5 % to the 95 % of them. Noise looks like an interaction of all axes: the share of an axis alone is safe from it.

    *Scale.* A lane that diverged counts as the worst that did not. Still, a few very bad points can own the variance.
    With ``scale="capped"`` what is worse than the median counts as the median, so the shares are those among the good
    points; ``scale="rank"`` puts ranks in place of values, from 0 for the best to 1.

    Raises `TransformationError`: fewer than two axes' worth of points to compare; no lane that is finite; a population
    that evolved.

    Source: Hutter, Hoos & Leyton-Brown 2014; Sobol' 1993.

    >>> import gradtx
    >>> loss = lambda params, batch, a, b: params**2 + a + 2 * b
    >>> numbers = {"a": [0.0, 1.0, 2.0], "b": [0.0, 1.0, 2.0]}
    >>> population = gradtx.sweep.grid(gradtx.sgd, learning_rate=0.1, numbers=numbers)
    >>> result = gradtx.sweep.run(loss, jnp.zeros([]), population, jnp.zeros(1), steps=1)
    >>> [round(share, 6) for share in gradtx.sweep.importance(result).shares.values()]  # a, b: 1 to 2², and no pair
    [0.2, 0.8, 0.0]
    """
    result = result if metric is None else result.ranked_by(metric)
    if scale not in ("value", "capped", "rank"):
        raise TransformationError(f"importance: scale: expected 'value', 'capped' or 'rank', found {scale!r}")
    if result.history is not None:
        raise TransformationError(
            "importance: the numbers of this population evolved, so its lanes are of no one point"
        )
    trees, rng = (
        whole_number("importance: trees", trees),
        np.random.default_rng(as_numpy_has_it("importance: seed", seed)),
    )
    axes, lanes = axes_of(result)
    if not axes:
        raise TransformationError("importance: expected points that differ, found one point")
    score = _finite(result)
    if is_full_grid(axes, len(lanes)):
        method, made = "exact", _of_grid(axes, lanes, score, scale, rng)
    else:
        from gradtx.sweep._studies.forest import of_forest

        means = _scaled(np.asarray([np.mean(score[own]) for own in lanes]), scale)
        method, made = "forest", of_forest(axes, means, trees, int(rng.integers(2**31)))
    return _gathered(result.metric, method, axes, made)


def is_full_grid(axes: list[Axis], points: int) -> bool:
    """Whether there is exactly one point for every combination of the values of the axes."""
    cells = math.prod(len(axis.values) for axis in axes)
    return cells == points == len(set(zip(*(axis.index.tolist() for axis in axes), strict=True)))


def _finite(result: Any) -> np.ndarray:
    """The score, the lower the better, with the worst that is finite where a lane diverged."""
    score = np.asarray(result.score, np.float64) * (-1.0 if result.better == "higher" else 1.0)
    finite = np.isfinite(score)
    if not finite.any():
        raise TransformationError("importance: every lane diverged, so there is no variance to explain")
    return np.where(finite, score, np.max(score, where=finite, initial=-np.inf))


def _scaled(means: np.ndarray, scale: str) -> np.ndarray:
    if scale != "rank":
        return means if scale == "value" else np.minimum(means, np.median(means))
    _, inverse, counts = np.unique(means, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - (counts + 1) / 2  # equal values share the mean of their ranks
    return middle[inverse] / max(len(means) - 1, 1)


def _of_grid(axes: list[Axis], lanes: list[list[int]], score: np.ndarray, scale: str, rng: Any) -> list[anova.Shares]:
    """The shares on the means over all seeds, and those of draws of seeds."""
    shape, place = tuple(len(axis.values) for axis in axes), tuple(axis.index for axis in axes)

    def shares(rows: np.ndarray) -> anova.Shares:
        cells = np.empty(shape)
        cells[place] = _scaled(np.mean(rows, axis=1), scale)
        return anova.of_grid(cells)

    many = {len(own) for own in lanes}
    if len(many) > 1:  # points with more seeds than others: their means, and no interval
        return [shares(np.asarray([[np.mean(score[own])] for own in lanes]))]
    rows = score[np.asarray(lanes)]
    found = [shares(rows)]
    seeds = rows.shape[1]
    if seeds > 1:
        found += [shares(rows[:, rng.integers(seeds, size=seeds)]) for _ in range(RESAMPLES)]
    return found


def _gathered(metric: str, method: str, axes: list[Axis], made: list[anova.Shares]) -> Importance:
    """Shares by name: of a grid the first, of a forest the mean; the others give the interval."""
    names = [axis.name for axis in axes]

    def named(of: tuple[int, ...]) -> tuple[str, ...]:
        return tuple(names[n] for n in of)

    columns: dict[Any, list[float]] = {named(of): [one.terms[of] for one in made] for of in made[0].terms}
    totals: dict[Any, list[float]] = {name: [one.totals[n] for one in made] for n, name in enumerate(names)}
    pick = (lambda xs: xs[0]) if method == "exact" else (lambda xs: float(np.mean(xs)))
    draws = slice(1, None) if method == "exact" else slice(None)

    def end(q: float) -> dict[Any, float]:
        both = {**columns, **totals}
        return {of: float(np.quantile(xs[draws], q)) if len(xs) > 1 else math.nan for of, xs in both.items()}

    return Importance(
        metric,
        method,
        {of: pick(xs) for of, xs in columns.items()},
        {of: pick(xs) for of, xs in totals.items()},
        end(0.05),
        end(0.95),
    )
