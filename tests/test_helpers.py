"""Helpers of the top level: equal to Optax in float64, and right where it is not."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.optimize
import scipy.stats
from optax import second_order
from optax._src import linear_algebra

import gradtx as gx
from gradtx import TransformationError, curvature


@pytest.fixture
def double_precision():
    with jax.enable_x64(True):
        yield


def close(found, expected, rtol=1e-12, atol=1e-14):
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=rtol, atol=atol), found, expected)


def drawn(seed):
    rng = np.random.default_rng(seed)
    return {"w": jnp.asarray(rng.normal(size=(3, 4))), "b": [jnp.asarray(rng.normal(size=4))], "gone": None}


# Norms and counters ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ord", [None, 1, 2, np.inf])
@pytest.mark.parametrize("axis", [None, 0, 1])
@pytest.mark.parametrize("keepdims", [False, True])
def test_safe_norm_equals_optax(ord, axis, keepdims, double_precision):
    x = jnp.asarray(np.random.default_rng(0).normal(size=(3, 4)) * [1.0, 0.01, 1.0, 0.0])
    for least in (0.1, 2.5, 100.0):
        with jax.numpy_rank_promotion("allow"):
            norms = [functools.partial(of.safe_norm, ord=ord, axis=axis, keepdims=keepdims) for of in (gx, optax)]
            close(*(norm(x, least) for norm in norms))
            close(*(jax.vjp(norm, x, least)[1](jnp.ones_like(norm(x, least)))[0] for norm in norms))


def test_safe_root_mean_squares_equals_optax(double_precision):
    for x in (jnp.array([3.0, -4.0]), jnp.array([1e-3, 0.0]), jnp.zeros(2), jnp.array([3 + 4j, 1j])):
        with jax.numpy_dtype_promotion("standard"):
            expected = optax.safe_root_mean_squares(x, 0.1)
        close(gx.safe_root_mean_squares(x, 0.1), expected)
        assert np.isfinite(jax.grad(gx.safe_root_mean_squares)(x, 0.1)).all()


def test_safe_norms_of_half_precision():
    x = jnp.full(300_000, 1.0, jnp.float16)
    assert gx.safe_norm(x, 0.0) == pytest.approx(300_000**0.5)
    assert gx.safe_root_mean_squares(1000 * x, 0.0) == pytest.approx(1000)
    for of in (gx.safe_norm, gx.safe_root_mean_squares):
        assert jax.grad(of)(jnp.zeros(3, jnp.float16), 1e-3).tolist() == [0, 0, 0]
        assert jax.grad(of)(jnp.zeros(3), 0.0).tolist() == [0, 0, 0]


@pytest.mark.parametrize("dtype", ["int8", "int32", "uint8", "float16", "float32"])
def test_safe_increment_equals_optax(dtype):
    info = jnp.iinfo(dtype) if "int" in dtype else jnp.finfo(dtype)
    for count in (0, 5, info.max):
        count = jnp.asarray(count, dtype)
        found, expected = gx.safe_int32_increment(count), optax.safe_increment(count)
        assert found == expected
        assert found.dtype == expected.dtype
    with pytest.raises(TransformationError, match="expected a count, found complex64"):
        gx.safe_increment(1j)


# Targets --------------------------------------------------------------------------------------------------------------


def test_target_networks_equal_optax(double_precision):
    new, old = drawn(1), drawn(2)
    for size in (0.0, 0.001, 0.5, 0.9, 1.0):
        close(gx.incremental_update(new, old, size), optax.incremental_update(new, old, size))
    for steps in range(4):
        found = gx.periodic_update(new, old, jnp.asarray(steps), 3)
        close(found, optax.periodic_update(new, old, jnp.asarray(steps), 3))


def test_the_ends_of_an_incremental_update_are_exact():
    new, old = {"w": jnp.array([0.1, 3e30])}, {"w": jnp.array([1e9, -0.3])}
    for size in (1.0, jnp.asarray(1.0)):
        assert gx.incremental_update(new, old, size)["w"].tolist() == new["w"].tolist()
    assert gx.incremental_update(new, old, 0)["w"].tolist() == old["w"].tolist()
    halves = gx.tree.cast((new, old), jnp.bfloat16)
    assert gx.incremental_update(*halves, jnp.asarray(0.5))["w"].dtype == jnp.bfloat16
    assert gx.incremental_update(jnp.array([2]), jnp.array([1]), 0.5).tolist() == [1.5]
    imaginary = gx.incremental_update(jnp.array([2j]), jnp.array([0j]), jnp.asarray(0.25))
    assert imaginary.tolist() == [0.5j]
    keys = jax.random.split(jax.random.key(0))
    assert gx.periodic_update(keys[0], keys[1], 2, 2) == keys[0]


# Gradients ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1.0, 0.0, -2.0, 0.3])
def test_scale_gradient_equals_optax(scale, double_precision):
    x = drawn(3)

    def loss(of, x):
        return gx.tree.sum(jax.tree.map(jnp.sin, of.scale_gradient(x, scale)))

    close(jax.grad(functools.partial(loss, gx))(x), jax.grad(functools.partial(loss, optax))(x))
    assert loss(gx, x) == loss(optax, x)


def test_the_scale_of_a_gradient_may_be_traced():
    def slope(scale, x=2.0):
        return jax.grad(lambda x: gx.scale_gradient({"x": x, "n": 3, "gone": None}, scale)["x"] ** 2)(x)

    np.testing.assert_allclose(jax.vmap(slope)(jnp.array([0.0, 1.0, -0.5])), [0.0, 4.0, -2.0])
    assert jax.grad(lambda scale: gx.scale_gradient(jnp.asarray(2.0), scale))(1.0) == 0
    assert jax.jvp(lambda x: gx.scale_gradient(x, 3.0), (1.0,), (1.0,)) == (1.0, 3.0)
    assert jax.grad(lambda x: jnp.sqrt(gx.scale_gradient(x, 0.0)))(0.0) == 0
    half = jax.grad(lambda x: gx.scale_gradient(x, jnp.asarray(0.5)).sum())(jnp.ones(2, jnp.bfloat16))
    assert half.dtype == jnp.bfloat16


def counted(value_fn):
    calls = []

    def counting(*args, **kwargs):
        jax.debug.callback(lambda: calls.append(0))
        return value_fn(*args, **kwargs)

    return counting, calls


def bowl(params, center=1.0):
    return sum(jnp.sum((x - center) ** 4) for x in jax.tree.leaves(params))


SEARCHES = {
    "lbfgs": gx.lbfgs(),
    "zoom in a chain": gx.chain(gx.sgd(0.1), gx.scale_by_zoom_linesearch(10)),
    "backtracking": gx.chain(gx.sgd(1.0), gx.scale_by_backtracking_linesearch(20, store_grad=True)),
    "deep in wrappers": gx.measured(gx.guard_nonfinite(gx.chain(gx.sgd(1.0), gx.scale_by_zoom_linesearch(10)))),
    "in a group of all": gx.partition({"all": gx.chain(gx.sgd(1.0), gx.scale_by_zoom_linesearch(10))}, {"*": "all"}),
    "Optax's lbfgs": optax.lbfgs(),
    "Optax's in our chain": gx.chain(optax.sgd(1.0), optax.scale_by_zoom_linesearch(10)),
}


@pytest.mark.parametrize("name", SEARCHES)
def test_value_and_gradient_are_those_of_the_state(name):
    tx = SEARCHES[name]
    params = {"w": jnp.array([2.0, -1.0]), "b": jnp.array(0.5)}
    state = tx.init(params)
    counting, calls = counted(bowl)
    value_and_grad = jax.jit(gx.value_and_grad_from_state(counting))
    for evaluations in (1, 0, 0):
        calls.clear()
        value, grad = value_and_grad(params, state=state)
        jax.effects_barrier()
        assert len(calls) == evaluations
        expected = jax.value_and_grad(bowl)(params)
        close((value, grad), expected, rtol=1e-5)
        updates, state = tx.update(grad, state, params, value=value, grad=grad, value_fn=bowl)
        params = gx.apply_updates(params, updates)


def test_what_a_search_does_not_know_is_computed():
    params = {"w": jnp.array([2.0, -1.0]), "b": jnp.array(0.5)}
    search = gx.chain(gx.sgd(1.0), gx.scale_by_zoom_linesearch(10))
    tx = gx.partition({"searched": search, "still": gx.set_to_zero()}, {"w": "searched", "*": "still"})
    state = tx.init(params)
    value_and_grad = gx.value_and_grad_from_state(bowl)
    for center in (1.0, 0.5):
        value, grad = value_and_grad(params, center, state=state)
        close((value, grad), jax.value_and_grad(bowl)(params, center), rtol=1e-6)
        updates, state = tx.update(grad, state, params, value=value, grad=grad, value_fn=bowl)
        params = gx.apply_updates(params, updates)
    with pytest.raises(TransformationError, match="no 'value' beside a 'grad'"):
        value_and_grad(params, state=gx.adam(0.1).init(params))
    halves = gx.tree.cast(params, jnp.bfloat16)
    value, grad = value_and_grad(halves, state=gx.lbfgs().init(halves))
    assert grad["w"].dtype == jnp.bfloat16


# Linear algebra -------------------------------------------------------------------------------------------------------


def symmetric(seed, n=6):
    half = np.random.default_rng(seed).normal(size=(n, n))
    return jnp.asarray(half @ half.T / n + 0.1 * np.eye(n))


def test_power_iteration_equals_optax_and_numpy(double_precision):
    a = symmetric(0)
    for arguments in ({}, {"num_iters": 7}, {"error_tolerance": 1e-3, "key": jax.random.key(3)}):
        close(gx.power_iteration(a, **arguments), optax.power_iteration(a, **arguments), rtol=1e-11)
    value, vector = gx.power_iteration(a, num_iters=5000, error_tolerance=1e-12)
    np.testing.assert_allclose(value, np.linalg.eigvalsh(a)[-1], rtol=1e-12)
    np.testing.assert_allclose(a @ vector, value * vector, rtol=1e-9)

    def product(tree):
        x = a @ jnp.concatenate([tree["x"], tree["y"]])
        return {"x": x[:2], "y": x[2:]}

    start = {"x": jnp.ones(2), "y": jnp.ones(4)}
    close(gx.power_iteration(product, v0=start), optax.power_iteration(product, v0=start), rtol=1e-11)
    with pytest.raises(TransformationError, match="needs a tree to start from"):
        gx.power_iteration(product)


def test_power_iteration_of_other_matrices():
    value, vector = gx.power_iteration(jnp.zeros((3, 3)))
    assert float(value) == 0
    assert float(jnp.linalg.norm(vector)) == pytest.approx(1)
    hermitian = jnp.array([[2.0, 1j], [-1j, 2.0]])
    assert float(gx.power_iteration(hermitian)[0]) == pytest.approx(3.0, rel=1e-5)
    half = jnp.diag(jnp.array([300.0, 1.0], jnp.float16))
    assert float(gx.power_iteration(half)[0]) == pytest.approx(300)
    assert float(gx.power_iteration(jnp.diag(jnp.array([-3.0, 1.0])))[0]) == pytest.approx(-3.0, rel=1e-5)


@pytest.mark.parametrize("p", [1, 2, 4, 8])
def test_roots_equal_optax(p, double_precision):
    a = symmetric(1)
    with jax.numpy_dtype_promotion("standard"):
        expected, _ = linear_algebra.matrix_inverse_pth_root(a, p, error_tolerance=1e-13)
    found, error = gx.matrix_inverse_pth_root(a, p)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)
    assert error < 1e-12


@pytest.mark.parametrize("p", [1, 2, 3, 5, 6, 16, 2.5])
def test_roots_of_any_order(p, double_precision):
    a = symmetric(2)
    values, vectors = np.linalg.eigh(np.asarray(a))
    expected = (vectors * (values + 1e-6 * values[-1]) ** (-1 / p)) @ vectors.T
    for order in (p, jnp.asarray(p, float)):
        np.testing.assert_allclose(gx.matrix_inverse_pth_root(a, order)[0], expected, rtol=1e-11, atol=1e-12)
    if p not in (1, 2):
        return
    powers = np.linalg.matrix_power(gx.matrix_inverse_pth_root(a, p, ridge_epsilon=0.0)[0], p)
    np.testing.assert_allclose(powers @ a, np.eye(6), atol=1e-11)


def test_roots_of_singular_matrices_are_finite():
    for a in (jnp.zeros((2, 2)), jnp.ones((2, 2)), jnp.zeros((1, 1)), jnp.ones((2, 2), jnp.bfloat16)):
        found, _ = gx.matrix_inverse_pth_root(a, 4)
        assert found.dtype == a.dtype
        assert np.isfinite(np.asarray(found, np.float32)).all()


def test_nnls_equals_optax_and_scipy(double_precision):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(8, 4)), rng.normal(size=8)
    for iters in (1, 5, 40):
        close(gx.nnls(a, b, iters), optax.nnls(jnp.asarray(a), jnp.asarray(b), iters + 1))
    close(gx.nnls(a, b, 20, L=50.0, unroll=4), optax.nnls(jnp.asarray(a), jnp.asarray(b), 21, L=50.0))
    np.testing.assert_allclose(gx.nnls(a, b, 3000), scipy.optimize.nnls(a, b)[0], atol=1e-10)
    columns = np.stack([b, -b], axis=1)
    np.testing.assert_allclose(gx.nnls(a, columns, 50)[:, 0], gx.nnls(a, b, 50), rtol=1e-12, atol=1e-15)
    assert gx.nnls(np.zeros((2, 3)), np.ones(2), 5).tolist() == [0, 0, 0]
    with pytest.raises(TransformationError, match="nnls: expected A"):
        gx.nnls(a, b[:3], 5)


def test_multi_normal_equals_optax_and_scipy(double_precision):
    rng = np.random.default_rng(0)
    loc, log_scale, x = (jnp.asarray(rng.normal(size=shape)) for shape in ((2, 3), (3,), (5, 2, 3)))
    with jax.numpy_rank_promotion("allow"):
        ours, theirs = (of.multi_normal(loc, log_scale) for of in (gx, optax))
        close(ours.log_prob(x), theirs.log_prob(x))
        close(ours.sample((4,), jax.random.key(1)), theirs.sample((4,), jax.random.key(1)))
    close(ours.params, list(theirs.params))
    close(ours.log_scale, theirs.log_scale)
    expected = scipy.stats.norm.logpdf(x, loc, np.exp(log_scale)).sum((1, 2))
    with jax.numpy_rank_promotion("allow"):
        np.testing.assert_allclose(ours.log_prob(x), expected, rtol=1e-12)
    assert jax.tree.structure(jax.grad(lambda n: n.log_prob(jnp.zeros(3)))(gx.multi_normal(jnp.ones(3), jnp.zeros(3))))


# Diagonals of second derivatives --------------------------------------------------------------------------------------


def fit(params, inputs, targets):
    hidden = jnp.tanh(inputs @ params["w"] + params["b"][None])
    return jnp.mean((hidden.sum(1) - targets) ** 2)


def test_diagonals_equal_optax_and_the_hessian(double_precision):
    rng = np.random.default_rng(0)
    params = {"w": jnp.asarray(rng.normal(size=(5, 16))), "b": jnp.asarray(rng.normal(size=16))}
    data = jnp.asarray(rng.normal(size=(7, 5))), jnp.asarray(rng.normal(size=7))
    found = curvature.hessian_diag(fit, params, *data)
    np.testing.assert_allclose(found, np.diag(curvature.hessian(fit, params, *data)), rtol=1e-11, atol=1e-14)
    squares = curvature.fisher_diag(fit, params, *data)
    with pytest.warns(DeprecationWarning, match="is deprecated"):
        np.testing.assert_allclose(found, second_order.hessian_diag(fit, params, *data), rtol=1e-11, atol=1e-14)
    with pytest.warns(DeprecationWarning, match="is deprecated"):
        np.testing.assert_allclose(squares, second_order.fisher_diag(fit, params, *data), rtol=1e-12)
    with pytest.raises(TransformationError, match="hessian_diag: loss: expected one real number"):
        curvature.hessian_diag(lambda x: x, jnp.ones(2))


def test_moments_and_norms_have_their_names_at_the_door():
    assert gx.global_norm is gx.tree.norm
    assert gx.tree_map_params is gx.tree.map_params
    for name in ("update_moment", "update_moment_per_elem_norm", "update_infinity_moment"):
        assert getattr(gx, name) is getattr(gx.tree, name)


# Measurements by functions --------------------------------------------------------------------------------------------


def largest(updates):
    return gx.tree.max(updates)


def average_and_sums(updates):
    return {"mean": gx.tree.sum(updates) / gx.tree.size(updates), "sums": jax.tree.map(jnp.sum, updates)}


def gradients_of(params, steps=5):
    rng = np.random.default_rng(0)
    return [jax.tree.map(lambda x: jnp.asarray(rng.normal(size=x.shape)), params) for _ in range(steps)]


@pytest.mark.parametrize("debias", [True, False])
@jax.numpy_dtype_promotion("standard")
def test_monitors_measure_what_optax_measures(debias, double_precision):
    params = drawn(1)

    def measures(of):
        options = {"debias": debias, "accumulator_dtype": jnp.float64 if debias else None}
        averages = {f"{name} on average": of.measure_with_ema(f, 0.9, **options) for name, f in functions.items()}
        return functions | averages

    functions = {"norm": gx.tree.norm, "largest": largest, "several": average_and_sums}
    ours, theirs = gx.monitor(measures(gx)), optax.monitor(measures(optax))
    foreign = gx.monitor({"norm": optax.measure_with_ema(gx.tree.norm, 0.9, debias)})
    states = [tx.init(params) for tx in (ours, theirs, foreign)]
    before = jax.tree.structure(states[0])
    for gradient in gradients_of(params):
        updates, states[0] = ours.update(gradient, states[0])
        _, states[1] = theirs.update(gradient, states[1])
        _, states[2] = foreign.update(gradient, states[2])
        close(updates, gradient, rtol=0, atol=0)
        close(gx.measurements(states[0]), states[1].measurements)
        close(gx.tree.get(states[0], "several on average"), gx.tree.get(states[1], "several on average"))
        close(gx.measurements(states[2])["norm"], states[1].measurements["norm on average"])
    assert jax.tree.structure(states[0]) == before


def test_snapshots_are_those_of_optax(double_precision):
    params = drawn(1)
    ours, theirs = (of.snapshot("several", average_and_sums) for of in (gx, optax))
    (mine, yours) = ours.init(params), theirs.init(params)
    close(mine["measurement"], yours.measurement)
    for gradient in gradients_of(params):
        _, mine = ours.update(gradient, mine)
        _, yours = theirs.update(gradient, yours)
        close(mine["measurement"], yours.measurement)


def test_a_monitor_runs_in_scan_and_changes_nothing():
    params = {"w": jnp.ones(3, jnp.bfloat16)}
    plain = gx.adam(0.1)
    tx = gx.chain(gx.monitor({"norm": gx.tree.norm, "smooth": gx.measure_with_ema(gx.tree.norm, 0.5)}), plain)
    gradients = {"w": jnp.ones((4, 3), jnp.bfloat16) * jnp.arange(1, 5, dtype=jnp.bfloat16)[:, None]}

    def run(tx):
        def step(state, gradient):
            updates, state = tx.update(gradient, state, params)
            return state, (updates, gx.measurements(state) if tx is not plain else None)

        return jax.lax.scan(step, tx.init(params), gradients)[1]

    updates, measured = run(tx)
    close(updates, run(plain)[0])
    np.testing.assert_allclose(measured["norm"], 3**0.5 * np.arange(1, 5), rtol=1e-6)
    average, expected = 0.0, []
    for t in range(1, 5):
        average = 0.5 * average + 0.5 * 3**0.5 * t
        expected.append(average / (1 - 0.5**t))
    np.testing.assert_allclose(measured["smooth"], expected, rtol=1e-6)
    assert gx.measurements(tx.init(params)) == {"norm": 0, "smooth": 0}


def test_the_decay_of_a_measurement_is_a_number_of_the_monitor():
    tx = gx.monitor({"smooth": gx.measure_with_ema(gx.tree.norm, 0.5), "norm": gx.tree.norm})
    assert gx.hyperparameters(tx)["monitor.smooth.decay"] == 0.5
    assert repr(tx) == (
        "monitor(measures={'smooth': measure_with_ema(measure=norm, decay=0.5), 'norm': measurement(measure=norm)})"
    )

    def smooth(decay):
        own = tx.replace({"smooth.decay": decay})
        _, state = own.update(jnp.array([2.0]), own.init(jnp.zeros(1)))
        _, state = own.update(jnp.array([8.0]), state)
        return gx.tree.get(state, "smooth")

    decays = jnp.array([0.0, 0.5, 0.9])
    np.testing.assert_allclose(jax.vmap(smooth)(decays), [(2 * b + 8) / (1 + b) for b in decays], rtol=1e-6)


def test_monitors_beside_what_links_measure():
    tx = gx.measured(gx.chain(gx.clip_by_global_norm(1.0), gx.monitor({"after": gx.tree.norm}), gx.sgd(0.1)))
    _, state = tx.update(jnp.array([3.0, 4.0]), tx.init(jnp.zeros(2)))
    found = gx.measurements(state)
    assert found["clip_by_global_norm.norm"] == 5
    tx = gx.accumulate(gx.monitor({"norm": gx.tree.norm}), 2)
    _, state = tx.update(jnp.array([3.0, 4.0]), tx.init(jnp.zeros(2)))
    assert gx.tree.get(state, "norm") == 0
    _, state = tx.update(jnp.array([3.0, 4.0]), state)
    assert gx.tree.get(state, "norm") == 5
    with pytest.raises(TransformationError, match="monitor: measures: norm: expected a transformation"):
        gx.monitor({"norm": 3.0})


# Adapters -------------------------------------------------------------------------------------------------------------


def test_functions_without_parameters():
    for tx in (
        gx.stateless(lambda u, p: u if p is None else p),
        gx.stateless_with_tree_map(lambda u, p: p if p else u),
    ):
        assert tx.init(jnp.zeros(1)) == {}
        assert tx.update(jnp.array([2.0]), {})[0].tolist() == [2.0]
        assert tx.update(jnp.array([2.0]), {}, jnp.array([3.0]))[0].tolist() == [3.0]
    with pytest.raises(TransformationError, match="stateless: leaf"):
        gx.stateless(lambda u, p: u[:1]).update(jnp.ones(2), {})
    clipped = gx.chain(gx.stateless_with_tree_map(lambda u, p: 2 * u), gx.trace(0.5), gx.nesterov_lookahead(0.5))
    assert clipped.update(jnp.array([1.0]), clipped.init(jnp.zeros(1)))[0].tolist() == [3.0]  # it conditions gradients


def test_extra_keywords_are_left_out_where_nobody_takes_them():
    ours, theirs = gx.with_extra_args_support(gx.scale(2.0)), gx.with_extra_args_support(optax.scale(2.0))
    assert ours is gx.with_extra_args_support(ours)
    for tx in (ours, theirs):
        assert tx.update(jnp.array([2.0]), tx.init(jnp.zeros(1)), jnp.zeros(1), value=3.0)[0].tolist() == [4.0]
    with pytest.raises(TransformationError, match="expected a transformation"):
        gx.with_extra_args_support(3.0)


@pytest.mark.parametrize("bad", [jnp.nan, jnp.inf, 1.0])
def test_what_is_skipped_is_what_optax_skips(bad):
    updates = {"w": jnp.array([1.0, bad, bad]), "b": jnp.array(2.0)}
    zero = jnp.zeros([], jnp.int32)
    (skip, found), (yes, expected) = (of.skip_not_finite(updates, zero, None) for of in (gx, optax))
    assert skip == yes
    close(found, expected)
    for most in (6.9, 7.1):
        (skip, found), (yes, expected) = (of.skip_large_updates(updates, zero, None, most) for of in (gx, optax))
        assert skip == yes
        close(found, expected)
    half = {"w": jnp.full(2, 300, jnp.float16)}
    assert not gx.skip_large_updates(half, zero, None, 2e5)[0]
    assert gx.skip_not_finite({}, zero, None)[1]["num_not_finite"] == 0


def test_skipped_gradients_leave_no_trace():
    skip = functools.partial(gx.skip_large_updates, max_squared_norm=10.0)
    for of, without in ((skip, 100.0), (gx.skip_not_finite, jnp.nan)):
        tx = gx.MultiSteps(gx.sgd(1.0), 2, should_skip_update_fn=of)
        state = tx.init(jnp.zeros(1))
        for gradient in (1.0, without, 3.0):
            updates, state = tx.update(jnp.array([gradient]), state)
        assert updates.tolist() == [-2.0]


def test_flattened_links_see_one_vector():
    params = {"w": jnp.ones((2, 2), jnp.bfloat16), "b": jnp.array(3.0), "gone": None}
    tx = gx.flatten(gx.chain(gx.centralize(), gx.trace(0.9)))
    whole = gx.stateless_with_tree_map(lambda u, p: u - jnp.mean(u))
    updates, _ = gx.flatten(whole).update(params, {}, params)
    assert updates["w"].dtype == jnp.bfloat16
    np.testing.assert_allclose(float(updates["b"]), 3 - 7 / 5)
    assert tx.init(params)["trace"].shape == (5,)
    spread = gx.tree.map_params(tx, lambda x: "vector", tx.init(params))
    assert spread == {"trace": "vector"}
    with pytest.raises(TransformationError, match="flatten: leaf b: expected"):
        tx.update(params | {"b": None}, tx.init(params), params)


def test_a_flattened_search_and_points():
    params = {"w": jnp.array([2.0, -1.0]), "b": jnp.array(0.5)}
    for tx in (gx.lbfgs(), gx.flatten(gx.lbfgs())):
        value, grad = jax.value_and_grad(bowl)(params)
        updates, _ = tx.update(grad, tx.init(params), params, value=value, grad=grad, value_fn=bowl)
        if tx == gx.lbfgs():
            expected = updates
    close(updates, expected, rtol=1e-5)
    tx = gx.flatten(gx.chain(gx.sgd(0.5), gx.ema_params(0.5)))
    updates, state = tx.update(params, tx.init(params), params)
    close(gx.eval_params(tx, params, state), jax.tree.map(lambda x: 0.75 * x, params), rtol=1e-6)
    measured = gx.measured(gx.flatten(gx.clip(0.75)))
    _, state = measured.update(params, measured.init(params))
    np.testing.assert_allclose(gx.measurements(state)["flatten.rate"], 2 / 3, rtol=1e-6)
    scheduled = gx.flatten(gx.adam(gx.linear_schedule(1.0, 0.0, 10)))
    _, state = scheduled.update(params, scheduled.init(params))
    assert gx.hyperparameters(scheduled, state)["flatten.inner.learning_rate"] == pytest.approx(0.9)
