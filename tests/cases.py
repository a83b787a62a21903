"""One row for every public transformation, and for every variant of one that takes another way through the code."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

import gradtx as gx
from gradtx._testing.trials import default_params


class Case(NamedTuple):
    """A transformation to try.

    ``apart``: the contracts that cannot hold for it, each with the reason; ``tolerance``: see `gradtx.testing.check`.
    """

    name: str
    tx: gx.GradientTransformation
    params: Any = None
    extra: Mapping[str, Any] = {}
    importable: bool = True
    apart: Mapping[str, str] = {}
    tolerance: float | None = None


@gx.transformation
def scale_by_loss(power=1.0):
    """A link that asks for an extra keyword."""

    def formula(u, *, value):
        return u * jnp.abs(value) ** power

    return gx.per_leaf(formula, conditions=True)


def total(x, y):
    """What a fork makes of two branches."""
    return x + y


def halving(step):
    """A plain function of the step."""
    return jnp.exp2(-step.astype(float) - 1)


def few_then_many(step):
    """How many gradients make a step: one at first, then two."""
    return jnp.where(step < 1, 1, 2)


WARMUP = gx.warmup_cosine_decay_schedule(0.0, 0.1, 1, 10)
WITH_INTEGERS = {"w": jnp.array([0.5, -1.0, 2.0]), "table": jnp.array([[1, 2], [3, 4]])}
FAST = {"w": "fast", "*": "slow"}
STILL = {"w": "fast", "*": "still"}
OF_PARAMS = 1e-6  # an update that is a difference of parameters is as exact as they are
LABELS_ARE_A_TREE = {"missing_leaves_stay_missing": "labels that are a tree fit trees of that structure alone"}
STATE_OF_OPTAX = {"sharding_of_the_state_follows_the_parameters": "optax lets jit decide where its state goes"}


def bowl(params):
    """A convex function of any tree."""
    return sum((jnp.sum(x**2 / 2 + x**4 / 12).astype(float) for x in jax.tree.leaves(params)), start=jnp.zeros([]))


CURVED = {"value_fn": jax.tree_util.Partial(bowl)}
SEARCHED = CURVED | dict(zip(("value", "grad"), jax.value_and_grad(bowl)(default_params()), strict=True))
GRAD = {"missing_leaves_stay_missing": "grad is a tree of one structure"}

CASES = [
    # Links
    Case("identity", gx.identity()),
    Case("scale", gx.scale(-0.5)),
    Case("scale by a schedule", gx.scale(gx.linear_schedule(1.0, 0.5, 4) * 0.5)),
    Case("scale by an array", gx.scale(jnp.array(0.5))),
    Case("scale_by_learning_rate", gx.scale_by_learning_rate(0.1)),
    Case("scale_by_learning_rate scheduled", gx.scale_by_learning_rate(WARMUP)),
    Case("scale_by_learning_rate unflipped", gx.scale_by_learning_rate(0.1, flip_sign=False)),
    Case("scale_by_schedule", gx.scale_by_schedule(gx.cosine_decay_schedule(1.0, 10, alpha=0.1))),
    Case("scale_by_schedule of a function", gx.scale_by_schedule(halving)),
    Case("scale_by_sign", gx.scale_by_sign()),
    Case("clip", gx.clip(0.5)),
    Case("clip_by_global_norm", gx.clip_by_global_norm(0.5)),
    Case("clip_by_global_norm unlimited", gx.clip_by_global_norm(math.inf)),
    Case("centralize", gx.centralize()),
    Case("add_decayed_weights", gx.add_decayed_weights(0.1)),
    Case("add_decayed_weights masked", gx.add_decayed_weights(0.1, mask="w")),
    Case("scale_by_ewma", gx.scale_by_ewma(0.9)),
    Case("scale_by_ewma in bfloat16", gx.scale_by_ewma(0.9, accumulator_dtype=jnp.bfloat16)),
    Case("scale_by_ewma of a scheduled decay", gx.scale_by_ewma(gx.linear_schedule(0.5, 0.9, 4))),
    Case("scale_by_ewma from the first", gx.scale_by_ewma(0.9, initial="first")),
    Case("trace", gx.trace(0.9)),
    Case("lookahead_trace", gx.lookahead_trace(0.9)),
    Case("add_noise", gx.add_noise(0.1, 0.55, 3)),
    Case("ema_params", gx.ema_params(0.9)),
    Case("average_params", gx.average_params(1.0)),
    Case("bias_correction", gx.bias_correction(0.9)),
    Case("nesterov_lookahead", gx.nesterov_lookahead(0.9)),
    Case("nesterov_bias_correction", gx.nesterov_bias_correction(0.9)),
    Case("nesterov_momentum_decay", gx.nesterov_momentum_decay(0.9)),
    Case("scale_by_lion", gx.scale_by_lion()),
    Case("scale_by_lion smooth", gx.scale_by_lion(0.9, 0.99, 2.0, mode="smooth")),
    Case("scale_by_lion refined", gx.scale_by_lion(mode="refined")),
    Case("scale_by_rms", gx.scale_by_rms()),
    Case("scale_by_rms uncorrected", gx.scale_by_rms(0.9, initial_scale=1.0, bias_correction=False)),
    Case("scale_by_stddev", gx.scale_by_stddev()),
    Case("scale_by_stddev corrected", gx.scale_by_stddev(eps_root=1.0, bias_correction=True)),
    Case("scale_by_max_rms", gx.scale_by_max_rms()),
    Case("scale_by_max_rms of raw averages", gx.scale_by_max_rms(maximum="raw")),
    Case("scale_by_max_rms uncorrected", gx.scale_by_max_rms(bias_correction=False)),
    Case("scale_by_infinity_norm", gx.scale_by_infinity_norm()),
    Case("scale_by_rss", gx.scale_by_rss()),
    Case("scale_by_mean_squares", gx.scale_by_mean_squares()),
    Case("scale_by_adadelta", gx.scale_by_adadelta()),
    Case("scale_by_rprop", gx.scale_by_rprop(0.1)),
    Case("scale_by_falling_rate", gx.scale_by_falling_rate(0.1, 0.01)),
    Case("scale_by_rss from nothing", gx.scale_by_rss(0.0, eps_in_sqrt=False)),
    # Second order
    Case("scale_by_newton", gx.scale_by_newton(), extra=CURVED),
    Case("scale_by_newton damped", gx.scale_by_newton(0.5), extra=CURVED),
    Case("scale_by_newton_cg", gx.scale_by_newton_cg(), extra=CURVED),
    Case("scale_by_lbfgs", gx.scale_by_lbfgs(memory_size=3)),
    Case(
        "scale_by_backtracking_linesearch",
        gx.chain(gx.scale(-1.0), gx.scale_by_backtracking_linesearch(4, store_grad=True)),
        extra=SEARCHED,
        apart=GRAD,
    ),
    Case(
        "scale_by_zoom_linesearch",
        gx.chain(gx.scale(-1.0), gx.scale_by_zoom_linesearch(4)),
        extra=SEARCHED,
        apart=GRAD,
    ),
    Case("newton", gx.newton(), extra=CURVED),
    Case("newton_cg", gx.newton_cg(), extra=CURVED),
    Case("lbfgs without a search", gx.lbfgs(0.5, gx.identity(), memory_size=3)),
    # Combinators
    Case("chain", gx.chain(gx.clip(0.5), gx.scale(-0.1))),
    Case("chain of nothing", gx.chain()),
    Case("chain with names", gx.chain(first=gx.trace(0.9), second=gx.trace(0.5))),
    Case("chain with a clip before a recipe", gx.chain(gx.clip_by_global_norm(0.5), gx.adam(0.1))),
    Case("chain in a chain under a name", gx.chain(gx.scale(2.0), inner=gx.chain(gx.trace(0.9), gx.scale_by_rms(0.9)))),
    Case(
        "chain with links of optax",
        gx.chain(optax.clip(0.5), optax.trace(0.9), gx.scale(-0.1)),
        importable=False,
        apart=STATE_OF_OPTAX,
    ),
    Case("set_to_zero", gx.set_to_zero()),
    Case("masked", gx.masked(gx.adam(0.1), "w")),
    Case("masked by a tree", gx.masked(gx.scale(0.5), {"w": True, "b": False}), apart=LABELS_ARE_A_TREE),
    Case("partition", gx.partition({"fast": gx.adam(0.1), "slow": gx.sgd(0.01, 0.9)}, FAST)),
    Case(
        "partition with frozen leaves",
        gx.partition({"fast": gx.adam(0.1), "still": gx.set_to_zero()}, STILL),
    ),
    Case(
        "partition with frozen integers, clipped",
        gx.chain(
            gx.clip_by_global_norm(0.5),
            gx.partition({"fast": gx.sgd(0.1), "still": gx.set_to_zero()}, STILL),
        ),
        params=WITH_INTEGERS,
    ),
    Case(
        "partition by a tree",
        gx.partition({"fast": gx.sgd(0.1), "slow": gx.sgd(WARMUP)}, {"w": "fast", "b": {"c": "slow"}}),
        apart=LABELS_ARE_A_TREE,
    ),
    Case("fork", gx.fork(total, gx.scale_by_rms(), gx.scale(0.1))),
    Case("fork with names, not by leaf", gx.fork(total, fast=gx.adam(0.1), clipped=gx.clip_by_global_norm(0.5))),
    Case("fork by a function of jax", gx.fork(jnp.maximum, gx.trace(0.9), gx.scale(0.1)), importable=False),
    Case("foreign", gx.foreign(optax.sgd(0.1, 0.9)), importable=False, apart=STATE_OF_OPTAX),
    Case("foreign without state", gx.foreign(optax.scale(0.1)), importable=False),
    Case("a link that asks for a keyword", gx.chain(scale_by_loss(0.5), gx.sgd(0.1)), extra={"value": jnp.array(0.25)}),
    # Wrappers
    Case("accumulate", gx.accumulate(gx.adam(WARMUP), 2)),
    Case("guard_nonfinite", gx.guard_nonfinite(gx.adam(WARMUP))),
    Case("guard_nonfinite with a rollback", gx.guard_nonfinite(gx.adam(0.1), policy="rollback")),
    Case("lookahead", gx.lookahead(gx.adam(0.1), 2), tolerance=OF_PARAMS),
    Case("schedule_free", gx.schedule_free(gx.sgd(0.1), 0.1), tolerance=OF_PARAMS),
    Case("cautious", gx.cautious(gx.adam(0.1))),
    Case(
        "three wrappers, one in the other",
        gx.guard_nonfinite(gx.lookahead(gx.accumulate(gx.chain(gx.add_noise(0.1, 0.5), gx.adam(WARMUP)), 2), 2)),
        tolerance=OF_PARAMS,
    ),
    Case(
        "wrappers in groups, at paces of their own",
        gx.partition(
            {
                "fast": gx.accumulate(gx.schedule_free(gx.sgd(halving), 0.1), few_then_many),
                "slow": gx.lookahead(gx.sgd(0.01, 0.9), 2),
            },
            FAST,
        ),
        tolerance=OF_PARAMS,
    ),
    Case(
        "a rollback of noise and averages",
        gx.guard_nonfinite(gx.chain(gx.add_noise(0.1, 0.5), gx.sgd(halving), gx.ema_params(0.9)), policy="rollback"),
    ),
    # Recipes
    Case("sgd", gx.sgd(0.1)),
    Case("sgd with momentum", gx.sgd(0.1, 0.9)),
    Case("nesterov", gx.nesterov(0.1)),
    Case("adadelta", gx.adadelta()),
    Case("rprop", gx.rprop(0.1)),
    Case("asgd", gx.asgd(0.1, t0=1.0)),
    Case("sgd with nesterov momentum in bfloat16", gx.sgd(0.1, 0.9, nesterov=True, accumulator_dtype="bfloat16")),
    Case("sgd with a lambda", gx.sgd(lambda step: jnp.where(step < 2, 0.1, 0.05)), importable=False),
    Case("adagrad", gx.adagrad(0.1)),
    Case("rmsprop", gx.rmsprop(0.1)),
    Case("rmsprop centered with momentum", gx.rmsprop(0.1, centered=True, momentum=0.9, nesterov=True)),
    Case("rmsprop corrected", gx.rmsprop(0.1, initial_scale=0.5, eps_in_sqrt=False, bias_correction=True)),
    Case("adam", gx.adam(0.1)),
    Case(
        "adam with a schedule",
        gx.adam(WARMUP.then(gx.constant_schedule(0.01), after=5), b1=gx.linear_schedule(0.5, 0.9, 4)),
    ),
    Case("adam in bfloat16", gx.adam(0.1, mu_dtype="bfloat16")),
    Case("adam with arrays", gx.adam(jnp.array(0.1), b1=jnp.array(0.9))),
    Case("adamw", gx.adamw(0.1)),
    Case("adamw masked", gx.adamw(0.1, weight_decay=WARMUP, mask={"b": False, "*": True})),
    Case("nadam", gx.nadam(0.1)),
    Case("nadam with momentum decay", gx.nadam(0.1, momentum_decay=0.004)),
    Case("amsgrad", gx.amsgrad(0.1)),
    Case("amsgrad of raw averages", gx.amsgrad(0.1, maximum="raw", bias_correction_mu=False)),
    Case("adamax", gx.adamax(0.1)),
    Case("lion", gx.lion(0.1)),
]
