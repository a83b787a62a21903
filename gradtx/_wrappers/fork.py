"""Transformations side by side."""

from typing import Any

from gradtx._rules.compose import parallel
from gradtx._rules.protocol import Late
from gradtx._rules.transformation import transformation
from gradtx._value.marks import Static
from gradtx._value.named_links import Links


@transformation
def fork(join: Static, *branches: Any, **named_branches: Any) -> Late:
    """Several transformations of the same update, whose results a function joins.

        u ← join(branch₁(u), branch₂(u), ...)   on every leaf

    ``join`` takes one array per branch and returns one. Every branch sees the two signals as they come (see `chain`).
    The fork conditions gradients if all its branches do, and freezes what all of them freeze.
    State: a mapping with the state of each branch under its name. The trap: it pickles only if ``join`` does (a
    function of a module; not a lambda, not ``jnp.add``).

    >>> from gradtx import scale
    >>> tx = fork(jnp.maximum, scale(1.0), scale(-1.0))
    >>> tx.update(jnp.array([4.0, -3.0]), tx.init(jnp.zeros(2)))[0]
    Array([4., 3.], dtype=float32)
    """
    return parallel(Links.of(branches, named_branches), join)
