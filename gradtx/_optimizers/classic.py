"""Gradient descent and the classics that scale it by the sizes of past gradients."""

from typing import Any

from gradtx._combinators.chain import chain
from gradtx._numbers import Decay, Dtype, NonNegative
from gradtx._primitives.averaging import average_params
from gradtx._primitives.decay import add_decayed_weights
from gradtx._primitives.moments import lookahead_trace, nesterov_lookahead, trace
from gradtx._primitives.scaling import scale, scale_by_falling_rate, scale_by_learning_rate
from gradtx._primitives.second_moments import scale_by_adadelta, scale_by_rms, scale_by_rss, scale_by_stddev
from gradtx._primitives.signs import scale_by_rprop
from gradtx._transformation import GradientTransformation, transformation


def _momentum(momentum: Any, nesterov: bool, accumulator_dtype: Dtype = None) -> list[GradientTransformation]:
    """The links of momentum: none, one, or two with Nesterov's lookahead."""
    if momentum is None:
        return []
    lookahead = [nesterov_lookahead(momentum)] if nesterov else []
    return [trace(momentum, accumulator_dtype=accumulator_dtype), *lookahead]


@transformation
def sgd(
    learning_rate: NonNegative, momentum: Decay = None, *, nesterov: bool = False, accumulator_dtype: Dtype = None
) -> GradientTransformation:
    """Stochastic gradient descent, with momentum where it is given.

        vₜ = αvₜ₋₁ + gₜ;   θ ← θ − εvₜ        (nesterov: θ ← θ − ε(gₜ + αvₜ))

    ε is ``learning_rate``, α ``momentum``. Source: Robbins & Monro 1951; Polyak 1964; Sutskever et al. 2013.

    >>> sgd(0.2).update(jnp.array([20.0]), {})[0]  # f = x² at 10
    Array([-4.], dtype=float32)
    """
    return chain(*_momentum(momentum, nesterov, accumulator_dtype), scale_by_learning_rate(learning_rate))


@transformation
def adagrad(
    learning_rate: NonNegative,
    initial_accumulator_value: NonNegative = 0.1,
    eps: NonNegative = 1e-7,
    *,
    eps_in_sqrt: bool = True,
) -> GradientTransformation:
    """A rate for every coordinate, which falls with the gradients that it has seen.

        rₜ = rₜ₋₁ + gₜ²;   θ ← θ − ε gₜ/√(rₜ + eps)        (eps_in_sqrt=False: ε gₜ/(√rₜ + eps), PyTorch)

    Source: Duchi, Hazan & Singer 2011, Figure 1.

    >>> adagrad(1.0, 0.0, 0.0).update(jnp.array([20.0]), adagrad(1.0, 0.0).init(jnp.zeros(1)))[0]
    Array([-1.], dtype=float32)
    """
    return chain(
        scale_by_rss(initial_accumulator_value, eps, eps_in_sqrt=eps_in_sqrt), scale_by_learning_rate(learning_rate)
    )


@transformation
def rmsprop(
    learning_rate: NonNegative,
    decay: Decay = 0.9,
    eps: NonNegative = 1e-8,
    initial_scale: NonNegative = 0.0,
    momentum: Decay = None,
    *,
    eps_in_sqrt: bool = True,
    centered: bool = False,
    nesterov: bool = False,
    bias_correction: bool = False,
) -> GradientTransformation:
    """AdaGrad with a moving average in place of the sum.

        νₜ = βνₜ₋₁ + (1 − β)gₜ²;   θ ← θ − ε gₜ/√(νₜ + eps)   (eps_in_sqrt=False: ε gₜ/(√νₜ + eps), PyTorch)

    β is ``decay``. ``centered`` divides by the standard deviation instead (with ``bias_correction`` it is 0 at t = 1);
    ``momentum`` accumulates the steps, learning rate included, in a scope of its own. Source: Tieleman & Hinton 2012,
    lecture 6.5; Graves 2013, eqs. 38 to 45.

    >>> tx = rmsprop(1.0, 0.75, 0.0)
    >>> tx.update(jnp.array([20.0]), tx.init(jnp.zeros(1)))[0]  # 1/√0.25
    Array([-2.], dtype=float32)
    """
    placed = (0.0, eps) if eps_in_sqrt else (eps, 0.0)
    divide = scale_by_stddev if centered else scale_by_rms
    scaled = divide(decay, *placed, initial_scale, bias_correction=bias_correction)
    steps = {} if momentum is None else {"momentum": chain(*_momentum(momentum, nesterov))}
    return chain(scaled, scale_by_learning_rate(learning_rate), **steps)


@transformation
def nesterov(
    learning_rate: NonNegative, momentum: Decay = 0.9, *, accumulator_dtype: Dtype = None
) -> GradientTransformation:
    """Nesterov's accelerated gradient with the true lookahead.

        vₜ = αvₜ₋₁ − ε∇J(θ + αvₜ₋₁);   θ ← θ + vₜ

    ε is ``learning_rate``, α ``momentum``. The trap: take the gradient at `gradtx.gradient_params` (`gradtx.fit` and
    `gradtx.minimize` do); ``sgd(..., nesterov=True)`` is the form that is rewritten to take it at the parameters.
    Source: Nesterov 1983; Sutskever et al. 2013, eqs. 3 and 4.

    >>> from gradtx import minimize
    >>> minimize(lambda x: x**2, jnp.array(1.0), nesterov(0.25, 0.5), steps=2).params  # v = -0.5, then at 0.25: -0.375
    Array(0.125, dtype=float32)
    """
    return chain(scale_by_learning_rate(learning_rate), lookahead_trace(momentum, accumulator_dtype=accumulator_dtype))


@transformation
def adadelta(
    learning_rate: NonNegative = 1.0,
    rho: Decay = 0.9,
    eps: NonNegative = 1e-6,
    weight_decay: NonNegative = 0.0,
    *,
    weight_decay_mask: Any = None,
) -> GradientTransformation:
    """AdaGrad in a window, with the sizes of past updates in place of a rate.

        rₜ = ρrₜ₋₁ + (1 − ρ)gₜ²;   Δ = gₜ √(sₜ₋₁ + eps)/√(rₜ + eps);   sₜ = ρsₜ₋₁ + (1 − ρ)Δ²;   θ ← θ − ε(Δ + λθ)

    ρ is ``rho``, λ ``weight_decay``, ε ``learning_rate`` (1 in the paper). Source: Zeiler 2012, Algorithm 1.

    >>> tx = adadelta(rho=0.75, eps=1.0)
    >>> tx.update(jnp.array([2.0]), tx.init(jnp.zeros(1)), jnp.zeros(1))[0].round(4)  # 2·√1/√(1 + 1)
    Array([-1.4142], dtype=float32)
    """
    return chain(
        scale_by_adadelta(rho, eps),
        add_decayed_weights(weight_decay, mask=weight_decay_mask),
        scale_by_learning_rate(learning_rate),
    )


@transformation
def rprop(
    learning_rate: NonNegative,
    eta_minus: NonNegative = 0.5,
    eta_plus: NonNegative = 1.2,
    min_step_size: NonNegative = 1e-6,
    max_step_size: NonNegative = 50.0,
) -> GradientTransformation:
    """Resilient backpropagation: steps by the sign of the gradient, of a size that each coordinate finds for itself.

        θ ← θ − ηₜ sign(gₜ),   η grows by eta_plus while the sign holds and shrinks by eta_minus where it flips

    η₀ is ``learning_rate``; see `gradtx.scale_by_rprop`. Source: Riedmiller & Braun 1993.

    >>> tx = rprop(0.5)
    >>> tx.update(jnp.array([20.0]), tx.init(jnp.zeros(1)))[0]
    Array([-0.5], dtype=float32)
    """
    return chain(scale_by_rprop(learning_rate, eta_minus, eta_plus, min_step_size, max_step_size), scale(-1.0))


@transformation
def asgd(
    learning_rate: NonNegative = 1e-2,
    lambd: NonNegative = 1e-4,
    alpha: NonNegative = 0.75,
    t0: NonNegative = 1e6,
) -> GradientTransformation:
    """Averaged stochastic gradient descent.

        ηₜ = ε/(1 + λε(t − 1))^α;   θ ← θ − ηₜ(gₜ + λθ);   aₜ = average of θ since t0

    ε is ``learning_rate``, λ ``lambd``. `gradtx.eval_params` is the average. Source: Polyak & Juditsky 1992; Bottou
    2012 (arguments and defaults are PyTorch's).

    >>> tx = asgd(0.5, lambd=0.0)
    >>> tx.update(jnp.array([20.0]), tx.init(jnp.zeros(1)), jnp.zeros(1))[0]
    Array([-10.], dtype=float32)
    """
    return chain(add_decayed_weights(lambd), scale_by_falling_rate(learning_rate, lambd, alpha), average_params(t0))
