"""Links: one after the other they make an optimizer."""

import functools
import math

import jax.numpy as jnp
import numpy as np

import gradtx as gx
from tests import references as R
from tests.table.row import FALLING, OF_ROOTS, WARMUP, Row, falling, halving, of


def capped(step, decay_rate):
    """A weight of the past that never reaches 1."""
    return jnp.minimum(1 - (step + 1.0) ** -decay_rate, 0.95)


LINKS = [
    Row("identity", gx.identity()),
    Row("scale", gx.scale(-0.3), reference=of(R.scale, step_size=-0.3)),
    Row("scale by a schedule", gx.scale(gx.linear_schedule(1.0, 0.5, 4) * 0.5)),
    Row("scale by an array", gx.scale(jnp.array(0.5))),
    Row("scale_by_learning_rate", gx.scale_by_learning_rate(0.3), reference=of(R.scale, step_size=-0.3)),
    Row("scale_by_learning_rate scheduled", gx.scale_by_learning_rate(WARMUP)),
    Row("scale_by_learning_rate unflipped", gx.scale_by_learning_rate(0.1, flip_sign=False)),
    Row(
        "scale_by_learning_rate, not flipped",
        gx.scale_by_learning_rate(0.3, flip_sign=False),
        reference=of(R.scale, step_size=0.3),
        contracts=False,
    ),
    Row("scale_by_schedule", gx.scale_by_schedule(FALLING), reference=of(R.scale, step_size=falling)),
    Row("scale_by_schedule of a function", gx.scale_by_schedule(halving)),
    Row("scale_by_sign", gx.scale_by_sign(), reference=of(R.scale_by_sign)),
    Row("clip", gx.clip(0.4), reference=of(R.clip, max_delta=0.4)),
    Row("clip_by_global_norm", gx.clip_by_global_norm(0.5)),
    Row("clip_by_global_norm unlimited", gx.clip_by_global_norm(math.inf)),
    Row(
        "clip_by_global_norm, now and then",
        gx.clip_by_global_norm(3.6),
        reference=functools.partial(R.clip_by_global_norm, max_norm=3.6),
        contracts=False,
    ),
    Row("centralize", gx.centralize(), reference=of(R.centralize)),
    Row("add_decayed_weights", gx.add_decayed_weights(0.01), reference=of(R.add_decayed_weights, weight_decay=0.01)),
    Row("add_decayed_weights masked", gx.add_decayed_weights(0.1, mask="w")),
    Row(
        "add_decayed_weights on a schedule",
        gx.add_decayed_weights(FALLING),
        reference=of(R.add_decayed_weights, weight_decay=falling),
        contracts=False,
    ),
    Row(
        "add_decayed_weights under a mask",
        gx.add_decayed_weights(0.01, mask="w"),
        reference=of(
            R.add_decayed_weights,
            weight_decay=0.01,
            only="w",
            other=functools.partial(R.add_decayed_weights, weight_decay=0.0),
        ),
        contracts=False,
    ),
    Row("scale_by_ewma", gx.scale_by_ewma(0.7), reference=of(R.scale_by_ewma, decay=0.7)),
    Row("scale_by_ewma in bfloat16", gx.scale_by_ewma(0.9, accumulator_dtype=jnp.bfloat16)),
    Row("scale_by_ewma of a scheduled decay", gx.scale_by_ewma(gx.linear_schedule(0.5, 0.9, 4))),
    Row(
        "scale_by_ewma from the first",
        gx.scale_by_ewma(0.8, initial="first"),
        reference=of(R.scale_by_ewma, decay=0.8, initial="first"),
    ),
    Row("scale_by_ewma by default", gx.scale_by_ewma(), reference=of(R.scale_by_ewma, decay=0.9), contracts=False),
    Row(
        "scale_by_ewma of a short memory",
        gx.scale_by_ewma(0.3),
        reference=of(R.scale_by_ewma, decay=0.3),
        contracts=False,
    ),
    Row(
        "scale_by_ewma kept in float32",
        gx.scale_by_ewma(0.9, accumulator_dtype="float32"),
        reference=of(R.scale_by_ewma, decay=0.9, stored=np.float32),
        contracts=False,
    ),
    Row("trace", gx.trace(0.9), reference=of(R.trace, decay=0.9)),
    Row(
        "trace kept in float32",
        gx.trace(0.9, accumulator_dtype="float32"),
        reference=of(R.trace, decay=0.9, stored=np.float32),
        contracts=False,
    ),
    Row("lookahead_trace", gx.lookahead_trace(0.8), reference=of(R.trace, decay=0.8)),
    Row("add_noise", gx.add_noise(0.1, 0.55, 3)),
    Row("ema_params", gx.ema_params(0.9)),
    Row("swa_params", gx.swa_params(4.0, 3.0), reference=of(R.swa, start=4, every=3)),
    Row("average_params", gx.average_params(7.0), reference=of(R.averaged, t0=7.0)),
    Row("bias_correction", gx.bias_correction(0.99), reference=of(R.bias_correction, decay=0.99)),
    Row("root_bias_correction", gx.root_bias_correction(0.99), reference=of(R.root_bias_correction, decay=0.99)),
    Row("nesterov_lookahead", gx.nesterov_lookahead(0.9)),
    Row("nesterov_bias_correction", gx.nesterov_bias_correction(0.9)),
    Row("nesterov_momentum_decay", gx.nesterov_momentum_decay(0.9)),
    Row("scale_by_lion", gx.scale_by_lion(0.8, 0.9), reference=of(R.scale_by_lion, b1=0.8, b2=0.9)),
    Row("scale_by_lion smooth", gx.scale_by_lion(0.9, 0.99, 2.0, mode="smooth")),
    Row("scale_by_lion refined", gx.scale_by_lion(mode="refined")),
    Row(
        "scale_by_lion, smooth",
        gx.scale_by_lion(0.8, 0.9, 1.5, mode="smooth"),
        reference=of(R.scale_by_lion, b1=0.8, b2=0.9, smooth_beta=1.5, mode="smooth"),
        contracts=False,
    ),
    Row(
        "scale_by_lion, refined",
        gx.scale_by_lion(0.8, 0.9, mode="refined"),
        reference=of(R.scale_by_lion, b1=0.8, b2=0.9, mode="refined"),
        contracts=False,
    ),
    Row(
        "scale_by_lion kept in float32",
        gx.scale_by_lion(mu_dtype="float32"),
        reference=of(R.scale_by_lion, b1=0.9, b2=0.99, stored=np.float32),
        contracts=False,
    ),
    Row("scale_by_rms", gx.scale_by_rms(0.9, 0.001), reference=of(R.scale_by_rms, decay=0.9, eps=0.001)),
    Row("scale_by_rms uncorrected", gx.scale_by_rms(0.9, initial_scale=1.0, bias_correction=False)),
    Row(
        "scale_by_rms by default",
        gx.scale_by_rms(),
        reference=of(R.scale_by_rms, decay=0.999, eps=1e-08),
        contracts=False,
    ),
    Row(
        "scale_by_rms from an initial scale, both eps, uncorrected",
        gx.scale_by_rms(0.9, 0.001, 0.01, 0.5, bias_correction=False),
        reference=of(R.scale_by_rms, decay=0.9, eps=0.001, eps_root=0.01, initial_scale=0.5, bias_correction=False),
        contracts=False,
    ),
    Row(
        "scale_by_rms kept in float32",
        gx.scale_by_rms(0.9, nu_dtype="float32"),
        reference=of(R.scale_by_rms, decay=0.9, eps=1e-08, stored=np.float32),
        contracts=False,
    ),
    Row(
        "scale_by_stddev",
        gx.scale_by_stddev(0.8, 0.001, eps_in_sqrt=False),
        reference=of(R.scale_by_stddev, decay=0.8, eps=0.001),
    ),
    Row("scale_by_stddev corrected", gx.scale_by_stddev(eps=1.0, bias_correction=True)),
    Row(
        "scale_by_stddev from an initial scale, corrected",
        gx.scale_by_stddev(0.8, 0.01, 0.5, bias_correction=True),
        reference=of(R.scale_by_stddev, decay=0.8, eps=0.0, eps_root=0.01, initial_scale=0.5, bias_correction=True),
        contracts=False,
    ),
    Row("scale_by_max_rms", gx.scale_by_max_rms(0.8, 0.001), reference=of(R.scale_by_max_rms, decay=0.8, eps=0.001)),
    Row("scale_by_max_rms of raw averages", gx.scale_by_max_rms(maximum="raw")),
    Row(
        "scale_by_max_rms uncorrected",
        gx.scale_by_max_rms(0.8, 0.001, bias_correction=False),
        reference=of(R.scale_by_max_rms, decay=0.8, eps=0.001, bias_correction=False),
    ),
    Row(
        "scale_by_max_rms of the raw average",
        gx.scale_by_max_rms(0.8, 0.001, 0.01, maximum="raw"),
        reference=of(R.scale_by_max_rms, decay=0.8, eps=0.001, eps_root=0.01, maximum="raw"),
        contracts=False,
    ),
    Row(
        "scale_by_infinity_norm",
        gx.scale_by_infinity_norm(0.8, 0.001),
        reference=of(R.scale_by_infinity_norm, decay=0.8, eps=0.001),
    ),
    Row(
        "scale_by_rss",
        gx.scale_by_rss(0.0, 0.001),
        reference=of(R.scale_by_rss, initial_accumulator_value=0.0, eps=0.001),
    ),
    Row("scale_by_mean_squares", gx.scale_by_mean_squares(0.001), reference=of(R.scale_by_mean_squares, eps=0.001)),
    Row(
        "scale_by_mean_squares, eps outside the root",
        gx.scale_by_mean_squares(0.001, eps_in_sqrt=False),
        reference=of(R.scale_by_mean_squares, eps=0.001, eps_in_sqrt=False),
        contracts=False,
    ),
    Row("scale_by_adadelta", gx.scale_by_adadelta(0.8, 0.001), reference=of(R.scale_by_adadelta, rho=0.8, eps=0.001)),
    Row("scale_by_rprop", gx.scale_by_rprop(0.1), reference=of(R.scale_by_rprop, learning_rate=0.1)),
    Row(
        "scale_by_rprop between its bounds",
        gx.scale_by_rprop(0.1, 0.6, 1.5, 0.05, 0.2),
        reference=of(R.scale_by_rprop, learning_rate=0.1, eta_minus=0.6, eta_plus=1.5, low=0.05, high=0.2),
        contracts=False,
    ),
    Row(
        "scale_by_falling_rate",
        gx.scale_by_falling_rate(0.1, 0.5),
        reference=of(R.falling, learning_rate=0.1, lambd=0.5),
    ),
    Row("scale_by_rss from nothing", gx.scale_by_rss(0.0, eps_in_sqrt=False)),
    Row(
        "scale_by_rss by default",
        gx.scale_by_rss(),
        reference=of(R.scale_by_rss, initial_accumulator_value=0.1, eps=1e-07),
        contracts=False,
    ),
    Row(
        "scale_by_rss, eps beside the root",
        gx.scale_by_rss(0.3, 0.001, eps_in_sqrt=False),
        reference=of(R.scale_by_rss, initial_accumulator_value=0.3, eps=0.001, eps_in_sqrt=False),
        contracts=False,
    ),
    Row(
        "scale_by_factored_rms",
        gx.scale_by_factored_rms(0.7, 0.0, 0.001, min_dim_size_to_factor=3),
        reference=of(R.scale_by_factored_rms, decay_rate=0.7, epsilon=0.001, least=3),
    ),
    Row("scale_by_factored_rms of small arrays", gx.scale_by_factored_rms(0.5, 0.0, 1e-08)),
    Row("scale_by_factored_rms capped", gx.scale_by_factored_rms(decay_rate_fn=capped, min_dim_size_to_factor=2)),
    Row(
        "scale_by_factored_rms of small arrays, begun elsewhere",
        gx.scale_by_factored_rms(0.8, -5.0, 0.001),
        reference=of(R.scale_by_factored_rms, decay_rate=0.8, offset=-5, epsilon=0.001),
        contracts=False,
    ),
    Row(
        "scale_by_factored_rms, whose weight is a function",
        gx.scale_by_factored_rms(
            epsilon=0.001, factored=False, decay_rate_fn=lambda step, rate: rate * step / (step + 1)
        ),
        reference=of(
            R.scale_by_factored_rms, decay_rate=0.8, epsilon=0.001, weight=lambda step: 0.8 * step / (step + 1)
        ),
        contracts=False,
    ),
    Row(
        "scale_by_shampoo", gx.scale_by_shampoo(eps=0.1), reference=of(R.scale_by_shampoo, eps=0.1), tolerance=OF_ROOTS
    ),
    Row("scale_by_shampoo of averages", gx.scale_by_shampoo(0.9, 0.1, -0.5, max_dim=2), tolerance=OF_ROOTS),
    Row(
        "scale_by_shampoo of averages, diagonal along long axes",
        gx.scale_by_shampoo(0.8, 0.1, -0.3, max_dim=3),
        reference=of(R.scale_by_shampoo, decay=0.8, eps=0.1, exponent=-0.3, max_dim=3),
        contracts=False,
    ),
    Row(
        "trace, nesterov_lookahead",
        gx.chain(gx.trace(0.8), gx.nesterov_lookahead(0.8)),
        reference=of(R.nesterov_trace, decay=0.8),
        contracts=False,
    ),
    Row(
        "scale_by_ewma, nesterov_bias_correction",
        gx.chain(gx.scale_by_ewma(0.8), gx.nesterov_bias_correction(0.8)),
        reference=of(R.nesterov_ewma, decay=0.8),
        contracts=False,
    ),
    Row(
        "scale_by_ewma, nesterov_momentum_decay",
        gx.chain(gx.scale_by_ewma(0.8), gx.nesterov_momentum_decay(0.8, 0.04)),
        reference=of(R.nesterov_ewma_warmed, decay=0.8, momentum_decay=0.04),
        contracts=False,
    ),
]
