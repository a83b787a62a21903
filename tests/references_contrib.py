"""References of what Optax has in ``optax.contrib``: float64 NumPy loops, line by line from the sources.

They are as in `tests.references`. What looks at all leaves at once takes mappings of arrays in place of arrays.
"""

import numpy as np

from tests.references import at

# One array ------------------------------------------------------------------------------------------------------------


def acprop(gradients, theta, b1=0.9, b2=0.999, eps=1e-16, eps_root=1e-16, learning_rate=None, weight_decay=0.0):
    """Zhuang et al. 2021, Algorithm 2; the first denominator is 1."""
    m, s, updates = np.zeros_like(theta), np.zeros_like(theta), []
    for t, g in enumerate(gradients, 1):
        denominator = 1 if t == 1 else np.sqrt(s / (1 - b2 ** (t - 1)))
        s = b2 * s + (1 - b2) * (g - m) ** 2 + eps_root
        m = b1 * m + (1 - b1) * g
        u = g / (denominator + eps)
        u = u if learning_rate is None else -learning_rate * (u + weight_decay * theta)
        theta = theta + u
        updates.append(u)
    return updates, {"mu": m, "nu": s}


def ademamix(gradients, theta, b1, b2, b3, alpha, eps=1e-8, eps_root=0.0, learning_rate=None, weight_decay=0.0):
    """Pagliardini, Ablin & Grangier 2024, Algorithm 1."""
    m1, m2, nu, updates = np.zeros_like(theta), np.zeros_like(theta), np.zeros_like(theta), []
    for t, g in enumerate(gradients, 1):
        slow = at(b3, t)
        m1 = b1 * m1 + (1 - b1) * g
        m2 = slow * m2 + (1 - slow) * g
        nu = b2 * nu + (1 - b2) * g**2
        u = (m1 / (1 - b1**t) + at(alpha, t) * m2) / (np.sqrt(nu / (1 - b2**t) + eps_root) + eps)
        u = u if learning_rate is None else -learning_rate * (u + weight_decay * theta)
        theta = theta + u
        updates.append(u)
    return updates, {"m1": m1, "m2": m2, "nu": nu}


def simplified_ademamix(gradients, theta, b1, b2, alpha, eps=1e-8, learning_rate=None, weight_decay=0.0):
    """Morwani et al. 2025, Simplified-AdEMAMix."""
    m, n, updates = np.zeros_like(theta), np.zeros_like(theta), []
    for t, g in enumerate(gradients, 1):
        m = b1 * m + g
        n = b2 * n + (1 - b2) * g**2
        u = (m + alpha * g) / (np.sqrt(n / (1 - b2**t)) + eps)
        u = u if learning_rate is None else -learning_rate * (u + weight_decay * theta)
        theta = theta + u
        updates.append(u)
    return updates, {"m": m, "n": n}


def adopt(gradients, theta, b1=0.9, b2=0.9999, eps=1e-6, clipping=True, nesterov=False, learning_rate=-1.0):
    """Taniguchi et al. 2024, Algorithm 2."""
    m, v, updates = np.zeros_like(theta), None, []
    for t, g in enumerate(gradients, 1):
        if v is None:
            v = g**2
            updates.append(np.zeros_like(theta))
            continue
        c = g / np.maximum(np.sqrt(v), eps)
        if clipping:
            c = np.clip(c, -((t - 1) ** 0.25), (t - 1) ** 0.25)
        m = b1 * m + (1 - b1) * c
        updates.append(-learning_rate * (b1 * m + (1 - b1) * c if nesterov else m))
        v = b2 * v + (1 - b2) * g**2
    return updates, {"mu": m, "nu": v}


def cocob(gradients, theta, alpha=100.0, eps=1e-8, learning_rate=1.0):
    """Orabona & Tommasi 2017, Algorithm 2, whose g is the negative gradient."""
    first, scale = theta, np.full_like(theta, eps)
    sizes, reward, total, updates = np.zeros_like(theta), np.zeros_like(theta), np.zeros_like(theta), []
    for gradient in gradients:
        g = -learning_rate * gradient
        scale = np.maximum(scale, np.abs(g))
        sizes = sizes + np.abs(g)
        reward = np.maximum(reward + (theta - first) * g, 0)
        total = total + g
        bet = total / (scale * np.maximum(sizes + scale, alpha * scale)) * (scale + reward)
        updates.append(first - theta + bet)
        theta = theta + updates[-1]
    names = ("init_particles", "cumulative_gradients", "scale", "subgradients", "reward")
    return updates, dict(zip(names, (first, total, scale, sizes, reward), strict=True))


def madgrad(gradients, theta, learning_rate, momentum=0.9, eps=1e-6, weight_decay=0.0):
    """Defazio & Jelassi 2022, Algorithm 1, with k from 0."""
    x0, s, v, updates = theta, np.zeros_like(theta), np.zeros_like(theta), []
    for k, g in enumerate(gradients):
        g = g + weight_decay * theta
        weight = (at(learning_rate, k + 1) + eps) * np.sqrt(k + 1)
        s = s + weight * g
        v = v + weight * g * g
        z = x0 - s / (np.cbrt(v) + eps)
        updates.append((1 - momentum) * (z - theta))
        theta = theta + updates[-1]
    return updates, {"grad_sum_sq": v, "s": s, "x0": x0}


def schedule_free(
    gradients, theta, rate, b1=0.9, b2=None, eps=1e-8, weight_decay=0.0, power=2.0, of_average=None, r=0.0
):  # fmt: skip
    """Defazio et al. 2024, Algorithm 1 and section 4.1; with b2 of AdamW. The average may have a rate of its own."""
    x, z, y, nu, total, largest, updates = theta, theta, theta, np.zeros_like(theta), 0.0, 0.0, []
    for t, g in enumerate(gradients, 1):
        if b2 is not None:
            nu = b2 * nu + (1 - b2) * g**2
            g = g / (np.sqrt(nu / (1 - b2**t)) + eps)
        z = z - at(rate, t) * (g + weight_decay * y)
        largest = max(largest, at(rate if of_average is None else of_average, t))
        total = total + t**r * largest**power
        c = t**r * largest**power / total if total > 0 else 0.0
        x = (1 - c) * x + c * z
        updates.append(b1 * x + (1 - b1) * z - y)
        y = y + updates[-1]
    kept = {"x": x, "z": z, "weight_sum": np.asarray(total), "max_lr": np.asarray(largest)}
    return updates, kept | ({} if b2 is None else {"nu": nu})


# All leaves -----------------------------------------------------------------------------------------------------------


def dot(a, b):
    return sum(np.vdot(a[leaf], b[leaf]).real for leaf in a)


def norm(a):
    return np.sqrt(dot(a, a))


def each(fn, *trees):
    return {leaf: fn(*(tree[leaf] for tree in trees)) for leaf in trees[0]}


def zeros_like(params):
    return each(np.zeros_like, params)


def normalize(gradients, params):
    """Foret et al. 2021, eq. 2 with p = 2."""
    return [each(lambda g, row=row: g / norm(row), row) for row in gradients], {}


def normalize_by_size(gradients, params, eta):
    """Kwon et al. 2021, Algorithm 1: T = |w| + η."""
    updates = []
    for g in gradients:
        t = each(lambda w: np.abs(w) + eta, params)
        size = norm(each(np.multiply, t, g))
        updates.append(each(lambda t, g, size=size: t**2 * g / size, t, g))
        params = each(np.add, params, updates[-1])
    return updates, {}


def dog(gradients, params, first=1e-6, kind="heuristic", eps=1e-8, learning_rate=-1.0, weight_decay=0.0):
    """Ivgi, Hinder & Carmon 2023, DoG; how to begin as in Optax."""
    start, total, updates = params, 0.0, []
    farthest = {"heuristic": first * (1 + norm(start)), "distance": first, "learning_rate": 0.0}[kind]
    for t, g in enumerate(gradients, 1):
        g = each(lambda g, x: g + weight_decay * x, g, params)
        farthest = max(farthest, norm(each(np.subtract, params, start)))
        total = total + dot(g, g)
        rate = first if kind == "learning_rate" and t == 1 else farthest / np.sqrt(total + eps)
        updates.append(each(lambda g, rate=rate: -learning_rate * rate * g, g))
        params = each(np.add, params, updates[-1])
    return updates, {"init_params": start, "max_dist": np.asarray(farthest), "sum_sq_norm_grads": np.asarray(total)}


def dowg(gradients, params, first, eps=1e-4, learning_rate=-1.0):
    """Khaled, Mishchenko & Jin 2023, Algorithm 1."""
    start, farthest, total, updates = params, first, 0.0, []
    for g in gradients:
        farthest = max(farthest, norm(each(np.subtract, params, start)) ** 2)
        total = total + farthest * dot(g, g)
        updates.append(each(lambda g, r=farthest, v=total: -learning_rate * r / (np.sqrt(v) + eps) * g, g))
        params = each(np.add, params, updates[-1])
    kept = {"estim_sq_dist": np.asarray(farthest), "weighted_sq_norm_grads": np.asarray(total)}
    return updates, {"init_params": start} | kept


def prodigy(
    gradients, params, learning_rate=1.0, betas=(0.9, 0.999), eps=1e-8, d0=1e-6, coefficient=1.0, weight_decay=0.0,
    safeguard=False,
):  # fmt: skip
    """Mishchenko & Defazio 2024, Algorithm 4, with the corrections of Adam in the rate."""
    (b1, b2), d, r, start, updates = betas, d0, 0.0, params, []
    b3, m, v, s = np.sqrt(b2), zeros_like(params), zeros_like(params), zeros_like(params)
    for t, g in enumerate(gradients, 1):
        rate = d * at(learning_rate, t) * np.sqrt(1 - b2**t) / (1 - b1**t)
        m = each(lambda m, g, d=d: b1 * m + (1 - b1) * d * g, m, g)
        v = each(lambda v, g, d=d: b2 * v + (1 - b2) * d**2 * g**2, v, g)
        r = b3 * r + d / d0 * rate * dot(g, each(np.subtract, start, params))
        weight = d if safeguard else rate
        s = each(lambda s, g, d=d, weight=weight: b3 * s + d / d0 * weight * g, s, g)
        d = max(d, coefficient * r / sum(np.abs(x).sum() for x in s.values()))

        def moved(m, v, x, d=d, rate=rate):
            return -rate * m / (np.sqrt(v) + d * eps) - weight_decay * rate * x

        updates.append(each(moved, m, v, params))
        params = each(np.add, params, updates[-1])
    kept = {"exp_avg": m, "exp_avg_sq": v, "grad_sum": s, "params0": start}
    return updates, kept | {"estim_lr": np.asarray(d), "numerator_weighted": np.asarray(r)}


def dadapt_adamw(gradients, params, learning_rate=1.0, betas=(0.9, 0.999), eps=1e-8, d0=1e-6, weight_decay=0.0):
    """Defazio & Mishchenko 2023, Algorithm 5, with the corrections of Adam in the rate."""
    (b1, b2), d, r, updates = betas, d0, 0.0, []
    b, m, v, s = np.sqrt(b2), zeros_like(params), zeros_like(params), zeros_like(params)
    for t, g in enumerate(gradients, 1):
        rate = d * at(learning_rate, t) * np.sqrt(1 - b2**t) / (1 - b1**t)
        r = b * r + (1 - b) * rate * dot(g, each(lambda s, v: s / (np.sqrt(v) + eps), s, v))
        m = each(lambda m, g, rate=rate: b1 * m + (1 - b1) * rate * g, m, g)
        v = each(lambda v, g: b2 * v + (1 - b2) * g**2, v, g)
        s = each(lambda s, g, rate=rate: b * s + (1 - b) * rate * g, s, g)
        d = max(d, r / ((1 - b) * sum(np.abs(x).sum() for x in s.values())))

        def moved(m, v, x, rate=rate):
            return -m / (np.sqrt(v) + eps) - weight_decay * rate * x

        updates.append(each(moved, m, v, params))
        params = each(np.add, params, updates[-1])
    kept = {"exp_avg": m, "exp_avg_sq": v, "grad_sum": s}
    return updates, kept | {"estim_lr": np.asarray(d), "numerator_weighted": np.asarray(r)}


def momo(gradients, params, losses, rate=1.0, beta=0.9, least=0.0, decay=0.0, adapt=False):
    """Schaipp et al. 2024, MoMo; with ``adapt`` also its estimate of the lower bound."""
    bound, updates = least, []
    for t, (g, f) in enumerate(zip(gradients, losses, strict=True), 1):
        if t == 1:
            d, mean, inner = g, f, dot(g, params)
        else:
            d = each(lambda d, g: beta * d + (1 - beta) * g, d, g)
            mean, inner = beta * mean + (1 - beta) * f, beta * inner + (1 - beta) * dot(g, params)
        grow, along, size = 1 + rate * decay, dot(d, params), dot(d, d)
        if adapt and grow * (mean - inner) + along < grow * bound:
            bound = max((grow * (mean - inner) + along) / (2 * grow), least)
        tau = min(rate, max(grow * (mean - bound - inner) + along, 0) / size)
        if adapt:
            bound = max(mean + along - inner - tau * size / 2, least)
        updates.append(each(lambda d, x, tau=tau: -tau * d - rate * decay / (1 + rate * decay) * x, d, params))
        params = each(np.add, params, updates[-1])
    return updates, {"exp_avg": d, "barf": mean, "gamma": inner, "lb": bound}


def momo_adam(gradients, params, losses, rate=1e-2, b1=0.9, b2=0.999, eps=1e-8, least=0.0, decay=0.0, adapt=False):
    """Schaipp et al. 2024, MoMo-Adam; with ``adapt`` also its estimate of the lower bound."""
    bound, mean, inner, updates = least, 0.0, 0.0, []
    d, v = zeros_like(params), zeros_like(params)
    for t, (g, f) in enumerate(zip(gradients, losses, strict=True), 1):
        d = each(lambda d, g: b1 * d + (1 - b1) * g, d, g)
        v = each(lambda v, g: b2 * v + (1 - b2) * g**2, v, g)
        size = each(lambda v, t=t: eps + np.sqrt(v / (1 - b2**t)), v)
        mean, inner = b1 * mean + (1 - b1) * f, b1 * inner + (1 - b1) * dot(g, params)
        c, grow, along = 1 - b1**t, 1 + rate * decay, dot(d, params)
        length = dot(d, each(np.divide, d, size))
        if adapt and grow * (mean - inner) + along < grow * c * bound:
            bound = max((grow * (mean - inner) + along) / (2 * c * grow), least)
        tau = min(rate / c, max(grow * (mean - c * bound - inner) + along, 0) / length)
        if adapt:
            bound = max((mean + along - inner - tau * length / 2) / c, least)

        def moved(d, size, x, tau=tau):
            return -tau * d / size - rate * decay / (1 + rate * decay) * x

        updates.append(each(moved, d, size, params))
        params = each(np.add, params, updates[-1])
    return updates, {"exp_avg": d, "exp_avg_sq": v, "barf": mean, "gamma": inner, "lb": bound}


def mechanize(gradients, params, rate, weight_decay=1e-2, eps=1e-8, s_init=1e-6, n=6):
    """Cutkosky, Defazio & Mehta 2023, Algorithm 1, around gradient descent."""
    betas = 1 - 0.1 ** np.arange(1, n + 1)
    s, r, m, v = np.full(n, s_init), np.zeros(n), np.zeros(n), np.zeros(n)
    start, updates = params, []
    for gradient in gradients:
        total = s.sum()
        decay = weight_decay * total * norm(gradient) / (norm(params) + eps)
        g = each(lambda g, x, decay=decay: g + decay * x, gradient, params)
        way = each(lambda x0, x, total=total: (x0 - x) / (total + eps), start, params)
        h = dot(g, way)
        way = each(lambda d, g: d + rate * g, way, gradient)
        r = betas * r + np.clip(h, -m, m) * s
        m = np.maximum(betas * m, abs(h) + eps)
        v = betas**2 * v + h**2
        s = (s_init / n * m + np.maximum(r, 0)) / (np.sqrt(v) + eps)
        updates.append(each(lambda x0, x, d, s=s: x0 - s.sum() * d - x, start, params, way))
        params = each(np.add, params, updates[-1])
    return updates, {"r": r, "m": m, "v": v, "s": s, "x0": start}


def asam(gradients, params, rate, rho, eta):
    """Kwon et al. 2021, Algorithm 1, with gradient descent outside; two gradients, and two updates, for each step."""
    updates, home = [], params
    for n, g in enumerate(gradients):
        if n % 2 == 0:
            home = params
            t = each(lambda w: np.abs(w) + eta, params)
            size = norm(each(np.multiply, t, g))
            updates.append(each(lambda t, g, size=size: rho * t**2 * g / size, t, g))
        else:
            updates.append(each(lambda w, x, g: w - x - rate * g, home, params, g))
        params = each(np.add, params, updates[-1])
    return updates, {"steps_since_sync": np.asarray(len(gradients) % 2, np.int32), "cache": home}
