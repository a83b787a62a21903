"""References of preconditioners: float64 NumPy loops, line by line from the papers, as in `tests.references`."""

import numpy as np


def along(u, axis, matrix):
    """The product with a matrix along an axis."""
    return np.moveaxis(np.tensordot(matrix, u, (1, axis)), 0, axis)


def moment(g, axis):
    """G Gᵀ of an array unfolded along an axis."""
    unfolded = np.moveaxis(g, axis, 0).reshape(g.shape[axis], -1)
    return unfolded @ unfolded.T


def power(h, p, eps, ridge=0.0):
    """A power of a symmetric matrix, by its eigenvalues."""
    values, vectors = np.linalg.eigh(h + eps * np.eye(len(h)))
    return (vectors * (values + ridge * values[-1]) ** p) @ vectors.T


def taken(updates, theta, learning_rate, weight_decay=0.0):
    """One step along what a rule has made."""
    return updates if learning_rate is None else -learning_rate * (updates + weight_decay * theta)


# Shampoo --------------------------------------------------------------------------------------------------------------


def spans(n, size):
    """Where the blocks of an axis begin and end."""
    return [(a, min(a + size, n)) for a in range(0, n, size)]


def windows(shape, size):
    """The blocks of an array, the full ones of a kind before the others, as slices."""
    axes = [spans(n, size) for n in shape]
    kinds = [[[s for s in one if s[1] - s[0] == size], [s for s in one if s[1] - s[0] < size]] for one in axes]
    kinds = [[kind for kind in one if kind] for one in kinds]
    stacks = [[]]
    for one in kinds:
        stacks = [[*stack, kind] for stack in stacks for kind in one]
    found = []
    for stack in stacks:
        blocks = [()]
        for kind in stack:
            blocks = [(*block, slice(*span)) for block in blocks for span in kind]
        found.append(blocks)
    return found


def shampoo_in_blocks(gradients, theta, eps, size, every):
    """Gupta, Koren & Singer 2018, Algorithm 2, for each block; roots at every k-th step, and the identity before."""
    stacks, k, updates = windows(theta.shape, size), theta.ndim, []
    shapes = [[tuple(s.stop - s.start for s in block) for block in stack] for stack in stacks]
    sums = [[[np.zeros((n, n)) for n in shape] for shape in stack] for stack in shapes]
    roots = [[[np.eye(n) for n in shape] for shape in stack] for stack in shapes]
    for t, g in enumerate(gradients, 1):
        u = np.zeros_like(g)
        for stack, own, made in zip(stacks, sums, roots, strict=True):
            for block, h, root in zip(stack, own, made, strict=True):
                part = g[block]
                for axis in range(k):
                    h[axis] = h[axis] + moment(g[block], axis)
                    if t % every == 0:
                        root[axis] = power(h[axis], -1 / (2 * k), eps)
                    part = along(part, axis, root[axis])
                u[block] = part
        updates.append(u)

    def kept(entries):
        stacked = [[np.stack([block[axis] for block in stack]) for axis in range(k)] for stack in entries]
        return tuple(x[0] if len(x) == 1 else x for stack in stacked for x in stack)

    return updates, {"factors": kept(sums), "roots": kept(roots)}


def shampoo(gradients, theta, learning_rate, b1, b2, eps, weight_decay):
    """Shi et al. 2023: averages, momentum, and the norm of Adam's step; all roots at every step."""
    k, m, nu = theta.ndim, np.zeros_like(theta), np.zeros_like(theta)
    moments, updates = [np.zeros((n, n)) for n in theta.shape], []
    for t, g in enumerate(gradients, 1):
        m, nu = b1 * m + (1 - b1) * g, 0.999 * nu + 0.001 * g**2
        u = m / (1 - b1**t)
        adam = u / (np.sqrt(nu / (1 - 0.999**t)) + 1e-8)
        for axis in range(k):
            moments[axis] = b2 * moments[axis] + (1 - b2) * moment(g, axis)
            u = along(u, axis, power(moments[axis] / (1 - b2**t), -1 / (2 * k), eps))
        u = taken(u * np.linalg.norm(adam) / np.linalg.norm(u), theta, learning_rate, weight_decay)
        theta = theta + u
        updates.append(u)
    return updates, {"mu": m, "factors": tuple(moments), "nu": nu}


def grafted(gradients, theta):
    """The sign of the gradient, as long as the gradient."""
    updates = [np.sign(g) * np.linalg.norm(g) / np.linalg.norm(np.sign(g)) for g in gradients]
    return updates, {}


# In a basis -----------------------------------------------------------------------------------------------------------


def eigenvectors(h):
    """Those of the largest eigenvalues first."""
    return np.linalg.eigh(h)[1][:, ::-1]


def iterated(h, q):
    """One power iteration: the columns are made orthogonal in the order of their eigenvalues, and stay in place."""
    product = h @ q
    order = np.argsort(-np.sum(q * product, axis=0), kind="stable")
    made = np.empty_like(q)
    made[:, order] = np.linalg.qr(product[:, order])[0]
    return made


def whitened(g, axis, moments, bases, t, eps):
    """The gradient, of which all other axes are white: Lin et al. 2025, the update of KL-Shampoo."""
    for other, (h, q) in enumerate(zip(moments, bases, strict=True)):
        if other != axis:
            values = np.ones(len(h)) if t == 1 else np.maximum(np.diag(q.T @ h @ q), eps)
            g = along(g, other, (q / np.sqrt(values * len(h))).T)
    return g


def soap(gradients, theta, learning_rate, b1, b2, weight_decay=0.0, every=1, kl=False, eps=1e-8, orthogonal=None):
    """Vyas et al. 2024, Algorithm 3, in the order of the authors' code; ``every``: all bases at every k-th step."""
    k = theta.ndim if theta.ndim > 1 else 0
    m, nu = np.zeros_like(theta), np.zeros_like(theta)
    moments, bases = [np.zeros((n, n)) for n in theta.shape[:k]], [np.eye(n) for n in theta.shape[:k]]
    updates = []
    for t, g in enumerate(gradients, 1):
        u = np.zeros_like(theta)
        if t > 1:
            m = b1 * m + (1 - b1) * g
            corrected = m / (1 - b1 ** (t - 1))
            if orthogonal is not None:
                corrected = b1 * m / (1 - b1**t) + (1 - b1) * g / (1 - b1 ** (t - 1))
            g_in, u = g, corrected
            for axis, q in enumerate(bases):
                g_in, u = along(g_in, axis, q.T), along(u, axis, q.T)
            nu = b2 * nu + (1 - b2) * g_in**2
            u = u / (np.sqrt(nu / (1 - b2 ** (t - 1))) + eps)
            for axis, q in enumerate(bases):
                u = along(u, axis, q)
            if orthogonal is not None:
                u = orthogonal(u)
            u = taken(u, theta, learning_rate, weight_decay)
        seen = [whitened(g, axis, moments, bases, t, eps) if kl else g for axis in range(k)]
        moments = [b2 * h + (1 - b2) * moment(x, axis) for axis, (h, x) in enumerate(zip(moments, seen, strict=True))]
        if t == 1:
            bases = [eigenvectors(h) for h in moments]
        elif (t - 1) % every == 0:
            bases = [iterated(h, q) for h, q in zip(moments, bases, strict=True)]
        theta = theta + u
        updates.append(u)
    return updates, {"mu": m, "nu": nu, "factors": tuple(moments), "basis": tuple(bases)}


def orthogonal(x):
    """Jordan et al. 2024: five iterations of Newton and Schulz, and the factor of a wide matrix."""
    rows, columns = x.shape
    x = x / (np.linalg.norm(x) + 1e-8)
    x = x.T if rows > columns else x
    for _ in range(5):
        square = x @ x.T
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return (x.T if rows > columns else x) * np.sqrt(max(1, columns / rows))


def splus(gradients, theta, learning_rate, b1, b2, weight_decay, ema_rate, constant, every):
    """Frans, Levine & Abbeel 2025; all bases after the first and at every k-th step."""
    k = theta.ndim if theta.ndim > 1 else 0
    m, average = np.zeros_like(theta), np.zeros_like(theta)
    moments, bases = [np.zeros((n, n)) for n in theta.shape[:k]], [np.eye(n) for n in theta.shape[:k]]
    size, updates = 2 / sum(theta.shape) if k else constant, []
    for t, g in enumerate(gradients, 1):
        m = b1 * m + (1 - b1) * g
        u = m
        for axis, q in enumerate(bases):
            u = along(u, axis, q.T)
        u = np.sign(u)
        for axis, q in enumerate(bases):
            u = along(u, axis, q)
        moments = [b2 * h + (1 - b2) * moment(g, axis) for axis, h in enumerate(moments)]
        if t == 1 or t % every == 0:
            bases = [eigenvectors(h) for h in moments]
        u = -learning_rate * size * (u + weight_decay * theta)
        theta = theta + u
        average = ema_rate * average + (1 - ema_rate) * theta
        updates.append(u)
    kept = {"mu": m, "factors": tuple(moments), "basis": tuple(bases)}
    return updates, kept | {"average": average / (1 - ema_rate**t)}


def over_mean_side(gradients, theta, constant):
    """Frans, Levine & Abbeel 2025, section 4."""
    return [g * (2 / sum(g.shape) if g.ndim == 2 else constant) for g in gradients], {}


def turn(left, x, right):
    """A matrix in another basis on both sides; a vector as it is."""
    return left @ x @ right if x.ndim == 2 else x


def conda(gradients, theta, learning_rate, b1, b2, weight_decay, every):
    """Wang et al. 2025, Algorithm 1; the basis at the first and at every k-th step."""
    m, nu, updates, kept = np.zeros_like(theta), np.zeros_like(theta), [], ()
    for t, g in enumerate(gradients, 1):
        m = b1 * m + (1 - b1) * g
        left = theta.ndim == 2 and theta.shape[0] < theta.shape[1]
        if theta.ndim == 2 and (t == 1 or t % every == 0):
            vectors = np.linalg.svd(m, full_matrices=False)
            basis = vectors[0] if left else vectors[2].T
        one = np.eye(len(theta)) if not left else basis.T
        other = np.eye(theta.shape[-1]) if left or theta.ndim < 2 else basis
        if theta.ndim == 2:
            kept = (basis,)
        nu = b2 * nu + (1 - b2) * turn(one, g, other) ** 2
        u = turn(one, m, other) / (1 - b1**t) / (np.sqrt(nu / (1 - b2**t)) + 1e-8)
        u = turn(one.T, u, other.T)
        u = -learning_rate * (u + weight_decay * theta)
        theta = theta + u
        updates.append(u)
    return updates, {"mu": m, "nu": nu, "basis": kept}


# Few numbers for many -------------------------------------------------------------------------------------------------


def came(gradients, theta, learning_rate, b1=0.9, b2=0.999, b3=0.9999, eps=1e-30, eps2=1e-16, weight_decay=0.0):
    """Luo et al. 2023, Algorithm 2."""

    def over_root(x, row, col):
        return x / np.sqrt(np.outer(row, col) / np.mean(row))

    m, matrix, updates = np.zeros_like(theta), theta.ndim > 1, []
    v = np.zeros_like(theta)
    row, col, s_row, s_col = (np.zeros(n) for n in (*theta.shape, *theta.shape)) if matrix else (0, 0, 0, 0)
    for g in gradients:
        square = g**2 + eps
        if matrix:
            row, col = b2 * row + (1 - b2) * square.mean(1), b2 * col + (1 - b2) * square.mean(0)
            u = over_root(g, row, col)
        else:
            v = b2 * v + (1 - b2) * square
            u = g / np.sqrt(v)
        u = u / max(1.0, np.sqrt(np.mean(u**2)))
        m = b1 * m + (1 - b1) * u
        d = m
        if matrix:
            strays = (u - m) ** 2 + eps2
            s_row, s_col = b3 * s_row + (1 - b3) * strays.mean(1), b3 * s_col + (1 - b3) * strays.mean(0)
            d = over_root(m, s_row, s_col)
        u = -learning_rate * (d + weight_decay * theta)
        theta = theta + u
        updates.append(u)
    if not matrix:
        return updates, {"nu": v, "mu": m, "instability": ()}
    return updates, {"nu": {"row": row, "col": col}, "mu": m, "instability": {"row": s_row, "col": s_col}}


def adam_mini(gradients, theta, learning_rate, b1, b2, axes, heads=None, weight_decay=0.0):
    """Zhang et al. 2024, Algorithm 1: one second moment for each block, which is a mean of squares."""
    m, nu, updates = np.zeros_like(theta), 0.0, []
    for t, g in enumerate(gradients, 1):
        m = b1 * m + (1 - b1) * g
        if heads:
            mean = np.array([np.mean(part**2) for part in np.split(g, heads, axis=-1)])
        else:
            mean = np.mean(g**2, axis=axes)
        nu = b2 * nu + (1 - b2) * mean
        each = np.repeat(nu, theta.shape[-1] // heads) if heads else np.expand_dims(nu, axes)
        u = m / (1 - b1**t) / (np.sqrt(each / (1 - b2**t)) + 1e-8)
        u = -learning_rate * (u + weight_decay * theta)
        theta = theta + u
        updates.append(u)
    return updates, {"mu": m, "nu": nu}


def limited(gradients, theta, gamma):
    """Zhu et al. 2024, section 4.2: no update is more than γ times as long as the one before."""
    last, updates = 0.0, []
    for g in gradients:
        size = np.linalg.norm(g)
        u = g * gamma * last / size if last > 0 and size > gamma * last else g
        last = np.linalg.norm(u)
        updates.append(u)
    return updates, {"norm": last}


def apollo(gradients, theta, learning_rate, rank, every, factor, tensor, gamma=1.01, weight_decay=0.0):
    """Zhu et al. 2024, Algorithm 1, with the first singular vectors in place of random numbers."""
    matrix = theta.ndim == 2
    tall = matrix and theta.shape[0] > theta.shape[1]
    m = nu = last = 0.0
    updates = []
    for t, g in enumerate(gradients, 1):
        u = g.T if tall else g
        if matrix and (t - 1) % every == 0:
            p = np.linalg.svd(u, full_matrices=False)[0][:, :rank].T
        low = p @ u if matrix else u
        m, nu = 0.9 * m + 0.1 * low, 0.999 * nu + 0.001 * low**2
        made = m / (1 - 0.9**t) / (np.sqrt(nu / (1 - 0.999**t)) + 1e-8)
        if matrix:
            axis = None if tensor else 0
            u = u * (factor * np.linalg.norm(made, axis=axis) / np.linalg.norm(low, axis=axis))
            u = u.T if tall else u
        else:
            u = made
        size = np.linalg.norm(u)
        if last > 0 and size > gamma * last:
            u, size = u * gamma * last / size, gamma * last
        last = size
        u = -learning_rate * (u + weight_decay * theta)
        theta = theta + u
        updates.append(u)
    return updates, {"mu": m, "nu": nu, "projector": p if matrix else None, "norm": last}
