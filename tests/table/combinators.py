"""What is made of several transformations."""

import jax.numpy as jnp
import optax

import gradtx as gx
from tests.table.row import FAST, STATE_OF_OPTAX, STILL, WARMUP, Row


@gx.transformation
def scale_by_loss(power=1.0):
    """A link that asks for an extra keyword."""

    def formula(u, *, value):
        return u * jnp.abs(value) ** power

    return gx.per_leaf(formula, conditions=True)


def total(x, y):
    """What a fork makes of two branches."""
    return x + y


WITH_INTEGERS = {"w": jnp.array([0.5, -1.0, 2.0]), "table": jnp.array([[1, 2], [3, 4]])}
LABELS_ARE_A_TREE = {"missing_leaves_stay_missing": "labels that are a tree fit trees of that structure alone"}

COMBINATORS = [
    Row("chain", gx.chain(gx.clip(0.5), gx.scale(-0.1))),
    Row("chain of nothing", gx.chain()),
    Row("chain with names", gx.chain(first=gx.trace(0.9), second=gx.trace(0.5))),
    Row("chain with a clip before a recipe", gx.chain(gx.clip_by_global_norm(0.5), gx.adam(0.1))),
    Row("chain in a chain under a name", gx.chain(gx.scale(2.0), inner=gx.chain(gx.trace(0.9), gx.scale_by_rms(0.9)))),
    Row(
        "chain with links of optax",
        gx.chain(optax.clip(0.5), optax.trace(0.9), gx.scale(-0.1)),
        exempt=STATE_OF_OPTAX,
        importable=False,
    ),
    Row("set_to_zero", gx.set_to_zero()),
    Row("masked", gx.masked(gx.adam(0.1), "w")),
    Row("masked by a tree", gx.masked(gx.scale(0.5), {"w": True, "b": False}), exempt=LABELS_ARE_A_TREE),
    Row("partition", gx.partition({"fast": gx.adam(0.1), "slow": gx.sgd(0.01, 0.9)}, FAST)),
    Row("partition with frozen leaves", gx.partition({"fast": gx.adam(0.1), "still": gx.set_to_zero()}, STILL)),
    Row(
        "partition with frozen integers, clipped",
        gx.chain(gx.clip_by_global_norm(0.5), gx.partition({"fast": gx.sgd(0.1), "still": gx.set_to_zero()}, STILL)),
        params=WITH_INTEGERS,
    ),
    Row(
        "partition by a tree",
        gx.partition({"fast": gx.sgd(0.1), "slow": gx.sgd(WARMUP)}, {"w": "fast", "b": {"c": "slow"}}),
        exempt=LABELS_ARE_A_TREE,
    ),
    Row("multi_transform", gx.multi_transform({0: gx.adam(0.1), 1: gx.sgd(0.01)}, {"w": 0, "*": 1})),
    Row("by_role", gx.by_role({"matrices": gx.sgd(0.1, 0.9), "bias": gx.sgd(1.0)}, gx.adam(0.1), {"b.c": "matrix"})),
    Row("freeze", gx.chain(gx.freeze("b"), gx.adam(0.1))),
    Row("selective_transform", gx.selective_transform(gx.adam(0.1), freeze_mask="b")),
    Row("fork", gx.fork(total, gx.scale_by_rms(), gx.scale(0.1))),
    Row("fork with names, not by leaf", gx.fork(total, fast=gx.adam(0.1), clipped=gx.clip_by_global_norm(0.5))),
    Row("fork by a function of jax", gx.fork(jnp.maximum, gx.trace(0.9), gx.scale(0.1)), importable=False),
    Row("foreign", gx.foreign(optax.sgd(0.1, 0.9)), exempt=STATE_OF_OPTAX, importable=False),
    Row("foreign without state", gx.foreign(optax.scale(0.1)), importable=False),
    Row("a link that asks for a keyword", gx.chain(scale_by_loss(0.5), gx.sgd(0.1)), extra={"value": jnp.array(0.25)}),
]
