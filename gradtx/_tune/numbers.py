"""The numbers of a transformation by name, those of its schedules among them, as one vector and back."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradtx._rules.transformation import GradientTransformation
from gradtx._value.decay import SplitDecay
from gradtx._value.errors import TransformationError, suggest
from gradtx._value.marks import Interval
from gradtx._value.named_links import Links
from gradtx._value.value import Value


@dataclass(frozen=True)
class Number:
    """A number of a transformation: its dotted name, where it must lie, and the leaf that holds it.

    A decay has two leaves, the second of which is what rounding lost: ``rest`` is its place, None for other numbers.
    """

    name: str
    interval: Interval | None
    leaf: int
    rest: int | None = None

    def exact(self, leaves: Sequence[Any]) -> float:
        """The number in float64."""
        lost = 0.0 if self.rest is None else float(leaves[self.rest])
        return float(leaves[self.leaf]) + lost


def numbers_of(tx: GradientTransformation) -> list[Number]:
    """Every number of a transformation, and of its schedules. Seeds are none: nothing is differentiable in them.

    Raises `TransformationError`: a stacked transformation.

    >>> from gradtx import adam, linear_schedule
    >>> [number.name for number in numbers_of(adam(linear_schedule(0.1, 0.0, 10)))][3:5]
    ['adam.learning_rate.transition_begin', 'adam.b1']
    """
    prefix = "" if tx.call.associative else f"{tx.link_name}."
    found, leaf = [], 0
    for name, interval, child in _walk(tx, prefix):
        split = isinstance(child, SplitDecay)
        shape = np.shape(child.near if split else child)
        if shape:
            raise TransformationError(f"{name}: expected one number, found shape {shape}: take a lane of the stack")
        if interval is None or not interval.whole:
            found.append(Number(name, interval, leaf, leaf + 1 if split else None))
        leaf += 2 if split else 1
    return found


def chosen(who: str, tx: GradientTransformation, names: str | Sequence[str] | None) -> list[Number]:
    """The numbers that some names choose, which may be shell globs; all of them for None.

    Raises `TransformationError`: a name that chooses nothing.
    """
    known = numbers_of(tx)
    if names is None:
        return known
    wanted = [names] if isinstance(names, str) else list(names)
    for name in wanted:
        if not any(_chooses(name, number.name) for number in known):
            have = [number.name for number in known]
            raise TransformationError(
                f"{who}: names: {name!r} is no number of the transformation{suggest(name, have)}; "
                f"there are {', '.join(have) or 'none'}"
            )
    return [number for number in known if any(_chooses(name, number.name) for name in wanted)]


def _chooses(pattern: str, name: str) -> bool:
    return pattern == name or fnmatchcase(name, pattern)


def _walk(value: Value, prefix: str) -> Iterator[tuple[str, Interval | None, Any]]:
    """The leaves of a value in the order of `jax.tree.leaves`; a decay, which has two, once."""
    for name in value.call.children:
        child, parameter = value.given[name], value.call.parameters[name]
        if isinstance(child, Links):
            for own, link in zip(child.names(), child.values, strict=True):
                yield from _walk(link, f"{prefix}{own}.")
        else:
            yield from _entries(f"{prefix}{name}", child, parameter.interval)


def _entries(name: str, child: Any, interval: Interval | None) -> Iterator[tuple[str, Interval | None, Any]]:
    if isinstance(child, Value):
        yield from _walk(child, f"{name}.")
    elif isinstance(child, tuple):
        for n, part in enumerate(child):
            yield from _entries(f"{name}.{n}", part, interval)
    elif child is not None:
        yield name, interval, child


def as_vector(tx: GradientTransformation, numbers: Sequence[Number]) -> jax.Array:
    """The numbers as a vector; of a decay its nearest float32, to which derivatives go."""
    leaves = jax.tree.leaves(tx)
    parts = [jnp.asarray(leaves[number.leaf]) for number in numbers]
    dtype = jnp.result_type(float)
    return jnp.stack([x.astype(dtype) for x in parts]) if parts else jnp.zeros(0, dtype)


def at_vector(tx: GradientTransformation, numbers: Sequence[Number], vector: jax.Array) -> GradientTransformation:
    """The same transformation, with the entries of a vector in place of its numbers: the way back."""
    leaves, treedef = jax.tree.flatten(tx)
    for n, number in enumerate(numbers):
        old = leaves[number.leaf]
        leaves[number.leaf] = vector[n].astype(jnp.result_type(old))
    return treedef.unflatten(leaves)


def with_values(tx: GradientTransformation, values: Mapping[str, float]) -> GradientTransformation:
    """The same transformation with other numbers, by name, as Python floats: decays keep the digits of float64."""
    leaves, treedef = jax.tree.flatten(tx)
    for number in numbers_of(tx):
        if number.name not in values:
            continue
        value = float(values[number.name])
        if number.rest is None:
            leaves[number.leaf] = value
        else:
            split = SplitDecay.of(value)
            leaves[number.leaf], leaves[number.rest] = split.near, split.rest
    return treedef.unflatten(leaves)
