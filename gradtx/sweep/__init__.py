"""Sweeps: many transformations that differ in their numbers, trained in one compiled program.

A population is the points of a sweep and the transformations that are made of them, stacked. `run` trains all of its
lanes at once, on the same data, batches and initial parameters.

>>> import gradtx
>>> population = gradtx.sweep.grid(gradtx.adam, learning_rate=[0.001, 0.01, 0.1], b1=[0.5, 0.9])
>>> x = jnp.linspace(-1.0, 1.0, 100)
>>> squares = lambda params, batch: jnp.mean((batch["y"] - params * batch["x"]) ** 2)
>>> result = gradtx.sweep.run(squares, jnp.array(0.0), population, {"x": x, "y": 3.0 * x}, steps=60)
>>> result.loss.shape, result.best.point
((6, 60), {'learning_rate': 0.1, 'b1': 0.5})
"""

from gradtx._training.callback import Progress
from gradtx.sweep import engines
from gradtx.sweep._choice.evolution import population_based
from gradtx.sweep._choice.selection import halving, hyperband
from gradtx.sweep._distributions import Distribution, choice, integers, log_uniform, normal, one_minus, uniform
from gradtx.sweep._population import Group, Population, grid, points, sample, stack, zipped
from gradtx.sweep._result import History, Lane, Sweep
from gradtx.sweep._run import run
from gradtx.sweep._search import Search, search
from gradtx.sweep._studies.comparison import Comparison
from gradtx.sweep._studies.horizons import Horizons, horizons
from gradtx.sweep._studies.importance import Importance, importance
from gradtx.sweep._studies.lr_finder import LearningRates, lr_finder
from gradtx.sweep._studies.opt_list import opt_list

__all__ = [
    "Comparison",
    "Distribution",
    "Group",
    "History",
    "Horizons",
    "Importance",
    "Lane",
    "LearningRates",
    "Population",
    "Progress",
    "Search",
    "Sweep",
    "choice",
    "engines",
    "grid",
    "halving",
    "horizons",
    "hyperband",
    "importance",
    "integers",
    "log_uniform",
    "lr_finder",
    "normal",
    "one_minus",
    "opt_list",
    "points",
    "population_based",
    "run",
    "sample",
    "search",
    "stack",
    "uniform",
    "zipped",
]


def __dir__() -> list[str]:
    return __all__
