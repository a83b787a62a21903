"""The coordinate check: whether activations keep their size as a model grows wider, at the start and in training."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradtx import tree as trees
from gradtx._rules.functions import eval_params
from gradtx._training.step import advance
from gradtx._value.errors import TransformationError
from gradtx._value.whole import whole_number

Tree = Any


@dataclass(frozen=True)
class Coordinates:
    """Sizes of activations by layer, width and step: ``sizes[layer]`` is (widths × steps + 1), the mean of |x|.

    ``changes[layer]`` is the mean of |x − x₀|, what training has done to them; its first column is 0. Both are means
    over seeds.
    """

    widths: tuple[int, ...]
    sizes: dict[str, np.ndarray]
    changes: dict[str, np.ndarray]

    def slopes(self, what: str = "changes") -> dict[str, np.ndarray]:
        """The power of the width that each size grows with, one for each step, fitted to logarithms.

        About 0 is what μP promises of changes; at the start it lets outputs fall with power −½.
        """
        if what not in ("changes", "sizes"):
            raise TransformationError(f"coordinates: slopes: expected 'changes' or 'sizes', found {what!r}")
        across = np.log(np.asarray(self.widths, float))
        across -= across.mean()
        found = {}
        for layer, table in getattr(self, what).items():
            with np.errstate(divide="ignore", invalid="ignore"):
                found[layer] = across @ np.log(table) / (across @ across)
        return found

    def plot(self) -> Any:
        """A matplotlib figure: for each layer its change against the width, one curve for each step."""
        from gradtx._report.tuning import coordinates

        return coordinates(self)


def coordinate_check(
    make: Callable[[int, Any], tuple[Tree, Any]],
    activations: Callable[[Tree, Tree], Tree],
    loss: Callable[[Tree, Tree], Any],
    batch: Tree,
    *,
    widths: Sequence[int],
    steps: int = 3,
    seeds: int = 3,
) -> Coordinates:
    """Train a model at several widths for a few steps on one batch, and measure how large its activations are.

        sizes[layer][width, t] = mean |x_t|,   changes[layer][width, t] = mean |x_t − x₀|

    ``make(width, key)`` returns initial parameters and a transformation, such as ``m.initial(params)`` and
    ``m.scaled(adam(rate))`` of `mup`; ``activations(params, batch)`` a tree of arrays, one for each layer. Where the
    parametrization is right the changes are of one size at all widths; in the standard one they grow (Adam) in all
    layers but the first. The coordinates are means over ``seeds`` initial parameters.

    Source: Yang et al. 2022, Appendix D.1.

    Raises `TransformationError`: fewer than two widths.

    >>> def make(n, key):
    ...     from gradtx import sgd
    ...     return jnp.ones(n) / n, sgd(0.1)
    >>> layers = lambda w, x: {"out": jnp.sum(w * x)}
    >>> squares = lambda w, x: (jnp.sum(w * x) - 2.0) ** 2 / 2
    >>> found = coordinate_check(make, layers, squares, jnp.array(1.0), widths=[2, 4, 8], steps=1, seeds=1)
    >>> [round(float(x), 2) for x in found.slopes()["out"]][1]  # the change is 0.1n: in proportion to the width
    1.0
    """
    steps, seeds = (
        whole_number("tune.coordinate_check: steps", steps),
        whole_number("tune.coordinate_check: seeds", seeds),
    )
    widths = tuple(whole_number("tune.coordinate_check: widths", n) for n in widths)
    if len(set(widths)) < 2:
        raise TransformationError(f"tune.coordinate_check: widths: expected two or more, found {list(widths)}")
    rows = [_course(make, activations, loss, batch, width, steps, seeds) for width in widths]
    names = list(rows[0][0])
    sizes, changes = ({name: np.stack([row[n][name] for row in rows]) for name in names} for n in (0, 1))
    return Coordinates(widths, sizes, changes)


def _course(make: Any, activations: Any, loss: Any, batch: Tree, width: int, steps: int, seeds: int) -> Any:
    """The sizes and the changes at one width, for each layer one number a step."""

    @jax.jit
    def course(params: Tree, tx: Any) -> Any:
        def measured(params: Tree, state: Any) -> Tree:
            return activations(eval_params(tx, params, state), batch)

        def step(carry: Any, _: Any) -> Any:
            params, state, *_ = advance(lambda params: (loss(params, batch), None), tx, *carry)
            return (params, state), measured(params, state)

        state = tx.init(params)
        first = measured(params, state)
        later = jax.lax.scan(step, (params, state), length=steps)[1]
        every = jax.tree.map(lambda x, xs: jnp.concatenate([x[None], xs]), first, later)

        def mean(x: jax.Array) -> jax.Array:
            return jnp.mean(jnp.abs(x), axis=tuple(range(1, x.ndim)))

        return jax.tree.map(mean, every), jax.tree.map(lambda xs, x: mean(xs - x[None]), every, first)

    found = [course(*make(width, jax.random.key(seed))) for seed in range(seeds)]
    tables = jax.tree.map(lambda *xs: np.mean(np.stack([np.asarray(x, float) for x in xs]), 0), *found)
    return [dict(zip(trees.paths(table), trees.flatten(table)[0], strict=True)) for table in tables]
