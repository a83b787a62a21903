"""`run`: train all lanes of a population, in one compiled program for each structure."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np

from gradtx._training.callback import Callback, Progress, wants_to_stop
from gradtx._training.evaluation import Evaluate
from gradtx._training.interrupts import interrupts
from gradtx._training.progress import progress as progress_bar
from gradtx.sweep._choice.evolution import Evolution
from gradtx.sweep._choice.selection import Halving, Hyperband
from gradtx.sweep._disk.identity import identity
from gradtx.sweep._disk.kept import carry, like_before
from gradtx.sweep._disk.snapshot import restore, snapshot
from gradtx.sweep._disk.storage import Storage, settings_before
from gradtx.sweep._engine.course import Course
from gradtx.sweep._engine.outcome import losses, result
from gradtx.sweep._engine.plan import Plan
from gradtx.sweep._engine.processes import agreed
from gradtx.sweep._engines.caller import share_out
from gradtx.sweep._engines.meeting import refuse_chunks
from gradtx.sweep._origin import origin_of
from gradtx.sweep._population import Population
from gradtx.sweep._request import Request
from gradtx.sweep._result import Sweep

Tree = Any


def run(
    loss: Callable[..., Any],
    params: Any,
    population: Population,
    data: Any,
    *,
    steps: int,
    batch_size: int | None = None,
    seed: int = 0,
    record_every: int | None = None,
    evaluate: Evaluate | None = None,
    metric: str | None = None,
    better: Literal["lower", "higher"] | None = None,
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
    has_aux: bool = False,
    model_state: Tree = None,
    held_out: Tree = None,
    evaluate_every: int | None = None,
    callback: Callback | None = None,
    engine: Any = "local",
    final_loss: bool = True,
) -> Sweep:
    """Train every lane of a population on the same data, in one compiled program for each structure.

    ``loss(params, batch)``, ``data``, ``batch_size``, ``seed``, ``record_every`` and ``progress`` are as in
    `gradtx.fit`: each lane is the fit of its own transformation, and all lanes see the same batches. Numbers of the
    population that belong to the loss come by keyword, ``loss(params, batch, l2=...)``. ``params`` may be a function of
    a key, called with ``jax.random.key(seed)``. If the population has seeds, each lane has its own batches, keys and
    initial parameters. ``evaluate(params)`` returns a mapping from names to numbers, such as a held-out accuracy, which
    become columns of the table. ``metric`` is the column that ranks the lanes: the first of them if not given, or the
    final loss where there is no ``evaluate``. ``better`` is ``"higher"`` or ``"lower"``, and need not be given where a
    word in the name says it, such as accuracy, r2, auc, f1, or loss, error, mse, nll, perplexity. Points with several
    seeds are ranked over them (`Sweep.order`), by selection too.

    *As in* `gradtx.fit`: ``params`` is any model, and ``params`` of the result is one too, whose arrays are stacked;
    that of a lane can be called. ``model_state``, a loss that takes ``key``, ``has_aux``, ``held_out`` and
    ``evaluate_every`` do for each lane what they do there; ``data`` may be an iterable of batches, which all lanes see,
    whatever their seeds. The ``loss`` that the callback is told is one a lane; if it returns True, lanes that still
    train are *stopped*, and with a folder the same call goes on from there.

    *Your own step.* With a population that has no transformations, ``grid(None, learning_rate=[...])``, ``loss`` is a
    train step: ``step(carry, batch, learning_rate=...)`` returns (carry, loss), or the carry where there is no loss
    (then ``metric`` is one that ``evaluate(carry)`` returns), and ``params`` is the first carry. ``data`` may be None.
    The final loss is the mean of the last fiftieth of the steps.

    The final loss of many rows is the mean over batches of them, where a loss is such a mean, and takes no ``key``,
    ``model_state`` or ``has_aux``. With ``final_loss=False`` the mean of the last record stands for it.

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
    The same call resumes from it, even after a kill, and ends with the same bits. A finished sweep is read back. Where
    nothing selects among lanes, a call with more points or more steps keeps the lanes that are there and trains what
    is missing, and one that measures something else trains nothing (not so with ``evaluate_every``, or data from an
    iterable). Ctrl-C saves first.

    *Engines.* ``engine`` says who trains: ``"local"``, this process; workers that `gradtx.sweep.engines` starts, on any
    machines that see the ``folder``; ``"folder"``, this process and whoever joins it there. The unit of work is then a
    chunk of ``lanes_at_once`` lanes. The bits are those of one machine.

    Raises `TransformationError`: as `gradtx.fit`; a number that the loss does not take; a metric whose name does not
    say which way is better; a folder that holds another sweep or a damaged file. Nothing in such a folder is
    overwritten.
    """
    return train(
        Request(
            loss, params, population, data, steps, batch_size, seed, record_every, evaluate, metric, better, select,
            patience, stop_diverged, over, width, lanes_at_once, memory, devices, folder, save_every, progress, has_aux,
            model_state, held_out, evaluate_every, callback, engine, final_loss,
        )
    )  # fmt: skip


def train(request: Request, say: Callable[["Standing"], None] = lambda standing: None) -> Sweep:
    """Run the sweep, from its beginning or from the progress in its folder. ``say`` is told where that stands."""
    if request.engine != "local":
        return share_out(request)
    plan = request.plan()
    try:
        if request.folder is None:
            course = Course(plan)
            course.begin()
            return _follow(course, None, request)
        refuse_chunks(request.folder)
        before = settings_before(request.folder)
        if before is not None:
            plan = like_before(request, before, plan)
        storage = Storage(request.folder, identity(plan), writes=jax.process_index() == 0)
        storage.open()
        try:
            course, standing = _begun(plan, storage)
            say(standing)
            return _follow(course, storage, request)
        finally:
            storage.close()
    finally:
        if plan.feed is not None:
            plan.feed.close()


# The course, and its progress -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Standing:
    """Where a sweep stands before it trains: ``steps`` of all lanes together, of ``total``; ``measured``: it has ended.

    ``kept``: how many lanes are those of another sweep in the folder, of ``lanes``; ``aside``: how many that one has
    besides.
    """

    place: Path
    steps: int
    total: int
    lanes: int
    measured: bool
    kept: int | None = None
    aside: int = 0


def _begun(plan: Plan, storage: Storage) -> tuple[Course, Standing]:
    """A course at its beginning, or at the progress on disk, with the lanes of that which it has."""
    course, saved, kept, aside = Course(plan), storage.load(), None, 0
    if saved is None:
        course.begin()
    elif storage.other is None:
        restore(course, *saved)
    else:
        kept = len(carry(course, *saved, storage.other, storage.settings))
        aside = len(storage.other["points"]) - kept
        if aside:
            storage.set_aside()
    measured = bool(course.measured.all())
    return course, Standing(storage.place, course.spent, plan.total, plan.population.size, measured, kept, aside)


def _follow(course: Course, storage: Storage | None, request: Request) -> Sweep:
    """Train to the end, and save the progress every so often and at the end."""
    population, before = course.plan.population, course.origin.get("seconds", 0.0)
    saved = started = time.monotonic()
    shown = request.progress if jax.process_index() == 0 else False
    done = course.spent * jax.process_count()  # an estimate: as if every process had done as much
    name = f"{population.size} lane{'s' * (population.size != 1)}"

    def save() -> None:
        if storage is not None:
            course.origin = origin_of(course.plan.devices, before + time.monotonic() - started)
            storage.save(*snapshot(course))

    with (
        progress_bar(name, course.plan.total, shown, done=done, best=_lowest(course)) as bar,
        interrupts(storage is not None) as interrupted,
    ):
        for gone, best in course.go():
            bar(gone * jax.process_count(), best)
            stop = storage is not None and agreed(bool(interrupted))
            if stop or (storage is not None and agreed(time.monotonic() - saved >= course.plan.save_every)):
                save()
                saved = time.monotonic()
            if stop and storage is not None:
                raise KeyboardInterrupt(
                    f"stopped, and saved in {storage.place.parent}: the same call goes on from there"
                )
            told = request.callback is not None
            if told and agreed(wants_to_stop(request.callback, lambda: _progress(course))):
                break
        course.share()
        if not course.measured.all():
            if storage is not None and agreed(time.monotonic() - saved > 1.0):  # measuring may take long too
                save()
            bar(0, doing="the final loss")
            course.measure_all()
            save()
    if storage is None:
        course.origin = origin_of(course.plan.devices, time.monotonic() - started)
    found = result(course)
    if course.error is not None:
        course.error.result = found  # pyright: ignore[reportAttributeAccessIssue]
        raise course.error
    return found


def _progress(course: Course) -> Progress:
    """What the callback is told."""
    found = losses(course)
    last = (np.maximum(course.steps, 1) - 1) // course.plan.program.every
    loss = np.where(np.isin(np.arange(len(last)), course.training), found[np.arange(len(last)), last], np.nan)
    best = int(np.nanargmin(loss)) if np.any(np.isfinite(loss)) else None
    curves = {name: column.copy() for name, column in course.curves.items()}
    return Progress(course.clock, course.plan.clock.steps, loss, best, curves)


def _lowest(course: Course) -> float:
    """The lowest loss that a course has seen, where it goes on from progress on disk."""
    found = losses(course) if course.spent else np.empty(0)
    return float(np.min(found, initial=np.inf, where=np.isfinite(found)))
