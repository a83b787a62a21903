"""The wrappers' numbers are those of Optax, of PyTorch, or of a run that never met the bad step."""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gradtx as gx
from gradtx._testing.trials import default_params
from tests.table import CONTRACTED

ORACLE = json.loads((pathlib.Path(__file__).parent / "oracles" / "torch_extending.json").read_text())
ROWS = [pytest.param(case, id=case.name) for case in CONTRACTED]
RATE = gx.warmup_cosine_decay_schedule(0.0, 0.1, 2, 8, 0.01)
RATE_OF_OPTAX = optax.warmup_cosine_decay_schedule(0.0, 0.1, 2, 8, 0.01)


def drawn(steps, seed=0):
    rng = np.random.default_rng(seed)
    params = {"w": rng.normal(size=(3, 2)).astype(np.float32), "b": rng.normal(size=2).astype(np.float32)}
    return params, [{k: rng.normal(size=v.shape).astype(np.float32) for k, v in params.items()} for _ in range(steps)]


def run(tx, params, gradients, extra=None):
    """The parameters after every step, and the last state; Optax mixes dtypes."""
    with jax.numpy_dtype_promotion("standard"):
        params = jax.tree.map(jnp.asarray, params)
        state, update, path = tx.init(params), jax.jit(tx.update), []
        for gradient in gradients:
            updates, state = update(gradient, state, params, **(extra or {}))
            params = optax.apply_updates(params, updates)
            path.append(params)
    return path, state


def assert_close(a, b, atol, message=""):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(np.asarray(x), np.asarray(y), rtol=0, atol=atol, err_msg=message)


def assert_equal(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        x, y = (jax.random.key_data(v) if jnp.issubdtype(v.dtype, jax.dtypes.prng_key) else v for v in (x, y))
        assert np.asarray(x).tobytes() == np.asarray(y).tobytes()


# Accumulation ---------------------------------------------------------------------------------------------------------


def few_then_many(step):
    """How many gradients make a step: two at first, then three."""
    return jnp.where(step < 2, 2, 3)


def role(params):
    return jax.tree.map(lambda x: "matrix" if x.ndim == 2 else "rest", params)


OURS, THEIRS = gx.accumulate(gx.adam(RATE), 4), optax.MultiSteps(optax.adam(RATE_OF_OPTAX), 4)
ACCUMULATED = {
    "alone": (OURS, THEIRS),
    "in a chain": (
        gx.chain(gx.clip(0.5), OURS, gx.scale(0.5)),
        optax.chain(optax.clip(0.5), THEIRS.gradient_transformation(), optax.scale(0.5)),
    ),
    "masked": (
        gx.chain(gx.masked(OURS, "w"), gx.scale(0.1)),
        optax.chain(optax.masked(THEIRS.gradient_transformation(), {"w": True, "b": False}), optax.scale(0.1)),
    ),
    "in a group, beside another pace": (
        gx.partition({"matrix": OURS, "rest": gx.accumulate(gx.sgd(RATE, 0.9), 3)}, role),
        optax.partition(
            {
                "matrix": THEIRS.gradient_transformation(),
                "rest": optax.MultiSteps(optax.sgd(RATE_OF_OPTAX, 0.9), 3).gradient_transformation(),
            },
            role,
        ),
    ),
    "around a mask": (
        gx.accumulate(gx.chain(gx.masked(gx.adam(RATE), "w"), gx.scale(0.1)), 4),
        optax.MultiSteps(
            optax.chain(optax.masked(optax.adam(RATE_OF_OPTAX), {"w": True, "b": False}), optax.scale(0.1)), 4
        ),
    ),
    "every by schedule": (
        gx.accumulate(gx.adam(RATE), few_then_many),
        optax.MultiSteps(optax.adam(RATE_OF_OPTAX), few_then_many),
    ),
    "in an accumulation": (
        gx.accumulate(gx.accumulate(gx.adam(RATE), 2), 2),
        optax.MultiSteps(optax.MultiSteps(optax.adam(RATE_OF_OPTAX), 2).gradient_transformation(), 2),
    ),
    "a link of optax inside": (gx.accumulate(optax.adam(RATE_OF_OPTAX), 4), THEIRS),
    "inside optax": (
        optax.chain(optax.clip(0.5), OURS),
        optax.chain(optax.clip(0.5), THEIRS.gradient_transformation()),
    ),
}


@pytest.mark.parametrize("where", ACCUMULATED)
def test_accumulation_is_multi_steps(where):
    params, gradients = drawn(24)
    ours, theirs = (run(tx, params, gradients)[0] for tx in ACCUMULATED[where])
    for n, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        assert_close(a, b, 1e-5, f"step {n}")


def test_an_accumulation_waits_in_bfloat16_without_losing_anything():
    params, gradients = drawn(8)
    cast = [gx.tree.cast(jax.tree.map(jnp.asarray, x), "bfloat16") for x in (params, *gradients)]
    tx = gx.accumulate(gx.sgd(0.1), 8)
    _, state = run(tx, cast[0], cast[1:-1])
    mean = jax.tree.map(lambda *g: sum(x.astype(jnp.float32) for x in g) / 7, *cast[1:-1])
    assert_close(state["acc_grads"], mean, 1e-6)
    assert {x.dtype.name for x in jax.tree.leaves(state["acc_grads"])} == {"float32"}


@gx.transformation
def by_the_clock_outside(learning_rate):
    """A recipe, whose numbers are read at its own step."""
    return gx.accumulate(gx.sgd(learning_rate), 2)


@gx.transformation
def by_the_clock_inside(learning_rate: gx.OfStep):
    """A recipe that hands its schedule on as it is."""
    return gx.accumulate(gx.sgd(learning_rate), 2)


@gx.transformation
def guarded(learning_rate):
    """A recipe around a wrapper that keeps its state as it was."""
    return gx.guard_nonfinite(gx.sgd(learning_rate))


def harmonic(step):
    """A schedule."""
    return 1.0 / (1.0 + jnp.asarray(step, float))


@pytest.mark.parametrize(
    ("tx", "expected"),
    [
        (gx.accumulate(gx.sgd(harmonic), 2), [0, 1, 0, 1 / 2, 0, 1 / 3]),
        (by_the_clock_inside(harmonic), [0, 1, 0, 1 / 2, 0, 1 / 3]),
        (by_the_clock_outside(harmonic), [0, 1 / 2, 0, 1 / 4, 0, 1 / 6]),
        (gx.accumulate(by_the_clock_outside(harmonic), 1), [0, 1 / 2, 0, 1 / 4, 0, 1 / 6]),
        (guarded(harmonic), [1, 1 / 2, 1 / 3, 1 / 4, 1 / 5, 1 / 6]),
    ],
    ids=["alone", "handed on", "in a recipe", "a recipe in an accumulation", "a recipe with a guard"],
)
def test_a_schedule_is_read_at_the_step_of_the_scope_that_has_it(tx, expected):
    state, found = tx.init(jnp.zeros(1)), []
    for _ in expected:
        updates, state = tx.update(jnp.ones(1), state, jnp.zeros(1))
        found.append(-float(updates[0]))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_user_s_wrapper_may_keep_its_state_in_one_branch_and_write_it_in_the_other():
    @gx.transformation
    def every_other(inner: gx.Link):
        def update(step, updates, state, *, t):
            def take():
                new, inner = step(updates)
                return new, {"inner": inner}

            return jax.lax.cond(t % 2 == 1, take, lambda: (gx.tree.map(jnp.zeros_like, updates), state))

        return gx.around(inner, update)

    path, state = run(every_other(gx.sgd(harmonic)), jnp.zeros(1), [jnp.ones(1)] * 4)
    np.testing.assert_allclose(np.diff([0, *(float(p[0]) for p in path)]), [-1, 0, -1 / 2, 0], rtol=1e-6)
    assert sorted(state) == ["count", "inner"]


def test_a_state_of_another_transformation_is_an_error_that_says_so():
    for tx in (OURS, gx.guard_nonfinite(gx.sgd(0.1))):
        with pytest.raises(
            gx.TransformationError, match=r"the state has no '.*': it was made by another transformation"
        ):
            tx.update(jnp.ones(2), gx.adam(0.1).init(jnp.ones(2)), jnp.ones(2))


# Guards ---------------------------------------------------------------------------------------------------------------


def spoiled(gradient):
    """The gradient, with one bad number in every leaf: some leaves may be frozen."""
    return jax.tree.map(
        lambda x: x.ravel().at[0].set(jnp.nan).reshape(x.shape) if jnp.issubdtype(x.dtype, jnp.inexact) else x,
        jax.tree.map(jnp.asarray, gradient),
    )


def gradients_like(params, steps):
    rng = np.random.default_rng(1)
    return [
        jax.tree.map(
            lambda p: jnp.asarray(rng.normal(size=p.shape), p.dtype) if jnp.issubdtype(p.dtype, jnp.inexact) else 0 * p,
            params,
        )
        for _ in range(steps)
    ]


RANDOM = (
    "add_noise", "apollo", "differentially_private_aggregate", "dpsgd", "hutchinson_estimator_diag_hessian", "kron",
    "quantized", "stochastic_rounding",
)  # fmt: skip


@pytest.mark.parametrize("case", [row for row in ROWS if "dynamic_loss_scale" not in repr(row.values[0].tx)])
def test_a_step_that_is_skipped_was_never_there_for(case):
    params = default_params() if case.params is None else case.params
    first, second, third = gradients_like(params, 3)
    tx = gx.guard_nonfinite(case.tx)
    state, update, path = tx.init(params), jax.jit(tx.update), []
    for gradients in ((first, second, third), (first, second, spoiled(second), third)):
        at, kept = params, state
        for gradient in gradients:
            updates, kept = update(gradient, kept, at, **case.extra)
            at = gx.apply_updates(at, updates)
        path.append((at, kept.pop("skipped"), kept))
    assert_equal(path[0][0], path[1][0])
    assert_equal(path[0][2], path[1][2])
    assert [int(skipped) for _, skipped, _ in path] == [0, case.name != "set_to_zero"]
    if any(link in repr(case.tx) for link in RANDOM):
        return  # it draws other noise where it stands at another place
    if CONTRACTED.index(case) % 4:
        return  # every fourth: a second program costs as much again
    alone, plain = params, case.tx.init(params)
    for gradient in (first, second, third):
        updates, plain = jax.jit(case.tx.update)(gradient, plain, alone, **case.extra)
        alone = gx.apply_updates(alone, updates)
    for x, y in zip(jax.tree.leaves(alone), jax.tree.leaves(path[1][0]), strict=True):
        np.testing.assert_allclose(np.asarray(y), np.asarray(x), rtol=1e-5, atol=1e-6)


GUARDED = gx.guard_nonfinite(gx.adam(RATE))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("leaf", ["w", "b"])
def test_one_bad_number_in_any_leaf_stops_the_step_in_a_scan(value, leaf):
    params, gradients = drawn(6)
    bad = [dict(g) for g in gradients]
    bad[3][leaf] = np.full_like(bad[3][leaf], value)

    @jax.jit
    def scanned(params, gradients):
        def step(carry, gradient):
            updates, state = GUARDED.update(gradient, carry[1], carry[0])
            return (gx.apply_updates(carry[0], updates), state), updates

        return jax.lax.scan(step, (params, GUARDED.init(params)), gradients)

    (at, state), updates = scanned(params, jax.tree.map(lambda *g: jnp.stack(g), *bad))
    expected, kept = run(GUARDED, params, [g for n, g in enumerate(gradients) if n != 3])
    assert_close(at, expected[-1], 1e-6)
    assert_close(state["inner"], kept["inner"], 1e-6)
    assert int(state["skipped"]) == 1
    assert all(not x[3].any() for x in jax.tree.leaves(updates))


def test_one_lane_skips_and_the_others_do_not():
    params, gradients = drawn(5)
    lanes = [[dict(g) for g in gradients] for _ in range(3)]
    lanes[1][2]["w"] = lanes[1][2]["w"] * np.nan

    def trained(gradients):
        def step(carry, gradient):
            updates, state = GUARDED.update(gradient, carry[1], carry[0])
            return (gx.apply_updates(carry[0], updates), state), None

        return jax.lax.scan(step, (params, GUARDED.init(params)), gradients)[0]

    stacked = [jax.tree.map(lambda *g: jnp.stack(g), *lane) for lane in lanes]
    at, state = jax.jit(jax.vmap(trained))(jax.tree.map(lambda *g: jnp.stack(g), *stacked))
    assert state["skipped"].tolist() == [0, 1, 0]
    for n, expected in enumerate((gradients, gradients[:2] + gradients[3:], gradients)):
        path, kept = run(GUARDED, params, expected)
        assert_close(jax.tree.map(lambda x, n=n: x[n], at), path[-1], 1e-6)
        assert_close(jax.tree.map(lambda x, n=n: x[n], state["inner"]), kept["inner"], 1e-6)


def test_a_guard_in_a_group_stops_its_group_alone_and_does_not_see_what_is_frozen():
    groups = {"matrix": GUARDED, "rest": gx.adam(RATE)}
    params, gradients = drawn(5)
    bad = [dict(g) for g in gradients]
    bad[2]["w"] = bad[2]["w"] * np.nan
    path, _ = run(gx.partition(groups, role), params, bad)
    without, _ = run(gx.adam(RATE), params, gradients[:2] + gradients[3:])
    whole, _ = run(gx.adam(RATE), params, gradients)
    assert_close(path[-1]["w"], without[-1]["w"], 1e-6)
    assert_close(path[-1]["b"], whole[-1]["b"], 1e-6)
    frozen = gx.guard_nonfinite(gx.partition({"matrix": gx.set_to_zero(), "rest": gx.adam(RATE)}, role))
    path, state = run(frozen, params, bad)
    assert int(state["skipped"]) == 0
    assert_close(path[-1], {"w": params["w"], "b": whole[-1]["b"]}, 1e-6)


def test_a_guard_keeps_a_bad_gradient_out_of_a_mean():
    params, gradients = drawn(8)
    path, _ = run(gx.guard_nonfinite(OURS), params, [*gradients[:2], spoiled(gradients[2]), *gradients[2:]])
    expected, _ = run(THEIRS, params, gradients)
    assert_close(path[-1], expected[-1], 1e-5)


def test_a_rollback_goes_back_to_where_the_last_finite_gradient_was_taken():
    params, gradients = drawn(6)
    tx = gx.guard_nonfinite(gx.adam(RATE), policy="rollback")
    bad = [*gradients[:3], spoiled(gradients[3]), *gradients[2:5]]  # the third step is undone, and taken again
    path, state = run(tx, params, bad)
    expected, kept = run(gx.adam(RATE), params, gradients[:5])
    assert_close(path[3], expected[1], 1e-6)
    assert_close(path[-1], expected[-1], 1e-6)
    assert_close(state["inner"], kept, 1e-6)
    assert_close(state["params"], expected[-2], 1e-6)
    again, _ = run(tx, params, [*gradients[:3], spoiled(gradients[3]), spoiled(gradients[3])])
    assert_close(again[-1], expected[1], 1e-6)  # there is no further back


# Averages of iterates -------------------------------------------------------------------------------------------------


def of_torch(name, given):
    case = next(c for c in ORACLE["cases"] if c["optimizer"] == name and given.items() <= c["given"].items())
    arrays = [jax.tree.map(np.asarray, x, is_leaf=lambda x: isinstance(x, list)) for x in ORACLE["gradients"]]
    return case, jax.tree.map(np.asarray, ORACLE["init"], is_leaf=lambda x: isinstance(x, list)), arrays


def warm(step):
    """Four steps of warm-up."""
    return 1e-3 * jnp.minimum((jnp.asarray(step, float) + 1) / 4, 1.0)


SCHEDULE_FREE = {
    "schedulefree.SGDScheduleFree": gx.schedule_free(gx.sgd(warm), warm, 0.9),
    "schedulefree.AdamWScheduleFree": gx.schedule_free(
        gx.chain(gx.scale_by_rms(), gx.add_decayed_weights(0.01), gx.scale_by_learning_rate(warm)), warm, 0.9
    ),
}


@pytest.mark.parametrize("name", SCHEDULE_FREE)
def test_schedule_free_trains_and_deploys_where_that_of_pytorch_does(name):
    case, params, gradients = of_torch(name, {"warmup_steps": 4})
    tx = SCHEDULE_FREE[name]
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        params = jax.tree.map(jnp.asarray, params)
        state, update = tx.init(params), jax.jit(tx.update)
        for n, gradient in enumerate(gradients, 1):
            updates, state = update(gradient, state, params)
            params = gx.apply_updates(params, updates)
            if str(n) in case["params"]:
                assert_close(params, {k: np.asarray(v) for k, v in case["params"][str(n)].items()}, 1e-10)
                deployed = gx.eval_params(tx, params, state)
                assert_close(deployed, {k: np.asarray(v) for k, v in case["eval_params"][str(n)].items()}, 1e-10)


@pytest.mark.parametrize("period", [1, 3, 5])
def test_lookahead_is_that_of_optax_at_both_places(period):
    params, gradients = drawn(12)
    tx, theirs = gx.lookahead(gx.adam(RATE), period, 0.4), optax.lookahead(optax.adam(RATE_OF_OPTAX), period, 0.4)
    path, _ = run(tx, params, gradients)
    both = optax.LookaheadParams.init_synced(jax.tree.map(jnp.asarray, params))
    kept, state, at = theirs.init(both), tx.init(params), params
    for gradient, ours in zip(gradients, path, strict=True):
        with jax.numpy_dtype_promotion("standard"):
            updates, kept = jax.jit(theirs.update)(gradient, kept, both)
        both = optax.apply_updates(both, updates)
        assert_close(ours, both.fast, 1e-5)
        moved, state = tx.update(gradient, state, at)
        at = gx.apply_updates(at, moved)
        assert_close(gx.eval_params(tx, at, state), both.slow, 1e-5)


def test_cautious_updates_are_those_of_the_paper_in_float64():
    params, gradients = drawn(10)
    path, _ = run(gx.cautious(gx.sgd(0.1, 0.9)), params, gradients)
    for name, theta in params.items():
        theta, trace = theta.astype(np.float64), np.zeros(theta.shape)
        for n, gradient in enumerate(gradients):
            g = gradient[name].astype(np.float64)
            trace = 0.9 * trace + g
            mask = (trace * g > 0).astype(float)
            theta = theta - 0.1 * trace * mask / max(mask.mean(), 1e-3)
            np.testing.assert_allclose(path[n][name], theta, rtol=0, atol=2e-6)
