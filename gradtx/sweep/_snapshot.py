"""Where a sweep under way stands, in words and arrays that a disk can hold, and a sweep that goes on from there."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from gradtx.sweep._course import Course
from gradtx.sweep._units import Unit, begin, devices_of, is_key, rows_of, slots_for, to_host

Tree = Any


def snapshot(course: Course) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Where a course stands. Rows are written lane by lane, whatever units and devices they are on."""
    arrays: dict[str, np.ndarray] = {"sums": course.sums, "steps": course.steps}
    arrays |= {f"score.{name}": column for name, column in course.scores.items()}
    arrays |= {f"parents.{n}": column for n, column in enumerate(course.parents)}
    for n, turn in enumerate(course.numbers):
        arrays |= {f"numbers.{n}.{name}": column for name, column in turn.items()}
    for n, unit in enumerate(course.units):
        arrays |= _flat(f"unit.{n}", rows_of([(to_host((unit.rows, unit.settings)), unit.places)]))
    for lane, rows in course.kept.items():
        arrays |= _flat(f"kept.{lane}", rows)
    where = {
        "round": course.round,
        "task": course.task,
        "spent": course.spent,
        "status": course.status,
        "units": [{"group": u.group, "lanes": u.lanes, "slots": u.slots, "devices": u.devices} for u in course.units],
        "kept": list(course.kept),
        "turns": len(course.numbers),
    }
    return where, arrays


def restore(course: Course, where: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Bring a new course to where a snapshot was taken."""
    devices = devices_of(course.plan.program)
    course.round, course.task, course.spent = where["round"], where["task"], where["spent"]
    course.status, course.sums, course.steps = list(where["status"]), arrays["sums"].copy(), arrays["steps"].copy()
    course.scores = {name: column.copy() for name, column in _under("score.", arrays).items()}
    course.parents = [arrays[f"parents.{n}"] for n in range(max(0, where["turns"] - 1))]
    course.numbers = [_under(f"numbers.{n}.", arrays) for n in range(where["turns"])]
    for n, kept in enumerate(where["units"]):
        lanes = list(kept["lanes"])
        slots = kept["slots"] if kept["devices"] == devices else slots_for(course.plan.program, len(lanes))
        rows, settings = _unflat(f"unit.{n}", _like(course, kept["group"], len(lanes)), arrays)
        unit = Unit(kept["group"], lanes, slots, settings, devices=devices)
        index = unit.index(range(len(lanes)))
        unit.rows = jax.tree.map(lambda x, index=index: x[index], rows)
        unit.settings = jax.tree.map(lambda x, index=index: x[index] if np.ndim(x) else x, settings)
        course.units.append(unit)
    for lane in where["kept"]:
        group = next(k for k, group in enumerate(course.plan.population.groups) if lane in group.lanes)
        rows, _ = _like(course, group, 1)
        one = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), (rows.params, rows.state))
        course.kept[lane] = _unflat(f"kept.{lane}", one, arrays)


def _under(start: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name.removeprefix(start): x for name, x in arrays.items() if name.startswith(start)}


def _like(course: Course, group: int, lanes: int) -> Any:
    """Shapes of the rows and settings of so many lanes."""
    plan, settings = course.plan, course.whole(group)
    program = dataclasses.replace(plan.program, mesh=None)
    seed = settings.seed[:1].repeat(lanes) if settings.seed.ndim else settings.seed
    settings = jax.tree.map(lambda x: x[:1].repeat(lanes, 0), settings._replace(seed=None))._replace(seed=seed)
    unit = Unit(group, list(range(lanes)), lanes, settings)

    def rows() -> Any:
        begin(program, unit, plan.params, plan.make)
        return unit.rows

    return jax.eval_shape(rows), settings


def _flat(name: str, tree: Tree) -> dict[str, np.ndarray]:
    leaves = (jax.random.key_data(x) if is_key(x) else x for x in jax.tree.leaves(tree))
    return {f"{name}.{n}": np.asarray(x) for n, x in enumerate(leaves)}


def _unflat(name: str, like: Tree, arrays: Mapping[str, np.ndarray]) -> Tree:
    leaves, treedef = jax.tree.flatten(like)
    found = [arrays[f"{name}.{n}"] for n in range(len(leaves))]
    keys = [jax.random.wrap_key_data(x) if is_key(leaf) else x for x, leaf in zip(found, leaves, strict=True)]
    return treedef.unflatten(keys)
