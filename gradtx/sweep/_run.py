"""`run`: train all lanes of a population, in as few compiled programs as there are structures among them."""

import inspect
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from gradtx._training.fit import check_data
from gradtx._training.progress import progress as progress_bar
from gradtx._value.errors import TransformationError, suggest
from gradtx.sweep._choice.evolution import Evolution
from gradtx.sweep._choice.selection import Halving, Hyperband
from gradtx.sweep._disk.snapshot import restore, snapshot
from gradtx.sweep._disk.storage import Storage, digest_of, program_of, transformations_of
from gradtx.sweep._engine.course import Course
from gradtx.sweep._engine.lanes import ALL, Program
from gradtx.sweep._engine.plan import Plan, records_per_stride
from gradtx.sweep._engine.processes import agreed
from gradtx.sweep._engine.units import memory_of
from gradtx.sweep._population import Population
from gradtx.sweep._result import Sweep

Tree = Any
TILE = 4  # lanes that one vmap takes on a CPU, where more gain nothing


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

    ``loss(params, batch)``, ``data``, ``batch_size``, ``seed``, ``record_every``, ``progress`` are as in `gradtx.fit`;
    a lane is the fit of its transformation, with the same batches. Numbers of the population that are the loss's come
    by keyword, ``loss(params, batch, l2=...)``. ``params`` may be a function of a key, called with
    ``jax.random.key(seed)``: with seeds in the population each lane has its own batches, and its own initial
    parameters. ``evaluate(params)`` returns a mapping from names to numbers, such as a held-out accuracy, for the
    table. ``metric`` and ``better`` say by which column lanes are ranked.

    *Selection.* ``select``: `halving`, `hyperband` or `population_based`. ``patience``: a lane stops when the mean
    loss of that many records in a row was no new best. ``stop_diverged``: a lane stops where its loss is not finite,
    with the parameters that it had there. Lanes that have stopped make room, tile by tile. One that diverges changes
    no other.

    *Scale.* ``over="map"`` takes lanes one by one instead of with ``vmap``, each bit for bit its `gradtx.fit`.
    ``width`` lanes share a ``vmap`` (4 on a CPU, all elsewhere): bits depend on it and on nothing that follows.
    ``lanes_at_once`` train at a time (rounded to whole widths); if not given, as many as fit into ``memory``, bytes a
    device, by the compiled program's own account, if not given most of what is free. ``devices``: a number, "all", a
    sequence of devices or a mesh; lanes are spread over them, and no step waits for another device. Where
    `jax.distributed` runs several processes, all of them call this alike, and all get the same result.

    *Nothing lost.* With a ``folder`` progress is saved there every ``save_every`` seconds (needs orbax-checkpoint). The
    same call goes on from what it finds, after a kill too, and ends with the same bits; a finished sweep is read back.

    Raises `TransformationError`: as `gradtx.fit`; a number that the loss does not take; a folder that holds another
    sweep, or a damaged file, of which nothing is overwritten.
    """
    if not isinstance(population, Population):
        raise TransformationError(f"sweep.run: population: expected one of grid, sample or stack, found {population!r}")
    _check_words(over=(over, ("vmap", "map")), better=(better, ("lower", "higher")))
    for name, x in {"patience": patience, "width": width, "lanes_at_once": lanes_at_once, "memory": memory}.items():
        if x is not None and (isinstance(x, bool) or not isinstance(x, int | np.integer) or x < 1):
            raise TransformationError(f"sweep.run: {name}: expected a whole number, 1 or more, found {x!r}")
    if select is not None and not isinstance(select, Halving | Hyperband | Evolution):
        raise TransformationError(
            f"sweep.run: select: expected halving(...), hyperband(...) or population_based(...), found {select!r}"
        )
    is_tree = not jax.tree_util.treedef_is_leaf(jax.tree.structure(params))  # a module may be called, too
    make = params if callable(params) and not is_tree else None
    params = jax.eval_shape(make, jax.random.key(seed)) if make else jax.tree.map(jnp.asarray, params)
    _check_numbers(loss, population)
    numbers = {name: jnp.zeros([]) for name in population.numbers}
    given = (lambda params, batch: loss(params, batch, **numbers)) if numbers else loss
    data, every = check_data("sweep.run", given, params, data, steps, batch_size, record_every)
    names = _check_columns(population, evaluate, params)
    if metric not in ("final_loss", *names):
        known = ["final_loss", *names]
        raise TransformationError(
            f"sweep.run: metric: expected one of {', '.join(known)}, found {metric!r}{suggest(metric, known)}"
        )
    most = max(len(group.lanes) for group in population.groups)
    tile = TILE if width is None else int(width)
    found = _devices(devices, -(-most // tile))
    device = next(device for device in found if device.process_index == jax.process_index())
    if width is None:
        tile = min(TILE, most) if device.platform == "cpu" else ALL
    program = Program(
        loss=loss,
        evaluate=evaluate,
        batch_size=batch_size,
        every=every,
        records=records_per_stride(steps, every) + 1,
        width=0 if over == "map" else tile,
        stop_diverged=stop_diverged,
        patience=patience,
        metrics=tuple(names),
    )
    plan = Plan(
        program,
        population,
        params=params,
        make=make,
        data=data,
        steps=steps,
        seed=seed,
        select=select,
        metric=metric,
        better=better,
        devices=found,
        lanes_at_once=lanes_at_once,
        memory=memory_of(device, len(found)) if memory is None else memory,
        save_every=save_every,
    )
    if isinstance(select, Halving | Hyperband):
        select.cuts(steps, population.size)
    if folder is None:
        return _follow(_begun(plan, None), None, progress)
    storage = Storage(folder, _identity(plan, params, numbers), writes=jax.process_index() == 0)
    storage.open()
    try:
        return _follow(_begun(plan, storage), storage, progress)
    finally:
        storage.close()


# The course, and its progress -----------------------------------------------------------------------------------------


def _begun(plan: Plan, storage: Storage | None) -> Course:
    """A course at its beginning, or where the progress on disk stands."""
    course = Course(plan)
    saved = None if storage is None else storage.load()
    if saved is None:
        course.begin()
    else:
        restore(course, *saved)
    return course


def _follow(course: Course, storage: Storage | None, show: bool | None) -> Sweep:
    """Go to the end; save what has come of it every so often, and at last."""
    population, began = course.plan.population, course.round
    saved = time.monotonic()
    shown = show if jax.process_index() == 0 else False
    done = course.spent * jax.process_count()  # of all processes about as much as of this one
    name = f"{population.size} lane{'s' * (population.size != 1)}"
    with progress_bar(name, course.plan.total, shown, done=done, best=_lowest(course)) as bar:
        for gone, best in course.go():
            bar(gone * jax.process_count(), best)
            if storage is not None and agreed(time.monotonic() - saved >= course.plan.save_every):
                storage.save(*snapshot(course))
                saved = time.monotonic()
    if storage is not None and course.round != began:
        storage.save(*snapshot(course))
    return course.result()


def _lowest(course: Course) -> float:
    """The lowest loss that a course has seen, where it goes on from progress on disk."""
    losses = course.losses() if course.spent else np.empty(0)
    return float(np.min(losses, initial=np.inf, where=np.isfinite(losses)))


def _identity(plan: Plan, params: Tree, numbers: Mapping[str, Any]) -> dict[str, Any]:
    """What makes a sweep this one and no other; devices, memory and how often it is saved do not."""
    program, population = plan.program, plan.population
    batch = jax.tree.map(lambda x: x[: program.batch_size], plan.data)
    made = plan.make(jax.random.key(plan.seed)) if plan.make else params
    return {
        "lanes": population.size,
        "steps": plan.steps,
        "batch_size": program.batch_size,
        "seed": plan.seed,
        "record_every": program.every,
        "width": program.width,
        "select": repr(plan.select),
        "metric": f"{plan.metric}, {plan.better}",
        "patience": program.patience,
        "stop_diverged": program.stop_diverged,
        "transformations": transformations_of(population),
        "numbers": {name: column.tolist() for name, column in population.numbers.items()},
        "seeds": None if population.seeds is None else population.seeds.tolist(),
        "loss": program_of(lambda *args: program.loss(*args, **numbers), params, batch),
        "evaluate": program_of(program.evaluate, params),
        "params": digest_of(jax.tree.map(jnp.asarray, made)),
        "data": digest_of(plan.data),
    }


# Checks ---------------------------------------------------------------------------------------------------------------


def _check_words(**words: tuple[str, Sequence[str]]) -> None:
    for name, (word, known) in words.items():
        if word not in known:
            raise TransformationError(f"sweep.run: {name}: expected {' or '.join(map(repr, known))}, found {word!r}")


def _check_numbers(loss: Callable[..., Any], population: Population) -> None:
    """Raise `TransformationError` unless the loss takes the numbers of the population."""
    if not population.numbers:
        return
    try:
        found = inspect.signature(loss).parameters
    except (TypeError, ValueError):
        return
    if any(p.kind == p.VAR_KEYWORD for p in found.values()):
        return
    named = [n for n, p in list(found.items())[2:] if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    wrong = next((name for name in population.numbers if name not in named), None)
    if wrong is not None:
        has = f"it takes {', '.join(named)}" if named else "it takes none"
        raise TransformationError(f"sweep.run: loss: it takes no number {wrong!r}{suggest(wrong, named)}; {has}")


def _check_columns(population: Population, evaluate: Any, params: Tree) -> list[str]:
    """The names of the metrics; or a `TransformationError` where one is no number, or two columns have one name."""
    metrics = {} if evaluate is None else jax.eval_shape(evaluate, params)
    if not isinstance(metrics, Mapping):
        raise TransformationError(f"sweep.run: evaluate: expected a mapping from names to numbers, found {metrics}")
    for name, x in metrics.items():
        if getattr(x, "shape", ()) != ():
            raise TransformationError(f"sweep.run: evaluate: {name}: expected one number, found shape {x.shape}")
    own = {name: None for point in population.points for name in point}
    names = ["lane", *own, "final_loss", *metrics, "steps", "status"]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise TransformationError(f"sweep.run: two columns of the table would be called {twice!r}")
    return list(metrics)


def _devices(devices: Any, tiles: int) -> tuple[Any, ...]:
    """Where to train, one entry a unit. Several processes need all of theirs; the cores of a CPU share its units."""
    there = jax.devices()
    chosen: list[Any] = []
    if devices is None:
        devices = "all" if jax.process_count() > 1 else 1
    if isinstance(devices, Mesh):
        devices = devices.devices.flat
    if isinstance(devices, int) and not isinstance(devices, bool):
        if not 1 <= devices <= len(there):
            raise TransformationError(f"sweep.run: devices: expected 1 to {len(there)}, all there are, found {devices}")
        chosen = there[:devices]
    elif isinstance(devices, str):
        chosen = there if devices == "all" else []
    elif isinstance(devices, Iterable):
        chosen = list(devices)
    if not chosen or any(device not in there for device in chosen):
        raise TransformationError(
            f"sweep.run: devices: expected a number, 'all', devices of jax or a mesh, found {devices!r}"
        )
    if not any(device.process_index == jax.process_index() for device in chosen):
        raise TransformationError("sweep.run: devices: every process that calls must have one of them")
    if chosen[0].platform != "cpu" or not isinstance(devices, int | str) or jax.process_count() > 1:
        return tuple(chosen)  # as given, unit by unit
    shares = max(1, min(_cores() // len(chosen), -(-tiles // len(chosen))))
    return tuple(chosen) * shares


def _cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
