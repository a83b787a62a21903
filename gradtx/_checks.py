"""Do two trees belong together? Errors that name the leaf and say what was expected and what was found."""

from typing import Any

import jax
import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._errors import TransformationError

Tree = Any


def describe(leaf: Any) -> str:
    """What a leaf is, for an error."""
    return "None" if leaf is None else f"shape {jnp.shape(leaf)}"


def leaf_error(path: str, expected: Any, found: Any) -> TransformationError:
    """Two leaves that do not belong together."""
    return TransformationError(
        f"leaf {path}: expected {describe(expected)}, found {describe(found).removeprefix('shape ')}"
    )


def structure_error(expected: Tree, found: Tree) -> TransformationError:
    """Two trees that do not belong together: the first leaf that one of them lacks."""
    wanted, given = trees.paths(expected), trees.paths(found)
    shapes = dict(zip(wanted, trees.flatten(expected)[0], strict=True)) | dict(
        zip(given, trees.flatten(found)[0], strict=True)
    )
    for path in wanted:
        if path not in given:
            return TransformationError(f"leaf {path}: expected {describe(shapes[path])}, found no such leaf")
    for path in given:
        if path not in wanted:
            return TransformationError(f"leaf {path}: expected no such leaf, found {describe(shapes[path])}")
    return TransformationError(
        f"expected the structure {jax.tree.structure(expected)}, found {jax.tree.structure(found)}"
    )


def check_like(updates: Tree, params: Tree) -> None:
    """Raise `TransformationError` unless the updates have the structure and the shapes of the parameters."""
    (found, found_def), (expected, expected_def) = trees.flatten(updates), trees.flatten(params)
    if found_def != expected_def:
        raise structure_error(params, updates)
    for n, (update, param) in enumerate(zip(found, expected, strict=True)):
        if (update is None) != (param is None) or (update is not None and jnp.shape(update) != jnp.shape(param)):
            raise leaf_error(trees.paths(updates)[n], param, update)


def check_floating(tree: Tree, what: str) -> None:
    """Raise `TransformationError` unless every leaf is an array (or a number) in floating point."""
    for n, leaf in enumerate(trees.flatten(tree)[0]):
        if leaf is None:
            continue
        dtype = getattr(leaf, "dtype", type(leaf))
        if dtype not in (float, complex) and not (hasattr(leaf, "dtype") and jnp.issubdtype(dtype, jnp.inexact)):
            found = getattr(dtype, "__name__", str(dtype))
            raise TransformationError(
                f"leaf {trees.paths(tree)[n]}: expected a floating-point {what}, found {found}; leave such a leaf out "
                "(None), or freeze it: partition({..., 'frozen': set_to_zero()}, ...)"
            )
