"""Second moments: the sizes of past gradients, which the update is divided by.

All of them look at the gradient that entered the chain, not at the update that they divide. So a first moment may stand
before them (Adam) or after them (LaProp), and exchanging one for another turns AdaGrad into RMSProp, or Adam into
AMSGrad.
"""

import functools
from typing import Any, Literal

import jax.numpy as jnp

from gradtx._rules.fields import full, real_zeros, zeros
from gradtx._rules.per_leaf import per_leaf
from gradtx._rules.protocol import Rule
from gradtx._rules.transformation import transformation
from gradtx._value.floating import abs_sq, at_most_finite, divided, ewma, plus, root
from gradtx._value.marks import Decay, Dtype, NonNegative


@transformation
def scale_by_rms(
    decay: Decay = 0.999,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
    initial_scale: NonNegative = 0.0,
    *,
    bias_correction: bool = True,
    nu_dtype: Dtype = None,
) -> Rule:
    """Adam's denominator: the root of a corrected moving average of the squared gradients.

        νₜ = βνₜ₋₁ + (1 − β)|gₜ|²,   ν₀ = initial_scale;   u ← uₜ/(√(νₜ/(1 − βᵗ) + ε₀) + ε)

    β is ``decay``, ε ``eps``, ε₀ ``eps_root``, g the gradient that entered the chain; ``bias_correction=False`` leaves
    1 − βᵗ out, and with `gradtx.root_bias_correction` after it ε is ε-hat. The trap: Optax's link of this name has
    other defaults (decay 0.9, eps inside the root, no correction); those are in `rmsprop`. Source: Kingma & Ba 2015,
    Algorithm 1; Tieleman & Hinton 2012. State: ``nu``, real, shaped like the parameters.

    >>> tx = scale_by_rms(eps=0.0)
    >>> tx.update(jnp.array([-4.0]), tx.init(jnp.zeros(1)))[0]
    Array([-1.], dtype=float32)
    """

    def corrected(u, nu, *, gradient, correction):
        nu = ewma(decay, nu, abs_sq(gradient))
        return u / (root(plus(divided(nu, correction), eps_root)) + eps), nu

    def raw(u, nu, *, gradient):
        nu = ewma(decay, nu, abs_sq(gradient))
        return u / (root(plus(nu, eps_root)) + eps), nu

    if not bias_correction:
        return per_leaf(raw, nu=_start(initial_scale, nu_dtype))
    return per_leaf(corrected, once={"correction": lambda t: 1 - decay**t}, nu=_start(initial_scale, nu_dtype))


@transformation
def scale_by_stddev(
    decay: Decay = 0.9,
    eps: NonNegative = 1e-8,
    initial_scale: NonNegative = 0.0,
    *,
    eps_in_sqrt: bool = True,
    bias_correction: bool = False,
) -> Rule:
    """Centred RMSProp: the root of a moving variance of the gradients.

        μₜ = βμₜ₋₁ + (1 − β)gₜ;   νₜ = βνₜ₋₁ + (1 − β)|gₜ|²,   ν₀ = initial_scale
        u ← uₜ/√(νₜ − |μₜ|² + ε)        (eps_in_sqrt=False: uₜ/(√(νₜ − |μₜ|²) + ε))

    β is ``decay``, ε ``eps``, g the gradient that entered the chain; ``bias_correction`` divides both averages by
    1 − βᵗ. The trap: the corrected variance of one gradient is 0, so with ``bias_correction`` the first update is
    uₜ/√ε. Source: Graves 2013, eqs. 38 to 45. State: ``mu``, ``nu``, like the parameters, the second real.

    >>> tx = scale_by_stddev(0.5, eps=0.0)
    >>> tx.update(jnp.array([2.0]), tx.init(jnp.zeros(1)))[0]  # 2/√(2 − 1)
    Array([2.], dtype=float32)
    """

    def moments(mu, nu, gradient):
        return ewma(decay, mu, gradient), ewma(decay, nu, abs_sq(gradient))

    def over(u, mu, nu):  # the variance is not negative, whatever rounding says
        variance = jnp.maximum(nu - at_most_finite(abs_sq(mu)), 0)
        return u / (root(variance + eps) if eps_in_sqrt else root(variance) + eps)

    def corrected(u, mu, nu, *, gradient, correction):
        mu, nu = moments(mu, nu, gradient)
        return over(u, mu / correction, nu / correction), mu, nu

    def raw(u, mu, nu, *, gradient):
        mu, nu = moments(mu, nu, gradient)
        return over(u, mu, nu), mu, nu

    if not bias_correction:
        return per_leaf(raw, mu=zeros, nu=_start(initial_scale))
    return per_leaf(corrected, once={"correction": lambda t: 1 - decay**t}, mu=zeros, nu=_start(initial_scale))


@transformation
def scale_by_max_rms(
    decay: Decay = 0.999,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
    *,
    maximum: Literal["corrected", "raw"] = "corrected",
    bias_correction: bool = True,
) -> Rule:
    """AMSGrad's denominator: the largest so far of those of `scale_by_rms`.

        νₜ = βνₜ₋₁ + (1 − β)|gₜ|²;   ν̄ₜ = max(ν̄ₜ₋₁, νₜ/(1 − βᵗ));   u ← uₜ/(√(ν̄ₜ + ε₀) + ε)

    ε is ``eps``, ε₀ ``eps_root``. ``maximum="corrected"`` takes the maximum of the corrected average (Optax), ``"raw"``
    of the raw one, and corrects that (PyTorch); ``bias_correction=False`` corrects neither (the paper). Source: Reddi,
    Kale & Kumar 2018, Algorithm 2. State: ``nu``, ``nu_max``, real, shaped like the parameters.

    >>> tx = scale_by_max_rms(0.5, eps=0.0)
    >>> _, state = tx.update(jnp.array([4.0]), tx.init(jnp.zeros(1)))
    >>> tx.update(jnp.array([1.0]), state)[0]  # ν̄ stays 16
    Array([0.25], dtype=float32)
    """

    def of_corrected(u, nu, nu_max, *, gradient, correction):
        nu = ewma(decay, nu, abs_sq(gradient))
        nu_max = jnp.maximum(nu_max, nu / correction)
        return u / (root(plus(nu_max, eps_root)) + eps), nu, nu_max

    def of_raw(u, nu, nu_max, *, gradient, correction):
        nu = ewma(decay, nu, abs_sq(gradient))
        nu_max = jnp.maximum(nu_max, nu)
        return u / (root(plus(nu_max / correction, eps_root)) + eps), nu, nu_max

    def uncorrected(u, nu, nu_max, *, gradient):
        nu = ewma(decay, nu, abs_sq(gradient))
        nu_max = jnp.maximum(nu_max, nu)
        return u / (root(plus(nu_max, eps_root)) + eps), nu, nu_max

    if not bias_correction:
        return per_leaf(uncorrected, nu=real_zeros, nu_max=real_zeros)
    corrected, once = of_corrected if maximum == "corrected" else of_raw, {"correction": lambda t: 1 - decay**t}
    return per_leaf(corrected, once=once, nu=real_zeros, nu_max=real_zeros)


@transformation
def scale_by_infinity_norm(decay: Decay = 0.999, eps: NonNegative = 1e-8) -> Rule:
    """AdaMax's denominator: a decaying maximum of the sizes of the gradients.

        νₜ = max(βνₜ₋₁, |gₜ| + ε);   u ← uₜ/νₜ

    β is ``decay``, ε ``eps``, g the gradient that entered the chain. Source: Kingma & Ba 2015, Algorithm 2. State:
    ``nu``, real, shaped like the parameters.

    >>> tx = scale_by_infinity_norm(0.5, eps=0.0)
    >>> _, state = tx.update(jnp.array([4.0]), tx.init(jnp.zeros(1)))
    >>> tx.update(jnp.array([1.0]), state)[0]  # ν = max(2, 1)
    Array([0.5], dtype=float32)
    """

    def formula(u, nu, *, gradient):
        size = jnp.abs(gradient)  # the size of a complex number may overflow where its parts do not
        nu = jnp.maximum(decay * nu, (at_most_finite(size) if jnp.iscomplexobj(gradient) else size) + eps)
        return u / nu, nu

    return per_leaf(formula, nu=real_zeros)


@transformation
def scale_by_rss(
    initial_accumulator_value: NonNegative = 0.1, eps: NonNegative = 1e-7, *, eps_in_sqrt: bool = True
) -> Rule:
    """AdaGrad's denominator: the root of the sum of all squared gradients.

        rₜ = rₜ₋₁ + |gₜ|²,   r₀ = initial_accumulator_value;   u ← uₜ/√(rₜ + ε)

    ε is ``eps``. With ``eps_in_sqrt=False`` it is uₜ/(√rₜ + ε), PyTorch's. g is the gradient that entered the chain. A
    coordinate whose gradients have all been zero does not move. Source: Duchi, Hazan & Singer 2011, Figure 1. State:
    ``nu``, real, shaped like the parameters.

    >>> tx = scale_by_rss(0.0, 0.0)
    >>> _, state = tx.update(jnp.array([3.0]), tx.init(jnp.zeros(1)))
    >>> tx.update(jnp.array([4.0]), state)[0]
    Array([0.8], dtype=float32)
    """

    def formula(u, nu, *, gradient):
        nu = nu + abs_sq(gradient)
        return _over_root(u, nu, eps, eps_in_sqrt), nu

    return per_leaf(formula, nu=_start(initial_accumulator_value))


@transformation
def scale_by_mean_squares(eps: NonNegative = 1e-7, *, eps_in_sqrt: bool = True) -> Rule:
    """The root of the mean of all squared gradients: AdaGrad without its falling rate.

        rₜ = (|g₁|² + ... + |gₜ|²)/t;   u ← uₜ/√(rₜ + ε)        (eps_in_sqrt=False: uₜ/(√rₜ + ε))

    ε is ``eps``, g the gradient that entered the chain. With a learning rate α/√t it is AdaGrad with α, from r₀ = 0. A
    coordinate whose gradients have all been zero does not move. Source: Duchi, Hazan & Singer 2011, Figure 1, with the
    mean in place of the sum. State: ``nu``, real, shaped like the parameters.

    >>> tx = scale_by_mean_squares(0.0)
    >>> _, state = tx.update(jnp.array([1.0]), tx.init(jnp.zeros(1)))
    >>> tx.update(jnp.array([7.0]), state)[0]  # r = (1 + 49)/2
    Array([1.4], dtype=float32)
    """

    def formula(u, nu, *, gradient, t):
        nu = nu + (abs_sq(gradient) - at_most_finite(nu)) / t
        return _over_root(u, nu, eps, eps_in_sqrt), nu

    return per_leaf(formula, nu=real_zeros)


def _over_root(u: Any, nu: Any, eps: Any, eps_in_sqrt: bool) -> Any:
    """u/√(ν + ε) or u/(√ν + ε); 0 where ν is 0."""
    seen = jnp.where(nu > 0, nu, 1)
    return jnp.where(nu > 0, u / (root(seen + eps) if eps_in_sqrt else root(seen) + eps), 0)


def _start(value: Any, dtype: Any = None) -> Any:
    """A real second moment that starts at a number."""
    if isinstance(value, float) and value == 0.0:
        return functools.partial(real_zeros, dtype=dtype)
    return lambda param: full(jnp.real(param), value, dtype)
