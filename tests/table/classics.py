"""The classical links and recipes of Optax, beyond those of `links` and `recipes`."""

import functools

import jax.numpy as jnp
import optax

import gradtx as gx
from tests import references_classics as R
from tests.table.row import FALLING, MASK, Row, falling, of

VALUE = {"value": 2.0}
MINUS = gx.scale(-0.01)


def exact(step, exponent):
    """The weight of the past in Adafactor, in float64; Optax's own is in float32 always."""
    return 1 - (jnp.asarray(step, float) + 1) ** -exponent


def adafactor_of_optax(learning_rate, least, momentum, weight_decay):
    """What `optax.adafactor` chains, with the exact weight."""
    return optax.chain(
        optax.scale_by_factored_rms(min_dim_size_to_factor=least, decay_rate_fn=exact),
        optax.clip_by_block_rms(0.5),
        optax.scale_by_learning_rate(learning_rate, flip_sign=False),
        optax.scale_by_param_block_rms(),
        optax.ema(momentum, debias=False),
        optax.add_decayed_weights(weight_decay),
        optax.scale(-1),
    )


CLASSICS = [
    # Directions
    Row("scale_by_adam", gx.scale_by_adam(), peer=optax.scale_by_adam(), reference=of(R.adam)),
    Row(
        "scale_by_adam, nesterov",
        gx.scale_by_adam(0.8, 0.9, 1e-3, 1e-2, nesterov=True),
        peer=optax.scale_by_adam(0.8, 0.9, 1e-3, 1e-2, nesterov=True),
        reference=of(R.adam, b1=0.8, b2=0.9, eps=1e-3, eps_root=1e-2, nesterov=True),
        contracts=False,
    ),
    Row("scale_by_adamax", gx.scale_by_adamax(), peer=optax.scale_by_adamax(), reference=of(R.adamax)),
    Row("scale_by_amsgrad", gx.scale_by_amsgrad(), peer=optax.scale_by_amsgrad(), reference=of(R.amsgrad)),
    Row("scale_by_belief", gx.scale_by_belief(), peer=optax.scale_by_belief(), reference=of(R.belief)),
    Row(
        "scale_by_belief, nesterov",
        gx.scale_by_belief(0.8, 0.9, 1e-3, 1e-2, nesterov=True),
        peer=optax.scale_by_belief(0.8, 0.9, 1e-3, 1e-2, nesterov=True),
        reference=of(R.belief, b1=0.8, b2=0.9, eps=1e-3, eps_root=1e-2, nesterov=True),
        contracts=False,
    ),
    Row("scale_by_yogi", gx.scale_by_yogi(), peer=optax.scale_by_yogi(), reference=of(R.yogi)),
    Row(
        "scale_by_yogi from an initial value",
        gx.scale_by_yogi(0.8, 0.9, 1e-2, 1e-3, 0.5),
        peer=optax.scale_by_yogi(0.8, 0.9, 1e-2, 1e-3, 0.5),
        reference=of(R.yogi, b1=0.8, b2=0.9, eps=1e-2, eps_root=1e-3, initial=0.5),
        contracts=False,
    ),
    Row("scale_by_radam", gx.scale_by_radam(), peer=optax.scale_by_radam(), reference=of(R.radam)),
    Row(
        "scale_by_radam, nesterov, of a short memory",
        gx.scale_by_radam(0.8, 0.9, 1e-3, 1e-2, 6.0, nesterov=True),
        peer=optax.scale_by_radam(0.8, 0.9, 1e-3, 1e-2, 6.0, nesterov=True),
        reference=of(R.radam, b1=0.8, b2=0.9, eps=1e-3, eps_root=1e-2, threshold=6.0, nesterov=True),
        contracts=False,
    ),
    Row(
        "scale_by_rectified_rms",
        gx.scale_by_rectified_rms(0.95, 1e-3),
        reference=of(R.rectified_rms, decay=0.95, eps=1e-3),
    ),
    Row("scale_by_adan", gx.scale_by_adan(), reference=of(R.adan)),
    Row(
        "scale_by_novograd",
        gx.scale_by_novograd(weight_decay=0.1),
        peer=optax.scale_by_novograd(weight_decay=0.1),
        reference=of(R.novograd, weight_decay=0.1),
    ),
    Row("scale_by_sm3", gx.scale_by_sm3(), peer=optax.scale_by_sm3(), reference=of(R.sm3)),
    Row(
        "scale_by_sm3 of averages",
        gx.scale_by_sm3(0.5, 0.9, 1e-3),
        peer=optax.scale_by_sm3(0.5, 0.9, 1e-3),
        reference=of(R.sm3, b1=0.5, b2=0.9, eps=1e-3),
        contracts=False,
    ),
    # Norms
    Row(
        "scale_by_trust_ratio",
        gx.scale_by_trust_ratio(0.1, 0.05, 0.01),
        peer=optax.scale_by_trust_ratio(0.1, 0.05, 0.01),
        reference=of(R.trust_ratio, min_norm=0.1, coefficient=0.05, eps=0.01),
    ),
    Row(
        "scale_by_param_block_norm",
        gx.chain(MINUS, gx.scale_by_param_block_norm()),
        peer=optax.chain(optax.scale(-0.01), optax.scale_by_param_block_norm()),
        reference=of(R.param_scale, size=R.norm, rate=-0.01),
    ),
    Row(
        "scale_by_param_block_rms",
        gx.chain(MINUS, gx.scale_by_param_block_rms()),
        peer=optax.chain(optax.scale(-0.01), optax.scale_by_param_block_rms()),
        reference=of(R.param_scale, size=R.rms, rate=-0.01),
    ),
    Row(
        "scale_by_param_block_rms of small parameters",
        gx.chain(MINUS, gx.scale_by_param_block_rms(5.0)),
        peer=optax.chain(optax.scale(-0.01), optax.scale_by_param_block_rms(5.0)),
        reference=of(R.param_scale, size=R.rms, rate=-0.01, min_scale=5.0),
        contracts=False,
    ),
    Row(
        "normalize_by_update_norm",
        gx.normalize_by_update_norm(2.0, 1e-3),
        peer=optax.normalize_by_update_norm(2.0, 1e-3),
        reference=functools.partial(R.normalized, scale=2.0, eps=1e-3),
    ),
    Row(
        "clip_by_block_rms",
        gx.clip_by_block_rms(1.0),
        peer=optax.clip_by_block_rms(1.0),
        reference=of(R.block_rms_clip, threshold=1.0),
    ),
    Row(
        "adaptive_grad_clip",
        gx.chain(gx.adaptive_grad_clip(0.5), gx.scale(-0.1)),
        peer=optax.chain(optax.adaptive_grad_clip(0.5), optax.scale(-0.1)),
        reference=of(R.unit_clip, clipping=0.5, rate=-0.1),
    ),
    Row(
        "scale_by_distance_over_gradients",
        gx.scale_by_distance_over_gradients(0.1, 1e-3, 0.5),
        reference=of(R.distance_over_gradients, reps_rel=0.1, eps=1e-3, scale=0.5),
    ),
    Row(
        "scale_by_polyak",
        gx.chain(gx.scale(-1.0), gx.scale_by_polyak(0.5, 0.2, 0.1)),
        peer=optax.chain(optax.scale(-1.0), optax.scale_by_polyak(0.5, 0.2, 0.1)),
        reference=functools.partial(R.polyak, value=2.0, f_min=0.5, largest=0.2, eps=0.1),
        extra=VALUE,
    ),
    Row("keep_params_nonnegative", gx.keep_params_nonnegative(), optax.keep_params_nonnegative(), of(R.nonnegative)),
    Row("zero_nans", gx.zero_nans(), optax.zero_nans(), of(R.without_nans)),
    # Averages and sums of updates
    Row("ema", gx.ema(0.9), peer=optax.ema(0.9), reference=of(R.ema, decay=0.9)),
    Row("ema, raw", gx.ema(0.9, False), optax.ema(0.9, False), of(R.ema, decay=0.9, debias=False), contracts=False),
    Row("apply_every", gx.apply_every(2), peer=optax.apply_every(2), reference=of(R.apply_every, k=2)),
    Row("trace, the sum of all", gx.trace(1.0), peer=optax.trace(1.0), contracts=False),
    Row(
        "trace, nesterov",
        gx.trace(0.8, True),
        peer=optax.trace(0.8, True),
        reference=of(R.nesterov_trace_of_updates, decay=0.8),
        contracts=False,
    ),
    Row(
        "scale_by_optimistic_gradient",
        gx.scale_by_optimistic_gradient(0.3, 0.5),
        peer=optax.scale_by_optimistic_gradient(0.3, 0.5),
        reference=of(R.optimistic, alpha=0.3, beta=0.5),
    ),
    # What Optax's users give
    Row("scale_by_rss of Optax", gx.scale_by_rss(0.2, 1e-3), peer=optax.scale_by_rss(0.2, 1e-3), contracts=False),
    Row(
        "scale_by_stddev of Optax",
        gx.scale_by_stddev(0.8, 1e-3, 0.2),
        peer=optax.scale_by_stddev(0.8, 1e-3, 0.2),
        contracts=False,
    ),
    Row(
        "scale_by_stddev of Optax, eps beside the root",
        gx.scale_by_stddev(0.8, 1e-3, eps_in_sqrt=False),
        peer=optax.scale_by_stddev(0.8, 1e-3, eps_in_sqrt=False),
        contracts=False,
    ),
    Row(
        "add_decayed_weights of Optax, the mask by position",
        gx.add_decayed_weights(1e-3, MASK),
        peer=optax.add_decayed_weights(1e-3, MASK),
        contracts=False,
    ),
    Row(
        "adadelta of Optax, decay under a mask",
        gx.adadelta(0.5, weight_decay=0.1, weight_decay_mask=MASK),
        peer=optax.adadelta(0.5, weight_decay=0.1, weight_decay_mask=MASK),
        contracts=False,
    ),
    # Recipes
    Row("adabelief", gx.adabelief(0.01), peer=optax.adabelief(0.01), reference=of(R.belief, learning_rate=0.01)),
    Row(
        "adafactor",
        gx.adafactor(0.1, 3, 0.8, 0, True, 0.5, 0.9, None, 1e-3),
        peer=adafactor_of_optax(0.1, 3, 0.9, 1e-3),
        reference=of(R.adafactor, learning_rate=0.1, least=3, threshold=0.5, momentum=0.9, weight_decay=1e-3),
    ),
    Row(
        "adafactor of small arrays, on a schedule",
        gx.adafactor(FALLING, eps=1e-3),
        reference=of(R.adafactor, learning_rate=falling, eps=1e-3),
        contracts=False,
    ),
    Row(
        "adamaxw",
        gx.adamaxw(0.01, weight_decay=0.1),
        peer=optax.adamaxw(0.01, weight_decay=0.1),
        reference=of(R.adamax, learning_rate=0.01, weight_decay=0.1),
    ),
    Row(
        "adan",
        gx.adan(FALLING, weight_decay=0.1),
        reference=of(R.adan, learning_rate=falling, eps_root=1e-8, weight_decay=0.1),
    ),
    Row("fromage", gx.fromage(0.1), peer=optax.fromage(0.1), reference=of(R.fromage, learning_rate=0.1)),
    Row("fromage, on a schedule", gx.fromage(FALLING), reference=of(R.fromage, learning_rate=falling), contracts=False),
    Row(
        "lamb",
        gx.lamb(0.01, weight_decay=0.1),
        peer=optax.lamb(0.01, weight_decay=0.1),
        reference=of(R.lamb, learning_rate=0.01, weight_decay=0.1),
    ),
    Row(
        "lars",
        gx.lars(0.1, 0.1, trust_coefficient=0.1),
        peer=optax.lars(0.1, 0.1, trust_coefficient=0.1),
        reference=of(R.lars, learning_rate=0.1, weight_decay=0.1, coefficient=0.1),
    ),
    Row(
        "lars, nesterov",
        gx.lars(FALLING, 0.1, trust_coefficient=0.1, eps=1e-3, nesterov=True),
        reference=of(R.lars, learning_rate=falling, weight_decay=0.1, coefficient=0.1, eps=1e-3, nesterov=True),
        contracts=False,
    ),
    Row(
        "lars of Optax, under masks, nesterov",
        gx.lars(0.1, 0.1, MASK, 0.1, 1e-3, MASK, 0.8, nesterov=True),
        peer=optax.lars(0.1, 0.1, MASK, 0.1, 1e-3, MASK, 0.8, nesterov=True),
        contracts=False,
    ),
    Row(
        "nadamw",
        gx.nadamw(0.01, weight_decay=0.1),
        peer=optax.nadamw(0.01, weight_decay=0.1),
        reference=of(R.adam, learning_rate=0.01, weight_decay=0.1, nesterov=True),
    ),
    Row("noisy_sgd", gx.noisy_sgd(0.1, seed=3)),
    Row(
        "novograd",
        gx.novograd(0.01, weight_decay=0.1),
        peer=optax.novograd(0.01, weight_decay=0.1),
        reference=of(R.novograd, learning_rate=0.01, eps=1e-6, weight_decay=0.1),
    ),
    Row(
        "optimistic_adam",
        gx.optimistic_adam(0.01, b2=0.95),
        peer=optax.optimistic_adam_v2(0.01, b2=0.95),
        reference=of(R.optimistic_adam, learning_rate=0.01, alpha=1.0, beta=1.0, b2=0.95, nesterov=True),
    ),
    Row(
        "optimistic_adam of little optimism",
        gx.optimistic_adam(0.01, 0.002, nesterov=False),
        peer=optax.optimistic_adam_v2(0.01, beta=0.2, nesterov=False),
        reference=of(R.optimistic_adam, learning_rate=0.01, alpha=1.0, beta=0.2),
        contracts=False,
    ),
    Row(
        "optimistic_adam_v2",
        gx.optimistic_adam_v2(0.01, beta=0.5),
        peer=optax.optimistic_adam_v2(0.01, beta=0.5),
        reference=of(R.optimistic_adam, learning_rate=0.01, alpha=1.0, beta=0.5, nesterov=True),
    ),
    Row(
        "optimistic_gradient_descent",
        gx.optimistic_gradient_descent(0.1, 0.8, 0.5),
        peer=optax.optimistic_gradient_descent(0.1, 0.8, 0.5),
        reference=of(R.optimistic, learning_rate=0.1, alpha=0.8, beta=0.5),
    ),
    Row(
        "polyak_sgd",
        gx.polyak_sgd(0.2, f_min=0.5),
        peer=optax.polyak_sgd(0.2, f_min=0.5),
        reference=functools.partial(R.polyak, value=2.0, f_min=0.5, largest=0.2),
        extra=VALUE,
    ),
    Row(
        "polyak_sgd, of the loss above the least, scaled",
        gx.polyak_sgd(0.2, 0.5, 3.0, 0.1, variant="sps+"),
        reference=functools.partial(R.polyak, value=2.0, f_min=3.0, largest=0.2, scaling=-0.5, eps=0.1, positive=True),
        extra=VALUE,
        contracts=False,
    ),
    Row("radam", gx.radam(0.01), peer=optax.radam(0.01), reference=of(R.radam, learning_rate=0.01)),
    Row("sign_sgd", gx.sign_sgd(0.01), peer=optax.sign_sgd(0.01), reference=of(R.signs, learning_rate=0.01)),
    Row(
        "signum",
        gx.signum(FALLING, 0.8),
        reference=of(R.signs, learning_rate=falling, beta=0.8),
    ),
    Row("signum of Optax", gx.signum(0.01), peer=optax.signum(0.01), contracts=False),
    Row("sm3", gx.sm3(0.01), peer=optax.sm3(0.01), reference=of(R.sm3, learning_rate=0.01)),
    Row("yogi", gx.yogi(0.01), peer=optax.yogi(0.01), reference=of(R.yogi, learning_rate=0.01)),
]
