"""Where a sweep trains: the devices that were asked for, one entry per unit."""

import os
from collections.abc import Iterable
from typing import Any

import jax
from jax.sharding import Mesh

from gradtx._value.errors import TransformationError


def chosen(devices: Any, tiles: int) -> tuple[Any, ...]:
    """The devices. Every process must have one of them; a CPU is listed several times, to share its cores."""
    there = jax.devices()
    found: list[Any] = []
    if devices is None:
        devices = "all" if jax.process_count() > 1 else 1
    if isinstance(devices, Mesh):
        devices = devices.devices.flat
    if isinstance(devices, int) and not isinstance(devices, bool):
        if not 1 <= devices <= len(there):
            raise TransformationError(f"sweep.run: devices: expected 1 to {len(there)}, all there are, found {devices}")
        found = there[:devices]
    elif isinstance(devices, str):
        found = there if devices == "all" else []
    elif isinstance(devices, Iterable):
        found = list(devices)
    if not found or any(device not in there for device in found):
        raise TransformationError(
            f"sweep.run: devices: expected a number, 'all', devices of jax or a mesh, found {devices!r}"
        )
    if not any(device.process_index == jax.process_index() for device in found):
        raise TransformationError("sweep.run: devices: every process that calls must have one of them")
    if found[0].platform != "cpu" or not isinstance(devices, int | str) or jax.process_count() > 1:
        return tuple(found)  # as given, unit by unit
    shares = max(1, min(_cores() // len(found), -(-tiles // len(found))))
    return tuple(found) * shares


def _cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
