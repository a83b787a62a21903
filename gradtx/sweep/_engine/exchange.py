"""Between rounds of population-based training: lanes take over rows of others, and change their numbers."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradtx.sweep._choice import evolution
from gradtx.sweep._choice.evolution import Evolution
from gradtx.sweep._engine.lanes import Lanes, Settings
from gradtx.sweep._engine.processes import share
from gradtx.sweep._engine.rows import at
from gradtx.sweep._engine.units import filled, rows_at


def evolve(course: Any) -> None:
    """Exploit and explore, among the lanes of each structure."""
    plan, ranks, select = course.plan, course.ranks(), course.plan.select
    assert isinstance(select, Evolution)
    parents = np.arange(plan.population.size)
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(plan.seed), 0x9E3779B9), course.round)
    for group in range(len(plan.population.groups)):
        unit = course.alone(group)
        if unit is None:
            lanes, rows, settings = course.gather(group)
        else:
            lanes, rows, settings = unit.lanes, unit.rows, rows_at(unit.settings, slice(len(unit.lanes)))
        if len(lanes) < 2:
            continue
        names = evolution.explored(select, settings)
        made, source = evolution.evolve(
            select, names, settings, jnp.asarray(ranks[lanes]), jax.random.fold_in(key, group)
        )
        made, source = jax.tree.map(np.asarray, made), np.asarray(source)
        parents[lanes] = np.asarray(lanes)[source]
        if unit is None:
            _exchange(course, group, lanes, at(rows, source)._replace(taken=rows.taken), made)
        else:
            unit.keep(plan.program, lanes, [lanes[n] for n in source])
            unit.rows = unit.rows._replace(taken=rows.taken)
            unit.settings, unit.placed = rows_at(made, filled(range(len(lanes)), unit.slots)), None
    course.parents.append(parents)
    course.numbers.append(recorded(course))


def _exchange(course: Any, group: int, lanes: list[int], rows: Lanes, settings: Settings) -> None:
    """Give every unit the rows and settings of its lanes."""
    row = {lane: n for n, lane in enumerate(lanes)}
    for unit in course.units(group):
        index = filled([row[lane] for lane in unit.lanes], unit.slots)
        unit.rows, unit.settings, unit.placed = at(rows, index), rows_at(settings, index), None


def recorded(course: Any) -> dict[str, np.ndarray]:
    """The numbers of all lanes now, one column per name; NaN where a lane has none of that name."""
    found: dict[str, np.ndarray] = {}
    for group, own in enumerate(course.plan.population.groups):
        begun = evolution.recorded(course.settings_of(group))
        for name, column in begun.items():
            found.setdefault(name, np.full(course.plan.population.size, np.nan))[list(own.lanes)] = column
    for unit in course.units():
        for name, column in evolution.recorded(unit.settings).items():
            found[name][unit.lanes] = column[: len(unit.lanes)]
    return share(course.own(), found)
