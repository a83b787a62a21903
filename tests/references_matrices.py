"""References of the Muon family: float64 NumPy, line by line from the papers. Rows are inputs, columns outputs.

``update(m, state, t)`` functions work on one matrix; `beside` puts them beside AdamW.
"""

import numpy as np

SIMPLE = [(3.4445, -4.7750, 2.0315)] * 5
EXACT = [(2.0, -1.5, 0.5)] * 12
POLAR_EXPRESS = [
    (8.2051, -22.9019, 16.4607), (4.0664, -2.8612, 0.5184), (3.9096, -2.8234, 0.5250), (3.2856, -2.4153, 0.4853),
    (2.2779, -1.6198, 0.3985),
]  # fmt: skip


def mapped(sigma, rows):
    """Singular values after the steps."""
    for a, b, c in rows:
        sigma = a * sigma + b * sigma**3 + c * sigma**5
    return sigma


def orthogonal(x, rows=SIMPLE, eps=0.0):
    """The same singular vectors; singular values over the root of their sum of squares (plus ε), mapped."""
    u, s, v = np.linalg.svd(x / (np.linalg.norm(x) + eps), full_matrices=False)
    return (u * mapped(s, rows)) @ v


def scaled_rows(x, rows):
    """Boissin et al. 2025: the shorter side scaled by its sums in |XXᵀ|, then matrix products."""
    y = x.T if x.shape[0] > x.shape[1] else x
    y = y / np.sqrt(np.abs(y @ y.T).sum(1, keepdims=True))
    for a, b, c in rows:
        g = y @ y.T
        y = a * y + (b * g + c * g @ g) @ y
    return y.T if x.shape[0] > x.shape[1] else y


def polar(x):
    """UVᵀ."""
    u, _, v = np.linalg.svd(x, full_matrices=False)
    return u @ v


def adamw(gradients, theta, rate, b1=0.9, b2=0.95, eps=1e-10, weight_decay=0.0):
    """Loshchilov & Hutter 2019, Algorithm 2."""
    m, v, updates = np.zeros_like(theta), np.zeros_like(theta), []
    for t, g in enumerate(gradients, 1):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        u = -rate * (m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t)) + eps) + weight_decay * theta)
        theta = theta + u
        updates.append(u)
    return updates


def beside(step, rate, weight_decay=0.0, **adam):
    """A rule of matrices, ``step(gradient, state, t) -> direction``, with decay and rate; AdamW for the others."""

    def of_mapping(gradients, params):
        updates = [{} for _ in gradients]
        for leaf, theta in params.items():
            own = [g[leaf] for g in gradients]
            if theta.ndim < 2:
                made = adamw(own, theta, rate, **adam)
            else:
                made, state = [], {}
                for t, g in enumerate(own, 1):
                    u = -rate * (step(g, state, t) + weight_decay * theta)
                    theta = theta + u
                    made.append(u)
            for row, u in zip(updates, made, strict=True):
                row[leaf] = u
        return updates, {}

    return of_mapping


def widening(x):
    """√max(1, n/m) of n outputs and m inputs."""
    return np.sqrt(max(1, x.shape[1] / x.shape[0]))


def _heavy(g, state, beta):
    state["m"] = beta * state.get("m", 0) + g
    return state["m"]


def normuon(g, state, t, beta=0.95, b2=0.95, eps=1e-10, rms=None):
    """Li et al. 2025, Algorithm 1, Nesterov's momentum, the norm restored; ``rms``: as in the paper."""
    o = orthogonal(g + beta * _heavy(g, state, beta))
    v = state["v"] = b2 * state.get("v", 0) + (1 - b2) * (o**2).mean(0)
    over = o / (np.sqrt(v) + eps)
    if rms is not None:
        return rms * np.sqrt(o.size) * over / np.linalg.norm(over)
    return over * np.linalg.norm(o) / np.linalg.norm(over) * widening(g)


def adamuon(g, state, t, beta=0.9, b2=0.95, eps=1e-10):
    """Si et al. 2025, Algorithm 1, without the sign."""
    m = state["m"] = beta * state.get("m", 0) + (1 - beta) * g
    o = orthogonal(m)
    v = state["v"] = b2 * state.get("v", 0) + (1 - b2) * o**2
    over = o / (np.sqrt(v / (1 - b2**t)) + eps)
    return 0.2 * np.sqrt(o.size) * over / np.linalg.norm(over)


def heavy_ball(g, state, t, beta=0.95, rows=SIMPLE):
    """Momentum, made orthogonal, at 0.2 √max(m, n): Liu et al. 2025."""
    return 0.2 * np.sqrt(max(g.shape)) * orthogonal(_heavy(g, state, beta), rows)


def dion2(g, state, t, fraction, beta=0.95, rows=POLAR_EXPRESS):
    """Ahn et al. 2025, Algorithm 1: the largest rows or columns of the shorter side."""
    m = state.get("m", 0) + g
    turned = m.shape[0] > m.shape[1]
    m = m.T if turned else m.copy()
    number = int(np.ceil(fraction * len(m)))
    chosen = np.argsort(-np.abs(m).sum(1))[:number]
    o = np.zeros_like(m)
    o[chosen] = orthogonal(m[chosen], rows, 1e-8)
    m[chosen] *= beta
    state["m"] = m.T if turned else m
    return np.sqrt(g.shape[1] / g.shape[0]) * (o.T if turned else o)


def even(x, rounds=2, power=0.5):
    """Tilde Research 2025: rows of the taller side rescaled until their lengths are alike."""
    if x.shape[0] == x.shape[1]:
        return orthogonal(x, EXACT, 1e-7)
    tall = x if x.shape[0] > x.shape[1] else x.T
    d = 1 / np.linalg.norm(tall, axis=1, keepdims=True)
    for _ in range(rounds - 1):
        u = orthogonal(d * tall, EXACT, 1e-7)
        d = d * (tall.shape[1] / tall.shape[0] / (u**2).sum(1, keepdims=True)) ** power
    u = orthogonal(d * tall, EXACT, 1e-7)
    return u if x.shape[0] > x.shape[1] else u.T


def aurora(g, state, t, beta=0.95):
    """The momentum of Muon, evenly."""
    return widening(g) * even(g + beta * _heavy(g, state, beta))


def lmo(x, ball, eps=1e-8):
    """Pethick et al. 2025, Tables 2 to 4."""
    if ball == "rms":
        return x / (np.sqrt((x**2).mean()) + eps)
    m, n = x.shape
    if ball == "sign":
        return np.sign(x) / m
    if ball == "outputs":
        return np.stack([c / (np.sqrt(m) * np.linalg.norm(c) + eps) for c in x.T], 1)
    return np.stack([r / (np.linalg.norm(r) / np.sqrt(n) + eps) for r in x])


def scion(gradients, params, rate, beta=0.9, radius=1.0, weight_decay=0.0):
    """Pethick et al. 2025, Algorithm 1; with decay 1 Algorithm 2."""
    updates, theta = [], dict(params)
    m = {leaf: np.zeros_like(x) for leaf, x in params.items()}
    for g in gradients:
        row = {}
        for leaf, x in theta.items():
            m[leaf] = beta * m[leaf] + (1 - beta) * g[leaf]
            step = lmo(m[leaf], "rms") if x.ndim < 2 else np.sqrt(x.shape[1] / x.shape[0]) * orthogonal(m[leaf])
            row[leaf] = -rate * (radius * step + weight_decay * x)
        theta = {leaf: x + row[leaf] for leaf, x in theta.items()}
        updates.append(row)
    return updates, {}


def adago(gradients, params, rate, beta=0.95, gamma=10.0, least=5e-4, start=1e-6, adam_rate=3e-4):
    """Zhang, Liu & Schaeffer 2025, Algorithm 1."""
    updates = [{} for _ in gradients]
    for leaf, theta in params.items():
        own = [g[leaf] for g in gradients]
        made = adamw(own, theta, adam_rate) if theta.ndim < 2 else []
        m, total = 0, start
        for g in own if theta.ndim == 2 else ():
            m = beta * m + (1 - beta) * g
            norm = min(np.linalg.norm(g), gamma)
            total += norm**2
            made.append(-max(rate * norm / np.sqrt(total), least) * orthogonal(m))
        for row, u in zip(updates, made, strict=True):
            row[leaf] = u
    return updates, {}
