"""Which learning rate? Many rates at once, each trained for a short run of its own."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gradtx._rules.functions import hyperparameters
from gradtx._rules.transformation import GradientTransformation
from gradtx._schedules.schedule import Schedule
from gradtx._training.step import Loss, as_transformation
from gradtx._value.errors import TransformationError
from gradtx._value.whole import whole_number
from gradtx.sweep._population import points
from gradtx.sweep._result import Sweep
from gradtx.sweep._run import run

Tree = Any
LAST = 0.1  # the part of a run over whose losses the mean is taken
HIGHER = 1e-3  # a loss that is higher by such a share than where it began is no rounding


@dataclass(frozen=True)
class LearningRates:
    """What `lr_finder` found: ``learning_rate``, the pick, and the curve that it comes from.

    ``rates``, in ascending order; ``loss``: for each the mean training loss over the last tenth of its run. ``start``:
    the loss at the initial parameters, on the first batch or on those of the last tenth (that of the lowest rate),
    whichever is higher. ``limit``: the lowest rate above the best that failed, infinite if none did.
    ``sweep``: all of it, as of `gradtx.sweep.run`.
    """

    learning_rate: float
    rates: np.ndarray = field(repr=False)
    loss: np.ndarray = field(repr=False)
    start: float
    limit: float
    sweep: Sweep = field(repr=False)

    def table(self) -> list[dict[str, float | bool]]:
        """One row per rate: the rate, its loss, and whether it failed."""
        failed = _failed(self.loss, self.start)
        return [
            {"learning_rate": float(rate), "loss": float(loss), "failed": bool(bad)}
            for rate, loss, bad in zip(self.rates, self.loss, failed, strict=True)
        ]

    def notes(self) -> list[str]:
        """What to try where the pick is at an end of the rates; an empty list if it is not."""
        at = int(np.argmin(np.abs(np.log(self.rates / self.learning_rate))))
        if math.isinf(self.limit) and at > len(self.rates) - 3:
            return [f"no rate failed, and the pick is at the upper end of them: try high={self.rates[-1] * 100:.3g}"]
        if at < 2:
            return [f"the pick is at the lower end of the rates: try low={self.rates[0] / 100:.3g}"]
        return []

    def plot(self) -> Any:
        """The loss over the rates, with the pick and the limit marked; a matplotlib figure."""
        from gradtx._report import studies

        return studies.learning_rates(self)


def lr_finder(
    loss: Loss,
    params: Tree,
    tx: GradientTransformation | Callable[[Any], GradientTransformation],
    data: Tree,
    *,
    steps: int = 100,
    lanes: int = 64,
    low: float = 1e-6,
    high: float = 10.0,
    batch_size: int | None = None,
    seed: int = 0,
    progress: bool | None = None,
) -> LearningRates:
    """Train ``lanes`` learning rates from ``low`` to ``high`` for a short run each, in one program, and pick one.

    ``tx`` is a transformation with one ``learning_rate``, or a function of the rate: ``lambda rate: adam(rate *
    schedule)``. All runs see the same batches. Unlike a ramp of the rate within one run (Smith 2017), no rate inherits
    what the ones before it did.

    *The pick.* The rate with the lowest loss at its end, where each counts as the worst of itself and its two
    neighbours, so that a lucky rate at a cliff is not taken; but at most half of the lowest rate above it that failed:
    that ended higher than it began, or not finite. For gradient descent on a loss of curvature L the rates from 2/L on
    fail, and half of that is 1/L, the step of the descent lemma (Nesterov 2004, section 1.2.3). The trap: a short run
    does not see what only many steps show. Of a long one, expect the best rate to be lower rather than higher.

    Raises `TransformationError`: a transformation without a learning rate, or with several; every rate failed.

    >>> from gradtx import sgd
    >>> bowl = lambda params, batch: 0.5 * jnp.mean(batch) * params**2
    >>> found = lr_finder(bowl, jnp.array(1.0), sgd, 4.0 * jnp.ones(1), low=1e-3)
    >>> 1 / 4 / 1.2 < found.learning_rate < 1 / 4 * 1.2, 2 / 4 < found.limit < 2 / 4 * 1.2
    (True, True)
    """
    whole_number("lr_finder: lanes", lanes, 3)
    if not 0 < low < high < math.inf:
        raise TransformationError(f"lr_finder: expected 0 < low < high, found {low} and {high}")
    rates = np.geomspace(low, high, lanes)
    make = _maker(tx)
    population = points(lambda learning_rate: make(learning_rate), [{"learning_rate": float(rate)} for rate in rates])
    made = run(
        loss, params, population, data, steps=steps, batch_size=batch_size, seed=seed, stop_diverged=True,
        progress=progress,
    )  # fmt: skip
    ended = made.loss[:, -max(1, round(LAST * made.loss.shape[1])) :].mean(axis=1).astype(np.float64)
    ended = np.where(np.isfinite(made.final_loss) & (made.steps == steps), ended, np.nan)
    begun = made.loss[:, 0]
    start = max([float(x) for x in (*begun[:1], ended[0]) if math.isfinite(x)], default=-math.inf)
    failed = _failed(ended, start)
    if failed.all():
        raise TransformationError(f"lr_finder: low: every rate fails, down to {low:g}: expected a lower one")
    around = np.pad(np.where(failed, np.inf, ended), 1, mode="edge")
    worst = np.max([around[:-2], around[1:-1], around[2:]], axis=0)
    if not np.isfinite(worst).any():
        worst = around[1:-1]
    best = len(rates) - 1 - int(np.argmin(worst[::-1]))  # of equal ones the largest
    above = rates[(rates > rates[best]) & failed]
    limit = float(above[0]) if len(above) else math.inf
    return LearningRates(float(min(rates[best], limit / 2)), rates, ended, start, limit, made)


def _failed(loss: np.ndarray, start: float) -> np.ndarray:
    """Which runs ended higher than they began, or not at all."""
    return ~(loss <= start + HIGHER * abs(start))


def _maker(tx: Any) -> Callable[[float], Any]:
    """The transformation as a function of its learning rate."""
    if not isinstance(tx, GradientTransformation):
        if not callable(tx):
            as_transformation("lr_finder", tx)
            raise TransformationError(f"lr_finder: tx: expected a function of the learning rate, found {tx!r}")
        return tx
    rates = {name: x for name, x in hyperparameters(tx).items() if name.rpartition(".")[2] == "learning_rate"}
    names = [name for name, x in rates.items() if not isinstance(x, Schedule)]
    if len(names) != 1:
        found = ", ".join(names) or ("a schedule" if rates else "none")
        raise TransformationError(
            f"lr_finder: tx: expected one learning_rate, found {found}: give a function of the rate, such as "
            "lambda rate: gradtx.adam(rate * schedule)"
        )
    return lambda rate: tx.replace({names[0]: rate})
