"""Tuning by gradient: derivatives of the loss at the end of a training with respect to every number.

>>> import gradtx
>>> x = jnp.linspace(-1.0, 1.0, 64)
>>> squares = lambda w, batch: jnp.mean((w * batch - 3.0 * batch) ** 2)
>>> train = training(squares, jnp.array(0.0), x, steps=20)
>>> found = hypergradients(train, gradtx.sgd(0.1, 0.5))
>>> {name: bool(slope < 0) for name, slope in found.gradient.items()}  # more of both would be better
{'sgd.learning_rate': True, 'sgd.momentum': True}
"""

from gradtx._tune.coordinate_check import Coordinates, coordinate_check
from gradtx._tune.descent import tune
from gradtx._tune.hypergradients import Hypergradients, hypergradients
from gradtx._tune.implicit import implicit, soft_threshold
from gradtx._tune.mup import Mup, mup
from gradtx._tune.training import Training, training
from gradtx._tune.tuned import Tuned

__all__ = [
    "Coordinates",
    "Hypergradients",
    "Mup",
    "Training",
    "Tuned",
    "coordinate_check",
    "hypergradients",
    "implicit",
    "mup",
    "soft_threshold",
    "training",
    "tune",
]
