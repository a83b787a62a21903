"""State fields: how they start, where they are kept, and how they match the leaves of a tree."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer

from gradtx import tree as trees
from gradtx._rules.checks import complex_error, leaf_error, structure_error
from gradtx._value.errors import TransformationError
from gradtx._value.floating import real_dtype, wide

Tree = Any
Path = tuple[str, ...]

# How a field starts ---------------------------------------------------------------------------------------------------


def zeros(param: Any, dtype: Any = None) -> jax.Array:
    """Zeros shaped and sharded like ``param``, in ``dtype`` or in float32 at least; complex if ``param`` is."""
    if dtype is not None and jnp.iscomplexobj(param):
        dtype = jnp.complex128 if jnp.finfo(dtype).bits == 64 else jnp.complex64
    return full(param, 0, dtype if jnp.iscomplexobj(param) else real_of(dtype))


def real_zeros(param: Any, dtype: Any = None) -> jax.Array:
    """Zeros like ``param``, real even if it is complex: the start of a second moment."""
    return full(param, 0, real_dtype(param.dtype) if dtype is None else real_of(dtype))


def real_of(dtype: Any) -> Any:
    """The dtype, or that of its parts if it is complex."""
    return jnp.finfo(dtype).dtype if dtype is not None and jnp.issubdtype(dtype, jnp.complexfloating) else dtype


def copied(param: Any) -> jax.Array:
    """The parameter itself, in float32 at least: the start of an average of parameters, or of a slow copy."""
    return jnp.copy(wide(param))


def full(param: Any, value: Any, dtype: Any = None) -> jax.Array:
    """``value`` everywhere, shaped and sharded like ``param``, in ``dtype`` or in float32 at least."""
    made = jnp.full_like(param, value, dtype=jax.eval_shape(wide, param).dtype if dtype is None else dtype)
    if isinstance(param, Tracer) and param.ndim:  # under jit a constant is tied to no sharding, so it depends on param
        made = made + jnp.zeros((), made.dtype) * jnp.isfinite(jax.lax.stop_gradient(param)).astype(made.dtype)
    return made


# A field by path ------------------------------------------------------------------------------------------------------


def find(state: Any, path: Path) -> Any:
    """The entry of a state at a path; raises `TransformationError` where there is none."""
    for name in path:
        if not isinstance(state, Mapping) or name not in state:
            raise TransformationError(f"the state has no {'.'.join(path)!r}: it was made by another transformation")
        state = state[name]
    return state


@contextmanager
def entries_of(state: Mapping[str, Any]) -> Iterator[None]:
    """A context for a user's function that reads a state: a missing entry is a `TransformationError`."""
    try:
        yield
    except KeyError as error:
        if error.args and isinstance(error.args[0], str) and error.args[0] not in state:
            raise TransformationError(f"the state has no {error}: it was made by another transformation") from None
        raise


def file(state: dict[str, Any], path: Path, entry: Any) -> None:
    """Put an entry into a state at a path."""
    for name in path[:-1]:
        state = state.setdefault(name, {})
    state[path[-1]] = entry


def column(field: Tree, updates: Tree, start: Callable[..., Any] | None) -> list[Any]:
    """The entry of a state field for each leaf of a tree: an array or a tree of arrays, like what ``start`` makes.

    Raises `TransformationError`: a field that belongs to another tree.
    """
    leaves, treedef = trees.flatten(updates)
    try:
        found = treedef.flatten_up_to(field)
    except (ValueError, TypeError):
        raise structure_error(field, updates) from None
    for n, (entry, update) in enumerate(zip(found, leaves, strict=True)):
        if entry is None and update is None:
            continue
        if entry is None or update is None:
            raise leaf_error(trees.paths(updates)[n], entry, update)
        if start is not None and not (_is_array(entry) and _alike(entry, update)):
            _check(trees.paths(updates)[n], entry, jax.eval_shape(start, update), update)
    return found


def _is_array(x: Any) -> bool:
    return hasattr(x, "shape") and hasattr(x, "dtype")


def _alike(a: Any, b: Any) -> bool:
    return jnp.shape(a) == jnp.shape(b) and jnp.iscomplexobj(a) == jnp.iscomplexobj(b)


def _check(path: str, entry: Any, expected: Any, update: Any) -> None:
    (found, structure), (wanted, known) = jax.tree.flatten(entry), jax.tree.flatten(expected)
    if structure != known:
        raise TransformationError(f"leaf {path}: expected a state like {known}, found {structure}")
    for x, y in zip(found, wanted, strict=True):
        if jnp.shape(x) != jnp.shape(y):
            raise leaf_error(path, x, update)
        if jnp.iscomplexobj(x) != jnp.iscomplexobj(y):
            raise complex_error(path, update)


# The precision of a field ---------------------------------------------------------------------------------------------


def reals_in(tree: Tree) -> Iterator[Any]:
    """The floating-point dtypes among the leaves of a tree."""
    return (x.dtype for x in jax.tree.leaves(tree) if hasattr(x, "dtype") and jnp.issubdtype(x.dtype, jnp.inexact))


def widened_state(entry: Any, real: Any) -> Any:
    """A state entry at the precision of ``real``; codes, counts and keys stay as they are."""
    return jax.tree.map(lambda x: wide(x, real) if _is_floating(x) else x, entry)


def as_wide(entry: Any, updates: Tree) -> Any:
    """A state entry as wide as the updates, if it is a tree like them; any other entry stays as it is."""
    (leaves, structure), (others, treedef) = trees.flatten(entry), trees.flatten(updates)
    if structure != treedef or all(_has_dtype_of(x, u) for x, u in zip(leaves, others, strict=True)):
        return entry
    return trees.map(
        lambda x, u: widened_state(x, real_dtype(x.dtype, u.dtype)) if _is_floating(x) else x, entry, updates
    )


def _is_floating(x: Any) -> bool:
    return hasattr(x, "dtype") and jnp.issubdtype(x.dtype, jnp.inexact)


def _has_dtype_of(x: Any, u: Any) -> bool:
    return x is None or not _is_floating(x) or x.dtype == u.dtype


def narrowed(entry: Any, was: Any) -> Any:
    """A new entry of the state in the dtypes of the old one; `TransformationError` where it has changed its shape."""
    (new, structure), (old, known) = jax.tree.flatten(entry), jax.tree.flatten(was)
    if structure != known:
        raise TransformationError(f"a formula made a state like {structure} of one like {known}")
    for x, y in zip(new, old, strict=True):
        if jnp.shape(x) != jnp.shape(y):
            raise TransformationError(f"a formula made shape {jnp.shape(x)} of an array of shape {jnp.shape(y)}")
    return known.unflatten([_as(x, y.dtype) for x, y in zip(new, old, strict=True)])


def _as(x: Any, dtype: Any) -> Any:
    x = x if hasattr(x, "dtype") else jnp.asarray(x)
    kept = jnp.issubdtype(dtype, jax.dtypes.extended) or (x.dtype == dtype and not getattr(x, "weak_type", False))
    return x if kept else x.astype(dtype)


def settled(state: Any) -> Any:
    """A state from a user's function, without weak types, for which the next call would compile again."""
    return jax.tree.map(lambda x: x.astype(x.dtype) if getattr(x, "weak_type", False) else x, state)
