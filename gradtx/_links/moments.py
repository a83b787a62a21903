"""First moments: averages of the update, and what is made of them."""

import functools
from typing import Literal

import jax.numpy as jnp

from gradtx._rules.fields import zeros
from gradtx._rules.per_leaf import per_leaf
from gradtx._rules.protocol import Rule
from gradtx._rules.transformation import transformation
from gradtx._value.floating import divided, ewma, fitted, real_dtype
from gradtx._value.marks import Decay, Dtype, NonNegative, Share, Static


@transformation
def scale_by_ewma(
    decay: Decay = 0.9, *, initial: Literal["zero", "first"] = "zero", accumulator_dtype: Dtype = None
) -> Rule:
    """The exponentially weighted moving average of the updates, from zero or from the first of them.

        mₜ = βmₜ₋₁ + (1 − β)uₜ,   m₀ = 0 (initial="first": m₁ = u₁);   u ← mₜ

    β is ``decay``. The trap: from zero it starts small, by the factor 1 − βᵗ; `bias_correction` divides it out.
    Source: Kingma & Ba 2015, Algorithm 1. State: ``mu``, like the parameters, in ``accumulator_dtype`` or in float32 at
    least.

    >>> tx, params = scale_by_ewma(0.5), jnp.zeros(1)
    >>> state = tx.init(params)
    >>> for q in (3.0, 5.0, 6.0):
    ...     u, state = tx.update(jnp.array([q]), state)
    ...     print(u)
    [1.5]
    [3.25]
    [4.625]
    """

    def from_zero(u, mu):
        mu = ewma(decay, mu, u)
        return mu, fitted(mu, accumulator_dtype)

    def from_first(u, mu, *, t):
        mu = jnp.where(t == 1, u, ewma(decay, mu, u))
        return mu, fitted(mu, accumulator_dtype)

    start = functools.partial(zeros, dtype=accumulator_dtype)
    return per_leaf(from_zero if initial == "zero" else from_first, mu=start)


@transformation
def ema(decay: Decay, debias: Static = True, accumulator_dtype: Dtype = None) -> Rule:
    """The moving average of the updates, corrected at once: `scale_by_ewma` and `bias_correction` in one.

        mₜ = βmₜ₋₁ + (1 − β)uₜ,   m₀ = 0;   u ← mₜ/(1 − βᵗ)        (debias=False: u ← mₜ)

    β is ``decay``. Source: Kingma & Ba 2015, section 3. State: ``mu``, like the parameters, in ``accumulator_dtype`` or
    in float32 at least, and the chain's count.

    >>> tx = ema(0.5)
    >>> tx.update(jnp.array([3.0]), tx.init(jnp.zeros(1)))[0]  # 1.5/0.5
    Array([3.], dtype=float32)
    """

    def raw(u, mu):
        mu = ewma(decay, mu, u)
        return mu, fitted(mu, accumulator_dtype)

    def corrected(u, mu, *, correction):
        mu = ewma(decay, mu, u)
        return divided(mu, correction), fitted(mu, accumulator_dtype)

    start = functools.partial(zeros, dtype=accumulator_dtype)
    if not debias:
        return per_leaf(raw, mu=start)
    return per_leaf(corrected, once={"correction": lambda t: 1 - decay**t}, mu=start)


@transformation
def trace(decay: Share, nesterov: Static = False, accumulator_dtype: Dtype = None) -> Rule:
    """The decaying sum of the updates: momentum.

        vₜ = μvₜ₋₁ + uₜ,   v₀ = 0;   u ← vₜ        (nesterov: u ← uₜ + μvₜ)

    μ is ``decay``; with 1 it is the sum of all updates. Nesterov's form looks ahead from the update that comes in;
    `nesterov_lookahead` after this link does so from the gradient that entered the chain. Source: Polyak 1964, eq. 9;
    Sutskever et al. 2013, eq. 1; Bengio et al. 2013, eq. 7. State: ``trace``, like the parameters, in
    ``accumulator_dtype`` or in float32 at least.

    >>> tx = trace(0.5)
    >>> u, state = tx.update(jnp.array([1.0]), tx.init(jnp.zeros(1)))
    >>> tx.update(jnp.array([1.0]), state)[0]
    Array([1.5], dtype=float32)
    """

    def formula(u, trace):
        trace = u + decay * trace
        return u + decay * trace if nesterov else trace, fitted(trace, accumulator_dtype)

    return per_leaf(formula, trace=functools.partial(zeros, dtype=accumulator_dtype))


@transformation
def lookahead_trace(decay: Decay, *, accumulator_dtype: Dtype = None) -> Rule:
    """Nesterov's momentum with the true lookahead: the gradient is taken where momentum is about to go.

        vₜ = μvₜ₋₁ + uₜ;   u ← vₜ,   with the gradient at θ + μvₜ₋₁

    μ is ``decay``. It stands last in its chain, behind the learning rate, so that v is the step itself. The trap:
    whoever takes the gradient has to ask where (`gradtx.gradient_params`; `gradtx.fit` and `gradtx.minimize` do); at
    θ it is plain momentum. Source: Nesterov 1983; Sutskever et al. 2013, eqs. 3 and 4. State: ``trace``, like the
    parameters.

    >>> tx = lookahead_trace(0.5)
    >>> u, state = tx.update(jnp.array([-1.0]), tx.init(jnp.zeros(1)))
    >>> tx.update(jnp.array([-1.0]), state)[0]
    Array([-1.5], dtype=float32)
    """

    def formula(u, trace):
        trace = u + decay * trace
        return trace, fitted(trace, accumulator_dtype)

    def ahead(param, trace):
        return param + decay * trace

    return per_leaf(formula, gradient_params=ahead, trace=functools.partial(zeros, dtype=accumulator_dtype))


@transformation
def bias_correction(decay: Decay = 0.9) -> Rule:
    """The correction of an average that starts from zero, and so is too small at first.

        u ← uₜ/(1 − βᵗ)

    β is the ``decay`` of the average before it. Source: Kingma & Ba 2015, section 3. State: none but the chain's count.

    >>> tx = bias_correction(0.5)
    >>> tx.update(jnp.array([1.5]), tx.init(jnp.zeros(1)))[0]
    Array([3.], dtype=float32)
    """

    def formula(u, *, correction):
        return divided(u, correction)

    return per_leaf(formula, once={"correction": lambda t: 1 - decay**t})


@transformation
def root_bias_correction(decay: Decay = 0.999) -> Rule:
    """The correction of a second moment after its root: ε is added first, and so is ε-hat.

        u ← uₜ√(1 − βᵗ)

    β is the ``decay`` of the average of squares, which stands before it uncorrected. Then the update is over
    (√νₜ + ε)/√(1 − βᵗ), where Adam has √(νₜ/(1 − βᵗ)) + ε: the paper's faster form, which Keras and TensorFlow have,
    and PyTorch had once. With ``scale_by_max_rms(bias_correction=False)`` before it, the maximum is that of the raw
    average. Source: Kingma & Ba 2015, section 2, last paragraph. State: none but the chain's count.

    >>> from gradtx import chain, scale_by_rms
    >>> tx = chain(scale_by_rms(0.75, eps=2.0, bias_correction=False), root_bias_correction(0.75))
    >>> tx.update(jnp.array([4.0]), tx.init(jnp.zeros(1)))[0].round(4)  # 4 · 0.5/(√4 + 2)
    Array([0.5], dtype=float32)
    """

    def formula(u, *, correction):
        return u * correction

    return per_leaf(formula, once={"correction": lambda t: jnp.sqrt(1 - decay**t)})


@transformation
def nesterov_lookahead(decay: Decay) -> Rule:
    """Nesterov's momentum, rewritten so that the gradient is taken at the parameters themselves; after `trace`.

        u ← gₜ + μuₜ

    μ is the ``decay`` of the trace, g the gradient that entered the chain. Source: Bengio et al. 2013, eq. 7. State:
    none.

    >>> from gradtx import chain
    >>> tx = chain(trace(0.5), nesterov_lookahead(0.5))
    >>> tx.update(jnp.array([1.0]), tx.init(jnp.zeros(1)))[0]
    Array([1.5], dtype=float32)
    """

    def formula(u, *, gradient):
        return gradient + decay * u

    return per_leaf(formula)


@transformation
def nesterov_bias_correction(decay: Decay = 0.9) -> Rule:
    """`bias_correction` that looks one step ahead: Nadam's direction, after `scale_by_ewma`.

        u ← βuₜ/(1 − βᵗ⁺¹) + (1 − β)gₜ/(1 − βᵗ)

    β is the ``decay`` of the average, g the gradient that entered the chain. Source: Dozat 2016, Algorithm 2, with a
    constant β (as in Optax). State: none but the chain's count.

    >>> from gradtx import chain
    >>> tx = chain(scale_by_ewma(0.5), nesterov_bias_correction(0.5))
    >>> u, _ = tx.update(jnp.array([3.0]), tx.init(jnp.zeros(1)))
    >>> u  # 0.5·1.5/0.75 + 0.5·3/0.5
    Array([4.], dtype=float32)
    """

    def formula(u, *, gradient, now, ahead):
        return decay * u / ahead + (1 - decay) * gradient / now

    return per_leaf(formula, once={"now": lambda t: 1 - decay**t, "ahead": lambda t: 1 - decay ** (t + 1)})


@transformation
def nesterov_momentum_decay(decay: Decay = 0.9, momentum_decay: NonNegative = 4e-3) -> Rule:
    """`nesterov_bias_correction` with a decay that warms up, after `scale_by_ewma`.

        μₜ = β(1 − ½ · 0.96^(tψ));   πₜ = μ₁μ₂...μₜ
        u ← μₜ₊₁uₜ/(1 − πₜμₜ₊₁) + (1 − μₜ)gₜ/(1 − πₜ)

    β is the ``decay`` of the average, ψ ``momentum_decay``, g the gradient that entered the chain. Source: Dozat 2016,
    section 3 (as in PyTorch and Keras; in Optax μ is constant). State: ``product`` (πₜ), one scalar per leaf.

    >>> from gradtx import chain
    >>> tx = chain(scale_by_ewma(0.5), nesterov_momentum_decay(0.5, 0.0))
    >>> u, _ = tx.update(jnp.array([3.0]), tx.init(jnp.zeros(1)))
    >>> u  # μ = 0.25 throughout: 0.25·1.5/(1 − 1/16) + 0.75·3/0.75
    Array([3.4], dtype=float32)
    """

    def formula(u, product, *, gradient, t):
        mu, mu_next = (decay * (1 - 0.5 * jnp.power(0.96, time * momentum_decay)) for time in (t, t + 1))
        product = product * mu
        return mu_next * u / (1 - product * mu_next) + (1 - mu) * gradient / (1 - product), product

    return per_leaf(formula, product=lambda param: jnp.ones([], real_dtype(param.dtype)))
