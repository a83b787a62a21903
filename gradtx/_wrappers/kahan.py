"""Compensated summation of updates: what rounding loses is added to the next one."""

from typing import Any

from gradtx import tree as trees
from gradtx._numeric.rounding import landed, towards
from gradtx._rules.around import around
from gradtx._rules.fields import zeros
from gradtx._rules.protocol import Late, State, Tree
from gradtx._rules.transformation import transformation
from gradtx._value.marks import Link


@transformation
def kahan(inner: Link) -> Late:
    """Parameters that lose nothing to rounding: what a step loses is kept, and added to the next.

        s = inner(uₜ) + c;   θ' = θ + s, rounded;   c ← s − (θ' − θ)

    With parameters in bfloat16 a step below 1/256 of a parameter is lost when it is added; c has it, in another 2
    bytes. In float32 it is Kahan's sum: c has what is below 1e-7 of a parameter. The update is such that
    `gradtx.apply_updates` lands on θ', so it goes outside of all that changes updates. Source: Kahan 1965; Zamirai et
    al. 2021, Algorithm 1. State: ``inner``; ``lost`` (c), like the parameters, in their dtypes. Raises
    `TransformationError`: no ``params``.

    >>> from gradtx import apply_updates, sgd
    >>> tx, theta = kahan(sgd(2.0**-10)), jnp.ones(1, "bfloat16")
    >>> state = tx.init(theta)
    >>> for _ in range(4):
    ...     u, state = tx.update(jnp.ones(1, "bfloat16"), state, theta)
    ...     theta = apply_updates(theta, u)
    >>> theta.astype("float32")  # 1 − 4·2⁻¹⁰; sgd alone stays at 1
    Array([0.99609375], dtype=float32)
    """

    def init(params: Tree, *, dtypes: Tree) -> State:
        return {"lost": trees.map(zeros, params, dtypes)}

    def update(step: Any, updates: Tree, state: State, *, params: Tree, dtypes: Tree) -> Any:
        new, after = step(updates)
        whole = trees.map(lambda u, c: u + c, new, state["lost"])
        made = trees.map(_step, whole, params, dtypes)
        lost = trees.map(lambda s, u, p, dtype: s - (landed(p, u, dtype) - p), whole, made, params, dtypes)
        return made, {"inner": after, "lost": lost}

    return around(inner, update, init=init, every_step=True, packs=True)


def _step(update: Any, param: Any, dtype: Any) -> Any:
    """The update that lands where the sum is rounded to."""
    return update if dtype == param.dtype else towards(param, landed(param, update, dtype), dtype)
