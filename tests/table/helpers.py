"""Constraints, measurements, and adapters of functions."""

import functools

import jax
import jax.numpy as jnp
import optax

import gradtx as gx
from gradtx import projections
from tests import references
from tests import references_helpers as R
from tests.table.row import OF_PARAMS, WARMUP, Row


def soften(u, param):
    """Less of an update where the parameter is large."""
    return u / (1 + jnp.abs(param) ** 2)


def soften_all(updates, params):
    """The same of trees."""
    return jax.tree.map(soften, updates, params)


def largest(updates):
    """The largest number of a tree, 0 at least for one without any."""
    return jnp.where(jnp.isfinite(gx.tree.max(updates)), gx.tree.max(updates), 0)


HELPERS = [
    Row(
        "project_params onto a ball",
        gx.chain(gx.scale(-0.1), gx.project_params(projections.projection_l2_ball, 0.5)),
        reference=functools.partial(R.project_params, projection=R.l2_ball, scale=0.5, rate=0.1),
        tolerance=OF_PARAMS,
    ),
    Row(
        "project_params onto a simplex",
        gx.chain(gx.sgd(0.1), gx.project_params(projections.projection_simplex)),
        reference=functools.partial(R.project_params, projection=R.simplex, scale=1.0, rate=0.1),
        contracts=False,
    ),
    Row("stateless", gx.stateless(soften_all), peer=optax.stateless(soften_all), reference=R.softened),
    Row(
        "stateless_with_tree_map",
        gx.stateless_with_tree_map(soften),
        peer=optax.stateless_with_tree_map(soften),
        reference=R.softened,
    ),
    Row("flatten", gx.flatten(gx.adam(WARMUP))),
    Row(
        "flatten as it is in Optax",
        gx.flatten(gx.adam(0.1)),
        peer=optax.flatten(optax.adam(0.1)),
        reference=R.flattened(functools.partial(references.adam, learning_rate=0.1)),
        contracts=False,
    ),
    Row(
        "snapshot",
        gx.snapshot("norm", gx.tree.norm),
        peer=optax.snapshot("norm", optax.tree.norm),
    ),
    Row(
        "monitor",
        gx.chain(gx.monitor({"norm": gx.tree.norm, "largest": gx.measure_with_ema(largest, 0.9)}), gx.sgd(WARMUP)),
    ),
]
