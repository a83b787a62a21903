"""Searches over hyperparameters: Hyperband's table, and the toy of population-based training."""

import functools
from typing import Any

import jax
import numpy as np

import gradtx
from gradtx import sweep
from gradtx._prove.row import Row, Source


@functools.cache
def brackets() -> dict[int, list[int]]:
    """Of each bracket of Hyperband with R = 81 and η = 3: how many lanes begin, and how many go on after each cut."""
    band = sweep.hyperband(3)
    found: dict[int, list[int]] = {}
    for cut in band.cuts(81, band.lanes(81)):
        found.setdefault(len(cut.lanes), [len(cut.lanes)]).append(cut.keep)
    rest = band.lanes(81) - sum(found)
    return found | {rest: [rest]}


HYPERBAND = Source(
    "hyperband",
    "Li, Jamieson, DeSalvo, Rostamizadeh & Talwalkar 2018, Hyperband",
    "Journal of Machine Learning Research 18, Table 1: R = 81, η = 3",
    tuple(
        Row(f"bracket s = {s}, configurations", lanes, lambda lanes=lanes: brackets()[int(lanes.split()[0])])
        for s, lanes in ((4, "81 27 9 3 1"), (3, "34 11 3 1"), (2, "15 5 1"), (1, "8 2"), (0, "5"))
    ),
)


def toy(params: Any, batch: Any, h0: Any, h1: Any) -> Any:
    """The surrogate that a lane sees: −(1.2 − h₀θ₀² − h₁θ₁²)."""
    del batch
    return h0 * params[0] ** 2 + h1 * params[1] ** 2 - 1.2


def quality(params: Any) -> dict[str, Any]:
    """What is meant: 1.2 − θ₀² − θ₁²."""
    return {"quality": 1.2 - params[0] ** 2 - params[1] ** 2}


@functools.cache
def best(seed: int, *, evolves: bool) -> float:
    """The best of two lanes from (.9, .9), which see h = (1, 0) and (0, 1), left alone or as a population."""
    lanes = sweep.points(
        gradtx.sgd, [{"learning_rate": 0.02, "h0": h, "h1": 1.0 - h} for h in (1.0, 0.0)], numbers=("h0", "h1")
    )
    anew = {"h0": sweep.uniform(0.0, 1.0), "h1": sweep.uniform(0.0, 1.0)}
    select = sweep.population_based(5, fraction=0.5, resample=1.0, space=anew) if evolves else None
    start, rows = np.array([0.9, 0.9], np.float32), np.zeros(1, np.float32)
    asked: dict[str, Any] = {"evaluate": quality, "metric": "quality", "better": "higher", "progress": False}
    with jax.enable_x64(False):  # a sweep trains in threads of its own, which know nothing of a context
        result = sweep.run(toy, start, lanes, rows, steps=400, seed=seed, select=select, **asked)
    return float(max(result.metrics["quality"]))


JADERBERG = Source(
    "jaderberg",
    "Jaderberg et al. 2017, Population Based Training of Neural Networks",
    "section 4 and Figure 2: a quadratic of two parameters, each lane blind to one of them",
    (
        Row("two lanes left alone", "0.4", lambda: best(0, evolves=False)),
        Row("the same lanes as a population", "1.2", lambda: best(0, evolves=True)),
    ),
)
