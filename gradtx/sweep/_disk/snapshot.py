"""A snapshot of a sweep under way, in words and arrays that a disk can hold, and how a sweep goes on from it.

Rows are written lane by lane, whatever units and devices they are on, so a sweep may go on with others.
"""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from gradtx.sweep._engine.course import Course
from gradtx.sweep._engine.processes import share, total
from gradtx.sweep._engine.rows import as_keys, at, is_key
from gradtx.sweep._engine.units import like, rows_at

Tree = Any


def snapshot(course: Course) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The state of a course. All processes call this, and all get the same."""
    course.share()
    arrays: dict[str, np.ndarray] = {"sums": course.sums, "steps": course.steps, "measured": course.measured}
    arrays |= {f"score.{name}": column for name, column in course.scores.items()}
    arrays |= {f"curve.{name}": column for name, column in course.curves.items()}
    arrays |= {f"parents.{n}": column for n, column in enumerate(course.parents)}
    for n, turn in enumerate(course.numbers):
        arrays |= {f"numbers.{n}.{name}": column for name, column in turn.items()}
    clock = np.full(len(course.steps), -1, np.int64)
    for wave in course.waves:
        for unit in wave.units:
            clock[unit.lanes] = wave.clock
    arrays["clock"] = share(clock >= 0, clock)
    for group in range(len(course.plan.population.groups)):
        lanes, rows, settings = course.gather(group)
        arrays |= flat(f"rows.{group}", course.rows(group, lanes, rows)) | flat(f"settings.{group}", settings)
        arrays[f"lanes.{group}"] = np.asarray(lanes, np.int64)
    where = {
        "round": course.round,
        "spent": total(course.spent),
        "status": course.status,
        "training": course.training,
        "turns": len(course.numbers),
        "drawn": course.drawn,
        "groups": [list(group.lanes) for group in course.plan.population.groups],
        "origin": course.origin,
    }
    return where, arrays


def restore(course: Course, where: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Bring a new course to where a snapshot was taken."""
    plan = course.plan
    course.round, course.status, course.training = where["round"], list(where["status"]), list(where["training"])
    course.spent = where["spent"] if jax.process_index() == 0 else 0
    course.sums, course.steps = arrays["sums"].copy(), arrays["steps"].copy()
    course.measured, course.origin = arrays.get("measured", course.measured).copy(), dict(where.get("origin", {}))
    course.scores = {name: column.copy() for name, column in under("score.", arrays).items()}
    course.curves = {name: column.copy() for name, column in under("curve.", arrays).items()}
    course.drawn = where.get("drawn")
    course.parents = [arrays[f"parents.{n}"] for n in range(max(0, where["turns"] - 1))]
    course.numbers = [under(f"numbers.{n}.", arrays) for n in range(where["turns"])]
    for number, group in enumerate(plan.population.groups):
        own = list(group.lanes)
        begun = course.settings_of(number)
        _, shapes = like(plan, begun, len(own))
        rows = unflat(f"rows.{number}", shapes, arrays)
        row = {lane: n for n, lane in enumerate(own)}
        setting = {lane: n for n, lane in enumerate(arrays[f"lanes.{number}"].tolist())}
        settings = unflat(f"settings.{number}", begun, arrays)
        course.kept |= {lane: at(rows, n) for lane, n in row.items() if lane not in setting}
        for clock in sorted({int(arrays["clock"][lane]) for lane in setting}, reverse=True):
            chosen = [lane for lane in setting if arrays["clock"][lane] == clock]
            mine = rows_at(settings, [setting[lane] for lane in chosen])
            course.place(number, chosen, mine, at(rows, [row[lane] for lane in chosen]), clock)
    course.feed(course.drawn)


def under(start: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays whose names begin so, without that beginning."""
    return {name.removeprefix(start): x for name, x in arrays.items() if name.startswith(start)}


def flat(name: str, tree: Tree) -> dict[str, np.ndarray]:
    """The leaves of a tree of arrays under numbered names."""
    leaves = (jax.random.key_data(x) if is_key(x) else x for x in jax.tree.leaves(tree))
    return {f"{name}.{n}": np.asarray(x) for n, x in enumerate(leaves)}


def unflat(name: str, like: Tree, arrays: Mapping[str, np.ndarray]) -> Tree:
    """A tree like ``like`` from the arrays of its leaves."""
    leaves, treedef = jax.tree.flatten(like)
    found = [arrays[f"{name}.{n}"] for n in range(len(leaves))]
    return treedef.unflatten(as_keys(x, leaf) if is_key(leaf) else x for x, leaf in zip(found, leaves, strict=True))
