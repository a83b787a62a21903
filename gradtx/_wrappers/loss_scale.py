"""Loss scaling: gradients in float16 that neither vanish nor overflow."""

from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._rules.around import around
from gradtx._rules.loops import cond
from gradtx._rules.protocol import Late, State, Tree
from gradtx._rules.transformation import transformation
from gradtx._rules.vectors import like
from gradtx._value.errors import TransformationError
from gradtx._value.marks import Link, NonNegative


@transformation
def dynamic_loss_scale(
    inner: Link,
    initial_scale: NonNegative = 2.0**15,
    period: NonNegative = 2000,
    factor: NonNegative = 2.0,
    min_scale: NonNegative = 1.0,
    max_scale: NonNegative = 2.0**24,
) -> Late:
    """Gradients of a loss that was multiplied by s, divided by it again; s is as large as gradients stay finite.

        where all of uₜ is finite:  u ← inner(uₜ/s);  after n such steps in a row  s ← min(fs, max_scale)
        elsewhere:                  no step,          s ← max(s/f, min_scale)

    In float16 gradients below 6e-8 are 0, so the loss is multiplied: by ``loss_scale(state)`` in a step of your own;
    `gradtx.fit` and sweeps do so by themselves. n is ``period``, f ``factor``; with f a power of two nothing is
    rounded. A step that is not taken leaves no trace in ``inner``, as with `guard_nonfinite`; a guard inside shares the
    look at the gradients, and one outside is an error, since it would hide what the scale waits for. Source:
    Micikevicius et al. 2018, section 3.2. State: ``inner``; ``scale`` (s); ``good_steps`` in a row. Measures ``scale``.

    >>> from gradtx import sgd
    >>> tx = dynamic_loss_scale(sgd(0.5), 4.0)
    >>> u, state = tx.update(jnp.array([8.0]), tx.init(jnp.zeros(1)))
    >>> u, float(loss_scale(tx.update(jnp.array([jnp.inf]), state)[1]))
    (Array([-1.], dtype=float32), 2.0)
    """

    def init(params: Tree) -> State:
        return {"scale": jnp.asarray(initial_scale).astype(jnp.float32), "good_steps": jnp.zeros([], jnp.int32)}

    def update(step: Any, updates: Tree, state: State, *, finite: Any) -> Any:
        scale, good = state["scale"], state["good_steps"] + 1

        def take() -> Any:
            new, after = step(trees.map(lambda u: u / like(scale, u), updates), finite=finite)
            due = good >= jnp.ceil(jnp.asarray(period)).astype(good.dtype)
            grown = jnp.where(due, jnp.minimum(scale * factor, max_scale), scale).astype(scale.dtype)
            return new, {"inner": after, "scale": grown, "good_steps": jnp.where(due, 0, good)}

        def skip() -> Any:
            less = jnp.maximum(scale / factor, min_scale).astype(scale.dtype)
            return trees.map(jnp.zeros_like, updates), state | {"scale": less, "good_steps": jnp.zeros_like(good)}

        return cond(finite, take, skip)

    measure = {"scale": lambda before, after, *, scale: scale}
    return around(inner, update, init=init, packs=True, measure=measure)


def loss_scale(state: Any) -> jax.Array:
    """What to multiply the loss by, from a state that has one of a `dynamic_loss_scale` in it.

    Raises `TransformationError`: none in ``state``, or several.

    >>> from gradtx import chain, clip, sgd
    >>> float(loss_scale(chain(clip(1.0), dynamic_loss_scale(sgd(0.5), 8.0)).init(jnp.zeros(1))))
    8.0
    """
    found = list(loss_scales(state))
    if len(found) != 1:
        raise TransformationError(f"loss_scale: expected the state of one dynamic_loss_scale, found {len(found)}")
    return found[0]


def loss_scales(state: Any) -> Iterator[jax.Array]:
    """The scale of every `dynamic_loss_scale` in a state."""
    if isinstance(state, Mapping):
        if {"scale", "good_steps"} <= state.keys():
            yield state["scale"]
        else:
            for entry in state.values():
                yield from loss_scales(entry)
    elif isinstance(state, tuple | list):
        for entry in state:
            yield from loss_scales(entry)
