"""What Optax has in ``optax.contrib``, where the table cannot say it: losses, points, pairs of steps, scars."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib as peers
import pytest

import gradtx as gx
from tests import references_contrib as C
from tests.table.row import of
from tests.test_optax import double_precision, farthest, problem, train
from tests.test_references import drawn, run, stacked


@pytest.fixture
def wide():
    with double_precision():
        yield


def follow(tx, params, gradients, **series):
    """All parameters along the way, and the last state; each keyword has a value for every step."""

    def step(carry, row):
        params, state = carry
        gradient, extra = row
        updates, state = tx.update(gradient, state, params, **extra)
        params = jax.tree.map(lambda p, u: p + u, params, updates)
        return (params, state), params

    made = jax.jit(lambda p, g, e: jax.lax.scan(step, (p, tx.init(p)), (g, e)))(params, gradients, series)
    return jax.tree.map(np.asarray, made[1]), made[0][1]


# Updates that are differences of parameters, as exact as they are --------------------------------------------------


def warming(step):
    """The rates of a warm-up of 4 steps to 0.1, from 0."""
    return 0.1 * min(step / 4, 1)


def ahead(step):
    """The same, one step ahead."""
    return warming(step + 1)


DIFFERENCES = {
    "schedule_free_sgd": (
        gx.schedule_free_sgd(0.1, 4, weight_decay=0.1),
        of(C.schedule_free, rate=warming, of_average=ahead, weight_decay=0.1),
    ),
    "schedule_free_sgd as its authors warm it up": (
        gx.schedule_free_sgd(0.1, 4, 0.0, r=0.5, warmup_from="one step"),
        of(C.schedule_free, rate=ahead, b1=0.0, r=0.5),
    ),
    "schedule_free_adamw": (
        gx.schedule_free_adamw(0.1, 4, weight_decay=0.1),
        of(C.schedule_free, rate=warming, of_average=ahead, b2=0.999, weight_decay=0.1),
    ),
    "mechanize": (
        gx.mechanize(gx.sgd(0.1), s_init=1e-3),
        functools.partial(C.mechanize, rate=0.1, s_init=1e-3),
    ),
}


@pytest.mark.parametrize("name", DIFFERENCES)
def test_parameters_equal_those_of_the_reference(name, wide):
    tx, reference = DIFFERENCES[name]
    params, gradients = drawn(1)
    updates, last, _ = jax.jit(functools.partial(run, tx))(stacked(gradients), jax.tree.map(jnp.asarray, params))
    expected, _ = reference(gradients, params)
    for leaf in params:
        rows = np.stack([row[leaf] for row in expected])
        np.testing.assert_allclose(updates[leaf], rows, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(last[leaf], params[leaf] + rows.sum(0), rtol=1e-12, atol=1e-13)


# Optax computes some rates in float32 whatever the parameters are in -------------------------------------------

ROUNDED = {
    "madgrad": (gx.madgrad(0.1, 0.8, 0.1), peers.madgrad(0.1, 0.8, 0.1)),
    "schedule_free_sgd": (gx.schedule_free_sgd(0.1, 10), peers.schedule_free_sgd(0.1, 10)),
    "schedule_free_adamw": (gx.schedule_free_adamw(0.1, 10), peers.schedule_free_adamw(0.1, 10)),
}


@pytest.mark.parametrize("name", ROUNDED)
def test_equals_optax_up_to_its_rounding_of_a_rate(name, wide):
    params, gradients = problem(np.float64)
    ours, theirs = (train(tx, params, gradients)[0] for tx in ROUNDED[name])
    assert farthest(ours, theirs) <= 1e-7 * np.abs(theirs["b"]).max()


# Rules that are told the loss -----------------------------------------------------------------------------------------

LOSSES = 1 + np.abs(np.random.default_rng(2).normal(size=100)).cumsum()[::-1] / 20
TOLD = {
    "momo": (
        lambda m, **k: m.momo(0.5, lower_bound=-9.0, weight_decay=0.1, **k),
        functools.partial(C.momo, rate=0.5, least=-9.0, decay=0.1),
    ),
    "momo_adam": (
        lambda m, **k: m.momo_adam(0.5, 0.8, 0.95, lower_bound=-9.0, weight_decay=0.1, **k),
        functools.partial(C.momo_adam, rate=0.5, b1=0.8, b2=0.95, least=-9.0, decay=0.1),
    ),
}


@pytest.mark.parametrize("adapt", [False, True], ids=["a bound", "an estimated bound"])
@pytest.mark.parametrize("name", TOLD)
def test_steps_by_a_model_of_the_loss_equal_optax_and_the_paper(name, adapt, wide):
    make, reference = TOLD[name]
    params, gradients = problem(np.float64)
    ours, state = follow(make(gx, adapt_lower_bound=adapt), params, gradients, value=jnp.asarray(LOSSES))
    theirs, _ = follow(make(peers, adapt_lower_bound=adapt), params, gradients, value=jnp.asarray(LOSSES))
    assert farthest(ours, theirs) <= 1e-12 * np.abs(theirs["b"]).max()
    rows = [{k: np.asarray(g[n]) for k, g in gradients.items()} for n in range(len(LOSSES))]
    updates, kept = reference(rows, jax.tree.map(np.asarray, params), LOSSES, adapt=adapt)
    last = {k: np.asarray(params[k]) + sum(u[k] for u in updates) for k in params}
    assert farthest(jax.tree.map(lambda x: x[-1], ours), last) <= 1e-12 * np.abs(last["b"]).max()
    for field, wanted in kept.items():
        jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-11), state[field], wanted)
    assert (kept["lb"] > -9) == adapt


PLATEAUS = {
    "by default": {"patience": 3},
    "with a cool-down": {"factor": 0.5, "patience": 2, "cooldown": 3},
    "of means": {"factor": 0.5, "patience": 2, "accumulation_size": 4},
    "down to a least scale": {"factor": 0.3, "patience": 1, "min_scale": 0.05},
    "by an absolute improvement": {"factor": 0.5, "patience": 2, "rtol": 0.0, "atol": 0.1},
}


@pytest.mark.parametrize("name", PLATEAUS)
def test_positive_losses_reduce_the_rate_as_in_optax(name, wide):
    params, gradients = problem(np.float64)
    losses = jnp.asarray(LOSSES + np.random.default_rng(3).normal(size=100) / 5)
    ours, state = follow(gx.reduce_on_plateau(**PLATEAUS[name]), params, gradients, value=losses)
    theirs, kept = follow(peers.reduce_on_plateau(**PLATEAUS[name]), params, gradients, value=losses)
    assert farthest(ours, theirs) <= 1e-12 * np.abs(theirs["b"]).max()
    assert state["scale"] < 1
    assert (state["plateau_count"], state["cooldown_count"]) == (kept.plateau_count, kept.cooldown_count)


def scales(losses, **given):
    tx = gx.reduce_on_plateau(**given)
    state, found = tx.init(jnp.zeros(1)), []
    for loss in losses:
        _, state = tx.update(jnp.ones(1), state, value=loss)
        found.append(float(state["scale"]))
    return found


def test_losses_below_zero_reduce_the_rate_when_they_stop_to_improve():
    assert scales([-1.0, -1.0, -1.0], factor=0.5, patience=1) == [1.0, 0.5, 0.25]
    assert scales([-1.0, -1.0 + 1e-5, -1.1], factor=0.5, patience=1) == [1.0, 0.5, 0.5]
    assert scales([0.0, 0.0, -1.0], factor=0.5, patience=1, atol=0.1) == [1.0, 0.5, 0.5]
    theirs = peers.reduce_on_plateau(0.5, 1)
    state = theirs.init(jnp.zeros(1))
    for _ in range(3):
        with jax.numpy_dtype_promotion("standard"):
            _, state = theirs.update(jnp.ones(1), state, value=-1.0)
    assert float(state.scale) == 1  # each loss of −1 passes for an improvement on −1


def test_a_loss_that_is_nan_does_not_improve():
    assert scales([1.0, np.nan, np.nan], factor=0.5, patience=2) == [1.0, 1.0, 0.5]


def test_every_number_of_a_plateau_can_be_swept():
    factors, patience = jnp.array([0.5, 0.25]), jnp.array([1.0, 2.0])
    txs = jax.vmap(gx.reduce_on_plateau)(factors, patience)
    states = jax.vmap(lambda tx: tx.init(jnp.zeros(1)))(txs)
    for _ in range(3):
        _, states = jax.vmap(lambda tx, s: tx.update(jnp.ones(1), s, value=jnp.array(1.0)))(txs, states)
    np.testing.assert_allclose(states["scale"], [0.25, 0.25])


# Sharpness ------------------------------------------------------------------------------------------------------------


def loss(params):
    return jnp.sum(params["w"] ** 2) / 2 + jnp.sum(params["b"] ** 4) / 4


def adversary(library, normalize):
    return library.chain(normalize(), library.sgd(0.1))


def opaquely(tx, params, steps):
    state = tx.init(params)
    for _ in range(steps):
        gradient = jax.grad(loss)(params)
        updates, state = tx.update(gradient, state, params, grad_fn=lambda x, n: jax.grad(loss)(x))
        params = jax.tree.map(lambda p, u: p + u, params, updates)
    return params


@pytest.mark.parametrize("period", [1, 2, 3])
def test_all_modes_of_sam_take_the_steps_of_optax(period, wide):
    params = problem(np.float64)[0]
    ours = functools.partial(gx.sam, gx.sgd(0.05, 0.9), adversary(gx, gx.normalize), period)
    theirs = peers.sam(optax.sgd(0.05, 0.9), adversary(optax, peers.normalize), period, opaque_mode=True)
    expected = opaquely(theirs, params, 5)
    assert farthest(opaquely(ours(opaque_mode=True), params, 5), expected) <= 1e-12
    for moves in (True, False):
        tx, now, state = ours(moves_params=moves), params, None
        state = tx.init(now)
        for n in range(5 * period):
            at = gx.gradient_params(tx, now, state)
            updates, state = tx.update(jax.grad(loss)(at), state, now)
            now = gx.apply_updates(now, updates)
            home = gx.eval_params(tx, now, state)
            if not moves:
                assert farthest(now, home) == 0
            if (n + 1) % period == 0:
                assert farthest(now, home) == 0
        assert farthest(now, expected) <= 1e-12


def test_sam_without_a_grad_fn_takes_the_gradient_of_value_fn():
    params = {"w": jnp.array([0.5, -1.0]), "b": jnp.array([2.0])}
    tx = gx.sam(gx.sgd(0.05), adversary(gx, gx.normalize), opaque_mode=True)
    gradient = jax.grad(loss)(params)
    with_grad, _ = tx.update(gradient, tx.init(params), params, grad_fn=lambda x, n: jax.grad(loss)(x))
    with_value, _ = tx.update(gradient, tx.init(params), params, value_fn=loss)
    assert farthest(with_grad, with_value) <= 1e-7
    with pytest.raises(gx.TransformationError, match="'grad_fn'"):
        tx.update(gradient, tx.init(params), params)


def test_sam_of_a_group_sees_its_own_leaves_alone():
    params = {"w": jnp.array([0.5, -1.0]), "b": jnp.array([2.0])}
    own = gx.sam(gx.sgd(0.05), adversary(gx, gx.normalize), opaque_mode=True)
    tx = gx.partition({"sharp": own, "plain": gx.sgd(0.1)}, {"w": "sharp", "*": "plain"})
    updates, _ = tx.update(jax.grad(loss)(params), tx.init(params), params, grad_fn=lambda x, n: jax.grad(loss)(x))
    w = np.array([0.5, -1.0])
    np.testing.assert_allclose(updates["w"], -0.05 * (w + 0.1 * w / np.linalg.norm(w)), rtol=1e-6)
    np.testing.assert_allclose(updates["b"], [-0.8], rtol=1e-6)


def test_opaque_sam_hands_out_points_in_the_dtypes_of_the_parameters():
    params = {"w": jnp.array([0.5, -1.0], jnp.bfloat16), "b": jnp.array([2.0], jnp.bfloat16)}
    seen = []

    def grad_fn(at, n):
        seen.append((at["w"].dtype, n))
        return jax.grad(loss)(at)

    tx = gx.sam(gx.sgd(0.05), adversary(gx, gx.normalize), 3, opaque_mode=True)
    tx.update(jax.grad(loss)(params), tx.init(params), params, grad_fn=grad_fn)
    assert seen[:2] == [(jnp.bfloat16, 0), (jnp.bfloat16, 1)]


def test_a_fit_with_asam_falls_to_a_minimum():
    data = jnp.arange(8.0)
    tx = gx.asam(gx.sgd(0.1), 0.05, moves_params=False)
    made = gx.fit(lambda x, batch: jnp.mean((x - 2.0) ** 2 + 0 * batch), jnp.array(5.0), tx, data, steps=120)
    assert abs(float(made.params) - 2) < 0.05


# Schedule-Free --------------------------------------------------------------------------------------------------------

FREE = gx.schedule_free_sgd(0.1)
NESTED = {
    "alone": FREE,
    "in a chain": gx.chain(gx.clip_by_global_norm(1.0), FREE),
    "in an accumulation, guarded": gx.guard_nonfinite(gx.accumulate(FREE, 2)),
    "in groups": gx.partition({"free": FREE, "plain": gx.sgd(0.1)}, {"w": "free", "*": "plain"}),
    "in every group": gx.partition({"a": FREE, "b": gx.schedule_free_adamw(0.1)}, {"w": "a", "*": "b"}),
    "in sam": gx.sam(FREE, adversary(gx, gx.normalize)),
    "in optax.chain": optax.chain(optax.clip(1.0), FREE),
}


@pytest.mark.parametrize("where", NESTED)
def test_parameters_to_deploy_are_found_in_any_state(where):
    params, gradients = problem(steps=4)
    tx = NESTED[where]
    trained, state = train(tx, params, gradients)
    now = jax.tree.map(lambda x: jnp.asarray(x[-1]), trained)
    found = gx.schedule_free_eval_params(state, now)
    assert farthest(found, now) > 1e-3
    if isinstance(tx, gx.GradientTransformation):
        assert farthest(found, gx.eval_params(tx, now, state)) == 0


def test_no_average_is_an_error():
    with pytest.raises(gx.TransformationError, match="schedule_free_eval_params"):
        gx.schedule_free_eval_params(gx.adam(0.1).init(jnp.zeros(2)), jnp.zeros(2))


def test_parameters_to_deploy_equal_those_of_optax(wide):
    params, gradients = problem(np.float64)
    ours, state = train(FREE, params, gradients)
    theirs, kept = train(peers.schedule_free_sgd(0.1), params, gradients)
    a = gx.schedule_free_eval_params(state, jax.tree.map(lambda x: jnp.asarray(x[-1]), ours))
    b = peers.schedule_free_eval_params(kept, jax.tree.map(lambda x: jnp.asarray(x[-1]), theirs))
    assert farthest(a, b) <= 1e-11


def test_the_dtype_of_z_is_as_asked():
    state = gx.schedule_free_sgd(0.1, state_dtype="bfloat16").init(jnp.zeros(2))
    assert (state["z"].dtype, state["x"].dtype) == (jnp.bfloat16, jnp.float32)


# Complex parameters ---------------------------------------------------------------------------------------------------


def test_parts_of_complex_parameters_go_their_own_ways(wide):
    rng = np.random.default_rng(0)
    params = {"w": jnp.asarray(rng.normal(size=3) + 1j * rng.normal(size=3)), "b": jnp.asarray(rng.normal(size=2))}
    gradients = {
        "w": jnp.asarray(rng.normal(size=(20, 3)) + 1j * rng.normal(size=(20, 3))),
        "b": jnp.asarray(rng.normal(size=(20, 2))),
    }
    ours, state = follow(gx.split_real_and_imaginary(gx.adamw(0.1)), params, gradients)
    theirs, _ = follow(peers.split_real_and_imaginary(optax.adamw(0.1)), params, gradients)
    assert farthest(ours, theirs) <= 1e-12
    assert gx.tree.paths(state["inner"]["scale_by_rms"]["nu"]) == ["b", "w.real", "w.imaginary"]


def test_points_of_a_transformation_of_parts_are_complex():
    tx, params = gx.split_real_and_imaginary(gx.nesterov(0.1, 0.5)), jnp.array([1.0 + 2.0j])
    updates, state = tx.update(jnp.array([2.0 - 4.0j]), tx.init(params), params)
    at = gx.gradient_params(tx, gx.apply_updates(params, updates), state)
    np.testing.assert_allclose(at, [0.7 + 2.6j], rtol=1e-6)


def test_groups_of_parts_are_named_by_their_paths():
    groups = {"moves": gx.sgd(1.0), "still": gx.set_to_zero()}
    tx = gx.split_real_and_imaginary(gx.partition(groups, {"w.real": "moves", "*": "still"}))
    params = {"w": jnp.array([1.0 + 2.0j]), "b": jnp.ones(1)}
    updates, _ = tx.update(params, tx.init(params), params)
    np.testing.assert_allclose(updates["w"], [-1.0])
    np.testing.assert_allclose(updates["b"], [0.0])


# What finds its own rate ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tx", "name"),
    [
        (gx.prodigy(), "prodigy.estim_lr"),
        (gx.dadapt_adamw(), "dadapt_adamw.estim_lr"),
        (gx.dog(), "dog.scale_by_dog.max_dist"),
        (gx.dowg(), "dowg.scale_by_dowg.estim_sq_dist"),
        (gx.mechanize(gx.sgd(1.0)), "mechanize.scale"),
    ],
    ids=lambda part: part if isinstance(part, str) else "",
)
def test_the_estimate_of(tx, name):
    params = {"x": jnp.array([5.0, -3.0])}
    tx = gx.measured(tx)
    state = tx.init(params)
    found = []
    for _ in range(40):
        updates, state = tx.update(params, state, params)
        params = gx.apply_updates(params, updates)
        found.append(float(gx.measurements(state)[name]))
    assert found[-1] > 2 * found[0] > 0


# Curvature ------------------------------------------------------------------------------------------------------------


def diagonal(params):
    """A function whose Hessian is diagonal, so that Hutchinson's estimate of it is exact, whatever is drawn."""
    return sum(jnp.sum(jnp.cos(x) + x**2) for x in jax.tree.leaves(params))


SOPHIAS = {
    "by default": {},
    "at every second step": {"b1": 0.8, "b2": 0.9, "gamma": 0.5, "update_interval": 2, "weight_decay": 0.1},
}


@pytest.mark.parametrize("name", SOPHIAS)
def test_sophia_equals_optax_where_the_estimate_is_exact(name, wide):
    params, gradients = problem(np.float64)
    ours, _ = train(gx.sophia(0.1, **SOPHIAS[name]), params, gradients, obj_fn=diagonal)
    theirs, _ = train(peers.sophia(0.1, **SOPHIAS[name]), params, gradients, obj_fn=diagonal)
    assert farthest(ours, theirs) <= 1e-12 * np.abs(theirs["b"]).max()


def coupled(params, shift=0.0):
    """A function whose Hessian is not diagonal."""
    return jnp.sum(jnp.sum(params["w"], 0) ** 2) + jnp.sum(params["w"] ** 2 * (1 + shift)) + jnp.prod(params["b"])


def test_the_estimate_has_the_mean_of_the_diagonal_and_follows_from_the_seed():
    params = {"w": jnp.ones((4, 3)), "b": jnp.ones(3)}

    def estimates(seed):
        def step(state, _):
            made, state = tx.update(params, state, params, obj_fn=coupled)
            return state, made

        tx = gx.hutchinson_estimator_diag_hessian(seed)
        return jax.lax.scan(step, tx.init(params), None, 4000)[1]

    made = jax.jit(estimates)(0.0)
    np.testing.assert_allclose(made["w"].mean(0), 4.0, atol=0.2)
    np.testing.assert_allclose(made["b"].mean(0), 0.0, atol=0.1)
    assert jnp.std(made["w"]) > 1  # each one is a draw
    assert farthest(made, jax.jit(estimates)(1.0)) > 1
    assert farthest(made, jax.jit(estimates)(0.0)) == 0


def test_the_objective_gets_its_data_and_its_own_leaves():
    params = {"w": jnp.ones((4, 3)), "b": jnp.ones(3)}
    tx = gx.partition(
        {"h": gx.hutchinson_estimator_diag_hessian(), "still": gx.set_to_zero()}, {"b": "h", "*": "still"}
    )
    made, _ = tx.update(
        params, tx.init(params), params, obj_fn=lambda x, scale: scale * jnp.sum(x["b"] ** 2), scale=3.0
    )
    np.testing.assert_allclose(made["b"], 6.0)
    with pytest.raises(gx.TransformationError, match="obj_fn"):
        gx.sophia(0.1).update(params, gx.sophia(0.1).init(params), params)


def test_a_fit_with_sophia_needs_no_more_than_its_loss():
    tx = gx.sophia(0.3, gamma=1.0, update_interval=2, weight_decay=0.0)
    data = jnp.arange(8.0)
    made = gx.fit(lambda x, batch: jnp.mean((x - 2.0) ** 2 + 0 * batch), jnp.array(5.0), tx, data, steps=150)
    assert abs(float(made.params) - 2) < 0.2


# Privacy --------------------------------------------------------------------------------------------------------------


def examples(steps=100):
    rng = np.random.default_rng(5)
    sizes = np.exp(rng.normal(size=(steps, 8, 1)))
    return {
        "w": jnp.asarray(rng.normal(size=(steps, 8, 4, 3)) * sizes[..., None]),
        "b": jnp.asarray(sizes * np.ones(3)),
    }


@pytest.mark.filterwarnings('ignore:"seed" is deprecated:DeprecationWarning')
@pytest.mark.parametrize("given", [{}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}], ids=str)
def test_without_noise_dpsgd_equals_optax(given, wide):
    params, _ = problem(np.float64)
    ours, _ = follow(gx.dpsgd(0.1, 2.0, 0.0, 7, **given), params, examples())
    theirs, _ = follow(peers.dpsgd(0.1, 2.0, 0.0, 7, **given), params, examples())
    assert farthest(ours, theirs) <= 1e-12 * np.abs(theirs["b"]).max()


def test_the_noise_has_its_size_and_follows_from_the_seed():
    params = {"w": jnp.zeros((200, 50)), "b": jnp.zeros(5000)}
    gradients = jax.tree.map(lambda x: jnp.zeros((4, *x.shape)), params)
    draws = []
    for seed in (0, 1, 1):
        tx = gx.differentially_private_aggregate(2.0, 3.0, seed)
        made, state = tx.update(gradients, tx.init(params), params)
        draws.append(made)
        np.testing.assert_allclose([jnp.std(made["w"]), jnp.std(made["b"])], 2 * 3 / 4, rtol=0.05)
    assert farthest(draws[0], draws[1]) > 1
    assert farthest(draws[1], draws[2]) == 0
    again, _ = tx.update(gradients, state, params)
    assert farthest(again, made) > 1
    by_name = gx.differentially_private_aggregate(2.0, 3.0, seed=1)
    assert farthest(by_name.update(gradients, by_name.init(params), params)[0], made) == 0


def test_what_follows_sees_one_gradient_of_the_batch():
    params = {"w": jnp.ones((4, 3)), "b": jnp.ones(3)}
    clip = gx.differentially_private_aggregate(1e6, 0.0)
    tx = gx.chain(clip, gx.guard_nonfinite(gx.accumulate(gx.adamw(0.1), 1)))
    batch = jax.tree.map(lambda g: g[0].astype(jnp.float32), examples(1))
    updates, _ = jax.jit(tx.update)(batch, tx.init(params), params)
    plain = gx.adamw(0.1)
    expected, _ = plain.update(jax.tree.map(lambda g: g.mean(0), batch), plain.init(params), params)
    assert farthest(updates, expected) <= 1e-6


def test_gradients_without_an_axis_of_examples_are_an_error():
    params = {"w": jnp.ones((4, 3)), "b": jnp.ones(3)}
    tx = gx.dpsgd(0.1, 1.0, 0.1, 0)
    with pytest.raises(gx.TransformationError, match=r"leaf b: expected shape \(3,\), found \(\)"):
        tx.update({"w": jnp.ones((3, 4, 3)), "b": jnp.ones(3)}, tx.init(params), params)
    with pytest.raises(gx.TransformationError, match="as many examples of each leaf, found 3 of b, 4 of w"):
        tx.update(params, tx.init(params), params)


# Matrices -------------------------------------------------------------------------------------------------------------


def stacks(steps=60):
    """A parameter of three axes, one of two, one of one; and their gradients."""
    rng = np.random.default_rng(6)
    shapes = {"stack": (2, 3, 4), "w": (5, 3), "b": (3,)}
    params = {name: jnp.asarray(rng.normal(size=shape)) for name, shape in shapes.items()}
    return params, {name: jnp.asarray(rng.normal(size=(steps, *shape))) for name, shape in shapes.items()}


def axes(kind):
    """Stacks along the first axis; a matrix on its side; no matrix."""
    return {"stack": kind(reduction_axis=1, output_axis=2), "w": kind(1, 0), "b": None}


def flattened(kind):
    """A matrix of the first axis, and of the other two together."""
    return {"stack": kind(reduction_axis=0, output_axis=(-2, -1)), "w": kind(), "b": None}


@pytest.mark.parametrize("which", [axes, flattened])
def test_muon_of_arrays_with_more_axes_equals_optax(which, wide):
    params, gradients = stacks()
    ours = gx.muon(0.1, muon_weight_dimension_numbers=which(gx.MuonDimensionNumbers))
    theirs = peers.muon(0.1, muon_weight_dimension_numbers=which(peers.MuonDimensionNumbers))
    expected, _ = follow(theirs, params, gradients)
    assert farthest(follow(ours, params, gradients)[0], expected) <= 1e-11
    given = gx.muon(0.1, muon_weight_dimension_numbers=functools.partial(as_optax, which))
    assert farthest(follow(given, params, gradients)[0], expected) <= 1e-11


def as_optax(which, params):
    """Axes as Optax's users write them."""
    return which(peers.MuonDimensionNumbers)


def test_galore_of_arrays_with_more_axes_equals_optax(wide):
    params, gradients = stacks()
    given = {"rank": 2, "update_proj_gap": 7, "scale": 0.5, "weight_decay": 0.1}
    ours = gx.galore(0.1, **given, weight_dimension_numbers=flattened(gx.GaLoreDimensionNumbers))
    theirs = peers.galore(0.1, **given, weight_dimension_numbers=flattened(peers.GaLoreDimensionNumbers))
    expected, _ = follow(theirs, params, gradients)
    off = farthest(follow(ours, params, gradients)[0], expected)
    assert off <= 1e-4  # Optax finds the directions in float32
    params, gradients = problem(np.float64)
    ours, theirs = (m.galore(0.1, 2, 1000, 0.5) for m in (gx, peers))
    assert farthest(train(ours, params, gradients)[0], train(theirs, params, gradients)[0]) <= 1e-5


def test_galore_keeps_only_the_largest_directions():
    params = {"tall": jnp.ones((40, 10)), "wide": jnp.ones((10, 40)), "b": jnp.ones(7)}
    state = gx.galore(0.1, 4).init(params)["scale_by_galore"]
    assert state["projector"]["tall"].shape == state["projector"]["wide"].shape == (40, 4)
    assert state["projector"]["b"] is None
    moments = state["inner"]["scale_by_ewma"]["mu"]
    assert {name: x.shape for name, x in moments.items()} == {"tall": (4, 10), "wide": (10, 4), "b": (7,)}


def test_galore_takes_any_optimizer_inside():
    params, gradients = stacks(20)
    params, gradients = gx.tree.cast((params, gradients), "float32")
    inner = gx.guard_nonfinite(gx.accumulate(gx.chain(gx.clip_by_global_norm(1.0), gx.adam(0.1)), 2))
    tx = gx.scale_by_galore(2, 4, base_optimizer=inner)
    ours, _ = train(tx, params, gradients)
    assert np.abs(ours["w"][0] - np.asarray(params["w"])).max() == 0  # the first gradient is accumulated
    assert np.abs(ours["w"][-1] - np.asarray(params["w"])).max() > 0.1


def polar(x):
    """The nearest orthogonal matrix, by singular values."""
    u, _, v = np.linalg.svd(x, full_matrices=False)
    return u @ v


def quintic(x, rows):
    """Jordan et al. 2024, the iteration: singular values through a polynomial, with the vectors that they have."""
    u, s, v = np.linalg.svd(x, full_matrices=False)
    s = s / (np.sqrt((s**2).sum()) + 1e-8)
    for a, b, c in rows:
        s = a * s + b * s**3 + c * s**5
    return (u * s) @ v


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (4, 4)])
def test_newton_and_schulz_act_on_singular_values_alone(shape, wide):
    x = np.random.default_rng(7).normal(size=shape) * 1e3
    tx = gx.orthogonalize()
    np.testing.assert_allclose(tx.update(jnp.asarray(x), {})[0], quintic(x, [(3.4445, -4.775, 2.0315)] * 5), atol=1e-12)
    dion = [(4.0848, -6.8946, 2.927), (3.9505, -6.3029, 2.6377), (2.8366, -3.0525, 1.2012)]
    own = gx.orthogonalize(tuple(dion))
    np.testing.assert_allclose(own.update(jnp.asarray(x), {})[0], quintic(x, dion), atol=1e-12)
    exact = gx.orthogonalize((1.5, -0.5, 0.0), steps=60)
    np.testing.assert_allclose(exact.update(jnp.asarray(x), {})[0], polar(x), atol=1e-12)


@pytest.mark.parametrize("preconditioning", ["frobenius", "spectral", "schatten"])
def test_complex_matrices_become_unitary(preconditioning, wide):
    rng = np.random.default_rng(8)
    x = rng.normal(size=(3, 4)) + 1j * rng.normal(size=(3, 4))
    tx = gx.orthogonalize((1.5, -0.5, 0.0), steps=60, preconditioning=preconditioning)
    np.testing.assert_allclose(tx.update(jnp.asarray(x), {})[0], polar(x), atol=1e-12)
    of_rows = gx.orthogonalize((1.5, -0.5, 0.0), steps=60, preconditioning="aol")
    made = of_rows.update(jnp.asarray(x), {})[0]
    np.testing.assert_allclose(made @ made.conj().T, np.eye(3), atol=1e-12)


@pytest.mark.parametrize("preconditioning", ["frobenius", "spectral", "aol", "schatten"])
def test_zero_matrices_stay_zero_with_finite_derivatives(preconditioning):
    def made(tx):
        update, _ = tx.update(jnp.zeros((2, 3)), tx.init(jnp.zeros((2, 3))))
        return jnp.sum(update)

    tx = gx.scale_by_muon(preconditioning=preconditioning)
    assert made(tx) == 0
    assert all(jnp.isfinite(x) for x in jax.tree.leaves(jax.grad(made)(tx)))


def test_what_is_no_matrix_is_an_error_with_its_path():
    params = {"w": jnp.ones((2, 2)), "b": jnp.ones(2)}
    tx = gx.scale_by_muon()
    with pytest.raises(gx.TransformationError, match=r"leaf b: expected a matrix, found shape \(2,\)"):
        tx.update(params, tx.init(params))
    with pytest.raises(gx.TransformationError, match="expected each axis once"):
        gx.orthogonalize(weight_dimension_numbers=gx.MuonDimensionNumbers(0, (0, 1))).update(jnp.ones((2, 2)), {})
    with pytest.raises(gx.TransformationError, match="three for each of 2 steps"):
        gx.orthogonalize(((1.5, -0.5, 0.0),) * 3, steps=2).update(jnp.ones((2, 2)), {})
    with pytest.raises(gx.TransformationError, match=r"found 'dian' \(did you mean 'dion'\?\)"):
        gx.muon(0.1, "dian").init(params)


# Together -------------------------------------------------------------------------------------------------------------

RAMP = gx.linear_schedule(0.1, 0.01, 10)
ALONE = {
    "sam": gx.sam(gx.adam(RAMP), gx.chain(gx.normalize(), gx.sgd(RAMP))),
    "asam that stays": gx.asam(gx.sgd(RAMP), 0.1, moves_params=False),
    "mechanize": gx.mechanize(gx.adam(RAMP)),
    "lookahead in parts": gx.split_real_and_imaginary(gx.lookahead(gx.adam(RAMP), 2)),
    "schedule_free": gx.schedule_free_adamw(RAMP, 3),
    "sophia": gx.sophia(RAMP, update_interval=2),
    "galore": gx.galore(RAMP, 2, 3),
    "parts in galore": gx.scale_by_galore(2, 3, base_optimizer=gx.split_real_and_imaginary(gx.adam(RAMP))),
    "muon": gx.muon(RAMP),
    "prodigy": gx.prodigy(RAMP),
    "momo": gx.momo_adam(RAMP),
    "plateau": gx.chain(gx.sgd(RAMP), gx.reduce_on_plateau(0.5, 2)),
    "dog": gx.dog(RAMP),
    "cocob": gx.cocob(),
    "madgrad": gx.madgrad(RAMP),
}
GROUPS = {"w": "own", "b.x": "plain", "*": "still"}
INSIDE = {
    "a group, accumulated, guarded and measured": lambda tx: gx.measured(
        gx.guard_nonfinite(
            gx.accumulate(gx.partition({"own": tx, "plain": gx.sgd(0.1), "still": gx.set_to_zero()}, GROUPS), 2)
        )
    ),
    "schedule_free, after a clip": lambda tx: gx.chain(gx.clip_by_global_norm(1.0), gx.schedule_free(tx, 0.1)),
    "sam and mechanize": lambda tx: gx.sam(gx.mechanize(tx), gx.chain(gx.normalize(), gx.sgd(0.1))),
}


@pytest.mark.parametrize("where", INSIDE)
@pytest.mark.parametrize("name", ALONE)
def test_everything_runs_inside(where, name):
    params = {"w": jnp.ones((4, 3)), "b": {"x": jnp.ones(3), "y": jnp.ones(2)}}
    tx = INSIDE[where](ALONE[name])

    def objective(at):
        return sum(jnp.sum(x**2) for x in jax.tree.leaves(at))

    def step(carry, _):
        params, state = carry
        gradient = jax.grad(objective)(gx.gradient_params(tx, params, state))
        value = objective(params)
        updates, state = tx.update(gradient, state, params, value=value, value_fn=objective)
        return (gx.apply_updates(params, updates), state), value

    (last, state), _ = jax.jit(lambda p: jax.lax.scan(step, (p, tx.init(p)), None, 9))(params)
    deployed = gx.eval_params(tx, last, state)
    assert all(jnp.isfinite(x).all() for x in jax.tree.leaves((last, deployed)))
    assert farthest(last["w"], params["w"]) > 0
    assert all(np.ndim(x) == 0 for x in gx.hyperparameters(tx, state).values())


def test_an_adversary_has_a_clock_of_its_own():
    params = {"x": jnp.ones(3)}
    tx = gx.sam(gx.sgd(0.1), gx.chain(gx.normalize(), gx.sgd(RAMP)), 3, reset_state=False)
    state = tx.init(params)
    for _ in range(3):
        _, state = tx.update(params, state, params)
    found = gx.hyperparameters(tx, state)
    np.testing.assert_allclose(found["sam.adv_optimizer.sgd.learning_rate"], RAMP(2), rtol=1e-6)


# The door -------------------------------------------------------------------------------------------------------------

OTHER_THAN_OPTAX = {  # arguments that differ, and why
    "differentially_private_aggregate": "key",  # a seed
    "hutchinson_estimator_diag_hessian": "random_seed",  # a seed
    "sophia": "verbose print_win_rate_every_n_steps hessian_diagonal_fn",  # it is measured; the default is ours
    "schedule_free": "base_optimizer",
    "galore": "base_optimizer",
    "scale_by_galore": "base_optimizer",
    "adopt": "clip_value_fn",  # a function that pickles
    "scale_by_adopt": "clip_value_fn",
    "muon": "ns_steps preconditioning",  # by default those that belong to the coefficients
    "scale_by_muon": "ns_steps preconditioning",
}
FUNCTIONS = [n for n in dir(peers) if not n.startswith("_") and not n.endswith(("State", "Numbers")) and n != "path"]
FUNCTIONS = [n for n in FUNCTIONS if callable(getattr(peers, n))]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_names_defaults_and_order_are_those_of_optax(name):
    import inspect

    theirs = inspect.signature(getattr(peers, name)).parameters
    ours = inspect.signature(getattr(gx, name)).parameters
    other = OTHER_THAN_OPTAX.get(name, "").split()
    assert [n for n in theirs if n not in ours and n not in other] == []
    shared = [n for n in theirs if n in ours and n not in other]
    assert {n: ours[n].default for n in shared} == {n: theirs[n].default for n in shared}
    by_position = [n for n in ours if ours[n].kind == ours[n].POSITIONAL_OR_KEYWORD and n in shared]
    assert by_position == [n for n in theirs if n in by_position]
