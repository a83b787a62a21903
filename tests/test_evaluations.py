"""What a loss may ask for and return, what is measured while it trains, and who is told."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx
from gradtx import sweep

X = jax.random.normal(jax.random.key(0), (32, 3))
DATA = {"x": X, "y": jnp.sin(X[:, :1])}
RATES = sweep.grid(gradtx.sgd, learning_rate=[0.01, 0.1, 0.3], seeds=range(2))


# Keys and auxiliary outputs -------------------------------------------------------------------------------------------


def drawn(params, batch, key):
    return jnp.sum(params**2), jax.random.key_data(key)


def test_a_loss_that_takes_a_key_gets_one_from_seed_and_step():
    seen = []

    def loss(params, batch, *, key):
        jax.debug.callback(lambda raw: seen.append(tuple(raw.tolist())), jax.random.key_data(key), ordered=True)
        return jnp.sum(params**2)

    for record_every in (1, 3):
        gradtx.fit(loss, jnp.ones(1), gradtx.sgd(0.1), DATA, steps=7, seed=5, record_every=record_every)
        jax.effects_barrier()
    assert seen[:8] == seen[8:]  # whatever the chunks; the last one is of the final loss
    assert len(set(seen[:8])) == 8


def test_lanes_have_keys_of_their_own_if_they_have_seeds_and_the_final_aux_of_each_is_kept():
    seeded = sweep.grid(gradtx.sgd, learning_rate=[0.1, 0.2], seeds=range(2))
    shared = sweep.grid(gradtx.sgd, learning_rate=[0.1, 0.2, 0.3])
    many = {tuple(x) for x in sweep.run(drawn, jnp.ones(1), seeded, DATA, steps=3, has_aux=True).aux.tolist()}
    one = {tuple(x) for x in sweep.run(drawn, jnp.ones(1), shared, DATA, steps=3, has_aux=True).aux.tolist()}
    assert (len(many), len(one)) == (2, 1)
    assert (
        tuple(gradtx.fit(drawn, jnp.ones(1), gradtx.sgd(0.1), DATA, steps=3, has_aux=True).aux.tolist()) in one | many
    )
    halved = sweep.run(
        lambda p, b, scale: (jnp.sum(p**2), {"p": p * scale}),
        jnp.ones(1),
        sweep.grid(gradtx.sgd, learning_rate=[0.1, 0.2, 0.3], numbers={"scale": [1.0, 2.0]}),
        DATA,
        steps=8,
        has_aux=True,
        select=sweep.halving(2),
    )
    scales = np.array([point["scale"] for point in halved.points], np.float32)
    np.testing.assert_allclose(halved.aux["p"][:, 0], halved.params[:, 0] * scales, rtol=1e-6)


# What the loss should take and return ---------------------------------------------------------------------------------


def moved(params, batch, model_state):
    return jnp.sum(params**2), jnp.zeros(3)


@pytest.mark.parametrize(
    ("loss", "options", "message"),
    [
        (moved, {}, "loss: it takes model_state, and none is given"),
        (lambda p, b: jnp.sum(p), {"model_state": jnp.zeros(2)}, "expected it to take model_state="),
        (
            lambda p, b, model_state: jnp.sum(p),
            {"model_state": 0.0},
            r"expected \(value, model_state\), for model_state",
        ),
        (drawn, {"model_state": jnp.zeros(2)}, "expected it to take model_state="),
        (
            moved,
            {"model_state": jnp.zeros(2)},
            r"model_state: leaf : expected float32\[2\], as given, found float32\[3\]",
        ),
        (
            lambda p, b, model_state: (jnp.sum(p), model_state),
            {"model_state": jnp.zeros(2), "has_aux": True},
            r"expected \(value, \(model_state, aux\)\), for model_state and aux, found ShapeDtypeStruct",
        ),
        (lambda p, b: jnp.sum(p), {"evaluate_every": 3}, "evaluate_every: nothing to evaluate"),
        (lambda p, b: jnp.sum(p), {"evaluate": lambda p: [1.0]}, "evaluate: expected a mapping from names to numbers"),
        (lambda p, b: jnp.sum(p), {"evaluate": lambda p: {"a": "b"}}, "evaluate: a: expected one number, found 'b'"),
        (
            lambda p, b: jnp.sum(p),
            {"evaluate": lambda p: {"a": p}},
            r"evaluate: a: expected one number, found float32\[1\]",
        ),
        (
            lambda p, b: jnp.sum(p),
            {"evaluate": lambda p: {"a": 1.0}, "evaluate_every": 3, "record_every": 2},
            "evaluate_every: expected a multiple of record_every=2, found 3",
        ),
        (lambda p, b: jnp.sum(p), {"callback": 3}, "callback: expected a function"),
    ],
)
def test_errors_speak_at_the_door(loss, options, message):
    with pytest.raises(gradtx.TransformationError, match="^fit: .*" + message):
        gradtx.fit(loss, jnp.ones(1), gradtx.sgd(0.1), DATA, steps=6, **options)
    with pytest.raises(gradtx.TransformationError, match="^sweep.run: .*" + message):
        sweep.run(loss, jnp.ones(1), RATES, DATA, steps=6, **options)


# Evaluations, callbacks, sizes of batches -----------------------------------------------------------------------------


def squares(params, batch):
    return jnp.mean((params - batch) ** 2)


def test_curves_of_a_fit_are_closed_forms_and_the_callback_sees_them():
    told = []

    def callback(progress):
        told.append((progress.step, float(progress.loss), progress.curves["p"].copy()))
        return progress.step >= 6

    run = gradtx.fit(
        squares, jnp.ones([]), gradtx.sgd(0.25), jnp.zeros(4), steps=20, evaluate=lambda p: {"p": p}, evaluate_every=3,
        callback=callback,
    )  # fmt: skip
    np.testing.assert_allclose(run.curves["p"], 0.5 ** np.array([3, 6]), rtol=1e-6)
    assert (run.evaluated.tolist(), int(run.steps), run.reason) == ([3, 6], 6, "the callback ended the run")
    assert len(run.loss) == 6
    assert told[-1][0] == 6
    np.testing.assert_allclose(told[-1][1], 0.25**5, rtol=1e-6)
    assert np.isnan(told[-1][2]).tolist() == [False, False, *[True] * 5]
    held = gradtx.fit(squares, jnp.ones([]), gradtx.sgd(0.25), jnp.zeros(4), steps=2, held_out=jnp.ones(2))
    np.testing.assert_allclose(held.final_loss, (1 - 0.25) ** 2, rtol=1e-6)


def test_curves_of_a_fit_under_jit_are_those_without():
    def curve(rate):
        options = {"steps": 9, "evaluate": lambda p: {"p": p}, "evaluate_every": 4}
        return gradtx.fit(squares, jnp.ones([]), gradtx.sgd(rate), jnp.zeros(4), **options).curves["p"]

    np.testing.assert_allclose(jax.jit(curve)(0.25), 0.5 ** np.array([4, 8, 9]), rtol=1e-6)


def test_sizes_of_batches_are_an_axis_and_each_lane_is_the_fit_of_its_own():
    population = sweep.grid(gradtx.sgd, learning_rate=[0.1, 0.2], batch_size=[2, 4])
    assert [group.batch_size for group in population.groups] == [2, 4]
    data = jnp.arange(8.0)
    result = sweep.run(squares, jnp.zeros([]), population, data, steps=9, over="map")
    for n, point in enumerate(population.points):
        tx = population.lane(n)
        alone = gradtx.fit(squares, jnp.zeros([]), tx, data, steps=9, batch_size=point["batch_size"])
        np.testing.assert_array_equal(result.loss[n], alone.loss)
        assert result.lane(n).batch_size == point["batch_size"]
    assert sorted(row["lane"] for row in result.table()) == [0, 1, 2, 3]
    both = population + sweep.grid(gradtx.adam, learning_rate=[0.1], batch_size=[8])
    assert both.batch_sizes.tolist() == [2, 4, 2, 4, 8]
    with pytest.raises(gradtx.TransformationError, match="populations add up where"):
        population + sweep.grid(gradtx.adam, learning_rate=[0.1])
    with pytest.raises(gradtx.TransformationError, match="batch_size: given twice"):
        sweep.run(squares, jnp.zeros([]), population, data, steps=9, batch_size=2)
    with pytest.raises(gradtx.TransformationError, match="batch_size: expected at most 8"):
        sweep.run(squares, jnp.zeros([]), sweep.grid(gradtx.sgd, learning_rate=[1.0], batch_size=[9]), data, steps=9)


def test_the_callback_of_a_sweep_sees_lanes_and_its_stop_is_a_status(tmp_path):
    seen = []
    population = sweep.grid(gradtx.sgd, learning_rate=[0.1, 0.25, 2.0])
    options = {"steps": 10, "evaluate": lambda p: {"p": p}, "evaluate_every": 5, "record_every": 1}
    options |= {"metric": "final_loss"}
    result = sweep.run(
        squares, jnp.ones([]), population, jnp.zeros(4), callback=lambda p: seen.append(p) or p.step == 6, **options
    )
    last = seen[-1]
    assert (last.step, last.steps, last.best) == (6, 10, 1)
    np.testing.assert_allclose(last.loss, [0.8**10, 0.5**10, 3.0**10], rtol=1e-5)
    np.testing.assert_allclose(last.curves["p"][:, 0], [0.8**5, 0.5**5, -(3.0**5)], rtol=1e-5)
    assert result.status == ["stopped"] * 3
    assert result.steps.tolist() == [6, 6, 6]
    assert np.isnan(result.curves["p"][:, 1]).all()
    np.testing.assert_allclose(result.params, [0.8**6, 0.5**6, 3.0**6], rtol=1e-5)
    names = {path.name for path in result.save(tmp_path, report=False)}
    assert "curves_p.png" in names
