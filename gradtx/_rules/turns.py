"""Work on many matrices that takes turns: a part of it at each step, all of it once in so many steps."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gradtx._rules.loops import cond

Tree = Any


class Group(NamedTuple):
    """Matrices of one kind: the places of their stacks in a list, and how many each stack has."""

    places: list[int]
    counts: list[int]


def batched(work: Callable[[Tree], Tree], given: Sequence[Tree]) -> list[Tree]:
    """``work`` on every stack, with one call for all stacks of one kind.

    Each of ``given`` is a tree of arrays that have the same first axis, along which there is one matrix after the
    other; ``work`` takes and returns such trees.
    """
    made: list[Tree] = [None] * len(given)
    for group in _groups(given):
        _put(made, group, work(_together(given, group)))
    return made


def in_turn(
    work: Callable[[Tree], Tree],
    given: Sequence[Tree],
    kept: Sequence[Tree],
    t: jax.Array,
    every: int,
    *,
    staggered: bool = True,
    phase: int = 0,
) -> list[Tree]:
    """``work`` on those that have their turn at step ``t``, and what was ``kept`` of the others.

    Staggered, each matrix has its turn once in ``every`` steps, and the turns of all are spread so that the steps cost
    the same, as nearly as their sizes allow. Otherwise all have their turn when t + ``phase`` is a multiple of
    ``every``. What has no turn costs nothing, except under `jax.vmap` with steps that differ.
    """
    if every == 1:
        return batched(work, given)
    if not staggered:
        return cond((t + phase) % every == 0, lambda: batched(work, given), lambda: list(kept))
    made: list[Tree] = [None] * len(given)
    groups, slot = _groups(given), t % every
    for group, extra in zip(groups, _turns(given, groups, every), strict=True):
        new, old = _together(given, group), _together(kept, group)
        each = sum(group.counts) // every
        if each:  # as many at every step: a window
            old = _written(old, work(_window(new, slot * each, each)), slot * each)
        if np.any(extra >= 0):  # one more at some steps
            place = jnp.asarray(extra)[slot]
            at = jnp.maximum(place, 0)
            one, before = _window(new, at, 1), _window(old, at, 1)
            old = _written(old, cond(place >= 0, work, lambda _, before=before: before, one), at)
        _put(made, group, old)
    return made


def _groups(given: Sequence[Tree]) -> list[Group]:
    found: dict[Any, Group] = {}
    for n, tree in enumerate(given):
        leaves, structure = jax.tree.flatten(tree)
        group = found.setdefault((structure, *((x.shape[1:], x.dtype) for x in leaves)), Group([], []))
        group.places.append(n)
        group.counts.append(leaves[0].shape[0])
    return list(found.values())


def _turns(given: Sequence[Tree], groups: Sequence[Group], every: int) -> list[np.ndarray]:
    """For each group and each slot the matrix that has its turn besides those of the window, or -1.

    The largest are placed first, each where there is the least to do: with n³ operations for n rows.
    """
    load, extra = np.zeros(every), [np.full(every, -1) for _ in groups]
    rows = [jax.tree.leaves(given[group.places[0]])[0].shape[-1] for group in groups]
    for n in sorted(range(len(groups)), key=lambda n: -rows[n]):
        whole, rest = divmod(sum(groups[n].counts), every)
        slots = np.argsort(load, kind="stable")[:rest]
        extra[n][slots] = whole * every + np.arange(rest)
        load[slots] += rows[n] ** 3
    return extra


def _together(stacks: Sequence[Tree], group: Group) -> Tree:
    chosen = [stacks[n] for n in group.places]
    return chosen[0] if len(chosen) == 1 else jax.tree.map(lambda *xs: jnp.concatenate(xs), *chosen)


def _put(made: list[Tree], group: Group, whole: Tree) -> None:
    ends = np.cumsum(group.counts)
    for n, end, count in zip(group.places, ends, group.counts, strict=True):
        made[n] = jax.tree.map(lambda x, end=end, count=count: x[end - count : end], whole)


def _window(tree: Tree, at: Any, count: int) -> Tree:
    return jax.tree.map(lambda x: jax.lax.dynamic_slice_in_dim(x, at, count), tree)


def _written(tree: Tree, new: Tree, at: Any) -> Tree:
    return jax.tree.map(lambda x, y: jax.lax.dynamic_update_slice_in_dim(x, y.astype(x.dtype), at, 0), tree, new)
