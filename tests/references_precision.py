"""References of what restrains steps and of precision: float64 NumPy loops, line by line from the sources.

They are as in `tests.references`. What looks at all leaves at once takes mappings of arrays in place of arrays.
"""

import numpy as np

# One array ------------------------------------------------------------------------------------------------------------


def cautious_decay(gradients, theta, weight_decay):
    """Chen et al. 2025, Algorithm 1: the decay, number by number."""
    updates = []
    for g in gradients:
        u = np.array(g)
        for place in np.ndindex(theta.shape):
            if g[place] * theta[place] > 0:
                u[place] += weight_decay * theta[place]
        theta = theta + u
        updates.append(u)
    return updates, {}


def decoupled_decay(gradients, theta, rate, learning_rate, towards_start=False):
    """Gradient descent, and what its rate has no part in."""
    start, updates = np.array(theta), []
    for t, g in enumerate(gradients):
        part = rate(t) if callable(rate) else rate
        u = -learning_rate * g - part * (theta - (start if towards_start else 0))
        theta = theta + u
        updates.append(u)
    return updates, {"start": start} if towards_start else {}


def clip_by_leaf_norm(gradients, theta, max_norm):
    """Pascanu, Mikolov & Bengio 2013, Algorithm 1."""
    updates = []
    for g in gradients:
        norm = np.sqrt(np.sum(np.abs(g) ** 2))
        updates.append(g * max_norm / norm if norm > max_norm else g)
    return updates, {}


def scale_to_params(gradients, theta, learning_rate):
    """RelativeUpdateHook."""
    updates = []
    for g in gradients:
        u = -learning_rate * g * np.linalg.norm(theta) / np.linalg.norm(g)
        theta = theta + u
        updates.append(u)
    return updates, {}


def row_floor(gradients, theta, floor, learning_rate):
    """RowUpdateFloor, of outputs in columns; a vector is one unit."""
    updates = []
    for g in gradients:
        columns, units = np.atleast_2d(g.T).T, np.atleast_2d(theta.T).T
        columns = columns.reshape(units.shape).copy()
        for n in range(columns.shape[1] if g.ndim == 2 else 1):
            own = np.s_[:, n] if g.ndim == 2 else np.s_[:]
            ratio = np.linalg.norm(columns[own]) / np.linalg.norm(units[own])
            columns[own] *= floor / ratio if ratio < floor else 1
        u = -learning_rate * columns.reshape(g.shape)
        theta = theta + u
        updates.append(u)
    return updates, {}


def hyperball(gradients, theta, learning_rate):
    """MuonHyperball, with the direction of the gradient, and the radius of the start."""
    radius, updates = np.linalg.norm(theta), []
    for g in gradients:
        beside = theta - learning_rate * radius * g / np.linalg.norm(g)
        after = radius * beside / np.linalg.norm(beside)
        updates.append(after - theta)
        theta = after
    return updates, {"radius": np.full((1, 1), radius)}


def radial_brake(gradients, theta, learning_rate, momentum, outward, inward):
    """RadialBrakeHook around heavy-ball momentum."""
    trace, updates = np.zeros_like(theta), []
    for g in gradients:
        trace = momentum * trace + g
        there = theta - learning_rate * trace
        before, after = np.linalg.norm(theta), np.linalg.norm(there)
        target = before + (outward if after > before else inward) * (after - before)
        there = there * target / after
        updates.append(there - theta)
        theta = there
    return updates, {"trace": trace}


def ema_nesterov(gradients, theta, learning_rate, lookahead, decay):
    """The wrapper of modded-nanogpt, track 3, row 39: ahead, a step from there, and the average of the differences."""
    e, updates = np.zeros_like(theta), []
    for t, g in enumerate(gradients):
        before = np.array(theta)
        theta = theta + (lookahead(t) if callable(lookahead) else lookahead) * e
        theta = theta - learning_rate * g
        e = decay * e + (1 - decay) * (theta - before)
        updates.append(theta - before)
    return updates, {"ema": e}


def tail_ema(gradients, theta, start, decay):
    """The average of modded-nanogpt, track 3, row 45: a copy at the start, and an average from there on."""
    average, updates = np.array(theta), []
    for t, g in enumerate(gradients, 1):
        theta = theta + g
        average = np.array(theta) if t <= start else decay * average + (1 - decay) * theta
        updates.append(g)
    return updates, {"average": average}


def loss_scale(gradients, theta, learning_rate, momentum, scale, period):
    """Micikevicius et al. 2018, section 3.2, for gradients that are finite, around heavy-ball momentum."""
    trace, good, updates = np.zeros_like(theta), 0, []
    for g in gradients:
        trace = momentum * trace + g / scale
        updates.append(-learning_rate * trace)
        good += 1
        if good == period:
            scale, good = 2 * scale, 0
    return updates, {"trace": trace, "scale": np.float32(scale), "good_steps": np.int32(good)}


# All leaves -----------------------------------------------------------------------------------------------------------


def _norm(tree):
    return np.sqrt(sum(np.sum(np.abs(x) ** 2) for x in tree.values()))


def _of_norms(norms, decay, warmup, cap):
    """For every norm how many deviations it is above the mean, the mean, the deviation; and the last statistics."""
    mean = var = 0.0
    rows, seen = [], []
    for t, norm in enumerate(norms, 1):
        deviation = np.sqrt(var)
        z = (norm - mean) / (deviation + 1e-6) if t > warmup and deviation > 1e-6 else -np.inf
        rows.append((z, mean, deviation))
        norm = cap(norm, z, mean, deviation)
        seen.append(norm)
        if t <= warmup:
            mean, var = np.mean(seen), np.var(seen)
        else:
            mean = decay * mean + (1 - decay) * norm
            var = decay * var + (1 - decay) * (norm - mean) ** 2
    return rows, mean, var


def clip_by_z_score(gradients, params, threshold, decay, warmup):
    """Kumar et al. 2025, Algorithm 1, with reciprocal clipping."""

    def limit(norm, z, mean, deviation):
        return mean + threshold * deviation / (z / threshold) if z > threshold else norm

    norms = [_norm(g) for g in gradients]
    rows, mean, var = _of_norms(norms, decay, warmup, limit)
    factors = [limit(norm, *row) / norm for norm, row in zip(norms, rows, strict=True)]
    assert 1 < sum(factor < 1 for factor in factors) < len(factors) / 2
    updates = [{k: x * factor for k, x in g.items()} for g, factor in zip(gradients, factors, strict=True)]
    return updates, {"mean": mean, "var": var}


def skip_spikes(gradients, params, learning_rate, threshold, decay, warmup):
    """No step where the norm is an outlier, which then counts as the largest norm that is none."""

    def cap(norm, z, mean, deviation):
        return mean + threshold * deviation if z > threshold else norm

    rows, mean, var = _of_norms([_norm(g) for g in gradients], decay, warmup, cap)
    skipped = [z > threshold for z, _, _ in rows]
    assert 1 < sum(skipped) < len(rows) / 2
    updates = [
        {k: np.zeros_like(x) if spike else -learning_rate * x for k, x in g.items()}
        for g, spike in zip(gradients, skipped, strict=True)
    ]
    return updates, {"mean": mean, "var": var, "skipped": np.int32(sum(skipped))}
