"""Training loops: what they compute, when they stop, and what they refuse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx
from gradtx._training.chunks import Clock
from gradtx._training.fit import fit_steps
from gradtx._training.objective import Carried, Objective


def squares(params, batch):
    return jnp.mean((batch["x"] @ params["w"] - batch["y"]) ** 2)


def line(n=60, d=3, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d)).astype(np.float32)
    return {"x": x, "y": (x @ np.arange(1.0, d + 1)).astype(np.float32)}


START = {"w": np.zeros(3, np.float32)}


def test_gradient_descent_in_minimize_takes_the_lectures_steps():
    for rate, expected in ((0.2, [6.0, 3.6, 2.16]), (0.05, [9.0, 8.1, 7.29])):
        for steps, x in enumerate(expected, start=1):
            run = gradtx.minimize(lambda x: x**2, jnp.array(10.0), gradtx.sgd(rate), steps=steps)
            assert float(run.params) == pytest.approx(x, rel=1e-6)
            assert float(run.final_loss) == pytest.approx(x**2, rel=1e-6)


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ({"tol": 1e-3}, "the step was no longer than tol"),
        ({"gradient_tol": 1e-2}, "the gradient was no longer than gradient_tol"),
        ({"loss_tol": 1e-4}, "the loss changed by no more than loss_tol"),
        ({}, "all steps were taken"),
    ],
)
def test_repeat_until_happy_says_which_rule_stopped_it_and_stops_there(rule, reason):
    x, losses, steps = 10.0, [], 0
    while steps < 40:  # the same rules by hand, on θ ← θ − 0.2 · 2θ
        losses.append(x**2)
        step, gradient = 0.4 * x, 2 * x
        x, steps = x - step, steps + 1
        near = len(losses) > 1 and abs(losses[-2] - losses[-1]) <= rule.get("loss_tol", -1)
        if step <= rule.get("tol", -1) or gradient <= rule.get("gradient_tol", -1) or near:
            break
    run = gradtx.minimize(lambda x: x**2, jnp.array(10.0), gradtx.sgd(0.2), steps=40, **rule)
    assert (run.reason, int(run.steps)) == (reason, steps)
    np.testing.assert_allclose(run.loss, losses, rtol=1e-4)
    assert float(run.params) == pytest.approx(x, rel=1e-5)


def test_repeat_until_happy_stops_where_the_loss_is_not_finite():
    run = gradtx.minimize(lambda x: x**2, jnp.array(10.0), gradtx.sgd(1e20), steps=30, tol=1e-9)
    assert run.reason == "the loss was not finite"
    assert int(run.steps) < 30


def test_minimize_under_jit_and_vmap_is_minimize():
    def settle(tx):
        return gradtx.minimize(lambda x: x**2, jnp.array(10.0), tx, steps=40, tol=1e-3)

    rates = jnp.array([0.1, 0.2, 0.3])
    together = jax.vmap(settle)(jax.vmap(gradtx.sgd)(rates))
    for n, rate in enumerate(rates):
        alone, traced = settle(gradtx.sgd(rate)), jax.jit(settle)(gradtx.sgd(rate))
        for run in (traced, jax.tree.map(lambda x, n=n: x[n], together)):
            assert int(run.steps) == int(alone.steps)
            np.testing.assert_allclose(run.params, alone.params, rtol=1e-6)


def test_fit_on_all_data_is_the_plain_loop():
    data, tx = line(), gradtx.adam(0.1)
    params, state, losses = START, tx.init(START), []
    for _ in range(30):
        value, gradient = jax.value_and_grad(squares)(params, data)
        updates, state = tx.update(gradient, state, params)
        params = gradtx.apply_updates(params, updates)
        losses.append(value)
    run = gradtx.fit(squares, START, tx, data, steps=30)
    np.testing.assert_allclose(run.params["w"], params["w"], rtol=1e-6)
    np.testing.assert_allclose(run.loss, losses, rtol=1e-5)
    np.testing.assert_allclose(run.final_loss, squares(params, data), rtol=1e-5)
    assert jax.tree.structure(run.state) == jax.tree.structure(state)


def rows_of(seed, first, steps, batch_size, rows):
    """The rows of each batch, as the loss of a fit sees them."""
    seen = []

    def loss(params, batch):
        jax.debug.callback(lambda chosen: seen.append(np.asarray(chosen)), batch, ordered=True)
        return jnp.sum(params)

    carry, key = (jnp.zeros(1), {}, Carried()), jax.random.key(seed)
    options = {"steps": steps, "every": 1, "batch_size": batch_size}
    run = jax.jit(
        lambda carry: fit_steps(
            Objective(loss), gradtx.sgd(0.0), jnp.arange(rows), key, carry, jnp.asarray(first), **options
        )
    )
    jax.block_until_ready(run(carry))
    jax.effects_barrier()
    return np.array(seen)


def test_an_epoch_sees_every_row_once_and_the_next_one_in_another_order():
    epochs = rows_of(3, 0, 12, 5, 20).reshape(3, 20)
    assert all(sorted(epoch) == list(range(20)) for epoch in epochs.tolist())
    assert len({tuple(epoch) for epoch in epochs.tolist()}) == 3


def test_a_step_draws_the_same_batch_wherever_its_chunk_begins():
    whole = rows_of(1, 0, 30, 4, 23)
    for first in (1, 5, 17):
        np.testing.assert_array_equal(rows_of(1, first, 9, 4, 23), whole[first : first + 9])


def test_mini_batch_gradients_of_an_epoch_average_to_the_full_gradient():
    data, params = line(n=60), {"w": jnp.ones(3)}
    parts = [jax.grad(squares)(params, {k: v[rows] for k, v in data.items()})["w"] for rows in rows_of(0, 0, 6, 10, 60)]
    np.testing.assert_allclose(np.mean(parts, axis=0), jax.grad(squares)(params, data)["w"], rtol=1e-5)


@pytest.mark.parametrize("steps", [1, 7, 50, 97, 1000, 2501])
@pytest.mark.parametrize("every", [1, 3])
def test_chunks_cover_every_step_once_in_whole_records(steps, every):
    parts = Clock(steps, every).chunks()
    assert [first for first, _ in parts] == np.cumsum([0, *(n for _, n in parts[:-1])]).tolist()
    assert sum(n for _, n in parts) == steps
    assert all(n % every == 0 for _, n in parts[:-1])


def test_records_are_means_of_the_losses():
    data, tx = line(), gradtx.sgd(0.01)
    each = gradtx.fit(squares, START, tx, data, steps=10, batch_size=7).loss
    every = gradtx.fit(squares, START, tx, data, steps=10, batch_size=7, record_every=4).loss
    np.testing.assert_allclose(every, [np.mean(each[:4]), np.mean(each[4:8]), np.mean(each[8:])], rtol=1e-6)


def test_the_same_seed_is_the_same_run_and_another_seed_another():
    data, tx = line(), gradtx.sgd(0.01)
    first, again, other = (gradtx.fit(squares, START, tx, data, steps=9, batch_size=7, seed=s).loss for s in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.any(first != other)


def test_fit_compiles_once_for_any_number_of_learning_rates():
    data, traces = line(), []

    def loss(params, batch):
        traces.append(1)
        return squares(params, batch)

    gradtx.fit(loss, START, gradtx.adam(0.1), data, steps=40)
    before = len(traces)
    for rate in (0.2, 0.3, 0.4):
        gradtx.fit(loss, START, gradtx.adam(rate), data, steps=40)
    assert len(traces) - before <= 3  # the check of its shape, once a call; no tracing of the loop


def test_fit_can_be_differentiated_in_the_transformation():
    data = line()

    def after(tx):
        return gradtx.fit(squares, START, tx, data, steps=8).final_loss

    slope = jax.grad(after)(gradtx.sgd(0.02, momentum=0.5))
    h = 1e-3
    rates = [gradtx.fit(squares, START, gradtx.sgd(0.02 + s * h, momentum=0.5), data, steps=8) for s in (1, -1)]
    decays = [gradtx.fit(squares, START, gradtx.sgd(0.02, momentum=0.5 + s * h), data, steps=8) for s in (1, -1)]
    for derivative, (up, down) in ((slope.learning_rate, rates), (slope.momentum, decays)):
        expected = (float(up.final_loss) - float(down.final_loss)) / (2 * h)
        assert float(derivative) == pytest.approx(expected, rel=1e-2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": {"x": np.zeros((4, 3)), "y": np.zeros(5)}}, r"fit: data: leaf y: expected 4 rows.*leaf x.*found 5"),
        ({"data": {"x": np.zeros((4, 3)), "y": 1.0}}, r"fit: data: leaf y: expected a leading axis of rows"),
        ({"data": {}}, r"fit: data: expected a tree of arrays"),
        ({"batch_size": 61}, r"fit: batch_size: expected at most 60, the rows of the data, found 61"),
        ({"batch_size": 0}, r"fit: batch_size: expected a whole number, 1 or more, found 0"),
        ({"batch_size": 2.5}, r"fit: batch_size: expected a whole number.*found 2.5"),
        ({"steps": 0}, r"fit: steps: expected a whole number, 1 or more, found 0"),
        ({"loss": lambda params, batch: batch["x"] @ params["w"]}, r"fit: loss: expected one real number, found.*60"),
        ({"tx": "adam"}, r"fit: tx: expected a transformation, found 'adam'"),
        ({"tx": gradtx.adam}, r"fit: tx: expected a transformation.*call it: adam\(\.\.\.\)"),
    ],
)
def test_fit_refuses(change, message):
    given = {"loss": squares, "params": START, "tx": gradtx.sgd(0.1), "data": line(), "steps": 3} | change
    with pytest.raises(gradtx.TransformationError, match=message):
        gradtx.fit(**given)


def test_fit_takes_transformations_of_optax():
    optax = pytest.importorskip("optax")
    ours = gradtx.fit(squares, START, gradtx.adam(0.1), line(), steps=20)
    with jax.numpy_dtype_promotion("standard"):  # Optax multiplies floats by integers
        theirs = gradtx.fit(squares, START, optax.adam(0.1), line(), steps=20)
    np.testing.assert_allclose(ours.params["w"], theirs.params["w"], rtol=1e-4)


def test_a_bar_is_shown_where_it_is_asked_for(capfd):
    gradtx.fit(squares, START, gradtx.sgd(0.1), line(), steps=20, progress=True)
    shown = capfd.readouterr().err
    assert "fit" in shown
    assert "20/20 steps" in shown
    assert "best loss" in shown
    assert len(shown.splitlines()) == 1


def test_complex_parameters_go_downhill():
    run = gradtx.minimize(lambda z: jnp.abs(z - (1 + 1j)) ** 2, jnp.array(0j), gradtx.sgd(0.1), steps=80)
    np.testing.assert_allclose(run.params, 1 + 1j, atol=1e-6)


def test_a_loss_that_closes_over_a_tracer_is_traced_with_it():
    def after(weight):
        def loss(params, batch):
            return squares(params, batch) + weight * jnp.sum(params["w"] ** 2)

        return gradtx.fit(loss, START, gradtx.sgd(0.1), line(), steps=8).final_loss

    h = 1e-2
    slope = (float(after(0.5 + h)) - float(after(0.5 - h))) / (2 * h)
    assert float(jax.grad(after)(0.5)) == pytest.approx(slope, rel=1e-2)


def test_tolerances_may_be_traced():
    def steps(tol):
        return gradtx.minimize(lambda x: x**2, jnp.array(10.0), gradtx.sgd(0.2), steps=50, tol=tol).steps

    assert jax.vmap(steps)(jnp.array([0.1, 0.5])).tolist() == [int(steps(0.1)), int(steps(0.5))]


def test_frozen_integers_are_held_still():
    params = {**START, "table": np.arange(2)}
    tx = gradtx.partition({"a": gradtx.adam(0.1), "still": gradtx.set_to_zero()}, {"table": "still", "*": "a"})
    run = gradtx.fit(squares, params, tx, line(), steps=20)
    alone = gradtx.fit(squares, START, gradtx.adam(0.1), line(), steps=20)
    assert run.params["table"].tolist() == [0, 1]
    np.testing.assert_allclose(run.params["w"], alone.params["w"], rtol=1e-6)


def test_batches_take_no_memory_that_grows_with_the_run():
    def final(rate, steps):
        data = {"x": jnp.ones((5000, 1)), "y": jnp.ones(5000)}
        return gradtx.fit(squares, {"w": jnp.zeros(1)}, gradtx.sgd(rate), data, steps=steps, batch_size=3000).final_loss

    def bytes_of(steps):
        return jax.jit(lambda rate: final(rate, steps)).lower(0.1).compile().memory_analysis().temp_size_in_bytes

    assert bytes_of(4000) < bytes_of(40) + 10 * 4 * 4000


def test_a_run_that_diverges_says_so():
    run = gradtx.fit(squares, START, gradtx.sgd(1e30), line(), steps=9)
    assert run.reason == "the loss was not finite"


# Auxiliary outputs ----------------------------------------------------------------------------------------------------


def parabola(x):
    return (x - 3) ** 2, {"at": x, "steps left": x - 3}


def squares_and_residuals(params, batch):
    residuals = batch["x"] @ params["w"] - batch["y"]
    return jnp.mean(residuals**2), {"residuals": residuals, "w": params["w"]}


SECOND_ORDER = {
    "newton": gradtx.newton(0.5),
    "newton_cg": gradtx.newton_cg(0.5),
    "lbfgs": gradtx.lbfgs(),
    "backtracking": gradtx.chain(gradtx.scale(-1.0), gradtx.scale_by_backtracking_linesearch(20)),
}


@pytest.mark.parametrize("tx", [gradtx.sgd(0.2), *SECOND_ORDER.values()], ids=["sgd", *SECOND_ORDER])
def test_auxiliary_outputs_of_minimize_are_those_of_its_last_parameters(tx):
    run = gradtx.minimize(parabola, jnp.array(10.0), tx, steps=9, tol=1e-6, has_aux=True)
    plain = gradtx.minimize(lambda x: parabola(x)[0], jnp.array(10.0), tx, steps=9, tol=1e-6)
    np.testing.assert_array_equal(run.loss, plain.loss)  # links are handed the value alone
    assert (float(run.params), float(run.final_loss)) == (float(plain.params), float(plain.final_loss))
    assert (int(run.steps), run.reason) == (int(plain.steps), plain.reason)
    assert float(run.aux["at"]) == float(run.params)
    assert float(run.aux["steps left"]) == float(run.params) - 3
    assert plain.aux is None


def test_auxiliary_outputs_of_minimize_are_those_of_the_parameters_to_deploy():
    average = gradtx.asgd(0.1, t0=0.0)
    run = gradtx.minimize(parabola, jnp.array(10.0), average, steps=9, has_aux=True)
    assert float(run.aux["at"]) == float(gradtx.eval_params(average, run.params, run.state)) != float(run.params)


@pytest.mark.parametrize("batch_size", [None, 7])
def test_auxiliary_outputs_of_fit_are_those_of_all_data(batch_size):
    data, tx = line(), gradtx.adam(0.1)
    given = {"steps": 20, "batch_size": batch_size}
    run = gradtx.fit(squares_and_residuals, START, tx, data, has_aux=True, **given)
    plain = gradtx.fit(squares, START, tx, data, **given)
    np.testing.assert_array_equal(run.params["w"], plain.params["w"])
    np.testing.assert_array_equal(run.loss, plain.loss)
    np.testing.assert_array_equal(run.aux["w"], run.params["w"])
    np.testing.assert_allclose(run.aux["residuals"], data["x"] @ run.params["w"] - data["y"], rtol=1e-4, atol=1e-5)
    assert run.aux["residuals"].shape == (60,)
    assert plain.aux is None


@pytest.mark.parametrize("tx", SECOND_ORDER.values(), ids=SECOND_ORDER)
def test_auxiliary_outputs_go_through_jit_vmap_and_scan(tx):
    def settle(x):
        return gradtx.minimize(parabola, x, tx, steps=5, has_aux=True)

    starts = jnp.array([10.0, -4.0, 3.5])
    together, (_, in_turn) = jax.vmap(settle)(starts), jax.lax.scan(lambda carry, x: (carry, settle(x)), None, starts)
    for n, x in enumerate(starts):
        alone = settle(x)
        for run in (
            jax.jit(settle)(x),
            *(jax.tree.map(lambda leaf, n=n: leaf[n], runs) for runs in (together, in_turn)),
        ):
            np.testing.assert_allclose(run.aux["at"], alone.aux["at"], rtol=1e-6)
            np.testing.assert_allclose(run.aux["at"], run.params, rtol=1e-6)


def test_auxiliary_outputs_of_a_population_are_differentiated_with_it():
    def missed(tx):
        return gradtx.minimize(parabola, jnp.array(10.0), tx, steps=3, has_aux=True).aux["steps left"]

    slope = jax.grad(missed)(gradtx.sgd(0.2)).learning_rate
    assert float(slope) == pytest.approx(7 * 3 * 0.6**2 * -2, rel=1e-5)  # 7 (1 − 2ε)³


def test_auxiliary_outputs_do_not_compile_the_loop_again():
    traces = []

    def loss(params, batch):
        traces.append(1)
        return squares_and_residuals(params, batch)

    gradtx.fit(loss, START, gradtx.adam(0.1), line(), steps=40, has_aux=True)
    before = len(traces)
    for rate in (0.2, 0.3, 0.4):
        gradtx.fit(loss, START, gradtx.adam(rate), line(), steps=40, has_aux=True)
    assert len(traces) - before <= 3  # the check of its shape, once a call


ONE = r"loss: expected one real number, found a tuple; has_aux=True takes \(value, aux\)"
TWO = r"loss: expected \(value, aux\), for has_aux=True, found "


@pytest.mark.parametrize(
    ("loss", "has_aux", "message"),
    [
        (lambda x, *_: (x, x), False, ONE),
        (lambda x, *_: (x, x, x), False, ONE),
        (lambda x, *_: x, True, TWO + "ShapeDtypeStruct"),
        (lambda x, *_: [x, x], True, TWO + "list"),
        (lambda x, *_: (x, x, x), True, TWO + "a tuple of 3"),
        (lambda x, *_: (jnp.stack([x, x]), x), True, "loss: expected one real number, found .*2"),
    ],
    ids=["a pair", "a triple", "a number", "a list", "three", "a vector"],
)
def test_auxiliary_outputs_are_asked_for_or_are_an_error(loss, has_aux, message):
    with pytest.raises(gradtx.TransformationError, match="^minimize: " + message):
        gradtx.minimize(loss, jnp.array(1.0), gradtx.sgd(0.1), steps=2, has_aux=has_aux)
    with pytest.raises(gradtx.TransformationError, match="^fit: " + message):
        gradtx.fit(loss, jnp.array(1.0), gradtx.sgd(0.1), jnp.zeros(3), steps=2, has_aux=has_aux)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: gradtx.fit(lambda params: 0.0, START, gradtx.sgd(0.1), line(), steps=2),
            r"fit: loss: expected loss\(params, batch\), found loss\(params\)",
        ),
        (
            lambda: gradtx.minimize(squares, START, gradtx.sgd(0.1), steps=2),
            r"minimize: loss: expected loss\(params\), found loss\(params, batch\)",
        ),
    ],
)
def test_a_loss_with_other_arguments_is_said(call, message):
    with pytest.raises(gradtx.TransformationError, match=message):
        call()
