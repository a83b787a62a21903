"""The inputs that contracts try a transformation with: parameters, gradients, precisions, numbers near its own."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradtx import tree as trees
from gradtx._rules.functions import hyperparameters
from gradtx._rules.transformation import GradientTransformation
from gradtx._value.errors import TransformationError
from gradtx._value.numbers import Name
from gradtx._value.value import Value

Tree = Any

UPDATES = 2  # the second is the first whose state comes from an update


def default_params() -> Tree:
    """The small tree that is used if no parameters are given."""
    return {"w": jnp.array([0.5, -1.0, 2.0]), "b": {"c": jnp.array([[1.5, -0.5, 0.25], [-2.0, 1.0, 0.75]])}}


def ordinary_gradients(params: Tree) -> list[Tree]:
    """Ordinary gradients for a few updates, the same ones every time; zeros for leaves of integers."""

    def one(param: jax.Array, rng: np.random.Generator) -> jax.Array:
        if not jnp.issubdtype(param.dtype, jnp.inexact):
            return jnp.zeros_like(param)
        drawn = rng.normal(size=param.shape)
        drawn = drawn + 1j * rng.normal(size=param.shape) if jnp.iscomplexobj(param) else drawn
        return jnp.asarray(drawn, param.dtype)

    rngs = [np.random.default_rng(seed) for seed in range(UPDATES)]
    return [trees.map(lambda param, rng=rng: one(param, rng), params) for rng in rngs]


@contextmanager
def precision_of(dtype: str) -> Iterator[None]:
    """A context for a dtype: for float64 it enables float64, and lets float32 numbers meet it by promotion."""
    if dtype != "float64":
        yield
        return
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        yield


def lanes_of(tx: GradientTransformation) -> dict[str, list[GradientTransformation]]:
    """For each number of a transformation, by name, the transformation with two or three values of it."""
    found = {}
    for name, value in _numbers("", hyperparameters(tx)).items():
        near = [jax.tree.map(lambda x, scale=scale: _near(x, scale), value) for scale in (1.0, 0.75, 0.5)]
        whole = [jax.tree.map(lambda x, n=n: x + n, value) for n in (0.0, 1.0, 2.0)]  # for a seed
        lanes = _taken(tx, name, near)
        found[name] = lanes if len(lanes) > 1 else _taken(tx, name, whole)
    return found


def _taken(tx: GradientTransformation, name: str, values: Iterable[Any]) -> list[GradientTransformation]:
    """The transformation with each of the values that are in range."""
    taken = []
    for value in values:
        try:
            taken.append(tx.replace({name: value}))
        except TransformationError:
            continue
    return taken


def _near(x: Any, scale: float) -> Any:
    """A nearby number of the same kind."""
    if not np.all(np.isfinite(x)):
        return x if scale == 1 else scale * np.ones_like(x)[()]
    return x * scale if np.all(x != 0) else x + (1 - scale)


def _numbers(prefix: str, parts: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers by name, those inside schedules too."""
    found = {}
    for name, part in parts.items():
        if isinstance(part, Value):
            found |= _numbers(f"{prefix}{name}.", dict(part.parts()))
        elif part is not None and not isinstance(part, Name):
            found[prefix + name] = part
    return found
