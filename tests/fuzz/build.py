"""The gradtx value, and JAX's arrays, of a description."""

from typing import Any

import jax.numpy as jnp
import numpy as np

import gradtx as gx
from tests.fuzz.case import C, Case, filled, leaves_of
from tests.fuzz.side_by_side import JOINS
from tests.fuzz.wrappers import TESTS


def falling(step):
    """A plain function of the step."""
    return 0.5 / (1.0 + jnp.asarray(step, float))


FUNCTIONS = {"falling": falling}
NAMESPACE = {name: getattr(gx, name) for name in gx.__all__} | FUNCTIONS
NAMESPACE |= {x.__name__: x for x in (*JOINS.values(), *TESTS.values())} | {"nan": np.nan, "inf": np.inf}


def built(x: Any) -> Any:
    """The gradtx value of a call; what is no call is itself."""
    if not isinstance(x, C):
        return x
    given = {key: built(value) for key, value in x.arguments.items()}
    inside = [built(value) for value in x.inside]
    if x.name in ALGEBRA:
        return ALGEBRA[x.name](*inside, **given)
    if x.name == "partition":
        labels = dict(given.pop("labels"))
        return gx.partition(given, labels)
    if x.name == "fork":
        return gx.fork(JOINS[given.pop("join")], *inside, **given)
    if "should_transform_fn" in given:
        given["should_transform_fn"] = TESTS[given["should_transform_fn"]]
    return getattr(gx, x.name)(*inside, **given)


ALGEBRA = {
    "function": lambda of: FUNCTIONS[of],
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "divide": lambda a, b: a / b,
    "negate": lambda a: -a,
    "then": lambda a, b, after: a.then(b, after=after),
    "stretch": lambda a, factor: a.stretch(factor),
}


def arrays(case: Case, found: dict[str, np.ndarray]) -> Any:
    """The tree with these arrays, each in the dtype of its leaf."""
    made = {path: jnp.asarray(found[path], leaf.dtype) for path, leaf in leaves_of(case.tree).items()}
    return filled(case.tree, made)
