"""Cautious updates: where the step and the gradient disagree, no step."""

from typing import Any

import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._rules.around import around
from gradtx._rules.protocol import Late, Tree
from gradtx._rules.transformation import transformation
from gradtx._value.marks import Link


@transformation
def cautious(inner: Link) -> Late:
    """The update of ``inner`` where it descends along the gradient, 0 elsewhere; each leaf is scaled up in return.

        u ← u · m/max(mean(m), 10⁻³),   m = 1 where u·g < 0, else 0

    g is the gradient that comes in; the mean is over the leaf. It goes around a whole optimizer, whose update is added
    to the parameters: it descends where the signs differ. Source: Liang et al. 2024, Algorithm 2. State: ``inner``.

    >>> from gradtx import scale
    >>> tx = cautious(scale(-1.0))
    >>> tx.update(jnp.array([2.0, 0.0]), tx.init(jnp.zeros(2)))[0]  # one of two moves, twice as far
    Array([-4., -0.], dtype=float32)
    """

    def update(step: Any, updates: Tree, state: Any) -> Any:
        new, inner = step(updates)

        def masked(u: Any, g: Any) -> Any:
            agree = (jnp.sign(jnp.real(u)) * jnp.sign(jnp.real(g)) < 0).astype(jnp.real(u).dtype)
            return u * (agree / jnp.maximum(jnp.mean(agree), 1e-3)) if u.size else u

        return trees.map(masked, new, updates), {"inner": inner}

    return around(inner, update, every_step=True)
