"""Optimizers."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax

import gradtx as gx
from tests import references as R
from tests.table.row import FALLING, HYPERBOLIC, MASK, WARMUP, Row, after_clipping, falling, hyperbolic, of


def matrices(params):
    """Which leaves are matrices."""
    return jax.tree.map(lambda p: p.ndim > 1, params)


RATE = gx.scale_by_learning_rate(0.1)

RECIPES = [
    Row(
        "laprop: Adam's links, division first",
        gx.chain(gx.scale_by_rms(0.95), gx.scale_by_ewma(0.8), gx.bias_correction(0.8), RATE),
        reference=of(R.laprop, learning_rate=0.1, b1=0.8, b2=0.95, eps=1e-08),
        contracts=False,
    ),
    Row(
        "clipped adam",
        gx.chain(gx.clip_by_global_norm(3.0), gx.adam(0.1)),
        reference=after_clipping(of(R.adam, learning_rate=0.1), 3.0),
        contracts=False,
    ),
    Row(
        "clipped links of adam",
        gx.chain(gx.clip_by_global_norm(3.0), gx.scale_by_ewma(0.9), gx.bias_correction(0.9), gx.scale_by_rms(), RATE),
        reference=after_clipping(of(R.adam, learning_rate=0.1), 3.0),
        contracts=False,
    ),
    Row(
        "PyTorch's SGD(lr=0.1, momentum=0.9, weight_decay=0.01)",
        gx.chain(gx.add_decayed_weights(0.01), gx.sgd(0.1, 0.9)),
        oracle="SGD(lr=0.1, momentum=0.9, weight_decay=0.01)",
        contracts=False,
    ),
    # PyTorch's weight_decay is L2 here: what every later link sees as part of the gradient.
    Row(
        "PyTorch's Adam(lr=0.01, betas=[0.5, 0.9], weight_decay=0.1)",
        gx.chain(gx.add_decayed_weights(0.1), gx.adam(0.01, 0.5, 0.9)),
        oracle="Adam(lr=0.01, betas=[0.5, 0.9], weight_decay=0.1)",
        contracts=False,
    ),
    Row("sgd", gx.sgd(0.1), peer=optax.sgd(0.1), reference=of(R.sgd, learning_rate=0.1), oracle="SGD(lr=0.1)"),
    Row(
        "sgd with momentum",
        gx.sgd(0.1, 0.9),
        peer=optax.sgd(0.1, momentum=0.9),
        reference=of(R.sgd, learning_rate=0.1, momentum=0.9),
        oracle="SGD(lr=0.1, momentum=0.9)",
    ),
    Row("nesterov", gx.nesterov(0.1, 0.8), reference=of(R.nesterov, learning_rate=0.1, momentum=0.8)),
    Row("adadelta", gx.adadelta(), oracle="Adadelta(lr=1.0, rho=0.9, eps=1e-06)"),
    Row("rprop", gx.rprop(0.1)),
    Row("PyTorch's Rprop(lr=0.01)", gx.rprop(0.01), oracle="Rprop(lr=0.01)", contracts=False),
    Row("asgd", gx.asgd(0.1, 0.5, 0.6, 5.0), reference=of(R.asgd, learning_rate=0.1, lambd=0.5, alpha=0.6, t0=5.0)),
    Row("PyTorch's ASGD(lr=0.01)", gx.asgd(0.01), oracle="ASGD(lr=0.01)", contracts=False),
    Row("sgd with nesterov momentum in bfloat16", gx.sgd(0.1, 0.9, nesterov=True, accumulator_dtype="bfloat16")),
    Row("sgd with a lambda", gx.sgd(lambda step: jnp.where(step < 2, 0.1, 0.05)), importable=False),
    Row("sgd on a schedule", gx.sgd(HYPERBOLIC), reference=of(R.sgd, learning_rate=hyperbolic), contracts=False),
    Row(
        "sgd with momentum on a schedule",
        gx.sgd(FALLING, 0.9),
        reference=of(R.sgd, learning_rate=falling, momentum=0.9),
        contracts=False,
    ),
    Row(
        "sgd with Nesterov's momentum, kept in float32",
        gx.sgd(0.1, 0.9, nesterov=True, accumulator_dtype="float32"),
        reference=of(R.sgd, learning_rate=0.1, momentum=0.9, nesterov=True, stored=np.float32),
        contracts=False,
    ),
    Row(
        "PyTorch's SGD(lr=0.1, momentum=0.9, nesterov=True)",
        gx.sgd(0.1, 0.9, nesterov=True),
        peer=optax.sgd(0.1, momentum=0.9, nesterov=True),
        oracle="SGD(lr=0.1, momentum=0.9, nesterov=True)",
        contracts=False,
    ),
    Row("sgd of Optax, momentum=0.0", gx.sgd(0.01, momentum=0.0), peer=optax.sgd(0.01, momentum=0.0), contracts=False),
    Row("adagrad", gx.adagrad(0.1), peer=optax.adagrad(0.1), reference=of(R.adagrad, learning_rate=0.1)),
    Row(
        "adagrad on a schedule, eps beside the root",
        gx.adagrad(FALLING, 0.0, 0.001, eps_in_sqrt=False),
        reference=of(R.adagrad, learning_rate=falling, initial_accumulator_value=0.0, eps=0.001, eps_in_sqrt=False),
        contracts=False,
    ),
    Row(
        "PyTorch's Adagrad(lr=0.1, eps=1e-10)",
        gx.adagrad(0.1, 0.0, 1e-10, eps_in_sqrt=False),
        oracle="Adagrad(lr=0.1, eps=1e-10)",
        contracts=False,
    ),
    Row(
        "PyTorch's Adagrad(lr=0.1, lr_decay=0.1, initial_accumulator_value=0.1)",
        gx.adagrad(gx.inverse_time_decay(0.1, 1, 0.1), 0.1, 1e-10, eps_in_sqrt=False),
        oracle="Adagrad(lr=0.1, lr_decay=0.1, initial_accumulator_value=0.1)",
        contracts=False,
    ),
    Row(
        "adagrad of Optax, initial_accumulator_value=0.0, eps=0.001",
        gx.adagrad(0.01, initial_accumulator_value=0.0, eps=0.001),
        peer=optax.adagrad(0.01, initial_accumulator_value=0.0, eps=0.001),
        contracts=False,
    ),
    Row("rmsprop", gx.rmsprop(0.1), peer=optax.rmsprop(0.1), reference=of(R.rmsprop, learning_rate=0.1)),
    Row(
        "rmsprop centered with momentum",
        gx.rmsprop(0.1, centered=True, momentum=0.9, nesterov=True),
        peer=optax.rmsprop(0.1, centered=True, momentum=0.9, nesterov=True),
    ),
    Row("rmsprop corrected", gx.rmsprop(0.1, initial_scale=0.5, eps_in_sqrt=False, bias_correction=True)),
    Row(
        "rmsprop, eps beside the root, from an initial scale",
        gx.rmsprop(0.1, 0.8, 0.001, 0.5, eps_in_sqrt=False),
        reference=of(R.rmsprop, learning_rate=0.1, decay=0.8, eps=0.001, initial_scale=0.5, eps_in_sqrt=False),
        contracts=False,
    ),
    Row(
        "rmsprop, centred, eps beside the root",
        gx.rmsprop(0.1, 0.8, 0.001, centered=True, eps_in_sqrt=False),
        reference=of(R.rmsprop, learning_rate=0.1, decay=0.8, eps=0.001, centered=True, eps_in_sqrt=False),
        contracts=False,
    ),
    # Its first variance is 0: without eps in the root, rounding would decide.
    Row(
        "rmsprop, centred and corrected",
        gx.rmsprop(0.1, 0.8, 0.5, centered=True, bias_correction=True),
        reference=of(R.rmsprop, learning_rate=0.1, decay=0.8, eps=0.5, centered=True, bias_correction=True),
        contracts=False,
    ),
    Row(
        "rmsprop, corrected",
        gx.rmsprop(0.1, 0.8, bias_correction=True),
        reference=of(R.rmsprop, learning_rate=0.1, decay=0.8, bias_correction=True),
        contracts=False,
    ),
    Row(
        "rmsprop with momentum on a schedule",
        gx.rmsprop(FALLING, momentum=0.7),
        reference=of(R.rmsprop, learning_rate=falling, momentum=0.7),
        contracts=False,
    ),
    Row(
        "rmsprop with Nesterov's momentum",
        gx.rmsprop(0.1, momentum=0.7, nesterov=True),
        reference=of(R.rmsprop, learning_rate=0.1, momentum=0.7, nesterov=True),
        contracts=False,
    ),
    Row(
        "PyTorch's RMSprop(lr=0.01, alpha=0.9, eps=1e-08)",
        gx.rmsprop(0.01, 0.9, 1e-08, eps_in_sqrt=False),
        oracle="RMSprop(lr=0.01, alpha=0.9, eps=1e-08)",
        contracts=False,
    ),
    Row(
        "PyTorch's RMSprop(lr=0.01, alpha=0.9, centered=True, eps=1e-08)",
        gx.rmsprop(0.01, 0.9, 1e-08, centered=True, eps_in_sqrt=False),
        oracle="RMSprop(lr=0.01, alpha=0.9, centered=True, eps=1e-08)",
        contracts=False,
    ),
    # PyTorch multiplies by the rate after the momentum, `rmsprop` before it (as Optax and Graves do): under a constant
    # rate these are the same, under a schedule they are not.
    Row(
        "PyTorch's RMSprop(lr=0.01, alpha=0.9, momentum=0.9)",
        gx.rmsprop(0.01, 0.9, 1e-08, momentum=0.9, eps_in_sqrt=False),
        oracle="RMSprop(lr=0.01, alpha=0.9, momentum=0.9)",
        contracts=False,
    ),
    Row(
        "rmsprop of Optax, eps_in_sqrt=False",
        gx.rmsprop(0.01, eps_in_sqrt=False),
        peer=optax.rmsprop(0.01, eps_in_sqrt=False),
        contracts=False,
    ),
    Row(
        "rmsprop of Optax, initial_scale=0.5, decay=0.99",
        gx.rmsprop(0.01, initial_scale=0.5, decay=0.99),
        peer=optax.rmsprop(0.01, initial_scale=0.5, decay=0.99),
        contracts=False,
    ),
    Row(
        "rmsprop of Optax, bias_correction=True",
        gx.rmsprop(0.01, bias_correction=True),
        peer=optax.rmsprop(0.01, bias_correction=True),
        contracts=False,
    ),
    Row(
        "rmsprop of Optax, momentum=0.9",
        gx.rmsprop(0.01, momentum=0.9),
        peer=optax.rmsprop(0.01, momentum=0.9),
        contracts=False,
    ),
    Row(
        "rmsprop of Optax, momentum=0.9, nesterov=True",
        gx.rmsprop(0.01, momentum=0.9, nesterov=True),
        peer=optax.rmsprop(0.01, momentum=0.9, nesterov=True),
        contracts=False,
    ),
    Row(
        "rmsprop of Optax, centered=True",
        gx.rmsprop(0.01, centered=True),
        peer=optax.rmsprop(0.01, centered=True),
        contracts=False,
    ),
    Row(
        "rmsprop of Optax, centered=True, eps_in_sqrt=False, momentum=0.5",
        gx.rmsprop(0.01, centered=True, eps_in_sqrt=False, momentum=0.5),
        peer=optax.rmsprop(0.01, centered=True, eps_in_sqrt=False, momentum=0.5),
        contracts=False,
    ),
    Row(
        "rmsprop of Optax, centered=True, bias_correction=True, eps=0.01",
        gx.rmsprop(0.01, centered=True, bias_correction=True, eps=0.01),
        peer=optax.rmsprop(0.01, centered=True, bias_correction=True, eps=0.01),
        contracts=False,
    ),
    Row(
        "adam",
        gx.adam(0.001),
        peer=optax.adam(0.001),
        reference=of(R.adam, learning_rate=0.001),
        oracle="Adam(lr=0.001)",
    ),
    Row(
        "adam with a schedule",
        gx.adam(WARMUP.then(gx.constant_schedule(0.01), after=5), b1=gx.linear_schedule(0.5, 0.9, 4)),
    ),
    Row("adam in bfloat16", gx.adam(0.1, mu_dtype="bfloat16")),
    Row("adam with arrays", gx.adam(jnp.array(0.1), b1=jnp.array(0.9))),
    Row(
        "adam, both eps",
        gx.adam(0.1, 0.8, 0.95, 0.001, 0.01),
        reference=of(R.adam, learning_rate=0.1, b1=0.8, b2=0.95, eps=0.001, eps_root=0.01),
        contracts=False,
    ),
    Row("adam on a schedule", gx.adam(FALLING), reference=of(R.adam, learning_rate=falling), contracts=False),
    Row(
        "adam, b1 on a schedule",
        gx.adam(0.1, gx.linear_schedule(0.5, 0.9, 8)),
        reference=of(R.adam, learning_rate=0.1, b1=lambda step: 0.5 + 0.4 * min(step / 8, 1.0)),
        contracts=False,
    ),
    Row(
        "adam kept in float32",
        gx.adam(0.1, mu_dtype="float32"),
        reference=of(R.adam, learning_rate=0.1, stored=np.float32),
        contracts=False,
    ),
    Row(
        "adam of Optax, b1=0.5, b2=0.9, eps=0.001, eps_root=0.0001",
        gx.adam(0.01, b1=0.5, b2=0.9, eps=0.001, eps_root=0.0001),
        peer=optax.adam(0.01, b1=0.5, b2=0.9, eps=0.001, eps_root=0.0001),
        contracts=False,
    ),
    Row(
        "adam of Optax, b1=0.0, b2=0.0",
        gx.adam(0.01, b1=0.0, b2=0.0),
        peer=optax.adam(0.01, b1=0.0, b2=0.0),
        contracts=False,
    ),
    Row("adamw", gx.adamw(0.001), peer=optax.adamw(0.001), reference=of(R.adamw, learning_rate=0.001)),
    Row("adamw masked", gx.adamw(0.1, weight_decay=WARMUP, mask={"b": False, "*": True})),
    Row(
        "adamw, rate and decay on schedules",
        gx.adamw(FALLING, eps_root=0.01, weight_decay=HYPERBOLIC),
        reference=of(R.adamw, learning_rate=falling, eps_root=0.01, weight_decay=hyperbolic),
        contracts=False,
    ),
    Row(
        "adamw under a mask",
        gx.adamw(0.1, weight_decay=0.2, mask="w"),
        reference=of(
            R.adamw, learning_rate=0.1, weight_decay=0.2, only="w", other=functools.partial(R.adam, learning_rate=0.1)
        ),
        contracts=False,
    ),
    Row(
        "PyTorch's AdamW(lr=0.001, weight_decay=0.01)",
        gx.adamw(0.001, weight_decay=0.01),
        oracle="AdamW(lr=0.001, weight_decay=0.01)",
        contracts=False,
    ),
    Row(
        "adamw of Optax, weight_decay=0.1, mask={'w': True, 'b': False}",
        gx.adamw(0.01, weight_decay=0.1, mask=MASK),
        peer=optax.adamw(0.01, weight_decay=0.1, mask=MASK),
        contracts=False,
    ),
    Row(
        "adamw of Optax, weight_decay=0.1, mask",
        gx.adamw(0.01, weight_decay=0.1, mask=matrices),
        peer=optax.adamw(0.01, weight_decay=0.1, mask=matrices),
        contracts=False,
    ),
    Row("nadam", gx.nadam(0.1, 0.8, 0.95), reference=of(R.nadam, learning_rate=0.1, b1=0.8, b2=0.95)),
    Row("nadam with momentum decay", gx.nadam(0.1, momentum_decay=0.004)),
    Row(
        "nadam with momentum decay, on a schedule",
        gx.nadam(FALLING, eps=0.001, eps_root=0.01, momentum_decay=0.004),
        reference=of(R.nadam, learning_rate=falling, eps=0.001, eps_root=0.01, momentum_decay=0.004),
        contracts=False,
    ),
    # The default keeps b1 constant, as Optax does.
    Row("PyTorch's NAdam(lr=0.002)", gx.nadam(0.002, momentum_decay=0.004), oracle="NAdam(lr=0.002)", contracts=False),
    Row("nadam of Optax", gx.nadam(0.01), peer=optax.nadam(0.01), contracts=False),
    Row(
        "nadam of Optax, b1=0.5, eps_root=0.0001",
        gx.nadam(0.01, b1=0.5, eps_root=0.0001),
        peer=optax.nadam(0.01, b1=0.5, eps_root=0.0001),
        contracts=False,
    ),
    Row("amsgrad", gx.amsgrad(0.1, 0.8, 0.7), reference=of(R.amsgrad, learning_rate=0.1, b1=0.8, b2=0.7)),
    Row("amsgrad of raw averages", gx.amsgrad(0.1, maximum="raw", bias_correction_mu=False)),
    Row(
        "amsgrad of the raw average",
        gx.amsgrad(0.1, 0.8, 0.7, maximum="raw"),
        reference=of(R.amsgrad, learning_rate=0.1, b1=0.8, b2=0.7, maximum="raw"),
        contracts=False,
    ),
    Row(
        "amsgrad, uncorrected",
        gx.amsgrad(FALLING, 0.8, 0.7, bias_correction_mu=False, bias_correction_nu=False),
        reference=of(
            R.amsgrad, learning_rate=falling, b1=0.8, b2=0.7, bias_correction_mu=False, bias_correction_nu=False
        ),
        contracts=False,
    ),
    # The default takes the maximum of the corrected average, as Optax does; PyTorch takes that of the raw one.
    Row(
        "PyTorch's Adam(lr=0.001, amsgrad=True)",
        gx.amsgrad(0.001, maximum="raw"),
        oracle="Adam(lr=0.001, amsgrad=True)",
        contracts=False,
    ),
    Row("amsgrad of Optax", gx.amsgrad(0.01), peer=optax.amsgrad(0.01), contracts=False),
    Row(
        "amsgrad of Optax, bias_correction_mu=False",
        gx.amsgrad(0.01, bias_correction_mu=False),
        peer=optax.amsgrad(0.01, bias_correction_mu=False),
        contracts=False,
    ),
    Row(
        "amsgrad of Optax, bias_correction_nu=False",
        gx.amsgrad(0.01, bias_correction_nu=False),
        peer=optax.amsgrad(0.01, bias_correction_nu=False),
        contracts=False,
    ),
    Row("adamax", gx.adamax(0.1, 0.8, 0.7), reference=of(R.adamax, learning_rate=0.1, b1=0.8, b2=0.7)),
    Row("adamax on a schedule", gx.adamax(FALLING), reference=of(R.adamax, learning_rate=falling), contracts=False),
    Row("PyTorch's Adamax(lr=0.002)", gx.adamax(0.002), oracle="Adamax(lr=0.002)", contracts=False),
    Row("adamax of Optax", gx.adamax(0.01), peer=optax.adamax(0.01), contracts=False),
    Row("lion", gx.lion(0.1), peer=optax.lion(0.1), reference=of(R.lion, learning_rate=0.1)),
    Row(
        "lion on a schedule, under a mask",
        gx.lion(FALLING, 0.8, 0.9, 0.2, mask="w"),
        reference=of(
            R.lion,
            learning_rate=falling,
            b1=0.8,
            b2=0.9,
            weight_decay=0.2,
            only="w",
            other=functools.partial(R.lion, learning_rate=falling, b1=0.8, b2=0.9, weight_decay=0.0),
        ),
        contracts=False,
    ),
    Row(
        "PyTorch's Lion(lr=0.0001, weight_decay=0.01)",
        gx.lion(0.0001, weight_decay=0.01),
        oracle="Lion(lr=0.0001, weight_decay=0.01)",
        contracts=False,
    ),
    Row(
        "lion of Optax, weight_decay=0.1, mask={'w': True, 'b': False}, b2=0.5",
        gx.lion(0.01, weight_decay=0.1, mask=MASK, b2=0.5),
        peer=optax.lion(0.01, weight_decay=0.1, mask=MASK, b2=0.5),
        contracts=False,
    ),
]
