"""Averages: the lecture's tables through `scale_by_ewma`, its correction, and the facts about windows and weights."""

import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx as gx
from gradtx._averages import decay_of_half_life, effective_window, ewma_weights, half_life

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
def test_the_tables_of_the_lecture(decay):
    np.testing.assert_allclose(outputs(gx.scale_by_ewma(decay), SERIES), TABLES[decay], rtol=1e-14)


@pytest.mark.parametrize("decay", TABLES)
def test_the_tables_of_the_lecture_in_float32(decay):
    np.testing.assert_allclose(outputs(gx.scale_by_ewma(decay), SERIES), TABLES[decay], rtol=2e-7)


@every_decay
@pytest.mark.usefixtures("double_precision")
def test_a_corrected_constant_series_is_that_constant_from_the_first_step_on(decay):
    np.testing.assert_allclose(outputs(corrected(decay), np.full(50, 3.7)), 3.7, rtol=1e-13)
    short = outputs(gx.scale_by_ewma(decay), np.full(50, 3.7))
    np.testing.assert_allclose(short, 3.7 * (1 - decay ** np.arange(1, 51)), rtol=1e-12)


def test_a_corrected_stationary_series_has_the_mean_of_the_series_at_every_step():
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
def test_an_average_is_the_sum_of_its_observations_by_their_weights(decay):
    weighed = np.dot(ewma_weights(decay, 6), SERIES[::-1])
    np.testing.assert_allclose(outputs(gx.scale_by_ewma(decay), SERIES)[-1], weighed, rtol=1e-13)


# Facts ----------------------------------------------------------------------------------------------------------------


@every_decay
@pytest.mark.parametrize("n", [0, 1, 2, 10, 1_000])
@pytest.mark.usefixtures("double_precision")
def test_the_weights_sum_to_what_the_correction_divides_by(decay, n):
    weights = ewma_weights(decay, n)
    assert weights.shape == (n,)
    np.testing.assert_allclose(weights, [(1 - decay) * decay**k for k in range(n)], rtol=1e-12)
    assert float(jnp.sum(weights)) == pytest.approx(1 - decay**n, abs=1e-13)


@pytest.mark.parametrize(("decay", "window"), [(0.0, 1), (0.5, 2), (0.9, 10), (0.99, 100), (0.999, 1_000)])
def test_the_effective_window(decay, window):
    assert effective_window(decay) == pytest.approx(window, rel=1e-13)
    assert float(effective_window(jnp.float32(decay))) == pytest.approx(
        window, rel=1e-4
    )  # all that float32 knows of it


@pytest.mark.parametrize("decay", [0.9, 0.99, 0.999])
def test_the_weights_older_than_the_window_sum_to_about_one_over_e(decay):
    assert decay ** effective_window(decay) == pytest.approx(1 / math.e, rel=0.06)


@pytest.mark.parametrize("decay", [0.1, 0.5, 0.9, 0.999, 0.99999])
def test_the_half_life_halves_a_weight_and_back(decay):
    steps = half_life(decay)
    assert steps == pytest.approx(math.log(0.5) / math.log(decay), rel=1e-10)
    assert decay**steps == pytest.approx(0.5, rel=1e-13)
    assert decay_of_half_life(steps) == pytest.approx(decay, rel=1e-14)


def test_what_forgets_at_once_has_a_half_life_of_nothing():
    assert half_life(0.0) == decay_of_half_life(0) == 0.0
    assert float(half_life(jnp.float32(0.0))) == float(decay_of_half_life(jnp.float32(0.0))) == 0.0


def test_python_numbers_stay_python_numbers_so_that_a_decay_keeps_its_digits():
    decay = decay_of_half_life(693)
    assert type(decay) is float
    assert gx.scale_by_ewma(decay).decay == decay


def test_sixty_random_draws_hit_the_best_five_percent_in_954_of_1000_searches():
    rate, rng = gx.sweep.uniform(0.0, 1.0), np.random.default_rng(0)
    points = np.array([rate.draw(rng) for _ in range(10_000 * 60)]).reshape(10_000, 60)
    hits = np.mean(np.any((points >= 0.6) & (points < 0.65), axis=1))
    assert f"{1 - 0.95**60:.3f}" == "0.954"
    assert hits == pytest.approx(0.954, abs=0.006)


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
