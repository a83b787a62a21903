"""`run`: train all lanes of a population, in one compiled program for each structure."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal

import jax
import numpy as np

from gradtx._training.progress import progress as progress_bar
from gradtx.sweep._choice.evolution import Evolution
from gradtx.sweep._choice.selection import Halving, Hyperband
from gradtx.sweep._disk.identity import identity
from gradtx.sweep._disk.snapshot import restore, snapshot
from gradtx.sweep._disk.storage import Storage
from gradtx.sweep._engine.course import Course
from gradtx.sweep._engine.plan import Plan
from gradtx.sweep._engine.processes import agreed
from gradtx.sweep._origin import origin_of
from gradtx.sweep._population import Population
from gradtx.sweep._request import Request
from gradtx.sweep._result import Sweep

Tree = Any


def run(
    loss: Callable[..., Any],
    params: Tree,
    population: Population,
    data: Tree,
    *,
    steps: int,
    batch_size: int | None = None,
    seed: int = 0,
    record_every: int | None = None,
    evaluate: Callable[[Tree], Mapping[str, Any]] | None = None,
    metric: str = "final_loss",
    better: Literal["lower", "higher"] = "lower",
    select: Halving | Hyperband | Evolution | None = None,
    patience: int | None = None,
    stop_diverged: bool = False,
    over: Literal["vmap", "map"] = "vmap",
    width: int | None = None,
    lanes_at_once: int | None = None,
    memory: int | None = None,
    devices: Any = None,
    folder: Any = None,
    save_every: float = 30.0,
    progress: bool | None = None,
) -> Sweep:
    """Train every lane of a population on the same data, in one compiled program for each structure.

    ``loss(params, batch)``, ``data``, ``batch_size``, ``seed``, ``record_every`` and ``progress`` are as in
    `gradtx.fit`: each lane is the fit of its own transformation, and all lanes see the same batches. Numbers of the
    population that belong to the loss come by keyword, ``loss(params, batch, l2=...)``. ``params`` may be a function of
    a key, called with ``jax.random.key(seed)``. If the population has seeds, each lane has its own batches and its own
    initial parameters. ``evaluate(params)`` returns a mapping from names to numbers, such as a held-out accuracy, which
    become columns of the table. ``metric`` and ``better`` choose the column that ranks the lanes.

    *Selection.* ``select``: `halving`, `hyperband` or `population_based`. ``patience``: a lane stops after that many
    records in a row without a new best mean loss. ``stop_diverged``: a lane stops where its loss is not finite, and
    keeps the parameters it had there. Lanes that have stopped free their place, tile by tile. A lane that diverges
    does not affect the others.

    *Scale.* ``over="map"`` trains lanes one by one instead of under ``vmap``; each then equals its `gradtx.fit` bit for
    bit. ``width`` lanes share a ``vmap`` (4 on a CPU, all elsewhere); the last bits depend on it, and on none of the
    following. ``lanes_at_once`` is how many lanes train at a time, rounded to whole widths. If it is not given, it is
    what fits into ``memory``, in bytes per device, by the compiled program's own estimate; ``memory`` is most of the
    free memory if it is not given. ``devices`` is a number, "all", a sequence of devices or a mesh. Lanes are spread
    over the devices, and no step waits for another device. Where `jax.distributed` runs several processes, all of them
    make the same call and get the same result.

    *Nothing is lost.* With a ``folder``, progress is saved there every ``save_every`` seconds (needs orbax-checkpoint).
    The same call resumes from it, even after a kill, and ends with the same bits. A finished sweep is read back.

    Raises `TransformationError`: as `gradtx.fit`; a number that the loss does not take; a folder that holds another
    sweep or a damaged file. Nothing in such a folder is overwritten.
    """
    return train(
        Request(
            loss, params, population, data, steps, batch_size, seed, record_every, evaluate, metric, better, select,
            patience, stop_diverged, over, width, lanes_at_once, memory, devices, folder, save_every, progress,
        )
    )  # fmt: skip


def train(request: Request) -> Sweep:
    """Run the sweep, from its beginning or from the progress in its folder."""
    plan = request.plan()
    if request.folder is None:
        return _follow(_begun(plan, None), None, request.progress)
    storage = Storage(request.folder, identity(plan), writes=jax.process_index() == 0)
    storage.open()
    try:
        return _follow(_begun(plan, storage), storage, request.progress)
    finally:
        storage.close()


# The course, and its progress -----------------------------------------------------------------------------------------


def _begun(plan: Plan, storage: Storage | None) -> Course:
    """A course at its beginning, or at the progress on disk."""
    course = Course(plan)
    saved = None if storage is None else storage.load()
    if saved is None:
        course.begin()
    else:
        restore(course, *saved)
    return course


def _follow(course: Course, storage: Storage | None, show: bool | None) -> Sweep:
    """Train to the end, and save the progress every so often and at the end."""
    population, began = course.plan.population, course.round
    saved = started = time.monotonic()
    shown = show if jax.process_index() == 0 else False
    done = course.spent * jax.process_count()  # an estimate: as if every process had done as much
    name = f"{population.size} lane{'s' * (population.size != 1)}"
    with progress_bar(name, course.plan.total, shown, done=done, best=_lowest(course)) as bar:
        for gone, best in course.go():
            bar(gone * jax.process_count(), best)
            if storage is not None and agreed(time.monotonic() - saved >= course.plan.save_every):
                storage.save(*snapshot(course))
                saved = time.monotonic()
    if storage is not None and course.round != began:
        storage.save(*snapshot(course))
    return replace(course.result(), origin=origin_of(course.plan.devices, time.monotonic() - started))


def _lowest(course: Course) -> float:
    """The lowest loss that a course has seen, where it goes on from progress on disk."""
    losses = course.losses() if course.spent else np.empty(0)
    return float(np.min(losses, initial=np.inf, where=np.isfinite(losses)))
