"""Matrices of different leaves in one stack: one batched call for all that have a shape, whoever they belong to."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._rules.matrices import axes_of_leaves, pieces
from gradtx._rules.protocol import Tree
from gradtx._value.errors import within

OfStack = Callable[[jax.Array], jax.Array]
AT_ONCE = 6
"""How many leaves are in one call at most, where nothing is known of shardings.

Every leaf is cut out of the result at another place, by a program of its own, and on CPUs compiling these takes longer
than everything else. Calls of one kind share them: 48 leaves compile in 0.4 of the time, and run as fast.
"""


class _Piece(NamedTuple):
    """Matrices of one leaf as a stack that is not taller than wide, and what it may be put together with."""

    x: jax.Array
    turned: bool
    kind: tuple[Any, ...]


def on_stacks(function: OfStack, updates: Tree, given: Any) -> Tree:
    """A function of stacks of matrices (k, m, n), m ≤ n, on all matrices of a tree.

    ``given`` says which axes make matrices, as in `axes_of_leaves`. Tall matrices are transposed, so that they share a
    stack with wide ones. Where the type of an array says how it is sharded, the matrices of a stack are dealt out to
    the devices, whole ones to each, and what comes back is sharded as it was. Raises `TransformationError`: a leaf that
    is no matrix.
    """
    leaves, treedef = trees.flatten(updates)
    cut, stacks = [], []
    for path, u, axes in zip(trees.paths(updates), leaves, axes_of_leaves(given, updates), strict=True):
        own, restore = ([], None) if u is None else within(f"leaf {path}", pieces)(gathered(u, axes), axes)
        cut.append((range(len(stacks), len(stacks) + len(own)), restore, u))
        stacks += own
    made = each_stack(function, stacks)
    back = [None if u is None else as_sharded(restore([made[n] for n in own]), u) for own, restore, u in cut]
    return treedef.unflatten(back)


def each_stack(function: OfStack, stacks: list[jax.Array]) -> list[jax.Array]:
    """The function on stacks of matrices, in one batched call for each shape and dtype (see `AT_ONCE`)."""

    def of_many(parts: list[jax.Array]) -> list[jax.Array]:
        together = parts[0] if len(parts) == 1 else jax.lax.concatenate(parts, 0)
        found = _dealt(function, together)
        return [found] if len(parts) == 1 else list(jax.lax.split(found, [x.shape[0] for x in parts]))

    placed = [_turned(x) for x in stacks]
    compiled = jax.jit(of_many)
    made: list[Any] = [None] * len(stacks)
    for kind in dict.fromkeys(piece.kind for piece in placed):
        where = [n for n, piece in enumerate(placed) if piece.kind == kind]
        calls = -(-len(where) // AT_ONCE) if kind[-1] is None else 1
        most = -(-len(where) // calls)
        for start in range(0, len(where), most):
            now = where[start : start + most]
            parts = [placed[n].x for n in now]
            for n, x in zip(now, (compiled if len(where) > most else of_many)(parts), strict=True):
                made[n] = x.mT if placed[n].turned else x
    return made


def _turned(x: jax.Array) -> _Piece:
    _, rows, columns = x.shape
    x = x.mT if rows > columns else x
    kind = jax.typeof(x)
    return _Piece(x, rows > columns, (*x.shape[1:], x.dtype, getattr(kind, "vma", None), _spec(x)))


# Arrays whose type says how they are sharded --------------------------------------------------------------------------


def _spec(x: jax.Array) -> Any:
    """How an array is sharded, as far as its type says it; None if it does not."""
    sharding = getattr(jax.typeof(x), "sharding", None)
    spec = getattr(sharding, "spec", ())
    return jax.P(*spec) if any(part is not None for part in spec) else None


def gathered(u: jax.Array, axes: Any) -> jax.Array:
    """The leaf, gathered if it is to be cut and reshaped, which JAX cannot do across devices."""
    plain = u.ndim == 2 and getattr(axes, "heads", 1) == 1 and not getattr(axes, "split_sizes", ())
    if _spec(u) is None or (plain and getattr(axes, "input_heads", 1) == 1):
        return u
    return replicated(u)


def replicated(u: jax.Array) -> jax.Array:
    """The leaf, gathered if its type says that it is sharded."""
    return u if _spec(u) is None else jax.sharding.reshard(u, jax.P(*[None] * u.ndim))


def as_sharded(x: jax.Array, u: jax.Array) -> jax.Array:
    """``x``, sharded as ``u`` is, as far as its type says it."""
    spec = _spec(u)
    return x if spec is None or _spec(x) == spec else jax.sharding.reshard(x, spec)


def _dealt(function: OfStack, x: jax.Array) -> jax.Array:
    """The function on a stack whose matrices are dealt out to the devices that held parts of each."""
    spec = _spec(x)
    if spec is None:
        return function(x)
    mesh = jax.typeof(x).sharding.mesh
    names = [name for part in spec if part is not None for name in (part if isinstance(part, tuple) else (part,))]
    devices, count = 1, x.shape[0]
    for name in names:
        devices *= mesh.shape[name]
    padded = jnp.pad(x, ((0, -count % devices), (0, 0), (0, 0)))
    made = function(jax.sharding.reshard(padded, jax.P(tuple(names), None, None)))
    return jax.sharding.reshard(made, spec)[:count]
