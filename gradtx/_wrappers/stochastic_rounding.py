"""Parameters in half precision that are rounded at random, so that small steps count on average."""

from typing import Any

import jax

from gradtx import tree as trees
from gradtx._numeric.rounding import at_random, is_narrow
from gradtx._rules.around import around
from gradtx._rules.protocol import Late, State, Tree
from gradtx._rules.transformation import transformation
from gradtx._value.marks import Link, Seed


@transformation
def stochastic_rounding(inner: Link, seed: Seed = 0) -> Late:
    """Parameters in half precision that land above or below where they should, and there on average.

        θ ← a or b,   a ≤ θ + inner(uₜ) ≤ b neighbours in bfloat16,   E θ = θ + inner(uₜ)

    With parameters in bfloat16 a step below 1/256 of a parameter is lost when it is added. Here it is taken whole, now
    and then. It costs no memory, and adds noise; `split_weights` adds none for a byte. The update is such that
    `gradtx.apply_updates` lands on a or b, so it goes outside of all that changes updates. Leaves in float32 and
    float64 get the update as it is. The draws follow from ``seed``. Source: Gupta et al. 2015, section 3; Zamirai et
    al. 2021. State: ``inner``, and the chain's count and key. Raises `TransformationError`: no ``params``.

    >>> import jax.numpy as jnp
    >>> from gradtx import apply_updates, sgd
    >>> tx, theta = stochastic_rounding(sgd(2.0**-10)), jnp.ones(1000, "bfloat16")
    >>> u, _ = tx.update(jnp.ones(1000, "bfloat16"), tx.init(theta), theta)
    >>> sorted({float(x) for x in apply_updates(theta, u)})  # a quarter of them moved, by 2⁻⁸
    [0.99609375, 1.0]
    """

    def update(step: Any, updates: Tree, state: State, *, params: Tree, dtypes: Tree, key: Any) -> Any:
        new, after = step(updates)
        (leaves, treedef), others = trees.flatten(new), (trees.flatten(x)[0] for x in (params, dtypes))
        keys = [jax.random.fold_in(key, n) for n in range(len(leaves))]
        rows = zip(leaves, *others, keys, strict=True)
        return treedef.unflatten([_rounded(*row) for row in rows]), {"inner": after}

    return around(inner, update, every_step=True, seed=seed)


def _rounded(update: Any, param: Any, dtype: Any, key: Any) -> Any:
    return update if update is None or not is_narrow(dtype) else at_random(param, update, dtype, key)
