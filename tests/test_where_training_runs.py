"""Training where it is not usual: on each device by itself, with leaves that are no floating-point numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

import gradtx
from gradtx import sweep

TARGETS = jnp.arange(8.0)
ROWS = PartitionSpec("device")


def on_each_device(function, *rows, out=ROWS):
    mesh = jax.make_mesh((8,), ("device",), axis_types=(jax.sharding.AxisType.Auto,))
    specs = (ROWS,) * len(rows)
    return jax.jit(jax.shard_map(function, mesh=mesh, in_specs=specs, out_specs=out))(*rows)


def distance(params, target):
    return jnp.sum((params - target) ** 2)


SEARCHES = {
    "sgd": lambda: gradtx.sgd(0.1),
    "lbfgs": lambda: gradtx.lbfgs(),
    "backtracking": lambda: gradtx.chain(gradtx.sgd(1.0), gradtx.scale_by_backtracking_linesearch(20)),
    "newton": lambda: gradtx.newton(),
    "newton_cg": lambda: gradtx.newton_cg(),
    "guard": lambda: gradtx.guard_nonfinite(gradtx.sgd(0.1)),
    "accumulate": lambda: gradtx.accumulate(gradtx.sgd(0.2), every=2),
}


@pytest.mark.parametrize("name", SEARCHES)
def test_each_device_minimizes_its_own_loss(name):
    def own(target):
        start = jnp.zeros(1)  # the same everywhere, and soon no more
        return gradtx.minimize(lambda x: distance(x, target), start, SEARCHES[name](), steps=60).params

    np.testing.assert_allclose(on_each_device(own, TARGETS), TARGETS, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", ["sgd", "lbfgs", "newton", "newton_cg"])
def test_a_loss_that_is_summed_over_the_devices_is_minimized_by_all_of_them(name):
    tx = gradtx.sgd(0.01) if name == "sgd" else SEARCHES[name]()

    def together(target):
        loss = lambda x: jax.lax.psum(distance(x, target), "device")  # noqa: E731
        return gradtx.minimize(loss, jnp.zeros(1), tx, steps=60).params

    found = on_each_device(together, TARGETS, out=PartitionSpec())
    np.testing.assert_allclose(found, [jnp.mean(TARGETS)], rtol=1e-3)


@pytest.mark.parametrize("rule", ["tol", "gradient_tol", "loss_tol"])
def test_each_device_stops_where_its_own_rule_says_so(rule):
    def own(target):
        run = gradtx.minimize(lambda x: distance(x, target), jnp.zeros(1), gradtx.sgd(0.1), steps=80, **{rule: 1e-3})
        return run.steps[None]

    steps = on_each_device(own, TARGETS)
    single = [
        int(
            gradtx.minimize(
                lambda x, t=t: distance(x, t), jnp.zeros(1), gradtx.sgd(0.1), steps=80, **{rule: 1e-3}
            ).steps
        )
        for t in TARGETS
    ]
    assert steps.tolist() == single


def test_each_device_fits_its_own_rows_in_batches():
    def own(rows):
        return gradtx.fit(distance, jnp.zeros(1), gradtx.lbfgs(), rows, steps=20, batch_size=1).params

    rows = jnp.repeat(TARGETS, 2)
    np.testing.assert_allclose(on_each_device(own, rows), TARGETS, atol=1e-4)


@pytest.mark.parametrize("name", SEARCHES)
def test_an_update_on_each_device_is_the_update_alone(name):
    tx = SEARCHES[name]()

    def update(target):
        x = jnp.zeros(1)
        loss = lambda x: distance(x, target)  # noqa: E731
        gradient = 2 * (x - target)
        return tx.update(gradient, tx.init(x), x, value=loss(x), grad=gradient, value_fn=loss)[0]

    alone = jnp.concatenate([update(t[None]) for t in TARGETS])
    np.testing.assert_allclose(on_each_device(update, TARGETS), alone, rtol=1e-5, atol=1e-6)


# Frozen leaves of any kind --------------------------------------------------------------------------------------------

LABELS = {"w": "moves", "*": "frozen"}
FROZEN = {"frozen": gradtx.set_to_zero()}


def mixed():
    return {"w": jnp.array([1.0, 2.0]), "n": jnp.array([1, 2]), "on": jnp.array(True), "key": jax.random.key(0)}


def loss_of_mixed(params, *batch):
    noise = 0 * jax.random.normal(params["key"])
    return jnp.sum((params["w"] - params["n"].astype(jnp.float32)) ** 2) + noise


WRAPPED = {
    "alone": lambda tx: tx,
    "lookahead": lambda tx: gradtx.lookahead(tx, sync_period=2),
    "average": lambda tx: gradtx.chain(tx, gradtx.average_params(10.0)),
    "guard": gradtx.guard_nonfinite,
    "accumulate": lambda tx: gradtx.accumulate(tx, every=2),
    "clip": lambda tx: gradtx.chain(gradtx.clip_by_global_norm(1.0), tx),
    "cautious": gradtx.cautious,
    "schedule_free": lambda tx: gradtx.schedule_free(tx, 0.1),
}


@pytest.fixture(params=WRAPPED)
def frozen(request):
    return WRAPPED[request.param](gradtx.partition({"moves": gradtx.sgd(0.1)} | FROZEN, LABELS))


def check_still(params, lanes=()):
    np.testing.assert_array_equal(params["n"], np.broadcast_to([1, 2], (*lanes, 2)))
    assert np.all(np.asarray(params["on"]))
    if not lanes:
        assert jnp.array_equal(jax.random.key_data(params["key"]), jax.random.key_data(mixed()["key"]))


@pytest.mark.parametrize("jit", [False, True])
def test_frozen_whole_numbers_and_keys_stay_in_a_loop_of_the_user(frozen, jit):
    def step(params, state):
        gradient = jax.grad(loss_of_mixed, allow_int=True)(params)
        updates, state = frozen.update(gradient, state, params)
        return gradtx.apply_updates(params, updates), state

    params, state = mixed(), frozen.init(mixed())
    step = jax.jit(step) if jit else step
    for _ in range(4):
        params, state = step(params, state)
    check_still(params)
    check_still(gradtx.eval_params(frozen, params, state))
    check_still(gradtx.gradient_params(frozen, params, state))


@pytest.mark.parametrize("rule", [{}, {"tol": 1e-9}, {"gradient_tol": 1e-9}, {"loss_tol": -1.0}])
def test_frozen_whole_numbers_and_keys_stay_in_minimize(rule):
    tx = gradtx.partition({"moves": gradtx.lbfgs()} | FROZEN, LABELS)
    target = {**mixed(), "w": jnp.array([5.0, 5.0])}
    params = gradtx.minimize(loss_of_mixed, target, tx, steps=10, **rule).params
    check_still(params)
    np.testing.assert_allclose(params["w"], [1.0, 2.0], atol=1e-5)


def test_frozen_whole_numbers_and_keys_stay_in_fit_and_in_a_sweep(frozen):
    data = jnp.ones((4, 1))
    check_still(gradtx.fit(loss_of_mixed, mixed(), frozen, data, steps=6, batch_size=2).params)
    made = sweep.run(loss_of_mixed, mixed(), sweep.stack([frozen, frozen]), data, steps=6, progress=False)
    check_still(made.params, (2,))
