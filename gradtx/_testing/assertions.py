"""Assertions about trees; their errors name the leaf, what was expected there and what was found."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradtx import tree as trees
from gradtx._value.errors import TransformationError

Tree = Any

ULPS = 8  # how far results may differ if only the order of arithmetic does, relative to the largest number of a leaf


def expect(holds: Any, where: str, expected: Any, found: Any) -> None:
    """Raise `AssertionError` unless it holds."""
    if not holds:
        raise AssertionError(f"{where}: expected {expected}, found {found}")


def expect_same_kind(expected: Tree, found: Tree, where: str = "") -> None:
    """Equal structure, and the same shape and dtype in every leaf."""
    (wanted, structure), (got, found_structure) = trees.flatten(expected), trees.flatten(found)
    expect(structure == found_structure, f"{where}the tree", structure, found_structure)
    for path, x, y in zip(trees.paths(expected), wanted, got, strict=True):
        kinds = [None if leaf is None else (str(leaf.dtype), tuple(leaf.shape)) for leaf in (x, y)]
        expect(kinds[0] == kinds[1], f"{where}leaf {path}", *kinds)


def expect_close(
    expected: Tree, found: Tree, where: str = "", tolerance: float | None = None, *, fused: bool = True
) -> None:
    """The same kind, and the same numbers up to a few roundings of the leaf's largest number, or to ``tolerance``.

    If one of the two is computed operation by operation (not ``fused``), more roundings are allowed.
    """
    expect_same_kind(expected, found, where)
    for path, x, y in _present(expected, found):
        exact = not jnp.issubdtype(x.dtype, jnp.inexact)
        rounding = 0.0 if exact else ULPS * (1 if fused else 4) * float(jnp.finfo(x.dtype).eps)
        a, b = (np.asarray(leaf).astype(np.complex128) for leaf in (x, y))
        bound = max(rounding * np.max(np.abs(a), initial=0, where=np.isfinite(a)), 0.0 if exact else tolerance or 0.0)
        expect(np.allclose(b, a, rtol=0, atol=bound, equal_nan=True), f"{where}leaf {path}", x, y)


def expect_equal(expected: Tree, found: Tree, where: str = "") -> None:
    """The same kind, and exactly the same numbers."""
    expect_same_kind(expected, found, where)
    for path, x, y in _present(expected, found):
        expect(np.asarray(x).tobytes() == np.asarray(y).tobytes(), f"{where}leaf {path}", x, y)


def expect_finite(tree: Tree, where: str = "") -> None:
    """No infinities and no NaN."""
    for path, x, _ in _present(tree, tree):
        expect(
            not jnp.issubdtype(x.dtype, jnp.inexact) or jnp.isfinite(x).all(),
            f"{where}leaf {path}",
            "finite numbers",
            x,
        )


def expect_located(call: Callable[[], Any], path: str, what: str) -> None:
    """The call raises a `TransformationError` that names the leaf."""
    try:
        call()
    except TransformationError as error:
        expect(f"leaf {path}" in str(error), what, f"an error that names leaf {path}", error)
    else:
        raise AssertionError(f"{what}: expected an error, found none")


def plain(x: Any) -> Any:
    """The array in a form that NumPy can hold: random keys become their key data."""
    return jax.random.key_data(x) if _is_key(x) else x


def as_it_was(array: Any, kind: Any) -> Any:
    """The inverse of `plain`: an array from NumPy as a JAX array, or as random keys if ``kind`` is one."""
    return jax.random.wrap_key_data(jnp.asarray(array)) if _is_key(kind) else jnp.asarray(array)


def _is_key(x: Any) -> bool:
    return hasattr(x, "dtype") and jnp.issubdtype(x.dtype, jax.dtypes.prng_key)


def _present(expected: Tree, found: Tree) -> list[tuple[str, Any, Any]]:
    rows = zip(trees.paths(expected), trees.flatten(expected)[0], trees.flatten(found)[0], strict=True)
    return [(path, plain(x), plain(y)) for path, x, y in rows if x is not None]
