"""What restrains the steps of other transformations, and precision around them."""

import jax.numpy as jnp

import gradtx as gx
from tests import references_precision as R
from tests.table.row import FALLING, OF_PARAMS, WARMUP, Row, falling, of

OF_CODES = 2.0**-7  # half the distance of two codes, for the number whose code a rounding of float32 may change
HALF = {"w": jnp.array([0.5, -1.0, 2.0], jnp.bfloat16), "b": {"c": jnp.array([[1.5, -0.5], [-2.0, 1.0]], jnp.bfloat16)}}

PRECISION = [
    # Links
    Row(
        "add_cautious_decayed_weights",
        gx.add_cautious_decayed_weights(0.1),
        reference=of(R.cautious_decay, weight_decay=0.1),
    ),
    Row(
        "decay_params, scheduled",
        gx.chain(gx.scale(-0.1), gx.decay_params(FALLING)),
        reference=of(R.decoupled_decay, rate=falling, learning_rate=0.1),
    ),
    Row(
        "decay_to_start",
        gx.chain(gx.scale(-0.1), gx.decay_to_start(0.1)),
        reference=of(R.decoupled_decay, rate=0.1, learning_rate=0.1, towards_start=True),
    ),
    Row("clip_by_leaf_norm", gx.clip_by_leaf_norm(0.5), reference=of(R.clip_by_leaf_norm, max_norm=0.5)),
    Row(
        "clip_by_z_score",
        gx.clip_by_z_score(1.0, 0.9, 5),
        reference=lambda gradients, params: R.clip_by_z_score(gradients, params, 1.0, 0.9, 5),
        tolerance=OF_PARAMS,
    ),
    Row(
        "scale_to_params",
        gx.chain(gx.scale_to_params(), gx.scale(-0.1)),
        reference=of(R.scale_to_params, learning_rate=0.1),
    ),
    Row(
        "row_floor",
        gx.chain(gx.row_floor(0.5), gx.scale(-0.1)),
        reference=of(R.row_floor, floor=0.5, learning_rate=0.1),
    ),
    Row("tail_ema_params", gx.tail_ema_params(5, 0.9, 0.5), reference=of(R.tail_ema, start=5, decay=0.9)),
    # Wrappers
    Row(
        "hyperball",
        gx.hyperball(gx.sgd(0.3), 0.05),
        reference=of(R.hyperball, learning_rate=0.05),
        tolerance=OF_PARAMS,
    ),
    Row(
        "radial_brake",
        gx.radial_brake(gx.sgd(0.1, 0.9), 0.5, 0.9),
        reference=of(R.radial_brake, learning_rate=0.1, momentum=0.9, outward=0.5, inward=0.9),
        tolerance=OF_PARAMS,
    ),
    Row(
        "ema_nesterov, scheduled",
        gx.ema_nesterov(gx.sgd(0.1), FALLING, 0.9),
        reference=of(R.ema_nesterov, learning_rate=0.1, lookahead=falling, decay=0.9),
    ),
    Row(
        "skip_spikes",
        gx.skip_spikes(gx.sgd(0.1), 1.0, 0.9, 5),
        reference=lambda gradients, params: R.skip_spikes(gradients, params, 0.1, 1.0, 0.9, 5),
        tolerance=OF_PARAMS,
    ),
    Row("quantized", gx.quantized(gx.adam(0.1), rounding="nearest"), tolerance=OF_CODES),
    Row(
        "quantized to 4 and 8 bits, at random",
        gx.quantized(gx.sgd(WARMUP, 0.9), 1, bits={"*trace": 4}),
        tolerance=OF_CODES,
    ),
    Row("stochastic_rounding", gx.stochastic_rounding(gx.sgd(0.1)), params=HALF, tolerance=OF_CODES),
    Row("kahan", gx.kahan(gx.sgd(0.1, 0.9)), params=HALF, tolerance=OF_CODES),
    Row("split_weights", gx.split_weights(gx.sgd(WARMUP, 0.9)), params=HALF, tolerance=OF_CODES),
    Row("split_weights in 32 bits", gx.split_weights(gx.sgd(0.1), bits=16), contracts=False),
    Row(
        "dynamic_loss_scale",
        gx.dynamic_loss_scale(gx.sgd(0.1, 0.9), 4.0, 3),
        reference=lambda gradients, params: _shared(gradients, params),
    ),
    Row(
        "precision in four layers",
        gx.dynamic_loss_scale(
            gx.split_weights(gx.quantized(gx.guard_nonfinite(gx.hyperball(gx.sgd(0.1, 0.9), 0.1)))), 4.0
        ),
        tolerance=OF_CODES,
    ),
]


def _shared(gradients, params):
    """The reference of every leaf, with the one scale of all."""
    updates, state = of(R.loss_scale, learning_rate=0.1, momentum=0.9, scale=4.0, period=3)(gradients, params)
    return updates, {k: x if k == "trace" else x["w"] for k, x in state.items()}
