"""Inputs on which an earlier version was wrong: each stands for a kind, and a few of its siblings stand beside it."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gradtx
from gradtx import sweep

STILL = {"moves": "t", "*": "s"}


def ones():
    return {"w": jnp.ones((2, 3)), "b": jnp.ones(3)}


def updates_of(tx, gradients, dtype=jnp.float32):
    x = jnp.zeros(1, dtype)
    state, found = tx.init(x), []
    for gradient in gradients:
        update, state = tx.update(jnp.array([gradient], dtype), state, x)
        found.append(float(update[0]))
    return found


# Second order ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "tx",
    [
        gradtx.lbfgs(),
        gradtx.chain(gradtx.sgd(1.0), gradtx.scale_by_zoom_linesearch(20)),
        gradtx.chain(gradtx.sgd(1.0), gradtx.scale_by_backtracking_linesearch(20)),
    ],
    ids=["lbfgs", "zoom", "backtracking"],
)
def test_complex_parameters_are_searched_downhill(tx):
    def loss(z):
        return jnp.sum(jnp.abs(z - (1 + 2j)) ** 2)

    found = gradtx.minimize(loss, jnp.array([0j, 1 + 0j]), tx, steps=60).params
    np.testing.assert_allclose(found, [1 + 2j, 1 + 2j], rtol=1e-4)


@pytest.mark.parametrize("scale", [1e-8, 1e8, 1e15])
@pytest.mark.parametrize("x64", [False, True])
def test_lbfgs_finds_the_minimum_of_a_badly_scaled_bowl(scale, x64):
    with jax.enable_x64(x64):
        found = gradtx.minimize(lambda x: jnp.sum((scale * x - 3) ** 2), jnp.zeros(2), gradtx.lbfgs(), steps=40).params
        np.testing.assert_allclose(scale * found, [3, 3], rtol=1e-5)


def test_a_run_whose_search_failed_says_so():
    tx = gradtx.chain(gradtx.sgd(1.0), gradtx.scale_by_backtracking_linesearch(20))
    run = gradtx.minimize(lambda x: jnp.sum((1e8 * x - 3) ** 2), jnp.zeros(2), tx, steps=5)
    assert run.reason == "all steps were taken; the last line search found no lower loss"
    assert bool(run.state["scale_by_backtracking_linesearch"]["failed"])
    easy = gradtx.minimize(lambda x: jnp.sum((x - 3) ** 2), jnp.zeros(2), tx, steps=2)
    assert easy.reason == "all steps were taken"


CURVED = {"lbfgs": gradtx.lbfgs, "newton": gradtx.newton, "newton_cg": gradtx.newton_cg}


@pytest.mark.parametrize("name", CURVED)
@pytest.mark.parametrize(
    ("kind", "jit"), [("partition", True), ("partition", False), ("masked", True), ("guarded", True)]
)
def test_curvature_is_that_of_the_leaves_that_move(name, kind, jit):
    def loss(p):
        bowl = jnp.sum((p["moves"] - 1) ** 2 * jnp.array([1.0, 10.0])) + jnp.sum((p["b"] - 1) ** 2)
        return bowl + jnp.sum(p["moves"]) * jnp.sum(p["b"])

    inner, rest = CURVED[name](), gradtx.set_to_zero()
    tx = {
        "partition": lambda: gradtx.partition({"t": inner, "s": rest}, STILL),
        "masked": lambda: gradtx.chain(gradtx.masked(inner, "moves"), gradtx.masked(rest, "b")),
        "guarded": lambda: gradtx.partition({"t": gradtx.guard_nonfinite(inner), "s": rest}, STILL),
    }[kind]()

    def step(params, state):
        value, gradient = jax.value_and_grad(loss)(params)
        updates, state = tx.update(gradient, state, params, value=value, grad=gradient, value_fn=loss)
        return gradtx.apply_updates(params, updates), state

    params = {"moves": jnp.array([1.0, 2.0]), "b": jnp.array([3.0])}
    state, step = tx.init(params), jax.jit(step) if jit else step
    for _ in range(8 if name == "lbfgs" else 1):
        params, state = step(params, state)
    np.testing.assert_allclose(params["moves"], [-0.5, 0.85], rtol=1e-4)  # 1 − 3/2h, h the curvature
    np.testing.assert_array_equal(params["b"], [3.0])


# Numbers that are too large or too small ------------------------------------------------------------------------------

ADAPTIVE = {
    name: getattr(gradtx, name)(0.1)
    for name in ("adam", "adamw", "amsgrad", "nadam", "rmsprop", "adagrad", "adadelta", "lion", "rprop")
} | {
    "centered": gradtx.rmsprop(0.1, centered=True),
    "factored": gradtx.scale_by_factored_rms(),
    "shampoo": gradtx.scale_by_shampoo(),
    "shampoo of averages": gradtx.scale_by_shampoo(0.9),
}


@pytest.mark.parametrize("name", ADAPTIVE)
@pytest.mark.parametrize(
    ("dtype", "spike"),
    [("float32", 2e19), ("float32", -3e38), ("bfloat16", 2e19), ("float16", 6e4), ("float64", 1e300)],
)
def test_one_finite_spike_never_makes_a_nan(name, dtype, spike):
    with jax.enable_x64(dtype == "float64"):
        found = updates_of(ADAPTIVE[name], [1.0, spike, 1.0, 1.0], jnp.dtype(dtype))
    assert np.all(np.isfinite(found))


def test_adam_after_a_spike_stands_still_as_that_of_optax():
    np.testing.assert_allclose(updates_of(gradtx.adam(0.1), [1.0, 2e19, 1.0]), [-0.1, 0, 0], rtol=1e-6)


@pytest.mark.parametrize("name", ["rprop", "lion", "cautious"])
@pytest.mark.parametrize("scale", [1e-25, 1e-20, 1e20])
def test_signs_do_not_know_scale(name, scale):
    tx = {"rprop": gradtx.rprop(0.1), "lion": gradtx.lion(0.1), "cautious": gradtx.cautious(gradtx.lion(0.1))}[name]

    def run(scale):
        x = jnp.array([3.0])
        state = tx.init(x)
        for _ in range(60):
            update, state = tx.update(jnp.float32(scale) * 2 * x, state, x)
            x = gradtx.apply_updates(x, update)
        return float(x[0])

    assert run(scale) == pytest.approx(run(1.0), abs=1e-5)
    if name == "rprop":
        assert abs(run(scale)) < 1e-4


@pytest.mark.parametrize("like", [lambda x: x, lambda x: [x, 2 * x]])
def test_an_average_is_the_parameters_before_the_first_step(like):
    for inner in (gradtx.adam(0.1), gradtx.sgd(0.1)):
        tx, params = gradtx.chain(inner, gradtx.average_params(100.0)), like(jnp.array([1.0, 2.0]))
        jax.tree.map(np.testing.assert_array_equal, gradtx.eval_params(tx, params, tx.init(params)), params)


def test_a_lane_that_diverged_is_not_the_best_by_its_average():
    population = sweep.grid(lambda rate: gradtx.chain(gradtx.sgd(rate), gradtx.average_params(100.0)), rate=[0.1, 1e20])
    made = sweep.run(lambda p, b: jnp.sum((p - 3) ** 2), jnp.zeros(2), population, jnp.zeros((4, 1)), steps=20,
                     progress=False)  # fmt: skip
    assert made.best == 0
    assert made.status == ["finished", "diverged"]


# Dtypes ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("half", ["bfloat16", "float16"])
@pytest.mark.parametrize(
    "tx",
    [
        gradtx.adam(0.1),
        gradtx.sgd(0.1),
        gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.adam(0.1)),
        gradtx.partition({"t": gradtx.adam(0.1), "s": gradtx.set_to_zero()}, {"w": "t", "b": "s"}),
        gradtx.accumulate(gradtx.sgd(0.1), every=2),
        gradtx.chain(optax.clip(1.0), gradtx.sgd(0.1)),
    ],
)
def test_half_precision_gradients_of_float32_parameters_make_float32_updates(tx, half):
    params = ones()
    gradients = jax.tree.map(lambda x: x.astype(half), params)
    updates, _ = tx.update(gradients, tx.init(params), params)
    assert {x.dtype for x in jax.tree.leaves(updates)} == {jnp.dtype("float32")}
    updates, _ = tx.update(params, tx.init(gradients), gradients)
    assert {x.dtype for x in jax.tree.leaves(updates)} == {jnp.dtype("float32")}


@pytest.mark.parametrize(
    "step",
    [np.int8(127), np.uint8(255), np.int16(32767), np.uint16(65535), np.int64(127), jnp.int8(127), jnp.uint8(255), 127],
    ids=lambda x: f"{type(x).__name__}-{int(x)}",
)
def test_a_step_of_any_integer_dtype_is_a_number(step):
    x = jnp.ones(2)
    tx = gradtx.adam(0.1)
    expected, _ = tx.update(x, tx.init(x), x, step=int(step))
    for update in (tx.update, jax.jit(tx.update)):
        found, state = update(x, tx.init(x), x, step=step)
        assert int(state["count"]) == int(step) + 1
        np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("step", [2**31 - 1, 2**31, 2**40, np.int64(2**31), np.int64(2**40), np.uint32(2**32 - 1)])
def test_a_step_beyond_what_is_counted_is_the_last_one_that_is(step):
    x, tx = jnp.ones(2), gradtx.adam(0.1)
    update, state = tx.update(x, tx.init(x), x, step=step)
    assert int(state["count"]) == 2**31 - 1
    assert bool(jnp.all(update < 0))


@pytest.mark.parametrize(
    "tx",
    [
        gradtx.adam(0.1),
        gradtx.sgd(0.1, 0.9),
        gradtx.rprop(0.1),
        gradtx.partition({"t": gradtx.adam(0.1), "s": gradtx.set_to_zero()}, {"w": "t", "b": "s"}),
    ],
)
def test_a_state_of_float64_arrays_of_numpy_is_taken(tx):
    def double(tree):
        return jax.tree.map(lambda x: np.asarray(x, np.float64 if x.dtype.kind == "f" else np.int64), tree)

    params = ones()
    expected, state = tx.update(params, tx.init(params), params)
    for update in (tx.update, jax.jit(tx.update)):
        for found, kept in (
            update(params, double(tx.init(params)), params),
            update(double(params), double(tx.init(params)), double(params)),
        ):
            jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), found, expected)
            assert [x.dtype for x in jax.tree.leaves(kept)] == [x.dtype for x in jax.tree.leaves(state)]


@pytest.mark.parametrize("name", ["adagrad", "adam", "rmsprop", "adadelta", "rprop", "lion", "asgd"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_state_is_made_of_shapes(name, dtype):
    tx = getattr(gradtx, name)(0.1)
    made = tx.init({"w": jax.ShapeDtypeStruct((3,), dtype)})
    alike = tx.init({"w": jnp.zeros(3, dtype)})
    jax.tree.map(np.testing.assert_array_equal, made, alike)


# Without state, and of another library --------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [None, (), [], {}, optax.EmptyState()], ids=repr)
@pytest.mark.parametrize(
    "tx",
    [
        gradtx.clip(1.0), gradtx.clip_by_global_norm(1.0), gradtx.sgd(0.1), gradtx.set_to_zero(),
        gradtx.chain(gradtx.clip(1.0), gradtx.scale(2.0)), gradtx.masked(gradtx.scale(2.0), "w"),
        gradtx.partition({"s": gradtx.set_to_zero()}, {"*": "s"}), gradtx.chain(optax.clip(1.0)),
    ],
    ids=lambda tx: repr(tx)[:30],
)  # fmt: skip
def test_any_state_of_nothing_is_taken_where_there_is_none(tx, state):
    expected = tx.update(ones(), {}, ones())
    jax.tree.map(np.testing.assert_array_equal, tx.update(ones(), state, ones()), expected)


@pytest.fixture
def standard():
    """Optax promotes as JAX does by default, also in the threads of a sweep."""
    jax.config.update("jax_numpy_dtype_promotion", "standard")
    yield
    jax.config.update("jax_numpy_dtype_promotion", "strict")


def in_and_out(theirs, params, inside=None):
    """The parameters after a few steps of a transformation of Optax, in a chain of ours and alone."""
    found = []
    for tx in (gradtx.chain(theirs) if inside is None else inside, theirs):
        at, state = params, tx.init(params)
        for _ in range(5):
            updates, state = tx.update(jax.tree.map(lambda x: 0.1 * x, ones()), state, at)
            at = optax.apply_updates(at, updates)
        found.append(at)
    return found


def same(inside, outside):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), inside, outside)


def measured(updates, *args, **kwargs):
    return optax.tree.norm(updates)


@pytest.mark.parametrize(
    "theirs",
    [
        optax.add_noise(0.1, 0.5, jax.random.key(0)),
        optax.add_noise(0.1, 0.5, 3),
        optax.monitor({"norm": optax.measure_with_ema(measured, 0.9)}),
        optax.sm3(0.1),
    ],
    ids=["key", "seed", "monitor", "sm3"],
)
def test_guests_that_crashed_are_in_a_chain_what_they_are_outside(theirs):
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        same(*in_and_out(theirs, ones()))


@pytest.mark.parametrize("theirs", [optax.sm3(0.1), optax.scale_by_sm3(), optax.adam(0.1)], ids=["sm3", "link", "adam"])
def test_the_parameters_in_the_state_of_a_guest_are_found_by_optax(theirs):
    tx = gradtx.chain(theirs, gradtx.scale(1.0))
    state = tx.init(ones())
    doubled = optax.tree_map_params(tx, lambda x: x * 2 + 1, state)
    outside = optax.tree_map_params(theirs, lambda x: x * 2 + 1, theirs.init(ones()))
    assert jax.tree.structure(doubled) == jax.tree.structure(state)
    for a, b in zip(jax.tree.leaves(doubled), jax.tree.leaves(outside), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("clipped", [False, True])
def test_the_lookahead_of_optax_keeps_its_two_trees(clipped):
    theirs = optax.lookahead(optax.sgd(0.1), sync_period=3, slow_step_size=0.5)
    ours = gradtx.chain(gradtx.clip(1.0), theirs) if clipped else gradtx.chain(theirs)
    with jax.numpy_dtype_promotion("standard"):
        inside, outside = in_and_out(theirs, optax.LookaheadParams.init_synced(ones()), ours)
    same(inside.fast, outside.fast)
    same(inside.slow, outside.slow)


def distance(params, batch):
    return jnp.mean((batch - params[None]) ** 2)


@pytest.mark.filterwarnings("ignore:sweep. lanes 0 and 1 look alike")
@pytest.mark.parametrize(
    ("population", "losses"),
    [
        (lambda: sweep.grid(lambda lr: optax.sgd(lr), lr=[0.1, 0.2]), [0.9**10, 0.8**10]),
        (lambda: sweep.stack([optax.sgd(0.1), optax.sgd(0.2)]), [0.9**10, 0.8**10]),
        (lambda: sweep.grid(lambda lr: gradtx.chain(optax.sgd(lr)), lr=[0.1, 0.2]), [0.9**10, 0.8**10]),
        (lambda: sweep.grid(lambda lr: optax.MultiSteps(optax.sgd(lr), 2), lr=[0.1, 0.2]), [0.9**4, 0.8**4]),
        (lambda: sweep.grid(gradtx.scale_by_sign, seeds=range(2)), [36, 36]),
        (lambda: sweep.grid(gradtx.set_to_zero, seeds=range(2)), [1, 1]),
        (lambda: sweep.stack([gradtx.set_to_zero(), optax.sgd(0.1), gradtx.sgd(0.1)]), [1, 0.9**10, 0.9**10]),
    ],
)
def test_a_sweep_takes_transformations_whose_numbers_are_not_seen(standard, population, losses):
    made = sweep.run(distance, jnp.zeros(2), population(), jnp.ones((8, 2)), steps=5, progress=False)
    np.testing.assert_allclose(made.final_loss, losses, rtol=1e-5)


# What the fuzz found --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "inner",
    [
        gradtx.master_weights(gradtx.sgd(1.0)),
        gradtx.schedule_free(gradtx.sgd(1.0), 1.0, b1=0.0),
        gradtx.lookahead(gradtx.sgd(1.0), 1, 1.0),
    ],
    ids=["master_weights", "schedule_free", "lookahead"],
)
def test_a_restart_begins_at_the_parameters_of_the_next_update_and_takes_no_step_back(inner):
    assert updates_along(gradtx.restart(inner, 2), [1.0] * 6)[1::2] == [-1.0, -1.0, -1.0]
    assert updates_along(gradtx.restart(inner, 1), [1.0] * 3) == [-1.0, -1.0, -1.0]


@pytest.mark.parametrize("r", [None, 0.0])
def test_the_average_of_schedule_free_without_the_rate_counts_the_steps_of_a_rate_of_zero(r):
    rate = gradtx.linear_schedule(0.0, 1.0, 1)
    tx, x = gradtx.schedule_free(gradtx.sgd(1.0), rate, weight_lr_power=0.0, r=r), jnp.full(1, 8.0)
    state = tx.init(x)
    for deployed in (7.0, 6.5, 6.0):  # the plain mean of 7, 6 and 5
        update, state = tx.update(jnp.ones(1), state, x)
        x = gradtx.apply_updates(x, update)
        np.testing.assert_allclose(gradtx.eval_params(tx, x, state), [deployed], rtol=1e-6)


def updates_along(tx, gradients):
    x, found = jnp.full(1, 8.0), []
    state = tx.init(x)
    for gradient in gradients:
        update, state = tx.update(jnp.array([gradient]), state, x)
        x = gradtx.apply_updates(x, update)
        found.append(float(update[0]))
    return found


def test_what_conditions_does_so_also_where_a_condition_is_pythons():
    tx = gradtx.chain(
        gradtx.conditionally_mask(gradtx.scale(2.0), lambda step: step % 2 == 1), gradtx.nesterov_lookahead(0.5)
    )
    params = jnp.zeros(1)
    plain = tx.update(jnp.ones(1), tx.init(params), params)[0]
    with jax.disable_jit():
        assert tx.update(jnp.ones(1), tx.init(params), params)[0] == plain == 0


def test_an_average_at_every_one_and_a_half_steps_is_at_every_second():
    params = jnp.zeros(1)
    half, whole = gradtx.swa_params(0.5, 1.5), gradtx.swa_params(1, 2)
    one, other = half.init(params), whole.init(params)
    for n in range(6):
        u = jnp.full(1, float(n))
        one, other = half.update(u, one, params)[1], whole.update(u, other, params)[1]
        assert one == other


@pytest.mark.parametrize(
    ("tx", "begins"),
    [(gradtx.average_params(5.0), 2), (gradtx.swa_params(1, 1), 2), (gradtx.ema_params(0.9, bias_correction=True), 1)],
)
def test_an_average_begins_with_the_very_parameters(tx, begins):
    draw = np.random.default_rng(0).normal
    state = tx.init(jnp.zeros(64))
    for scale in (1e6, 1.0)[-begins:]:  # those of the second step are others than the first step has left
        params, update = (jnp.asarray(draw(scale=scale, size=64), jnp.float32) for _ in range(2))
        _, state = tx.update(update, state, params)
    assert (gradtx.eval_params(tx, params, state) == gradtx.apply_updates(params, update)).all()


@pytest.mark.parametrize("join", ["fork", "graft"])
def test_branches_that_leave_a_leaf_alone_join_with_those_that_do_not_also_in_bfloat16(join):
    params = {"w": jnp.ones(3, jnp.bfloat16), "b": jnp.ones(3, jnp.bfloat16)}
    branches = gradtx.scale(2.0), gradtx.masked(gradtx.scale(2.0), mask={"w": False, "b": True})
    tx = gradtx.fork(lambda a, b: a + b, *branches) if join == "fork" else gradtx.graft(*branches)
    updates, _ = tx.update(params, tx.init(params), params)
    assert {name: (u.dtype, float(u[0])) for name, u in updates.items()} == {
        "w": (jnp.bfloat16, 3.0 if join == "fork" else 1.0),
        "b": (jnp.bfloat16, 4.0 if join == "fork" else 2.0),
    }


@pytest.mark.parametrize("compiled", [True, False])
def test_a_link_that_hands_on_the_update_as_it_is_ends_what_conditions(compiled):
    passes = gradtx.tail_ema_params(start=0.0)
    params, gradient = jnp.full(1, 0.5), jnp.ones(1)
    found = []
    for first in (passes, gradtx.guard_nonfinite(passes), gradtx.chain(passes, gradtx.fork(lambda u: u, passes))):
        tx = gradtx.chain(first, gradtx.scale(2.0), gradtx.scale_by_rss(0.0, 0.0))  # which reads the gradient, 1
        with jax.disable_jit(not compiled):
            found.append(float(tx.update(gradient, tx.init(params), params)[0][0]))
    assert found == [2.0, 2.0, 2.0]


def test_a_restart_keeps_what_is_measured_inside():
    tx = gradtx.measured(gradtx.restart(gradtx.chain(gradtx.clip(1.0), gradtx.trace(0.5)), every=2))
    params = jnp.zeros(2)
    state = tx.init(params)
    for size in (3.0, 0.5):
        _, state = tx.update(jnp.array([size, 0.0]), state, params)
        rates = [float(x) for name, x in gradtx.measurements(state).items() if name.endswith("clip.rate")]
        assert rates == [0.5 if size > 1 else 0.0]
    assert gradtx.tree.get(state, "trace").tolist() == [0.5, 0.0]  # anew after the first step; else 1.0
