"""Units: as many lanes of one structure as fit into memory together, and where their rows are.

A unit's rows live on the device while it is the only one of its group, and on the host between its turns otherwise.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradtx.sweep._lanes import ALL, Lanes, Program, Settings, start, take, train

Tree = Any
MEMINFO = Path("/proc/meminfo")


@dataclass
class Unit:
    """Lanes that train together: their numbers in the population, one a slot in use, and their rows."""

    group: int
    lanes: list[int]
    slots: int
    settings: Settings
    rows: Lanes | None = None
    devices: int = field(default=1)
    placed: Settings | None = None

    @property
    def places(self) -> np.ndarray:
        """The slot of every lane: dealt out to the devices in turn, those of each device in front of its slots."""
        order, own = np.arange(len(self.lanes)), self.slots // self.devices
        return order % self.devices * own + order // self.devices

    @property
    def active(self) -> np.ndarray:
        """How many slots are in use on each device."""
        n = np.arange(self.devices)
        return ((len(self.lanes) - n + self.devices - 1) // self.devices).astype(np.int32)

    def index(self, rows: Sequence[int]) -> np.ndarray:
        """For every slot the row it is filled from: of its lane, or of the first where it is not in use."""
        index = np.full(self.slots, rows[0])
        index[self.places] = rows
        return index


def devices_of(program: Program) -> int:
    """How many devices a program runs on."""
    return 1 if program.mesh is None else program.mesh.size


def slots_for(program: Program, lanes: int) -> int:
    """Slots for so many lanes: whole tiles on every device."""
    own = -(-lanes // devices_of(program))
    width = max(program.width, 1)
    return -(-own // width) * width * devices_of(program)


def to_device(program: Program, tree: Tree, *, spread: bool) -> Tree:
    """Arrays of the host on the devices of a program, also those of other processes."""
    place = program.place(spread)
    if place is None:
        return jax.tree.map(jnp.asarray, tree)

    def one(x: Any) -> Any:
        if not is_key(x):
            x = np.asarray(x)
            return jax.make_array_from_callback(x.shape, place, lambda index: x[index])
        return jax.random.wrap_key_data(one(jax.random.key_data(x)), impl=str(jax.random.key_impl(x)))

    return jax.tree.map(one, tree)


def to_host(tree: Tree) -> Tree:
    """Arrays of NumPy (keys stay what they are), also of rows that are with other processes: all call it then."""

    def one(x: Any) -> Any:
        if is_key(x):
            return jax.random.wrap_key_data(one(jax.random.key_data(x)), impl=str(jax.random.key_impl(x)))
        if isinstance(x, jax.Array) and not x.is_fully_addressable:
            from jax.experimental import multihost_utils

            return np.asarray(multihost_utils.process_allgather(x, tiled=True))
        return np.asarray(x)

    return jax.tree.map(one, tree)


def begin(program: Program, unit: Unit, params: Tree, make: Any) -> None:
    """Put a unit before its first step, on the device."""
    slots = to_device(program, np.zeros(unit.slots, np.int8), spread=True)
    given = None if make is not None else to_device(program, params, spread=False)
    unit.rows = start(program, settings_of(program, unit), given, make=make, slots=slots)


def settings_of(program: Program, unit: Unit) -> Settings:
    """The settings of a unit on the device, brought there once."""
    if unit.placed is None:
        unit.placed = on_device(program, unit.settings)
    return unit.placed


def on_device(program: Program, settings: Settings) -> Settings:
    """The settings of a unit where its lanes are."""
    own = to_device(program, settings._replace(seed=None), spread=True)
    return own._replace(seed=to_device(program, settings.seed, spread=settings.seed.ndim > 0))


def rearranged(program: Program, unit: Unit, kept: Sequence[int], rows: Sequence[int] | None = None) -> Unit:
    """The unit with the lanes ``kept``; each goes on from its own row, or from that of the lane in ``rows``."""
    place = dict(zip(unit.lanes, unit.places.tolist(), strict=True))
    slots = slots_for(program, len(kept)) if program.width == ALL else unit.slots  # a new size is a new compilation
    new = Unit(unit.group, list(kept), slots, unit.settings, devices=unit.devices)
    index = new.index([place[lane] for lane in rows or kept])
    own = new.index([place[lane] for lane in kept])
    settings = jax.tree.map(lambda x: x[own], unit.settings._replace(seed=None))
    seed = unit.settings.seed
    new.settings = settings._replace(seed=seed[own] if seed.ndim else seed)
    on_host = isinstance(jax.tree.leaves(unit.rows)[0], np.ndarray)
    new.rows = jax.tree.map(lambda x: x[index], unit.rows) if on_host else take(program, unit.rows, jnp.asarray(index))
    return new


def rows_of(parts: Sequence[tuple[Tree, np.ndarray]]) -> Tree:
    """The rows in use of several units, one after the other; what is no row (a seed of all) is the first one's."""
    trees = [jax.tree.map(lambda x, places=places: x[places] if np.ndim(x) else x, tree) for tree, places in parts]
    return jax.tree.map(lambda *xs: _joined(xs) if np.ndim(xs[0]) else xs[0], *trees)


def _joined(xs: Sequence[Any]) -> Any:
    return xs[0] if len(xs) == 1 else jnp.concatenate(xs) if is_key(xs[0]) else np.concatenate(xs)


def is_key(x: Any) -> bool:
    """Whether an array holds keys of `jax.random`."""
    return jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key)


# Memory ---------------------------------------------------------------------------------------------------------------


def bytes_needed(program: Program, settings: Settings, data: Tree, params: Tree, make: Any, lanes: int) -> int:
    """What the compiled training program needs on each device for so many lanes, by its own account."""
    slots = slots_for(program, lanes)
    settings = jax.tree.map(lambda x: x[np.zeros(slots, int)], settings._replace(seed=None))._replace(
        seed=np.zeros(slots, np.uint32) if settings.seed.ndim else settings.seed
    )
    settings = on_device(program, settings)
    shape = to_device(program, np.zeros(slots, np.int8), spread=True)
    rows = jax.eval_shape(
        lambda s, p, n: start(program, s, p, make=make, slots=n), settings, None if make else params, shape
    )
    place = program.place(spread=True)
    rows = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place), rows)
    active = to_device(program, np.ones(devices_of(program), np.int32), spread=True)
    scalar = to_device(program, np.int32(0), spread=False)
    found = train.lower(program, settings, data, rows, scalar, scalar, active).compile().memory_analysis()
    if found is None:
        return 0
    return (
        found.argument_size_in_bytes
        + found.output_size_in_bytes
        - found.alias_size_in_bytes
        + found.temp_size_in_bytes
    )


def memory_of(device: Any, devices: int) -> int | None:
    """How many bytes a sweep may take on a device: nine tenths of what is free; None where nobody says."""
    stats = device.memory_stats()
    if stats and "bytes_limit" in stats:
        return int(0.9 * (stats["bytes_limit"] - stats.get("bytes_in_use", 0)))
    if device.platform == "cpu" and MEMINFO.exists():
        free = re.search(r"MemAvailable:\s+(\d+) kB", MEMINFO.read_text())
        return None if free is None else int(0.9 * 1024 * int(free[1])) // devices
    return None
