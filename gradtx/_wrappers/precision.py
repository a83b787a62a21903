"""Precision: what the state is kept in, and a copy of the parameters that is finer than they are."""

from typing import Any

import jax
import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._rules.around import around
from gradtx._rules.protocol import Late, State, Tree
from gradtx._rules.transformation import transformation
from gradtx._value.floating import fitted, wide
from gradtx._value.marks import Dtype, Link


@transformation
def with_state_dtype(inner: Link, *, state_dtype: Dtype) -> Late:
    """A transformation whose state is kept in another dtype, such as bfloat16; it still computes in float32 at least.

        state ← rounded(new state);   u ← inner(uₜ, widened state)

    It halves the bytes of the moments, and it costs digits: in bfloat16 an average that changes by less than 1/256 of
    itself stands still, such as a second moment with b2 = 0.999. ``mu_dtype`` of `gradtx.adam` rounds the first moment
    alone. Only floating-point arrays are rounded, and scalars stay. Source: Rae et al. 2021, appendix C2, of bfloat16
    states and what they lose. State: ``inner``, in ``state_dtype``.

    >>> from gradtx import sgd
    >>> tx = with_state_dtype(sgd(1.0, 0.5), state_dtype="bfloat16")
    >>> u, state = tx.update(jnp.array([1.0]), tx.init(jnp.zeros(1)))
    >>> state["inner"]["trace"].dtype, tx.update(jnp.array([1.0]), state)[0]
    (dtype(bfloat16), Array([-1.5], dtype=float32))
    """

    def narrow(x: Any) -> Any:
        return fitted(x, state_dtype).astype(state_dtype) if state_dtype is not None and _is_moment(x) else x

    def encode(state: State) -> State:
        return jax.tree.map(narrow, state)

    def decode(state: State) -> State:
        return jax.tree.map(lambda x: wide(x) if _is_moment(x) else x, state)

    def update(step: Any, updates: Tree, state: State) -> Any:
        new, after = step(updates)
        return new, {"inner": after}

    return around(inner, update, every_step=True, packs=True, encode=encode, decode=decode)


@transformation
def master_weights(inner: Link) -> Late:
    """A copy of the parameters in float32, which ``inner`` trains; the parameters follow it, rounded.

        w ← w + inner(uₜ at w),   w₀ = θ₀;   u ← w − θ

    With parameters in bfloat16, a step below 1/256 of a parameter is lost when it is added to it; added to w it is not.
    Four bytes a parameter more. ``inner`` is a whole optimizer, and w is what `gradtx.eval_params` returns. Source:
    Micikevicius et al. 2018, section 3.1. State: ``inner``; ``master`` (w), like the parameters in float32 at least.
    Raises `TransformationError`: no ``params``.

    >>> from gradtx import apply_updates, sgd
    >>> tx, theta = master_weights(sgd(1e-3)), jnp.ones(1, "bfloat16")
    >>> state = tx.init(theta)
    >>> for _ in range(500):
    ...     u, state = tx.update(jnp.ones(1, "bfloat16"), state, theta)
    ...     theta = apply_updates(theta, u)
    >>> theta  # sgd(1e-3) alone stays at 1
    Array([0.5], dtype=bfloat16)
    """

    def init(params: Tree) -> State:
        return {"master": trees.map(jnp.copy, params)}

    def update(step: Any, updates: Tree, state: State, *, params: Tree) -> Any:
        new, after = step(updates, params=state["master"])
        master = trees.map(lambda w, u: w + u, state["master"], new)
        return trees.map(lambda w, param: w - param, master, params), {"inner": after, "master": master}

    def deployed(params: Tree, state: State) -> Tree:
        return state["master"]

    return around(inner, update, init=init, eval_params=deployed, every_step=True, packs=True)


def _is_moment(x: Any) -> bool:
    return hasattr(x, "dtype") and x.ndim > 0 and jnp.issubdtype(x.dtype, jnp.floating)
