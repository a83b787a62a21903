"""Derivatives of the loss at the end of a training with respect to every number of the transformation."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.flatten_util
import jax.numpy as jnp

from gradtx._rules.transformation import GradientTransformation
from gradtx._training.step import as_transformation
from gradtx._tune.numbers import as_vector, at_vector, chosen
from gradtx._tune.training import Training
from gradtx._value.errors import TransformationError
from gradtx._value.signatures import signature_of

FEW = 2  # with so many numbers forward mode is cheaper than reverse mode
Mode = Literal["forward", "reverse"]
Train = Callable[..., Any]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Hypergradients:
    """The loss at the end of a training, and its ``gradient``: one derivative for each number, by name."""

    loss: jax.Array
    gradient: dict[str, jax.Array]


def hypergradients(
    train: Train,
    tx: GradientTransformation,
    *args: Any,
    names: str | Sequence[str] | None = None,
    numbers: Mapping[str, Any] | None = None,
    mode: Mode | None = None,
) -> Hypergradients:
    """The loss at the end of a training, and its derivative with respect to every number, in one compiled program.

        g_h = d train(tx) / dh   for every number h of the transformation and of its schedules

    ``train(tx, *args)`` returns one real number: a `training`, or any function that JAX can differentiate. Names are
    those of `gradtx.hyperparameters`, and dotted further into schedules: ``adam.learning_rate.peak_value``. ``names``
    chooses some of them, by shell globs; seeds have no derivative and are left out. ``numbers`` are those of the loss,
    handed to ``train`` by keyword and differentiated too. That of a decay is with respect to the decay itself.

    ``mode="forward"`` carries all derivatives along with the training, which runs once: no memory to speak of, but
    each number costs one to one and a half trainings. ``"reverse"`` runs the training backwards: three to four
    trainings for any number of numbers, and copies of parameters and state (see `training`). If not given: forward
    for up to two numbers. A function is compiled once, as under ``jit``. Works under ``jit`` and ``vmap``.

    Source: Franceschi et al. 2017 (both modes); Maclaurin, Duvenaud & Adams 2015.

    Raises `TransformationError`: a name that is none, a stacked transformation, a result that is no real number.

    >>> from gradtx import sgd
    >>> train = lambda tx: (1 - tx.learning_rate) ** 4 / 2  # two steps of gradient descent on w²/2 from 1
    >>> found = hypergradients(train, sgd(0.5))
    >>> float(found.loss), {name: float(x) for name, x in found.gradient.items()}
    (0.03125, {'sgd.learning_rate': -0.25})
    """
    who = "tune.hypergradients"
    tx = as_transformation(who, tx)
    _check_train(who, train, args, numbers or {})
    if mode not in (None, "forward", "reverse"):
        raise TransformationError(f"{who}: mode: expected 'forward' or 'reverse', found {mode!r}")
    picked = tuple(number.name for number in chosen(who, tx, names))
    own = {name: jnp.asarray(x, jnp.result_type(float)) for name, x in (numbers or {}).items()}
    clash = next((name for name in own if name in picked), None)
    if clash is not None:
        raise TransformationError(f"{who}: numbers: {clash!r} is a number of the transformation too")
    if mode is None:
        mode = "forward" if len(picked) + len(own) <= FEW else "reverse"
    function, lead = (Training.__call__, (train,)) if isinstance(train, Training) else (train, ())
    found = _program(function, picked, mode, lead, tx, args, own)
    return Hypergradients(found.loss, {name: found.gradient[name] for name in (*picked, *own)})  # jit sorts them


def _check_train(who: str, train: Train, args: tuple[Any, ...], numbers: Mapping[str, Any]) -> None:
    """Raise unless it can be called with a transformation, and with what is handed on."""
    try:
        signature_of(train).bind(None, *args, **numbers)
    except TypeError as error:
        what = f"found {train!r}" if not callable(train) else str(error)
        raise TransformationError(
            f"{who}: train: expected a function of the transformation, such as tune.training(loss, ...): {what}"
        ) from None
    except ValueError:  # its signature is unknown
        return


def _programmed(function: Train, names: tuple[str, ...], mode: Mode, lead: Any, tx: Any, args: Any, own: Any) -> Any:
    picked = chosen("", tx, names)
    vector = as_vector(tx, picked)

    def value(vector: Any, own: Any) -> jax.Array:
        found = function(*lead, at_vector(tx, picked, vector), *args, **own)
        if jnp.shape(found) != () or not jnp.issubdtype(jnp.result_type(found), jnp.floating):
            raise TransformationError(f"tune.hypergradients: train: expected one real number, found {found!r}")
        return jnp.asarray(found)

    if mode == "reverse":
        loss, (slopes, of_loss) = jax.value_and_grad(value, argnums=(0, 1))(vector, own)
        return Hypergradients(loss, dict(zip(names, slopes, strict=True)) | of_loss)
    flat, unravel = jax.flatten_util.ravel_pytree((vector, own))

    def along(direction: jax.Array) -> Any:
        return jax.jvp(lambda flat: value(*unravel(flat)), (flat,), (direction,))

    if not flat.size:
        return Hypergradients(value(vector, own), {})
    loss, slopes = jax.vmap(along, out_axes=(None, 0))(jnp.eye(flat.size, dtype=flat.dtype))
    slopes, of_loss = unravel(slopes.astype(flat.dtype))
    return Hypergradients(loss, dict(zip(names, slopes, strict=True)) | of_loss)


_program = jax.jit(_programmed, static_argnums=(0, 1, 2))
