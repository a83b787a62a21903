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
from gradtx._training.batches import check_data, first_rows
from gradtx._training.fit import begun, one_step
from gradtx._training.objective import Carried, Loss, Objective
from gradtx._training.prepare import check_objective, prepared
from gradtx._training.step import as_transformation
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
    carried: Carried
    data: Tree
    held_out: Tree
    key: Any
    objective: Objective = field(metadata={"static": True})
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
        params, state, carried = self._trained(tx, numbers)
        return measured(self.objective, self.measure, eval_params(tx, params, state), carried, self.held_out, self.key)

    def truncated(self, steps: int) -> "Training":
        """The same training for another number of steps: a shorter horizon, whose derivatives are tamer."""
        return replace(self, steps=whole_number("truncated: steps", steps))

    def _trained(self, tx: GradientTransformation, numbers: dict[str, Any]) -> Any:
        given, opened, _ = packed((tx, numbers))
        start = self.params, tx.init(self.params), self.carried
        start = begun(start, self.key, jnp.asarray(0), self.data, self.batch_size)
        start, inside, outside = packed(start)

        def step(given: Any, carry: Any, n: Any) -> Any:
            tx, numbers = opened(given)
            new, _ = one_step(self.objective, tx, self.data, self.key, self.batch_size, **numbers)(inside(carry), n)
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
        trained, _ = inside(steps(given, start, which) if which.size else start)
        return trained

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
    key = jax.random.key(seed)
    ready = prepared("tune.training", loss, params)
    objective, (params, carried) = ready.objective, ready.made(key)
    held_out = data if held_out is None else held_out
    data = check_data("tune.training", data, batch_size)
    held_out = jax.tree.map(jnp.asarray, held_out)
    if measure is None:
        for tried in (first_rows(data, batch_size), held_out):
            check_objective("tune.training", objective, params, carried, tried, key=key)
    else:
        value = jax.eval_shape(functools.partial(measured, objective, measure), params, carried, held_out, key)
        if getattr(value, "shape", None) != () or not jnp.issubdtype(value.dtype, jnp.floating):
            raise TransformationError(f"tune.training: measure: expected one real number, found {value}")
    return Training(params, carried, data, held_out, key, objective, measure, steps, batch_size, segments)


def measured(objective: Objective, measure: Any, params: Tree, carried: Carried, held_out: Tree, key: Any) -> Any:
    """The loss at the end: that of training, or what ``measure`` returns for the model."""
    if measure is not None:
        return measure(objective.model(params, carried), held_out)
    return objective(params, carried, held_out, key=key)[0]
