"""`tune`: descent on the loss at the end of a training, in the numbers of the transformation."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp

from gradtx._optimizers.adam import adam
from gradtx._rules.transformation import GradientTransformation
from gradtx._schedules.decays import cosine_decay_schedule
from gradtx._training.progress import progress as progress_bar
from gradtx._training.step import as_transformation
from gradtx._tune.coordinates import Coordinate, coordinate
from gradtx._tune.hypergradients import Mode, Train, hypergradients
from gradtx._tune.numbers import chosen, with_values
from gradtx._tune.tuned import Row, Tuned
from gradtx._value.errors import TransformationError, suggest
from gradtx._value.whole import whole_number

RECENT = 5  # a step is accepted that is no worse than the worst of so many accepted before
LONGEST = 10.0  # times the median length of gradients before: a longer one is shortened to that


def tune(
    train: Train,
    tx: GradientTransformation,
    *args: Any,
    steps: int,
    names: str | Sequence[str] | None = None,
    numbers: Mapping[str, float] | None = None,
    optimizer: GradientTransformation | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    mode: Mode | None = None,
    progress: bool | None = None,
) -> Tuned:
    """Tune the numbers of a transformation by gradient descent on the loss at the end of a training.

        z ← z + update(∂L/∂z),   x = ±eᶻ, or 1/(1 + e⁻ᶻ) for decays and shares;   L = train(tx)

    ``train``, ``args``, ``mode`` are those of `hypergradients`, ``names`` too: if not given, all numbers move that
    can, which zeros and infinities cannot. ``numbers`` are start values of those of the loss. Each of ``steps`` steps
    is one training. ``optimizer`` moves z; if not given, it is Adam with a rate that falls from 0.5 to 0 by a cosine: a
    number changes by a factor of up to 1.6 at first. ``bounds`` keeps numbers, by name, between two values.

    *Guards.* Long trainings, and those with large rates, are chaotic: the derivative is exact and says nothing about
    the next loss. So a gradient ten times as long as the median before is shortened to that; a training that is worse
    than the last five, or whose loss or gradient is not finite, is rejected: the descent steps back to the best so far
    and halves its steps, which grow again by a fifth with each success. What is returned is the best training seen. A
    shorter horizon is tamer: ``train.truncated(100)``.

    Source: Baydin et al. 2018; Grippo, Lampariello & Lucidi 1986 (acceptance); Metz et al. 2021 (chaos).

    Raises `TransformationError`: a name that is none, a number that cannot move, no finite loss at the start.

    >>> from gradtx import sgd
    >>> train = lambda tx: (1 - tx.learning_rate) ** 4 / 2  # two steps on w²/2 from 1: the best rate is 1
    >>> found = tune(train, sgd(0.01), steps=25)
    >>> round(found.best["sgd.learning_rate"], 1), found.tx.call.name
    (1.0, 'sgd')
    """
    steps, tx = whole_number("tune.tune: steps", steps), as_transformation("tune.tune", tx)
    start, coordinates = _start(tx, names, dict(numbers or {}), dict(bounds or {}))
    optimizer = as_transformation("tune.tune: optimizer", usual(steps) if optimizer is None else optimizer)
    picked = [name for name in coordinates if name not in (numbers or {})]
    descent = _Descent(optimizer, coordinates, {name: coordinates[name].of(x) for name, x in start.items()})
    with progress_bar("tune", steps, progress) as bar:
        for _ in range(steps):
            values = descent.values()
            own = {name: values[name] for name in numbers or {}}
            made = hypergradients(train, with_values(tx, values), *args, names=picked, numbers=own, mode=mode)
            descent.step(values, float(made.loss), {name: float(x) for name, x in made.gradient.items()})
            bar(1, descent.history[-1]["loss"])
    best = descent.best
    return Tuned(with_values(tx, best.values), best.values, best.loss, descent.history)


def usual(steps: int) -> GradientTransformation:
    """What moves the numbers if nothing else is asked for."""
    return adam(cosine_decay_schedule(0.5, float(steps)), 0.8, 0.9)


def _start(tx: Any, names: Any, numbers: dict[str, float], bounds: dict[str, Any]) -> Any:
    """Where each number starts, and its coordinate."""
    leaves, start, coordinates = jax.tree.leaves(tx), {}, {}
    for number in chosen("tune.tune", tx, names):
        x = number.exact(leaves)
        if names is None and (x == 0 or not math.isfinite(x)):
            continue
        start[number.name] = x
        coordinates[number.name] = coordinate(number.name, x, number.interval, bounds.pop(number.name, None))
    for name, x in numbers.items():
        start[name] = float(x)
        coordinates[name] = coordinate(name, float(x), None, bounds.pop(name, None))
    for name in bounds:
        raise TransformationError(f"tune.tune: bounds: {name!r} is not tuned{suggest(name, coordinates)}")
    if not coordinates:
        raise TransformationError("tune.tune: tx: expected numbers that can be tuned, found none")
    return start, coordinates


@dataclass(frozen=True)
class _Trial:
    """A training that was accepted: its numbers, and the slopes of its loss in their coordinates."""

    loss: float
    values: dict[str, float]
    slopes: dict[str, float]


@dataclass
class _Descent:
    """Where the descent is, and what it has seen."""

    optimizer: GradientTransformation
    coordinates: dict[str, Coordinate]
    z: dict[str, float]
    history: list[Row] = field(default_factory=list)
    accepted: list[_Trial] = field(default_factory=list)
    pace: float = 1.0  # what steps are multiplied by
    state: Any = None

    def values(self) -> dict[str, float]:
        """The numbers where the descent is."""
        return {name: one.at(self.z[name]) for name, one in self.coordinates.items()}

    @property
    def best(self) -> _Trial:
        """The best training so far."""
        return min(self.accepted, key=lambda trial: trial.loss)

    def step(self, values: dict[str, float], loss: float, gradient: dict[str, float]) -> None:
        """Judge a training, and move on or step back."""
        slopes = {name: gradient[name] * one.slope(values[name]) for name, one in self.coordinates.items()}
        trial, limit = _Trial(loss, values, slopes), self._limit()
        status = self._judged(trial, limit)
        self.history.append({"step": len(self.history), "loss": loss, "status": status} | values)
        if status == "rejected":
            self.pace, self.state = self.pace / 2, None
            self._move(self.best, limit)
        else:
            self.accepted.append(trial)
            self.pace = min(1.0, 1.2 * self.pace)
            self._move(trial, limit)

    def _limit(self) -> float:
        """How long a gradient may be: there is no limit before the first one that is not zero."""
        median = statistics.median([_length(trial) for trial in self.accepted] or [0.0])
        return LONGEST * median if median > 0 else math.inf

    def _judged(self, trial: _Trial, limit: float) -> str:
        length = _length(trial)
        finite = math.isfinite(trial.loss) and math.isfinite(length)
        if not self.accepted and not finite:
            raise TransformationError(
                f"tune.tune: at the start the loss is {trial.loss:g} and its gradient has length {length:g}: start "
                "from numbers that train, such as a smaller learning rate, or from a shorter training"
            )
        if not finite or (self.accepted and trial.loss > max(one.loss for one in self.accepted[-RECENT:])):
            return "rejected"
        return "clipped" if length > limit else "accepted"

    def _move(self, trial: _Trial, limit: float) -> None:
        """One step of the optimizer from a training, along its slopes."""
        short = min(1.0, limit / _length(trial)) if _length(trial) > 0 else 1.0
        z = {name: one.of(trial.values[name]) for name, one in self.coordinates.items()}
        signals = {name: jnp.asarray(short * slope, jnp.float32) for name, slope in trial.slopes.items()}
        params = {name: jnp.asarray(x, jnp.float32) for name, x in z.items()}
        state = self.optimizer.init(params) if self.state is None else self.state
        updates, self.state = self.optimizer.update(signals, state, params)
        self.z = {name: z[name] + self.pace * float(update) for name, update in updates.items()}


def _length(trial: _Trial) -> float:
    return math.hypot(*trial.slopes.values())
