"""Gradient descent and the classics that scale it by the sizes of past gradients."""

from typing import Any

from gradtx._combinators.chain import chain
from gradtx._numbers import Decay, Dtype, NonNegative
from gradtx._primitives.moments import nesterov_lookahead, trace
from gradtx._primitives.scaling import scale_by_learning_rate
from gradtx._primitives.second_moments import scale_by_rms, scale_by_rss, scale_by_stddev
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
