"""What contracts have in common: the table where they are registered, and the run that they compare."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._rules.functions import apply_updates
from gradtx._rules.transformation import GradientTransformation
from gradtx._testing.trials import default_params
from gradtx._value.frozen import Frozen
from gradtx._value.named_links import Links
from gradtx._value.value import Value

Tree = Any
Extra = Mapping[str, Any]

CONTRACTS: dict[str, Callable[..., None]] = {}
"""What `gradtx.testing.check` holds a transformation to: a function for each contract, by name."""


def update(tx: GradientTransformation, gradient: Tree, state: Tree, params: Tree, extra: Extra) -> Any:
    """One update, and the state after it."""
    return tx.update(gradient, state, params, **extra)


jitted_update = jax.jit(update)  # shared by all contracts: one compilation per structure, whatever the numbers


def run(
    tx: GradientTransformation,
    params: Tree,
    gradients: list[Tree],
    extra: Extra,
    update: Callable[..., Any] = update,
) -> dict[str, Any]:
    """A few updates from the initial state: every update, and the last state and parameters."""
    state, updates = tx.init(params), []
    for gradient in gradients:
        made, state = update(tx, gradient, state, params, extra)
        params = apply_updates(params, made)
        updates.append(made)
    return {"updates": updates, "state": state, "params": params}


def contract(body: Callable[..., None]) -> Callable[..., None]:
    """Register a contract: with default parameters, and errors that name the transformation and the contract."""
    takes = {"tolerance"} & set(inspect.signature(body).parameters)

    def checked(
        tx: GradientTransformation, params: Tree = None, *, extra: Extra | None = None, tolerance: float | None = None
    ) -> None:
        params = default_params() if params is None else trees.map(jnp.asarray, params)
        try:
            body(tx, params, extra or {}, **dict.fromkeys(takes, tolerance))
        except Exception as error:
            raise AssertionError(f"{tx}: {body.__name__.replace('_', ' ')}: {error}") from error

    checked.__name__ = checked.__qualname__ = body.__name__
    checked.__doc__ = body.__doc__
    CONTRACTS[body.__name__] = checked
    return checked


def beside(state: Tree, params: Tree) -> Iterator[tuple[str, Any, Any]]:
    """Each leaf of a state with its path, and the parameter whose path is the end of that path, if any."""
    named = sorted(zip(trees.paths(params), trees.flatten(params)[0], strict=True), key=lambda pair: -len(pair[0]))
    for path, leaf in zip(trees.paths(state), trees.flatten(state)[0], strict=True):
        if leaf is not None:
            yield path, leaf, next((p for name, p in named if f".{path}".endswith(f".{name}" if name else "")), None)


def names_in(x: Any) -> dict[str, Any]:
    """What the names in the ``repr`` of a transformation refer to: its factories, and functions in its structure."""
    if isinstance(x, Value):
        parts = [names_in(part) for part in x.given.values()]
        return {x.call.name: x.call.function} | {name: f for part in parts for name, f in part.items()}
    if isinstance(x, Links | tuple):
        return {name: f for part in (x.values if isinstance(x, Links) else x) for name, f in names_in(part).items()}
    return {repr(x): x.value} if isinstance(x, Frozen) and callable(x.value) else {}
