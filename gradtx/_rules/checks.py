"""Checks that two trees belong together; errors name the leaf, what was expected and what was found."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradtx import tree as trees
from gradtx._value.errors import TransformationError

Tree = Any
KNOWN = {
    float,
    complex,
    *(jnp.dtype(name) for name in ("float16", "bfloat16", "float32", "float64", "complex64", "complex128")),
}


def describe(leaf: Any) -> str:
    """What a leaf is, for an error."""
    return "None" if leaf is None else f"shape {jnp.shape(leaf)}"


def leaf_error(path: str, expected: Any, found: Any) -> TransformationError:
    """Two leaves that do not belong together."""
    return TransformationError(
        f"leaf {path}: expected {describe(expected)}, found {describe(found).removeprefix('shape ')}"
    )


def complex_error(path: str, found: Any) -> TransformationError:
    """A complex gradient where a real one belongs."""
    return TransformationError(f"leaf {path}: expected a real gradient, found {found.dtype}")


def structure_error(expected: Tree, found: Tree) -> TransformationError:
    """Two trees that do not belong together: the first leaf that one of them lacks."""
    wanted, given = trees.paths(expected), trees.paths(found)
    shapes = dict(zip(wanted, trees.flatten(expected)[0], strict=True)) | dict(
        zip(given, trees.flatten(found)[0], strict=True)
    )
    for path in wanted:
        if path not in given:
            hint = "; Packed.like packs a tree as the parameters are" if "packed " in path else ""
            return TransformationError(f"leaf {path}: expected {describe(shapes[path])}, found no such leaf{hint}")
    for path in given:
        if path not in wanted:
            return TransformationError(f"leaf {path}: expected no such leaf, found {describe(shapes[path])}")
    return TransformationError(
        f"expected the structure {jax.tree.structure(expected)}, found {jax.tree.structure(found)}"
    )


def check_structure(updates: Tree, params: Tree) -> None:
    """Raise `TransformationError` unless the updates have the structure of the parameters."""
    if trees.flatten(updates)[1] != trees.flatten(params)[1]:
        raise structure_error(params, updates)


def check_like(updates: Tree, params: Tree) -> None:
    """Raise `TransformationError` unless the updates have the structure and the shapes of the parameters."""
    check_structure(updates, params)
    pairs = zip(trees.flatten(updates)[0], trees.flatten(params)[0], strict=True)
    for n, (update, param) in enumerate(pairs):
        if (update is None) != (param is None) or (update is not None and np.shape(update) != np.shape(param)):
            raise leaf_error(trees.paths(updates)[n], param, update)
        if is_floating(update) and jnp.iscomplexobj(update) and not jnp.iscomplexobj(param):
            raise complex_error(trees.paths(updates)[n], update)


def check_floating(tree: Tree, what: str) -> None:
    """Raise `TransformationError` unless every leaf is an array (or a number) in floating point."""
    for n, leaf in enumerate(trees.flatten(tree)[0]):
        if leaf is not None and not is_floating(leaf):
            dtype = getattr(leaf, "dtype", type(leaf))
            found = getattr(dtype, "__name__", str(dtype))
            raise TransformationError(
                f"leaf {trees.paths(tree)[n]}: expected a floating-point {what}, found {found}; leave such a leaf out "
                "(None), or freeze it: partition({..., 'frozen': set_to_zero()}, ...)"
            )


def is_floating(leaf: Any) -> bool:
    """Whether a leaf is an array, or a number, in floating point."""
    dtype = getattr(leaf, "dtype", type(leaf))
    known = isinstance(leaf, jax.Array | jax.ShapeDtypeStruct) or dtype in KNOWN
    return known and bool(jnp.issubdtype(dtype, jnp.inexact))


def check_gradients(updates: Tree, params: Tree) -> None:
    """Raise `TransformationError` unless the updates are in floating point, and like the parameters, if any."""
    check_floating(updates, "gradient")
    if params is not None:
        check_like(updates, params)


def as_arrays(tree: Tree) -> Tree:
    """The tree with JAX arrays as leaves, none weakly typed; a leaf that cannot be one is left to `check_floating`."""
    return trees.map(_as_array, tree)


def _as_array(leaf: Any) -> Any:
    if isinstance(leaf, jax.ShapeDtypeStruct):
        return jnp.zeros(leaf.shape, leaf.dtype, device=leaf.sharding)
    if not isinstance(leaf, jax.Array):
        try:
            leaf = jnp.asarray(leaf)
        except (TypeError, ValueError):
            return leaf
    return leaf.astype(leaf.dtype) if getattr(leaf, "weak_type", False) else leaf  # a random key has no such thing


def as_state(state: Any) -> Any:
    """The state with JAX arrays in place of NumPy arrays and Python numbers."""
    return jax.tree.map(lambda x: jnp.asarray(x) if isinstance(x, np.ndarray | np.generic | int | float) else x, state)


def as_mapping(state: Any) -> Any:
    """The state, or ``{}`` in place of another library's empty state."""
    other = not isinstance(state, Mapping | str) and not jax.tree.leaves(state)
    return {} if other else state


def in_wider_dtype(updates: Tree, gradients: Tree, params: Tree) -> Tree:
    """The updates in the dtypes of the gradients, or of the parameters where those are wider."""
    leaves, treedef = trees.flatten(updates)
    beside = trees.flatten(gradients)
    if beside[1] != treedef:  # what a link of another library made
        return updates
    own = trees.flatten(params)[0] if params is not None and trees.flatten(params)[1] == treedef else beside[0]
    return treedef.unflatten([_wider(*row) for row in zip(leaves, beside[0], own, strict=True)])


def _wider(u: Any, gradient: Any, param: Any) -> Any:
    if u is None or not hasattr(u, "dtype") or any(map(_is_no_number, (u, gradient, param))):
        return u
    with jax.numpy_dtype_promotion("standard"):
        wanted = jax.dtypes.canonicalize_dtype(jnp.promote_types(gradient.dtype, param.dtype))
    if jnp.issubdtype(wanted, jnp.complexfloating) and not jnp.iscomplexobj(u):
        wanted = jnp.finfo(wanted).dtype
    cut = jnp.issubdtype(u.dtype, jnp.inexact) and not jnp.issubdtype(wanted, jnp.inexact)  # steps of whole numbers
    return u if cut or u.dtype == wanted else u.astype(wanted)


def still(update: Any, param: Any) -> Any:
    """The update of a frozen leaf, whatever its gradient is: zeros; a float0 or a random key stays as it is."""
    if _is_no_number(update):
        return update
    zero = jnp.zeros_like(update, dtype=jnp.result_type(update))  # a dtype that is given is not a weak one
    floating = jnp.issubdtype(zero.dtype, jnp.inexact) and hasattr(param, "dtype")
    return _wider(zero, zero, param) if floating and jnp.issubdtype(param.dtype, jnp.inexact) else zero


def _is_no_number(x: Any) -> bool:
    """Whether it is an array that has no zero: random keys, float0."""
    dtype = getattr(x, "dtype", None)
    return dtype is not None and (dtype == jax.dtypes.float0 or jnp.issubdtype(dtype, jax.dtypes.extended))


def check_state(state: Any, known: Any, path: str = "") -> None:
    """Raise `TransformationError` where the state has an entry that the transformation does not know."""
    if not isinstance(known, dict):
        return
    if not isinstance(state, Mapping):
        raise TransformationError(f"expected a state (a mapping, what init returned), found {type(state).__name__}")
    absent = next((name for name in known if name not in state), None)
    if absent is not None:
        raise TransformationError(f"the state has no {path + str(absent)!r}: it was made by another transformation")
    for name, entry in state.items():
        if name not in known:
            raise TransformationError(f"the state has {path + str(name)!r}: it was made by another transformation")
        if isinstance(known[name], dict):
            check_state(entry, known[name], f"{path}{name}.")
