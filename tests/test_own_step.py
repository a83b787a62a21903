"""A train step of the user's own, swept over its numbers by the same engine."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import gradtx
from gradtx import sweep

DATA = np.linspace(0.0, 1.0, 12, dtype=np.float32)
CARRY = {"w": jnp.ones([]), "count": jnp.zeros([], jnp.int32)}


def step(carry, batch, rate, decay):
    slope = 2 * carry["w"]
    value = carry["w"] ** 2 + 0 * jnp.sum(batch)
    return {"w": carry["w"] - rate * slope - decay * carry["w"], "count": carry["count"] + 1}, value


POPULATION = sweep.grid(None, rate=[0.05, 0.1, 0.2, 0.3, 0.4], decay=[0.0, 0.1])


def test_a_step_is_swept_over_its_numbers():
    result = sweep.run(step, CARRY, POPULATION, DATA, steps=9, batch_size=4, record_every=1)
    factor = np.array([1 - 2 * point["rate"] - point["decay"] for point in POPULATION.points])
    np.testing.assert_allclose(result.params["w"], factor**9, rtol=2e-6)
    np.testing.assert_allclose(result.loss, factor[:, None] ** (2 * np.arange(9)), rtol=4e-6)
    np.testing.assert_allclose(result.final_loss, result.loss[:, -1])
    assert result.params["count"].tolist() == [9] * 10
    assert result.best.point == {"rate": 0.4, "decay": 0.1}
    assert result.best.tx is None
    assert result.table()[0]["rate"] == 0.4


def test_selection_chunks_and_a_resume_are_those_of_every_sweep(tmp_path):
    for select in (sweep.halving(2), sweep.population_based(7)):
        options = {"steps": 30, "batch_size": 4, "select": select}
        whole = sweep.run(step, CARRY, POPULATION, DATA, **options)
        chunked = sweep.run(step, CARRY, POPULATION, DATA, lanes_at_once=4, devices=1, **options)
        folder = tmp_path / type(select).__name__
        sweep.run(step, CARRY, POPULATION, DATA, folder=folder, callback=lambda p: p.step > 10, **options)
        resumed = sweep.run(step, CARRY, POPULATION, DATA, folder=folder, **options)
        for other in (chunked, resumed):
            np.testing.assert_array_equal(other.params["w"], whole.params["w"])
            np.testing.assert_array_equal(other.final_loss, whole.final_loss)
    assert whole.history.numbers.keys() == {"rate", "decay"}
    written = {path.name for path in whole.save(tmp_path)}
    assert "report.html" in written
    assert "carry, loss = step(carry, batch, rate=" in (tmp_path / "report.html").read_text(encoding="utf-8")
    with pytest.raises(gradtx.TransformationError, match="holds another sweep"):
        sweep.run(
            lambda c, b, rate, decay: step(c, b, 2 * rate, decay), CARRY, POPULATION, DATA, folder=folder, **options
        )


def walk(carry, batch, width, key):
    return carry + width * jax.random.normal(key)


def test_a_step_without_a_loss_is_ranked_by_a_metric_and_needs_no_data():
    lanes = sweep.grid(None, width=[0.0, 1.0, np.inf], seeds=range(2))
    options = {"steps": 20, "evaluate": lambda carry: {"far": jnp.abs(carry)}, "better": "lower"}
    result = sweep.run(walk, jnp.zeros([]), lanes, None, **options)
    assert result.params[0] == result.params[1] == 0
    assert result.params[2] != result.params[3]
    assert result.status == ["finished"] * 4 + ["diverged"] * 2
    assert result.best.point["width"] == 0.0
    again = sweep.run(walk, jnp.zeros([]), sweep.grid(None, width=[1.0], seeds=[1]), None, **options)
    assert again.params[0] == result.params[3]


def test_a_carry_may_be_modules_of_nnx_with_their_optimizer():
    def nnx_step(carry, batch, rate):
        model, _ = carry
        value, gradient = nnx.value_and_grad(lambda m: jnp.mean((m(batch[:, None]) - 2 * batch[:, None]) ** 2))(model)
        nnx.update(model, jax.tree.map(lambda p, g: p - rate * g, nnx.state(model, nnx.Param), gradient))
        return (model, carry[1] + 1), value

    def start(key):
        return nnx.Linear(1, 1, rngs=nnx.Rngs(key)), jnp.zeros([], jnp.int32)

    with jax.numpy_rank_promotion("allow"):
        result = sweep.run(
            nnx_step,
            start,
            sweep.grid(None, rate=[0.05, 0.5], seeds=range(2)),
            DATA,
            steps=40,
            devices=jax.devices()[:1],
        )
    model, count = result.best.params
    assert int(count) == 40
    assert result.best.point["rate"] == 0.5
    np.testing.assert_allclose(model(jnp.ones((1, 1))), 2.0, atol=0.1)


@pytest.mark.parametrize(
    ("step", "options", "message"),
    [
        (lambda c, b, rate, decay: {"v": c["w"]}, {}, r"step: expected \(carry, loss\), or a carry, of the structure"),
        (
            lambda c, b, rate, decay: {**c, "w": jnp.zeros(2)},
            {},
            r"carry: leaf w: expected float32\[\], as given, found",
        ),
        (lambda c, b, rate, decay: (c, jnp.zeros(2)), {}, "step: expected a loss that is one real number"),
        (lambda c, b, rate, decay: c, {}, "metric: the step returns no loss to rank by: give evaluate="),
        (lambda c, b, rate: (c, c["w"]), {}, "it takes no number 'decay'"),
        (step, {"model_state": 1.0}, "model_state: it belongs to a loss"),
        (step, {"held_out": DATA}, "held_out: it belongs to a loss"),
    ],
)
def test_refuses(step, options, message):
    with pytest.raises(gradtx.TransformationError, match="^sweep.run: .*" + message):
        sweep.run(step, CARRY, POPULATION, DATA, steps=3, **options)
