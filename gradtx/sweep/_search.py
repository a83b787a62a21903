"""Search by Optuna: it proposes batches of points, each batch trains as one population, and it learns the results."""

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Unpack

import numpy as np

from gradtx._rules.transformation import GradientTransformation
from gradtx._training.feed import is_source
from gradtx._training.progress import progress as progress_bar
from gradtx._value.errors import TransformationError, within
from gradtx.sweep._choice.evolution import Evolution
from gradtx.sweep._disk.files import locked
from gradtx.sweep._disk.folders import made_folder
from gradtx.sweep._disk.identity import of_every_trial
from gradtx.sweep._disk.study import (
    Point,
    Work,
    best_of,
    check_study,
    finished,
    key_of,
    library,
    open_storage,
    open_study,
    reachable,
    value_of,
)
from gradtx.sweep._disk.trials import as_sweep
from gradtx.sweep._distributions import Distribution
from gradtx.sweep._engine.seeds import listed_seeds, whole_seed
from gradtx.sweep._files import write_best
from gradtx.sweep._origin import origin_of
from gradtx.sweep._population import Population, points
from gradtx.sweep._request import Request, Training
from gradtx.sweep._result import Sweep
from gradtx.sweep._run import train

WAIT = 0.5  # seconds between looks at what other processes do


@dataclass(frozen=True)
class Search:
    """What a search found: the ``study`` (Optuna's own object), and its best point and value."""

    study: Any
    space: Mapping[str, Distribution] = field(repr=False)
    metric: str
    make: Callable[[Sequence[Point]], Population] = field(repr=False)
    asked: Mapping[str, Any] = field(repr=False)

    def sweep(self) -> Sweep | None:
        """The lanes of all finished trials as a sweep, to save, draw and rank: all but their parameters.

        None where the study has none: an older version kept only their values.
        """
        return as_sweep([(trial, self._point(trial)) for trial in finished(self.study)], self.make, **self.asked)

    @property
    def best_point(self) -> Point:
        """The best point. Raises `TransformationError`: every trial diverged."""
        return self._point(self._best())

    @property
    def best_value(self) -> float:
        """The value of the best point."""
        return float(self._best().value)

    def table(self) -> list[dict[str, Any]]:
        """One row per trial, the best first: its number, its point, its value; finished, dropped or diverged."""
        up = self.study.direction.name == "MAXIMIZE"
        rows = []
        for trial in finished(self.study):
            value = math.nan if trial.value is None else float(trial.value)
            status = "finished" if trial.state.name == "COMPLETE" else "diverged" if math.isnan(value) else "dropped"
            rows.append({"trial": trial.number, **self._point(trial), self.metric: value, "status": status})
        last = ["finished", "dropped", "diverged"]
        return sorted(
            rows, key=lambda r: (last.index(r["status"]), np.nan_to_num(-r[self.metric] if up else r[self.metric]))
        )

    def _best(self) -> Any:
        try:
            return self.study.best_trial
        except ValueError:
            raise TransformationError(f"search: no trial of {len(finished(self.study))} ended with a number") from None

    def _point(self, trial: Any) -> Point:
        return {
            name: value_of(name, d, trial.params) for name, d in self.space.items() if key_of(name, d) in trial.params
        }


def search(
    factory: Callable[..., GradientTransformation] | GradientTransformation,
    loss: Callable[..., Any],
    params: Any,
    data: Any,
    *,
    trials: int,
    steps: int,
    space: Mapping[str, Distribution],
    numbers: Mapping[str, Distribution] | None = None,
    lanes: int = 16,
    seeds: Iterable[int] | None = None,
    storage: str | Path | None = None,
    study: str = "gradtx",
    sampler: Any = None,
    seed: int = 0,
    folder: str | Path | None = None,
    progress: bool | None = None,
    metric: str | None = None,
    better: Literal["lower", "higher"] | None = None,
    **options: Unpack[Training],
) -> Search:
    """Let Optuna propose points, ``lanes`` at a time, and train each batch as one population, up to ``trials`` points.

    ``space`` maps arguments of the factory to distributions, ``numbers`` those of the loss. ``metric``, ``better`` and
    ``options`` (``batch_size``, ``evaluate``, ``select`` ...) are those of `gradtx.sweep.run`. With ``seeds`` a point
    is trained once with each seed, and its value is the mean. All batches have one size, so nothing is compiled again.
    A trial that diverges is reported to Optuna as pruned: its sampler then avoids that region, whereas it forgets
    failures. A trial that was dropped is pruned too, with its last value and step.

    ``storage`` keeps the study: a path (an SQLite file), a URL for Optuna, or one of Optuna's storages. If it is not
    given, the study is ``study.db`` in ``folder``, or else only in memory. The parameters of the best lane are written
    to ``folder`` too. A study that exists goes on, if it asks the same question: space, metric, loss, data, initial
    parameters, optimizer and training. *Several processes* may share a study; they end when they have ``trials``
    together. If a process is killed, the trials that it was training are repeated by the others or by its next start:
    at once on the same machine, elsewhere after two minutes of silence. ``sampler`` is one of Optuna's, its TPE if not
    given.

    Needs Optuna. Raises `TransformationError`: a name that the factory or the loss does not have; a storage that cannot
    be opened, or disappears; a study that asks another question.
    """
    optuna, seed = library(), whole_seed("search: seed", seed)
    for name, n in {"trials": trials, "lanes": lanes}.items():
        if isinstance(n, bool) or not isinstance(n, int) or n < 1:
            raise TransformationError(f"search: {name}: expected a whole number, 1 or more, found {n!r}")
    if isinstance(options.get("select"), Evolution):
        raise TransformationError("search: select: a population changes its points, so there is nothing to tell Optuna")
    if better not in (None, "lower", "higher"):
        raise TransformationError(f"search: better: expected 'lower' or 'higher', found {better!r}")
    if is_source(data) and iter(data) is data:
        raise TransformationError("search: data: an iterator serves one batch of trials: give what can be read again")
    every = {**space, **(numbers or {})}
    _check_space(space, numbers or {})
    seeds = None if seeds is None else listed_seeds("search", seeds)
    make = within("search", points)

    def population(rows: Sequence[Point]) -> Population:
        return make(factory, rows, numbers=list(numbers or {}), seeds=seeds)

    middle = population([{name: d.quantile(0.5) for name, d in every.items()}])
    request = Request(
        loss, params, middle, data, steps, seed=seed, metric=metric, better=better, progress=False, **options
    )  # raises any error before a trial is asked for
    plan = request.plan()
    ranked_by, up = plan.metric, plan.better == "higher"
    asked = {"metric": ranked_by, **of_every_trial(plan)}
    if folder is not None:
        folder = made_folder("search", folder)
    opened = open_storage(
        optuna, storage if storage is not None else None if folder is None else Path(folder) / "study.db"
    )
    direction = "maximize" if up else "minimize"
    found = open_study(optuna, opened, study, sampler, direction)
    check_study(found, {**asked, "space": ", ".join(f"{name}={d}" for name, d in every.items())})
    began = time.monotonic()
    work = Work(optuna, found, trials, lanes, seed, every, fixed=sampler is not None)
    words = {"unit": "trials", "of": ranked_by, "higher": up}
    label = f"study {found.study_name}"
    with (
        progress_bar(label, trials, progress, done=work.count(), best=best_of(found), **words) as bar,
        reachable(found),
        work.beating(),
    ):
        while True:
            batch = work.claim()
            if batch is None:
                break
            if not batch:
                time.sleep(WAIT)
                continue
            try:
                rows = [work.point(trial) for trial in batch]
                padded = rows + [rows[-1]] * (lanes - len(rows))
                result = train(replace(request, population=population(padded)))
                for n, trial in enumerate(batch):
                    work.tell(trial, result, n, 1 if seeds is None else len(seeds))
                _keep_best(found, batch, result, folder)
            finally:
                work.give_up(batch)
            bar(len(batch), best_of(found))
    as_asked = {"metric": ranked_by, "better": plan.better, "batch_size": request.batch_size, "seed": seed}
    as_asked |= {"origin": origin_of(plan.devices, time.monotonic() - began)}
    return Search(found, every, ranked_by, population, as_asked)


def _keep_best(study: Any, batch: Sequence[Any], result: Sweep, folder: Any) -> None:
    """Write the parameters of the best lane of a batch to the folder, if the best trial of all is in it."""
    if folder is None:
        return
    file = Path(folder) / ".best.lock"
    with locked(file, wait=True) or nullcontext(), suppress(ValueError):  # no trial has a value yet
        if study.best_trial.number in [trial.number for trial in batch]:
            write_best(Path(folder), result.best)


def _check_space(space: Mapping[str, Distribution], numbers: Mapping[str, Distribution]) -> None:
    if not space and not numbers:
        raise TransformationError("search: space: expected at least one distribution, found none")
    for name, d in (*space.items(), *numbers.items()):
        if not isinstance(d, Distribution):
            raise TransformationError(
                f"search: space: {name}: expected a distribution such as uniform(0, 1), found {d!r}"
            )
    twice = next((name for name in numbers if name in space), None)
    if twice is not None:
        raise TransformationError(f"search: {twice}: given twice, to the transformation and to the loss")
