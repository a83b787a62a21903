"""The result of a sweep: its lanes, their table, and the files it is written to."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gradtx._rules.transformation import GradientTransformation
from gradtx._training.model import member
from gradtx._value.drawn import line, table, titled
from gradtx.sweep._choice.direction import ranking
from gradtx.sweep._population import Point, Population, number_of_lane
from gradtx.sweep._studies.comparison import Comparison, compare
from gradtx.sweep._studies.notes import notes
from gradtx.sweep._studies.ranking import over_seeds, ranked_points

Tree = Any
FINISHED, DROPPED, DIVERGED, STALLED = "finished", "dropped", "diverged", "stalled"
STOPPED = "stopped"


class Lane(int):
    """The number of a lane, with what it learned: ``point``, ``params``, ``state``, ``final_loss``, ``loss``, ``tx``.

    ``seed``: that of its batches. ``steps``: how many it took. ``status``: finished, dropped, diverged, stalled or
    stopped. ``params`` is a model of the kind that was given. ``curves``, ``model_state``, ``aux``, ``batch_size``: as
    in `Sweep`.
    """

    point: Point
    params: Tree
    state: Tree
    loss: np.ndarray
    final_loss: float
    tx: GradientTransformation
    seed: int
    steps: int
    status: str
    batch_size: int | None
    curves: dict[str, np.ndarray]
    model_state: Tree
    aux: Tree


@dataclass(frozen=True)
class History:
    """How a population evolved: after which ``steps``, which lane each lane continued, and its numbers from then on.

    ``parents`` (turns × lanes); ``numbers``: one array per name, (turns + 1) × lanes, the first row at the start.
    """

    steps: np.ndarray
    parents: np.ndarray
    numbers: dict[str, np.ndarray]

    def lineage(self, lane: int) -> list[int]:
        """The lanes that a lane descends from, one per turn, and the lane itself last."""
        line = [int(lane)]
        for parents in self.parents[::-1]:
            line.append(int(parents[line[-1]]))
        return line[::-1]

    def schedule(self, lane: int) -> dict[str, np.ndarray]:
        """The numbers along the lineage of a lane, one value per turn."""
        line = self.lineage(lane)
        return {name: column[np.arange(len(line)), line] for name, column in self.numbers.items()}


@dataclass(frozen=True, repr=False)
class Sweep:
    """The results of the lanes of a sweep.

    ``loss`` (lanes × records): the training loss before each step, or its mean over every ``record_every`` steps; NaN
    where a lane had stopped. ``final_loss`` (lanes): the loss of the final parameters, over all data. ``params``:
    stacked, one row per lane; ``states``: the same for each structure. ``metrics``: what ``evaluate`` returned, one
    column per name. ``steps`` (lanes): how many each lane took; ``steps_spent``: their sum. ``status``: one word per
    lane: finished, dropped (by selection), diverged, stalled (out of patience), or stopped (by the callback, or where
    the data ended). ``history``: how a population evolved, where it did. ``batch_size``, ``seed``: as asked for.
    ``curves`` (lanes × evaluations): what ``evaluate`` returned after each of the steps in ``evaluated``, NaN after the
    end of a lane. ``model_state``: as the loss returned it last; ``aux``: what it returned beside the final loss; both
    stacked. ``params`` of a model of modules is one whose arrays are stacked. ``origin``: command, machine, versions,
    seconds, and the engine.
    """

    population: Population
    loss: np.ndarray
    final_loss: np.ndarray
    params: Tree
    states: tuple[Tree, ...]
    metrics: dict[str, np.ndarray]
    record_every: int
    steps: np.ndarray
    steps_spent: int
    status: list[str]
    metric: str = "final_loss"
    better: str = "lower"
    history: History | None = None
    batch_size: int | None = None
    seed: int = 0
    curves: dict[str, np.ndarray] = field(default_factory=dict)
    evaluated: np.ndarray = field(default_factory=lambda: np.zeros(0, int))
    model_state: Tree = None
    aux: Tree = None
    origin: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        best = self.best
        point = ", ".join(f"{name}={getattr(x, '__name__', x)}" for name, x in best.point.items())
        return (
            f"<Sweep: {repr(self.population).strip('<>').removeprefix('Population: ').partition(';')[0]}, "
            f"{int(max(self.steps))} steps; best {self.metric} {self.score[best]:.4g} of lane {best}: {point}>"
        )

    def _repr_html_(self) -> str:
        """What a notebook shows: the best lanes, and the losses of the very best."""
        rows = self.table()[:5]
        cells = [
            [f"{x:.4g}" if isinstance(x, float) else getattr(x, "__name__", x) for x in row.values()] for row in rows
        ]
        losses = self.best.loss[np.isfinite(self.best.loss)]
        steps = (np.arange(len(losses)) * self.record_every).tolist()
        picture = titled(f"training loss of lane {self.best}", line(steps, losses.tolist())) if len(losses) > 1 else ""
        return titled(repr(self).strip("<>"), table(cells, list(rows[0])), picture)

    @property
    def points(self) -> list[Point]:
        """The points of the population, one per lane."""
        return self.population.points

    @property
    def state(self) -> Tree:
        """The stacked state, if all lanes have one structure."""
        return self.states[0] if len(self.states) == 1 else self.states

    @property
    def score(self) -> np.ndarray:
        """What lanes are ranked by: the metric, NaN where a lane diverged."""
        column = self.final_loss if self.metric == "final_loss" else self.metrics[self.metric]
        return np.where(np.isfinite(self.final_loss), column, np.nan)

    @property
    def order(self) -> list[int]:
        """The lanes from the best to the worst by ``metric``, as their points are ranked.

        Points with several seeds are ranked by the conservative end of the interval of their mean over the seeds: the
        mean plus or minus t·std/√n at 95 %. Where that is equal, the better mean comes first, then the lower mean final
        loss. Lanes that were dropped come after those that were not, and points with lanes that diverged last.
        """
        return [n for lanes in ranked_points(self) for n in lanes]

    def ranked_by(self, metric: str | None = None, better: str | None = None) -> "Sweep":
        """The same sweep with its lanes ranked by another column; what is not given stays as it is.

        Where only the column is given, its name says which way is better, if it has a word such as accuracy or loss.

        Raises `TransformationError`: there is no such column; its name does not say which way is better.
        """
        metric, better = (
            (self.metric if metric is None else metric),
            (better or (self.better if metric in (None, self.metric) else None)),
        )
        metric, better = ranking("sweep", list(self.metrics), metric, better)
        return replace(self, metric=metric, better=better)

    @property
    def best(self) -> Lane:
        """The best lane of the best point."""
        return self.lane(self.order[0])

    def lane(self, n: int) -> Lane:
        """One lane, by its number."""
        n = number_of_lane(n, len(self.points))
        lane = Lane(n)
        lane.point, lane.tx = self.points[n], self.transformation(n)
        lane.params, lane.model_state, lane.aux = (member(x, n) for x in (self.params, self.model_state, self.aux))
        lane.curves = {name: column[n] for name, column in self.curves.items()}
        group, row = self._place(n)
        lane.state = jax.tree.map(lambda x: x[row], self.states[group]) if self.states else None
        lane.loss, lane.final_loss = self.loss[n], float(self.final_loss[n])
        seeds = self.population.seeds
        lane.seed = self.seed if seeds is None else int(seeds[n])
        lane.batch_size = self.population.groups[group].batch_size or self.batch_size
        lane.steps, lane.status = int(self.steps[n]), self.status[n]
        return lane

    def transformation(self, n: int) -> GradientTransformation:
        """The transformation of a lane; where a population evolved, with its numbers at the end."""
        from gradtx.sweep._choice.evolution import exchanged

        tx = self.population.lane(n)
        return tx if self.history is None else exchanged(tx, {k: x[-1, n] for k, x in self.history.numbers.items()})

    def _place(self, n: int) -> tuple[int, int]:
        group = next(k for k, group in enumerate(self.population.groups) if n in group.lanes)
        return group, self.population.groups[group].lanes.index(n)

    # Tables -----------------------------------------------------------------------------------------------------------

    def table(self) -> list[dict[str, Any]]:
        """One row per lane, the best first: its number, its point, its final loss and metrics.

        Where lanes did not all take all steps, also how many they took and why; where a population evolved, also the
        numbers of a lane at the end.
        """
        more = len(set(self.steps.tolist())) > 1 or any(status != FINISHED for status in self.status)
        names = list(dict.fromkeys(name for point in self.points for name in point))
        return [
            {
                "lane": n,
                **{name: self.points[n].get(name) for name in names},
                **{name: float(column[n]) for name, column in self._at_the_end(names).items()},
                "final_loss": float(self.final_loss[n]),
                **{name: float(column[n]) for name, column in self.metrics.items()},
                **({"steps": int(self.steps[n]), "status": self.status[n]} if more else {}),
            }
            for n in self.order
        ]

    def _at_the_end(self, names: list[str]) -> dict[str, np.ndarray]:
        """What evolved, by its name in the points if it has one: ``learning_rate`` for ``adam.learning_rate``."""
        found: dict[str, np.ndarray] = {}
        for name, column in (self.history.numbers if self.history else {}).items():
            if len(np.unique(column[~np.isnan(column)])) < 2:
                continue
            short = next((own for own in names if name.endswith(f".{own}")), name)
            found[f"{name if f'{short}_at_the_end' in found else short}_at_the_end"] = column[-1]
        return found

    def over_seeds(self) -> list[dict[str, Any]]:
        """One row per point, the best first (see `order`): mean, standard deviation and interval over its seeds.

        For every column, such as ``final_loss``, there are ``final_loss``, the mean, ``final_loss_std``, and
        ``final_loss_low`` and ``final_loss_high``, between which the mean over very many seeds is with a probability of
        95 % (Student's t). A point with one lane has only a mean; with a lane that diverged, NaN.
        """
        return over_seeds(self)

    def compare(self, a: Any = None, b: Any = None, *, metric: str | None = None, level: float = 0.05) -> Comparison:
        """Whether two points differ by more than the noise of their seeds: a t-test, paired where seeds are equal.

        ``a`` and ``b`` are points (``{"learning_rate": 0.1}``; what is left out may be anything, if one point is left)
        or lanes of them; the best two if not given. See `Comparison`.

        >>> import gradtx
        >>> loss = lambda params, batch: jnp.mean((params - batch) ** 2)
        >>> population = gradtx.sweep.grid(gradtx.sgd, learning_rate=[0.1, 0.1001, 0.5], seeds=range(8))
        >>> data = jnp.sin(jnp.arange(64.0))
        >>> result = gradtx.sweep.run(loss, jnp.zeros([]), population, data, steps=20, batch_size=4)
        >>> result.compare({"learning_rate": 0.1}, {"learning_rate": 0.5}).verdict
        'different'
        """
        return compare(self, a, b, metric=metric, level=level)

    def notes(self) -> list[str]:
        """What the sweep says beyond its ranking, in plain sentences; an empty list if there is nothing to say.

        The best point at the edge of its axis; lanes that diverged, and from which value on; which points cannot be
        told from the best over the seeds; numbers that hardly matter (`gradtx.sweep.importance`).
        """
        return notes(self)

    # Pictures and files -----------------------------------------------------------------------------------------------

    def plot(self, *, metric: str | None = None, better: str | None = None) -> Any:
        """The curves of all lanes, and a heat map where two axes of numbers make a grid; a matplotlib figure."""
        from gradtx import plot

        return plot.sweep(self, metric=metric, better=better)

    def save(
        self,
        folder: str | Path,
        *,
        report: bool = True,
        tensorboard: bool = False,
        metric: str | None = None,
        better: str | None = None,
    ) -> list[Path]:
        """Write the sweep to a folder; return what was written.

        ``table.csv``, ``sweep.json`` (the table, the best lane, the settings and where they come from), ``loss.npz``
        (the curves, those of ``evaluate`` too), the parameters of the best lane as ``best.npz`` and, by Orbax where it
        is installed, ``best/``, ``curves.png``, for a grid ``heatmap.png``, and ``report.html``, a page that needs
        nothing but itself (``report=False`` leaves it out).
        ``tensorboard=True`` adds a folder of that name (see `tensorboard`). What an earlier sweep left in the folder
        under these names is replaced or removed. ``metric`` and ``better`` change the ranking, as in `ranked_by`.
        """
        if metric is not None or better is not None:
            return self.ranked_by(metric, better).save(folder, report=report, tensorboard=tensorboard)
        from gradtx.sweep import _files

        return _files.write(self, folder, report=report, tensorboard=tensorboard)

    def wandb(self, folder: str | Path, *, project: str = "gradtx") -> Path:
        """Write the lanes as offline runs of Weights & Biases, one run a lane; ``wandb sync`` sends them.

        The same as `tensorboard` writes: the training loss, the final loss and metrics, the point. Needs wandb.
        """
        from gradtx._report import wandb as _wandb

        return _wandb.write(self, Path(folder), project)

    def mlflow(self, folder: str | Path, *, experiment: str = "gradtx") -> Path:
        """Write the lanes to a store of MLflow in a folder, one run a lane; ``mlflow ui --backend-store-uri`` shows it.

        The same as `tensorboard` writes: the training loss, the final loss and metrics, the point. Needs mlflow.
        """
        from gradtx._report import mlflow as _mlflow

        return _mlflow.write(self, Path(folder), experiment)

    def tensorboard(self, folder: str | Path) -> Path:
        """Write the lanes for TensorBoard, one run per lane: training loss, final loss and metrics, hyperparameters.

        Runs of lanes that an earlier sweep left in the folder are replaced or removed. Needs tensorboardX.
        """
        from gradtx._report import tensorboard as _tensorboard

        return _tensorboard.write(self, Path(folder))
