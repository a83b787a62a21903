"""What goes around another transformation."""

import jax.numpy as jnp
import optax

import gradtx as gx
from tests.table.row import FAST, OF_PARAMS, WARMUP, Row, halving


def few_then_many(step):
    """How many gradients make a step: one at first, then two."""
    return jnp.where(step < 1, 1, 2)


def odd(step):
    """Whether it is the second, fourth ... update."""
    return step % 2 == 1


OF_BFLOAT16 = 2.0**-7  # its last place, where two roundings of float32 fall on either side of a half


WRAPPERS = [
    Row("accumulate", gx.accumulate(gx.adam(WARMUP), 2)),
    Row("guard_nonfinite", gx.guard_nonfinite(gx.adam(WARMUP))),
    Row("guard_nonfinite with a rollback", gx.guard_nonfinite(gx.adam(0.1), policy="rollback")),
    Row("guard_nonfinite that raises", gx.guard_nonfinite(gx.adam(0.1), policy="raise")),
    Row("apply_if_finite", gx.apply_if_finite(gx.adam(WARMUP), 2)),
    Row("MultiSteps", gx.MultiSteps(gx.adam(WARMUP), 2)),
    Row("MultiSteps that skips", gx.MultiSteps(gx.adam(0.1), 2, should_skip_update_fn=optax.skip_not_finite)),
    Row("measured", gx.measured(gx.chain(gx.clip_by_global_norm(0.5), gx.clip(0.2), gx.adam(WARMUP)))),
    Row("measured in part", gx.measured(gx.accumulate(gx.chain(gx.clip(0.2), gx.adam(0.1)), 2), only="*.rate")),
    Row("with_hyperparams", gx.with_hyperparams(gx.adam(WARMUP))),
    Row("conditionally_transform", gx.conditionally_transform(gx.sgd(halving, 0.9), odd)),
    Row("conditionally_mask", gx.conditionally_mask(gx.adam(0.1), odd)),
    Row("with_state_dtype", gx.with_state_dtype(gx.adam(WARMUP), state_dtype="bfloat16"), tolerance=OF_BFLOAT16),
    Row("master_weights", gx.master_weights(gx.adam(0.1)), tolerance=OF_PARAMS),
    Row("own_clock", gx.own_clock(gx.adam(WARMUP))),
    Row("lookahead", gx.lookahead(gx.adam(0.1), 2), tolerance=OF_PARAMS),
    Row("schedule_free", gx.schedule_free(gx.sgd(0.1), 0.1), tolerance=OF_PARAMS),
    Row("cautious", gx.cautious(gx.adam(0.1))),
    Row(
        "three wrappers, one in the other",
        gx.guard_nonfinite(gx.lookahead(gx.accumulate(gx.chain(gx.add_noise(0.1, 0.5), gx.adam(WARMUP)), 2), 2)),
        tolerance=OF_PARAMS,
    ),
    Row(
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
    Row(
        "a rollback of noise and averages",
        gx.guard_nonfinite(gx.chain(gx.add_noise(0.1, 0.5), gx.sgd(halving), gx.ema_params(0.9)), policy="rollback"),
    ),
]
