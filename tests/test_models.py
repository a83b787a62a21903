"""People's own models: what trains, what is carried, what is static, and that the loss sees the model itself."""

import equinox as eqx
import flax.linen as nn
import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import gradtx
from gradtx import sweep
from gradtx._training.model import member, opened

pytestmark = [pytest.mark.usefixtures("as_libraries_promote"), pytest.mark.slow]
X = jax.random.normal(jax.random.key(0), (32, 3))
DATA = {"x": X, "y": jnp.sin(X[:, :1])}
RATES = sweep.grid(gradtx.sgd, learning_rate=[0.01, 0.1, 0.3], seeds=range(2))


@pytest.fixture
def as_libraries_promote():
    before = jax.config.jax_numpy_rank_promotion, jax.config.jax_numpy_dtype_promotion
    jax.config.update("jax_numpy_rank_promotion", "allow")  # in every thread
    jax.config.update("jax_numpy_dtype_promotion", "standard")
    yield
    jax.config.update("jax_numpy_rank_promotion", before[0])
    jax.config.update("jax_numpy_dtype_promotion", before[1])


def error(predicted, batch):
    return jnp.mean((predicted - batch["y"]) ** 2)


def assert_equal(a, b):
    """Two trees of arrays are equal, bit for bit; keys by their numbers."""
    for x, y in zip(*map(jax.tree.leaves, (a, b)), strict=True):
        if isinstance(x, jax.Array) and jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
            x, y = jax.random.key_data(x), jax.random.key_data(y)
        np.testing.assert_array_equal(x, y)


# Trees ----------------------------------------------------------------------------------------------------------------


def test_arrays_of_a_tree_train_and_its_other_leaves_are_static():
    model = {"w": jnp.ones(3), "act": jnp.tanh, "power": 2, "name": "square", "none": None, "on": True, "scale": 2.0}
    params, carried, form = opened("fit", model)
    assert {name for name, x in params.items() if x is not None} == {"w", "scale"}
    assert jax.tree.leaves(carried) == []
    again = form.close(params, carried)
    assert (again["act"], again["power"], again["name"], again["none"]) == (jnp.tanh, 2, "square", None)
    assert again["on"] is True
    assert opened("fit", model).form == form

    def loss(model, batch):
        return jnp.mean(model["act"](batch * model["w"][None]) ** model["power"]) * (1.0 if model["on"] else 0.0)

    run = gradtx.fit(loss, model, gradtx.sgd(0.1), jnp.ones((4, 3)), steps=1)
    slope = 2 * np.tanh(1.0) * (1 - np.tanh(1.0) ** 2) / 3
    np.testing.assert_allclose(run.params["w"], 1 - 0.1 * slope, rtol=1e-6)
    assert (run.params["act"], run.params["power"]) == (jnp.tanh, 2)
    assert gradtx.minimize(lambda m: loss(m, jnp.ones((4, 3))), model, gradtx.sgd(0.1), steps=1).params["power"] == 2
    swept = sweep.run(loss, model, sweep.grid(gradtx.sgd, learning_rate=[0.1, 0.2]), jnp.ones((4, 3)), steps=1)
    np.testing.assert_allclose(swept.params["w"][:, 0], [1 - 0.1 * slope, 1 - 0.2 * slope], rtol=1e-6)
    assert swept.best.params["act"] is jnp.tanh


def test_a_tree_of_arrays_is_itself():
    tree = {"w": np.ones(3), "n": np.arange(2), "b": 0.0}
    params, carried, form = opened("fit", tree)
    assert form.close(params, carried) is params
    assert all(isinstance(x, jax.Array) for x in jax.tree.leaves(params))


class Odd:
    __hash__ = None


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"w": jnp.ones(2), "odd": Odd()}, "leaf odd: expected an array, or a constant that hashes, found Odd"),
        ({"w": "a", "n": 3}, "params: expected at least one array, found"),
    ],
)
def test_what_cannot_be_a_model_is_an_error(params, message):
    with pytest.raises(gradtx.TransformationError, match=message):
        gradtx.fit(lambda p, b: 0.0, params, gradtx.sgd(0.1), jnp.zeros(3), steps=1)
    with pytest.raises(gradtx.TransformationError, match=message):
        sweep.run(lambda p, b: 0.0, params, RATES, jnp.zeros(3), steps=1)


def test_a_module_of_linen_without_its_variables_is_an_error():
    with pytest.raises(gradtx.TransformationError, match=r"linen has none: give module.init\(key, x\)"):
        gradtx.fit(lambda p, b: 0.0, Linen(), gradtx.sgd(0.1), DATA, steps=1)


# Equinox --------------------------------------------------------------------------------------------------------------


class Dense(eqx.Module):
    layers: list
    table: np.ndarray
    act: object
    times: int
    name: str = eqx.field(static=True)

    def __init__(self, key):
        one, two = jax.random.split(key)
        self.layers = [eqx.nn.Linear(3, 4, key=one), eqx.nn.Dropout(0.5), eqx.nn.Linear(4, 1, use_bias=False, key=two)]
        self.table, self.act, self.times, self.name = np.full(4, 2.0, np.float32), jax.nn.tanh, 2, "dense"

    def __call__(self, x, key=None):
        first, drop, last = self.layers
        for _ in range(self.times):
            x = first(x) if x.shape == (3,) else x * self.table
        return last(drop(self.act(x), key=key, inference=key is None))


def equinox_loss(model, batch, key):
    keys = jax.random.split(key, len(batch["x"]))
    return error(jax.vmap(model)(batch["x"], keys), batch)


def test_an_equinox_module_trains_as_with_its_own_filters():
    model, tx = Dense(jax.random.key(1)), gradtx.sgd(0.1)
    run = gradtx.fit(lambda m, b: error(jax.vmap(m)(b["x"]), b), model, tx, DATA, steps=5)
    by_hand = model
    for _ in range(5):
        gradient = eqx.filter_grad(lambda m: error(jax.vmap(m)(X), DATA))(by_hand)
        by_hand = eqx.apply_updates(by_hand, jax.tree.map(lambda g: -0.1 * g, gradient))
    for x, y in zip(
        *(jax.tree.leaves(eqx.filter(m, eqx.is_inexact_array)) for m in (run.params, by_hand)), strict=True
    ):
        np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6)
    kept = run.params
    assert (kept.act, kept.times, kept.name, kept.layers[1].p, kept.layers[2].bias) == (
        jax.nn.tanh,
        2,
        "dense",
        0.5,
        None,
    )


def test_lanes_of_an_equinox_module_are_modules_each_from_its_own_key():
    result = sweep.run(equinox_loss, Dense, RATES, DATA, steps=6, batch_size=8)
    assert result.params.layers[0].weight.shape == (6, 4, 3)
    assert not np.array_equal(result.params.layers[0].weight[0], result.params.layers[0].weight[1])
    best = result.best
    np.testing.assert_allclose(jax.vmap(best.params)(X), jax.vmap(member(result.params, int(best)))(X), rtol=0, atol=0)
    assert best.params.times == 2
    mapped = sweep.run(equinox_loss, Dense, RATES, DATA, steps=6, batch_size=8, over="map")
    alone = gradtx.fit(equinox_loss, Dense, RATES.lane(3), DATA, steps=6, batch_size=8, seed=1)
    assert_equal(eqx.filter(mapped.lane(3).params, eqx.is_array), eqx.filter(alone.params, eqx.is_array))
    assert mapped.final_loss[3] == alone.final_loss


# nnx ------------------------------------------------------------------------------------------------------------------


class Net(nnx.Module):
    def __init__(self, rngs):
        self.first, self.norm = nnx.Linear(3, 4, rngs=rngs), nnx.BatchNorm(4, momentum=0.5, rngs=rngs)
        self.drop, self.last = nnx.Dropout(0.5, rngs=rngs), nnx.Linear(4, 1, rngs=rngs)
        self.act, self.size = jnp.tanh, 4

    def __call__(self, x):
        return self.last(self.drop(self.norm(self.act(self.first(x)))))


def nnx_loss(model, batch):
    return error(model(batch["x"]), batch)


def nnx_evaluate(model):
    model.eval()
    return {"error": error(model(X), DATA)}


def net(key):
    return Net(nnx.Rngs(key))


def test_an_nnx_module_trains_as_with_its_own_optimizer():
    model, tx = net(jax.random.key(0)), gradtx.adam(0.1)
    run = gradtx.fit(nnx_loss, model, tx, DATA, steps=5, evaluate=nnx_evaluate)
    assert int(model.drop.rngs.count[...]) == 0  # the user's own module is as it was
    by_hand = net(jax.random.key(0))
    optimizer = nnx.Optimizer(by_hand, gradtx.adam(0.1), wrt=nnx.Param)
    for _ in range(5):
        gradient = nnx.grad(nnx_loss)(by_hand, DATA)
        optimizer.update(by_hand, gradient)
    for kind in (nnx.Param, nnx.BatchStat, nnx.RngCount):
        for x, y in zip(*(jax.tree.leaves(nnx.state(m, kind)) for m in (run.params, by_hand)), strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6)
    assert int(run.params.drop.rngs.count[...]) == 5
    np.testing.assert_allclose(run.metrics["error"], nnx_evaluate(by_hand)["error"], rtol=1e-5)
    np.testing.assert_array_equal(run.params(X).shape, (32, 1))


def test_paths_of_an_nnx_module_are_those_of_its_attributes():
    tx = gradtx.partition({"slow": gradtx.sgd(0.0), "fast": gradtx.sgd(0.1)}, {"first.kernel": "slow", "*": "fast"})
    model = net(jax.random.key(0))
    run = gradtx.fit(nnx_loss, model, tx, DATA, steps=2)
    np.testing.assert_array_equal(run.params.first.kernel[...], model.first.kernel[...])
    assert not np.array_equal(run.params.last.kernel[...], model.last.kernel[...])


def test_lanes_of_an_nnx_module_do_not_depend_on_chunks_and_go_on_after_a_stop(tmp_path):
    options = {"steps": 12, "batch_size": 8, "evaluate": nnx_evaluate, "evaluate_every": 5, "select": sweep.halving(2)}
    whole = sweep.run(nnx_loss, net, RATES, DATA, **options)
    chunked = sweep.run(nnx_loss, net, RATES, DATA, lanes_at_once=4, devices=1, **options)
    stopped = sweep.run(nnx_loss, net, RATES, DATA, folder=tmp_path, callback=lambda p: p.step >= 7, **options)
    assert "stopped" in stopped.status
    resumed = sweep.run(nnx_loss, net, RATES, DATA, folder=tmp_path, **options)
    for other in (chunked, resumed):
        assert_equal(nnx.state(whole.params), nnx.state(other.params))
        assert_equal(whole.curves, other.curves)
        np.testing.assert_array_equal(whole.final_loss, other.final_loss)
        assert (whole.status, whole.steps.tolist()) == (other.status, other.steps.tolist())
    assert whole.evaluated.tolist() == [5, 10, 12]
    best = whole.best
    assert whole.curves["error"][best, -1] == whole.metrics["error"][best]
    assert np.isnan(whole.curves["error"][whole.status.index("dropped"), -1])
    assert int(best.params.drop.rngs.count[...]) == 12
    np.testing.assert_allclose(nnx_evaluate(best.params)["error"], best.curves["error"][-1], rtol=1e-5)


# Flax's variables, Haiku and Equinox with a state ---------------------------------------------------------------------


class Linen(nn.Module):
    @nn.compact
    def __call__(self, x, train):
        x = nn.BatchNorm(use_running_average=not train, momentum=0.5)(nn.tanh(nn.Dense(4)(x)))
        return nn.Dense(1)(nn.Dropout(0.5, deterministic=not train)(x))


LINEN = Linen()


def variables_loss(variables, batch, key):
    predicted, changed = LINEN.apply(variables, batch["x"], True, mutable=["batch_stats"], rngs={"dropout": key})
    return error(predicted, batch), changed


def state_loss(params, batch, model_state, key):
    return variables_loss({"params": params, **model_state}, batch, key)


def test_variables_of_flax_train_their_parameters_and_carry_their_collections():
    variables = LINEN.init(jax.random.key(0), X, False)
    one = gradtx.fit(variables_loss, variables, gradtx.sgd(0.1), DATA, steps=5, batch_size=8)
    collections = {"batch_stats": variables["batch_stats"]}
    two = gradtx.fit(
        state_loss, variables["params"], gradtx.sgd(0.1), DATA, steps=5, batch_size=8, model_state=collections
    )
    assert_equal(one.params, {"params": two.params, **two.model_state})
    assert not np.array_equal(one.params["batch_stats"]["BatchNorm_0"]["mean"], np.zeros(4))
    np.testing.assert_array_equal(LINEN.apply(one.params, X, False).shape, (32, 1))
    frozen = gradtx.fit(lambda v, b: error(LINEN.apply(v, b["x"], False), b), variables, gradtx.sgd(0.1), DATA, steps=2)
    assert_equal(frozen.params["batch_stats"], variables["batch_stats"])


def test_the_running_mean_of_a_lane_is_that_of_its_own_batches():
    def loss(params, batch, model_state):
        return jnp.sum(params**2), {"mean": 0.5 * model_state["mean"] + 0.5 * jnp.mean(batch)}

    def evaluate(params, model_state):
        return {"seen": model_state["mean"]}

    data = jnp.arange(8.0)
    lanes = sweep.grid(gradtx.sgd, learning_rate=[0.1], seeds=range(3))
    options = {"steps": 3, "batch_size": 1, "model_state": {"mean": jnp.zeros([])}, "evaluate": evaluate}
    result = sweep.run(loss, jnp.ones(2), lanes, data, evaluate_every=1, metric="final_loss", **options)
    assert len(set(result.model_state["mean"].tolist())) == 3
    np.testing.assert_array_equal(result.curves["seen"][:, -1], result.model_state["mean"])
    first = 2 * result.curves["seen"][:, 0]
    assert set(first.tolist()) <= set(range(8))
    assert result.lane(1).model_state["mean"] == result.model_state["mean"][1]
    alone = gradtx.fit(loss, jnp.ones(2), gradtx.sgd(0.1), data, seed=1, evaluate_every=1, **options)
    np.testing.assert_array_equal(alone.curves["seen"], result.curves["seen"][1])


def test_haiku_and_equinox_keep_their_state_as_model_state():
    transformed = hk.transform_with_state(
        lambda x, train: hk.Linear(1)(hk.BatchNorm(True, True, 0.5)(hk.Linear(4)(x), train))
    )

    def loss(params, batch, model_state, key):
        predicted, state = transformed.apply(params, model_state, key, batch["x"], True)
        return error(predicted, batch), state

    result = sweep.run(
        loss,
        lambda key: transformed.init(key, X, True)[0],
        RATES,
        DATA,
        steps=4,
        model_state=lambda key: transformed.init(key, X, True)[1],
    )
    assert set(np.asarray(result.model_state["batch_norm/~/mean_ema"]["counter"]).tolist()) == {4}
    assert np.isfinite(result.final_loss).all()

    class Normed(eqx.Module):
        norm: eqx.nn.BatchNorm
        last: eqx.nn.Linear

        def __init__(self, key):
            self.norm, self.last = eqx.nn.BatchNorm(3, axis_name="b", mode="ema"), eqx.nn.Linear(3, 1, key=key)

        def __call__(self, x, state):
            x, state = self.norm(x, state)
            return self.last(x), state

    def equinox(model, batch, model_state):
        over = jax.vmap(model, axis_name="b", in_axes=(0, None), out_axes=(0, None))
        predicted, state = over(batch["x"], model_state)
        return error(predicted, batch), state

    model, state = eqx.nn.make_with_state(Normed)(jax.random.key(0))
    run = gradtx.fit(equinox, model, gradtx.sgd(0.1), DATA, steps=3, model_state=state)
    mean = jax.tree.leaves(run.model_state.get(run.params.norm.ema_state_index))[0]
    assert float(jnp.max(jnp.abs(mean - X.mean(0)))) < float(jnp.max(jnp.abs(X.mean(0))))
