"""A rate that falls where the loss does not."""

from typing import Annotated, Any

import jax
import jax.numpy as jnp

from gradtx._rules.protocol import Rule, Tree
from gradtx._rules.transformation import transformation
from gradtx._rules.vectors import like, precision, scaled
from gradtx._rules.whole_tree import whole_tree
from gradtx._value.marks import Interval, NonNegative

Fraction = Annotated[Any, Interval(0.0, 1.0, closed=True)]


@transformation
def reduce_on_plateau(
    factor: Fraction = 0.1,
    patience: NonNegative = 10,
    rtol: Fraction = 1e-4,
    atol: NonNegative = 0.0,
    cooldown: NonNegative = 0,
    accumulation_size: NonNegative = 1,
    min_scale: NonNegative = 0.0,
) -> Rule:
    """The update, scaled down by ``factor`` each time the loss has not improved for a while.

        u ← s uₜ;   s = max(s·factor, min_scale) where n ≥ patience,   n = 0 where L < L* − rtol·|L*| − atol, else n + 1

    L is the mean of ``accumulation_size`` losses, each given to ``update`` as ``value``; L* is the lowest so far. After
    a reduction the next ``cooldown`` of these means do not count. Every argument may be traced and swept. The
    improvement is relative to |L*|, so losses of any sign will do; in Optax a loss below 0 is taken to improve when it
    gets worse by less than rtol·|L*|. A loss that is NaN does not improve. Source: PyTorch's ``ReduceLROnPlateau``.

    State: ``scale`` (s), ``best_value`` (L*), ``plateau_count`` (n), ``cooldown_count``; ``avg_value`` and
    ``accumulated``, the mean that is being taken and of how many. Raises `TransformationError`: no ``value``.

    >>> tx = reduce_on_plateau(0.5, patience=1)
    >>> _, state = tx.update(jnp.array([4.0]), tx.init(jnp.zeros(1)), value=-3.0)
    >>> tx.update(jnp.array([4.0]), state, value=-2.0)[0]  # it is worse
    Array([2.], dtype=float32)
    """

    def init(params: Tree) -> Any:
        real, none = precision(params), jnp.zeros([], jnp.int32)
        numbers = {"scale": 1.0, "best_value": jnp.inf, "avg_value": 0.0}
        counts = dict.fromkeys(("plateau_count", "cooldown_count", "accumulated"), none)
        return {name: jnp.asarray(x, real) for name, x in numbers.items()} | counts

    def update(updates: Tree, state: Any, *, value: Any) -> Any:
        best, scale = state["best_value"], state["scale"]
        n = state["accumulated"] + 1
        mean = state["avg_value"] + (like(value, best) - state["avg_value"]) / n.astype(best.dtype)
        full = n >= _whole(accumulation_size)
        known = jnp.isfinite(best)
        least = jnp.where(known, best, 0)
        enough = least - like(rtol, best) * jnp.abs(least) - like(atol, best)
        improved = jnp.where(known, mean < enough, mean < best)
        cooling = state["cooldown_count"] > 0
        waited = jnp.where(improved | cooling, 0, state["plateau_count"] + 1)
        over = ~cooling & (waited >= _whole(patience))
        reduced = jnp.maximum(scale * like(factor, scale), like(min_scale, scale))
        left = jnp.where(over, _whole(cooldown, 0), jnp.maximum(state["cooldown_count"] - 1, 0))
        after = {
            "scale": jnp.where(over, reduced, scale),
            "best_value": jnp.where(improved, mean, best),
            "plateau_count": jnp.where(over, 0, waited),
            "cooldown_count": left,
            "accumulated": jnp.zeros_like(n),
            "avg_value": jnp.zeros_like(mean),
        }
        waiting = {**state, "accumulated": n, "avg_value": mean}
        state = {name: jnp.where(full, after[name], waiting[name]).astype(old.dtype) for name, old in state.items()}
        return scaled(state["scale"], updates), state

    return whole_tree(update, init=init, conditions=True, packs=True)


def _whole(x: Any, least: int = 1) -> jax.Array:
    """A number of times, rounded up."""
    return jnp.maximum(jnp.ceil(jnp.asarray(x)), least).astype(jnp.int32)
