"""References of constraints, measurements and adapters; see `tests.references`."""

import numpy as np


def vector(tree):
    """All leaves as one vector, in the order of JAX: that of their names."""
    return np.concatenate([tree[leaf].ravel() for leaf in sorted(tree)])


def tree_like(x, tree):
    made, start = {}, 0
    for leaf in sorted(tree):
        like = tree[leaf]
        made[leaf] = x[start : start + like.size].reshape(like.shape)
        start += like.size
    return made


def l2_ball(x, scale):
    """All coordinates, divided by the same number."""
    return x * min(1.0, scale / np.sqrt(np.sum(np.abs(x) ** 2)))


def simplex(x, scale):
    """Bisection of Σ max(x − τ, 0) = scale, and then τ from the set of those above it."""
    low, high = x.min() - scale, x.max()
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if np.sum(np.maximum(x - middle, 0)) > scale else (low, middle)
    above = x > high if np.any(x > high) else x >= x.max()
    return np.where(above, x - (x[above].sum() - scale) / above.sum(), 0.0)


def project_params(gradients, params, projection, scale, rate):
    """Goldstein 1964: x ← P(x − αg)."""
    updates = []
    for g in gradients:
        moved = {leaf: params[leaf] - rate * g[leaf] for leaf in params}
        nearest = tree_like(projection(vector(moved), scale), params)
        updates.append({leaf: nearest[leaf] - params[leaf] for leaf in params})
        params = {leaf: params[leaf] + updates[-1][leaf] for leaf in params}
    return updates, {}


def flattened(reference):
    """The reference of one array, for all leaves as one vector."""

    def of_mapping(gradients, params):
        updates, state = reference([vector(g) for g in gradients], vector(params))
        return [tree_like(u, params) for u in updates], state

    return of_mapping


def softened(gradients, params):
    """u ← u/(1 + θ²)."""
    return [{leaf: g[leaf] / (1 + theta[leaf] ** 2) for leaf in g} for g, theta in along(gradients, params)], {}


def along(gradients, params):
    """Each gradient, with the parameters that it is taken at, where `softened` moves them."""
    for g in gradients:
        yield g, params
        params = {leaf: params[leaf] + g[leaf] / (1 + params[leaf] ** 2) for leaf in params}
