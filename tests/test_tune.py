"""Hypergradients against closed forms and differences, and descent on them."""

import functools

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import pytest

import gradtx
from gradtx import tune
from gradtx._tune import coordinates, descent, hypergradients

STEPS = 12
CURVATURES = np.array([0.5, 1.0, 2.0])
START = np.array([1.0, -2.0, 0.5])


def quadratic(params, batch):
    """½ Σ hw², h the curvatures, which are the data."""
    return jnp.sum(batch * params**2) / 2


def on_quadratic(steps=STEPS, **options):
    return tune.training(quadratic, jnp.asarray(START), jnp.asarray(CURVATURES), steps=steps, **options)


# Closed forms ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_gradient_descent_on_a_quadratic_is_its_closed_form(mode):
    """w_T = (1 − αh)ᵀ w₀, so dL/dα = −Σ T h² (1 − αh)^(2T − 1) w₀²."""
    with jax.enable_x64(True):
        found = tune.hypergradients(on_quadratic(), gradtx.sgd(0.3), mode=mode)
    kept = 1 - 0.3 * CURVATURES
    slope = -np.sum(STEPS * CURVATURES**2 * kept ** (2 * STEPS - 1) * START**2)
    np.testing.assert_allclose(found.loss, np.sum(CURVATURES * kept ** (2 * STEPS) * START**2) / 2, rtol=1e-13)
    np.testing.assert_allclose(found.gradient["sgd.learning_rate"], slope, rtol=1e-12)
    assert list(found.gradient) == ["sgd.learning_rate"]


@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_the_derivative_in_a_decay_is_that_of_momentum(mode):
    """(w, v) ← (w − α(μv + hw), μv + hw): a product of matrices, whose derivative in μ is a sum over the steps."""
    rate, momentum = 0.1, 0.9
    with jax.enable_x64(True):
        found = tune.hypergradients(on_quadratic(), gradtx.sgd(rate, momentum), mode=mode)
    slope = 0.0
    for h, w in zip(CURVATURES, START, strict=True):
        step = np.array([[1 - rate * h, -rate * momentum], [h, momentum]])
        inside = np.array([[0.0, -rate], [0.0, 1.0]])  # of the step, in μ
        powers = [np.linalg.matrix_power(step, n) for n in range(STEPS + 1)]
        moved = sum(powers[STEPS - 1 - n] @ inside @ powers[n] for n in range(STEPS)) @ [w, 0.0]
        slope += h * (powers[STEPS] @ [w, 0.0])[0] * moved[0]
    np.testing.assert_allclose(found.gradient["sgd.momentum"], slope, rtol=1e-12)


def test_knots_of_a_schedule_and_numbers_of_the_loss_have_their_closed_forms():
    """w₂ = (1 − α₀(1 + λ))(1 − α₁(1 + λ)) w₀ for the loss (1 + λ)w²/2, measured by w²/2."""

    def loss(w, batch, penalty):
        return (1 + penalty) * w**2 / 2 + 0 * batch.sum()

    def measure(w, batch):
        return w**2 / 2 + 0 * batch.sum()

    schedule = gradtx.piecewise_interpolate_schedule("linear", 0.5, {1: 0.5})
    with jax.enable_x64(True):
        train = tune.training(loss, jnp.array(1.0), jnp.zeros(1), steps=2, measure=measure)
        found = tune.hypergradients(train, gradtx.sgd(schedule), numbers={"penalty": 0.1})
    first, second, h = 0.5, 0.25, 1.1
    w = (1 - first * h) * (1 - second * h)
    slopes = {
        "sgd.learning_rate.init_value": w * (-h * (1 - second * h) - 0.5 * h * (1 - first * h)),
        "sgd.learning_rate.boundaries_and_scales.0.1": w * (1 - first * h) * -h * 0.5,
        "penalty": w * (-first * (1 - second * h) - second * (1 - first * h)),
    }
    for name, slope in slopes.items():
        np.testing.assert_allclose(found.gradient[name], slope, rtol=1e-12, err_msg=name)


# Differences ----------------------------------------------------------------------------------------------------------


def network(params, batch):
    x, y = batch
    return jnp.mean((jnp.tanh(x @ params["w"]) @ params["v"] - y) ** 2)


def on_network(steps=STEPS, batch_size=8, **options):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(24, 3))
    params = {"w": rng.normal(size=(3, 4)) / 2, "v": rng.normal(size=4) / 2}
    params, data = jax.tree.map(lambda x: jnp.asarray(x, jnp.result_type(float)), (params, (x, np.sin(x.sum(1)))))
    held_out = jax.tree.map(lambda x: x[:8], data)
    return tune.training(network, params, data, held_out=held_out, steps=steps, batch_size=batch_size, **options)


MANY = gradtx.chain(
    gradtx.clip_by_global_norm(0.7),
    gradtx.adamw(
        gradtx.warmup_cosine_decay_schedule(0.01, 0.1, 3.5, 10.5, 0.001), 0.8, 0.95, 1e-3, 1e-4, weight_decay=0.1
    ),
)


@functools.cache
def central_differences():
    """The slope of every number in float64, from trainings with the number a little larger and smaller."""
    with jax.enable_x64(True):
        value, slopes = jax.jit(on_network().__call__), {}
        for name in tune.hypergradients(on_network(), MANY, mode="reverse").gradient:
            number = functools.reduce(getattr, name.split("."), MANY)
            up, down = (float(value(MANY.replace({name: number * (1 + e)}))) for e in (1e-5, -1e-5))
            slopes[name] = (up - down) / (2e-5 * number) if number else None
        return slopes


@pytest.mark.parametrize(("mode", "segments"), [("forward", None), ("reverse", 1), ("reverse", 5)])
@pytest.mark.slow
def test_every_number_has_the_slope_of_central_differences(mode, segments):
    with jax.enable_x64(True):
        found = tune.hypergradients(on_network(segments=segments), MANY, mode=mode)
    slopes = central_differences()
    assert set(slopes) == set(found.gradient)
    assert len(slopes) == 12
    for name, slope in slopes.items():
        if slope is not None:
            np.testing.assert_allclose(found.gradient[name], slope, rtol=2e-6, atol=1e-10, err_msg=name)


def test_the_training_is_that_of_fit():
    train, tx = on_network(), gradtx.sgd(0.1, 0.9)
    final = gradtx.fit(network, train.params, tx, train.data, steps=STEPS, batch_size=8)
    np.testing.assert_array_equal(jax.jit(train.__call__)(tx), jax.jit(network)(final.params, train.held_out))


PLAIN = gradtx.sgd(gradtx.piecewise_interpolate_schedule("linear", 0.1, {4: 0.5, 8: 0.9, 10: 0.1}), 0.9)


def test_segments_change_no_bit_of_the_loss():
    """Whole ones, some with steps left over, and more than there are steps."""
    tx, some = gradtx.sgd(0.1, 0.9), (1, 4, 5, 100)
    losses = [float(tune.hypergradients(on_quadratic(segments=n), tx, mode="reverse").loss) for n in some]
    assert len(set(losses)) == 1


def test_the_compilers_count_of_memory_falls_with_segments():
    def bytes_of(segments):
        train = on_quadratic(400, segments=segments)
        run = jax.jit(jax.grad(lambda rate: train(gradtx.sgd(rate, 0.9))))
        return run.lower(jnp.array(0.01)).compile().memory_analysis().temp_size_in_bytes

    assert bytes_of(20) < bytes_of(1) / 4


def products(jaxpr):
    """The shapes of all matrix products in a program."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            yield equation.outvars[0].aval.shape
        for part in jax.tree.leaves(list(equation.params.values()), is_leaf=lambda x: hasattr(x, "eqns")):
            inside = getattr(part, "jaxpr", part)
            if hasattr(inside, "eqns"):
                yield from products(inside)


def test_forward_mode_runs_the_training_once():
    """Products with an axis of the seven derivatives are theirs; those without it are those of one training."""
    names = list(tune.hypergradients(on_quadratic(), PLAIN, mode="forward").gradient)[:7]
    forward = functools.partial(tune.hypergradients, on_network(), names=names, mode="forward")
    plain = sorted(products(jax.make_jaxpr(on_network().__call__)(PLAIN).jaxpr))
    found = list(products(jax.make_jaxpr(lambda tx: forward(tx).gradient)(PLAIN).jaxpr))
    assert plain
    assert sorted(shape for shape in found if 7 not in shape) == plain
    assert any(7 in shape for shape in found)


def test_scalars_share_one_array_a_dtype_in_the_loop():
    """What a loop carries is counted in its jaxpr: forty more knots carry no array more."""

    def arrays(knots):
        schedule = gradtx.piecewise_interpolate_schedule("linear", 0.1, {float(n + 1): 0.9 for n in range(knots)})
        jaxpr = jax.make_jaxpr(on_network().__call__)(gradtx.adam(schedule)).jaxpr
        (loop,) = (equation for equation in jaxpr.eqns if equation.primitive.name == "scan")
        return len(loop.invars)

    assert arrays(24) == arrays(4)


# How it is asked for --------------------------------------------------------------------------------------------------


def test_names_choose_numbers_by_globs():
    def train(tx):
        return sum(jnp.asarray(x) for x in gradtx.hyperparameters(tx, tx.init(jnp.zeros(1))).values())

    found = tune.hypergradients(train, MANY, names=["adamw.b?", "*.peak_value"])
    assert list(found.gradient) == ["adamw.learning_rate.peak_value", "adamw.b1", "adamw.b2"]


def test_seeds_are_no_numbers_and_other_arguments_are_passed_on():
    def train(tx, scale):
        return scale * jnp.sum(tx.update(jnp.ones(3), tx.init(jnp.ones(3)))[0])

    tx = gradtx.chain(gradtx.add_noise(0.1, 0.5, seed=3), gradtx.scale(-0.5))
    found = tune.hypergradients(train, tx, jnp.array(2.0))
    assert "add_noise.seed" not in found.gradient
    assert {"add_noise.eta", "add_noise.gamma", "scale.step_size"} == set(found.gradient)


def test_a_new_value_does_not_compile_again():
    tune.hypergradients(on_quadratic(), gradtx.sgd(0.1))
    before = hypergradients._program._cache_size()
    tune.hypergradients(on_quadratic(), gradtx.sgd(0.2))
    assert hypergradients._program._cache_size() == before


def test_it_works_under_vmap():
    rates = jnp.array([0.1, 0.3])
    found = jax.vmap(lambda rate: tune.hypergradients(on_quadratic(), gradtx.sgd(rate)))(rates)
    for n, rate in enumerate(rates):
        alone = tune.hypergradients(on_quadratic(), gradtx.sgd(rate)).gradient["sgd.learning_rate"]
        np.testing.assert_allclose(found.gradient["sgd.learning_rate"][n], alone, rtol=1e-6)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: tune.hypergradients(on_quadratic(), gradtx.sgd(0.1), names="sgd.lerning_rate"),
         r"names: 'sgd.lerning_rate' is no number of the transformation \(did you mean 'sgd.learning_rate'\?\)"),
        (lambda: tune.hypergradients(on_quadratic(), gradtx.sgd(0.1), mode="backward"), "mode: expected 'forward'"),
        (lambda: tune.hypergradients(on_quadratic(), gradtx.sgd(np.array([0.1, 0.2]))), r"number, found shape \(2,"),
        (lambda: tune.hypergradients(lambda tx: jnp.ones(2), gradtx.sgd(0.1)), "train: expected one real number"),
        (lambda: tune.hypergradients(on_quadratic(), 0.1), "tune.hypergradients: tx"),
        (lambda: tune.hypergradients(on_quadratic(), gradtx.sgd(0.1), numbers={"l2": 0.1}), "give measure="),
        (lambda: on_quadratic(steps=0), "tune.training: steps: expected a whole number"),
        (lambda: on_quadratic(segments=0), "tune.training: segments"),
        (lambda: on_quadratic(batch_size=9), "batch_size: expected at most 3"),
        (lambda: on_quadratic(measure=lambda p, b: p), "measure: expected one real number"),
    ],
)  # fmt: skip
def test_errors_say_what_to_do(call, words):
    with pytest.raises(gradtx.TransformationError, match=words):
        call()


# Descent --------------------------------------------------------------------------------------------------------------


def test_it_finds_the_best_rate_of_gradient_descent():
    """The rate that minimizes Σ h (1 − αh)^(2T) w₀², from a hundredth of it, against a fine grid in NumPy."""
    found = tune.tune(on_quadratic(), gradtx.sgd(0.01), steps=40)
    rates = np.geomspace(0.1, 1.0, 20_001)[:, None]
    losses = np.sum(CURVATURES * (1 - rates * CURVATURES) ** (2 * STEPS) * START**2, 1) / 2
    np.testing.assert_allclose(found.loss, losses.min(), rtol=1e-3)
    np.testing.assert_allclose(found.best["sgd.learning_rate"], rates[np.argmin(losses), 0], rtol=1e-2)
    assert found.loss == min(row["loss"] for row in found.history)
    assert [row["step"] for row in found.history] == list(range(40))
    assert repr(found).startswith("<Tuned: loss ")


def test_decays_move_by_logits_and_keep_their_digits():
    """The loss is log²(1024(1 − β)), so the best β is 1023/1024; the value has it in float64."""

    def train(tx):
        return jnp.log((1 - tx.given["momentum"]) * 1024.0) ** 2

    found = tune.tune(train, gradtx.sgd(0.1, 0.5), steps=60, names="sgd.momentum")
    np.testing.assert_allclose(1 - found.best["sgd.momentum"], 1 / 1024, rtol=2e-2)
    assert found.tx.momentum == found.best["sgd.momentum"]
    assert found.tx.learning_rate == 0.1


def test_numbers_of_the_loss_are_tuned_within_bounds():
    def train(tx, l2):
        return (jnp.log(l2) - jnp.log(2.0)) ** 2 + 0 * tx.learning_rate

    free = tune.tune(train, gradtx.sgd(0.1), steps=40, numbers={"l2": 0.1})
    kept = tune.tune(train, gradtx.sgd(0.1), steps=40, numbers={"l2": 0.1}, bounds={"l2": (0.05, 0.5)})
    np.testing.assert_allclose(free.best["l2"], 2.0, rtol=1e-2)
    assert kept.best["l2"] == 0.5
    assert all(0.05 <= row["l2"] <= 0.5 for row in kept.history)


def test_where_training_breaks_it_steps_back_to_the_best_and_goes_on():
    """The loss is a cliff: it falls until the rate is 0.5, and is not finite beyond."""

    def train(tx):
        return jnp.where(tx.learning_rate < 0.5, -jnp.log(tx.learning_rate), jnp.nan)

    found = tune.tune(train, gradtx.sgd(0.01), steps=40)
    rejected = [row for row in found.history if row["status"] == "rejected"]
    assert rejected
    assert all(np.isnan(row["loss"]) for row in rejected)
    assert 0.45 < found.best["sgd.learning_rate"] < 0.5
    after = found.history[[row["status"] for row in found.history].index("rejected") + 1]
    assert after["sgd.learning_rate"] < 0.5 * np.exp(0.5)


def test_the_guards_one_by_one():
    """With plain descent of rate 1 every move can be said: z ← z − pace · slope."""
    at = descent._Descent(gradtx.sgd(1.0), {"x": coordinates.Coordinate("x")}, {"x": 0.0})

    def step(loss, slope):
        """A training whose loss has this slope in z."""
        values = at.values()
        at.step(values, loss, {"x": slope / values["x"]})
        return at.history[-1]["status"], at.z["x"]

    assert step(4.0, 0.5) == ("accepted", pytest.approx(-0.5))
    assert step(3.0, 0.5) == ("accepted", pytest.approx(-1.0))
    assert step(3.5, 1000.0) == ("clipped", pytest.approx(-1.0 - 10 * 0.5))
    assert step(float("inf"), 0.5) == ("rejected", pytest.approx(-0.5 - 0.5 * 0.5))  # from the best, half as far
    assert step(5.0, 0.5) == ("rejected", pytest.approx(-0.5 - 0.25 * 0.5))  # worse than the last five
    assert step(2.0, float("nan")) == ("rejected", pytest.approx(-0.5 - 0.125 * 0.5))
    assert step(2.0, 0.5) == ("accepted", pytest.approx(-0.5625 - 0.125 * 1.2 * 0.5))


def test_what_cannot_move_stays_and_is_named_where_it_is_asked_for():
    def train(tx):
        return tx.b1 + tx.learning_rate + tx.eps + tx.eps_root

    found = tune.tune(train, gradtx.adam(0.1), steps=1)
    assert list(found.best) == ["adam.learning_rate", "adam.b1", "adam.b2", "adam.eps"]
    calls = {
        "adam.eps_root is 0, which has no logarithm": {"names": "adam.eps_root"},
        "bounds: 'adam.b3' is not tuned": {"bounds": {"adam.b3": (0.1, 0.2)}},
        r"adam.b1 starts at 0.9, outside of \[0.1, 0.2\]": {"bounds": {"adam.b1": (0.1, 0.2)}},
        r"adam.b1: expected low < high": {"bounds": {"adam.b1": (0.2, 0.1)}},
        r"adam.b1: expected \(low, high\), found 3": {"bounds": {"adam.b1": 3}},
        "expected numbers that can be tuned, found none": {"names": []},
    }
    for words, options in calls.items():
        with pytest.raises(gradtx.TransformationError, match=words):
            tune.tune(train, gradtx.adam(0.1), steps=1, **options)
    with pytest.raises(gradtx.TransformationError, match=r"at the start the loss is nan .*smaller learning rate"):
        tune.tune(lambda tx: tx.learning_rate * jnp.nan, gradtx.sgd(0.1), steps=1)


def test_a_shorter_horizon_is_the_same_training_cut_off():
    np.testing.assert_array_equal(on_quadratic(8).truncated(3)(gradtx.sgd(0.1)), on_quadratic(3)(gradtx.sgd(0.1)))


def test_its_picture():
    figure = tune.tune(lambda tx: (tx.learning_rate - 1) ** 2, gradtx.sgd(0.1), steps=3).plot()
    assert [ax.get_ylabel() for ax in figure.axes] == ["loss at the end", "number, relative to its start"]
    plt.close(figure)
