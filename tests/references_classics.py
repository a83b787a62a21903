"""The classical rules once more, as in `tests.references`: float64 NumPy loops, line by line from the sources.

``learning_rate=None`` gives the direction alone, as a link does. ``u`` is always the update that moves θ.
"""

import functools
import math
from fractions import Fraction

import numpy as np

from tests.references import abs_sq, at


def moved(direction, learning_rate, t):
    return direction if learning_rate is None else -at(learning_rate, t) * direction


def norm(x):
    return np.sqrt(np.sum(abs_sq(x)))


def rms(x):
    return np.sqrt(np.mean(abs_sq(x)))


def average(m, g, t, b1, nesterov):
    """The corrected average; Dozat 2016, Algorithm 2, with Nesterov's momentum."""
    if nesterov:
        return b1 * m / (1 - b1 ** (t + 1)) + (1 - b1) * g / (1 - b1**t)
    return m / (1 - b1**t)


# Adam and its kin -----------------------------------------------------------------------------------------------------


def adam(
    gradients, theta, learning_rate=None, b1=0.9, b2=0.999, eps=1e-8, eps_root=0.0, weight_decay=0.0, nesterov=False
):
    """Kingma & Ba 2015, Algorithm 1; Loshchilov & Hutter 2019, Algorithm 2."""
    m, v, updates = np.zeros_like(theta), np.zeros(theta.shape), []
    for t, g in enumerate(gradients, 1):
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * abs_sq(g)
        direction = average(m, g, t, b1, nesterov) / (np.sqrt(v / (1 - b2**t) + eps_root) + eps)
        updates.append(moved(direction + weight_decay * theta, learning_rate, t))
        theta = theta + updates[-1]
    return updates, {"mu": m, "nu": v}


def adamax(gradients, theta, learning_rate=None, b1=0.9, b2=0.999, eps=1e-8, weight_decay=0.0):
    """Kingma & Ba 2015, Algorithm 2, with eps beside the gradient; Loshchilov & Hutter 2019, Algorithm 2."""
    m, v, updates = np.zeros_like(theta), np.zeros(theta.shape), []
    for t, g in enumerate(gradients, 1):
        m = b1 * m + (1 - b1) * g
        v = np.maximum(b2 * v, np.abs(g) + eps)
        updates.append(moved(m / (1 - b1**t) / v + weight_decay * theta, learning_rate, t))
        theta = theta + updates[-1]
    return updates, {"mu": m, "nu": v}


def amsgrad(gradients, theta, b1=0.9, b2=0.999, eps=1e-8, eps_root=0.0):
    """Reddi, Kale & Kumar 2018, Algorithm 2, with the correction before the maximum."""
    m, v, v_max, updates = np.zeros_like(theta), np.zeros(theta.shape), np.zeros(theta.shape), []
    for t, g in enumerate(gradients, 1):
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * abs_sq(g)
        v_max = np.maximum(v_max, v / (1 - b2**t))
        updates.append(m / (1 - b1**t) / (np.sqrt(v_max + eps_root) + eps))
    return updates, {"mu": m, "nu": v, "nu_max": v_max}


def belief(gradients, theta, learning_rate=None, b1=0.9, b2=0.999, eps=1e-16, eps_root=1e-16, nesterov=False):
    """Zhuang et al. 2020, Algorithm 2."""
    m, s, updates = np.zeros_like(theta), np.zeros(theta.shape), []
    for t, g in enumerate(gradients, 1):
        m = b1 * m + (1 - b1) * g
        s = b2 * s + (1 - b2) * abs_sq(g - m) + eps_root
        direction = average(m, g, t, b1, nesterov) / (np.sqrt(s / (1 - b2**t)) + eps)
        updates.append(moved(direction, learning_rate, t))
    return updates, {"mu": m, "nu": s}


def yogi(gradients, theta, learning_rate=None, b1=0.9, b2=0.999, eps=1e-3, eps_root=0.0, initial=1e-6):
    """Zaheer et al. 2018, Algorithm 2, corrected as Adam is."""
    m, v, updates = np.full_like(theta, initial), np.full(theta.shape, initial), []
    for t, g in enumerate(gradients, 1):
        m = b1 * m + (1 - b1) * g
        v = v - (1 - b2) * np.sign(v - abs_sq(g)) * abs_sq(g)
        direction = m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t) + eps_root) + eps)
        updates.append(moved(direction, learning_rate, t))
    return updates, {"mu": m, "nu": v}


def rectifier(t, b2):
    """Liu et al. 2020, Algorithm 2: ρ and r; in fractions, because the difference of two large numbers loses digits."""
    b2 = Fraction(b2)
    rho_inf = 2 / (1 - b2) - 1
    rho = rho_inf - 2 * t * b2**t / (1 - b2**t)
    inside = (rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho)
    return rho, math.sqrt(inside) if rho > 4 else None


def radam(
    gradients, theta, learning_rate=None, b1=0.9, b2=0.999, eps=1e-8, eps_root=0.0, threshold=5.0, nesterov=False
):
    """Liu et al. 2020, Algorithm 2."""
    m, v, updates = np.zeros_like(theta), np.zeros(theta.shape), []
    for t, g in enumerate(gradients, 1):
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * abs_sq(g)
        direction = average(m, g, t, b1, nesterov)
        rho, r = rectifier(t, b2)
        if rho >= threshold:
            direction = r * direction / (np.sqrt(v / (1 - b2**t) + eps_root) + eps)
        updates.append(moved(direction, learning_rate, t))
    return updates, {"mu": m, "nu": v}


def rectified_rms(gradients, theta, decay, eps, threshold=5.0):
    """Liu et al. 2020, Algorithm 2, without the average."""
    v, updates = np.zeros(theta.shape), []
    for t, g in enumerate(gradients, 1):
        v = decay * v + (1 - decay) * abs_sq(g)
        rho, r = rectifier(t, decay)
        updates.append(r * g / (np.sqrt(v / (1 - decay**t)) + eps) if rho >= threshold else g)
    return updates, {"nu": v}


def adan(gradients, theta, learning_rate=None, b1=0.98, b2=0.92, b3=0.99, eps=1e-8, eps_root=0.0, weight_decay=0.0):
    """Xie et al. 2022, Algorithm 1, with 1 − β for β, and corrected as in the code of the authors."""
    m, v, n, updates = np.zeros_like(theta), np.zeros_like(theta), np.zeros(theta.shape), []
    last = gradients[0]
    for t, g in enumerate(gradients, 1):
        difference = g - last
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * difference
        n = b3 * n + (1 - b3) * abs_sq(g + b2 * difference)
        ahead = m / (1 - b1**t) + b2 * v / (1 - b2**t)
        direction = ahead / (np.sqrt(n / (1 - b3**t) + eps_root) + eps)
        updates.append(moved(direction + weight_decay * theta, learning_rate, t))
        theta, last = theta + updates[-1], g
    return updates, {"m": m, "v": v, "n": n, "g": last}


def novograd(gradients, theta, learning_rate=None, b1=0.9, b2=0.25, eps=1e-8, eps_root=0.0, weight_decay=0.0):
    """Ginsburg et al. 2019, Algorithm 1."""
    m, v, updates = np.zeros_like(theta), None, []
    for t, g in enumerate(gradients, 1):
        v = norm(g) ** 2 if t == 1 else b2 * v + (1 - b2) * norm(g) ** 2
        m = b1 * m + (g / (np.sqrt(v + eps_root) + eps) + weight_decay * theta)
        updates.append(moved(m, learning_rate, t))
        theta = theta + updates[-1]
    return updates, {"mu": m, "nu": v}


def sm3(gradients, theta, learning_rate=None, b1=0.9, b2=1.0, eps=1e-8):
    """Anil et al. 2019, Algorithm SM3-II, with the cover of rows and columns; and an average of its steps."""
    axes = range(theta.ndim) if theta.ndim > 1 else ()
    others = {axis: tuple(other for other in axes if other != axis) for axis in axes}
    covers = [np.zeros(theta.shape[axis]) for axis in axes] or [np.zeros(theta.shape)]
    m, updates = np.zeros_like(theta), []
    for t, g in enumerate(gradients, 1):
        least = covers[0] if not axes else functools.reduce(np.minimum, np.ix_(*covers))
        v = b2 * least + (1 - b2 if b2 < 1 else 1) * abs_sq(g)
        step = np.divide(g, np.sqrt(v + eps), out=np.zeros_like(theta), where=v > 0)
        covers = [v.max(others[axis]) for axis in axes] or [v]
        m = b1 * m + (1 - b1) * step
        updates.append(moved(m, learning_rate, t))
    return updates, {"mu": m, "nu": tuple(covers)}


# Averages and sums of updates -----------------------------------------------------------------------------------------


def ema(gradients, theta, decay, debias=True):
    """Kingma & Ba 2015, section 3."""
    m, updates = np.zeros_like(theta), []
    for t, g in enumerate(gradients, 1):
        m = decay * m + (1 - decay) * g
        updates.append(m / (1 - decay**t) if debias else m)
    return updates, {"mu": m}


def nesterov_trace_of_updates(gradients, theta, decay):
    """Bengio et al. 2013, eq. 7, with the learning rate taken out."""
    v, updates = np.zeros_like(theta), []
    for g in gradients:
        v = decay * v + g
        updates.append(g + decay * v)
    return updates, {"trace": v}


def apply_every(gradients, theta, k):
    """The sum of the updates, now and then."""
    total, updates = np.zeros_like(theta), []
    for t, g in enumerate(gradients, 1):
        total = total + g if (t - 1) % k else g
        updates.append(total if t % k == 0 else np.zeros_like(theta))
    return updates, {"grad_acc": total}


def optimistic(gradients, theta, learning_rate=None, alpha=1.0, beta=1.0):
    """Mokhtari, Ozdaglar & Pattathil 2020, the generalized method."""
    updates, last = [], gradients[0]
    for t, g in enumerate(gradients, 1):
        updates.append(moved(alpha * g + beta * (g - last), learning_rate, t))
        last = g
    return updates, {"previous_gradient": last}


def optimistic_adam(gradients, theta, learning_rate, alpha, beta, **numbers):
    """Daskalakis et al. 2018, Algorithm 1: Adam's directions, and their newest change once more."""
    directions, state = adam(gradients, theta, **numbers)
    updates, last = optimistic(directions, theta, learning_rate, alpha, beta)
    return updates, state | last


def signs(gradients, theta, learning_rate, beta=0.0):
    """Bernstein et al. 2018, Algorithms 1 and 2."""
    m, updates = np.zeros_like(theta), []
    for t, g in enumerate(gradients, 1):
        m = beta * m + (1 - beta) * g
        updates.append(-at(learning_rate, t) * np.sign(m))
    return updates, {"mu": m} if beta else {}


# Norms ----------------------------------------------------------------------------------------------------------------


def trust(theta, u, min_norm=0.0, coefficient=1.0, eps=0.0):
    of_theta, of_update = max(norm(theta), min_norm), max(norm(u), min_norm)
    return coefficient * of_theta / (of_update + eps) if of_theta and of_update else 1.0


def trust_ratio(gradients, theta, min_norm=0.0, coefficient=1.0, eps=0.0):
    """You, Gitman & Ginsburg 2017, eq. 6."""
    updates = []
    for g in gradients:
        updates.append(trust(theta, g, min_norm, coefficient, eps) * g)
        theta = theta + updates[-1]
    return updates, {}


def param_scale(gradients, theta, size, rate=1.0, min_scale=1e-3):
    """Shazeer & Stern 2018, section 8."""
    updates = []
    for g in gradients:
        updates.append(rate * max(size(theta), min_scale) * g)
        theta = theta + updates[-1]
    return updates, {}


def lamb(gradients, theta, learning_rate, b1=0.9, b2=0.999, eps=1e-6, weight_decay=0.0):
    """You et al. 2020, Algorithm 2."""
    m, v, updates = np.zeros_like(theta), np.zeros(theta.shape), []
    for t, g in enumerate(gradients, 1):
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * abs_sq(g)
        r = m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t)) + eps) + weight_decay * theta
        updates.append(moved(trust(theta, r) * r, learning_rate, t))
        theta = theta + updates[-1]
    return updates, {"mu": m, "nu": v}


def lars(gradients, theta, learning_rate, weight_decay=0.0, coefficient=1e-3, eps=0.0, momentum=0.9, nesterov=False):
    """You, Gitman & Ginsburg 2017, Algorithm 1."""
    v, updates = np.zeros_like(theta), []
    for t, g in enumerate(gradients, 1):
        d = g + weight_decay * theta
        step = at(learning_rate, t) * trust(theta, d, coefficient=coefficient, eps=eps) * d
        v = momentum * v + step
        updates.append(-(step + momentum * v if nesterov else v))
        theta = theta + updates[-1]
    return updates, {"trace": -v}


def fromage(gradients, theta, learning_rate, min_norm=1e-6):
    """Bernstein et al. 2020, Algorithm 1."""
    updates = []
    for t, g in enumerate(gradients, 1):
        rate = at(learning_rate, t)
        shrunk = np.expm1(-np.log1p(rate**2) / 2)  # 1/√(1 + α²) − 1
        updates.append(shrunk * theta - rate / np.sqrt(1 + rate**2) * trust(theta, g, min_norm) * g)
        theta = theta + updates[-1]
    return updates, {}


def block_rms_clip(gradients, theta, threshold):
    """Shazeer & Stern 2018, section 6."""
    return [g / max(1, rms(g) / threshold) for g in gradients], {}


def unit_clip(gradients, theta, clipping, rate=1.0, eps=1e-3):
    """Brock et al. 2021, eq. 3, for vectors and matrices whose second axis counts the units."""
    updates = []
    for g in gradients:
        axis = 0 if g.ndim > 1 else None
        of_g = np.sqrt(np.sum(abs_sq(g), axis, keepdims=True))
        largest = clipping * np.maximum(np.sqrt(np.sum(abs_sq(theta), axis, keepdims=True)), eps)
        updates.append(rate * g * np.minimum(1, largest / np.maximum(of_g, 1e-6)))
        theta = theta + updates[-1]
    return updates, {}


def distance_over_gradients(gradients, theta, reps_rel=1e-6, eps=1e-8, scale=1.0):
    """Ivgi, Hinder & Carmon 2023, DoG layer by layer."""
    start, far, total, updates = theta, reps_rel * (1 + norm(theta)), 0.0, []
    for g in gradients:
        far = max(far, norm(theta - start))
        total = total + norm(g) ** 2
        updates.append(scale * far / np.sqrt(total + eps) * g)
        theta = theta + updates[-1]
    return updates, {"max_dist": far, "grad_sum_of_squares": total, "init_params": start}


def nonnegative(gradients, theta):
    """The step, cut where the parameter reaches zero."""
    updates = []
    for g in gradients:
        updates.append(np.maximum(g, -theta))
        theta = theta + updates[-1]
    return updates, {}


def without_nans(gradients, theta):
    """Zeros in place of NaN."""
    return [np.where(np.isnan(g), 0, g) for g in gradients], {"found_nan": np.isnan(gradients[-1]).any()}


def normalized(gradients, params, scale=1.0, eps=1e-6):
    """Hazan, Levy & Shalev-Shwartz 2015, Algorithm 1, for mappings: one norm over all leaves."""
    norms = [np.sqrt(sum(norm(x) ** 2 for x in g.values())) for g in gradients]
    return [
        {leaf: scale * x / (size + eps) for leaf, x in g.items()} for g, size in zip(gradients, norms, strict=True)
    ], {}


def polyak(gradients, params, value, f_min=0.0, largest=1.0, scaling=-1.0, eps=0.0, positive=False):
    """Loizou et al. 2021, SPS with a largest rate; Garrigos, Gower & Schaipp 2023, SPS₊; for mappings."""
    gap = max(value - f_min, 0) if positive else value - f_min
    updates = []
    for g in gradients:
        square = sum(norm(x) ** 2 for x in g.values())
        step = min(gap / (square + eps), largest) if square else 0.0
        updates.append({leaf: scaling * step * x for leaf, x in g.items()})
    return updates, {}


# Adafactor ------------------------------------------------------------------------------------------------------------


def adafactor(
    gradients,
    theta,
    learning_rate,
    least=128,
    decay_rate=0.8,
    threshold=1.0,
    momentum=None,
    weight_decay=0.0,
    eps=1e-30,
):
    """Shazeer & Stern 2018, Algorithms 4 and 5; momentum and decay as in Optax."""
    factored = theta.ndim == 2 and min(theta.shape) >= least
    row, col, v, m, updates = np.zeros(theta.shape[:1]), np.zeros(theta.shape[-1:]), np.zeros(theta.shape), 0.0, []
    for t, g in enumerate(gradients, 1):
        beta, square = 1 - t**-decay_rate, abs_sq(g) + eps
        if factored:
            row = beta * row + (1 - beta) * square.mean(1)
            col = beta * col + (1 - beta) * square.mean(0)
            v = np.outer(row, col) / row.mean()
        else:
            v = beta * v + (1 - beta) * square
        d = g / np.sqrt(v)
        d = at(learning_rate, t) * max(rms(theta), 1e-3) * d / max(1, rms(d) / threshold)
        m = d if momentum is None else momentum * m + (1 - momentum) * d
        updates.append(-m - weight_decay * theta)
        theta = theta + updates[-1]
    shorter_first = theta.ndim == 2 and theta.shape[0] <= theta.shape[1]
    kept = {"row": row if shorter_first else col, "col": col if shorter_first else row} if factored else v
    return updates, {"nu": kept} | ({} if momentum is None else {"mu": m})
