"""Where the gradient is taken, and which parameters are deployed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx as gx

CURVATURES = [1.0, 10.0]


def bowl(params):
    return 0.5 * jnp.sum(jnp.asarray(CURVATURES, params.dtype) * params**2)


def nesterov_by_hand(theta, rate, momentum, steps):
    """Sutskever et al. 2013, eqs. 3 and 4, in float64."""
    v, path = np.zeros_like(theta), []
    for _ in range(steps):
        v = momentum * v - rate * np.asarray(CURVATURES) * (theta + momentum * v)
        theta = theta + v
        path.append(theta)
    return np.array(path)


def path_of(tx, start, steps):
    state, params, path = tx.init(start), start, []
    for _ in range(steps):
        gradient = jax.grad(bowl)(gx.gradient_params(tx, params, state))
        updates, state = tx.update(gradient, state, params)
        params = gx.apply_updates(params, updates)
        path.append(params)
    return np.array(path)


def test_nesterov_true_lookahead_takes_its_gradient_at_theta_plus_alpha_v():
    with jax.enable_x64(True):
        start = jnp.array([3.0, -2.0])
        path = path_of(gx.nesterov(0.05, 0.8), start, 25)
    np.testing.assert_allclose(path, nesterov_by_hand(np.array([3.0, -2.0]), 0.05, 0.8, 25), rtol=1e-12, atol=1e-15)


def test_nesterov_true_lookahead_in_minimize_and_fit():
    start = jnp.array([3.0, -2.0])
    expected = nesterov_by_hand(np.array([3.0, -2.0]), 0.05, 0.8, 25)[-1]
    minimized = gx.minimize(bowl, start, gx.nesterov(0.05, 0.8), steps=25)
    fitted = gx.fit(lambda params, batch: bowl(params), start, gx.nesterov(0.05, 0.8), jnp.zeros(4), steps=25)
    np.testing.assert_allclose(minimized.params, expected, rtol=1e-5)
    np.testing.assert_allclose(fitted.params, expected, rtol=1e-5)


def test_nesterov_rewritten_is_the_true_lookahead_seen_from_there():
    with jax.enable_x64(True):
        start = jnp.array([3.0, -2.0])
        rate, momentum = 0.05, 0.8
        true, rewritten = gx.nesterov(rate, momentum), gx.sgd(rate, momentum, nesterov=True)
        states, theta, y = [true.init(start), rewritten.init(start)], start, start
        for _ in range(20):  # y = θ + αv, step for step
            ahead = gx.gradient_params(true, theta, states[0])
            np.testing.assert_allclose(ahead, y, rtol=1e-12, atol=1e-15)
            updates, states[0] = true.update(jax.grad(bowl)(ahead), states[0])
            theta = theta + updates
            updates, states[1] = rewritten.update(jax.grad(bowl)(y), states[1])
            y = y + updates


@pytest.mark.parametrize(
    "tx",
    [
        gx.chain(gx.clip_by_global_norm(1e9), gx.nesterov(0.05, 0.8)),
        gx.chain(clip=gx.clip_by_global_norm(1e9), main=gx.nesterov(0.05, 0.8)),
        gx.chain(gx.chain(gx.scale(1.0)), gx.scale_by_learning_rate(0.05), gx.lookahead_trace(0.8)),
        gx.partition({"all": gx.nesterov(0.05, 0.8)}, "all"),
        gx.masked(gx.nesterov(0.05, 0.8), True),
    ],
    ids=["in a chain", "under a name", "spliced", "in a group", "masked"],
)
def test_points_compose(tx):
    start = jnp.array([3.0, -2.0])
    np.testing.assert_allclose(path_of(tx, start, 15), path_of(gx.nesterov(0.05, 0.8), start, 15), rtol=1e-6)


def test_points_leave_other_leaves_and_frozen_ones_alone():
    params = {"a": jnp.array([1.0]), "b": jnp.array([1.0]), "still": jnp.array([7])}
    rules = {"a": "ahead", "b": "plain", "still": "frozen"}
    groups = {"ahead": gx.nesterov(1.0, 0.5), "plain": gx.sgd(1.0, 0.5), "frozen": gx.set_to_zero()}
    tx = gx.partition(groups, rules)
    state = tx.init(params)
    _, state = tx.update({"a": jnp.array([2.0]), "b": jnp.array([2.0]), "still": jnp.array([0])}, state, params)
    ahead = gx.gradient_params(tx, params, state)
    assert {name: x.tolist() for name, x in ahead.items()} == {"a": [0.0], "b": [1.0], "still": [7]}


def test_without_a_link_that_says_otherwise_both_points_are_the_parameters():
    params = {"w": jnp.ones(3)}
    for tx in (gx.adam(0.1), gx.chain(gx.clip(1.0), gx.sgd(0.1, 0.9))):
        state = tx.init(params)
        assert gx.gradient_params(tx, params, state) is params
        assert gx.eval_params(tx, params, state) is params


def test_asgd_deploys_the_average_of_its_path():
    with jax.enable_x64(True):
        start, tx = jnp.array([3.0, -2.0]), gx.asgd(0.02, lambd=0.0, t0=4.0)
        params, state, path = start, tx.init(start), []
        for _ in range(12):
            updates, state = tx.update(jax.grad(bowl)(params), state, params)
            params = gx.apply_updates(params, updates)
            path.append(params)
        average = gx.eval_params(tx, params, state)
        np.testing.assert_allclose(average, np.mean(path[5:], axis=0), rtol=1e-12)
        assert gx.minimize(bowl, start, tx, steps=12).final_loss == pytest.approx(float(bowl(average)), rel=1e-12)


def test_points_work_under_jit_and_vmap_and_keep_dtypes():
    params = {"w": jnp.ones(3, jnp.bfloat16)}
    tx = gx.nesterov(0.1, 0.5)
    _, state = tx.update({"w": jnp.ones(3, jnp.bfloat16)}, tx.init(params))
    ahead = jax.jit(gx.gradient_params)(tx, params, state)
    assert ahead["w"].dtype == jnp.bfloat16
    decays = jnp.array([0.0, 0.5])
    several = jax.vmap(lambda decay: gx.gradient_params(tx.replace(momentum=decay), params, state))(decays)
    np.testing.assert_allclose(several["w"].astype(float), [[1.0] * 3, [0.95] * 3], rtol=4e-3)
