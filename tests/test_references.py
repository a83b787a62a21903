"""Every rule equals its float64 reference to rounding: updates, parameters and state, at every step."""

import functools
import re
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx as gx
from tests import references

STEPS = 20


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


class Case(NamedTuple):
    name: str
    tx: gx.GradientTransformation
    reference: Any
    """Of mappings of arrays: ``reference(gradients, params) -> (updates, state)``."""


def leafwise(name, tx, reference, only=None, other=None, **numbers):
    """A case whose reference is one of arrays; ``only`` names the leaf that it is for, ``other`` is for the rest."""
    own = functools.partial(reference, **numbers)

    def of_mapping(gradients, params):
        made = {}
        for leaf, theta in params.items():
            rule = own if only in (None, leaf) else other
            made[leaf] = rule([g[leaf] for g in gradients], theta)
        updates = [{leaf: rows[n] for leaf, (rows, _) in made.items()} for n in range(len(gradients))]
        fields = next(iter(made.values()))[1]
        return updates, {field: {leaf: state[field] for leaf, (_, state) in made.items()} for field in fields}

    return Case(name, tx, of_mapping)


def after_clipping(case, max_norm):
    """The reference of the case, on gradients that are clipped by their global norm before."""

    def of_mapping(gradients, params):
        return case.reference(references.clip_by_global_norm(gradients, params, max_norm)[0], params)

    return case._replace(reference=of_mapping)


def falling(step):
    return 0.1 - 0.09 * min(step / 12, 1.0)


def hyperbolic(step):
    return 0.1 / (1 + 0.5 * step)


FALLING = gx.linear_schedule(0.1, 0.01, 12)
HYPERBOLIC = gx.inverse_time_decay(0.1, 1, 0.5)
R = references

LINKS = [
    leafwise("scale_by_ewma", gx.scale_by_ewma(0.7), R.scale_by_ewma, decay=0.7),
    leafwise("scale_by_ewma by default", gx.scale_by_ewma(), R.scale_by_ewma, decay=0.9),
    leafwise("scale_by_ewma of a short memory", gx.scale_by_ewma(0.3), R.scale_by_ewma, decay=0.3),
    leafwise(
        "scale_by_ewma kept in float32",
        gx.scale_by_ewma(0.9, accumulator_dtype="float32"),
        R.scale_by_ewma,
        decay=0.9,
        stored=np.float32,
    ),
    leafwise("trace", gx.trace(0.9), R.trace, decay=0.9),
    leafwise(
        "trace kept in float32", gx.trace(0.9, accumulator_dtype="float32"), R.trace, decay=0.9, stored=np.float32
    ),
    leafwise(
        "scale_by_ewma from the first",
        gx.scale_by_ewma(0.8, initial="first"),
        R.scale_by_ewma,
        decay=0.8,
        initial="first",
    ),
    leafwise("lookahead_trace", gx.lookahead_trace(0.8), R.trace, decay=0.8),
    leafwise("average_params", gx.average_params(7.0), R.averaged, t0=7.0),
    leafwise("nesterov", gx.nesterov(0.1, 0.8), R.nesterov, learning_rate=0.1, momentum=0.8),
    leafwise("asgd", gx.asgd(0.1, 0.5, 0.6, 5.0), R.asgd, learning_rate=0.1, lambd=0.5, alpha=0.6, t0=5.0),
    leafwise("bias_correction", gx.bias_correction(0.99), R.bias_correction, decay=0.99),
    leafwise(
        "trace, nesterov_lookahead", gx.chain(gx.trace(0.8), gx.nesterov_lookahead(0.8)), R.nesterov_trace, decay=0.8
    ),
    leafwise(
        "scale_by_ewma, nesterov_bias_correction",
        gx.chain(gx.scale_by_ewma(0.8), gx.nesterov_bias_correction(0.8)),
        R.nesterov_ewma,
        decay=0.8,
    ),
    leafwise(
        "scale_by_ewma, nesterov_momentum_decay",
        gx.chain(gx.scale_by_ewma(0.8), gx.nesterov_momentum_decay(0.8, 0.04)),
        R.nesterov_ewma_warmed,
        decay=0.8,
        momentum_decay=0.04,
    ),
    leafwise("scale_by_lion", gx.scale_by_lion(0.8, 0.9), R.scale_by_lion, b1=0.8, b2=0.9),
    leafwise(
        "scale_by_lion, smooth",
        gx.scale_by_lion(0.8, 0.9, 1.5, mode="smooth"),
        R.scale_by_lion,
        b1=0.8,
        b2=0.9,
        smooth_beta=1.5,
        mode="smooth",
    ),
    leafwise(
        "scale_by_lion, refined",
        gx.scale_by_lion(0.8, 0.9, mode="refined"),
        R.scale_by_lion,
        b1=0.8,
        b2=0.9,
        mode="refined",
    ),
    leafwise(
        "scale_by_lion kept in float32",
        gx.scale_by_lion(mu_dtype="float32"),
        R.scale_by_lion,
        b1=0.9,
        b2=0.99,
        stored=np.float32,
    ),
    leafwise("scale_by_rms", gx.scale_by_rms(0.9, 1e-3), R.scale_by_rms, decay=0.9, eps=1e-3),
    leafwise("scale_by_rms by default", gx.scale_by_rms(), R.scale_by_rms, decay=0.999, eps=1e-8),
    leafwise(
        "scale_by_rms from an initial scale, both eps, uncorrected",
        gx.scale_by_rms(0.9, 1e-3, 1e-2, 0.5, bias_correction=False),
        R.scale_by_rms,
        decay=0.9,
        eps=1e-3,
        eps_root=1e-2,
        initial_scale=0.5,
        bias_correction=False,
    ),
    leafwise(
        "scale_by_rms kept in float32",
        gx.scale_by_rms(0.9, nu_dtype="float32"),
        R.scale_by_rms,
        decay=0.9,
        eps=1e-8,
        stored=np.float32,
    ),
    leafwise("scale_by_mean_squares", gx.scale_by_mean_squares(1e-3), R.scale_by_mean_squares, eps=1e-3),
    leafwise(
        "scale_by_mean_squares, eps outside the root",
        gx.scale_by_mean_squares(1e-3, eps_in_sqrt=False),
        R.scale_by_mean_squares,
        eps=1e-3,
        eps_in_sqrt=False,
    ),
    leafwise("scale_by_adadelta", gx.scale_by_adadelta(0.8, 1e-3), R.scale_by_adadelta, rho=0.8, eps=1e-3),
    leafwise("scale_by_rprop", gx.scale_by_rprop(0.1), R.scale_by_rprop, learning_rate=0.1),
    leafwise(
        "scale_by_rprop between its bounds",
        gx.scale_by_rprop(0.1, 0.6, 1.5, 0.05, 0.2),
        R.scale_by_rprop,
        learning_rate=0.1,
        eta_minus=0.6,
        eta_plus=1.5,
        low=0.05,
        high=0.2,
    ),
    leafwise("scale_by_falling_rate", gx.scale_by_falling_rate(0.1, 0.5), R.falling, learning_rate=0.1, lambd=0.5),
    leafwise("scale_by_stddev", gx.scale_by_stddev(0.8, 1e-3), R.scale_by_stddev, decay=0.8, eps=1e-3),
    leafwise(
        "scale_by_stddev from an initial scale, both eps, corrected",
        gx.scale_by_stddev(0.8, 1e-3, 1e-2, 0.5, bias_correction=True),
        R.scale_by_stddev,
        decay=0.8,
        eps=1e-3,
        eps_root=1e-2,
        initial_scale=0.5,
        bias_correction=True,
    ),
    leafwise("scale_by_max_rms", gx.scale_by_max_rms(0.8, 1e-3), R.scale_by_max_rms, decay=0.8, eps=1e-3),
    leafwise(
        "scale_by_max_rms of the raw average",
        gx.scale_by_max_rms(0.8, 1e-3, 1e-2, maximum="raw"),
        R.scale_by_max_rms,
        decay=0.8,
        eps=1e-3,
        eps_root=1e-2,
        maximum="raw",
    ),
    leafwise(
        "scale_by_max_rms uncorrected",
        gx.scale_by_max_rms(0.8, 1e-3, bias_correction=False),
        R.scale_by_max_rms,
        decay=0.8,
        eps=1e-3,
        bias_correction=False,
    ),
    leafwise(
        "scale_by_infinity_norm", gx.scale_by_infinity_norm(0.8, 1e-3), R.scale_by_infinity_norm, decay=0.8, eps=1e-3
    ),
    leafwise("scale_by_rss", gx.scale_by_rss(0.0, 1e-3), R.scale_by_rss, initial_accumulator_value=0.0, eps=1e-3),
    leafwise("scale_by_rss by default", gx.scale_by_rss(), R.scale_by_rss, initial_accumulator_value=0.1, eps=1e-7),
    leafwise(
        "scale_by_rss, eps beside the root",
        gx.scale_by_rss(0.3, 1e-3, eps_in_sqrt=False),
        R.scale_by_rss,
        initial_accumulator_value=0.3,
        eps=1e-3,
        eps_in_sqrt=False,
    ),
    leafwise(
        "scale_by_factored_rms",
        gx.scale_by_factored_rms(0.7, 0.0, 1e-3, min_dim_size_to_factor=3),
        R.scale_by_factored_rms,
        decay_rate=0.7,
        epsilon=1e-3,
        least=3,
    ),
    leafwise(
        "scale_by_factored_rms of small arrays, begun elsewhere",
        gx.scale_by_factored_rms(0.8, -5.0, 1e-3),
        R.scale_by_factored_rms,
        decay_rate=0.8,
        offset=-5,
        epsilon=1e-3,
    ),
    leafwise(
        "scale_by_factored_rms, whose weight is a function",
        gx.scale_by_factored_rms(
            epsilon=1e-3, factored=False, decay_rate_fn=lambda step, rate: rate * step / (step + 1)
        ),
        R.scale_by_factored_rms,
        decay_rate=0.8,
        epsilon=1e-3,
        weight=lambda step: 0.8 * step / (step + 1),
    ),
    leafwise("scale_by_shampoo", gx.scale_by_shampoo(eps=0.1), R.scale_by_shampoo, eps=0.1),
    leafwise(
        "scale_by_shampoo of averages, diagonal along long axes",
        gx.scale_by_shampoo(0.8, 0.1, -0.3, max_dim=3),
        R.scale_by_shampoo,
        decay=0.8,
        eps=0.1,
        exponent=-0.3,
        max_dim=3,
    ),
    leafwise("scale", gx.scale(-0.3), R.scale, step_size=-0.3),
    leafwise("scale_by_learning_rate", gx.scale_by_learning_rate(0.3), R.scale, step_size=-0.3),
    leafwise(
        "scale_by_learning_rate, not flipped", gx.scale_by_learning_rate(0.3, flip_sign=False), R.scale, step_size=0.3
    ),
    leafwise("scale_by_schedule", gx.scale_by_schedule(FALLING), R.scale, step_size=falling),
    leafwise("scale_by_sign", gx.scale_by_sign(), R.scale_by_sign),
    leafwise("add_decayed_weights", gx.add_decayed_weights(0.01), R.add_decayed_weights, weight_decay=0.01),
    leafwise(
        "add_decayed_weights on a schedule",
        gx.add_decayed_weights(FALLING),
        R.add_decayed_weights,
        weight_decay=falling,
    ),
    leafwise(
        "add_decayed_weights under a mask",
        gx.add_decayed_weights(0.01, mask="w"),
        R.add_decayed_weights,
        weight_decay=0.01,
        only="w",
        other=functools.partial(R.add_decayed_weights, weight_decay=0.0),
    ),
    leafwise("clip", gx.clip(0.4), R.clip, max_delta=0.4),
    leafwise("centralize", gx.centralize(), R.centralize),
    Case(
        "clip_by_global_norm, now and then",
        gx.clip_by_global_norm(3.6),
        functools.partial(R.clip_by_global_norm, max_norm=3.6),
    ),
]

RECIPES = [
    leafwise("sgd", gx.sgd(0.1), R.sgd, learning_rate=0.1),
    leafwise("sgd on a schedule", gx.sgd(HYPERBOLIC), R.sgd, learning_rate=hyperbolic),
    leafwise("sgd with momentum", gx.sgd(0.1, 0.9), R.sgd, learning_rate=0.1, momentum=0.9),
    leafwise("sgd with momentum on a schedule", gx.sgd(FALLING, 0.9), R.sgd, learning_rate=falling, momentum=0.9),
    leafwise(
        "sgd with Nesterov's momentum, kept in float32",
        gx.sgd(0.1, 0.9, nesterov=True, accumulator_dtype="float32"),
        R.sgd,
        learning_rate=0.1,
        momentum=0.9,
        nesterov=True,
        stored=np.float32,
    ),
    leafwise("adagrad", gx.adagrad(0.1), R.adagrad, learning_rate=0.1),
    leafwise(
        "adagrad on a schedule, eps beside the root",
        gx.adagrad(FALLING, 0.0, 1e-3, eps_in_sqrt=False),
        R.adagrad,
        learning_rate=falling,
        initial_accumulator_value=0.0,
        eps=1e-3,
        eps_in_sqrt=False,
    ),
    leafwise("rmsprop", gx.rmsprop(0.1), R.rmsprop, learning_rate=0.1),
    leafwise(
        "rmsprop, eps beside the root, from an initial scale",
        gx.rmsprop(0.1, 0.8, 1e-3, 0.5, eps_in_sqrt=False),
        R.rmsprop,
        learning_rate=0.1,
        decay=0.8,
        eps=1e-3,
        initial_scale=0.5,
        eps_in_sqrt=False,
    ),
    leafwise(
        "rmsprop, centred, eps beside the root",
        gx.rmsprop(0.1, 0.8, 1e-3, centered=True, eps_in_sqrt=False),
        R.rmsprop,
        learning_rate=0.1,
        decay=0.8,
        eps=1e-3,
        centered=True,
        eps_in_sqrt=False,
    ),
    leafwise(
        "rmsprop, centred and corrected",  # its first variance is 0: without eps in the root, rounding would decide
        gx.rmsprop(0.1, 0.8, 0.5, centered=True, bias_correction=True),
        R.rmsprop,
        learning_rate=0.1,
        decay=0.8,
        eps=0.5,
        centered=True,
        bias_correction=True,
    ),
    leafwise(
        "rmsprop, corrected",
        gx.rmsprop(0.1, 0.8, bias_correction=True),
        R.rmsprop,
        learning_rate=0.1,
        decay=0.8,
        bias_correction=True,
    ),
    leafwise(
        "rmsprop with momentum on a schedule",
        gx.rmsprop(FALLING, momentum=0.7),
        R.rmsprop,
        learning_rate=falling,
        momentum=0.7,
    ),
    leafwise(
        "rmsprop with Nesterov's momentum",
        gx.rmsprop(0.1, momentum=0.7, nesterov=True),
        R.rmsprop,
        learning_rate=0.1,
        momentum=0.7,
        nesterov=True,
    ),
    leafwise("adam", gx.adam(1e-3), R.adam, learning_rate=1e-3),
    leafwise(
        "adam, both eps",
        gx.adam(0.1, 0.8, 0.95, 1e-3, 1e-2),
        R.adam,
        learning_rate=0.1,
        b1=0.8,
        b2=0.95,
        eps=1e-3,
        eps_root=1e-2,
    ),
    leafwise("adam on a schedule", gx.adam(FALLING), R.adam, learning_rate=falling),
    leafwise(
        "adam, b1 on a schedule",
        gx.adam(0.1, gx.linear_schedule(0.5, 0.9, 8)),
        R.adam,
        learning_rate=0.1,
        b1=lambda step: 0.5 + 0.4 * min(step / 8, 1.0),
    ),
    leafwise(
        "adam kept in float32",
        gx.adam(0.1, mu_dtype="float32"),
        R.adam,
        learning_rate=0.1,
        stored=np.float32,
    ),
    leafwise("adamw", gx.adamw(1e-3), R.adamw, learning_rate=1e-3),
    leafwise(
        "adamw, rate and decay on schedules",
        gx.adamw(FALLING, eps_root=1e-2, weight_decay=HYPERBOLIC),
        R.adamw,
        learning_rate=falling,
        eps_root=1e-2,
        weight_decay=hyperbolic,
    ),
    leafwise(
        "adamw under a mask",
        gx.adamw(0.1, weight_decay=0.2, mask="w"),
        R.adamw,
        learning_rate=0.1,
        weight_decay=0.2,
        only="w",
        other=functools.partial(R.adam, learning_rate=0.1),
    ),
    leafwise("nadam", gx.nadam(0.1, 0.8, 0.95), R.nadam, learning_rate=0.1, b1=0.8, b2=0.95),
    leafwise(
        "nadam with momentum decay, on a schedule",
        gx.nadam(FALLING, eps=1e-3, eps_root=1e-2, momentum_decay=0.004),
        R.nadam,
        learning_rate=falling,
        eps=1e-3,
        eps_root=1e-2,
        momentum_decay=0.004,
    ),
    leafwise("amsgrad", gx.amsgrad(0.1, 0.8, 0.7), R.amsgrad, learning_rate=0.1, b1=0.8, b2=0.7),
    leafwise(
        "amsgrad of the raw average",
        gx.amsgrad(0.1, 0.8, 0.7, maximum="raw"),
        R.amsgrad,
        learning_rate=0.1,
        b1=0.8,
        b2=0.7,
        maximum="raw",
    ),
    leafwise(
        "amsgrad, uncorrected",
        gx.amsgrad(FALLING, 0.8, 0.7, bias_correction_mu=False, bias_correction_nu=False),
        R.amsgrad,
        learning_rate=falling,
        b1=0.8,
        b2=0.7,
        bias_correction_mu=False,
        bias_correction_nu=False,
    ),
    leafwise("adamax", gx.adamax(0.1, 0.8, 0.7), R.adamax, learning_rate=0.1, b1=0.8, b2=0.7),
    leafwise("adamax on a schedule", gx.adamax(FALLING), R.adamax, learning_rate=falling),
    leafwise("lion", gx.lion(0.1), R.lion, learning_rate=0.1),
    leafwise(
        "lion on a schedule, under a mask",
        gx.lion(FALLING, 0.8, 0.9, 0.2, mask="w"),
        R.lion,
        learning_rate=falling,
        b1=0.8,
        b2=0.9,
        weight_decay=0.2,
        only="w",
        other=functools.partial(R.lion, learning_rate=falling, b1=0.8, b2=0.9, weight_decay=0.0),
    ),
]

RATE = gx.scale_by_learning_rate(0.1)
CHAINS = [
    leafwise(
        "laprop: Adam's links, division first",
        gx.chain(gx.scale_by_rms(0.95), gx.scale_by_ewma(0.8), gx.bias_correction(0.8), RATE),
        R.laprop,
        learning_rate=0.1,
        b1=0.8,
        b2=0.95,
        eps=1e-8,
    ),
    after_clipping(
        leafwise("clipped adam", gx.chain(gx.clip_by_global_norm(3.0), gx.adam(0.1)), R.adam, learning_rate=0.1), 3.0
    ),
    after_clipping(
        leafwise(
            "clipped links of adam",
            gx.chain(
                gx.clip_by_global_norm(3.0), gx.scale_by_ewma(0.9), gx.bias_correction(0.9), gx.scale_by_rms(), RATE
            ),
            R.adam,
            learning_rate=0.1,
        ),
        3.0,
    ),
]

COMPLEX = [
    leafwise("scale_by_ewma", gx.scale_by_ewma(0.7), R.scale_by_ewma, decay=0.7),
    leafwise("scale_by_rms", gx.scale_by_rms(0.9, 1e-3), R.scale_by_rms, decay=0.9, eps=1e-3),
    leafwise(
        "scale_by_rms from an initial scale",
        gx.scale_by_rms(0.9, 1e-3, 1e-2, 0.5),
        R.scale_by_rms,
        decay=0.9,
        eps=1e-3,
        eps_root=1e-2,
        initial_scale=0.5,
    ),
    leafwise("scale_by_stddev", gx.scale_by_stddev(0.8, 1e-3), R.scale_by_stddev, decay=0.8, eps=1e-3),
    leafwise("scale_by_rss", gx.scale_by_rss(), R.scale_by_rss, initial_accumulator_value=0.1, eps=1e-7),
    leafwise("scale_by_shampoo", gx.scale_by_shampoo(eps=0.1), R.scale_by_shampoo, eps=0.1),
    leafwise(
        "scale_by_factored_rms",
        gx.scale_by_factored_rms(0.7, 0.0, 1e-3, min_dim_size_to_factor=3),
        R.scale_by_factored_rms,
        decay_rate=0.7,
        epsilon=1e-3,
        least=3,
    ),
    leafwise("scale_by_infinity_norm", gx.scale_by_infinity_norm(), R.scale_by_infinity_norm, decay=0.999, eps=1e-8),
    leafwise("scale_by_max_rms", gx.scale_by_max_rms(0.8), R.scale_by_max_rms, decay=0.8, eps=1e-8),
    leafwise("adam", gx.adam(0.1), R.adam, learning_rate=0.1),
    leafwise("adam on a schedule", gx.adam(FALLING), R.adam, learning_rate=falling),
    leafwise("sgd with momentum", gx.sgd(0.1, 0.9), R.sgd, learning_rate=0.1, momentum=0.9),
    Case("clip_by_global_norm", gx.clip_by_global_norm(4.0), functools.partial(R.clip_by_global_norm, max_norm=4.0)),
]


def drawn(seed, *, imaginary=False):
    """Parameters, and gradients whose sizes differ by coordinate and step; one coordinate never has any."""
    rng = np.random.default_rng(seed)

    def draw(*shape):
        return rng.normal(size=shape) + (1j * rng.normal(size=shape) if imaginary else 0)

    params = {"w": draw(3, 4), "b": draw(4)}
    sizes = np.exp(rng.normal(size=(STEPS, 1)))
    gradients = [{"w": draw(3, 4) * sizes[n], "b": draw(4) * sizes[n]} for n in range(STEPS)]
    for g in gradients:
        g["w"][1, 2] = 0.0
    return params, gradients


def run(tx, gradients, params):
    """All updates, the last parameters and the last state."""

    def step(carry, gradient):
        params, state = carry
        updates, state = tx.update(gradient, state, params)
        return (gx.apply_updates(params, updates), state), updates

    (params, state), updates = jax.lax.scan(step, (params, tx.init(params)), gradients)
    return updates, params, state


def fields(state):
    """The state of a chain of distinct links, as one mapping from field names."""
    found = {}
    for name, entry in state.items():
        nested = isinstance(entry, dict) and not set(entry) & {"w", "b"}
        found |= fields(entry) if nested else {name: entry}
    found.pop("count", None)
    return found


def check(case, made, gradients, params):
    """Against the reference: 1e-12 relative; where terms cancel, relative to the largest number of the array."""
    updates, last, state = jax.tree.map(np.asarray, made)
    expected, kept = case.reference(gradients, params)

    def equal(found, wanted):
        wanted = np.asarray(wanted)
        assert found.dtype == wanted.dtype
        np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-15 * np.abs(wanted).max())

    final = dict(params)
    for n, row in enumerate(expected):
        final = {leaf: final[leaf] + row[leaf] for leaf in final}
        for leaf in row:
            equal(updates[leaf][n], row[leaf])
    for leaf in final:
        equal(last[leaf], final[leaf])
    state = fields(state)
    assert state.keys() == kept.keys()
    for field in kept:
        jax.tree.map(equal, state[field], kept[field])


def stacked(gradients):
    return jax.tree.map(lambda *rows: jnp.asarray(np.stack(rows)), *gradients)


@functools.cache
def compiled():
    return jax.jit(run)


names = [case.name for case in LINKS + RECIPES + CHAINS]
assert len(set(names)) == len(names)


@pytest.mark.parametrize("case", LINKS + RECIPES + CHAINS, ids=lambda case: case.name)
def test_equals_its_reference(case):
    params, gradients = drawn(1)
    run_it = jax.jit(functools.partial(run, case.tx))
    check(case, run_it(stacked(gradients), jax.tree.map(jnp.asarray, params)), gradients, params)


@pytest.mark.parametrize("case", LINKS + RECIPES + CHAINS, ids=lambda case: case.name)
def test_equals_its_reference_as_an_argument_of_jit(case):
    params, gradients = drawn(2)
    check(case, compiled()(case.tx, stacked(gradients), jax.tree.map(jnp.asarray, params)), gradients, params)


@pytest.mark.parametrize("case", COMPLEX, ids=lambda case: case.name)
def test_complex_gradients_equal_the_reference_with_a_real_second_moment(case):
    params, gradients = drawn(3, imaginary=True)
    with jax.numpy_dtype_promotion("standard"):
        made = jax.jit(functools.partial(run, case.tx))(stacked(gradients), jax.tree.map(jnp.asarray, params))
    check(case, made, gradients, params)


@pytest.mark.parametrize("case", [case for case in COMPLEX if "schedule" not in case.name], ids=lambda case: case.name)
def test_complex_gradients_need_no_implicit_promotion(case):
    params, gradients = drawn(4, imaginary=True)
    check(case, run_once(case.tx, gradients, params), gradients[:1], params)


def run_once(tx, gradients, params):
    params = jax.tree.map(jnp.asarray, params)
    updates, state = tx.update(jax.tree.map(jnp.asarray, gradients[0]), tx.init(params), params)
    return jax.tree.map(lambda u: u[None], updates), gx.apply_updates(params, updates), state


def test_every_transformation_of_these_files_has_a_reference():
    factories = {name: x for name, x in vars(gx).items() if hasattr(x, "__code__") and hasattr(x, "call")}
    printed = " ".join(repr(case.tx) for case in LINKS + RECIPES + CHAINS)
    covered = {name for name in factories if f"{name}(" in printed}
    files = {
        factories[name].__module__ for name in covered if re.search("_links|_optimizers", factories[name].__module__)
    }
    assert {name for name, x in factories.items() if x.__module__ in files} <= covered
