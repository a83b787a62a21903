"""Nesterov's look ahead, along an average of whole steps."""

from typing import Any

from gradtx import tree as trees
from gradtx._rules.around import around
from gradtx._rules.fields import zeros
from gradtx._rules.protocol import Late, State, Tree
from gradtx._rules.transformation import transformation
from gradtx._rules.vectors import like
from gradtx._value.floating import ewma
from gradtx._value.marks import Decay, Link, NonNegative


@transformation
def ema_nesterov(inner: Link, lookahead: NonNegative = 0.3, decay: Decay = 0.99) -> Late:
    """A step from a point ahead of the parameters, in the direction in which they have been moving.

        y = θ + βe;   θ' = y + inner(∇f(y));   e ← γe + (1 − γ)(θ' − θ)

    β is ``lookahead``, γ ``decay``, e an average of the last 1/(1 − γ) steps. Take the gradient at y, which
    `gradtx.gradient_params` returns. β may be a schedule: 0 while the average is young and near the end, in between in
    proportion to the learning rate. It goes around a whole optimizer. Source: arXiv 2605.25395, as run in
    modded-nanogpt, track 3. State: ``inner``; ``ema`` (e), like the parameters in float32 at least. Raises
    `TransformationError`: no ``params``.

    >>> from gradtx import apply_updates, gradient_params, sgd
    >>> tx, theta = ema_nesterov(sgd(0.5), 1.0, 0.75), jnp.array([4.0])
    >>> u, state = tx.update(jnp.array([8.0]), tx.init(theta), theta)
    >>> u, gradient_params(tx, apply_updates(theta, u), state)  # a step of −4; a quarter of it ahead of 0
    (Array([-4.], dtype=float32), Array([-1.], dtype=float32))
    """

    def ahead(params: Tree, state: State) -> Tree:
        return trees.map(lambda x, e: x + like(lookahead, e) * e, params, state["ema"])

    def init(params: Tree) -> State:
        return {"ema": trees.map(zeros, params)}

    def update(step: Any, updates: Tree, state: State, *, params: Tree) -> Any:
        new, after = step(updates, params=ahead(params, state))
        moved = trees.map(lambda u, e: u + like(lookahead, e) * e, new, state["ema"])
        return moved, {"inner": after, "ema": trees.map(lambda e, u: ewma(decay, e, u), state["ema"], moved)}

    return around(inner, update, init=init, gradient_params=ahead, every_step=True, packs=True)
