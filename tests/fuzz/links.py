"""Links in float64, one function a link: what it makes of the two signals of one leaf, from the papers.

``(u, g, p, t, state, **numbers) -> u``: the update, the gradient, the parameter; t is 1 at the first step; ``state`` is
a dict of its own, empty at first. Those in CONDITIONS rewrite the gradient as well, while both signals are one.
"""

import numpy as np

from tests.fuzz.rounding import JITTER

sign, sqrt = np.sign, np.sqrt


def norm(x):
    return sqrt(np.sum(x * x))


def rms(x):
    return sqrt(np.mean(x * x)) if x.size else 0.0


def over(a, b):
    """a/b, 0 where both are 0."""
    with np.errstate(all="ignore"):
        return np.where((a == 0) & (b == 0), 0.0, a / np.where((a == 0) & (b == 0), 1.0, b))


def divided(a, b):
    """a/b as the formula says, NaN where both are 0: whoever asks for ε = 0 has it."""
    with np.errstate(all="ignore"):
        return a / b


def shrunk(u, most, size):
    return u if not size > most else u * (most / size)


def lost(decay, t):
    """1 − βᵗ with all its digits, which the difference from 1 has not."""
    return JITTER.of(-np.expm1(t * np.log1p(decay - 1)))


def averaged(state, name, decay, x, start=0.0):
    """βm + (1 − β)x, computed as gradtx promises, m + (1 − β)(x − m): its rounding is that of the old average."""
    m = state.get(name, start * np.ones_like(x))
    state[name] = m + (1 - decay) * JITTER.of(x - m) if JITTER.unit else decay * m + (1 - decay) * x
    return state[name]


# What conditions ------------------------------------------------------------------------------------------------------


def scale(u, g, p, t, state, step_size):
    return step_size * u


def scale_by_learning_rate(u, g, p, t, state, learning_rate, flip_sign=True):
    return -learning_rate * u if flip_sign else learning_rate * u


def scale_by_sign(u, g, p, t, state):
    return sign(u)


def clip(u, g, p, t, state, max_delta):
    return np.minimum(np.maximum(u, -max_delta), max_delta)


def clip_by_block_rms(u, g, p, t, state, threshold):
    return shrunk(u, threshold, rms(u))


def clip_by_leaf_norm(u, g, p, t, state, max_norm):
    return shrunk(u, max_norm, norm(u))


def add_decayed_weights(u, g, p, t, state, weight_decay):
    return u + weight_decay * p


def add_corrected_decay(u, g, p, t, state, weight_decay, learning_rate, max_learning_rate):
    return u + weight_decay * learning_rate / max_learning_rate * p


def centralize(u, g, p, t, state):
    return u - u.mean(axis=tuple(range(1, u.ndim)), keepdims=True) if u.ndim > 1 else u


def zero_nans(u, g, p, t, state):
    return np.where(np.isnan(u), 0.0, u)


def scale_by_trust_ratio(u, g, p, t, state, min_norm=0.0, trust_coefficient=1.0, eps=0.0):
    of_param, of_update = max(norm(p), min_norm), max(norm(u), min_norm)
    return u * trust_coefficient * of_param / (of_update + eps) if of_param > 0 and of_update > 0 else u


def scale_by_param_block_norm(u, g, p, t, state, min_scale=1e-3):
    return max(norm(p), min_scale) * u


def scale_by_param_block_rms(u, g, p, t, state, min_scale=1e-3):
    return max(rms(p), min_scale) * u


def grokfast(u, g, p, t, state, decay=0.98, lamb=2.0):
    state["m"] = JITTER.mixed(decay, state["m"], u) if "m" in state else u
    return u + lamb * state["m"]


def identity(u, g, p, t, state):
    return u


def scale_by_falling_rate(u, g, p, t, state, learning_rate, lambd, alpha=0.75):
    return -learning_rate / (1 + lambd * learning_rate * (t - 1)) ** alpha * u


# Moments --------------------------------------------------------------------------------------------------------------


def scale_by_ewma(u, g, p, t, state, decay=0.9, initial="zero"):
    if initial == "first" and "m" not in state:
        state["m"] = u
        return u
    return averaged(state, "m", decay, u)


def bias_correction(u, g, p, t, state, decay=0.9):
    return u / lost(decay, t)


def root_bias_correction(u, g, p, t, state, decay=0.999):
    return u * sqrt(lost(decay, t))


def nesterov_bias_correction(u, g, p, t, state, decay=0.9):
    return decay * u / lost(decay, t + 1) + (1 - decay) * g / lost(decay, t)


def ema(u, g, p, t, state, decay, debias=True):
    m = averaged(state, "m", decay, u)
    return m / lost(decay, t) if debias else m


def trace(u, g, p, t, state, decay, nesterov=False):
    state["v"] = decay * state.get("v", 0.0) + u
    return u + decay * state["v"] if nesterov else state["v"]


def lookahead_trace(u, g, p, t, state, decay):
    return trace(u, g, p, t, state, decay)


def nesterov_lookahead(u, g, p, t, state, decay):
    return g + decay * u


def mix_with_gradient(u, g, p, t, state, share=0.7):
    return share * u + (1 - share) * g


def lion_momentum(u, g, p, t, state, b1=0.9, b2=0.99):
    m = state.get("m", np.zeros_like(u))
    state["m"] = JITTER.mixed(b2, m, u)
    return JITTER.mixed(b1, m, u)


def with_gradient_signs(u, g, p, t, state):
    return np.abs(u) * sign(g)


def apply_every(u, g, p, t, state, k=1.0):
    k = max(int(np.ceil(k)), 1)
    a = state.get("a", 0.0) + u
    state["a"] = np.zeros_like(u) if t % k == 0 else a
    return a if t % k == 0 else np.zeros_like(u)


# Second moments -------------------------------------------------------------------------------------------------------


def scale_by_rms(u, g, p, t, state, decay=0.999, eps=1e-8, eps_root=0.0, initial_scale=0.0, bias_correction=True):
    v = averaged(state, "v", decay, g * g, initial_scale)
    return divided(u, sqrt((v / lost(decay, t) if bias_correction else v) + eps_root) + eps)


def scale_by_rss(u, g, p, t, state, initial_accumulator_value=0.1, eps=1e-7, eps_in_sqrt=True):
    state["r"] = r = state.get("r", initial_accumulator_value) + g * g
    return np.where(r > 0, over(u, sqrt(r + eps) if eps_in_sqrt else sqrt(r) + eps), 0.0)


def scale_by_mean_squares(u, g, p, t, state, eps=1e-7, eps_in_sqrt=True):
    state["r"] = state.get("r", 0.0) * (t - 1) / t + g * g / t
    r = state["r"]
    return np.where(r > 0, over(u, sqrt(r + eps) if eps_in_sqrt else sqrt(r) + eps), 0.0)


def scale_by_stddev(u, g, p, t, state, decay=0.9, eps=1e-8, initial_scale=0.0, eps_in_sqrt=True, bias_correction=False):
    m, v = averaged(state, "m", decay, g), averaged(state, "v", decay, g * g, initial_scale)
    if bias_correction:
        m, v = m / lost(decay, t), v / lost(decay, t)
    variance = np.maximum(JITTER.of(v) - JITTER.of(m * m), 0.0)
    return divided(u, sqrt(variance + eps) if eps_in_sqrt else sqrt(variance) + eps)


def scale_by_max_rms(u, g, p, t, state, decay=0.999, eps=1e-8, eps_root=0.0, maximum="corrected", bias_correction=True):
    v, correction = averaged(state, "v", decay, g * g), lost(decay, t) if bias_correction else 1.0
    inside, outside = (correction, 1.0) if maximum == "corrected" else (1.0, correction)
    state["max"] = np.maximum(state.get("max", 0.0), v / inside)
    return divided(u, sqrt(state["max"] / outside + eps_root) + eps)


def scale_by_infinity_norm(u, g, p, t, state, decay=0.999, eps=1e-8):
    state["v"] = np.maximum(decay * state.get("v", 0.0), np.abs(g) + eps)
    return divided(u, state["v"])


def scale_by_belief(u, g, p, t, state, b1=0.9, b2=0.999, eps=1e-16, eps_root=1e-16, nesterov=False):
    m = averaged(state, "m", b1, u)
    s = state["s"] = JITTER.mixed(b2, state.get("s", np.zeros_like(u)), (u - m) ** 2) + eps_root
    ahead = b1 * m / lost(b1, t + 1) + (1 - b1) * u / lost(b1, t)
    return divided(ahead if nesterov else m / lost(b1, t), sqrt(s / lost(b2, t)) + eps)


def scale_by_yogi(u, g, p, t, state, b1=0.9, b2=0.999, eps=1e-3):
    m = averaged(state, "m", b1, u, 1e-6)
    v = state.get("v", np.full_like(u, 1e-6))
    v = state["v"] = v - (1 - b2) * sign(v - u * u) * u * u
    return divided(m / lost(b1, t), sqrt(v / lost(b2, t)) + eps)


# The end of a chain ---------------------------------------------------------------------------------------------------


def keep_params_nonnegative(u, g, p, t, state):
    return np.maximum(u, -p)


def ema_params(u, g, p, t, state, decay=0.999, bias_correction=False):
    share = (1 - decay) / lost(decay, t) if bias_correction else 1 - decay
    state["average"] = state["average"] + share * (p + u - state["average"])
    return u


def average_params(u, g, p, t, state, t0=1e6):
    state["average"] = state["average"] + (p + u - state["average"]) / max(1.0, t - 1 - t0)
    return u


def swa_params(u, g, p, t, state, start=0.0, every=1.0):
    """The n-th model of the average is that of step start + n·every; before the first it is the newest."""
    start, every, n = int(np.ceil(start)), max(int(np.ceil(every)), 1), state.get("n", 0)
    if t > start and (t - start) % every == 0:
        state["n"] = n + 1
        state["average"] = state["average"] + (p + u - state["average"]) / (n + 1)
    elif n == 0:
        state["average"] = p + u
    return u


def tail_ema_params(u, g, p, t, state, start, decay=0.99, share=1.0):
    new = p + u
    state["average"] = new if t <= start else JITTER.mixed(decay, state["average"], new)
    return u


SIGNALS = ("u", "g", "p", "t", "state")
LINKS = {name: x for name, x in globals().items() if hasattr(x, "__code__") and x.__code__.co_varnames[:5] == SIGNALS}
CONDITIONS = frozenset(
    [
        "scale",
        "scale_by_learning_rate",
        "scale_by_sign",
        "clip",
        "clip_by_block_rms",
        "clip_by_leaf_norm",
        "clip_by_global_norm",
        "normalize",
        "add_decayed_weights",
        "add_corrected_decay",
        "centralize",
        "zero_nans",
        "scale_by_trust_ratio",
        "scale_by_param_block_norm",
        "scale_by_param_block_rms",
        "grokfast",
        "identity",
        "set_to_zero",
        "freeze",
        "scale_by_falling_rate",
    ]
)
AVERAGES = frozenset(["ema_params", "average_params", "swa_params", "tail_ema_params"])


# All leaves -----------------------------------------------------------------------------------------------------------


def clip_by_global_norm(u, max_norm):
    size = sqrt(sum(np.sum(x * x) for x in u.values()))
    return {path: shrunk(x, max_norm, size) for path, x in u.items()}


def normalize(u):
    size = sqrt(sum(np.sum(x * x) for x in u.values()))
    return {path: over(x, size) for path, x in u.items()}


def set_to_zero(u):
    return {path: np.zeros_like(x) for path, x in u.items()}


WHOLE = {"clip_by_global_norm": clip_by_global_norm, "normalize": normalize, "set_to_zero": set_to_zero}
