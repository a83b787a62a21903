"""Averages: the lecture's tables through `scale_by_ewma`, its correction, and the facts about windows and weights."""

import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx as gx
from gradtx._schedules.averages import decay_of_half_life, effective_window, ewma_weights, half_life

SERIES = [3.0, 5.0, 6.0, 2.0, 4.0, 8.0]
TABLES = {
    0.5: [1.5, 3.25, 4.625, 3.3125, 3.65625, 5.828125],
    0.9: [0.3, 0.77, 1.293, 1.3637, 1.62733, 2.264597],
}
every_decay = pytest.mark.parametrize("decay", [0.0, 0.5, 0.9, 0.999])


@pytest.fixture
def double_precision():
    with jax.enable_x64(True):
        yield


def outputs(tx, series):
    """What a transformation makes of a series of updates, one row a step."""
    series = jnp.asarray(series)

    def step(state, q):
        u, state = tx.update(q, state)
        return state, u

    return jax.jit(lambda tx: jax.lax.scan(step, tx.init(jnp.zeros_like(series[0])), series)[1])(tx)


def corrected(decay):
    return gx.chain(gx.scale_by_ewma(decay), gx.bias_correction(decay))


# Series ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("decay", TABLES)
@pytest.mark.usefixtures("double_precision")
def test_ewma_tables_of_the_lecture(decay):
    np.testing.assert_allclose(outputs(gx.scale_by_ewma(decay), SERIES), TABLES[decay], rtol=1e-14)


@pytest.mark.parametrize("decay", TABLES)
def test_ewma_tables_of_the_lecture_in_float32(decay):
    np.testing.assert_allclose(outputs(gx.scale_by_ewma(decay), SERIES), TABLES[decay], rtol=2e-7)


@every_decay
@pytest.mark.usefixtures("double_precision")
def test_ewma_from_the_first_value_of_a_constant_series_is_that_constant_at_once(decay):
    first = gx.scale_by_ewma(decay, initial="first")
    np.testing.assert_array_equal(outputs(first, np.full(50, 3.7)), 3.7)
    if decay:
        assert float(outputs(gx.scale_by_ewma(decay), [3.7])[0]) == pytest.approx(3.7 * (1 - decay))


@pytest.mark.parametrize("decay", TABLES)
@pytest.mark.usefixtures("double_precision")
def test_ewma_from_the_first_value_starts_there_and_goes_on_as_from_zero(decay):
    found, expected = outputs(gx.scale_by_ewma(decay, initial="first"), SERIES), [SERIES[0]]
    for q in SERIES[1:]:
        expected.append(decay * expected[-1] + (1 - decay) * q)
    np.testing.assert_allclose(found, expected, rtol=1e-14)
    halves = [3.0, 4.0, 5.0, 3.5, 3.75, 5.875]
    if decay == 0.5:
        np.testing.assert_array_equal(found, halves)
    # what the first value weighs too much, all later steps forget at the same pace
    np.testing.assert_allclose(found - np.array(TABLES[decay]), 3 * decay ** np.arange(1, 7), rtol=1e-12)


@every_decay
@pytest.mark.usefixtures("double_precision")
def test_bias_correction_of_a_constant_series_is_that_constant_from_the_first_step_on(decay):
    np.testing.assert_allclose(outputs(corrected(decay), np.full(50, 3.7)), 3.7, rtol=1e-13)
    short = outputs(gx.scale_by_ewma(decay), np.full(50, 3.7))
    np.testing.assert_allclose(short, 3.7 * (1 - decay ** np.arange(1, 51)), rtol=1e-12)


def test_bias_correction_of_a_stationary_series_has_its_mean_at_every_step():
    decay, mean, lanes, steps = 0.9, 2.0, 20_000, 20
    series = np.random.default_rng(0).normal(mean, 1.0, (steps, lanes)).astype(np.float32)
    found = np.mean(outputs(corrected(decay), series), axis=1)
    weights = [np.asarray(ewma_weights(decay, t)) / (1 - decay**t) for t in range(1, steps + 1)]
    error = np.array([math.sqrt(np.sum(w**2) / lanes) for w in weights])  # the standard deviation of each mean
    assert np.all(np.abs(found - mean) < 4 * error)
    raw = np.mean(outputs(gx.scale_by_ewma(decay), series), axis=1)
    np.testing.assert_allclose(raw / (1 - decay ** np.arange(1, steps + 1)), found, rtol=1e-5)
    assert raw[0] < 0.11 * mean  # which is why it is corrected


@every_decay
@pytest.mark.usefixtures("double_precision")
def test_ewma_is_the_sum_of_its_observations_by_their_weights(decay):
    weighed = np.dot(ewma_weights(decay, 6), SERIES[::-1])
    np.testing.assert_allclose(outputs(gx.scale_by_ewma(decay), SERIES)[-1], weighed, rtol=1e-13)


# Facts ----------------------------------------------------------------------------------------------------------------


@every_decay
@pytest.mark.parametrize("n", [0, 1, 2, 10, 1_000])
@pytest.mark.usefixtures("double_precision")
def test_effective_window_weights_sum_to_what_the_correction_divides_by(decay, n):
    weights = ewma_weights(decay, n)
    assert weights.shape == (n,)
    np.testing.assert_allclose(weights, [(1 - decay) * decay**k for k in range(n)], rtol=1e-12)
    assert float(jnp.sum(weights)) == pytest.approx(1 - decay**n, abs=1e-13)


@pytest.mark.parametrize(("decay", "window"), [(0.0, 1), (0.5, 2), (0.9, 10), (0.99, 100), (0.999, 1_000)])
def test_effective_window(decay, window):
    assert effective_window(decay) == pytest.approx(window, rel=1e-13)
    assert float(effective_window(jnp.float32(decay))) == pytest.approx(
        window, rel=1e-4
    )  # all that float32 knows of it


@pytest.mark.parametrize("decay", [0.9, 0.99, 0.999])
def test_effective_window_leaves_weights_of_about_one_over_e(decay):
    assert decay ** effective_window(decay) == pytest.approx(1 / math.e, rel=0.06)


@pytest.mark.parametrize("decay", [0.1, 0.5, 0.9, 0.999, 0.99999])
def test_effective_window_half_life_halves_a_weight_and_back(decay):
    steps = half_life(decay)
    assert steps == pytest.approx(math.log(0.5) / math.log(decay), rel=1e-10)
    assert decay**steps == pytest.approx(0.5, rel=1e-13)
    assert decay_of_half_life(steps) == pytest.approx(decay, rel=1e-14)


def test_effective_window_half_life_of_what_forgets_at_once_is_nothing():
    assert half_life(0.0) == decay_of_half_life(0) == 0.0
    assert float(half_life(jnp.float32(0.0))) == float(decay_of_half_life(jnp.float32(0.0))) == 0.0


def test_python_numbers_stay_python_numbers_so_that_a_decay_keeps_its_digits():
    decay = decay_of_half_life(693)
    assert type(decay) is float
    assert gx.scale_by_ewma(decay).decay == decay


def test_random_search_not_grid_sixty_draws_hit_the_best_five_percent_in_954_of_1000():
    rate, rng = gx.sweep.uniform(0.0, 1.0), np.random.default_rng(0)
    points = np.array([rate.draw(rng) for _ in range(10_000 * 60)]).reshape(10_000, 60)
    hits = np.mean(np.any((points >= 0.6) & (points < 0.65), axis=1))
    assert f"{1 - 0.95**60:.3f}" == "0.954"
    assert hits == pytest.approx(0.954, abs=0.006)


def test_random_search_not_grid_draws_independently_and_rates_log_uniformly():
    draws = {"learning_rate": gx.sweep.log_uniform(1e-5, 1e-1), "b1": gx.sweep.uniform(0.5, 0.9)}
    points = gx.sweep.sample(gx.adam, 4_000, seed=0, **draws).points
    rates, decays = (np.array([point[name] for point in points]) for name in ("learning_rate", "b1"))
    decades = np.histogram(np.log10(rates), bins=[-5, -4, -3, -2, -1])[0] / 4_000
    np.testing.assert_allclose(decades, 0.25, atol=4 * math.sqrt(0.25 * 0.75 / 4_000))  # four standard deviations
    assert abs(np.corrcoef(np.log(rates), decays)[0, 1]) < 4 / math.sqrt(4_000)
    # 16 draws try 16 values of each number, where a grid of 16 points tries 4
    sixteen = points[:16]
    grid = gx.sweep.grid(gx.adam, learning_rate=[1e-4, 1e-3, 1e-2, 1e-1], b1=[0.5, 0.6, 0.7, 0.8]).points
    for name in draws:
        assert (len({point[name] for point in sixteen}), len({point[name] for point in grid})) == (16, 4)


# Traced, swept, differentiated ----------------------------------------------------------------------------------------

FACTS = {
    "effective_window": (effective_window, [0.2, 0.5, 0.9], lambda b: 1 / (1 - b) ** 2),
    "half_life": (half_life, [0.2, 0.5, 0.9], lambda b: -math.log(0.5) / (b * np.log(b) ** 2)),
    "decay_of_half_life": (decay_of_half_life, [0.5, 3.0, 70.0], lambda h: 0.5 ** (1 / h) * math.log(2) / h**2),
    "ewma_weights": (lambda b: ewma_weights(b, 3)[2], [0.2, 0.5, 0.9], lambda b: 2 * b - 3 * b**2),
}


@pytest.mark.parametrize("name", FACTS)
@pytest.mark.usefixtures("double_precision")
def test_facts_trace_sweep_and_differentiate(name):
    fact, values, slope = FACTS[name]
    found, slopes = jax.jit(jax.vmap(jax.value_and_grad(fact)))(jnp.array(values))
    np.testing.assert_allclose(found, [float(fact(x)) for x in values], rtol=1e-14)
    np.testing.assert_allclose(slopes, slope(np.array(values)), rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_numpy_numbers_and_arrays_are_taken(dtype):
    for fact, values, _ in FACTS.values():
        assert float(fact(dtype(values[1]))) == float(fact(values[1]))
    np.testing.assert_allclose(effective_window(np.array([0.5, 0.75], dtype)), [2, 4])
    np.testing.assert_allclose(half_life(np.array([0.5, 0.25], dtype)), [1, 0.5])
    np.testing.assert_allclose(decay_of_half_life(np.array([1, 0.5], dtype)), [0.5, 0.25])


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: effective_window(1.0), "effective_window: decay: expected a number in [0, 1), found 1.0"),
        (lambda: half_life(-0.1), "half_life: decay: expected a number in [0, 1), found -0.1"),
        (lambda: half_life("0.9"), "half_life: decay: expected a number"),
        (lambda: decay_of_half_life(-1), "decay_of_half_life: half_life: expected a number in [0, inf), found -1.0"),
        (lambda: ewma_weights(2.0, 3), "ewma_weights: decay: expected a number in [0, 1), found 2.0"),
        (lambda: ewma_weights(0.5, -1), "ewma_weights: n: expected a number of observations, found -1"),
    ],
    ids=["no window", "a negative decay", "a string", "a negative half-life", "growth", "less than nothing"],
)
def test_a_wrong_argument_is_an_error_that_names_it(make, says):
    with pytest.raises(gx.TransformationError, match=re.escape(says)):
        make()
