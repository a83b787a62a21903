"""Chunks: lanes of one structure that one worker trains to the end of a round.

What a lane computes depends on the width of its tile alone, so it is the same in any chunk. State goes from the whole
sweep to its chunks and back as snapshots: words, and arrays with one row per lane.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from gradtx.sweep._disk.snapshot import flat
from gradtx.sweep._engine.course import Course
from gradtx.sweep._engine.plan import Plan
from gradtx.sweep._engine.units import Unit, Wave
from gradtx.sweep._grouping import Group
from gradtx.sweep._population import Population
from gradtx.sweep._result import FINISHED

State = tuple[dict[str, Any], dict[str, np.ndarray]]
OF_THE_WHOLE = ("parents", "numbers", "score", "clock", "lanes")  # what no chunk begins with


@dataclass(frozen=True)
class Chunk:
    """Lanes of the structure ``group``, which begin after ``begin`` steps and train until they have taken ``end``."""

    group: int
    lanes: tuple[int, ...]
    begin: int
    end: int


def divided(population: Population, training: Iterable[int], lanes: int, begin: int, end: int) -> list[Chunk]:
    """The chunks of a round, each of at most so many lanes.

    >>> from gradtx.sweep import grid
    >>> from gradtx import sgd
    >>> [chunk.lanes for chunk in divided(grid(sgd, learning_rate=[0.1] * 7), [0, 1, 3, 5, 6], 2, 0, 9)]
    [(0, 1), (3, 5), (6,)]
    """
    trains, found = set(training), []
    for n, group in enumerate(population.groups):
        own = [lane for lane in group.lanes if lane in trains]
        found += [Chunk(n, tuple(own[k : k + lanes]), begin, end) for k in range(0, len(own), lanes)]
    return found


# Training a chunk -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Part(Plan):
    """The plan of one chunk: a sweep of its lanes alone that ends with its round. ``lanes``: of the largest chunk."""

    end: int = 0
    lanes: int = 0

    @property
    def cuts(self) -> list[Any]:
        """None: the whole sweep selects."""
        return []

    @property
    def ends(self) -> list[int]:
        """The end of the round."""
        return [self.end]

    def most(self, group: int) -> int:
        """The lanes of a device in the largest chunk, so that all chunks share a compiled program."""
        return math.ceil(self.lanes / len(self.devices))


def part_of(plan: Plan, chunk: Chunk, lanes: int) -> Part:
    """The plan of a chunk; ``lanes`` has the largest one."""
    given = {field.name: getattr(plan, field.name) for field in fields(plan)}
    mine = {"population": _restricted(plan.population, chunk), "select": None, "end": chunk.end, "lanes": lanes}
    return Part(**given | mine)


def _restricted(population: Population, chunk: Chunk) -> Population:
    """The lanes of a chunk as a population."""
    import jax

    own, index = population.groups[chunk.group], list(chunk.lanes)
    rows = np.searchsorted(own.lanes, index)
    return Population(
        [population.points[lane] for lane in index],
        (Group(tuple(range(len(index))), jax.tree.map(lambda x: np.asarray(x)[rows], own.tx), own.batch_size),),
        {name: column[index] for name, column in population.numbers.items()},
        None if population.seeds is None else population.seeds[index],
        None if population.batch_sizes is None else population.batch_sizes[index],
    )


class ChunkCourse(Course):
    """The course of a chunk: one round, without a selection at its end."""

    def _select(self, end: int) -> None:
        """The whole sweep does, where all chunks have come in."""


# The whole ------------------------------------------------------------------------------------------------------------


class Whole(Course):
    """The course of a sweep whose chunks are trained elsewhere: it selects, and makes the result."""

    def place(self, group: int, lanes: list[int], settings: Any, rows: Any, clock: int) -> None:
        """Keep lanes at rest on the host, in one unit."""
        if lanes:
            unit = Unit(group, lanes, len(lanes), self.plan.devices[0], settings, rows)
            self.waves.append(Wave(group, clock, [unit]))

    def turn(self) -> None:
        """End the round: the selection, if one follows."""
        end = self.plan.ends[self.round]
        if end < self.plan.clock.steps and self.training:
            self._select(end)
        self.round += 1

    def measure(self, units: Sequence[Unit]) -> None:
        """The chunks were measured where they were trained."""


def beginning(plan: Plan) -> State:
    """The state of a sweep whose lanes have not begun."""
    course = Whole(plan)
    course.begin()
    arrays = {f"numbers.{n}.{name}": x for n, turn in enumerate(course.numbers) for name, x in turn.items()}
    for n, group in enumerate(plan.population.groups):
        arrays |= flat(f"settings.{n}", course.settings_of(n))
        arrays[f"lanes.{n}"] = np.asarray(group.lanes, np.int64)
    where = {
        "round": 0,
        "spent": 0,
        "status": course.status,
        "training": course.training,
        "turns": len(course.numbers),
    }
    return where, arrays


def joined(plan: Plan, state: State, parts: Iterable[tuple[Chunk, State]]) -> State:
    """The state of the whole at the end of a round, from the state at its beginning and those of its chunks."""
    (where, arrays), groups = state, plan.population.groups
    where, arrays = dict(where), dict(arrays)
    clock = np.full(plan.population.size, -1, np.int64)
    clock[where["training"]] = plan.ends[where["round"]]
    for chunk, (its, found) in parts:
        where["spent"] += its["spent"]
        for name, x in found.items():
            kind, _, rest = name.partition(".")
            own, index = plan.population.size, np.asarray(chunk.lanes)
            if kind in ("settings", "lanes", "clock"):
                continue
            if kind == "rows":
                name = f"rows.{chunk.group}.{rest.partition('.')[2]}"
                lanes = groups[chunk.group].lanes
                own, index = len(lanes), np.searchsorted(lanes, index)
            if name not in arrays:
                arrays[name] = np.zeros((own, *x.shape[1:]), x.dtype)
            arrays[name][index] = x
    return where, arrays | {"clock": clock}


def part_state(plan: Plan, state: State, chunk: Chunk) -> State:
    """The state in which a chunk begins its round."""
    (where, arrays), lanes = state, np.asarray(chunk.lanes)
    rows = np.searchsorted(plan.population.groups[chunk.group].lanes, lanes)
    settings = np.searchsorted(arrays[f"lanes.{chunk.group}"], lanes)
    found = {"clock": np.full(len(lanes), chunk.begin, np.int64), "lanes.0": np.arange(len(lanes))}
    for name, x in arrays.items():
        kind, _, rest = name.partition(".")
        group, _, leaf = rest.partition(".")
        if kind in ("rows", "settings"):
            if group == str(chunk.group):
                found[f"{kind}.0.{leaf}"] = x[rows if kind == "rows" else settings] if x.ndim else x
        elif kind not in OF_THE_WHOLE:
            found[name] = x[lanes]
    own = list(range(len(lanes)))
    mine = {"round": 0, "spent": 0, "turns": 0, "training": own, "status": [FINISHED] * len(own), "groups": [own]}
    return where | mine, found
