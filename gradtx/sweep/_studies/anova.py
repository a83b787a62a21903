"""The functional ANOVA of a function on a grid: its variance as the sum of what each set of axes explains."""

import itertools
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Shares:
    """Shares of the variance: ``terms`` of single axes and pairs of them, ``totals`` of all terms with an axis."""

    terms: dict[tuple[int, ...], float]
    totals: list[float]


def of_grid(cells: np.ndarray, weights: list[np.ndarray] | None = None) -> Shares:
    """The exact decomposition of the cells of a grid, each axis with its ``weights`` (equal ones if None).

        Var(f) = Σ_S V_S,   V_S = Var(E[f | x_S]) − Σ_{R ⊊ S} V_R,   total of i = 1 − Var(E[f | all but xᵢ])/Var(f)

    A constant has no variance to share: all its shares are 0.

    >>> found = of_grid(np.array([[0.0, 1.0], [1.0, 4.0]]))  # variance 2.25: 1 of each axis, 0.25 of both together
    >>> [round(share, 4) for share in found.terms.values()], [round(total, 4) for total in found.totals]
    ([0.4444, 0.4444, 0.1111], [0.5556, 0.5556])
    """
    axes = range(cells.ndim)
    if weights is None:
        weights = [np.full(n, 1 / n) for n in cells.shape]
    whole = _variance(cells, weights)
    if not whole > 0:
        pairs = itertools.chain(((n,) for n in axes), itertools.combinations(axes, 2))
        return Shares(dict.fromkeys(pairs, 0.0), [0.0 for _ in axes])
    explained = {of: _explained(cells, weights, of) for k in (1, 2) for of in itertools.combinations(axes, k)}
    alone = {of: explained[of] for of in explained if len(of) == 1}
    pairs = {of: explained[of] - sum(alone[(n,)] for n in of) for of in explained if len(of) == 2}
    rest = [_explained(cells, weights, tuple(n for n in axes if n != axis)) for axis in axes]
    terms = {of: float(max(v, 0.0) / whole) for of, v in (alone | pairs).items()}  # rounding may go below 0
    return Shares(terms, [float(max(whole - v, 0.0) / whole) for v in rest])


def _explained(cells: np.ndarray, weights: list[np.ndarray], kept: tuple[int, ...]) -> float:
    """The variance of the mean over all axes but those that are kept."""
    for axis in reversed(range(cells.ndim)):
        if axis not in kept:
            cells = np.tensordot(cells, weights[axis], (axis, 0))
    return _variance(cells, [weights[axis] for axis in kept])


def _variance(cells: np.ndarray, weights: list[np.ndarray]) -> float:
    mean, spread = cells, None
    for w in reversed(weights):
        mean = mean @ w
    spread = np.square(cells - mean)
    for w in reversed(weights):
        spread = spread @ w
    return float(spread)
