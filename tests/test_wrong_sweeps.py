"""What a newcomer may get wrong in a sweep: the error says where, what was found, and what to do."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gradtx
from gradtx import sweep, tune

X = jnp.linspace(-1.0, 1.0, 40)[:, None]
DATA, START = {"x": X, "y": 2.0 * X}, {"w": jnp.zeros((1, 1))}
RATES = sweep.grid(gradtx.adam, learning_rate=[0.01, 0.1])


def loss(params, batch):
    return jnp.mean((batch["x"] @ params["w"] - batch["y"]) ** 2)


def scheduled(peak, warmup=3.0):
    return gradtx.sgd(gradtx.linear_schedule(peak, 0.0, warmup))


def run(data=DATA, *, loss=loss, params=START, population=RATES, **options):
    return sweep.run(loss, params, population, data, steps=3, **options)


def evaluated(evaluate):
    return run(evaluate=evaluate)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: sweep.grid(gradtx.adam, learning_rate={0.1, 0.2}), "learning_rate: expected a list of values"),
        (lambda: sweep.grid(gradtx.adam, learning_rate=iter([0.1])), "learning_rate: expected a list of values"),
        (lambda: sweep.grid(gradtx.adam, learning_rate=np.ones((2, 2))), r"array of one axis .* found float64\[2, 2\]"),
        (lambda: sweep.grid(scheduled, peek=[0.1]), r"scheduled: it takes no 'peek' \(did you mean 'peak'\?\)"),
        (lambda: sweep.grid(scheduled, warmup=[1.0]), "scheduled: missing a required argument: 'peak'"),
        (lambda: sweep.grid(gradtx.adam, learning_rate=0.1, seeds=3), r"seeds: expected .* range\(3\), found 3"),
        (lambda: sweep.search(gradtx.adam, loss, START, DATA, trials=1, steps=1,
                              space={"learning_rate": sweep.uniform(0, 1)}, seeds=3), "search: seeds: expected"),
        (lambda: sweep.sample(gradtx.adam, 2, seed=0, learning_rate=[0.1, 0.2]), r"draw from .* choice\(\[...\]\)"),
        (lambda: sweep.sample(gradtx.adam, 2, seed=0, learning_rate=np.ones(2)), r"draw from .* choice\(\[...\]\)"),
        (lambda: sweep.log_uniform("1e-3", 1), "log_uniform: expected two numbers, found '1e-3' and 1"),
        (lambda: sweep.choice("relu"), "choice: expected a list of values, found 'relu'"),
        (lambda: sweep.choice(3), "choice: expected a list of values, found 3"),
        (lambda: sweep.stack(gradtx.adam(0.1)), r"stack: expected a list of transformations, found adam\("),
        (lambda: sweep.grid(optax.sgd, learning_rate=np.linspace(0.1, 1.0, 40)), "gradtx has all of Optax's"),
        (lambda: run(loss=lambda params, batch: batch["x"][:, 0]), r"found float32\[40\]: take the mean of it"),
        (lambda: run(loss=lambda params, batch, l2: 0.0), r"the population gives it l2: grid\(..., numbers=\{'l2': \["),
        (lambda: run(3.0), "data: expected a leading axis of rows, found a scalar"),
        (lambda: run({"x": np.array(["a", "b"])}), "data: leaf x: expected numbers, found <U1"),
        (lambda: run(params=None), "params: expected a model, such as a tree of arrays, found None"),
        (lambda: evaluated(lambda params: loss(params, DATA)), r"such as \{'error': ...\}, found float32\[\]"),
        (lambda: evaluated(lambda params, batch: {}), r"expected evaluate\(params\), found evaluate\(params, batch\)"),
        (lambda: evaluated(lambda params: {"error": params["w"][0]}), r"error: expected one number, found float32\[1"),
        (lambda: evaluated(lambda params: {"error": float(loss(params, DATA))}), "it is compiled, .* take jax.num"),
        (lambda: evaluated(lambda params: {"error": np.array(params["w"]).sum()}), "it is compiled, .* take"),
        (lambda: sweep.horizons(loss, START, gradtx.sgd(0.1), DATA, lengths=[2, 3]), "make: expected a function of"),
        (lambda: tune.hypergradients(loss, gradtx.sgd(0.1)), r"train: expected .* such as tune.training\(loss, ...\)"),
        (lambda: tune.hypergradients(0.5, gradtx.sgd(0.1)), "train: expected a function of .*: found 0.5"),
    ],
)  # fmt: skip
def test_the_error_says_what_to_do(call, said):
    with pytest.raises(gradtx.TransformationError, match=said):
        call()


def test_a_lane_that_is_not_there_is_an_index_error_that_says_how_many_there_are():
    result = run()
    for call in (result.lane, RATES.lane):
        with pytest.raises(IndexError, match="lane: expected 0 to 1, found 2"):
            call(2)
    assert result.lane(-1).point == {"learning_rate": 0.1}


def test_seeds_may_come_from_a_generator():
    population = sweep.grid(gradtx.adam, learning_rate=[0.01, 0.1], seeds=(n for n in range(2)))
    assert [point["seed"] for point in population.points] == [0, 1, 0, 1]


def test_an_array_is_a_value_like_any_other_for_a_function_of_the_user():
    population = sweep.sample(lambda knots: gradtx.sgd(float(knots[0])), 2, seed=0, knots=np.array([0.5, 0.1]))
    assert population.lane(1).learning_rate == 0.5


def test_a_decorated_function_is_asked_for_its_own_arguments():
    @functools.wraps(gradtx.sgd)
    def factory(rate):
        return gradtx.sgd(rate)

    def noisy(params, batch, key):
        return loss(params, batch) + jax.random.normal(key)

    @functools.wraps(noisy)
    def quiet(params, batch):
        return noisy(params, batch, jax.random.key(0))

    @functools.wraps(noisy)
    def train(tx):
        return tx.update(jnp.ones(()), tx.init(jnp.ones(())))[0]

    population = sweep.grid(functools.partial(factory), rate=[0.1, 0.5])
    assert [float(population.lane(n).learning_rate) for n in range(2)] == [np.float32(0.1), 0.5]
    with pytest.raises(gradtx.TransformationError, match="it takes no 'learning_rate'"):
        sweep.grid(factory, learning_rate=[0.1])
    one = functools.wraps(noisy)(lambda params: {"error": 1.0})
    assert run(loss=quiet, evaluate=one).table()[0]["error"] == 1
    injected = gradtx.inject_hyperparams(factory)(rate=0.5)
    assert injected.init(START).hyperparams == {"rate": 0.5}
    assert list(tune.hypergradients(train, gradtx.sgd(0.1)).gradient.values()) == [-1]


def test_a_decorator_that_hands_all_on_is_asked_for_what_it_wraps():
    def noisy(params, batch, key):
        return loss(params, batch) + 0 * jax.random.normal(key)

    counted = functools.wraps(noisy)(lambda *args, **kwargs: noisy(*args, **kwargs))
    assert run(loss=counted).loss.tolist() == run(loss=noisy).loss.tolist()
