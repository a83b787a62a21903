"""Arrays as stacks of blocks, for rules that keep a matrix for every axis of a block."""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx._rules.matrices import as_matrices

Spans = list[tuple[int, int, int]]


class Blocks(NamedTuple):
    """How arrays are cut into blocks.

    ``size``: the longest side of a block; a longer axis is cut into pieces of this length, and a shorter last one. None
    cuts nothing. ``merge``: neighbouring axes become one as long as that has no more entries than this; None merges
    nothing. ``axes`` (see `axes_of_leaves`) of an array say that it is a matrix, or a stack of matrices; without them
    an array is a block of its own rank.
    """

    size: int | None = None
    merge: int | None = None

    def cut(self, x: jax.Array, axes: Any = None) -> list[jax.Array]:
        """The blocks of an array: a stack (k, *shape) for each shape. A number is a block with one entry."""
        stack = self._stack(x, axes)
        return [_gathered(stack, spans) for spans in self._spans(stack.shape[1:])]

    def join(self, parts: Sequence[jax.Array], x: jax.Array, axes: Any = None) -> jax.Array:
        """The array whose blocks these are; ``x`` is any array of its shape."""
        stack = jax.eval_shape(lambda x: self._stack(x, axes), x)
        ways = zip(parts, self._spans(stack.shape[1:]), strict=True)
        spread = iter([_spread(part, stack.shape[0], spans) for part, spans in ways])
        whole = _concatenated(spread, [len(self._cuts(n)) for n in stack.shape[1:]], 1)
        if axes is None:
            return whole.reshape(x.shape)
        made, restore = as_matrices(jnp.zeros(x.shape, whole.dtype), axes)
        return restore(whole.reshape(made.shape))

    def _stack(self, x: jax.Array, axes: Any) -> jax.Array:
        """The array as a stack of arrays of which each axis is cut by itself."""
        if axes is not None:
            made, _ = as_matrices(x, axes)
            return made if made.ndim == 3 else made[None]
        return x.reshape(1, *merged(x.shape, self.merge))

    def _cuts(self, n: int) -> Spans:
        """The pieces of an axis: where the first begins, how many there are, and how long they are."""
        if self.size is None or n <= self.size:
            return [(0, 1, n)]
        whole, rest = divmod(n, self.size)
        return [(0, whole, self.size), *([(whole * self.size, 1, rest)] if rest else [])]

    def _spans(self, shape: Sequence[int]) -> Iterator[tuple[tuple[int, int, int], ...]]:
        return itertools.product(*(self._cuts(n) for n in shape))


def merged(shape: Sequence[int], most: int | None) -> tuple[int, ...]:
    """A shape whose neighbouring axes are one, as long as that has ``most`` entries or fewer; of a number, (1,).

    >>> merged((64, 3, 3, 512), 1024), merged((2, 3), None), merged((), 8)
    ((576, 512), (2, 3), (1,))
    """
    if most is None:
        return tuple(shape) or (1,)
    found: list[int] = []
    for n in shape:
        if found and found[-1] * n <= most:
            found[-1] *= n
        else:
            found.append(n)
    return tuple(found) or (1,)


def _gathered(stack: jax.Array, spans: Sequence[tuple[int, int, int]]) -> jax.Array:
    """The blocks of one shape, as one stack."""
    window = (slice(None), *(slice(at, at + count * n) for at, count, n in spans))
    apart = [m for _, count, n in spans for m in (count, n)]
    counts, sides = range(1, len(apart), 2), range(2, len(apart) + 1, 2)
    ordered = stack[window].reshape(stack.shape[0], *apart).transpose(0, *counts, *sides)
    count = math.prod((stack.shape[0], *(count for _, count, _ in spans)))
    return ordered.reshape(count, *(n for _, _, n in spans))


def _spread(part: jax.Array, layers: int, spans: Sequence[tuple[int, int, int]]) -> jax.Array:
    """The way back of `_gathered`."""
    rank = len(spans)
    apart = part.reshape(layers, *(count for _, count, _ in spans), *(n for _, _, n in spans))
    order = [0, *(m for axis in range(rank) for m in (1 + axis, 1 + rank + axis))]
    return apart.transpose(order).reshape(layers, *(count * n for _, count, n in spans))


def _concatenated(parts: Iterator[jax.Array], counts: Sequence[int], axis: int) -> jax.Array:
    if not counts:
        return next(parts)
    made = [_concatenated(parts, counts[1:], axis + 1) for _ in range(counts[0])]
    return jnp.concatenate(made, axis) if len(made) > 1 else made[0]
