"""What a search keeps with Optuna: the study, its storage, and the trials that several processes share."""

import math
import random
import threading
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from gradtx._value.errors import TransformationError
from gradtx.sweep._disk.owners import is_dead, new_owner
from gradtx.sweep._disk.trials import LANES, kept
from gradtx.sweep._distributions import Distribution
from gradtx.sweep._result import DROPPED, Sweep

BEAT, GRACE = 15.0, 120.0  # seconds: how often a process says that it is alive, and after which silence it is dead
DIGESTS = ("loss", "evaluate", "final_loss", "params", "data", "transformation")  # not shown to a reader
Point = dict[str, Any]


# Distributions as Optuna has them -------------------------------------------------------------------------------------


def _is_flat(d: Distribution) -> bool:
    """Whether a distribution is itself uniform between its bounds, not only made from one that is."""
    if d.low is None or d.high is None:
        return False
    low, wide = d.low, d.high - d.low
    return all(math.isclose(d.quantile(u), low + wide * u, rel_tol=1e-6, abs_tol=1e-12) for u in (0.1, 0.37, 0.5, 0.9))


def key_of(name: str, d: Distribution) -> str:
    """The name of a distribution in the study; one that Optuna does not have is searched by its quantile."""
    return name if d.values or d.whole or d.log or _is_flat(d) else f"quantile({name})"


def _words(d: Distribution) -> tuple[Any, ...]:
    """The values of a choice, as text where Optuna cannot keep them."""
    kept = all(x is None or isinstance(x, bool | int | float | str) for x in d.values)
    return d.values if kept else tuple(map(repr, d.values))


def suggested(trial: Any, name: str, d: Distribution) -> None:
    """Let the sampler of a trial propose a value of a distribution."""
    if d.values:
        trial.suggest_categorical(name, _words(d))
    elif d.whole:
        trial.suggest_int(name, int(d.low or 0), int(d.high or 0))
    elif d.log or _is_flat(d):
        trial.suggest_float(name, d.low, d.high, log=d.log)
    else:
        trial.suggest_float(key_of(name, d), 0.0, 1.0)


def value_of(name: str, d: Distribution, found: Mapping[str, Any]) -> Any:
    """The value of a distribution among the parameters of a trial."""
    x = found[key_of(name, d)]
    if d.values:
        return d.values[_words(d).index(x)]
    return x if key_of(name, d) == name else d.quantile(min(float(x), 1 - 2**-53))


# Studies --------------------------------------------------------------------------------------------------------------


def library() -> Any:
    """Optuna; or an `ImportError` that says where it comes from."""
    try:
        import optuna
    except ImportError:
        raise ImportError("search needs optuna: pip install 'gradtx[search]'") from None
    return optuna


def open_storage(optuna: Any, storage: Any) -> Any:
    """A storage of Optuna; or a `TransformationError` where it cannot be opened."""
    if storage is None:
        return optuna.storages.InMemoryStorage()
    if not isinstance(storage, str | Path):
        return storage
    url = str(storage)
    if "://" not in url:
        file = Path(url).absolute()
        if file.is_dir() or not file.parent.is_dir():
            why = "it is a folder" if file.is_dir() else f"there is no folder {file.parent}"
            raise TransformationError(f"search: storage: {url} cannot be opened: {why}")
        url = f"sqlite:///{quote(str(file))}"  # a path may have ? and % in it
    engine: dict[str, Any] = {}
    if url.startswith("sqlite"):
        from sqlalchemy.pool import NullPool

        engine = {"poolclass": NullPool, "connect_args": {"timeout": 60}}
    for attempt in range(6):
        try:
            return optuna.storages.RDBStorage(url, engine_kwargs=engine)
        except Exception as error:  # whatever a database says
            again = "already exists" in str(error) or "locked" in str(error) or "UNIQUE" in str(error)
            if not again or attempt == 5:  # two processes may make the tables at the same moment
                said = str(error.__cause__ or error).strip().splitlines()
                why = said[0] if said else type(error).__name__
                raise TransformationError(f"search: storage: {url} cannot be opened: {why}") from None
            time.sleep(random.uniform(0.1, 0.5))
    return None


def open_study(optuna: Any, storage: Any, name: str, sampler: Any, direction: str) -> Any:
    """The study of that name, made if it is not there; or a `TransformationError` where its direction is another."""
    told = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        found = optuna.create_study(
            storage=storage, study_name=name, sampler=sampler, direction=direction, load_if_exists=True
        )
    finally:
        optuna.logging.set_verbosity(told)
    has = [one.name.lower() for one in found.directions]
    if has != [direction]:
        raise TransformationError(
            f"search: the study {name!r} is there to {' and '.join(has)}, not to {direction}: give another name"
        )
    return found


def check_study(study: Any, settings: Mapping[str, Any]) -> None:
    """Raise `TransformationError` where a study was made with other settings; write down those it does not have yet."""
    for name, x in settings.items():
        there = study.user_attrs.get(name, x)
        if there != x:
            found = (
                f"does not have the {name} of this search{_why(x)}"
                if name in DIGESTS
                else f"has {name} {there}, and this search {x}"
            )
            raise TransformationError(f"search: the study {study.study_name!r} {found}: give another name")
        if name not in study.user_attrs:
            study.set_user_attr(name, x)


def _why(digest: str) -> str:
    return f" ({digest})" if " " in digest else ""  # a function that cannot be told from another


@contextmanager
def reachable(study: Any) -> Iterator[None]:
    """Turn any error of the study's storage (moved, deleted or locked) into a `TransformationError`."""
    try:
        yield
    except Exception as error:
        said = [type(e).__module__.partition(".")[0] for e in (error, error.__cause__, error.__context__) if e]
        if not {"sqlite3", "sqlalchemy"} & set(said) and type(error).__name__ != "StorageInternalError":
            raise
        raise TransformationError(
            f"search: the study {study.study_name!r} cannot be read or written any more: its storage was moved, "
            "deleted or locked"
        ) from error


def finished(study: Any) -> list[Any]:
    """The trials that were trained to their end, or diverged on the way."""
    return [trial for trial in study.get_trials(deepcopy=False) if trial.state.name in ("COMPLETE", "PRUNED")]


def best_of(study: Any) -> float:
    """The best value so far; NaN where there is none."""
    try:
        return float(study.best_value)
    except ValueError:
        return math.nan


# Sharing the work -----------------------------------------------------------------------------------------------------


class Work:
    """The trials of one process in a study that others may share.

    A trial in training belongs to a process, which says every so often that it is alive. Of the trials that are
    finished or belong to a living process, the first ``trials`` count; later ones are given up.
    """

    def __init__(
        self, optuna: Any, study: Any, trials: int, lanes: int, seed: int, space: Mapping[str, Any], *, fixed: bool
    ):
        self.optuna, self.study, self.trials, self.lanes = optuna, study, trials, lanes
        self.seed, self.space, self.fixed = seed, space, fixed
        self.me = new_owner()

    def count(self) -> int:
        """How many trials are finished."""
        return min(len(finished(self.study)), self.trials)

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Keep saying that this process is alive, until the block ends."""
        stop = threading.Event()

        def beat() -> None:
            with suppress(Exception):  # if the storage is gone, the search itself will say so
                while not stop.wait(BEAT):
                    self.study.set_user_attr(f"process {self.me}", time.time())

        self.study.set_user_attr(f"process {self.me}", time.time())
        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def claim(self) -> list[Any] | None:
        """Trials for this process; [] while other processes train the last ones, None when all are finished."""
        self._free()
        taken = self._taken()
        if len(taken) >= self.trials:
            return None if len(finished(self.study)) >= self.trials else []
        mine = []
        for _ in range(min(self.lanes, self.trials - len(taken))):
            trial = self.study.ask()
            trial.set_user_attr("process", self.me)
            mine.append(trial)
        before = set(sorted(self._taken())[: self.trials])  # others may have asked in the same moment
        for trial in mine:
            if trial.number not in before:
                self._end(trial, state=self.optuna.trial.TrialState.FAIL)
        mine = [trial for trial in mine if trial.number in before]
        if mine and not self.fixed:
            self.study.sampler = self._sampler(mine[0].number)
        return mine

    def point(self, trial: Any) -> Point:
        """The point of a trial, as the sampler proposes it."""
        try:
            for name, d in self.space.items():
                suggested(trial, name, d)
        except ValueError as error:
            raise TransformationError(
                f"search: the study {self.study.study_name!r} has another space ({error}): give another name"
            ) from None
        return {name: value_of(name, d, trial.params) for name, d in self.space.items()}

    def tell(self, trial: Any, result: Sweep, n: int, seeds: int) -> None:
        """Tell Optuna what became of the lanes of a trial."""
        lanes, states = range(n * seeds, (n + 1) * seeds), self.optuna.trial.TrialState
        trial.set_user_attr(LANES, kept(result, lanes))
        value = float(np.mean(np.asarray(result.score, np.float64)[list(lanes)]))
        early = any(result.status[lane] == DROPPED for lane in lanes)
        if math.isfinite(value) and not early:
            self._end(trial, values=value)
        elif math.isfinite(value):
            self._end(trial, int(min(result.steps[lane] for lane in lanes)), value, state=states.PRUNED)
        else:
            self._end(trial, state=states.PRUNED)

    def give_up(self, batch: Sequence[Any]) -> None:
        """Mark as failed the trials that are left without a result, because something went wrong."""
        running = self.optuna.trial.TrialState.RUNNING
        open_ = {t.number for t in self.study.get_trials(deepcopy=False, states=(running,))}
        for trial in batch:
            if trial.number in open_:
                self._end(trial, state=self.optuna.trial.TrialState.FAIL)

    def _end(self, trial: Any, step: int = 0, reached: float | None = None, **told: Any) -> None:
        """Tell what became of a trial, unless another process has done so: it may have taken this one for dead."""
        try:
            if reached is not None:
                trial.report(reached, step)
            self.study.tell(trial, skip_if_finished=True, **told)
        except RuntimeError as error:
            if "finished" not in str(error):
                raise

    def _taken(self) -> list[int]:
        """The numbers of the trials that are finished or in training."""
        states = ("COMPLETE", "PRUNED", "RUNNING")
        return [trial.number for trial in self.study.get_trials(deepcopy=False) if trial.state.name in states]

    def _free(self) -> None:
        """Mark as failed the trials of dead processes: they do not count, and other trials take their place."""
        running = self.optuna.trial.TrialState.RUNNING
        open_ = self.study.get_trials(deepcopy=False, states=(running,))
        beats = self.study.user_attrs if open_ else {}
        for trial in open_:
            owner = trial.user_attrs.get("process")
            if owner is None:
                began = trial.datetime_start or datetime.now()
                gone = (datetime.now() - began).total_seconds() > GRACE
            else:
                gone = time.time() - beats.get(f"process {owner}", 0.0) > GRACE or is_dead(owner)
            if gone:
                self._end(trial.number, state=self.optuna.trial.TrialState.FAIL)

    def _sampler(self, number: int) -> Any:
        """TPE for a batch, seeded by its first trial: repeatable, and different in every process."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Optuna calls what batches need experimental
            seed = int(np.random.SeedSequence([self.seed % 2**64, number]).generate_state(1)[0])
            start = max(10, self.lanes)
            return self.optuna.samplers.TPESampler(seed=seed, n_startup_trials=start, constant_liar=True)
