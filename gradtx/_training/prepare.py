"""From what a user gives to what training takes: the model is opened, and the loss is tried on it."""

import functools
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx._training.asked import asks_for, parameter_of, takes_any
from gradtx._training.model import Form, Opened, is_initializer, made_of, opened, opened_tree
from gradtx._training.objective import Carried, Loss, Objective
from gradtx._tree.paths import path_name
from gradtx._value.errors import TransformationError, in_words, within
from gradtx._value.signatures import signature_of

Tree = Any


@dataclass(frozen=True)
class Maker:
    """Makes the arrays of a model, of ``model_state``, or of both, of a key."""

    who: str
    model: Callable[..., Any] | None
    state: Callable[..., Any] | None

    def __call__(self, key: jax.Array, params: Tree, carried: Carried) -> tuple[Tree, Carried]:
        own, given = carried
        if self.model is not None:
            params, own, _ = opened(self.who, self.model(key))
        if self.state is not None:
            given = opened_tree(f"{self.who}: model_state", self.state(key)).params
        return params, Carried(own, given)


class Prepared(NamedTuple):
    """A loss and a model, ready to be trained; ``params`` and ``carried`` are shapes where ``maker`` makes them."""

    objective: Objective
    params: Tree
    carried: Carried
    maker: Maker | None

    def made(self, key: jax.Array) -> tuple[Tree, Carried]:
        """Parameters and what is carried: as they were given, or as a key makes them."""
        return self.given if self.maker is None else self.maker(key, *self.given)

    @property
    def given(self) -> tuple[Tree, Carried]:
        """The arrays that are there before there is a key."""
        if self.maker is None:
            return self.params, self.carried
        params, own = (None, None) if self.maker.model else (self.params, self.carried.own)
        return params, Carried(own, None if self.maker.state else self.carried.given)


def arrays_of(who: str, params: Any, model_state: Any = None) -> tuple[Opened, Opened, Maker | None]:
    """A model and a ``model_state``, opened, and what makes them where they are functions of a key."""
    if params is None:
        raise TransformationError(f"{who}: params: expected a model, such as a tree of arrays, found None")
    linen = getattr(sys.modules.get("flax.linen"), "Module", None)
    if linen is not None and isinstance(params, linen):
        raise TransformationError(f"{who}: params: a module of Flax's linen has none: give module.init(key, x)")
    state, key = f"{who}: model_state", jax.random.key(0)
    makers = [x if is_initializer(x) else None for x in (params, model_state)]
    found = [
        open_(x) if maker is None else made_of(open_, maker, key)
        for x, maker, open_ in (
            (params, makers[0], lambda x: opened(who, x)),
            (model_state, makers[1], lambda x: opened_tree(state, x)),
        )
    ]
    return found[0], found[1], None if makers == [None, None] else Maker(who, *makers)


def prepared(
    who: str,
    loss: Loss,
    params: Any,
    *,
    model_state: Any = None,
    has_aux: bool = False,
    keyed: bool = True,
    numbers: Any = (),
) -> Prepared:
    """Open the model, and say how the loss is to be called. Raises `TransformationError` where that cannot be."""
    if not callable(loss):
        raise TransformationError(f"{who}: loss: expected a function, found {loss!r}")
    check_hash(f"{who}: loss: expected a function that hashes, found {loss!r}", loss)
    model, state, maker = arrays_of(who, params, model_state)
    _check_model_state(who, loss, model.form, model_state is not None)
    keyed = keyed and "key" not in numbers and asks_for(loss, "key")
    objective = Objective(loss, model.form, None if model_state is None else state.form, has_aux, keyed)
    check_hash(f"{who}: params: a static part of the model does not hash", model.form)
    return Prepared(objective, model.params, Carried(model.carried, state.params), maker)


def check_hash(message: str, x: Any) -> None:
    """Raise `TransformationError` for what does not hash."""
    try:
        hash(x)
    except TypeError:
        raise TransformationError(message) from None


def _check_model_state(who: str, loss: Loss, form: Form, given: bool) -> None:
    """Raise where a ``model_state`` was given that nobody takes, or is missing."""
    asked = parameter_of(loss, "model_state", 1)
    if not given:
        if asked is not None and asked.default is asked.empty:
            raise TransformationError(f"{who}: loss: it takes model_state, and none is given: give model_state=")
    elif form.told:
        raise TransformationError(f"{who}: model_state: the variables have collections of their own: give params alone")
    elif asked is None and not takes_any(loss):
        raise TransformationError(f"{who}: loss: expected it to take model_state=, as model_state is given")


# Checks ---------------------------------------------------------------------------------------------------------------


@functools.partial(jax.jit, static_argnums=0)  # so that a loss is traced once, not at every call
def _returned(objective: Objective, *args: Any, **more: Any) -> Any:
    return objective.called(*args, **more)[1]


@functools.partial(jax.jit, static_argnums=0)
def _changed(objective: Objective, *args: Any, **more: Any) -> Carried:
    return objective(*args, **more)[1].carried


def check_objective(who: str, objective: Objective, params: Tree, carried: Carried, *batch: Tree, **more: Any) -> None:
    """Raise `TransformationError` unless the loss returns one real number, and beside it what it should."""
    _check_arguments(who, objective, len(batch), more)
    made = _returned.eval_shape(objective, params, carried, *batch, **more)
    value = made
    if objective.told or objective.has_aux:
        value = _value_of(who, objective, made)
    elif isinstance(made, tuple):
        raise TransformationError(
            f"{who}: loss: expected one real number, found a tuple; has_aux=True takes (value, aux)"
        )
    if not hasattr(value, "shape") or value.shape != () or not jnp.issubdtype(value.dtype, jnp.floating):
        hint = ": take the mean of it" if getattr(value, "shape", None) else ""
        raise TransformationError(f"{who}: loss: expected one real number, found {in_words(value)}{hint}")
    if jax.tree.leaves(carried):
        made = within(who, _changed.eval_shape)(objective, params, carried, *batch, **more)
        _check_same(f"{who}: loss", carried, made)


def _check_arguments(who: str, objective: Objective, batches: int, more: Mapping[str, Any]) -> None:
    """Raise unless the loss can be called with the model, the batch if there is one, and what comes by keyword."""
    try:
        signature = signature_of(objective.loss)
    except (TypeError, ValueError):  # its signature is unknown
        return
    names = [*(name for name in more if name != "key"), *(["key"] if objective.keyed else [])]
    names += ["model_state"] if objective.state_form is not None else []
    given = ["params", "batch"][: 1 + batches]
    try:
        signature.bind(*given, **dict.fromkeys(names))
    except TypeError:
        wanted = ", ".join([*given, *(f"{name}=..." for name in names)])
        hint = _missing(who, signature, len(given), names)
        raise TransformationError(f"{who}: loss: expected loss({wanted}), found loss{signature}{hint}") from None


def _missing(who: str, signature: inspect.Signature, given: int, names: list[str]) -> str:
    """Where a number of the loss of a sweep comes from; empty where none is missing."""
    others = [
        p.name for p in list(signature.parameters.values())[given:] if p.default is p.empty and p.name not in names
    ]
    if not others or not who.startswith("sweep"):
        return ""
    return f"; the population gives it {others[0]}: grid(..., numbers={{{others[0]!r}: [...]}})"


def _value_of(who: str, objective: Objective, made: Any) -> Any:
    """The value among what a loss returned. Raises where that is not what the loss should return."""
    own = "collections" if objective.form.told else "model_state"
    beside = [*([own] if objective.told else []), *(["aux"] if objective.has_aux else [])]
    if objective.form.told and not objective.has_aux and not isinstance(made, tuple):
        return made  # it changed no collection
    parts = [made, *([made[1]] if len(beside) == 2 and _two(made) else [])]
    wrong = next((part for part in parts if not _two(part)), None)
    if wrong is not None:
        wanted = f"(value, {beside[0]})" if len(beside) == 1 else f"(value, ({', '.join(beside)}))"
        found = f"a tuple of {len(wrong)}" if isinstance(wrong, tuple) else type(wrong).__name__
        why = "has_aux=True" if beside == ["aux"] else " and ".join(beside)
        raise TransformationError(f"{who}: loss: expected {wanted}, for {why}, found {found}")
    return made[0]


def _two(made: Any) -> bool:
    return isinstance(made, tuple) and len(made) == 2


def _check_same(who: str, before: Carried, after: Carried) -> None:
    """Raise unless what is carried keeps its structure, shapes and dtypes."""
    for name, old, new in (
        ("model_state", before.given, after.given),
        ("what the model carries", before.own, after.own),
    ):
        if jax.tree.structure(old) != jax.tree.structure(new):
            raise TransformationError(
                f"{who}: {name}: expected the structure that was given, {jax.tree.structure(old)}, "
                f"found {jax.tree.structure(new)}"
            )
        for (path, x), y in zip(jax.tree_util.tree_leaves_with_path(old), jax.tree.leaves(new), strict=True):
            if (x.shape, x.dtype) != (y.shape, y.dtype):
                raise TransformationError(
                    f"{who}: {name}: leaf {path_name(path)}: expected {x.dtype}{list(x.shape)}, as given, "
                    f"found {y.dtype}{list(y.shape)}"
                )
