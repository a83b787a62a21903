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


@transformation
def exadam(b1=0.9, b2=0.999, eps=1e-8):
    """EXAdam: corrections of Adam's moments by each other."""

    def formula(u, mu, nu, *, t):
        mu, nu = ewma(b1, mu, u), ewma(b2, nu, u**2)
        first, second = b1**t, b2**t
        by_nu, by_mu = 1 + nu / (nu + eps) * second, 1 + mu**2 / (mu**2 + eps) * first
        size = root(by_mu * nu / (1 - second)) + eps
        return by_nu * (mu + u) / (1 - first) / size, mu, nu

    return per_leaf(formula, mu=zeros, nu=real_zeros)


def along(x):
    """Columns of length one, as PyTorch's ``normalize`` makes them."""
    return x / jnp.maximum(jnp.sqrt(jnp.sum(x**2, 0, keepdims=True)), 1e-12)


@transformation
def damped_by_agreement(decay=0.9, rate=0.9, eps=1e-8, *, first=True):
    """TAM: momentum of gradients, damped where they disagree with it; with ``first`` it starts from the first."""

    def formula(u, s, trace, *, t):
        trace = jnp.where((t == 1) & first, u, trace)
        s = ewma(rate, s, along(trace) * along(u))
        trace = decay * trace + ((1 + s) / 2 + eps) * u
        return trace, s, trace

    return per_leaf(formula, s=zeros, trace=zeros)


@transformation
def ano(b1=0.92, b2=0.99, eps=1e-8):
    """Ano: the gradient's size in momentum's direction, over Yogi's denominator in another form."""

    def formula(u, mu, nu, *, t):
        mu = ewma(b1, mu, u)
        nu = b2 * nu + (1 - b2) * jnp.sign(u**2 - nu) * u**2
        return jnp.abs(u) * jnp.sign(mu) / (root(nu / (1 - b2**t)) + eps), mu, nu

    return per_leaf(formula, mu=zeros, nu=real_zeros)


@transformation
def bcos(beta=0.9, eps=1e-6):
    """BCOS as recorded: momentum over the size that is expected of the next, from the momentum itself."""

    def formula(u, mu, *, t):
        mu = jnp.where(t == 1, u, mu)
        mu = ewma(beta, mu, u)
        square = (3 * beta**2 - 2 * beta**3) * mu**2 + (1 - beta) ** 2 * u**2 + 2 * beta * (1 - beta) ** 2 * mu * u
        return mu / (root(square) + eps), mu

    return per_leaf(formula, mu=zeros)


@transformation
def dual_adam(b1=0.9, b2=0.999, eps=1e-8, switch_rate=0.01):
    """DualAdam: at first it multiplies by Adam's denominator, and divides more and more."""

    def formula(u, nu, *, gradient, t):
        nu = ewma(b2, nu, gradient**2)
        size, share = root(nu / (1 - b2**t)) + eps, jnp.maximum(0, 1 - t * switch_rate)
        return u / (1 - b1**t) * jnp.where(share >= switch_rate, (1 - share) / size + share * size, 1 / size), nu

    return per_leaf(formula, nu=real_zeros)


@transformation
def adamg(learning_rate=1e-3, b1=0.95, b2=0.999, b3=0.95, eps=1e-8, p=0.2, q=0.24):
    """AdamG: a rate from the golden step size, p νᑫ."""

    def formula(u, mu, nu, golden, *, t):
        nu = ewma(b2, nu, u**2)
        golden = ewma(b3, golden, p * jnp.where(nu > 0, jnp.where(nu > 0, nu, 1) ** q, 0))
        mu = b1 * mu + (1 - b1) * golden * u
        rate = jnp.minimum(learning_rate, 1 / jnp.sqrt(t)) / (1 - b1**t)
        return -rate * mu / (root(nu / (1 - b2**t)) + eps), mu, nu, golden

    return per_leaf(formula, mu=zeros, nu=real_zeros, golden=real_zeros)


@transformation
def srmm(learning_rate=1e-3, beta=0.5, memory=100.0):
    """SRMM: averages of gradients and parameters, whose weights fall, and begin anew."""

    def formula(u, mean, slow, *, param, t):
        weight = (t % memory + 1) ** -beta
        mean, slow = mean + weight * (u - mean), slow + weight * (param - slow)
        slow = slow - learning_rate * mean
        return slow - param, mean, slow

    return per_leaf(formula, mean=zeros, slow=zeros)


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
    "pytorch_optimizer.EXAdam(lr=0.001, betas=[0.9, 0.999])": gx.chain(exadam(), RATE),
    "pytorch_optimizer.TAM(lr=0.001)": gx.chain(damped_by_agreement(), RATE),
    "pytorch_optimizer.AdaTAM(lr=0.001)": gx.chain(
        damped_by_agreement(first=False), gx.scale_by_rms(bias_correction=False), RATE
    ),
    "pytorch_optimizer.Ano(lr=0.001)": gx.chain(ano(), RATE),
    "pytorch_optimizer.BCOS(lr=0.001)": gx.chain(bcos(), gx.add_decayed_weights(0.1), RATE),
    "pytorch_optimizer.DualAdam(lr=0.001)": gx.chain(AVERAGE, dual_adam(), RATE),
    "pytorch_optimizer.AdamG(lr=0.001)": adamg(),
    "pytorch_optimizer.SRMM(lr=0.001)": srmm(),
}
