"""The task of a sweep on the command line: the problem, the space, and how lanes are trained and ranked."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import click
import jax
import numpy as np

import gradtx
from gradtx._cli import own_problems, specs
from gradtx._cli.options import Options
from gradtx._cli.problems import PROBLEMS, Problem
from gradtx._cli.words import unknown
from gradtx._value.errors import suggest
from gradtx.sweep._choice.direction import direction_of
from gradtx.sweep._disk.folders import local_folder
from gradtx.sweep._engine.room import bytes_of_lane, check_room
from gradtx.sweep._request import Training

RATES = [float(f"{rate:.3g}") for rate in np.geomspace(1e-4, 1e-1, 16)]
B1 = [0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995]
BATCH, DRAWS, LANES, ETA = 64, 64, 16, 3.0


@dataclass(frozen=True)
class Task:
    """A problem and what is to be done with it; ``training`` goes to `gradtx.sweep.run` as it is."""

    text: str
    problem: Problem
    folder: Path
    space: specs.Space
    steps: int
    seeds: range | None
    seed: int
    metric: str
    better: Literal["lower", "higher"]
    training: Training

    @property
    def params(self) -> Any:
        """Initial parameters; with seeds a function of a key, where there is one."""
        own = self.problem
        return own.init if self.seeds is not None and own.init is not None else own.params


def task(problem: str | None, given: str | None, options: Options) -> Task:
    """The task. Raises `click.UsageError` or `TransformationError` before any work, for what cannot be done."""
    text = _one_of(problem, given)
    folder = local_folder("--out", options.out or f"gradtx-sweep-{_title(text)}")
    made = _problem(text, options.seed)
    metric, better = _ranking(made, options.metric, options.better)
    space = _space(made, options)
    size = min(BATCH, made.rows) if options.batch_size is None else options.batch_size
    if size > made.rows:
        raise click.UsageError(f"--batch-size {size}: {text} has {made.rows} rows to train on")
    lanes = space.size(options.draws or DRAWS) * (options.seeds or 1)
    check_room(
        "sweep", min(lanes, options.lanes_at_once or LANES) if options.trials else lanes, bytes_of_lane(made.params)
    )
    training: Training = {
        "batch_size": size,
        "evaluate": made.evaluate,
        "select": _selection(options, space),
        "patience": options.patience,
        "stop_diverged": options.stop_diverged,
        "devices": options.devices,
        "final_loss": options.final_loss,
    }
    seeds = range(options.seed, options.seed + options.seeds) if options.seeds else None
    return Task(text, made, folder, space, options.steps, seeds, options.seed, metric, better, training)


def _one_of(problem: str | None, given: str | None) -> str:
    if problem and given and problem != given:
        raise click.UsageError(f"two problems, {problem} and {given}: one of them")
    text = problem or given
    if not text:
        raise click.UsageError(f"which problem? one of {', '.join(PROBLEMS)}, data.npz or file.py:function")
    return text


def _problem(text: str, seed: int) -> Problem:
    if own_problems.is_own(text):
        return own_problems.own_problem(text, seed)
    if text not in PROBLEMS:
        raise unknown("problem", text, list(PROBLEMS))
    return PROBLEMS[text](seed)


def _title(text: str) -> str:
    return own_problems.title(text) if own_problems.is_own(text) else text


def _ranking(task: Problem, metric: str | None, better: Any) -> tuple[str, Any]:
    """By which column lanes are ranked, and which way."""
    evaluate = task.evaluate
    made = {} if evaluate is None else jax.eval_shape(lambda: evaluate(task.params))
    known = ["final_loss", *made]
    if metric is not None and metric not in known:
        raise click.UsageError(
            f"--metric {metric}: there is no such column{suggest(metric, known)}; {', '.join(known)}"
        )
    asked, metric = metric, metric or task.metric
    better = better or (task.better if metric == task.metric else direction_of(metric))
    if better is None:
        first = "" if asked else f"lanes are ranked by the first number that evaluate returns, {metric}: "
        raise click.UsageError(f"{first or f'--metric {metric}: also '}say --better lower or --better higher")
    return metric, better


def _space(task: Problem, options: Options) -> specs.Space:
    """Optimizers and axes; where nothing is said, Adams over learning rate and b1."""
    optimizers = [specs.optimizer(text) for text in options.optimizers or ("adam",)]
    axes: dict[str, list[Any]] = {}
    drawn: dict[str, gradtx.sweep.Distribution] = {}
    for option, read, found in (("grid", specs.axis, axes), ("random", specs.distribution, drawn)):
        for text in getattr(options, option):
            name, made = read(text)
            if name in found:
                raise click.UsageError(f"--{option} {name}: given twice")
            found[name] = made  # pyright: ignore[reportArgumentType]
    if not axes and not drawn:
        if not options.optimizers:
            axes = {"learning_rate": RATES, "b1": B1}
        elif any("learning_rate" in own.needed for own in optimizers):
            axes = {"learning_rate": RATES}
    return specs.space(optimizers, axes, drawn, task.loss)


def _selection(options: Options, space: specs.Space) -> Any:
    if options.halving is not None:
        return gradtx.sweep.halving(options.halving)
    if options.hyperband is not None:
        return gradtx.sweep.hyperband(options.hyperband)
    if options.population is None:
        return None
    every = options.population or max(1, options.steps // 10)
    return gradtx.sweep.population_based(every, space=None if space.several else space.redrawn())
