"""One schedule at several lengths: what the runs have in common is trained once, and each then branches off."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from gradtx._rules.transformation import GradientTransformation
from gradtx._schedules.schedule import Schedule
from gradtx._training.model import Opened, rebuilt
from gradtx._training.progress import progress as progress_bar
from gradtx._training.step import Loss
from gradtx._value.errors import TransformationError
from gradtx._value.whole import whole_number
from gradtx.sweep._engine.course import Course
from gradtx.sweep._engine.lanes import Lanes, Settings, finish, train
from gradtx.sweep._engine.plan import Plan
from gradtx.sweep._engine.records import means
from gradtx.sweep._engine.rows import at, stack, to_host
from gradtx.sweep._engine.units import begin, rows_at
from gradtx.sweep._population import points
from gradtx.sweep._request import Request
from gradtx.sweep._result import DIVERGED, FINISHED, Sweep

Tree = Any


@dataclass(frozen=True)
class Horizons:
    """What `horizons` found: runs of several ``lengths``, in ascending order, the lanes of ``sweep``.

    ``branches``: after how many steps each run left the trunk, which is the longest run; that has its own length.
    ``steps_spent``: how many steps were trained; ``steps_alone``: how many the runs take one by one.
    """

    lengths: list[int]
    branches: list[int]
    steps_spent: int
    steps_alone: int
    sweep: Sweep = field(repr=False)

    def table(self) -> list[dict[str, Any]]:
        """One row per length: where it branched off, its final loss and metrics."""
        columns = {"final_loss": self.sweep.final_loss, **self.sweep.metrics}
        return [
            {"length": length, "branch": branch, **{name: float(x[n]) for name, x in columns.items()}}
            for n, (length, branch) in enumerate(zip(self.lengths, self.branches, strict=True))
        ]

    def plot(self) -> Any:
        """The curves, and the final loss over the length; a matplotlib figure."""
        from gradtx._report import studies

        return studies.horizons(self)


def horizons(
    loss: Loss,
    params: Tree,
    make: Callable[[int], GradientTransformation],
    data: Tree,
    *,
    lengths: Sequence[int],
    batch_size: int | None = None,
    seed: int = 0,
    record_every: int | None = None,
    evaluate: Callable[[Tree], Mapping[str, Any]] | None = None,
    metric: str | None = None,
    better: Literal["lower", "higher"] | None = None,
    devices: Any = None,
    progress: bool | None = None,
    final_loss: bool = True,
) -> Horizons:
    """Train one recipe for several lengths, and what the runs have in common only once.

    ``make(length)`` is the transformation of a run of that length; all are of one structure. The trunk is the run of
    the longest. For each other length, the schedules in both transformations are evaluated at every step, and up to
    the first step at which any of them differs, by a single bit, the runs are one: there the shorter one branches off.
    So a constant rate with a cool-down (`gradtx.warmup_stable_decay_schedule`) costs the longest run and the
    cool-downs of the others; of a cosine over the whole length only the warm-up is shared. Every branch is bit for bit
    `gradtx.fit` with ``make(length)`` for ``length`` steps, from the same parameters and on the same batches; runs go
    one after another. The rest is as in `gradtx.sweep.run`. (Hu et al. 2024; Hägele et al. 2024.)

    Raises `TransformationError`: fewer than two lengths; transformations of several structures; as `gradtx.sweep.run`.

    >>> from gradtx import sgd, warmup_stable_decay_schedule
    >>> bowl = lambda params, batch: jnp.mean((params - batch) ** 2)
    >>> make = lambda n: sgd(warmup_stable_decay_schedule(0.0, 0.1, 5, n - 5 - n // 10, n // 10))
    >>> found = horizons(bowl, jnp.zeros([]), make, jnp.arange(4.0), lengths=[20, 40, 80, 160])
    >>> found.branches, found.steps_spent, found.steps_alone  # a cool-down of 2 steps begins at the peak: one differs
    ([19, 37, 73, 160], 171, 300)
    """
    if not callable(make):
        raise TransformationError(f"horizons: make: expected a function of the length of a run, found {make!r}")
    asked = sorted({whole_number("horizons: lengths", n) for n in lengths})
    if len(asked) < 2:
        raise TransformationError(f"horizons: lengths: expected two or more, found {list(lengths)}")
    population = points(lambda length: make(length), [{"length": n} for n in asked])
    if len(population.groups) > 1:
        raise TransformationError(
            f"horizons: make: expected transformations of one structure, found {len(population.groups)}: "
            "let the length change numbers only"
        )
    plan = Request(
        loss, params, population, data, asked[-1], batch_size, seed, record_every, evaluate, metric, better,
        over="map", devices=devices, final_loss=final_loss,
    ).plan()  # fmt: skip
    if plan.feed is not None:
        plan.feed.close()
        raise TransformationError("horizons: data: branches go back to batches that an iterable has given: give arrays")
    longest = population.lane(len(asked) - 1)
    branches = [common_steps(population.lane(n), longest, length) for n, length in enumerate(asked[:-1])]
    branches.append(asked[-1])
    spent = asked[-1] + sum(length - branch for length, branch in zip(asked, branches, strict=True))
    with progress_bar("horizons", spent, progress) as bar:
        made = _Branches(plan, bar).run(asked, branches)
    return Horizons(asked, branches, spent, sum(asked), replace(made, steps_spent=spent))


# Where schedules part -------------------------------------------------------------------------------------------------


def common_steps(a: GradientTransformation, b: GradientTransformation, steps: int) -> int:
    """For how many of the first ``steps`` steps the numbers of two transformations are the same, bit for bit."""
    pairs = zip(*(jax.tree.leaves(tx, is_leaf=lambda x: isinstance(x, Schedule)) for tx in (a, b)), strict=True)
    shared = steps
    for one, other in pairs:
        if isinstance(one, Schedule):
            differs = np.flatnonzero(~_same(_values(one, shared), _values(other, shared)))
            shared = int(differs[0]) if len(differs) else shared
        elif not _same(np.asarray(one), np.asarray(other)).all():
            return 0
    return shared


@jax.jit
def _at_steps(schedule: Schedule, steps: jax.Array) -> jax.Array:
    return jax.lax.map(schedule, steps)


def _values(schedule: Schedule, steps: int) -> np.ndarray:
    return np.asarray(_at_steps(schedule, jnp.arange(max(steps, 1), dtype=jnp.int32)))[:steps]


def _same(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (x == y) | ((x != x) & (y != y))


# Trunk and branches ---------------------------------------------------------------------------------------------------


class _Branches:
    """The runs of a plan, one lane each: the last is the trunk."""

    def __init__(self, plan: Plan, bar: Callable[[int, float], None]):
        self.plan, self.bar, self.device = plan, bar, plan.devices[0]
        self.all = Course(plan).settings_of(0)
        self.data = jax.device_put(plan.data, self.device)
        self.one = jax.device_put(np.int32(1), self.device)

    def run(self, lengths: Sequence[int], branches: Sequence[int]) -> Sweep:
        """Train the trunk, and every branch where it leaves it."""
        last = len(lengths) - 1
        sums = np.zeros((len(lengths), self.plan.clock.records), jnp.result_type(float))
        trunk, gone = begin(self.plan, self._settings(last), self.device, 1), 0
        ended: dict[int, tuple[Lanes, dict[str, np.ndarray]]] = {}
        for n in sorted(range(len(lengths)), key=lambda n: branches[n]):
            trunk = self._train(self._settings(last), trunk, sums[last], gone, branches[n])
            gone = branches[n]
            if n == last:
                ended[n] = to_host(trunk), self._finish(self._settings(last), trunk)
                continue
            sums[n] = sums[last]
            own = jax.tree.map(jnp.copy, trunk)  # training takes the buffers of what it is given
            own = self._train(self._settings(n), own, sums[n], gone, lengths[n])
            ended[n] = to_host(own), self._finish(self._settings(n), own)
        return self._result(lengths, sums, [ended[n] for n in range(len(lengths))])

    def _settings(self, n: int) -> Settings:
        return jax.device_put(rows_at(self.all, np.asarray([n])), self.device)

    def _train(self, settings: Settings, lanes: Lanes, sums: np.ndarray, first: int, last: int) -> Lanes:
        program = self.plan.program
        for start, count in self.plan.clock.strides(first, last):
            numbers = jax.device_put([np.int32(start), np.int32(count)], self.device)
            lanes, made = train(program, settings, self.data, lanes, *numbers, self.one)
            record, end = start // program.every, (start + count - 1) // program.every
            sums[record : end + 1] += np.asarray(made)[0, : end + 1 - record]
            self.bar(count, float(sums[end] / (start + count - end * program.every)))
        return lanes

    def _finish(self, settings: Settings, lanes: Lanes) -> dict[str, np.ndarray]:
        found = finish(self.plan.program, settings, self.data, lanes, self.one)
        return {name: np.asarray(column)[0] for name, column in found.items()}

    def _result(self, lengths: Sequence[int], sums: np.ndarray, ended: Sequence[tuple[Lanes, Any]]) -> Sweep:
        plan, every = self.plan, self.plan.program.every
        rows = stack([at(lanes, 0) for lanes, _ in ended])
        columns = {name: np.stack([found[name] for _, found in ended]) for name in ended[0][1]}
        steps, objective = np.asarray(lengths, np.int64), plan.program.objective
        losses = means(sums, steps, every)
        last = losses[np.arange(len(steps)), (steps - 1) // every]
        final = columns.pop("final_loss", last)
        return Sweep(
            population=plan.population,
            loss=losses,
            final_loss=final,
            params=rebuilt(Opened(rows.params, rows.carried.own, objective.form)),
            states=(rows.state,),
            metrics={name: columns[name] for name in plan.program.metrics},
            record_every=every,
            steps=steps,
            steps_spent=int(sum(lengths)),
            status=[FINISHED if np.isfinite(x) else DIVERGED for x in final],
            metric=plan.metric,
            better=plan.better,
            batch_size=plan.program.batch_size,
            seed=plan.seed,
        )
