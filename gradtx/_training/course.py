"""The course of one fit: chunks of steps, evaluations and the callback between them, and the result."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from gradtx._rules.functions import eval_params
from gradtx._rules.transformation import GradientTransformation
from gradtx._training.callback import Callback, Progress, wants_to_stop
from gradtx._training.chunks import CHUNKS, Clock, in_chunks
from gradtx._training.evaluation import Evaluate, evaluated
from gradtx._training.feed import Feed
from gradtx._training.model import Opened, rebuilt
from gradtx._training.objective import Objective, key_of
from gradtx._training.result import ALL_TAKEN, CALLBACK, DATA_ENDED, NOT_FINITE, Fit, ended
from gradtx._value.errors import TransformationError

Tree = Any


@dataclass
class Course:
    """A fit under way. ``run(data, key, carry, first, steps=...)`` takes steps; ``steps`` is how many were taken."""

    objective: Objective
    evaluate: Evaluate | None
    tx: GradientTransformation
    clock: Clock
    key: jax.Array
    data: Any
    run: Callable[..., Any]
    callback: Callback | None
    names: list[str]
    steps: int = 0
    why: int = ALL_TAKEN
    error: Exception | None = None
    found: list[dict[str, Any]] = field(default_factory=list)

    def go(self, carry: Tree, show: bool | None) -> tuple[Tree, jax.Array]:
        """Train to the end; what was trained, and the records."""
        if not isinstance(self.data, Feed):
            self.steps = self.clock.steps
            return in_chunks(
                "fit", functools.partial(self.run, self.data, self.key), carry, self.clock, show, self._done
            )
        try:
            self.data.begin([n for _, n in self.clock.chunks()], jax.device_put)
            return in_chunks("fit", self._fed, carry, self.clock, show, self._done)
        finally:
            self.data.close()

    def _fed(self, carry: Tree, first: jax.Array, *, steps: int) -> tuple[Tree, jax.Array]:
        """Steps on the next batches of the feed, as many as there are."""
        if any(isinstance(x, Tracer) for x in jax.tree.leaves((carry, first))):
            raise TransformationError("fit: data: an iterable is read by the host, and nothing else here can be traced")
        stride = self.data.take()
        self.error, self.steps = stride.error, int(first) + stride.count
        if not stride.count:
            return carry, jnp.zeros(0)
        return self.run(stride.batches, self.key, carry, first, steps=stride.count, fed=True)

    def _done(self, carry: Tree, step: int, records: list[jax.Array]) -> bool:
        """After a chunk: evaluate where it is time, and ask the callback."""
        if self.error is not None:
            self.why = DATA_ENDED
            return True
        if self.evaluate is not None and step in self.clock.evaluations:
            self.found.append(self._metrics(*carry))
        if isinstance(records[-1], Tracer) or not wants_to_stop(self.callback, lambda: self._progress(step, records)):
            return False
        if step < self.clock.steps:
            self.steps, self.why = step, CALLBACK
        return True

    def _progress(self, step: int, records: list[jax.Array]) -> Progress:
        left = [np.nan] * (len(self.clock.evaluations) - len(self.found))
        curves = {name: np.asarray([*(found[name] for found in self.found), *left]) for name in self.names}
        return Progress(step, self.clock.steps, np.asarray(records[-1][-1]), None, curves)

    def _metrics(self, params: Tree, state: Tree, carried: Any) -> dict[str, jax.Array]:
        return {} if self.evaluate is None else measured(self.evaluate, self.objective, self.tx, params, state, carried)

    def _last_key(self) -> Any:
        return key_of(self.key, self.steps) if self.objective.keyed else None

    def result(self, carry: Tree, records: jax.Array, final: Tree) -> Fit:
        """The result; or the error that ended the data, with the result in it."""
        params, state, carried = carry
        if final is not None:
            value, aux = final_loss(self.objective, self.tx, params, state, carried, final, key=self._last_key())
        else:
            span = -(-len(records) // CHUNKS)
            value, aux = jnp.mean(records[-span:]) if len(records) else jnp.asarray(jnp.nan), None
        why = ended(jnp.where(jnp.isfinite(value) | (self.why != ALL_TAKEN), self.why, NOT_FINITE), state)
        fit = Fit(
            rebuilt(Opened(params, carried.own, self.objective.form)),
            state,
            records,
            value,
            jnp.asarray(self.steps, jnp.int32),
            why,
            aux,
            self._metrics(*carry),
            {name: jnp.stack([found[name] for found in self.found]) for name in self.names if self.found},
            np.asarray(self.clock.evaluations[: len(self.found)], int),
            self.objective.state(carried),
        )
        if self.error is not None:
            self.error.result = fit  # pyright: ignore[reportAttributeAccessIssue]
            raise self.error
        return fit


@functools.partial(jax.jit, static_argnames=("objective",))
def final_loss(
    objective: Objective, tx: Any, params: Tree, state: Tree, carried: Any, *batch: Tree, key: Any = None
) -> Any:
    """The loss of the parameters to deploy, and its auxiliary output, None if it has none."""
    value, extras = objective(eval_params(tx, params, state), carried, *batch, key=key)
    return value, extras.aux


@functools.partial(jax.jit, static_argnames=("evaluate", "objective"))
def measured(evaluate: Evaluate, objective: Objective, tx: Any, params: Tree, state: Tree, carried: Any) -> Any:
    """The metrics of the parameters to deploy."""
    found = evaluated(evaluate, objective, eval_params(tx, params, state), carried)
    return {name: jnp.asarray(x) for name, x in found.items()}
