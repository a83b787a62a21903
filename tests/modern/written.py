"""Recorded rules that gradtx has no name for, written as a user writes them: a formula for one array each."""

import math

import jax.numpy as jnp

import gradtx as gx
from gradtx import ewma, per_leaf, real_zeros, root, transformation, zeros

RATE = gx.scale_by_learning_rate(0.001)


@transformation
def masked_as_recorded():
    """Lion's caution as recorded: the mask is scaled by its size over one more than it has."""

    def formula(u, *, gradient):
        agree = (u * gradient > 0).astype(u.dtype)
        return u * agree * (agree.size / (jnp.sum(agree) + 1))

    return per_leaf(formula)


@transformation
def partially_adaptive(b1=0.9, b2=0.999, partial=0.25, eps=1e-8):
    """PAdam: a power of Adam's denominator."""

    def formula(u, nu, *, gradient, t):
        nu = ewma(b2, nu, gradient**2)
        return u * jnp.sqrt(1 - b2**t) / (1 - b1**t) / (root(nu) + eps) ** (2 * partial), nu

    return per_leaf(formula, nu=real_zeros)


@transformation
def adamod(learning_rate=1e-3, b1=0.9, b2=0.99, b3=0.9999, eps=1e-8):
    """AdaMod: rates that are no larger than their own average."""

    def formula(u, nu, rate, *, gradient, t):
        nu = ewma(b2, nu, gradient**2)
        now = learning_rate * jnp.sqrt(1 - b2**t) / (1 - b1**t) / (root(nu) + eps)
        rate = ewma(b3, rate, now)
        return -jnp.minimum(now, rate) * u, nu, rate

    return per_leaf(formula, nu=real_zeros, rate=real_zeros)


@transformation
def kate(delta=0.0, eps=1e-8):
    """KATE: AdaGrad without its root, which does not depend on scale."""

    def formula(u, m, b):
        b_sq = b**2 + u**2 + eps
        m = root(m**2 + delta * u**2 + u**2 / b_sq)
        return m * u / b_sq, m, root(b_sq)

    return per_leaf(formula, m=real_zeros, b=real_zeros)


@transformation
def accsgd(learning_rate=1e-3, kappa=1000.0, xi=10.0, constant=0.7):
    """AccSGD: an average of steps that are κ times as long."""
    beta = xi * constant**2 / kappa
    zeta = constant / (constant + beta)

    def formula(u, slow, *, param):
        slow = beta * ((1 / beta - 1) * slow - learning_rate * kappa / constant * u + param)
        fast = param - learning_rate * u
        return zeta * fast + (1 - zeta) * slow - param, slow

    return per_leaf(formula, slow=jnp.copy)


@transformation
def at_its_first_ratio(eps=1e-8):
    """SGD-SaI: a rate for each leaf, from the signal to noise of its first gradient; PyTorch's deviation has n − 1."""

    def formula(u, ratio, *, gradient, t):
        noise = jnp.std(gradient, ddof=1) + eps if u.ndim > 1 else 1.0
        ratio = jnp.where(t == 1, jnp.linalg.norm(gradient) / noise, ratio)
        return ratio * u, ratio

    return per_leaf(formula, ratio=lambda param: jnp.zeros([], param.dtype))


@transformation
def amos(learning_rate=1e-3, beta=0.999, eps=1e-18):
    """Amos as recorded, whose scale of a leaf is that of its second axis."""

    def formula(u, nu, decay, *, param, t):
        first = learning_rate * (math.sqrt(2 / param.shape[1]) if param.ndim == 2 else 0.5)
        square = jnp.mean(u**2)
        nu = ewma(beta, nu, square)
        inverse = (1 - beta**t) / (nu + eps)
        gamma = learning_rate**2 * inverse * square / jnp.sqrt(1 + 0.25 * math.sqrt(learning_rate) * decay)
        step = (gamma / 2 * param + first * jnp.sqrt(inverse) * u) / (1 + 0.25 * math.sqrt(first) * decay)
        return -step, nu, decay * (1 + gamma) + gamma

    def number(param):
        return jnp.zeros([], param.dtype)

    return per_leaf(formula, nu=number, decay=number)


@transformation
def aida(b2=0.999, eps=1e-8, xi=1e-20, *, k=2):
    """Aida: AdaBelief with the gradient and its average projected on each other."""

    def formula(u, nu, *, gradient, t):
        g, m = gradient, u
        for _ in range(k):
            inner = jnp.sum(g * m)
            g, m = g * inner / (jnp.sum(g**2) + xi), m * inner / (jnp.sum(m**2) + xi)
        nu = ewma(b2, nu, (m - g) ** 2) + eps
        return u * jnp.sqrt(1 - b2**t) / (root(nu + 1e-15) + eps), nu

    return per_leaf(formula, nu=real_zeros)


@transformation
def nero(learning_rate=1e-3, beta=0.999, eps=1e-8):
    """Nero: each row of a matrix has mean 0 and length 1, from before the first step."""

    def norms(x):
        return jnp.sqrt(jnp.sum(x**2, 1, keepdims=True)) if x.ndim > 1 else jnp.abs(x)

    def constrained(x):
        if x.ndim < 2:
            return x
        x = x - jnp.mean(x, 1, keepdims=True)
        return x / (norms(x) + eps)

    def formula(u, nu, scale, *, param, t):
        at = jnp.where(t == 1, constrained(param), param)
        nu = ewma(beta, nu, norms(u) ** 2)
        step = learning_rate * scale * u / (jnp.sqrt(nu / (1 - beta**t)) + eps)
        return constrained(at - step) - param, nu, scale

    return per_leaf(formula, nu=lambda x: jnp.zeros_like(norms(x)), scale=lambda x: jnp.mean(norms(constrained(x))))


@transformation
def adashift(b1=0.9, b2=0.999, eps=1e-10, *, keep=10):
    """AdaShift: the denominator is of gradients that are too old to be in the numerator, their largest for a leaf."""
    weights = sum(b1**n for n in range(keep))

    def formula(u, mu, nu, *past, t):
        old, enough = past[0], t > keep
        mu = (mu - b1 ** (keep - 1) / weights * old) * b1 + u / weights
        nu = jnp.where(enough, ewma(b2, nu, jnp.max(old**2)), nu)
        size = root(nu / (1 - b2 ** jnp.maximum(t - keep, 1))) + eps
        return jnp.where(enough, mu / size, 0), mu, nu, *past[1:], u

    return per_leaf(formula, mu=zeros, nu=real_zeros, **{f"past_{n}": zeros for n in range(keep)})


@transformation
def laprop_centered(b1=0.9, b2=0.999, eps=1e-15, start=10):
    """LaProp over a variance, which is used from the eleventh step on; its step size is rounded to float32."""

    def formula(u, mean, nu, mu, *, t):
        mean, nu = ewma(b2, mean, u), ewma(b2, nu, u**2)
        size = (root(jnp.where(t > start, nu - mean**2, nu) + 1e-15) + eps) / jnp.sqrt(1 - b2**t)
        mu = ewma(b1, mu, u / size)
        return mu * (1 / (1 - b1**t)).astype(jnp.float32).astype(u.dtype), mean, nu, mu

    return per_leaf(formula, mean=zeros, nu=real_zeros, mu=zeros)


@transformation
def sm3_of_averages(b1=0.9, b2=0.9, eps=1e-30):
    """SM3 of averages whose covers keep the largest so far."""

    def axes(ndim, axis):
        return tuple(n for n in range(ndim) if n != axis)

    def cover(x, axis):
        return jnp.max(x, axes(x.ndim, axis), keepdims=True)

    def formula(u, mu, nu):
        least = nu[0]
        for one in nu[1:]:
            least = jnp.minimum(*jnp.broadcast_arrays(least, one))
        square = b2 * least + (1 - b2) * u**2
        mu = ewma(b1, mu, u / jnp.sqrt(square + eps))
        return mu, mu, tuple(jnp.maximum(old, cover(square, axis)) for axis, old in enumerate(nu))

    def start(param):
        return tuple(jnp.zeros_like(cover(param, axis)) for axis in range(param.ndim))

    return per_leaf(formula, mu=zeros, nu=start)


AVERAGE = gx.scale_by_ewma(0.9)
WRITTEN = {
    "pytorch_optimizer.Lion(lr=0.001, betas=[0.9, 0.999], cautious=True)": gx.chain(
        gx.scale_by_lion(0.9, 0.999), masked_as_recorded(), RATE
    ),
    "pytorch_optimizer.PAdam(lr=0.001, betas=[0.9, 0.999])": gx.chain(AVERAGE, partially_adaptive(), RATE),
    "pytorch_optimizer.AdaMod(lr=0.001)": gx.chain(AVERAGE, adamod()),
    "pytorch_optimizer.Kate(lr=0.001)": gx.chain(kate(), RATE),
    "pytorch_optimizer.AccSGD(lr=0.001)": accsgd(),
    "pytorch_optimizer.SGDSaI(lr=0.001, momentum=0.9)": gx.chain(
        AVERAGE, at_its_first_ratio(), gx.add_decayed_weights(0.01), RATE
    ),
    "pytorch_optimizer.Amos(lr=0.001)": amos(),
    "pytorch_optimizer.Aida(lr=0.001)": gx.chain(AVERAGE, aida(), gx.bias_correction(0.9), RATE),
    "pytorch_optimizer.Nero(lr=0.001)": nero(),
    "pytorch_optimizer.AdaShift(lr=0.001)": gx.chain(adashift(), RATE),
    "pytorch_optimizer.LaProp(lr=0.001, betas=[0.9, 0.999], centered=True)": gx.chain(laprop_centered(), RATE),
    "pytorch_optimizer.SM3(lr=0.001, momentum=0.9, beta=0.9)": gx.chain(sm3_of_averages(), RATE),
}
