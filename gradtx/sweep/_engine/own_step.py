"""A train step of the user's own, in the place of a loss and a transformation."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp

from gradtx._training.asked import asks_for
from gradtx._training.model import Form, opened
from gradtx._training.objective import Carried
from gradtx._training.prepare import Prepared, arrays_of, check_hash
from gradtx._tree.paths import path_name
from gradtx._value.errors import TransformationError

Tree = Any


@dataclass(frozen=True)
class OwnStep:
    """``step(carry, batch, **numbers) -> (carry, loss)``, or ``carry`` where there is no loss.

    ``form`` puts the carry together. A step without a loss counts as zero, or NaN where the carry is not finite.
    """

    step: Callable[..., Any]
    form: Form
    keyed: bool
    has_loss: bool = True
    has_aux: bool = False
    state_form: None = None

    def called(self, params: Tree, carried: Carried, *batch: Tree, key: Any = None, **numbers: Any) -> Any:
        """What the step returns."""
        if self.keyed:
            numbers["key"] = key
        return self.step(self.model(params, carried), *batch, **numbers)

    def advance(self, tx: None, params: Tree, state: None, carried: Carried, *batch: Tree, **more: Any) -> Any:
        """One step: the arrays of the carry, no state, what is carried, and the loss."""
        made = self.called(params, carried, *batch, **more)
        carry, value = made if self.has_loss else (made, None)
        params, own, _ = opened("sweep.run", carry)
        if value is None:
            finite = [jnp.all(jnp.isfinite(x)) for x in jax.tree.leaves(params) if jnp.issubdtype(x.dtype, jnp.inexact)]
            value = jnp.where(functools.reduce(jnp.logical_and, finite, jnp.asarray(True)), 0.0, jnp.nan)
        return params, state, Carried(own, None), value

    def computed(self, params: Tree, *args: Any, **more: Any) -> Any:
        """What the step computes."""
        return self.advance(None, params, None, *args, **more)

    def init_rows(self, tx: None, params: Tree) -> None:
        """There is no state."""

    def deployed(self, tx: None, params: Tree, state: None) -> Tree:
        """The carry as it is."""
        return params

    def model(self, params: Tree, carried: Carried) -> Any:
        """The carry as the user knows it."""
        return self.form.close(params, carried.own)

    def state(self, carried: Carried) -> None:
        """There is none."""


def prepared_step(step: Any, carry: Any, batch: Tree, numbers: dict[str, Any]) -> Prepared:
    """Open the carry, and try the step on it. Raises `TransformationError` unless it returns a carry like its own."""
    check_hash(f"sweep.run: step: expected a function that hashes, found {step!r}", step)
    model, _, maker = arrays_of("sweep.run", carry)
    check_hash("sweep.run: params: a static part of the carry does not hash", model.form)
    own = OwnStep(step, model.form, "key" not in numbers and asks_for(step, "key"))
    carried, kinds = Carried(model.carried, None), []

    def tried(params: Tree, carried: Carried, batch: Tree, key: Any, numbers: Any) -> Any:
        made = own.called(params, carried, batch, key=key, **numbers)
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
