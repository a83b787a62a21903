"""A whole training as a function of the transformation, which may be differentiated in all of its numbers."""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import jax.numpy as jnp

from gradtx._rules.functions import eval_params
from gradtx._rules.loops import scan
from gradtx._rules.transformation import GradientTransformation
from gradtx._training.batches import check_data
from gradtx._training.fit import begun, one_step
from gradtx._training.step import Loss, as_transformation
from gradtx._tune.scalars import packed
from gradtx._value.errors import TransformationError
from gradtx._value.whole import whole_number

Tree = Any

KEPT = 2**28  # bytes: where parameters and states of all steps fit into so many, all of them are kept


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Training:
    """What `training` returns: call it with a transformation for the loss at the end."""

    params: Tree
    data: Tree
    held_out: Tree
    key: Any
    loss: Loss = field(metadata={"static": True})
    measure: Loss | None = field(metadata={"static": True})
    steps: int = field(metadata={"static": True})
    batch_size: int | None = field(metadata={"static": True})
    segments: int | None = field(metadata={"static": True})

    def __call__(self, tx: GradientTransformation, **numbers: Any) -> jax.Array:
        """The loss at the end; ``numbers`` are those of the training loss."""
        tx = as_transformation("tune.training", tx)
        if numbers and self.measure is None:
            raise TransformationError(
                f"tune.training: the loss takes {', '.join(numbers)}: give measure=, the loss at the end without them"
            )
        params, state = self._trained(tx, numbers)
        final = self.loss if self.measure is None else self.measure
        return final(eval_params(tx, params, state), self.held_out)

    def truncated(self, steps: int) -> "Training":
        """The same training for another number of steps: a shorter horizon, whose derivatives are tamer."""
        return replace(self, steps=whole_number("truncated: steps", steps))

    def _trained(self, tx: GradientTransformation, numbers: dict[str, Any]) -> Any:
        given, opened, _ = packed((tx, numbers))
        start = begun((self.params, tx.init(self.params)), self.key, jnp.asarray(0), self.data, self.batch_size)
        start, inside, outside = packed(start)

        def step(given: Any, carry: Any, n: Any) -> Any:
            tx, numbers = opened(given)
            loss = functools.partial(self.loss, **numbers) if numbers else self.loss
            new, _ = one_step(loss, tx, self.data, self.key, self.batch_size)(inside(carry), n)
            return outside(new), None

        def steps(given: Any, carry: Any, which: jax.Array) -> Any:
            return scan(functools.partial(jax.checkpoint(step, prevent_cse=False), given), carry, which)[0]

        def segment(given: Any, carry: Any, which: jax.Array) -> Any:
            return jax.checkpoint(steps, prevent_cse=False)(given, carry, which), None

        segments = self._segments(start)
        length, which = self.steps // segments, jnp.arange(self.steps)
        whole = segments * length
        if segments > 1:
            start = scan(functools.partial(segment, given), start, which[:whole].reshape(segments, length))[0]
            which = which[whole:]
        params_and_state, _ = inside(steps(given, start, which) if which.size else start)
        return params_and_state

    def _segments(self, carry: Any) -> int:
        if self.segments is not None:
            return min(self.segments, self.steps)
        size = sum(math.prod(jnp.shape(x)) * 4 for x in jax.tree.leaves(carry))
        return 1 if size * self.steps <= KEPT else math.isqrt(self.steps)


def training(
    loss: Loss,
    params: Tree,
    data: Tree,
    *,
    steps: int,
    held_out: Tree = None,
    batch_size: int | None = None,
    seed: int = 0,
    measure: Callable[[Tree, Tree], Any] | None = None,
    segments: int | None = None,
) -> Training:
    """A training as a function of the transformation: the loss at its end. For `hypergradients` and `tune`.

        train(tx) = measure(θ_T, held_out),   θ_T = the parameters of gradtx.fit(loss, params, tx, data) after ``steps``

    ``loss``, ``params``, ``data``, ``batch_size`` and ``seed`` are those of `gradtx.fit`, whose steps these are.
    Without ``held_out`` the loss at the end is that of all data. ``measure(params, held_out)`` is the loss at the end
    where it differs from ``loss``; it must be given if ``loss`` takes numbers of its own,
    ``train(tx, l2=1e-4)`` for ``loss(params, batch, l2)``. In reverse mode parameters and state at the beginning of
    ``segments`` parts of the run are kept, and inside the part that is being differentiated those of every step:
    segments + steps/segments copies in all, for one more training. If not given: one segment, that is a copy of every
    step, where those fit into 256 MB; else √steps. It may be called, jitted and differentiated like any function.

    Raises `TransformationError`: data, a batch size or a loss that `gradtx.fit` would refuse.

    >>> from gradtx import sgd
    >>> x = jnp.array([1.0, 1.0])
    >>> train = training(lambda w, batch: jnp.mean((w - batch) ** 2) / 2, jnp.array(0.0), x, steps=2)
    >>> float(train(sgd(0.5)))  # w = 0.75 after two steps
    0.03125
    """
    steps = whole_number("tune.training: steps", steps)
    if segments is not None:
        segments = whole_number("tune.training: segments", segments)
    measured = loss if measure is None else measure
    params = jax.tree.map(jnp.asarray, params)
    held_out = data if held_out is None else held_out
    data = check_data("tune.training", loss if measure is None else _nothing, params, data, batch_size)
    held_out = jax.tree.map(jnp.asarray, held_out)
    value = jax.eval_shape(measured, params, held_out)
    if getattr(value, "shape", None) != () or not jnp.issubdtype(value.dtype, jnp.floating):
        raise TransformationError(f"tune.training: measure: expected one real number, found {value}")
    return Training(params, data, held_out, jax.random.key(seed), loss, measure, steps, batch_size, segments)


def _nothing(params: Tree, batch: Tree) -> jax.Array:
    """Stands for a loss whose numbers are not known yet."""
    del params, batch
    return jnp.zeros([])
