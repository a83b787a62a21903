"""What a row of the table says of a transformation, and what several rows share.

A new transformation is one row and one reference: contracts, references, the recorded trajectories of PyTorch and the
comparisons with Optax all read the table.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

import gradtx as gx
from gradtx._testing.trials import default_params
from tests import references


class Row(NamedTuple):
    """A transformation, and what it is held to.

    ``peer`` is the same of Optax. ``reference(gradients, params) -> (updates, state)`` is the same in float64 loops, of
    mappings of arrays. ``oracle`` names the recorded call of PyTorch. ``exempt`` maps the contracts that cannot hold to
    the reason; ``tolerance``: see `gradtx.testing.check`. With ``contracts=False`` the row is a variant of another,
    there for its numbers alone.
    """

    name: str
    tx: gx.GradientTransformation
    peer: Any = None
    reference: Callable[..., Any] | None = None
    oracle: str | None = None
    params: Any = None
    extra: Mapping[str, Any] = {}
    exempt: Mapping[str, str] = {}
    tolerance: float | None = None
    importable: bool = True
    contracts: bool = True


# References -----------------------------------------------------------------------------------------------------------


def of(reference: Callable[..., Any], *, only: str | None = None, other: Any = None, **numbers: Any) -> Any:
    """The reference of mappings from one of arrays; ``only`` names the leaf that it is of, ``other`` is of the rest."""
    own = functools.partial(reference, **numbers)

    def of_mapping(gradients, params):
        made = {}
        for leaf, theta in params.items():
            rule = own if only in (None, leaf) else other
            made[leaf] = rule([g[leaf] for g in gradients], theta)
        updates = [{leaf: rows[n] for leaf, (rows, _) in made.items()} for n in range(len(gradients))]
        fields = next(iter(made.values()))[1]
        return updates, {field: {leaf: state[field] for leaf, (_, state) in made.items()} for field in fields}

    return of_mapping


def after_clipping(reference: Callable[..., Any], max_norm: float) -> Any:
    """The reference on gradients that are clipped by their global norm before."""

    def of_mapping(gradients, params):
        return reference(references.clip_by_global_norm(gradients, params, max_norm)[0], params)

    return of_mapping


def falling(step):
    """What `FALLING` is."""
    return 0.1 - 0.09 * min(step / 12, 1.0)


def hyperbolic(step):
    """What `HYPERBOLIC` is."""
    return 0.1 / (1 + 0.5 * step)


FALLING = gx.linear_schedule(0.1, 0.01, 12)
HYPERBOLIC = gx.inverse_time_decay(0.1, 1, 0.5)

# What rows share ------------------------------------------------------------------------------------------------------

WARMUP = gx.warmup_cosine_decay_schedule(0.0, 0.1, 1, 10)
MASK = {"w": True, "b": False}
FAST = {"w": "fast", "*": "slow"}
STILL = {"w": "fast", "*": "still"}
OF_PARAMS = 1e-6  # an update that is a difference of parameters is as exact as they are
OF_ROOTS = 3e-6  # what the roots of matrices with condition 1e2 lose
STATE_OF_OPTAX = {"sharding_of_the_state_follows_the_parameters": "optax lets jit decide where its state goes"}


def halving(step):
    """A plain function of the step."""
    return jnp.exp2(-step.astype(float) - 1)


def bowl(params):
    """A convex function of any tree."""
    return sum((jnp.sum(x**2 / 2 + x**4 / 12).astype(float) for x in jax.tree.leaves(params)), start=jnp.zeros([]))


CURVED = {"value_fn": jax.tree_util.Partial(bowl)}
SEARCHED = CURVED | dict(zip(("value", "grad"), jax.value_and_grad(bowl)(default_params()), strict=True))
GRAD = {"missing_leaves_stay_missing": "grad is a tree of one structure"}
