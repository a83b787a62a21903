"""Optimizers on one problem, each at its best rate of a small sweep: what pictures of the manual race.

All of a contest have the same rates to choose from, the same steps, starts and batches; a contestant trains with all
rates and seeds in one program. The best rate has the lowest mean over the seeds, of what the curve ends with or of the
whole curve. It must lie inside: at an edge a contestant had no choice.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import cycle
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

import gradtx
from gradtx._report.canvas import NEAT, pyplot
from gradtx._report.races import DASHES

Tree = Any
QUICKLY = {"xla_backend_optimization_level": 0}


@dataclass(frozen=True)
class Curve:
    """What became of an optimizer at its best rate: the mean over the seeds at some steps, the least and the most."""

    rate: float | None
    steps: np.ndarray
    mean: np.ndarray
    least: np.ndarray
    most: np.ndarray


@dataclass(frozen=True)
class Problem:
    """``loss(params, batch)``, where it starts (a function of a key), and rows to train on and to hold out.

    Without a ``batch_size`` every step sees all rows; without ``held_out`` a curve is the training loss.
    """

    loss: Callable[[Tree, Tree], jax.Array]
    start: Callable[[jax.Array], Tree]
    rows: Tree = None
    batch_size: int | None = None
    held_out: Tree = None

    def drawn(self, steps: int, every: int, seeds: int) -> Any:
        """For each seed the first parameters, and the rows of every step, in turns of so many steps."""
        begin, draw = jax.random.split(jax.random.key(0))
        params = jax.jit(jax.vmap(self.start), compiler_options=QUICKLY)(jax.random.split(begin, seeds))
        if self.batch_size is None:
            return params, jnp.zeros((seeds, steps // every, every))
        shape, count = (seeds, steps // every, every, self.batch_size), len(jax.tree.leaves(self.rows)[0])
        return params, jax.random.randint(draw, shape, 0, count)

    def run(self, tx: Any, params: Tree, chosen: jax.Array) -> jax.Array:
        """The loss after every turn, of the parameters to deploy."""

        def step(carry: Any, chosen: jax.Array) -> Any:
            params, state = carry
            batch = self.rows if self.batch_size is None else jax.tree.map(lambda x: x[chosen], self.rows)
            at = gradtx.gradient_params(tx, params, state)
            value, gradient = jax.value_and_grad(self.loss)(at, batch)
            extra = {"value": value, "grad": gradient, "value_fn": lambda params: self.loss(params, batch)}
            updates, state = tx.update(gradient, state, params, **extra)
            return (gradtx.apply_updates(params, updates), state), None

        def turn(carry: Any, chosen: jax.Array) -> Any:
            carry, _ = jax.lax.scan(step, carry, chosen)
            rows = self.rows if self.held_out is None else self.held_out
            return carry, self.loss(gradtx.eval_params(tx, *carry), rows)

        return jax.lax.scan(turn, (params, tx.init(params)), chosen)[1]


def in_one_program(problem: Problem) -> Callable[[Any, Tree, jax.Array], jax.Array]:
    """The run of many transformations with each of several seeds; compiled quickly, since it runs but once."""
    each_seed = jax.vmap(problem.run, (None, 0, 0))
    return jax.jit(jax.vmap(each_seed, (0, None, None)), compiler_options=QUICKLY)


def tuned(
    problem: Problem,
    contestants: Mapping[str, Callable[..., Any]],
    *,
    rates: Iterable[float],
    steps: int,
    every: int = 1,
    seeds: int = 1,
    by: Literal["end", "mean"] = "end",
    without_rate: Iterable[str] = (),
) -> dict[str, Curve]:
    """The curve of each contestant, a function ``(learning_rate) -> transformation``; some have no rate to choose."""
    rates, drawn, found = [float(rate) for rate in rates], problem.drawn(steps, every, seeds), {}

    train = in_one_program(problem)
    for name, make in contestants.items():
        own = [1.0] if name in without_rate else rates
        values = np.asarray(train(gradtx.sweep.grid(make, learning_rate=own).tx, *drawn))  # rates × seeds × records
        score = values.mean(1)[:, -1] if by == "end" else values.mean((1, 2))
        best = int(np.nanargmin(np.where(np.isfinite(values).all((1, 2)), score, np.nan)))
        if len(own) > 1 and best in (0, len(own) - 1):
            raise ValueError(f"{name}: the best rate, {own[best]:g}, is at the edge of the sweep: give more rates")
        rate, at = None if name in without_rate else own[best], np.arange(every, steps + 1, every)
        found[name] = Curve(rate, at, values[best].mean(0), values[best].min(0), values[best].max(0))
    return found


def lines(curves: Mapping[str, Curve], *, beside: str, below: str = "step", **axes: Any) -> Figure:
    """The curves as a figure, with the rate of each in its label; what lies between the seeds is shaded."""
    plt = pyplot()
    with plt.rc_context(NEAT):
        figure, ax = plt.subplots(figsize=(6, 3.9), layout="constrained")
        for (name, curve), dash in zip(curves.items(), cycle(DASHES), strict=False):
            label = name if curve.rate is None else f"{name}, {curve.rate:.2g}"
            (line,) = ax.plot(curve.steps, curve.mean, label=label, ls=dash, lw=1.6)
            ax.fill_between(curve.steps, curve.least, curve.most, color=line.get_color(), alpha=0.2, lw=0)
        ax.set(xlabel=below, ylabel=beside, **axes)
        figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return figure
