"""References of modern first-order rules: float64 NumPy loops, line by line from the papers.

They are as in `tests.references`. What looks at all leaves at once takes mappings of arrays in place of arrays.
"""

import numpy as np

from tests.references import at
from tests.references_contrib import dot, each, norm, zeros_like

# Gradients, rewritten -------------------------------------------------------------------------------------------------


def less_variance(gradients, gamma, beta, max_norm=np.inf):
    """Yuan et al. 2024, Algorithm 2: what MARS makes of the gradients of one array."""
    last, made = np.zeros_like(gradients[0]), []
    for g in gradients:
        c = g + gamma * beta / (1 - beta) * (g - last)
        made.append(c / max(1.0, np.linalg.norm(c) / max_norm))
        last = g
    return made


def amplified(gradients, alpha, lamb):
    """Lee et al. 2024, Algorithm 2: what Grokfast makes of the gradients, and its average."""
    mean, made = gradients[0], []
    for n, g in enumerate(gradients):
        mean = mean if n == 0 else alpha * mean + (1 - alpha) * g
        made.append(g + lamb * mean)
    return made, mean


def without_spikes(gradients, theta):
    """Huang et al. 2025, AdaClip."""
    m, made = 0.0, []
    for t, g in enumerate(gradients, 1):
        top = np.abs(g).max()
        m = theta * m + (1 - theta) * top
        limit = m / (1 - theta**t)
        made.append(np.where(np.abs(g) > limit, g / top * limit, g))
    return made, np.asarray(m)


def of_steady_norm(gradients, b1, b2, eps=1e-8):
    """Huang et al. 2025, AdaGN."""
    m, v, made = 0.0, 0.0, []
    for t, g in enumerate(gradients, 1):
        size = np.linalg.norm(g)
        m, v = b1 * m + (1 - b1) * size, b2 * v + (1 - b2) * size**2
        made.append(g / size * (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps))
    return made, np.asarray(m), np.asarray(v)


def reduce_variance(gradients, theta, gamma, beta, max_norm=np.inf):
    return less_variance(gradients, gamma, beta, max_norm), {"previous": gradients[-1]}


def grokfast(gradients, theta, alpha, lamb):
    made, mean = amplified(gradients, alpha, lamb)
    return made, {"average": mean}


def clip_spikes(gradients, theta, decay):
    made, largest = without_spikes(gradients, decay)
    return made, {"largest": largest}


def steady_norm(gradients, theta, b1, b2):
    made, m, v = of_steady_norm(gradients, b1, b2)
    return made, {"m": m, "v": v}


def lengthen(gradients, theta, r):
    """Dubey et al. 2022, eqs. 9 and 10."""
    e, updates = 0.0, []
    for g in gradients:
        size = np.linalg.norm(g)
        e = r * e + (1 - r) * size
        updates.append(e / size * g if e > size else g)
    return updates, {"norm": np.asarray(e)}


# Kin of Adam ----------------------------------------------------------------------------------------------------------


def of_adam(direction, gradients, theta, rate=None, b1=0.9, b2=0.999, weight_decay=0.0, decayed=None):
    """A loop that hands the corrected moments and the gradient to ``direction``; the decay may depend on the step."""
    m, v, updates = np.zeros_like(theta), np.zeros_like(theta), []
    for t, g in enumerate(gradients, 1):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        u = direction(m / (1 - b1**t), v / (1 - b2**t), g)
        decay = weight_decay if decayed is None else decayed(t)
        u = u if rate is None else -at(rate, t) * (u + decay * theta)
        theta = theta + u
        updates.append(u)
    return updates, {"mu": m, "nu": v}


def adamw(gradients, theta, rate, eps=1e-8, **numbers):
    return of_adam(lambda m, v, g: m / (np.sqrt(v) + eps), gradients, theta, rate, **numbers)


def mars_adamw(gradients, theta, gamma, b1, max_norm=1.0, **numbers):
    """Yuan et al. 2024, Algorithm 2 with AdamW."""
    updates, kept = adamw(less_variance(gradients, gamma, b1, max_norm), theta, b1=b1, **numbers)
    return updates, kept | {"previous": gradients[-1]}


def grams(gradients, theta, rate, eps=1e-6, **numbers):
    """Cao et al. 2024, Algorithm 1."""
    return of_adam(lambda m, v, g: np.abs(m / (np.sqrt(v) + eps)) * np.sign(g), gradients, theta, rate, **numbers)


def with_gradient_signs(gradients, theta, decay):
    """Momentum's size, the gradient's sign."""
    v, updates = np.zeros_like(theta), []
    for g in gradients:
        v = g + decay * v
        updates.append(np.abs(v) * np.sign(g))
    return updates, {"trace": v}


def adam_atan2(gradients, theta, rate, scale=1.27, flatness=1.0, **numbers):
    """Everett et al. 2024, section 4.4."""
    return of_adam(lambda m, v, g: scale * np.arctan2(m, flatness * np.sqrt(v)), gradients, theta, rate, **numbers)


def scale_by_atan2_rms(gradients, theta, beta, scale, flatness):
    updates, kept = adam_atan2(gradients, theta, None, scale, flatness, b1=0.0, b2=beta)
    return updates, {"nu": kept["nu"]}


def adamc(gradients, theta, rate, top, weight_decay, **numbers):
    """Defazio 2025, Algorithm 1."""
    return adamw(gradients, theta, rate, decayed=lambda t: weight_decay * at(rate, t) / top, **numbers)


def add_corrected_decay(gradients, theta, rate, top, weight_decay):
    updates = []
    for t, g in enumerate(gradients, 1):
        updates.append(g + weight_decay * at(rate, t) / top * theta)
        theta = theta + updates[-1]
    return updates, {}


def stable_adamw(gradients, theta, rate=None, b1=0.9, b2=0.99, eps=1e-8, weight_decay=1e-2):
    """Wortsman et al. 2023, Algorithm 2."""
    m, v, updates = np.zeros_like(theta), np.zeros_like(theta), []
    for t, g in enumerate(gradients, 1):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        v_hat = v / (1 - b2**t)
        rms = np.sqrt(np.mean(g**2 / np.maximum(v_hat, eps**2)))
        u = (m / (1 - b1**t) / (np.sqrt(v_hat) + eps) + weight_decay * theta) / max(1.0, rms)
        updates.append(u if rate is None else -rate * u)
        theta = theta + updates[-1]
    return updates, {"nu": v} | ({"mu": m} if b1 else {})


def qhm(gradients, theta, rate, beta, nu):
    """Ma & Yarats 2019, eqs. 2 and 3."""
    m, updates = np.zeros_like(theta), []
    for g in gradients:
        m = beta * m + (1 - beta) * g
        updates.append(-rate * (nu * m + (1 - nu) * g))
    return updates, {"mu": m}


def qhadam(gradients, theta, rate=None, b1=0.995, b2=0.999, nu1=0.7, nu2=1.0, eps=1e-8):
    """Ma & Yarats 2019, Algorithm 2."""

    def direction(m, v, g):
        return (nu1 * m + (1 - nu1) * g) / (np.sqrt(nu2 * v + (1 - nu2) * g**2) + eps)

    return of_adam(direction, gradients, theta, rate, b1, b2)


def scale_by_mixed_rms(gradients, theta, beta, share):
    updates, kept = qhadam(gradients, theta, None, 0.0, beta, 1.0, share)
    return updates, {"nu": kept["nu"]}


def diffgrad(gradients, theta, rate, b1=0.9, b2=0.999, eps=1e-8):
    """Dubey et al. 2020, Algorithm 1."""
    changes = [np.abs(g - last) for last, g in zip([np.zeros_like(theta), *gradients[:-1]], gradients, strict=True)]
    made, kept = adamw(gradients, theta, rate, eps, b1=b1, b2=b2)
    updates = [u / (1 + np.exp(-change)) for u, change in zip(made, changes, strict=True)]
    return updates, kept | {"previous": gradients[-1]}


def scale_by_change(gradients, theta):
    last, updates = np.zeros_like(theta), []
    for g in gradients:
        updates.append(g / (1 + np.exp(-np.abs(g - last))))
        last = g
    return updates, {"previous": last}


def adabound(gradients, theta, rate=-1.0, b1=0.9, b2=0.999, eps=1e-8, final=100.0, gamma=1e-3):
    """Luo et al. 2019, Algorithm 2, in the authors' program: the bounds are of the corrected rate."""
    m, v, updates = np.zeros_like(theta), np.zeros_like(theta), []
    for t, g in enumerate(gradients, 1):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        low, high = final * (1 - 1 / (gamma * t + 1)), final * (1 + 1 / (gamma * t))
        eta = np.clip(np.sqrt(1 - b2**t) / (1 - b1**t) / (np.sqrt(v) + eps), low, high)
        updates.append(-rate * eta * m)
    return updates, {"mu": m, "nu": v}


def scale_by_bounded_rms(gradients, theta, **numbers):
    updates, kept = adabound(gradients, theta, b1=0.0, **numbers)
    return updates, {"nu": kept["nu"]}


# Momenta --------------------------------------------------------------------------------------------------------------


def aggmo(gradients, theta, rate, betas):
    """Lucas et al. 2019, eqs. 3 and 4."""
    v, updates = [np.zeros_like(theta) for _ in betas], []
    for g in gradients:
        v = [beta * x + g for beta, x in zip(betas, v, strict=True)]
        updates.append(-rate * sum(v) / len(v))
    return updates, {"trace": v[-1]}  # of one name: the last is kept


def scale_by_pnm(gradients, theta, beta, beta0):
    """Xie et al. 2021, Algorithm 1."""
    m, updates = [np.zeros_like(theta), np.zeros_like(theta)], []
    for g in gradients:
        m.append(beta**2 * m[-2] + (1 - beta**2) * g)
        updates.append(((1 + beta0) * m[-1] - beta0 * m[-2]) / np.sqrt((1 + beta0) ** 2 + beta0**2))
    return updates, {"newer": m[-1], "older": m[-2]}


def pnm(gradients, theta, rate, beta, beta0):
    updates, kept = scale_by_pnm(gradients, theta, beta, beta0)
    return [-rate * u for u in updates], kept


def adapnm(gradients, theta, rate, b1=0.9, b2=0.999, beta0=1.0, eps=1e-8):
    """Xie et al. 2021, Algorithm 2."""
    directions, kept = scale_by_pnm(gradients, theta, b1, beta0)
    v, top, updates = np.zeros_like(theta), np.zeros_like(theta), []
    for t, (g, u) in enumerate(zip(gradients, directions, strict=True), 1):
        v = b2 * v + (1 - b2) * g**2
        top = np.maximum(top, v)
        updates.append(-rate * u / (1 - b1**t) / (np.sqrt(top / (1 - b2**t)) + eps))
    return updates, kept | {"nu": v, "nu_max": top}


def lion_momentum(gradients, theta, b1, b2):
    """Chen et al. 2024, eq. 2: the argument of the sign."""
    m, updates = np.zeros_like(theta), []
    for g in gradients:
        updates.append(b1 * m + (1 - b1) * g)
        m = b2 * m + (1 - b2) * g
    return updates, {"mu": m}


def projected(u, g, theta, delta, weight_decay, ratio, eps=1e-8):
    """Heo et al. 2021, Algorithm 1, with channels in the last axis: the direction, and its decay."""
    if theta.ndim < 2:
        return u + weight_decay * theta
    rows = [theta.reshape(-1, theta.shape[-1]).T, theta.reshape(1, -1)]
    of_rows = [lambda x: x.reshape(-1, x.shape[-1]).T, lambda x: x.reshape(1, -1)]
    back = [lambda x: x.T.reshape(theta.shape), lambda x: x.reshape(theta.shape)]
    for w, view, undo in zip(rows, of_rows, back, strict=True):
        cosines = [
            abs(a @ b) / max(np.linalg.norm(a) * np.linalg.norm(b), eps) for a, b in zip(view(g), w, strict=True)
        ]
        if max(cosines) < delta / np.sqrt(w.shape[1]):
            unit = w / (np.linalg.norm(w, axis=1, keepdims=True) + eps)
            radial = np.sum(unit * view(u), axis=1, keepdims=True)
            return undo(view(u) - unit * radial) + weight_decay * ratio * theta
    return u + weight_decay * theta


def remove_radial(gradients, theta, delta, weight_decay, ratio):
    updates = []
    for g in gradients:
        updates.append(projected(g, g, theta, delta, weight_decay, ratio))
        theta = theta + updates[-1]
    return updates, {}


def adamp(gradients, theta, rate, delta, weight_decay, ratio, b1=0.9, b2=0.999, eps=1e-8):
    """Heo et al. 2021, Algorithm 2."""
    m, v, updates = np.zeros_like(theta), np.zeros_like(theta), []
    for t, g in enumerate(gradients, 1):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        u = m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t)) + eps)
        updates.append(-rate * projected(u, g, theta, delta, weight_decay, ratio))
        theta = theta + updates[-1]
    return updates, {"mu": m, "nu": v}


def sgdp(gradients, theta, rate, delta, weight_decay, ratio, momentum=0.9):
    """Heo et al. 2021, Algorithm 1."""
    v, updates = np.zeros_like(theta), []
    for g in gradients:
        v = momentum * v + g
        updates.append(-rate * projected(v, g, theta, delta, weight_decay / (1 - momentum), ratio))
        theta = theta + updates[-1]
    return updates, {"trace": v}


# Others ---------------------------------------------------------------------------------------------------------------


def ftrl(gradients, theta, rate, power=-0.5, first=0.0, l1=0.0, l2=0.0, beta=1.0):
    """McMahan et al. 2013, Algorithm 1."""
    n, z, updates = np.full_like(theta, first), np.zeros_like(theta), []
    for g in gradients:
        sigma = ((n + g**2) ** -power - n**-power) / rate
        z = z + g - sigma * theta
        n = n + g**2
        new = np.where(np.abs(z) > l1, -(z - np.sign(z) * l1) / ((beta + n**-power) / rate + l2), 0)
        updates.append(new - theta)
        theta = new
    return updates, {"n": n, "z": z}


def stable_spam(gradients, theta, rate, every, b1=0.9, b2=0.999, eps=1e-8, weight_decay=0.0):
    """Huang et al. 2025, Algorithm 1, whose momentum is reset at every k-th step."""
    clipped, largest = without_spikes(gradients, 0.999)
    made, m_norm, v_norm = of_steady_norm(clipped, 0.7, 0.9)
    m, v, updates, t = np.zeros_like(theta), np.zeros_like(theta), [], 0
    for step, g in enumerate(made, 1):
        t += 1
        if step % every == 0:
            m, v, t = np.zeros_like(theta), np.zeros_like(theta), 1
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        u = m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t)) + eps)
        updates.append(-rate * (u + weight_decay * theta))
        theta = theta + updates[-1]
    kept = {"largest": largest, "m": m_norm, "v": v_norm, "mu": m, "nu": v}
    if (len(made) + 1) % every == 0:  # the state is made anew before the step, so that it is new already
        kept |= {"mu": np.zeros_like(theta), "nu": np.zeros_like(theta)}
    return updates, kept


def rectified(t, b2):
    """Liu et al. 2020, Algorithm 2: ρₜ and rₜ."""
    top = 2 / (1 - b2) - 1
    rho = top - 2 * t * b2**t / (1 - b2**t)
    return rho, np.sqrt(max((rho - 4) * (rho - 2) * top / ((top - 4) * (top - 2) * rho), 0)) if rho > 4 else 0.0


def ranger(gradients, theta, rate, b1=0.95, b2=0.999, eps=1e-5, k=6, alpha=0.5):
    """Wright & Demeure 2021: RAdam on centralized gradients, with Lookahead around it."""
    slow, m, v, updates = theta, np.zeros_like(theta), np.zeros_like(theta), []
    for t, g in enumerate(gradients, 1):
        g = g - g.mean(axis=tuple(range(1, g.ndim)), keepdims=True) if g.ndim > 1 else g
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        rho, r = rectified(t, b2)
        u = m / (1 - b1**t)
        new = theta - rate * (r * u / (np.sqrt(v / (1 - b2**t)) + eps) if rho >= 5 else u)
        if t % k == 0:
            slow = slow + alpha * (new - slow)
            new = slow
        updates.append(new - theta)
        theta = new
    return updates, {"slow": slow, "mu": m, "nu": v}


def schedule_free_radam(gradients, theta, rate, b1=0.9, b2=0.999, eps=1e-8, weight_decay=0.0):
    """Defazio et al. 2024, Algorithm 1, with the rate of Liu et al. 2020."""
    x, z, y, nu, total, largest, updates = theta, theta, theta, np.zeros_like(theta), 0.0, 0.0, []
    for t, g in enumerate(gradients, 1):
        nu = b2 * nu + (1 - b2) * g**2
        now = rate * rectified(t, b2)[1]
        z = z - now * (g / (np.sqrt(nu / (1 - b2**t)) + eps) + weight_decay * y)
        largest = max(largest, now)
        total = total + largest**2
        c = largest**2 / total if total > 0 else 0.0
        x = (1 - c) * x + c * z
        updates.append(b1 * x + (1 - b1) * z - y)
        y = y + updates[-1]
    return updates, {"x": x, "z": z, "weight_sum": np.asarray(total), "max_lr": np.asarray(largest), "nu": nu}


def adahessian(
    gradients, theta, rate=-1.0, b1=0.9, b2=0.999, eps=1e-4, power=1.0, every=1, weight_decay=0.0, axis=None
):
    """Yao et al. 2021, Algorithm 1, where the diagonal of the Hessian is twice the gradient."""
    m, v, n, updates = np.zeros_like(theta), np.zeros_like(theta), 0, []
    for t, g in enumerate(gradients, 1):
        m = b1 * m + (1 - b1) * g
        if (t - 1) % every == 0:
            d = (
                2 * g
                if axis is None or g.ndim < 2
                else np.broadcast_to(np.abs(2 * g).mean(axis, keepdims=True), g.shape)
            )
            v, n = b2 * v + (1 - b2) * d**2, n + 1
        u = m / (1 - b1**t) / ((v / (1 - b2**n)) ** (power / 2) + eps)
        updates.append(-rate * (u + weight_decay * theta))
        theta = theta + updates[-1]
    return updates, {"mu": m, "nu": v}


# All leaves -----------------------------------------------------------------------------------------------------------


def one_norm(a):
    return sum(np.abs(x).sum() for x in a.values())


def dadapt(gradients, params, rate=1.0, b1=0.9, b2=0.99, d0=1e-6, weight_decay=0.0, weighted=True, growth=np.inf):
    """Defazio & Mishchenko 2023, in their program for Lion; with ``weighted=False`` around Lion as it is."""
    d, r, b, m, s, updates = d0, 0.0, np.sqrt(b2), zeros_like(params), zeros_like(params), []
    for g in gradients:
        lr = d * rate
        v = each(lambda m, g: np.sign(b1 * m + (1 - b1) * g), m, g)
        m = each(lambda m, g, lr=lr: b2 * m + (1 - b2) * (lr if weighted else 1) * g, m, g)
        r = b * r + (1 - b) * lr * dot(v, s)
        s = each(lambda s, v, lr=lr: b * s + (1 - b) * lr * v, s, v)
        d = max(d, min(r / ((1 - b) * one_norm(s)), d * growth))
        updates.append(each(lambda v, x, lr=lr: -lr * (v + weight_decay * x), v, params))
        params = each(np.add, params, updates[-1])
    kept = {"mu": m, "update_sum": each(np.negative, s)}
    return updates, kept | {"estim_lr": np.asarray(d), "numerator_weighted": np.asarray(r)}


def dadapt_sgd(gradients, params, rate=1.0, momentum=0.9, d0=1e-6):
    """Defazio & Mishchenko 2023, Algorithm 4."""
    d, r, s, start, first, updates = d0, 0.0, zeros_like(params), params, norm(gradients[0]), []
    for g in gradients:
        lr = d * rate / first
        r = r + lr * dot(g, s)
        s = each(lambda s, g, lr=lr: s + lr * g, s, g)
        d = max(d, 2 * r / norm(s))
        updates.append(each(lambda x0, s, x: (1 - momentum) * (x0 - s - x), start, s, params))
        params = each(np.add, params, updates[-1])
    kept = {"grad_sum": s, "params0": start, "estim_lr": np.asarray(d)}
    return updates, kept | {"numerator": np.asarray(r), "first_norm": np.asarray(first)}


def dadapt_adagrad(gradients, params, rate=1.0, momentum=0.0, d0=1e-6, first=1e-6, eps=0.0):
    """Defazio & Mishchenko 2023, Algorithm 3."""
    d, r, s, start, updates = d0, 0.0, zeros_like(params), params, []
    a = each(lambda x: np.full_like(x, first), params)
    for g in gradients:
        lr = d * rate
        a = each(lambda a, g: a + g**2, a, g)
        s = each(lambda s, g, lr=lr: s + lr * g, s, g)
        size = each(lambda a: np.sqrt(a) + eps, a)
        r = r + lr**2 * sum((g[leaf] ** 2 / size[leaf]).sum() for leaf in g)
        d = max(d, (sum((s[leaf] ** 2 / size[leaf]).sum() for leaf in s) - r) / one_norm(s))

        def moved(x0, s, size, x):
            return (1 - momentum) * (x0 - s / size - x)

        updates.append(each(moved, start, s, size, params))
        params = each(np.add, params, updates[-1])
    kept = {"grad_sum": s, "sum_of_squares": a, "params0": start}
    return updates, kept | {"estim_lr": np.asarray(d), "denominator": np.asarray(r)}


def dadapt_adan(gradients, params, rate=1.0, betas=(0.98, 0.92, 0.99), eps=1e-8, d0=1e-6, weight_decay=0.0):
    """Defazio & Mishchenko 2023, Algorithm 5; Xie et al. 2022, Algorithm 1."""
    (b1, b2, b3), d, r, last, updates = betas, d0, 0.0, gradients[0], []
    m, v, n, s = (zeros_like(params) for _ in range(4))
    for g in gradients:
        lr = d * rate
        change = each(np.subtract, g, last)
        m = each(lambda m, g, lr=lr: b1 * m + (1 - b1) * lr * g, m, g)
        v = each(lambda v, c, lr=lr: b2 * v + (1 - b2) * lr * c, v, change)
        n = each(lambda n, g, c: b3 * n + (1 - b3) * (g + b2 * c) ** 2, n, g, change)
        s = each(lambda s, g, lr=lr: b3 * s + (1 - b3) * lr * g, s, g)
        size = each(lambda n: np.sqrt(n) + eps, n)
        r = b3 * r + (1 - b3) * lr**2 * sum((g[leaf] ** 2 / size[leaf]).sum() for leaf in g)
        weighted = sum((s[leaf] ** 2 / size[leaf]).sum() for leaf in s)
        d = max(d, (weighted / (1 - b3) - r) / one_norm(s))

        def moved(m, v, size, x, lr=lr):
            return -(m + b2 * v) / size - weight_decay * lr * x

        updates.append(each(moved, m, v, size, params))
        params = each(np.add, params, updates[-1])
        last = g
    kept = {"m": m, "v": v, "n": n, "g": last, "grad_sum": s}
    return updates, kept | {"estim_lr": np.asarray(d), "denominator": np.asarray(r)}


def schedule_free_plus(
    gradients, params, value, rate=1.0, beta=0.9, weight_decay=0.0, power=2.0, r=0.0, polyak=0.0, wait=0, eps=1e-8
):
    """The program of Schedule-Free+, of a constant loss; Adam with 0.9 and 0.95 as its base."""
    x, y, z, m, v = params, params, params, zeros_like(params), zeros_like(params)
    size, total, largest, updates = 0.0, 0.0, 0.0, []
    for t, g in enumerate(gradients, 1):
        mixed = at(beta, t)
        ahead = mixed * dot(g, each(np.subtract, z, x))
        size = polyak * size + (1 - polyak) * one_norm(g) * np.sqrt(np.pi / 2)
        now = rate * max(0.0, value + ahead) / (size / (1 - polyak**t))
        largest = max(largest, now)
        c = 1.0
        if t > wait:
            weight = t**r * largest**power
            total = total + weight
            c = weight / total
        m = each(lambda m, g: 0.9 * m + 0.1 * g, m, g)
        v = each(lambda v, g: 0.95 * v + 0.05 * g**2, v, g)

        def stepped(z, m, v, y, now=now, t=t):
            u = m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.95**t)) + eps)
            return z - now**2 * weight_decay * y - now * u

        z = each(stepped, z, m, v, y)
        x = each(lambda x, z, c=c: (1 - c) * x + c * z, x, z)
        new = each(lambda x, z, b=mixed: b * x + (1 - b) * z, x, z)
        updates.append(each(np.subtract, new, y))
        y = new
    kept = {"x": x, "z": z, "mu": m, "nu": v, "weight_sum": total, "max_lr": largest, "size": size, "lr": now}
    return updates, {name: np.asarray(x) if isinstance(x, float) else x for name, x in kept.items()}
