"""How wide each parameter is, and how much wider than in a base model: what a role is read from."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._value.errors import TransformationError

Tree = Any


class Widths(NamedTuple):
    """Inputs and outputs of a parameter, and the factors by which they have grown."""

    inputs: int
    outputs: int
    grown_in: float
    grown_out: float
    vector: bool

    @property
    def aspect(self) -> float:
        """Outputs for each input."""
        return self.outputs / self.inputs

    @property
    def aspect_before(self) -> float:
        """The same in the base model."""
        return self.outputs / self.grown_out / (self.inputs / self.grown_in)

    @property
    def role(self) -> str:
        """Fixed, vector, input, hidden or output."""
        if self.grown_in == 1 and self.grown_out == 1:
            return "fixed"
        if self.vector:
            return "vector"
        return {(False, True): "input", (True, False): "output"}.get(
            (self.grown_in != 1, self.grown_out != 1), "hidden"
        )


def widths_of(who: str, base: Tree, params: Tree, axes: Mapping[str, Any]) -> list[Widths | None]:
    """The widths of each leaf, ``None`` leaves among them. Raises `TransformationError` where they are in doubt."""
    narrow, wide = trees.flatten(base), trees.flatten(params)
    if narrow[1] != wide[1]:
        raise TransformationError(f"{who}: base: expected a tree like the parameters, {wide[1]}, found {narrow[1]}")
    said = [None] * len(wide[0])
    if axes:  # which pattern chose a leaf: what the patterns say are no labels, but pairs
        order = dict(enumerate(axes.values()))
        chosen = trees.labels({**{pattern: n for n, pattern in enumerate(axes)}, "*": -1}, params)
        said = [order.get(n) for n in trees.flatten(chosen)[0]]
    rows = zip(trees.paths(params), narrow[0], wide[0], said, strict=True)
    return [
        None if now is None else _of_leaf(f"{who}: leaf {path}", before, now, own) for path, before, now, own in rows
    ]


def _of_leaf(who: str, before: Any, now: Any, said: Any) -> Widths:
    old, new = tuple(jnp.shape(before)), tuple(jnp.shape(now))
    if len(old) != len(new):
        raise TransformationError(
            f"{who}: expected {len(new)} axes in the base as in the parameters, found {old}, {new}"
        )
    grown = [n for n in range(len(new)) if old[n] != new[n]]
    if said is None:
        inputs, outputs = ((), tuple(range(len(new)))) if len(new) < 2 else ((len(new) - 2,), (len(new) - 1,))
    else:
        inputs, outputs = (_axes(who, part, len(new)) for part in said)
    strange = [n for n in grown if n not in (*inputs, *outputs)]
    if strange:
        raise TransformationError(
            f"{who}: axis {strange[0]} grows from {old[strange[0]]} to {new[strange[0]]}, and is it an input or an "
            f"output? Say so: axes={{{who.rpartition(' ')[2]!r}: (input axes, output axes)}}"
        )

    def size(shape: tuple[int, ...], which: tuple[int, ...]) -> int:
        return math.prod(shape[n] for n in which)

    sizes = [size(shape, which) for shape in (new, old) for which in (inputs, outputs)]
    if 0 in sizes:
        raise TransformationError(f"{who}: expected a parameter with numbers in it, found shapes {old} and {new}")
    return Widths(sizes[0], sizes[1], sizes[0] / sizes[2], sizes[1] / sizes[3], vector=not inputs)


def _axes(who: str, part: Any, rank: int) -> tuple[int, ...]:
    found = (part,) if isinstance(part, int) else tuple(part)
    if any(not isinstance(n, int) or not -rank <= n < rank for n in found):
        raise TransformationError(f"{who}: axes: expected axes of {rank}, found {part!r}")
    return tuple(n % rank for n in found)
