"""A train step of the user's own, in the place of a loss and a transformation."""

import functools
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp

from gradtx._training.asked import asks_for
from gradtx._training.model import opened
from gradtx._training.objective import Carried, Objective
from gradtx._training.prepare import Prepared, arrays_of, check_hash
from gradtx._tree.paths import path_name
from gradtx._value.errors import TransformationError

Tree = Any


@dataclass(frozen=True)
class OwnStep(Objective):
    """``step(carry, batch, **numbers) -> (carry, loss)``, or ``carry`` where there is no loss; it stands for ``loss``.

    A step without a loss counts as zero, or NaN where the carry is not finite.
    """

    has_loss: bool = True

    def advance(self, tx: Any, params: Tree, state: Tree, carried: Carried, *batch: Tree, **more: Any) -> Any:
        """One step: the arrays of the carry, no state, what is carried, and the loss."""
        made = self.called(params, carried, *batch, **more)[1]
        carry, value = made if self.has_loss else (made, None)
        params, own, _ = opened("sweep.run", carry)
        if value is None:
            finite = [jnp.all(jnp.isfinite(x)) for x in jax.tree.leaves(params) if jnp.issubdtype(x.dtype, jnp.inexact)]
            value = jnp.where(functools.reduce(jnp.logical_and, finite, jnp.asarray(True)), 0.0, jnp.nan)
        return params, state, Carried(own, None), value

    def computed(self, params: Tree, *args: Any, **more: Any) -> Any:
        """What the step computes."""
        return self.advance(None, params, None, *args, **more)

    def init_rows(self, tx: Any, params: Tree) -> None:
        """There is no state."""

    def deployed(self, tx: Any, params: Tree, state: Tree) -> Tree:
        """The carry as it is."""
        return params


def prepared_step(step: Any, carry: Any, batch: Tree, numbers: dict[str, Any]) -> Prepared:
    """Open the carry, and try the step on it. Raises `TransformationError` unless it returns a carry like its own."""
    check_hash(f"sweep.run: step: expected a function that hashes, found {step!r}", step)
    model, _, maker = arrays_of("sweep.run", carry)
    check_hash("sweep.run: params: a static part of the carry does not hash", model.form)
    own = OwnStep(step, model.form, keyed="key" not in numbers and asks_for(step, "key"))
    carried, kinds = Carried(model.carried, None), []

    def tried(params: Tree, carried: Carried, batch: Tree, key: Any, numbers: Any) -> Any:
        made = own.called(params, carried, batch, key=key, **numbers)[1]
        before = (params, carried.own)
        after, value = _like(made, before), None
        if after is None and isinstance(made, tuple) and len(made) == 2:
            after, value = _like(made[0], before), made[1]
        if after is None:
            raise TransformationError(
                "sweep.run: step: expected (carry, loss), or a carry, of the structure of the one given, "
                f"{jax.tree.structure(before[0])}, found {jax.tree.structure(made)}"
            )
        kinds.append(value is not None)
        return after, value

    after, value = jax.eval_shape(tried, model.params, carried, batch, jax.random.key(0), numbers)
    pairs = zip(jax.tree_util.tree_leaves_with_path((model.params, model.carried)), jax.tree.leaves(after), strict=True)
    for (path, x), y in pairs:
        if (x.shape, x.dtype) != (y.shape, y.dtype):
            raise TransformationError(
                f"sweep.run: step: carry: leaf {path_name(path[1:])}: expected {x.dtype}{list(x.shape)}, as given, "
                f"found {y.dtype}{list(y.shape)}"
            )
    if value is not None and (value.shape != () or not jnp.issubdtype(value.dtype, jnp.floating)):
        raise TransformationError(f"sweep.run: step: expected a loss that is one real number, found {value}")
    return Prepared(replace(own, has_loss=kinds[0]), model.params, carried, maker)


def _like(made: Any, before: Any) -> Any:
    """The arrays of a carry, if it has the structure of the one before."""
    try:
        params, own, _ = opened("sweep.run", made)
    except TransformationError:
        return None
    return (params, own) if jax.tree.structure((params, own)) == jax.tree.structure(before) else None
