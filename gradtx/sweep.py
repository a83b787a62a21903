"""Sweeps: many transformations that differ in their numbers, trained in one compiled program.

A population is one stacked transformation and the points that it was made of. `run` trains all of its lanes at once:
one ``vmap`` over the transformation, the same data, batches and initial parameters for every lane.

>>> import gradtx
>>> population = gradtx.sweep.grid(gradtx.adam, learning_rate=[0.001, 0.01, 0.1], b1=[0.5, 0.9])
>>> x = jnp.linspace(-1.0, 1.0, 100)
>>> squares = lambda params, batch: jnp.mean((batch["y"] - params * batch["x"]) ** 2)
>>> result = gradtx.sweep.run(squares, jnp.array(0.0), population, {"x": x, "y": 3.0 * x}, steps=60)
>>> result.loss.shape, result.best.point
((6, 60), {'learning_rate': 0.1, 'b1': 0.5})
"""

import csv
import functools
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradtx._errors import TransformationError, within
from gradtx._fit import check_data, chunks, fit_steps
from gradtx._progress import progress as progress_bar
from gradtx._transformation import GradientTransformation, eval_params, hyperparameters

Tree = Any
Point = dict[str, Any]


# Populations ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Population:
    """Transformations of one structure: ``points``, one mapping a lane, and ``tx``, all of them stacked in one."""

    points: list[Point]
    tx: GradientTransformation

    @property
    def size(self) -> int:
        """How many lanes there are."""
        return len(self.points)

    def lane(self, n: int) -> GradientTransformation:
        """The transformation of one lane."""
        n = range(self.size)[n]
        return jax.tree.map(lambda x: x[n], self.tx)


def grid(factory: Callable[..., GradientTransformation], /, **axes: Any) -> Population:
    """Every combination of the values of the axes; the last axis varies fastest. What is no list or array is fixed.

    Raises `TransformationError`: an axis without values; values that make different structures (None and a number).

    >>> from gradtx import sgd
    >>> grid(sgd, learning_rate=[0.1, 0.2], momentum=[0.5, 0.9]).points[1]
    {'learning_rate': 0.1, 'momentum': 0.9}
    """
    values = {name: _values(name, axis) for name, axis in axes.items()}
    return _population(
        factory, [dict(zip(values, combination, strict=True)) for combination in itertools.product(*values.values())]
    )


def sample(factory: Callable[..., GradientTransformation], n: int, /, *, seed: int, **distributions: Any) -> Population:
    """``n`` independent draws from distributions (`uniform`, `log_uniform`, `choice`); what is none is fixed.

    Random search finds the best 5 % of a space with probability 1 − 0.95ⁿ, however many axes it has (Bergstra & Bengio
    2012). The same seed draws the same points.

    >>> from gradtx import adam
    >>> sample(adam, 60, seed=0, learning_rate=log_uniform(1e-4, 1e-1), b1=uniform(0.8, 0.99)).size
    60
    """
    rng = np.random.default_rng(seed)
    return _population(
        factory,
        [{k: d.draw(rng) if isinstance(d, Distribution) else d for k, d in distributions.items()} for _ in range(n)],
    )


def stack(transformations: Iterable[GradientTransformation]) -> Population:
    """Transformations of one structure as a population; the points are their hyperparameters.

    >>> from gradtx import sgd
    >>> stack([sgd(0.1), sgd(0.2)]).points
    [{'sgd.learning_rate': 0.1}, {'sgd.learning_rate': 0.2}]
    """
    transformations = [within("stack", GradientTransformation._link)(tx) for tx in transformations]
    return Population([hyperparameters(tx) for tx in transformations], _stacked(transformations))


def _values(name: str, axis: Any) -> list[Any]:
    if isinstance(axis, np.ndarray | jax.Array) and axis.ndim == 1:
        axis = np.asarray(axis).tolist()
    values = list(axis) if isinstance(axis, list | tuple | range) else [axis]
    if not values:
        raise TransformationError(f"grid: {name}: expected at least one value, found none")
    return [x.item() if isinstance(x, np.generic | np.ndarray | jax.Array) and np.ndim(x) == 0 else x for x in values]


def _population(factory: Callable[..., GradientTransformation], points: list[Point]) -> Population:
    made = [within("sweep", GradientTransformation._link)(factory(**point)) for point in points]
    return Population(points, _stacked(made))


def _stacked(transformations: Sequence[GradientTransformation]) -> GradientTransformation:
    if not transformations:
        raise TransformationError("sweep: expected at least one transformation, found none")
    structures = [jax.tree.structure(tx) for tx in transformations]
    for n, structure in enumerate(structures):
        if structure != structures[0]:
            raise TransformationError(
                f"sweep: lanes of a sweep differ in numbers alone, but lane 0 is {transformations[0]} and lane {n} is "
                f"{transformations[n]}: sweep them one after the other (functions made anew for each lane differ too: "
                "make them once)"
            )
    return jax.tree.map(_column, *transformations)


def _column(*numbers: Any) -> jax.Array:
    """One leaf of all lanes, from float64 where the numbers are Python's."""
    if all(isinstance(x, float) for x in numbers):
        return jnp.asarray(np.asarray(numbers, np.float64).astype(jnp.result_type(float)))
    return jnp.stack([jnp.asarray(x) for x in numbers])


# Distributions --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Distribution:
    """What `sample` draws from; ``draw(rng)`` is one draw of a NumPy generator."""

    draw: Callable[[np.random.Generator], Any] = field(repr=False)
    name: str = "distribution"

    def __repr__(self) -> str:
        return self.name


def uniform(low: float, high: float) -> Distribution:
    """Uniform on [low, high)."""
    within("uniform", _ordered)(low, high)
    return Distribution(lambda rng: float(rng.uniform(low, high)), f"uniform({low}, {high})")


def log_uniform(low: float, high: float) -> Distribution:
    """Uniform in the logarithm, on [ln low, ln high): every factor of ten is as likely as every other. For rates."""
    within("log_uniform", _ordered)(low, high)
    if low <= 0:
        raise TransformationError(f"log_uniform: expected 0 < low, found {low}")
    return Distribution(
        lambda rng: float(np.clip(np.exp(rng.uniform(np.log(low), np.log(high))), low, high)),
        f"log_uniform({low}, {high})",
    )


def choice(values: Sequence[Any]) -> Distribution:
    """One of the values, each as likely as the others."""
    values = list(values)
    if not values:
        raise TransformationError("choice: expected at least one value, found none")
    return Distribution(lambda rng: values[int(rng.integers(len(values)))], f"choice({values})")


def _ordered(low: float, high: float) -> None:
    if not low <= high:
        raise TransformationError(f"expected low ≤ high, found {low} and {high}")


# Training -------------------------------------------------------------------------------------------------------------


class Lane(int):
    """The number of a lane, with what it learned: ``point``, ``params``, ``final_loss``, ``loss``, ``tx``."""

    point: Point
    params: Tree
    loss: np.ndarray
    final_loss: float
    tx: GradientTransformation


@dataclass(frozen=True)
class Sweep:
    """What the lanes of a sweep came to.

    ``loss`` (lanes × records): the training loss before each step, or its mean over every ``record_every`` steps.
    ``final_loss`` (lanes): of the final parameters, over all data. ``params``, ``state``: stacked, one row a lane.
    ``metrics``: what ``evaluate`` returned, one column a name.
    """

    population: Population
    loss: np.ndarray
    final_loss: np.ndarray
    params: Tree
    state: Tree
    metrics: dict[str, np.ndarray]
    record_every: int

    @property
    def points(self) -> list[Point]:
        """The points of the population, one a lane."""
        return self.population.points

    @property
    def order(self) -> list[int]:
        """The lanes from the lowest final loss to the highest; lanes that diverged come last."""
        return np.argsort(np.where(np.isfinite(self.final_loss), self.final_loss, np.inf), kind="stable").tolist()

    @property
    def best(self) -> Lane:
        """The lane with the lowest final loss."""
        return self.lane(self.order[0])

    def lane(self, n: int) -> Lane:
        """One lane, by its number."""
        n = range(len(self.points))[n]
        lane = Lane(n)
        lane.point, lane.tx = self.points[n], self.population.lane(n)
        lane.params = jax.tree.map(lambda x: x[n], self.params)
        lane.loss, lane.final_loss = self.loss[n], float(self.final_loss[n])
        return lane

    def table(self) -> list[dict[str, Any]]:
        """One row a lane, the best first: its number, its point, its final loss and metrics."""
        return [
            {
                "lane": n,
                **self.points[n],
                "final_loss": float(self.final_loss[n]),
                **{name: float(column[n]) for name, column in self.metrics.items()},
            }
            for n in self.order
        ]

    def plot(self, **options: Any) -> Any:
        """The curves of all lanes, and a heat map where two axes of numbers make a grid; a matplotlib figure.

        ``metric`` is what the heat map shows, the final loss if not given; ``better="higher"`` for an accuracy.
        """
        from gradtx import plot

        return plot.sweep(self, **options)

    def save(self, folder: str | Path, **options: Any) -> list[Path]:
        """Write ``table.csv``, ``loss.npz``, ``curves.png`` and, for a grid, ``heatmap.png``; return what was written.

        What an earlier sweep left in the folder under these names is replaced or removed. ``options`` as in `plot`.
        """
        from gradtx import plot

        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        rows = self.table()
        with open(folder / "table.csv", "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        losses = {"loss": self.loss, "final_loss": self.final_loss, "record_every": self.record_every}
        np.savez_compressed(folder / "loss.npz", **losses)
        return [folder / "table.csv", folder / "loss.npz", *plot.save_sweep(self, folder, **options)]


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
    progress: bool | None = None,
) -> Sweep:
    """Train every lane of a population on the same data, in one compiled program.

    ``loss(params, batch)``, ``data``, ``batch_size``, ``seed``, ``record_every``, ``progress`` are as in
    `gradtx.fit`; a lane is the fit of its transformation, with the same batches. ``evaluate(params)`` returns a
    mapping from names to numbers, such as a held-out accuracy, for the table. A lane that diverges changes no other
    lane.

    Raises `TransformationError`: as `gradtx.fit`.
    """
    if not isinstance(population, Population):
        raise TransformationError(f"sweep.run: population: expected one of grid, sample or stack, found {population!r}")
    data, every = check_data("sweep.run", loss, params, data, steps, batch_size, record_every)
    params = jax.tree.map(jnp.asarray, params)
    _check_columns(population, evaluate, params)
    tx, key = population.tx, jax.random.key(seed)
    state = jax.vmap(lambda tx: tx.init(params))(tx)
    carry = (jax.tree.map(lambda x: jnp.broadcast_to(x, (population.size, *x.shape)), params), state)
    losses = []
    with progress_bar(f"{population.size} lanes", steps, progress) as bar:
        for first, n in chunks(steps, every):
            carry, chunk = _chunk(
                loss, tx, data, key, carry, jnp.asarray(first), steps=n, every=every, batch_size=batch_size
            )
            losses.append(np.asarray(chunk))
            bar(n, f"best loss {np.nanmin(losses[-1][:, -1], initial=np.inf):.4g}")
    params, state = carry
    final, metrics = _finish(loss, evaluate, tx, params, state, data)
    return Sweep(
        population,
        np.concatenate(losses, axis=1),
        np.asarray(final),
        params,
        state,
        {name: np.asarray(column) for name, column in metrics.items()},
        every,
    )


def _check_columns(population: Population, evaluate: Any, params: Tree) -> None:
    """Raise `TransformationError` unless ``evaluate`` returns numbers by name, and all columns have different names."""
    metrics = {} if evaluate is None else jax.eval_shape(evaluate, params)
    if not isinstance(metrics, Mapping):
        raise TransformationError(f"sweep.run: evaluate: expected a mapping from names to numbers, found {metrics}")
    for name, x in metrics.items():
        if getattr(x, "shape", ()) != ():
            raise TransformationError(f"sweep.run: evaluate: {name}: expected one number, found shape {x.shape}")
    names = ["lane", *{name: None for point in population.points for name in point}, "final_loss", *metrics]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise TransformationError(f"sweep.run: two columns of the table would be called {twice!r}")


@functools.partial(jax.jit, static_argnames=("loss", "steps", "every", "batch_size"))
def _chunk(
    loss: Any, tx: Any, data: Tree, key: Any, carry: Any, first: Any, *, steps: int, every: int, batch_size: int | None
) -> Any:
    lane = functools.partial(fit_steps, steps=steps, every=every, batch_size=batch_size)
    return jax.vmap(lambda tx, carry: lane(loss, tx, data, key, carry, first))(tx, carry)


@functools.partial(jax.jit, static_argnames=("loss", "evaluate"))
def _finish(loss: Any, evaluate: Any, tx: Any, params: Tree, state: Any, data: Tree) -> Any:
    params = jax.vmap(eval_params)(tx, params, state)
    final = jax.vmap(lambda params: loss(params, data))(params)
    return final, {} if evaluate is None else jax.vmap(lambda params: dict(evaluate(params)))(params)
