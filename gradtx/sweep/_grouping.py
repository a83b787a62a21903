"""Lanes of one structure, stacked: each group is one compiled program."""

import itertools
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradtx._rules.transformation import GradientTransformation
from gradtx._value.differences import hidden_difference
from gradtx._value.errors import TransformationError


@dataclass(frozen=True)
class Group:
    """Lanes of one structure: their numbers in the population, and their transformations stacked in one.

    ``tx`` is None where lanes have none; ``batch_size`` where the population has no axis of that name.
    """

    lanes: tuple[int, ...]
    tx: GradientTransformation
    batch_size: int | None = None


def grouped(
    transformations: Sequence[GradientTransformation],
    rows: Sequence[Mapping[str, Any]] = (),
    batch_sizes: Sequence[int] | np.ndarray | None = None,
) -> tuple[Group, ...]:
    """The transformations, stacked by structure and size of batch, in the order in which these appear."""
    lanes: dict[Any, list[int]] = {}
    first: dict[Any, int] = {}
    sizes = [None] * len(transformations) if batch_sizes is None else [int(size) for size in batch_sizes]
    for n, (tx, size) in enumerate(zip(transformations, sizes, strict=True)):
        structure = jax.tree.structure(tx), tuple(np.shape(x) for x in jax.tree.leaves(tx))
        first.setdefault(structure, n)
        lanes.setdefault((structure, size), []).append(n)
    if len(first) > 1:
        _say_what_is_hidden(transformations, list(first.values()), rows)
    return tuple(
        Group(tuple(own), jax.tree.map(_column, *(transformations[n] for n in own)), size)
        for (_, size), own in lanes.items()
    )


def _say_what_is_hidden(
    transformations: Sequence[GradientTransformation], firsts: Sequence[int], rows: Sequence[Mapping[str, Any]]
) -> None:
    """Warn if lanes look alike but differ in structure, since each structure compiles by itself; refuse if too many."""
    many = len(firsts) > 32 and len(firsts) > len(transformations) // 2
    found = ""
    for a, b in itertools.combinations(firsts[:33], 2):
        asked = [x for row in (rows[a], rows[b]) for x in row.values() if callable(x)] if rows else []
        hidden = None if asked and not many else hidden_difference(transformations[a], transformations[b])
        if hidden is not None:
            found = f"lanes {a} and {b} look alike and differ in {hidden}"
            break
    if many:
        raise TransformationError(
            f"sweep: {len(transformations)} lanes of {len(firsts)} structures, each of which would be compiled"
            f"{found and f': {found}'}{_of_others(transformations)}"
        )
    if found:
        warnings.warn(
            f"sweep: {found}; each of the {len(firsts)} structures is compiled by itself"
            f"{_of_others(transformations) or '. Make once what all lanes share, and a number of what differs'}",
            stacklevel=_outside(),
        )


def _of_others(transformations: Sequence[GradientTransformation]) -> str:
    """What to do where a transformation of another library is among the parts; empty where none is."""
    if not any(part.call.name == "foreign" for tx in transformations[:1] for part in tx.walk()):
        return ""
    return (
        ". The numbers of a transformation of another library are constants in its functions, so each value is "
        "another structure: gradtx has all of Optax's under their names"
    )


def _outside() -> int:
    """How many calls up the caller of gradtx stands."""
    frame, up = sys._getframe(2), 2
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("gradtx."):
        frame, up = frame.f_back, up + 1
    return up


def _column(*numbers: Any) -> jax.Array:
    """One leaf of all lanes, from float64 where the numbers are Python's."""
    if all(isinstance(x, float) for x in numbers):
        return jnp.asarray(np.asarray(numbers, np.float64).astype(jnp.result_type(float)))
    return jnp.stack([jnp.asarray(x) for x in numbers])
