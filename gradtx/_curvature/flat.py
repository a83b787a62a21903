"""A loss as a function of one vector of all parameters: the form that second derivatives are computed in."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from gradtx import tree as trees
from gradtx._rules.vectors import unraveled
from gradtx._value.errors import TransformationError
from gradtx._value.floating import wide

Tree = Any
Loss = Callable[..., Any]


def product(loss: Loss, params: Tree, vector: Tree, args: Any) -> Tree:
    """The Hessian-vector product, forward over reverse."""
    return jax.jvp(lambda x: jax.grad(loss)(x, *args), (params,), (vector,))[1]


def unravel_rows(rows: jax.Array, like: Tree) -> Tree:
    """The rows of a matrix as trees, stacked."""
    return jax.vmap(lambda row: unraveled(row, like))(rows)


def prepare(who: str, loss: Loss, params: Tree, args: tuple[Any, ...]) -> tuple[Tree, tuple[Any, ...]]:
    """Parameters and arguments in float32 at least; or a `TransformationError`."""
    for path, x in zip(trees.paths(params), trees.flatten(params)[0], strict=True):
        if x is not None and not (hasattr(x, "dtype") or isinstance(x, float)):
            raise TransformationError(f"{who}: leaf {path}: expected an array, found {x!r}")
        if x is not None and not jnp.issubdtype(jnp.result_type(x), jnp.floating):
            raise TransformationError(f"{who}: leaf {path}: expected real numbers, found {jnp.result_type(x)}")
    if not trees.size(params):
        raise TransformationError(f"{who}: params: expected a tree of arrays, found no numbers in it")
    params = jax.tree.map(_strong, params)
    args = jax.tree.map(lambda x: wide(jnp.asarray(x)) if _is_half(x) else x, args)
    value = jax.eval_shape(loss, params, *args)
    if getattr(value, "shape", None) != () or not jnp.issubdtype(value.dtype, jnp.floating):
        found = value if hasattr(value, "shape") else f"{type(value).__name__}"
        raise TransformationError(f"{who}: loss: expected one real number, found {found}")
    return params, args


def _strong(x: Any) -> jax.Array:
    """In float32 at least, and not weakly typed (as `jax.numpy.full` may be): each dtype compiles once."""
    x = wide(jnp.asarray(x))
    return jax.lax.convert_element_type(x, x.dtype)


def _is_half(x: Any) -> bool:
    dtype = getattr(x, "dtype", None)
    return dtype is not None and jnp.issubdtype(dtype, jnp.floating) and jnp.finfo(dtype).bits < 32


def like(who: str, name: str, tree: Tree, params: Tree) -> Tree:
    """The tree in the dtypes of the parameters; or a `TransformationError`."""
    if jax.tree.structure(tree) != jax.tree.structure(params):
        raise TransformationError(
            f"{who}: {name}: expected a tree like {jax.tree.structure(params)}, found {jax.tree.structure(tree)}"
        )
    for path, x, y in zip(trees.paths(params), trees.flatten(params)[0], trees.flatten(tree)[0], strict=True):
        if x is not None and jnp.shape(y) != x.shape:
            raise TransformationError(f"{who}: {name}: leaf {path}: expected shape {x.shape}, found {jnp.shape(y)}")
    return trees.cast_like(tree, params)


def no_tracers(who: str, tree: Any) -> None:
    """Raise `TransformationError` where numbers are traced."""
    if any(isinstance(x, Tracer) for x in jax.tree.leaves(tree)):
        raise TransformationError(f"{who}: expected numbers, found traced ones: call it outside of jit, grad and vmap")


def place(i: int, params: Tree) -> str:
    """The leaf, and the index in it, of a number among all parameters."""
    for path, leaf in zip(trees.paths(params), trees.flatten(params)[0], strict=True):
        size = trees.size(leaf)
        if leaf is not None and i < size:
            index = ", ".join(str(n) for n in np.unravel_index(i, leaf.shape))
            return path + (f"[{index}]" if leaf.ndim else "")
        i -= size
    raise IndexError(i)
