"""Units: lanes of one structure that train together on one device, and where their rows are.

Lanes are dealt to the devices in turn. If the lanes of a device do not fit into its memory together, they train in
waves, with one unit per device in each wave; between its turns a unit rests on the host.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradtx.sweep._engine.lanes import ALL, Lanes, Program, Settings, start, take, train
from gradtx.sweep._engine.plan import Plan
from gradtx.sweep._engine.room import free_memory
from gradtx.sweep._engine.rows import to_host

Tree = Any


@dataclass
class Unit:
    """Lanes that train together, in the first slots; ``settings`` and, at rest, ``rows`` are on the host."""

    group: int
    lanes: list[int]
    slots: int
    device: Any
    settings: Settings
    rows: Lanes
    placed: Settings | None = None

    def awake(self) -> tuple[Settings, Lanes]:
        """Settings and rows, on the device."""
        placed = jax.device_put(self.settings, self.device) if self.placed is None else self.placed
        self.placed = placed
        if self.resting:
            self.rows = jax.device_put(self.rows, self.device)
        return placed, self.rows

    def rest(self) -> None:
        """Bring the rows to the host."""
        self.rows = to_host(self.rows)

    @property
    def resting(self) -> bool:
        """Whether the rows are on the host."""
        return isinstance(self.rows.alive, np.ndarray)

    def on_host(self) -> tuple[Lanes, Settings]:
        """Rows and settings of the slots in use, on the host."""
        used = slice(len(self.lanes))
        return jax.tree.map(lambda x: x[used], to_host(self.rows)), rows_at(self.settings, used)

    def keep(self, program: Program, lanes: Sequence[int], sources: Sequence[int] | None = None) -> None:
        """Go on with some of the lanes, each with its own rows or with those of the lane in ``sources``."""
        place = {lane: n for n, lane in enumerate(self.lanes)}
        if program.width == ALL:
            self.slots = slots_for(program, len(lanes))  # less work, at the price of a new compilation
        own = filled([place[lane] for lane in lanes], self.slots)
        index = filled([place[lane] for lane in sources or lanes], self.slots)
        self.rows = jax.tree.map(lambda x: x[index], self.rows) if self.resting else take(self.rows, jnp.asarray(index))
        self.settings, self.placed, self.lanes = rows_at(self.settings, own), None, list(lanes)


@dataclass
class Wave:
    """Units of a group that train at the same time, one per device; ``clock``: how many steps they have taken."""

    group: int
    clock: int
    units: list[Unit]


def filled(index: Sequence[int], slots: int) -> np.ndarray:
    """Rows for all slots: those that are given, then the first again where a slot is not in use."""
    return np.asarray([*index, *[index[0]] * (slots - len(index))])


def rows_at(settings: Settings, index: Any) -> Settings:
    """Rows of settings; a seed that all lanes share stays as it is."""
    rows = jax.tree.map(lambda x: x[index], settings._replace(seed=None))
    return rows._replace(seed=settings.seed[index] if settings.seed.ndim else settings.seed)


def slots_for(program: Program, lanes: int) -> int:
    """Slots for so many lanes: whole tiles."""
    width = max(program.width, 1)
    return -(-lanes // width) * width


def deal(lanes: Sequence[int], devices: int, together: int) -> list[list[list[int]]]:
    """For each wave, the lanes of every device: dealt in turn, at most ``together`` per device.

    >>> deal(range(7), 2, 2)
    [[[0, 2], [1, 3]], [[4, 6], [5]]]
    """
    waves = math.ceil(math.ceil(len(lanes) / devices) / together)
    return [[list(lanes[k::devices][w * together : (w + 1) * together]) for k in range(devices)] for w in range(waves)]


def begin(plan: Plan, settings: Settings, device: Any, slots: int) -> Lanes:
    """Rows of so many slots before the first step."""
    settings, empty = jax.device_put((settings, np.zeros(slots, np.int8)), device)
    return start(plan.program, settings, jax.device_put(plan.ready.given, device), maker=plan.ready.maker, slots=empty)


def like(plan: Plan, settings: Settings, slots: int) -> tuple[Settings, Lanes]:
    """Shapes of the settings and rows of so many slots."""
    settings = rows_at(settings, np.zeros(slots, int))
    shape = jax.ShapeDtypeStruct((slots,), np.int8)

    def rows(settings: Settings, given: Tree, slots: Any) -> Lanes:
        return start(plan.program, settings, given, maker=plan.ready.maker, slots=slots)

    return settings, jax.eval_shape(rows, settings, plan.ready.given, shape)


# Memory ---------------------------------------------------------------------------------------------------------------


def bytes_needed(program: Program, settings: Settings, rows: Lanes, data: Tree, device: Any) -> int:
    """The memory that the compiled training program needs for so many slots, by its own analysis."""
    settings = jax.device_put(settings, device)
    place = jax.sharding.SingleDeviceSharding(device)
    rows = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place), rows)
    scalar = jax.device_put(np.int32(0), device)
    found = train.lower(program, settings, data, rows, scalar, scalar, scalar).compile().memory_analysis()
    if found is None:
        return 0
    arrays = found.argument_size_in_bytes + found.output_size_in_bytes - found.alias_size_in_bytes
    return arrays + found.temp_size_in_bytes


def memory_of(device: Any, devices: int) -> int | None:
    """How many bytes a sweep may take on a device: nine tenths of what is free; None if unknown."""
    stats = device.memory_stats()
    if stats and "bytes_limit" in stats:
        return int(0.9 * (stats["bytes_limit"] - stats.get("bytes_in_use", 0)))
    free = free_memory() if device.platform == "cpu" else None
    return None if free is None else int(0.9 * free) // devices
