"""The result of a sweep: its lanes, their table, and the files it is written to."""

import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gradtx._rules.transformation import GradientTransformation
from gradtx._value.drawn import line, table, titled
from gradtx._value.errors import TransformationError, suggest
from gradtx.sweep._population import Point, Population

Tree = Any
FINISHED, DROPPED, DIVERGED, STALLED = "finished", "dropped", "diverged", "stalled"


class Lane(int):
    """The number of a lane, with what it learned: ``point``, ``params``, ``state``, ``final_loss``, ``loss``, ``tx``.

    ``seed``: that of its batches. ``steps``: how many it took. ``status``: finished, dropped, diverged or stalled.
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
    lane: finished, dropped (by selection), diverged, or stalled (out of patience). ``history``: how a population
    evolved, where it did. ``batch_size``, ``seed``: as asked for. ``origin``: command, machine, versions, seconds.
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
        """The lanes from the best to the worst by ``metric``, the lower final loss first where that is equal.

        Lanes that were dropped come after those that were not, and lanes that diverged last.
        """
        sign = -1.0 if self.better == "higher" else 1.0
        lost = ~np.isfinite(self.final_loss) | np.isnan(self.score)
        early = np.array(
            [-n if status == DROPPED else -math.inf for n, status in zip(self.steps, self.status, strict=True)]
        )
        keys = (np.nan_to_num(self.final_loss), np.nan_to_num(sign * self.score), early, lost)
        return np.lexsort(keys).tolist()

    def ranked_by(self, metric: str | None = None, better: str | None = None) -> "Sweep":
        """The same sweep with its lanes ranked by another column; what is not given stays as it is.

        Raises `TransformationError`: there is no such column.
        """
        metric, better, known = metric or self.metric, better or self.better, ["final_loss", *self.metrics]
        if metric not in known:
            raise TransformationError(
                f"sweep: metric: expected one of {', '.join(known)}, found {metric!r}{suggest(metric, known)}"
            )
        if better not in ("lower", "higher"):
            raise TransformationError(f"sweep: better: expected 'lower' or 'higher', found {better!r}")
        return replace(self, metric=metric, better=better)

    @property
    def best(self) -> Lane:
        """The best lane."""
        return self.lane(self.order[0])

    def lane(self, n: int) -> Lane:
        """One lane, by its number."""
        n = range(len(self.points))[n]
        lane = Lane(n)
        lane.point, lane.tx = self.points[n], self.transformation(n)
        lane.params = jax.tree.map(lambda x: x[n], self.params)
        group, row = self._place(n)
        lane.state = jax.tree.map(lambda x: x[row], self.states[group]) if self.states else None
        lane.loss, lane.final_loss = self.loss[n], float(self.final_loss[n])
        seeds = self.population.seeds
        lane.seed = self.seed if seeds is None else int(seeds[n])
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
        """One row per point, the best mean first: mean and standard deviation over its seeds.

        Lanes that diverged count: a mean over one of them is NaN, and such points come last.
        """
        groups: dict[str, list[int]] = {}
        for n, point in enumerate(self.points):
            key = repr({name: x for name, x in point.items() if name != "seed"})
            groups.setdefault(key, []).append(n)
        columns = {"final_loss": self.final_loss, **self.metrics}
        names = list(dict.fromkeys(name for point in self.points for name in point))
        rows = []
        for lanes in groups.values():
            row = {name: self.points[lanes[0]].get(name) for name in names if name != "seed"} | {"seeds": len(lanes)}
            for name, column in columns.items():
                own = np.asarray(column, np.float64)[lanes]
                spread = float(np.std(own, ddof=1)) if len(own) > 1 else math.nan
                row |= {name: float(np.mean(own)), f"{name}_std": spread}
            rows.append(row)
        sign = -1.0 if self.better == "higher" else 1.0
        return sorted(rows, key=lambda row: (math.isnan(row[self.metric]), sign * np.nan_to_num(row[self.metric])))

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

        ``table.csv``, ``sweep.json`` (the table, the best lane, the settings and where they come from), ``loss.npz``,
        the parameters of the best lane as ``best.npz`` and, by Orbax where it is installed, ``best/``, ``curves.png``,
        for a grid ``heatmap.png``, and ``report.html``, a page that needs nothing but itself (``report=False`` leaves
        it out).
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
