"""Initial parameters: their distributions, what they do to ten layers, and what is refused.

Standard deviations of estimates are stated where they are used; bounds are five of them, and seeds are fixed.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx
from gradtx import initializers
from gradtx.initializers import class_frequencies, gain, orthogonal, sparse, xavier_normal, xavier_uniform

KEY = jax.random.key(0)


# Distributions --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("g", [1.0, 5 / 3])
def test_initialization_xavier_normal_is_the_plain_normal_of_variance_2_over_n_in_plus_n_out(g):
    w = np.asarray(xavier_normal(g)(KEY, (300, 700)), np.float64) / g
    n, std = w.size, math.sqrt(2 / 1000)
    assert abs(np.mean(w)) < 5 * std / math.sqrt(n)
    assert np.var(w) == pytest.approx(2 / 1000, rel=5 * math.sqrt(2 / n))  # Var of a sample variance: 2σ⁴/n
    assert np.mean((w / std) ** 4) == pytest.approx(3, abs=5 * math.sqrt(96 / n))  # Var z⁴ = 105 − 9
    share = math.erfc(2 / math.sqrt(2))  # beyond two standard deviations, where JAX's has none
    assert np.mean(abs(w) > 2 * std) == pytest.approx(share, abs=5 * math.sqrt(share / n))
    theirs = np.asarray(jax.nn.initializers.xavier_normal()(KEY, (300, 700)))
    assert np.mean(abs(theirs) > 2.3 * std) == 0
    assert np.mean(abs(w) > 2.3 * std) > 0.01


def test_initialization_xavier_uniform_fills_the_interval_and_is_jaxs():
    w = np.asarray(xavier_uniform()(KEY, (200, 400)), np.float64)
    bound = math.sqrt(6 / 600)
    n = w.size
    assert 0 <= bound - abs(w).max() < bound * 20 / n  # the gap at the ends is about bound/n
    assert np.var(w) == pytest.approx(2 / 600, rel=5 * math.sqrt(0.8 / n))  # Var u² = 4/45, over (1/3)²: 0.8
    np.testing.assert_array_equal(xavier_uniform()(KEY, (20, 40)), jax.nn.initializers.xavier_uniform()(KEY, (20, 40)))


def test_a_receptive_field_and_axes_count_as_in_jax():
    w = xavier_normal()(KEY, (3, 3, 50, 100))
    assert float(jnp.var(w)) == pytest.approx(2 / (9 * 150), rel=5 * math.sqrt(2 / w.size))
    rows = xavier_uniform(in_axis=1, out_axis=0)(KEY, (20, 40, 7))
    np.testing.assert_array_equal(rows, jax.nn.initializers.xavier_uniform(1, 0)(KEY, (20, 40, 7)))


@pytest.mark.parametrize("shape", [(64, 64), (32, 128), (3, 3, 8, 16)])
def test_initialization_orthogonal_is_orthogonal_times_the_gain(shape):
    for g in (1.0, gain("relu")):
        w = np.asarray(orthogonal(g)(KEY, shape), np.float64).reshape(-1, shape[-1]) / g
        product = w.T @ w if w.shape[0] >= w.shape[1] else w @ w.T
        np.testing.assert_allclose(product, np.eye(len(product)), atol=1e-6)


def test_orthogonal_in_float64_is_orthogonal_to_rounding():
    with jax.enable_x64(True):
        w = np.asarray(orthogonal()(KEY, (40, 40)))
    np.testing.assert_allclose(w.T @ w, np.eye(40), atol=1e-14)


def test_orthogonal_along_another_axis_has_orthonormal_rows():
    w = np.asarray(orthogonal(column_axis=0)(KEY, (5, 40)), np.float64)
    np.testing.assert_allclose(w @ w.T, np.eye(5), atol=1e-6)


def test_initialization_gains_are_those_of_pytorch():
    expected = {"linear": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2), "selu": 0.75}
    assert {name: gain(name) for name in expected} == expected
    assert gain("leaky_relu") == math.sqrt(2 / (1 + 0.01**2))
    assert gain("leaky_relu", 0.2) == math.sqrt(2 / 1.04)
    assert gain("leaky_relu", 0.0) == gain("relu")


@pytest.mark.parametrize(("shape", "out_axis"), [((60, 37), -1), ((37, 60), 0), ((3, 20, 37), -1), ((15, 37), -1)])
def test_initialization_sparse_gives_every_unit_exactly_k_inputs(shape, out_axis):
    w = np.asarray(sparse(15, 0.01, out_axis=out_axis)(KEY, shape, jnp.float16))
    inputs = np.moveaxis(w, out_axis, -1).reshape(-1, 37)
    assert (inputs != 0).sum(axis=0).tolist() == [15] * 37


def test_the_weights_of_sparse_are_normal_and_anywhere():
    w = np.asarray(sparse(15, 0.5)(KEY, (60, 4000)), np.float64)
    chosen, n = w[w != 0], 60_000
    assert abs(np.mean(chosen)) < 5 * 0.5 / math.sqrt(n)
    assert np.var(chosen) == pytest.approx(0.25, rel=5 * math.sqrt(2 / n))
    assert np.mean((chosen / 0.5) ** 4) == pytest.approx(3, abs=5 * math.sqrt(96 / n))
    share = np.mean(w != 0, axis=1)  # of the units that take this input: 1/4 of 4,000
    assert np.max(abs(share - 0.25)) < 5 * math.sqrt(0.25 * 0.75 / 4000)


def test_initialization_sparse_keeps_a_pre_activation_independent_of_the_number_of_inputs():
    for n in (64, 1024):
        x = jax.random.normal(jax.random.key(1), (200, n))
        z = np.asarray(x @ sparse(15)(KEY, (n, 400)))
        # Var z = 15; a unit's share is 15 χ²₁₅/15: 400 units know it to √(2/15/400) = 1.8 %
        assert np.var(z) == pytest.approx(15, rel=5 * math.sqrt(2 / 15 / 400 + 2 / 80_000))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "complex64"])
@pytest.mark.parametrize("init", [xavier_normal(), xavier_uniform(), orthogonal(), sparse(3)])
def test_half_precision_is_drawn_in_float32_and_rounded_once(init, dtype):
    w = init(KEY, (6, 4), jnp.dtype(dtype))
    assert (w.dtype, w.shape) == (jnp.dtype(dtype), (6, 4))
    if dtype != "complex64":
        np.testing.assert_array_equal(w, init(KEY, (6, 4)).astype(dtype))
    assert init(KEY, (0, 4)).shape == (0, 4)


def test_a_dtype_given_with_the_rule_is_the_default():
    assert xavier_normal(dtype=jnp.bfloat16)(KEY, (4, 4)).dtype == jnp.bfloat16
    assert xavier_normal()(KEY, (4, 4), float).dtype == jnp.float32
    with jax.enable_x64(True):
        assert xavier_normal()(KEY, (4, 4)).dtype == jnp.float64


def test_initializers_go_through_jit_and_vmap_and_gains_may_be_traced():
    init = jax.jit(lambda key, g: xavier_normal(g)(key, (5, 3)))
    np.testing.assert_allclose(init(KEY, 2.0), 2 * xavier_normal()(KEY, (5, 3)), rtol=1e-6)
    many = jax.vmap(lambda key: sparse(2)(key, (8, 3)))(jax.random.split(KEY, 5))
    assert ((many != 0).sum(axis=1) == 2).all()


def test_what_jax_has_is_jaxs():
    for name in ("zeros", "ones", "constant", "normal", "he_normal", "he_uniform", "lecun_normal", "variance_scaling"):
        assert getattr(initializers, name) is getattr(jax.nn.initializers, name)
    assert sorted(initializers.__all__) == list(initializers.__all__)
    assert not initializers.zeros(KEY, (10,)).any()


# Ten layers -----------------------------------------------------------------------------------------------------------


def variances(init, activation=lambda x: x, width=256, depth=10):
    """Of the activations after every layer, forwards, and of the gradients with respect to every layer's input."""
    *keys, k_x, k_g = jax.random.split(jax.random.key(7), depth + 2)
    h = jax.random.normal(k_x, (width, width))
    forwards, pulls = [h], []
    for key in keys:
        h, pull = jax.vjp(lambda h, key=key: activation(h @ init(key, (width, width))), h)
        forwards, pulls = [*forwards, h], [*pulls, pull]
    backwards = [jax.random.normal(k_g, h.shape)]
    for pull in reversed(pulls):
        backwards.append(pull(backwards[-1])[0])
    return np.array([[float(jnp.mean(x**2)) for x in signal] for signal in (forwards, backwards)])


def test_initialization_xavier_keeps_the_variance_of_activations_and_gradients_through_ten_layers():
    # After ten layers of 256 units the standard deviation of a variance is 0.04 (of 40 draws in NumPy).
    for init in (xavier_normal(), xavier_uniform()):
        np.testing.assert_allclose(variances(init), 1, atol=5 * 0.04)


def test_initialization_orthogonal_weights_keep_them_to_rounding():
    forwards, backwards = variances(orthogonal(), width=64)
    np.testing.assert_allclose(forwards, forwards[0], rtol=1e-5)
    np.testing.assert_allclose(backwards, backwards[0], rtol=1e-5)


def test_the_gain_of_relu_makes_up_for_the_half_that_it_cuts_off():
    # Here the logarithm to base 2 has a standard deviation of 0.42: ReLU leaves one direction to most of the signal.
    for init in (xavier_normal(gain("relu")), initializers.he_normal()):
        signals = variances(init, jax.nn.relu)
        np.testing.assert_allclose(np.log2(signals / signals[:, :1]), 0, atol=5 * 0.42)
    lost = np.log2(variances(xavier_normal(), jax.nn.relu)[0, -1])
    assert lost == pytest.approx(-10, abs=5 * 0.42)  # half of it a layer


@pytest.mark.parametrize("activation", [lambda x: x, jnp.tanh], ids=["linear", "tanh"])
def test_initialization_too_small_weights_make_both_vanish(activation):
    for signal in variances(initializers.normal(0.01), activation):  # n σ² = 0.0256 a layer
        assert signal[-1] / signal[0] < 1e-14


def test_initialization_too_large_weights_explode_or_saturate():
    for signal in variances(initializers.normal(0.5)):  # n σ² = 64 a layer
        assert signal[-1] / signal[0] > 1e17
    forwards, backwards = variances(initializers.normal(0.5), jnp.tanh)
    assert forwards[-1] > 0.85  # units are near −1 or 1
    assert backwards[-1] / backwards[0] > 1e3
    forwards, backwards = variances(initializers.normal(1e6), jnp.tanh)
    assert forwards[-1] == pytest.approx(1, abs=1e-3)  # at it,
    assert backwards[-1] / backwards[0] < 1e-3 or not np.isfinite(backwards[-1])


# Symmetry -------------------------------------------------------------------------------------------------------------


POINTS = jax.random.normal(jax.random.key(1), (128, 2))
SIGNS = jnp.sign(POINTS[:, 0] * POINTS[:, 1])


def exclusive_or(params):
    """The loss of eight tanh units on the exclusive or of two signs."""
    hidden = jnp.tanh(POINTS @ params["w"] + params["b"][None])
    return jnp.mean((hidden @ params["v"] - SIGNS) ** 2)


def before_and_after_training(init):
    k_w, k_v = jax.random.split(KEY)
    params = {"w": init(k_w, (2, 8)), "b": jnp.zeros(8), "v": init(k_v, (8, 1))[:, 0]}
    return params, gradtx.minimize(exclusive_or, params, gradtx.adam(0.05), steps=200)


def test_initialization_constant_weights_keep_units_identical_whatever_the_training():
    before, run = before_and_after_training(initializers.constant(0.3))
    assert float(jnp.max(jnp.abs(run.params["w"] - before["w"]))) > 0.05  # they did move
    for name in ("w", "b", "v"):
        units = np.asarray(run.params[name])
        np.testing.assert_allclose(units, units[..., :1] + 0 * units, rtol=1e-5, atol=1e-6)
    assert float(run.final_loss) > 0.8  # one unit, eight times


def test_initialization_zero_weights_never_leave_zero():
    before, run = before_and_after_training(initializers.zeros)
    for name in before:
        np.testing.assert_array_equal(run.params[name], before[name])
    assert float(run.final_loss) == float(run.loss[0])


def test_initialization_random_weights_break_the_symmetry_with_hidden_biases_zero():
    before, run = before_and_after_training(xavier_normal())
    assert np.all(np.asarray(before["b"]) == 0)
    assert len(set(np.asarray(run.params["b"]).tolist())) == 8
    units = np.vstack([run.params["w"], run.params["b"][None], run.params["v"][None]]).T
    apart = np.linalg.norm(units[:, None] - units[None], axis=-1)[~np.eye(8, dtype=bool)]
    assert apart.min() > 0.1
    assert float(run.final_loss) < 0.5


# Output biases --------------------------------------------------------------------------------------------------------


def test_initialization_output_bias_has_the_class_frequencies_for_its_softmax():
    labels = np.repeat(np.arange(4), [700, 200, 90, 10])
    for given in ({"labels": labels}, {"counts": [700, 200, 90, 10]}, {"counts": [0.7, 0.2, 0.09, 0.01]}):
        bias = class_frequencies(**given)(KEY, (4,))
        np.testing.assert_allclose(jax.nn.softmax(bias), [0.7, 0.2, 0.09, 0.01], rtol=1e-6)
    with jax.enable_x64(True):
        bias = class_frequencies(jnp.asarray(labels))(KEY, (4,))
        np.testing.assert_allclose(jax.nn.softmax(bias), [0.7, 0.2, 0.09, 0.01], rtol=1e-15)


def test_initialization_output_bias_makes_the_first_loss_the_entropy_of_the_labels():
    labels = np.repeat(np.arange(3), [5, 3, 2])
    bias = class_frequencies(labels)(KEY, (3,))
    loss = -jnp.mean(jax.nn.log_softmax(bias)[labels])
    p = np.array([0.5, 0.3, 0.2])
    assert float(loss) == pytest.approx(-float(p @ np.log(p)), rel=1e-6)


@pytest.mark.parametrize("shape", [(1,), ()])
def test_initialization_output_bias_has_the_frequency_of_ones_for_its_sigmoid(shape):
    bias = class_frequencies([1, 0, 0, 0, 0])(KEY, shape)
    assert bias.shape == shape
    np.testing.assert_allclose(jax.nn.sigmoid(bias), np.full(shape, 0.2), rtol=1e-6)


def test_smoothing_counts_every_class_that_often_more():
    bias = class_frequencies([0, 0, 0, 1], smoothing=1.0)(KEY, (3,))
    np.testing.assert_allclose(jax.nn.softmax(bias), [4 / 7, 2 / 7, 1 / 7], rtol=1e-6)


# What is refused ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: gain("rleu"), r"gain: activation: expected one of linear, .*found 'rleu' \(did you mean 'relu'\?\)"),
        (lambda: gain("relu", 0.1), r"gain: slope: relu has none, found 0.1"),
        (lambda: gain("leaky_relu", "a"), r"gain: slope: expected a finite number, found 'a'"),
        (lambda: orthogonal("relu"), r"orthogonal: gain: expected a number, found 'relu': write gain\('relu'\)"),
        (lambda: xavier_normal(0.0), r"xavier_normal: gain: expected a number above 0, found 0.0"),
        (lambda: xavier_uniform(-2), r"xavier_uniform: gain: expected a finite number ≥ 0, found -2"),
        (lambda: xavier_normal()(KEY, (3,)), r"xavier_normal: shape: expected 2 axes or more.*found \(3,\)"),
        (
            lambda: xavier_normal(in_axis=2)(KEY, (3, 4)),
            r"xavier_normal: in_axis: expected an axis of \(3, 4\), found 2",
        ),
        (lambda: xavier_normal()(KEY, 3), r"xavier_normal: shape: expected a tuple of sizes, found 3"),
        (
            lambda: xavier_normal()(KEY, (3, 4), int),
            r"xavier_normal: dtype: expected a floating-point dtype, found int",
        ),
        (lambda: orthogonal()(KEY, (3,)), r"orthogonal: shape: expected 2 axes"),
        (lambda: sparse(0), r"sparse: k: expected a whole number, 1 or more, found 0"),
        (lambda: sparse(True), r"sparse: k: expected a whole number"),
        (lambda: sparse(3, 0.0), r"sparse: stddev: expected a number above 0, found 0.0"),
        (lambda: sparse(9)(KEY, (8, 2)), r"sparse: shape: expected at least 9 inputs a unit, found 8 in \(8, 2\)"),
        (lambda: class_frequencies(), r"class_frequencies: expected labels or counts, found neither"),
        (lambda: class_frequencies([0], counts=[1]), r"class_frequencies: expected labels or counts, found both"),
        (
            lambda: class_frequencies([0.5, 1.0]),
            r"class_frequencies: labels: expected whole numbers from 0 on.*float64",
        ),
        (lambda: class_frequencies([-1, 0]), r"class_frequencies: labels: expected whole numbers from 0 on"),
        (lambda: class_frequencies([]), r"class_frequencies: labels: expected whole numbers from 0 on"),
        (lambda: class_frequencies([[0], [0, 1]]), r"class_frequencies: labels: expected an array"),
        (lambda: class_frequencies(counts=[1, -1]), r"class_frequencies: counts: expected numbers ≥ 0 along one axis"),
        (lambda: class_frequencies([0, 2])(KEY, (3,)), r"class_frequencies: class 1 was never seen.*smoothing=1.0"),
        (lambda: class_frequencies([0, 2])(KEY, (2,)), r"class_frequencies: shape: expected 3 classes, found 2"),
        (lambda: class_frequencies([0, 1])(KEY, (2, 2)), r"class_frequencies: shape: expected \(classes,\), \(1,\)"),
        (lambda: class_frequencies([0], smoothing=-1.0), r"class_frequencies: smoothing: expected a finite number ≥ 0"),
        (lambda: jax.jit(class_frequencies)(jnp.arange(2)), r"class_frequencies: labels: .*traced: call it outside"),
    ],
)
def test_initializers_refuse(call, message):
    with pytest.raises(gradtx.TransformationError, match=message):
        call()
