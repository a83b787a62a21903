"""Aggregated momentum."""

import functools
import operator
from typing import Any

from gradtx._links.moments import trace
from gradtx._links.scaling import scale_by_learning_rate
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._value.marks import Decays, NonNegative
from gradtx._wrappers.chain import chain
from gradtx._wrappers.fork import fork


def mean_of(*branches: Any) -> Any:
    """The mean of arrays.

    >>> mean_of(1.0, 3.0)
    2.0
    """
    return functools.reduce(operator.add, branches) / len(branches)


@transformation
def aggmo(learning_rate: NonNegative, betas: Decays = (0.0, 0.9, 0.99)) -> GradientTransformation:
    """Several momenta of different ages, averaged: the quick ones damp the oscillations of the slow ones.

        vₜ⁽ⁱ⁾ = βᵢvₜ₋₁⁽ⁱ⁾ + gₜ;   θ ← θ − (α/K) Σᵢ vₜ⁽ⁱ⁾

    α is ``learning_rate``, βᵢ the K decays ``betas``; with one it is momentum. Source: Lucas et al. 2019, eqs. 3 and 4.

    >>> tx = aggmo(0.5, (0.0, 0.5))
    >>> _, state = tx.update(jnp.array([4.0]), tx.init(jnp.zeros(1)))
    >>> tx.update(jnp.array([4.0]), state)[0]  # 0.5·(4 + 6)/2
    Array([-2.5], dtype=float32)
    """
    return chain(fork(mean_of, *map(trace, betas)), scale_by_learning_rate(learning_rate))
