"""What a run of training returns."""

from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradtx import tree as trees

Tree = Any

REASONS = (
    "all steps were taken",
    "the step was no longer than tol",
    "the gradient was no longer than gradient_tol",
    "the loss changed by no more than loss_tol",
    "the loss was not finite",
    "all steps were taken; the last line search found no lower loss",
    "the callback ended the run",
    "the data ended",
)
ALL_TAKEN, STEP, GRADIENT, CHANGE, NOT_FINITE, SEARCH_FAILED, CALLBACK, DATA_ENDED = range(len(REASONS))


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Fit:
    """The result of a run.

    ``params``, ``state``: after the last step. ``loss``: the training loss where the gradient of each step was taken,
    or its mean over every ``record_every`` steps. ``final_loss``: the loss of the parameters to deploy, over all data.
    ``steps``: how many were taken. ``stopped``: the index of ``reason``, which says why the run ended. ``aux``: what
    the loss returned beside ``final_loss``, None without ``has_aux``. ``metrics``: what ``evaluate`` returned for the
    parameters to deploy; ``curves``: the same after each of the steps in ``evaluated``, one array per name.
    ``model_state``: as the loss returned it last, None where none was given.
    """

    params: Tree
    state: Tree
    loss: jax.Array
    final_loss: jax.Array
    steps: jax.Array
    stopped: jax.Array
    aux: Tree = None
    metrics: dict[str, jax.Array] = field(default_factory=dict)
    curves: dict[str, jax.Array] = field(default_factory=dict)
    evaluated: np.ndarray | jax.Array = field(default_factory=lambda: np.zeros(0, int))
    model_state: Tree = None

    @property
    def reason(self) -> str:
        """Why the run ended, in words."""
        return REASONS[int(self.stopped)]


def ended(stopped: Any, state: Tree) -> jax.Array:
    """The index of the reason: as given; or, if all steps were taken, that a line search failed.

    A search says so in its state, under ``failed``. It fails at a minimum too, where rounding hides any decrease.
    """
    leaves = zip(trees.paths(state), trees.flatten(state)[0], strict=True)
    failed = jnp.asarray(False)
    for path, x in leaves:
        if path.rpartition(".")[2] == "failed" and getattr(x, "dtype", None) == jnp.bool_:
            failed = failed | jnp.any(x)
    return jnp.where((stopped == ALL_TAKEN) & failed, SEARCH_FAILED, stopped).astype(jnp.int32)
