"""Restarts: now and then a transformation forgets what it has seen."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._rules.around import around
from gradtx._rules.loops import cond
from gradtx._rules.protocol import Late, Tree
from gradtx._rules.transformation import transformation
from gradtx._value.marks import Link, NonNegative


@transformation
def restart(inner: Link, every: NonNegative) -> Late:
    """A transformation whose state is made anew before every k-th update.

        u ← inner(uₜ),   with the state of inner.init(θ) where t = k, 2k, 3k ...

    k is ``every`` (rounded up, 1 at least). Its clock starts again too: corrections, and schedules inside, which so are
    warm restarts; put around moments alone it leaves the rate to go on. Random draws do not start again. It is the
    momentum reset of SPAM. Source: Huang et al. 2025, SPAM; Loshchilov & Hutter 2017. State: ``inner``, and the chain's
    count. Raises `TransformationError`: no ``params``.

    >>> from gradtx import trace
    >>> tx, x = restart(trace(1.0), every=3), jnp.zeros(1)
    >>> state = tx.init(x)
    >>> for _ in range(4):
    ...     u, state = tx.update(jnp.array([1.0]), state, x)
    ...     print(u)
    [1.]
    [2.]
    [1.]
    [2.]
    """

    def update(step: Any, updates: Tree, state: Any, *, params: Tree, t: Any) -> Any:
        new, after = step(updates)
        period = jnp.maximum(jnp.ceil(jnp.asarray(every)), 1).astype(jnp.int32)
        due = (t + 1) % period == 0

        def fresh() -> Any:
            moved = trees.map(lambda p, u: p + u.astype(p.dtype), params, new)  # where the next update starts
            return _anew(after, inner.init(moved))

        return new, state | {"inner": cond(due, fresh, lambda: after)}

    return around(inner, update, packs=True)


def _anew(old: Any, fresh: Any) -> Any:
    """The fresh state; random keys stay, and so does what others keep there, such as measurements."""
    if isinstance(old, Mapping) and isinstance(fresh, Mapping):
        return {name: _anew(entry, fresh[name]) if name in fresh else entry for name, entry in old.items()}

    def leaf(old: Any, fresh: Any) -> Any:
        return old if jnp.issubdtype(old.dtype, jax.dtypes.prng_key) else fresh.astype(old.dtype)

    return jax.tree.map(leaf, old, fresh)
