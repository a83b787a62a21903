"""The functional ANOVA of points that are no grid: exact for each tree of a random forest that is fitted to them."""

import itertools
from typing import Any

import numpy as np

from gradtx.sweep._studies.anova import Shares
from gradtx.sweep._studies.axes import Axis

LEAVES = 512


def of_forest(axes: list[Axis], values: np.ndarray, trees: int, seed: int) -> list[Shares]:
    """The shares by every tree, on axes that are stretched so that the points are uniform on [0, 1].

    Trees are grown on points that are drawn with replacement, to leaves of two points and to ``LEAVES`` leaves at the
    most. Needs scikit-learn.
    """
    try:
        from sklearn.ensemble import RandomForestRegressor
    except ImportError:
        raise ImportError(
            "the importance of numbers that are no full grid needs scikit-learn: pip install 'gradtx[cli]'"
        ) from None
    points = np.stack([_uniform(axis) for axis in axes], axis=1)
    forest = RandomForestRegressor(
        trees, max_features=1.0, min_samples_leaf=2, max_leaf_nodes=LEAVES, random_state=seed, n_jobs=1
    )
    forest.fit(points, values)
    return [_shares(tree.tree_, len(axes)) for tree in forest.estimators_]


def _uniform(axis: Axis) -> np.ndarray:
    """Each point's place among the points, from 0 to 1: the middle of the part that its value takes up."""
    counts = np.bincount(axis.index)
    return ((np.cumsum(counts) - counts / 2) / counts.sum())[axis.index]


def _shares(tree: Any, dims: int) -> Shares:
    """The decomposition of the function that a tree is, constant on boxes, over the unit cube."""
    low, high, value = _boxes(tree, dims)
    width = high - low
    volume = np.prod(width, axis=1)
    mean = volume @ value
    whole = volume @ np.square(value - mean)
    cuts = [np.unique(np.concatenate([low[:, n], high[:, n]])) for n in range(dims)]
    inside = [
        (low[:, n, None] <= cut[:-1]) & (cut[1:] <= high[:, n, None]) for n, cut in enumerate(cuts)
    ]  # boxes × intervals
    parts = [np.diff(cut) for cut in cuts]
    sets = [*((n,) for n in range(dims)), *itertools.combinations(range(dims), 2)]
    if not whole > 0:
        return Shares(dict.fromkeys(sets, 0.0), [0.0] * dims)
    variance: dict[tuple[int, ...], float] = {}
    for n in range(dims):
        marginal = ((value - mean) * volume / width[:, n]) @ inside[n]
        variance[(n,)] = float(np.square(marginal) @ parts[n])
    for n, m in itertools.combinations(range(dims), 2):
        left = inside[n] * ((value - mean) * volume / (width[:, n] * width[:, m]))[:, None]
        marginal = left.T @ inside[m]
        both = parts[n] @ np.square(marginal) @ parts[m]
        variance[n, m] = max(float(both) - variance[(n,)] - variance[(m,)], 0.0)
    terms = {of: float(x / whole) for of, x in variance.items()}
    totals = [float(sum(x for of, x in terms.items() if n in of)) for n in range(dims)]
    return Shares(terms, totals)


def _boxes(tree: Any, dims: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The lower and upper corners of the leaves of a tree of scikit-learn, and their values."""
    found = []
    stack = [(0, np.zeros(dims), np.ones(dims))]
    while stack:
        node, low, high = stack.pop()
        if tree.children_left[node] < 0:
            found.append((low, high, float(tree.value[node].ravel()[0])))
            continue
        axis, cut = tree.feature[node], tree.threshold[node]
        upper, lower = high.copy(), low.copy()
        upper[axis], lower[axis] = cut, cut
        stack += [(tree.children_left[node], low, upper), (tree.children_right[node], lower, high)]
    lows, highs, values = zip(*found, strict=True)
    return np.stack(lows), np.stack(highs), np.asarray(values)
