"""Gradient descent, with momentum in its three forms."""

from typing import Any

from gradtx._links.moments import lookahead_trace, nesterov_lookahead, trace
from gradtx._links.scaling import scale_by_learning_rate
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._value.marks import Decay, Dtype, NonNegative
from gradtx._wrappers.chain import chain


def momentum_links(momentum: Any, nesterov: bool, accumulator_dtype: Dtype = None) -> list[GradientTransformation]:
    """The links of momentum: none, one, or two with Nesterov's lookahead."""
    if momentum is None:
        return []
    lookahead = [nesterov_lookahead(momentum)] if nesterov else []
    return [trace(momentum, accumulator_dtype=accumulator_dtype), *lookahead]


@transformation
def sgd(
    learning_rate: NonNegative, momentum: Decay = None, *, nesterov: bool = False, accumulator_dtype: Dtype = None
) -> GradientTransformation:
    """Stochastic gradient descent, with optional momentum.

        vₜ = μvₜ₋₁ + gₜ;   θ ← θ − αvₜ        (nesterov: θ ← θ − α(gₜ + μvₜ))

    α is ``learning_rate``, μ ``momentum``. Source: Robbins & Monro 1951; Polyak 1964; Sutskever et al. 2013.

    >>> sgd(0.2).update(jnp.array([20.0]), {})[0]  # f = x² at 10
    Array([-4.], dtype=float32)
    """
    return chain(*momentum_links(momentum, nesterov, accumulator_dtype), scale_by_learning_rate(learning_rate))


@transformation
def nesterov(
    learning_rate: NonNegative, momentum: Decay = 0.9, *, accumulator_dtype: Dtype = None
) -> GradientTransformation:
    """Nesterov's accelerated gradient with the true lookahead.

        vₜ = μvₜ₋₁ − α∇J(θ + μvₜ₋₁);   θ ← θ + vₜ

    α is ``learning_rate``, μ ``momentum``. The trap: take the gradient at `gradtx.gradient_params` (`gradtx.fit` and
    `gradtx.minimize` do); ``sgd(..., nesterov=True)`` is the form rewritten to take it at the parameters themselves.
    Source: Nesterov 1983; Sutskever et al. 2013, eqs. 3 and 4.

    >>> from gradtx import minimize
    >>> minimize(lambda x: x**2, jnp.array(1.0), nesterov(0.25, 0.5), steps=2).params  # v = -0.5, then at 0.25: -0.375
    Array(0.125, dtype=float32)
    """
    return chain(scale_by_learning_rate(learning_rate), lookahead_trace(momentum, accumulator_dtype=accumulator_dtype))
