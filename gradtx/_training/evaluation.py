"""Metrics of a model that the user measures: numbers by name, such as a held-out accuracy."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from gradtx._training.asked import asks_for
from gradtx._training.objective import Carried, Objective
from gradtx._value.errors import TransformationError, in_words
from gradtx._value.signatures import signature_of

Tree = Any
Evaluate = Callable[..., Mapping[str, Any]]


def evaluated(evaluate: Evaluate, objective: Objective, params: Tree, carried: Carried) -> Mapping[str, Any]:
    """What ``evaluate`` returns for a model; it gets ``model_state`` where it asks for it."""
    asked = objective.state_form is not None and asks_for(evaluate, "model_state")
    more = {"model_state": objective.state(carried)} if asked else {}
    return evaluate(objective.model(params, carried), **more)  # pyright: ignore[reportReturnType]


def metrics_of(
    who: str, evaluate: Evaluate | None, objective: Objective, params: Tree, carried: Carried, every: int | None
) -> list[str]:
    """The names of the metrics. Raises `TransformationError` unless ``evaluate`` returns numbers by name."""
    if evaluate is None:
        if every is not None:
            raise TransformationError(f"{who}: evaluate_every: nothing to evaluate: give evaluate=")
        return []
    if not callable(evaluate):
        raise TransformationError(f"{who}: evaluate: expected a function, found {evaluate!r}")

    _check_arguments(who, evaluate, objective)
    names: list[str] = []

    def metrics(params: Tree, carried: Carried) -> Any:
        try:
            found = _mapping(who, evaluated(evaluate, objective, params, carried))
        except (jax.errors.ConcretizationTypeError, jax.errors.TracerArrayConversionError) as error:
            raise TransformationError(
                f"{who}: evaluate: it is compiled, as the loss is, so float(), NumPy and scikit-learn cannot be used "
                "in it: take jax.numpy, or measure the models of the result"
            ) from error
        names.extend(found)  # a tree of JAX would sort them
        return [_number(who, name, x) for name, x in found.items()]

    jax.eval_shape(metrics, params, carried)
    return names


def _check_arguments(who: str, evaluate: Evaluate, objective: Objective) -> None:
    """Raise unless it can be called with a model and nothing else."""
    asked = objective.state_form is not None and asks_for(evaluate, "model_state")
    try:
        signature = signature_of(evaluate)
    except (TypeError, ValueError):  # its signature is unknown
        return
    try:
        signature.bind("params", **({"model_state": None} if asked else {}))
    except TypeError:
        raise TransformationError(f"{who}: evaluate: expected evaluate(params), found evaluate{signature}") from None


def _mapping(who: str, found: Any) -> Mapping[str, Any]:
    if not isinstance(found, Mapping):
        raise TransformationError(
            f"{who}: evaluate: expected a mapping from names to numbers, such as {{'error': ...}}, "
            f"found {in_words(found)}"
        )
    return found


def _number(who: str, name: str, x: Any) -> Any:
    """The metric as an array. Raises unless it is one real number."""
    try:
        made = jnp.asarray(x)
    except (TypeError, ValueError):
        raise TransformationError(f"{who}: evaluate: {name}: expected one number, found {x!r}") from None
    if made.shape != ():
        raise TransformationError(f"{who}: evaluate: {name}: expected one number, found {in_words(made)}")
    kinds = (jnp.floating, jnp.integer, jnp.bool_)
    if not any(jnp.issubdtype(made.dtype, kind) for kind in kinds):
        raise TransformationError(f"{who}: evaluate: {name}: expected a real number, found {made.dtype}")
    return made
