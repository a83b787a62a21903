"""Every rule once more: float64 NumPy loops, line by line from the sources that the docstrings name.

A reference takes the gradients of one array, in order, and its parameters before the first update. It returns the
updates and the state after the last one. Parameters move by the updates as they come out. A number may be a function of
the step, which is 0 at the first update. ``stored`` is the dtype in which a state rests between two updates.
"""

import numpy as np


def at(number, t):
    return number(t - 1) if callable(number) else number


def rested(x, stored):
    return x if stored is None else x.astype(stored).astype(x.dtype)


def abs_sq(g):
    return g.real**2 + g.imag**2


# First moments --------------------------------------------------------------------------------------------------------


def scale_by_ewma(gradients, theta, decay, initial="zero", stored=None):
    """Kingma & Ba 2015, Algorithm 1: the line of m; from the first value, V₁ = g₁ instead."""
    m, updates = np.zeros_like(theta), []
    for t, g in enumerate(gradients, 1):
        m = g if t == 1 and initial == "first" else decay * m + (1 - decay) * g
        updates.append(m)
        m = rested(m, stored)
    return updates, {"mu": m.astype(stored or m.dtype)}


def trace(gradients, theta, decay, stored=None):
    """Sutskever et al. 2013, eq. 1, with the learning rate taken out of the velocity."""
    v, updates = np.zeros_like(theta), []
    for g in gradients:
        v = decay * v + g
        updates.append(v)
        v = rested(v, stored)
    return updates, {"trace": v.astype(stored or v.dtype)}


def averaged(gradients, theta, t0):
    """PyTorch's ASGD: the lines of ax and mu, of parameters that move by the updates."""
    average, mu = np.zeros_like(theta), 1.0
    for t, u in enumerate(gradients, 1):
        theta = theta + u
        average = theta if mu == 1 else average + (theta - average) * mu
        mu = 1 / max(1, t - t0)
    return list(gradients), {"average": average}


def swa(gradients, theta, start, every):
    """Izmailov et al. 2018, Algorithm 1, of parameters that move by the updates."""
    taken, average = [], theta
    for t, u in enumerate(gradients, 1):
        theta = theta + u
        if t > start and (t - start) % every == 0:
            taken.append(theta)
        average = sum(taken) / len(taken) if taken else theta
    return list(gradients), {"average": average}


def bias_correction(gradients, theta, decay):
    """Kingma & Ba 2015, section 3."""
    return [g / (1 - decay**t) for t, g in enumerate(gradients, 1)], {}


def root_bias_correction(gradients, theta, decay):
    """Kingma & Ba 2015, section 2: the correction of αₜ for the second moment."""
    return [g * np.sqrt(1 - decay**t) for t, g in enumerate(gradients, 1)], {}


def nesterov_trace(gradients, theta, decay):
    """Bengio et al. 2013, eq. 7, with the learning rate taken out."""
    v, updates = np.zeros_like(theta), []
    for g in gradients:
        v = decay * v + g
        updates.append(g + decay * v)
    return updates, {"trace": v}


def nesterov_ewma(gradients, theta, decay):
    """Dozat 2016, Algorithm 2, the lines of m, with a constant decay."""
    m, updates = np.zeros_like(theta), []
    for t, g in enumerate(gradients, 1):
        m = decay * m + (1 - decay) * g
        updates.append(decay * m / (1 - decay ** (t + 1)) + (1 - decay) * g / (1 - decay**t))
    return updates, {"mu": m}


def nesterov_ewma_warmed(gradients, theta, decay, momentum_decay):
    """The lines of m in torch.optim.NAdam: a constant decay in the average, a warmed-up one in what is made of it."""
    m, product, updates = np.zeros_like(theta), 1.0, []
    for t, g in enumerate(gradients, 1):
        mu = decay * (1 - 0.5 * 0.96 ** (t * momentum_decay))
        mu_next = decay * (1 - 0.5 * 0.96 ** ((t + 1) * momentum_decay))
        product *= mu
        m = decay * m + (1 - decay) * g
        updates.append(mu_next * m / (1 - product * mu_next) + (1 - mu) * g / (1 - product))
    return updates, {"mu": m, "product": product}


def scale_by_lion(gradients, theta, b1, b2, smooth_beta=1.0, mode="hard", stored=None):
    """Chen et al. 2023, Algorithm 2, without decay and learning rate; the two smoother signs are Optax's."""
    m, updates = np.zeros_like(theta), []
    for g in gradients:
        c = b1 * m + (1 - b1) * g
        signs = {"hard": np.sign(c), "smooth": np.tanh(smooth_beta * c), "refined": np.clip(c, -1, 1)}
        updates.append(signs[mode])
        m = b2 * m + (1 - b2) * g
        m = rested(m, stored)
    return updates, {"mu": m.astype(stored or m.dtype)}


# Second moments -------------------------------------------------------------------------------------------------------


def scale_by_rms(gradients, theta, decay, eps, eps_root=0.0, initial_scale=0.0, bias_correction=True, stored=None):
    """Kingma & Ba 2015, Algorithm 1: the lines of v; without the correction Tieleman & Hinton 2012, lecture 6.5."""
    v, updates = np.full(theta.shape, initial_scale), []
    for t, g in enumerate(gradients, 1):
        v = decay * v + (1 - decay) * abs_sq(g)
        v_hat = v / (1 - decay**t) if bias_correction else v
        updates.append(g / (np.sqrt(v_hat + eps_root) + eps))
        v = rested(v, stored)
    return updates, {"nu": v.astype(stored or v.dtype)}


def scale_by_stddev(gradients, theta, decay, eps, eps_root=0.0, initial_scale=0.0, bias_correction=False):
    """Graves 2013, eqs. 38 to 40."""
    m, n, updates = np.zeros_like(theta), np.full(theta.shape, initial_scale), []
    for t, g in enumerate(gradients, 1):
        n = decay * n + (1 - decay) * abs_sq(g)
        m = decay * m + (1 - decay) * g
        n_hat, m_hat = (n / (1 - decay**t), m / (1 - decay**t)) if bias_correction else (n, m)
        updates.append(g / (np.sqrt(np.maximum(n_hat - abs_sq(m_hat), 0) + eps_root) + eps))
    return updates, {"mu": m, "nu": n}


def scale_by_max_rms(gradients, theta, decay, eps, eps_root=0.0, maximum="corrected", bias_correction=True):
    """Reddi, Kale & Kumar 2018, Algorithm 2; the correction before the maximum as in Optax, after it as in PyTorch."""
    v, v_max, updates = np.zeros(theta.shape), np.zeros(theta.shape), []
    for t, g in enumerate(gradients, 1):
        v = decay * v + (1 - decay) * abs_sq(g)
        if not bias_correction:
            v_max = np.maximum(v_max, v)
            v_hat = v_max
        elif maximum == "corrected":
            v_max = np.maximum(v_max, v / (1 - decay**t))
            v_hat = v_max
        else:
            v_max = np.maximum(v_max, v)
            v_hat = v_max / (1 - decay**t)
        updates.append(g / (np.sqrt(v_hat + eps_root) + eps))
    return updates, {"nu": v, "nu_max": v_max}


def scale_by_infinity_norm(gradients, theta, decay, eps):
    """Kingma & Ba 2015, Algorithm 2: the line of u, with eps beside the gradient as in PyTorch."""
    u, updates = np.zeros(theta.shape), []
    for g in gradients:
        u = np.maximum(decay * u, np.abs(g) + eps)
        updates.append(g / u)
    return updates, {"nu": u}


def scale_by_factored_rms(gradients, theta, decay_rate, epsilon, offset=0, least=128, weight=None):
    """Shazeer & Stern 2018, Algorithm 4 (matrices: the two longest axes) and 5, without the clip of the update."""
    axes = sorted(range(theta.ndim), key=lambda n: theta.shape[n])[-2:]
    factored = len(axes) == 2 and theta.shape[axes[0]] >= least
    nu, updates = 0.0, []
    row = col = 0.0
    for t, g in enumerate(gradients, 1):
        beta = 1 - (t - offset) ** -decay_rate if weight is None else weight(t - 1)
        square = abs_sq(g) + epsilon
        if factored:
            row = beta * row + (1 - beta) * square.mean(axes[1])
            col = beta * col + (1 - beta) * square.mean(axes[0])
            r, c = np.expand_dims(row, axes[1]), np.expand_dims(col, axes[0])
            nu = r * c / r.mean(axes[0], keepdims=True)
        else:
            nu = beta * nu + (1 - beta) * square
        updates.append(g / np.sqrt(nu))
    return updates, {"nu": {"row": row, "col": col} if factored else nu}


def scale_by_shampoo(gradients, theta, eps, decay=None, exponent=None, max_dim=1024):
    """Gupta, Koren & Singer 2018, Algorithm 2; with a decay, the averages of Anil et al. 2020, corrected as Adam's."""
    k = theta.ndim
    p = -1 / (2 * k) if exponent is None else exponent
    moments, updates = [np.zeros((n, n), theta.dtype) for n in theta.shape], []
    for t, g in enumerate(gradients, 1):
        u = g
        for axis in range(k):
            unfolded = np.moveaxis(g, axis, 0).reshape(theta.shape[axis], -1)
            moment = unfolded @ unfolded.conj().T
            if theta.shape[axis] > max_dim:
                moment = np.diag(np.diag(moment))
            kept = moments[axis]
            moments[axis] = kept + moment if decay is None else decay * kept + (1 - decay) * moment
            corrected = moments[axis] / (1 if decay is None else 1 - decay**t)
            values, vectors = np.linalg.eigh(corrected + eps * np.eye(len(moment)))
            root = (vectors * values**p) @ vectors.conj().T
            u = np.moveaxis(np.tensordot(root, u, (1, axis)), 0, axis)
        updates.append(u)
    kept = [np.diag(h).real if len(h) > max_dim else h for h in moments]
    return updates, {"factors": tuple(kept)}


def scale_by_mean_squares(gradients, theta, eps, eps_in_sqrt=True):
    """The mean of all past squares in place of AdaGrad's sum."""
    updates = []
    for t, g in enumerate(gradients, 1):
        r = sum(abs_sq(past) for past in gradients[:t]) / t
        updates.append(g / np.sqrt(r + eps) if eps_in_sqrt else g / (np.sqrt(r) + eps))
    return updates, {"nu": r}


def scale_by_adadelta(gradients, theta, rho, eps):
    """Zeiler 2012, Algorithm 1, without the sign."""
    e_g, e_x, updates = np.zeros(theta.shape), np.zeros(theta.shape), []
    for g in gradients:
        e_g = rho * e_g + (1 - rho) * abs_sq(g)
        step = np.sqrt(e_x + eps) / np.sqrt(e_g + eps) * g
        e_x = rho * e_x + (1 - rho) * abs_sq(step)
        updates.append(step)
    return updates, {"e_g": e_g, "e_x": e_x}


def scale_by_rprop(gradients, theta, learning_rate, eta_minus=0.5, eta_plus=1.2, low=1e-6, high=50.0):
    """Riedmiller & Braun 1993, coordinate by coordinate; after a flip the step is not taken, and forgotten."""
    sizes, previous, updates = np.full(theta.shape, learning_rate), np.zeros(theta.shape), []
    for g in gradients:
        u = np.zeros(theta.shape)
        for at_ in np.ndindex(theta.shape):
            if g[at_] * previous[at_] > 0:
                sizes[at_] = min(sizes[at_] * eta_plus, high)
            elif g[at_] * previous[at_] < 0:
                sizes[at_] = max(sizes[at_] * eta_minus, low)
                previous[at_] = 0.0
                continue
            u[at_] = sizes[at_] * np.sign(g[at_])
            previous[at_] = g[at_]
        updates.append(u)
    return updates, {"step_sizes": sizes, "previous": previous}


def falling(gradients, theta, learning_rate, lambd, alpha=0.75):
    """Bottou 2012, section 5.3: the rate of ASGD."""
    return [-learning_rate / (1 + lambd * learning_rate * (t - 1)) ** alpha * g for t, g in enumerate(gradients, 1)], {}


def scale_by_rss(gradients, theta, initial_accumulator_value, eps, eps_in_sqrt=True):
    """Duchi, Hazan & Singer 2011, Figure 1; a coordinate without any gradient so far stays, as in Optax."""
    r, updates = np.full(theta.shape, initial_accumulator_value), []
    for g in gradients:
        r = r + abs_sq(g)
        size = np.sqrt(r + eps) if eps_in_sqrt else np.sqrt(r) + eps
        updates.append(np.where(r > 0, g / np.where(r > 0, size, 1), 0))
    return updates, {"nu": r}


# Scaling, decay, clipping, centralisation -----------------------------------------------------------------------------


def scale(gradients, theta, step_size):
    """A factor, constant or by the step."""
    return [at(step_size, t) * g for t, g in enumerate(gradients, 1)], {}


def scale_by_sign(gradients, theta):
    """Bernstein et al. 2018, Algorithm 1."""
    return [np.sign(g) for g in gradients], {}


def add_decayed_weights(gradients, theta, weight_decay):
    """Loshchilov & Hutter 2019, Algorithm 2: the L2 term of the gradient."""
    updates = []
    for t, g in enumerate(gradients, 1):
        updates.append(g + at(weight_decay, t) * theta)
        theta = theta + updates[-1]
    return updates, {}


def clip(gradients, theta, max_delta):
    """Every coordinate into [-max_delta, max_delta]."""
    return [np.where(np.abs(g) > max_delta, max_delta * np.sign(g), g) for g in gradients], {}


def centralize(gradients, theta):
    """Yong et al. 2020, eq. 1: a column of weights a row here, without the mean of its row; vectors as they are."""
    updates = []
    for g in gradients:
        u = g.copy()
        for row in range(len(g)) if g.ndim > 1 else ():
            u[row] = g[row] - g[row].sum() / g[row].size
        updates.append(u)
    return updates, {}


def clip_by_global_norm(trees, params, max_norm):
    """Pascanu, Mikolov & Bengio 2013, Algorithm 1; over all arrays of a mapping together."""
    updates = []
    for tree in trees:
        norm = np.sqrt(sum(abs_sq(g).sum() for g in tree.values()))
        factor = max_norm / norm if norm > max_norm else 1.0
        updates.append({name: factor * g for name, g in tree.items()})
    return updates, {}


# Optimizers -----------------------------------------------------------------------------------------------------------


def sgd(gradients, theta, learning_rate, momentum=None, nesterov=False, stored=None):
    """Sutskever et al. 2013, eqs. 1 to 4, in the form of torch.optim.SGD: the rate outside of the velocity."""
    v, updates = np.zeros_like(theta), []
    for t, g in enumerate(gradients, 1):
        if momentum is None:
            d = g
        else:
            v = momentum * v + g
            d = g + momentum * v if nesterov else v
            v = rested(v, stored)
        updates.append(-at(learning_rate, t) * d)
    return updates, {} if momentum is None else {"trace": v.astype(stored or v.dtype)}


def nesterov(gradients, theta, learning_rate, momentum):
    """Sutskever et al. 2013, eqs. 3 and 4, given the gradients at the lookahead."""
    v, updates = np.zeros_like(theta), []
    for g in gradients:
        v = momentum * v - learning_rate * g
        updates.append(v)
    return updates, {"trace": v}


def asgd(gradients, theta, learning_rate, lambd, alpha, t0):
    """PyTorch's ASGD, line by line; with the average of its path."""
    updates, average, eta, mu = [], np.zeros_like(theta), learning_rate, 1.0
    for t, g in enumerate(gradients, 1):
        update = -eta * (g + lambd * theta)
        theta = theta + update
        average = theta if mu == 1 else average + (theta - average) * mu
        eta = learning_rate / (1 + lambd * learning_rate * t) ** alpha
        mu = 1 / max(1, t - t0)
        updates.append(update)
    return updates, {"average": average}


def adagrad(gradients, theta, learning_rate, initial_accumulator_value=0.1, eps=1e-7, eps_in_sqrt=True):
    """Duchi, Hazan & Singer 2011, Figure 1; eps in the root as in Optax, beside it as in PyTorch."""
    r, updates = np.full(theta.shape, initial_accumulator_value), []
    for t, g in enumerate(gradients, 1):
        r = r + g**2
        size = np.sqrt(r + eps) if eps_in_sqrt else np.sqrt(r) + eps
        updates.append(-at(learning_rate, t) * np.where(r > 0, g / np.where(r > 0, size, 1), 0))
    return updates, {"nu": r}


def rmsprop(
    gradients,
    theta,
    learning_rate,
    decay=0.9,
    eps=1e-8,
    initial_scale=0.0,
    momentum=None,
    eps_in_sqrt=True,
    centered=False,
    nesterov=False,
    bias_correction=False,
):
    """Tieleman & Hinton 2012, lecture 6.5; Graves 2013, eqs. 38 to 45, where momentum accumulates whole steps."""
    n, m, v, updates = np.full(theta.shape, initial_scale), np.zeros_like(theta), np.zeros_like(theta), []
    for t, g in enumerate(gradients, 1):
        n = decay * n + (1 - decay) * g**2
        m = decay * m + (1 - decay) * g
        correction = 1 - decay**t if bias_correction else 1.0
        variance = n / correction
        if centered:
            variance = np.maximum(variance - (m / correction) ** 2, 0)
        size = np.sqrt(variance + eps) if eps_in_sqrt else np.sqrt(variance) + eps
        step = -at(learning_rate, t) * g / size
        if momentum is not None:
            v = momentum * v + step
            step = step + momentum * v if nesterov else v
        updates.append(step)
    state = {"nu": n} | ({"mu": m} if centered else {}) | ({} if momentum is None else {"trace": v})
    return updates, state


def adam(gradients, theta, learning_rate, b1=0.9, b2=0.999, eps=1e-8, eps_root=0.0, stored=None):
    """Kingma & Ba 2015, Algorithm 1."""
    m, v, updates = np.zeros_like(theta), np.zeros(theta.shape), []
    for t, g in enumerate(gradients, 1):
        beta = at(b1, t)
        m = beta * m + (1 - beta) * g
        v = b2 * v + (1 - b2) * abs_sq(g)
        m_hat = m / (1 - beta**t)
        v_hat = v / (1 - b2**t)
        updates.append(-at(learning_rate, t) * m_hat / (np.sqrt(v_hat + eps_root) + eps))
        m = rested(m, stored)
    return updates, {"mu": m.astype(stored or m.dtype), "nu": v}


def adamw(gradients, theta, learning_rate, b1=0.9, b2=0.999, eps=1e-8, eps_root=0.0, weight_decay=1e-4):
    """Loshchilov & Hutter 2019, Algorithm 2, the decay times the learning rate as in PyTorch."""
    m, v, updates = np.zeros_like(theta), np.zeros(theta.shape), []
    for t, g in enumerate(gradients, 1):
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g**2
        m_hat = m / (1 - b1**t)
        v_hat = v / (1 - b2**t)
        direction = m_hat / (np.sqrt(v_hat + eps_root) + eps)
        updates.append(-at(learning_rate, t) * (direction + at(weight_decay, t) * theta))
        theta = theta + updates[-1]
    return updates, {"mu": m, "nu": v}


def nadam(gradients, theta, learning_rate, b1=0.9, b2=0.999, eps=1e-8, eps_root=0.0, momentum_decay=None):
    """Dozat 2016, Algorithm 2, with a constant decay; with ``momentum_decay`` torch.optim.NAdam."""
    m, v, product, updates = np.zeros_like(theta), np.zeros(theta.shape), 1.0, []
    for t, g in enumerate(gradients, 1):
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g**2
        if momentum_decay is None:
            m_hat = b1 * m / (1 - b1 ** (t + 1)) + (1 - b1) * g / (1 - b1**t)
        else:
            mu = b1 * (1 - 0.5 * 0.96 ** (t * momentum_decay))
            mu_next = b1 * (1 - 0.5 * 0.96 ** ((t + 1) * momentum_decay))
            product *= mu
            m_hat = mu_next * m / (1 - product * mu_next) + (1 - mu) * g / (1 - product)
        v_hat = v / (1 - b2**t)
        updates.append(-at(learning_rate, t) * m_hat / (np.sqrt(v_hat + eps_root) + eps))
    return updates, {"mu": m, "nu": v} | ({} if momentum_decay is None else {"product": product})


def amsgrad(
    gradients,
    theta,
    learning_rate,
    b1=0.9,
    b2=0.999,
    eps=1e-8,
    eps_root=0.0,
    maximum="corrected",
    bias_correction_mu=True,
    bias_correction_nu=True,
):
    """Reddi, Kale & Kumar 2018, Algorithm 2 (no corrections); corrected as in Optax or as in PyTorch (raw maximum)."""
    m, v, v_max, updates = np.zeros_like(theta), np.zeros(theta.shape), np.zeros(theta.shape), []
    for t, g in enumerate(gradients, 1):
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g**2
        m_hat = m / (1 - b1**t) if bias_correction_mu else m
        if not bias_correction_nu:
            v_hat = v_max = np.maximum(v_max, v)
        elif maximum == "corrected":
            v_hat = v_max = np.maximum(v_max, v / (1 - b2**t))
        else:
            v_max = np.maximum(v_max, v)
            v_hat = v_max / (1 - b2**t)
        updates.append(-at(learning_rate, t) * m_hat / (np.sqrt(v_hat + eps_root) + eps))
    return updates, {"mu": m, "nu": v, "nu_max": v_max}


def adamax(gradients, theta, learning_rate, b1=0.9, b2=0.999, eps=1e-8):
    """Kingma & Ba 2015, Algorithm 2, with eps beside the gradient as in PyTorch."""
    m, u, updates = np.zeros_like(theta), np.zeros(theta.shape), []
    for t, g in enumerate(gradients, 1):
        m = b1 * m + (1 - b1) * g
        u = np.maximum(b2 * u, np.abs(g) + eps)
        updates.append(-at(learning_rate, t) / (1 - b1**t) * m / u)
    return updates, {"mu": m, "nu": u}


def lion(gradients, theta, learning_rate, b1=0.9, b2=0.99, weight_decay=1e-3):
    """Chen et al. 2023, Algorithm 2."""
    m, updates = np.zeros_like(theta), []
    for t, g in enumerate(gradients, 1):
        c = b1 * m + (1 - b1) * g
        updates.append(-at(learning_rate, t) * (np.sign(c) + weight_decay * theta))
        theta = theta + updates[-1]
        m = b2 * m + (1 - b2) * g
    return updates, {"mu": m}


def laprop(gradients, theta, learning_rate, b1, b2, eps):
    """Ziyin, Wang & Ueda 2020, Algorithm 1, under a constant learning rate: divided first, averaged then."""
    v, m, updates = np.zeros(theta.shape), np.zeros_like(theta), []
    for t, g in enumerate(gradients, 1):
        v = b2 * v + (1 - b2) * g**2
        m = b1 * m + (1 - b1) * g / (np.sqrt(v / (1 - b2**t)) + eps)
        updates.append(-learning_rate * m / (1 - b1**t))
    return updates, {"mu": m, "nu": v}
