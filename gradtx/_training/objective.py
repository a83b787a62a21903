"""The loss as training calls it: of arrays, with what the model carries, a key and a state where they are asked for."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax

from gradtx._rules.functions import eval_params
from gradtx._training.model import Form, opened_tree
from gradtx._training.step import advance

Tree = Any
Loss = Callable[..., Any]
FOR_LOSS = 0x1055  # folded into the seed: the keys of losses are none of those that order batches


class Carried(NamedTuple):
    """What training carries beside parameters and state: the model's own arrays, and ``model_state``."""

    own: Tree = None
    given: Tree = None


class Extras(NamedTuple):
    """What comes with the value of a loss."""

    carried: Carried
    aux: Tree = None


@dataclass(frozen=True)
class Objective:
    """A loss of arrays: ``(params, carried, *batch, key=..., **numbers) -> value, Extras``. Hashes, so it is static.

    ``form`` puts the model together, ``state_form`` the ``model_state`` if the loss is given one. ``keyed``: it takes a
    ``key``.
    """

    loss: Loss
    form: Form = Form()  # noqa: RUF009 - it is a constant
    state_form: Form | None = None
    has_aux: bool = False
    keyed: bool = False

    @property
    def told(self) -> bool:
        """Whether the loss returns what is carried, beside its value."""
        return self.state_form is not None or self.form.told

    def __call__(self, params: Tree, carried: Carried, *batch: Tree, key: Any = None, **numbers: Any) -> Any:
        model, made = self.called(params, carried, *batch, key=key, **numbers)
        value, returned, aux = self._parts(made)
        given = carried.given if self.state_form is None else opened_tree("model_state", returned).params
        own = self.form.carry(model, carried.own, returned if self.form.told else None)
        return value, Extras(Carried(own, given), aux)

    def called(self, params: Tree, carried: Carried, *batch: Tree, key: Any = None, **numbers: Any) -> tuple[Any, Any]:
        """The model, and what the loss returns for it."""
        model = self.model(params, carried)
        if self.keyed:
            numbers["key"] = key
        if self.state_form is not None:
            numbers["model_state"] = self.state(carried)
        return model, self.loss(model, *batch, **numbers)

    def _parts(self, made: Any) -> tuple[Any, Any, Any]:
        """The value, what the loss returned to be carried, and the auxiliary output."""
        if not self.told:
            return (made[0], None, made[1]) if self.has_aux else (made, None, None)
        if self.has_aux:
            return made[0], *made[1]
        value, returned = made if isinstance(made, tuple) else (made, None)
        return value, returned, None

    def advance(self, tx: Any, params: Tree, state: Tree, carried: Carried, *batch: Tree, **more: Any) -> Any:
        """One step: parameters, state, what is carried, and the value of the loss."""
        made = advance(lambda params: self(params, carried, *batch, **more), tx, params, state)
        return made.params, made.state, made.extras.carried, made.value

    def computed(self, *args: Any, **more: Any) -> Any:
        """What the loss computes, whatever is made of it."""
        return self(*args, **more)

    def init_rows(self, tx: Any, params: Tree) -> Tree:
        """The states of stacked transformations for stacked parameters."""
        return jax.vmap(lambda tx, params: tx.init(params))(tx, params)

    def deployed(self, tx: Any, params: Tree, state: Tree) -> Tree:
        """The parameters to deploy."""
        return eval_params(tx, params, state)

    def model(self, params: Tree, carried: Carried) -> Any:
        """The user's model."""
        return self.form.close(params, carried.own)

    def state(self, carried: Carried) -> Any:
        """The ``model_state`` as the user knows it, None where there is none."""
        return None if self.state_form is None else self.state_form.close(carried.given, None)


def key_of(seed_key: Any, step: Any) -> jax.Array:
    """The key of the loss at a step."""
    return jax.random.fold_in(jax.random.fold_in(seed_key, FOR_LOSS), step)
