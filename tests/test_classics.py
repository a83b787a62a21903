"""What contracts and references do not say of the classical rules: long vectors, few digits, Optax's ways to call."""

import inspect
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gradtx
from gradtx import TransformationError

MANY = 300_000

# Signatures -----------------------------------------------------------------------------------------------------------

NAMES = [
    "adabelief", "adadelta", "adafactor", "adagrad", "adam", "adamax", "adamaxw", "adamw", "adan", "adaptive_grad_clip",
    "add_decayed_weights", "amsgrad", "apply_every", "clip_by_block_rms", "ema", "fromage", "keep_params_nonnegative",
    "lamb", "lars", "lion", "nadam", "nadamw", "noisy_sgd", "normalize_by_update_norm", "novograd", "optimistic_adam",
    "optimistic_adam_v2", "optimistic_gradient_descent", "per_example_global_norm_clip", "per_example_layer_norm_clip",
    "polyak_sgd", "radam", "rmsprop", "rprop", "scale_by_adam", "scale_by_adamax", "scale_by_adan", "scale_by_amsgrad",
    "scale_by_belief", "scale_by_distance_over_gradients", "scale_by_novograd", "scale_by_optimistic_gradient",
    "scale_by_param_block_norm", "scale_by_param_block_rms", "scale_by_polyak", "scale_by_radam", "scale_by_rss",
    "scale_by_sm3", "scale_by_stddev", "scale_by_trust_ratio", "scale_by_yogi", "sgd", "sign_sgd", "signum", "sm3",
    "trace", "unitwise_clip", "unitwise_norm", "yogi", "zero_nans",
]  # fmt: skip
LACKS = {
    "adam": {"nesterov"},  # that is nadam
    "adamw": {"nesterov"},  # that is nadamw
    "nadam": {"nesterov"},
    "nadamw": {"nesterov"},
    "noisy_sgd": {"key"},  # write seed=..., or give init a key
}
NO_NUMBERS = {"mu_dtype", "param_dtype", "eps_in_sqrt", "key"}  # to give one where a number stands is an error
ANOTHER_DEFAULT = {
    ("adadelta", "learning_rate"): "Optax's None cannot be run",
    ("adafactor", "dtype_momentum"): "a dtype, named",
    ("noisy_sgd", "seed"): "it must be given in Optax",
    ("scale_by_distance_over_gradients", "param_dtype"): "float32 at least, so float64 where the parameters have it",
}


def of(module, name):
    return getattr(optax.transforms if module is optax and name.startswith("unitwise") else module, name)


@pytest.mark.parametrize("name", NAMES)
def test_arguments_and_defaults_are_those_of_optax(name):
    theirs, ours = (inspect.signature(of(module, name)).parameters for module in (optax, gradtx))
    assert set(theirs) - set(ours) == LACKS.get(name, set())
    shared = [n for n in ours if n in theirs]
    for n in shared:
        if (name, n) not in ANOTHER_DEFAULT:
            assert ours[n].default == theirs[n].default, n
    by_position = [n for n in shared if ours[n].kind == ours[n].POSITIONAL_OR_KEYWORD]
    assert by_position == [n for n in theirs if n in by_position]


@pytest.mark.parametrize("name", NAMES)
def test_a_number_by_position_is_the_one_that_optax_takes(name):
    theirs, ours = (inspect.signature(of(module, name)).parameters for module in (optax, gradtx))
    for own, other in zip(ours.values(), theirs.values(), strict=False):
        if own.kind != own.POSITIONAL_OR_KEYWORD or other.kind != other.POSITIONAL_OR_KEYWORD:
            return  # one argument too many is an error
        if own.name != other.name:
            assert other.name in NO_NUMBERS
            return


def test_structure_may_be_given_as_in_optax():
    assert gradtx.trace(0.9, True, jnp.bfloat16) == gradtx.trace(0.9, nesterov=True, accumulator_dtype="bfloat16")
    assert gradtx.ema(0.9, False) == gradtx.ema(0.9, debias=False)
    assert gradtx.add_decayed_weights(0.1, "w") == gradtx.add_decayed_weights(0.1, mask="w")
    assert gradtx.scale_by_adam(0.9, 0.99, 1e-8, 0.0, "bfloat16").mu_dtype == "bfloat16"
    assert gradtx.adafactor(0.1, clipping_threshold=None).clipping_threshold is None
    with pytest.raises(TransformationError, match=r"noisy_sgd: no argument 'key' \(write seed=...\)"):
        gradtx.noisy_sgd(0.1, key=3)
    with pytest.raises(TransformationError, match="clip: max_delta: expected a number"):
        gradtx.clip(None)


def test_a_trace_may_keep_everything_but_not_more():
    tx = gradtx.trace(decay=1.0)
    state = tx.init(jnp.zeros(1))
    for total in (1.0, 2.0, 3.0):
        u, state = tx.update(jnp.ones(1), state)
        assert float(u[0]) == total
    with pytest.raises(TransformationError, match=r"trace: decay: expected a number in \[0, 1\]"):
        gradtx.trace(1.1)


# Precision ------------------------------------------------------------------------------------------------------------


def stepped(tx, gradient, params=None, steps=1, **extra):
    state = tx.init(gradient if params is None else params)
    for _ in range(steps):
        u, state = tx.update(gradient, state, params, **extra)
    return u, state


NORMED = {  # of the gradient of ones, with parameters of ones
    "scale_by_trust_ratio": (gradtx.scale_by_trust_ratio(), 1.0),
    "scale_by_param_block_norm": (gradtx.scale_by_param_block_norm(), MANY**0.5),
    "scale_by_param_block_rms": (gradtx.scale_by_param_block_rms(), 1.0),
    "clip_by_block_rms": (gradtx.clip_by_block_rms(0.5), 0.5),
    "adaptive_grad_clip": (gradtx.adaptive_grad_clip(0.5), 0.5),
    "normalize_by_update_norm": (gradtx.normalize_by_update_norm(), MANY**-0.5),
    "scale_by_novograd": (gradtx.scale_by_novograd(), MANY**-0.5),
    "scale_by_distance_over_gradients": (gradtx.scale_by_distance_over_gradients(0.5), 0.5 * (1 + MANY**-0.5)),
    "scale_by_polyak": (gradtx.scale_by_polyak(), 3.0 / MANY),
    "fromage": (gradtx.fromage(0.5), (1 - 0.5) / 1.25**0.5 - 1),
    "lamb": (gradtx.lamb(0.5), -0.5),
    "lars": (gradtx.lars(0.5, trust_coefficient=1.0), -0.5),
    "adafactor": (gradtx.adafactor(0.5), -0.5),
}


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", NORMED)
def test_a_norm_of_many_small_numbers_is_accumulated_in_float32(name, dtype):
    tx, expected = NORMED[name]
    ones = jnp.ones(MANY, dtype)
    u, _ = stepped(tx, ones, ones, **({"value": 3.0} if name == "scale_by_polyak" else {}))
    assert u.dtype == dtype
    np.testing.assert_allclose(np.asarray(u[:3], np.float64), expected, rtol=1e-2, atol=6e-8)


@pytest.mark.parametrize(
    "tx",
    [
        gradtx.adabelief(0.1), gradtx.adafactor(0.1), gradtx.adamaxw(0.1), gradtx.adan(0.1), gradtx.fromage(0.1),
        gradtx.lamb(0.1), gradtx.lars(0.1), gradtx.nadamw(0.1), gradtx.novograd(0.1), gradtx.optimistic_adam(0.1),
        gradtx.radam(0.1), gradtx.sm3(0.1), gradtx.yogi(0.1), gradtx.amsgrad(0.1), gradtx.rmsprop(0.1),
    ],
    ids=lambda tx: tx.call.name,
)  # fmt: skip
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_gradients_that_are_zero_or_tiny_give_finite_updates(tx, dtype):
    params = {"w": jnp.ones((3, 2), dtype), "b": jnp.zeros(2, dtype)}
    for size in (0.0, 6e-8):
        gradient = jax.tree.map(lambda p, size=size: jnp.full_like(p, size), params)
        u, state = stepped(tx, gradient, params, steps=7)
        assert all(bool(jnp.isfinite(x).all()) for x in jax.tree.leaves((u, state)))


@pytest.mark.parametrize("decay", [0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999])
def test_radam_rectifies_from_the_step_that_exact_arithmetic_says(decay):
    """ρ is a difference of numbers as large as 2/(1 − β): in float32 it would cross the threshold too early or late."""

    def rho(t):
        b = Fraction(decay)
        return 2 / (1 - b) - 1 - 2 * t * b**t / (1 - b**t)

    tx = gradtx.scale_by_rectified_rms(decay)
    update = jax.jit(tx.update)
    state, enough = tx.init(jnp.zeros(1)), []
    for t in range(1, 13):
        u, state = update(jnp.array([1000.0]), state)
        enough.append(bool(u[0] < 2))
        assert enough[-1] == (rho(t) >= 5)
        if enough[-1]:
            now, top = float(rho(t)), 2 / (1 - Fraction(decay)) - 1
            wanted = ((now - 4) * (now - 2) * top / ((top - 4) * (top - 2) * now)) ** 0.5
            np.testing.assert_allclose(float(u[0]), float(wanted), rtol=2e-5)
    assert any(enough) == (decay > 0.7)


def test_a_memory_too_short_to_be_rectified_is_never_trusted():
    tx = gradtx.radam(0.1, b2=0.5, threshold=0.0)
    u, _ = stepped(tx, jnp.array([3.0]), steps=5)
    np.testing.assert_allclose(u, [-0.3], rtol=1e-6)
    slope = jax.grad(lambda tx: stepped(tx, jnp.array([3.0]), steps=5)[0].sum())(tx)
    assert all(bool(jnp.isfinite(x)) for x in jax.tree.leaves(slope))


@pytest.mark.parametrize("rate", [1e-2, 1e-3, 1e-4])
def test_fromage_shrinks_exactly_in_float32(rate):
    theta = jnp.array([3.0, 4.0])
    u = jax.jit(lambda tx: stepped(tx, jnp.array([-4.0, 3.0]), theta)[0])(gradtx.fromage(rate))
    length = np.hypot(1, rate)
    along = np.array([3.0, 4.0]) * np.expm1(-0.5 * np.log1p(rate**2))
    wanted = along - rate / length * np.array([-4.0, 3.0])
    np.testing.assert_allclose(u, wanted, rtol=3e-7)
    found = float(np.dot(np.asarray(u, np.float64), [3.0, 4.0])) / 25  # of θ, by which it shrinks
    np.testing.assert_allclose(found, -(rate**2) / (length * (1 + length)), rtol=1e-2 if rate > 1e-3 else 1.0)


# Optax, where a row cannot say it -------------------------------------------------------------------------------------


def test_noisy_sgd_draws_from_the_normal_distribution_of_optax():
    gradient = {"w": jnp.full((500, 200), 2.0), "b": jnp.zeros(100_000)}
    ours, theirs = gradtx.noisy_sgd(0.5, 0.04, 0.5, seed=1), optax.noisy_sgd(0.5, 0.04, 0.5, key=1)
    with jax.numpy_dtype_promotion("standard"):
        state, other = ours.init(gradient), theirs.init(gradient)
        for t in (1, 2, 3):
            u, state = ours.update(gradient, state)
            v, other = theirs.update(gradient, other)
            for leaf, mean in (("w", -1.0), ("b", 0.0)):
                for drawn in (u[leaf], v[leaf]):
                    deviation = 0.5 * (0.04 / t**0.5) ** 0.5
                    assert abs(float(drawn.mean()) - mean) < 5 * deviation / 100_000**0.5
                    np.testing.assert_allclose(float(drawn.std()), deviation, rtol=0.02)
    assert abs(np.corrcoef(u["w"].ravel(), u["b"])[0, 1]) < 0.02


@pytest.mark.parametrize("shape", [(), (1,), (4,), (1, 4), (3, 4), (2, 3, 4), (2, 2, 3, 4), (2, 1, 2, 3, 4)])
def test_units_are_those_of_optax(shape):
    x = jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32)
    np.testing.assert_allclose(gradtx.unitwise_norm(x), optax.transforms.unitwise_norm(x), rtol=1e-6)
    if len(shape) > 1:
        np.testing.assert_allclose(
            gradtx.unitwise_norm(x, (0, 1)), optax.transforms.unitwise_norm(x, (0, 1)), rtol=1e-6
        )
    largest = 0.5 * gradtx.unitwise_norm(x)
    np.testing.assert_allclose(
        gradtx.unitwise_clip(gradtx.unitwise_norm(x), largest, x),
        optax.transforms.unitwise_clip(optax.transforms.unitwise_norm(x), largest, x),
    )


def test_units_of_many_axes_must_be_said():
    x = jnp.ones((2, 2, 2, 2, 2, 2))
    with pytest.raises(TransformationError, match="at most 5 axes"):
        gradtx.unitwise_norm(x)
    with pytest.raises(TransformationError, match=r"adaptive_grad_clip: leaf k: .*at most 5 axes"):
        stepped(gradtx.adaptive_grad_clip(0.1), {"k": x}, {"k": x})
    u, _ = stepped(gradtx.adaptive_grad_clip(0.5, axis=(0, 1, 2, 3, 4)), {"k": x}, {"k": x})
    np.testing.assert_allclose(u["k"], 0.5 * np.ones(x.shape), rtol=1e-6)
    with pytest.raises(TransformationError, match="norms shaped like the gradient"):
        gradtx.unitwise_clip(jnp.ones(2), jnp.ones(1), jnp.ones(2))


def examples(dtype=np.float32):
    rng = np.random.default_rng(0)
    grads = {"w": rng.normal(size=(6, 3, 2)), "b": rng.normal(size=(6, 4))}
    return {leaf: jnp.asarray(g, dtype).at[2].set(0) for leaf, g in grads.items()}


def test_examples_are_clipped_as_in_optax():
    grads = examples()
    (ours, count), (theirs, other) = (of.per_example_global_norm_clip(grads, 2.5) for of in (gradtx, optax))
    assert 0 < int(count) < 6
    assert int(count) == int(other)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), ours, theirs)


@pytest.mark.parametrize("uniform", [True, False])
def test_layers_of_examples_are_clipped_as_in_optax(uniform):
    grads = examples()
    (ours, counts), (theirs, others) = (of.per_example_layer_norm_clip(grads, 2.5, uniform) for of in (gradtx, optax))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), ours, theirs)
    assert jax.tree.map(int, counts) == jax.tree.map(int, others)


def test_examples_in_half_precision_are_summed_in_float32_and_missing_leaves_stay_missing():
    grads = {"w": jnp.full((4, 100_000), 200.0, jnp.float16), "b": None}
    total, count = gradtx.per_example_global_norm_clip(grads, 1.0)
    assert total["b"] is None
    assert (total["w"].dtype, int(count)) == (jnp.float32, 4)
    np.testing.assert_allclose(total["w"][:3], 4 / 100_000**0.5, rtol=1e-5)
    total, counts = gradtx.per_example_layer_norm_clip(grads, 1.0)
    assert (total["b"], counts["b"]) == (None, None)


@pytest.mark.parametrize("wrong", [{"w": jnp.ones((2, 3)), "b": jnp.ones(3)}, {"w": jnp.ones(2), "b": jnp.ones(())}])
def test_examples_without_a_common_axis_are_refused(wrong):
    for clip in (gradtx.per_example_global_norm_clip, gradtx.per_example_layer_norm_clip):
        with pytest.raises(TransformationError, match=r"one leading axis.*b \("):
            clip(wrong, 1.0)


# Single rules ---------------------------------------------------------------------------------------------------------


def test_polyak_scales_with_its_scaling_and_needs_a_value():
    x = jnp.array([2.0, 1.0])
    one, half = (stepped(gradtx.polyak_sgd(10.0, s), x, value=jnp.array(3.0))[0] for s in (1.0, 0.5))
    np.testing.assert_allclose(half, 0.5 * one, rtol=1e-6)
    with pytest.raises(TransformationError, match="value"):
        stepped(gradtx.polyak_sgd(), x)
    u, _ = stepped(gradtx.polyak_sgd(), jnp.zeros(2), value=jnp.array(3.0))
    assert not u.any()


def test_nan_is_zeroed_and_seen_and_infinity_stays():
    gradient = {"a": jnp.array([jnp.nan, 1.0, -jnp.inf]), "b": jnp.array([2.0])}
    tx = gradtx.chain(gradtx.zero_nans(), gradtx.sgd(0.5))
    u, state = stepped(tx, gradient)
    np.testing.assert_array_equal(u["a"], [0, -0.5, np.inf])
    assert jax.tree.map(bool, state["zero_nans"]["found_nan"]) == {"a": True, "b": False}
    _, state = tx.update({"a": jnp.zeros(3), "b": jnp.zeros(1)}, state)
    assert jax.tree.map(bool, state["zero_nans"]["found_nan"]) == {"a": False, "b": False}


def test_parameters_stay_at_zero_or_above():
    tx = gradtx.chain(gradtx.adam(0.3), gradtx.keep_params_nonnegative())
    params = jnp.array([1.0, 0.1, 2.0], jnp.bfloat16)
    state = tx.init(params)
    for _ in range(12):
        u, state = tx.update(jnp.ones(3, jnp.bfloat16), state, params)
        params = gradtx.apply_updates(params, u)
    assert params.tolist() == [0.0, 0.0, 0.0]
    with pytest.raises(TransformationError, match="no order"):
        stepped(gradtx.keep_params_nonnegative(), jnp.ones(1, complex), jnp.ones(1, complex))


def test_updates_of_several_steps_are_applied_together():
    x = jnp.array([1.0])
    every, alone = gradtx.chain(gradtx.sgd(0.5), gradtx.apply_every(3)), gradtx.sgd(0.5)
    state, sums = every.init(x), []
    for g in (1.0, 2.0, 4.0, 8.0, 16.0, 32.0):
        u, state = every.update(jnp.array([g]), state)
        sums.append(float(u[0]))
    assert sums == [0, 0, -3.5, 0, 0, -28.0]
    assert float(alone.update(x, {})[0][0]) == -0.5


def test_sm3_keeps_one_number_for_each_row_and_column():
    params = {"w": jnp.zeros((5, 3, 2)), "b": jnp.zeros(4), "s": jnp.zeros(())}
    tx = gradtx.scale_by_sm3()
    assert jax.tree.map(jnp.shape, tx.init(params)["nu"]) == {"w": ((5,), (3,), (2,)), "b": ((4,),), "s": ((),)}
    u, _ = stepped(tx, jax.tree.map(jnp.ones_like, params))
    np.testing.assert_allclose(u["s"], 0.1, rtol=1e-6)


def test_adafactor_leaves_out_what_is_none():
    tx = gradtx.adafactor(None, multiply_by_parameter_scale=False, clipping_threshold=None, factored=False)
    u, state = stepped(tx, jnp.array([[4.0, -3.0]]), jnp.ones((1, 2)))
    np.testing.assert_allclose(u, [[-1.0, 1.0]], rtol=1e-6)
    assert set(state) == {"count", "scale_by_factored_rms"}


def test_adam_after_momentum_sees_the_momentum_as_its_gradient():
    ours = gradtx.chain(gradtx.trace(0.9), gradtx.scale_by_adam())
    theirs = optax.chain(optax.trace(0.9), optax.scale_by_adam())
    gradients = jnp.asarray(np.random.default_rng(0).normal(size=(9, 5)), jnp.float32)
    state, other = ours.init(gradients[0]), theirs.init(gradients[0])
    for g in gradients:
        u, state = ours.update(g, state)
        with jax.numpy_dtype_promotion("standard"):
            v, other = theirs.update(g, other)
        np.testing.assert_allclose(u, v, rtol=1e-4)


def test_factors_of_leaves_can_be_measured():
    links = gradtx.scale_by_trust_ratio(), gradtx.clip_by_block_rms(1.0), gradtx.adaptive_grad_clip(0.1)
    _, state = stepped(gradtx.measured(gradtx.chain(*links)), jnp.array([3.0, 4.0]), jnp.array([6.0, 8.0]))
    found = {name: round(float(x), 4) for name, x in gradtx.measurements(state).items()}
    assert found == {
        "scale_by_trust_ratio.ratio": 2.0,
        "clip_by_block_rms.rms": round(50**0.5, 4),
        "clip_by_block_rms.rate": 1.0,
        "adaptive_grad_clip.rate": 1.0,
    }
