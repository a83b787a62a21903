"""What goes wrong with Optax 0.2.8 and must not go wrong here: each test shows first theirs, then ours.

Numbers are those of the project's list of such faults. Shardings (4), Muon (5) and methods that Optax has not got (12)
are tested where those live here. If a test fails in its first half, Optax has mended something.
"""

import json
import pathlib
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gradtx as gx

P = {"a": jnp.full(1, 3.0), "b": jnp.full(1, 4.0)}
B_IS_FROZEN = {"a": "trained", "b": "frozen"}


@pytest.fixture(autouse=True)
def standard_promotion():
    """Optax needs it."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def dtypes(tree):
    return [x.dtype for x in jax.tree.leaves(tree)]


def first_update(tx, gradient, params=None):
    params = gradient if params is None else params
    return tx.update(gradient, tx.init(params), params)[0]


def where(state):
    return [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(state)]


def test_scar_01_a_transformation_is_a_value():
    traces = []

    def update(tx, gradient):
        traces.append(tx)
        return first_update(tx, gradient)

    for _ in range(3):
        jax.jit(update, static_argnums=0)(optax.adam(1e-3), jnp.ones(2))
    assert len(traces) == 3
    assert optax.adam(1e-3) != optax.adam(1e-3)
    with pytest.raises(AttributeError, match="pickle"):
        pickle.dumps(optax.adam(1e-3))
    assert "0x" in repr(optax.adam(1e-3))

    del traces[:]
    compiled = jax.jit(update)
    for rate in (1e-3, 1e-3, 2e-3):
        compiled(gx.adam(rate), jnp.ones(2))
    assert len(traces) == 1
    assert gx.adam(1e-3) == gx.adam(1e-3) == pickle.loads(pickle.dumps(gx.adam(1e-3)))
    assert repr(gx.adam(1e-3)).startswith("adam(learning_rate=0.001, b1=0.9")


def test_scar_02_moments_of_bfloat16_parameters_reach_the_truth():
    def trained(tx):
        def step(carry, _):
            params, state = carry
            updates, state = tx.update(jnp.ones(1, jnp.bfloat16), state, params)
            return (optax.apply_updates(params, updates), state), None

        params = jnp.ones(1, jnp.bfloat16)
        return jax.lax.scan(step, (params, tx.init(params)), length=2000)[0]

    params, state = trained(optax.adam(1e-3))
    assert float(params[0]) == 1.0
    assert float(state[0].nu[0]) == 0.5
    assert optax.adam(1e-3, mu_dtype="float32").init(params)[0].nu.dtype == jnp.bfloat16

    state = trained(gx.adam(1e-3))[1]
    assert state["scale_by_rms"]["nu"].dtype == jnp.float32
    np.testing.assert_allclose(state["scale_by_rms"]["nu"], 1 - 0.999**2000, rtol=1e-5)
    assert abs(float(trained(gx.master_weights(gx.adam(1e-3)))[0][0]) + 1) < 1e-2  # 2,000 steps of −0.001 from 1


def test_scar_03_numbers_and_states_keep_their_precision_beside_bfloat16():
    params, gradient = jnp.ones(2, jnp.bfloat16), jnp.ones(2)
    tx = optax.inject_hyperparams(optax.adamw)(1e-3)
    assert np.isnan(first_update(tx, params)).all()
    assert float(tx.init(params).hyperparams["b2"]) == 1.0
    assert np.isfinite(first_update(jax.tree.map(jnp.asarray, gx.adamw(1e-3)), params)).all()

    for name in ("adam", "adamw", "amsgrad", "adamax", "nadam", "rmsprop", "adagrad", "adadelta", "lion", "rprop"):
        theirs, ours = getattr(optax, name)(0.1), getattr(gx, name)(0.1)
        assert dtypes(theirs.update(gradient, theirs.init(params), params)[1]) != dtypes(theirs.init(params))
        assert dtypes(ours.update(gradient, ours.init(params), params)[1]) == dtypes(ours.init(params))


def test_scar_06_a_frozen_leaf_has_no_update_and_no_state():
    passed_on = first_update(optax.masked(optax.sgd(0.1), {"a": True, "b": False}), P)
    assert float(passed_on["b"][0]) == 4.0  # the raw gradient
    still = optax.masked(optax.set_to_zero(), {"a": False, "b": True})
    assert optax.chain(optax.adam(0.1), still).init(P)[0][0].mu["b"].shape == (1,)

    tx = gx.partition({"trained": gx.adam(0.1), "frozen": gx.set_to_zero()}, B_IS_FROZEN)
    assert not first_update(tx, P)["b"].any()
    assert tx.init(P)["trained"]["scale_by_ewma"]["mu"]["b"] is None


def test_scar_07_one_norm_in_float32_over_the_leaves_that_are_trained():
    long = jnp.ones(300_000, jnp.float16)
    many = [jnp.ones(100, jnp.bfloat16)] * 400
    assert np.isinf(optax.tree.norm(long))
    assert not first_update(optax.clip_by_global_norm(1.0), long).any()
    assert float(optax.tree.norm(many)) == 181.0
    np.testing.assert_allclose(float(gx.tree.norm(long)), 300_000**0.5, rtol=1e-6)
    np.testing.assert_allclose(float(gx.tree.norm(first_update(gx.clip_by_global_norm(1.0), long))), 1.0, rtol=1e-2)
    assert float(gx.tree.norm(many)) == 200.0

    groups = {"trained": optax.clip_by_global_norm(1.0), "frozen": optax.clip_by_global_norm(1.0)}
    assert optax.tree.norm(first_update(optax.partition(groups, B_IS_FROZEN), P)) > 1.4  # each group by itself
    still = optax.masked(optax.set_to_zero(), {"a": False, "b": True})
    np.testing.assert_allclose(first_update(optax.chain(optax.clip_by_global_norm(1.0), still), P)["a"], 0.6)
    still = gx.partition({"trained": gx.identity(), "frozen": gx.set_to_zero()}, B_IS_FROZEN)
    np.testing.assert_allclose(first_update(gx.chain(gx.clip_by_global_norm(1.0), still), P)["a"], 1.0)


SAME_NAME = ("adam", "adamw", "amsgrad", "rmsprop", "nadam", "adamax", "adabelief", "adan", "novograd")


@pytest.mark.parametrize("name", [name for name in SAME_NAME if hasattr(gx, name)])
def test_scar_08_a_zero_gradient_in_float16_is_a_finite_update(name):
    params, zero = jnp.ones(2, jnp.float16), jnp.zeros(2, jnp.float16)
    assert np.isnan(first_update(getattr(optax, name)(0.1), zero, params)).all()
    assert np.isfinite(first_update(getattr(gx, name)(0.1), zero, params)).all()


def test_scar_09_an_accumulation_steps_only_when_due_and_a_bad_gradient_is_skipped():
    ran = []

    def update(updates, state, params=None):
        jax.debug.callback(lambda: ran.append(1))
        return updates, state

    counted = optax.GradientTransformation(lambda params: jnp.zeros(()), update)

    def steps_taken(tx):
        del ran[:]
        state, step = tx.init(P), jax.jit(tx.update)
        for _ in range(4):
            _, state = step(P, state, P)
        jax.effects_barrier()
        return len(ran)

    assert steps_taken(optax.MultiSteps(counted, 4)) == 4
    assert steps_taken(gx.accumulate(counted, 4)) == 1

    def last_update(tx):
        state = tx.init(jnp.zeros(1))
        for gradient in (1.0, np.nan, 1.0, 1.0, 1.0, 1.0, 1.0):
            updates, state = tx.update(jnp.array([gradient]), state, jnp.zeros(1))
        return updates, state

    assert np.isnan(last_update(optax.MultiSteps(optax.sgd(0.1), 2))[0])
    updates, state = last_update(gx.guard_nonfinite(gx.accumulate(gx.sgd(0.1), 2)))
    np.testing.assert_allclose(updates, -0.1, rtol=1e-6)
    assert int(state["skipped"]) == 1


def test_scar_10_every_current_number_is_read_by_name():
    state = optax.adam(optax.linear_schedule(1.0, 0.0, 10)).init(P)
    assert "learning_rate" not in str(state)
    with pytest.raises(KeyError, match="Found multiple values for 'count'"):
        optax.tree.get(state, "count")

    tx = gx.adam(gx.linear_schedule(1.0, 0.0, 10))
    _, state = tx.update(P, tx.init(P), P)
    np.testing.assert_allclose(gx.hyperparameters(tx, state)["adam.learning_rate"], 0.9, rtol=1e-6)
    assert int(state["count"]) == 1


def test_scar_11_a_link_in_front_moves_nothing_in_a_checkpoint():
    with_clip = where(optax.chain(optax.clip(1.0), optax.adam(0.1)).init(P))
    assert not set(with_clip) & set(where(optax.chain(optax.adam(0.1)).init(P)))
    with_clip = where(gx.chain(gx.clip(1.0), gx.adam(0.1)).init(P))
    assert with_clip == where(gx.chain(gx.adam(0.1)).init(P))


def test_scar_13_what_is_measured_has_a_fixed_structure():
    theirs = optax.monitor({"norm": optax.tree.norm})
    with pytest.raises(TypeError, match="same pytree structure"):
        jax.lax.scan(lambda state, _: (theirs.update(P, state)[1], None), theirs.init(P), length=2)

    ours = gx.measured(gx.clip_by_global_norm(1.0))
    state, _ = jax.lax.scan(lambda state, _: (ours.update(P, state)[1], None), ours.init(P), length=2)
    assert float(gx.measurements(state)["clip_by_global_norm.norm"]) == 5.0


def test_scar_14_trees_that_do_not_belong_together_are_located_errors():
    theirs, ours = optax.adam(0.1), gx.adam(0.1)
    params, short = {"enc": {"w": jnp.ones(3)}}, {"enc": {"w": jnp.ones(2)}}
    with pytest.raises(TypeError) as error:
        theirs.update(short, theirs.init(params), params)
    assert "enc" not in str(error.value)
    one, whole = {"enc": {"w": jnp.ones(1)}}, jnp.ones(2, jnp.int32)
    assert theirs.update(one, theirs.init(params), params)[0]["enc"]["w"].shape == (3,)
    assert first_update(optax.sgd(0.1), whole).dtype == jnp.float32

    for wrong in (short, one):
        with pytest.raises(gx.TransformationError, match=r"leaf enc\.w: expected shape \(3,\), found"):
            ours.update(wrong, ours.init(params), params)
    with pytest.raises(gx.TransformationError, match="expected a floating-point"):
        first_update(gx.sgd(0.1), whole)


def test_scar_15_parameters_to_deploy_are_found_inside_a_chain_and_without_momentum():
    theirs = optax.chain(optax.clip(1.0), optax.contrib.schedule_free(optax.sgd(0.1), 0.1))
    with pytest.raises(AttributeError):
        optax.contrib.schedule_free_eval_params(theirs.init(P), P)
    theirs = optax.contrib.schedule_free(optax.sgd(0.1), 0.1, b1=0.0)
    assert not np.isfinite(first_update(theirs, P)["a"]).all()

    for tx in (gx.schedule_free(gx.sgd(0.1), 0.1, 0.0), gx.schedule_free(gx.sgd(0.1), 0.1)):
        tx = gx.chain(gx.clip(1.0), tx)
        updates, state = tx.update(P, tx.init(P), P)
        found = gx.eval_params(tx, gx.apply_updates(P, updates), state)
        np.testing.assert_allclose(found["a"], 2.9, rtol=1e-6)


def test_scar_16_a_plateau_of_negative_losses_is_one_and_its_factor_traces():
    def scale_after(module, value, factor=0.5):
        tx = module.reduce_on_plateau(factor=factor, patience=2)
        state = tx.init(jnp.ones(1))
        for _ in range(6):
            updates, state = tx.update(jnp.ones(1), state, value=jnp.asarray(value))
        return updates[0]

    assert float(scale_after(optax.contrib, 1.0)) < 1
    assert float(scale_after(optax.contrib, -1.0)) == 1
    assert float(scale_after(gx, 1.0)) == float(scale_after(gx, -1.0)) == 0.25
    with pytest.raises(jax.errors.ConcretizationTypeError):
        jax.jit(lambda factor: scale_after(optax.contrib, 1.0, factor))(0.5)
    assert float(jax.jit(lambda factor: scale_after(gx, 1.0, factor))(0.5)) == 0.25


def test_scar_17_adam_in_float32_is_exact_to_rounding():
    gradients = np.random.default_rng(0).normal(size=(50, 1000)).astype(np.float32)

    def updates_of(tx):
        def step(state, gradient):
            return tx.update(gradient, state)[::-1]

        return jax.lax.scan(step, tx.init(gradients[0]), gradients)[1]

    mu = nu = 0.0
    expected = []
    for t, g in enumerate(gradients.astype(np.float64), 1):
        mu, nu = 0.9 * mu + 0.1 * g, 0.999 * nu + 0.001 * g**2
        expected.append(-1e-3 * (mu / (1 - 0.9**t)) / (np.sqrt(nu / (1 - 0.999**t)) + 1e-8))

    def off(found):
        errors = np.asarray(found, np.float64) - np.array(expected)
        return np.sqrt(np.mean(errors**2, axis=1) / np.mean(np.square(expected), axis=1))

    assert off(updates_of(optax.adam(1e-3))).min() > 3e-6
    assert off(updates_of(gx.adam(1e-3))).max() < 5e-7
    assert off(jax.jit(updates_of)(gx.adam(1e-3))).max() < 5e-7


SCHEDULES = {  # one number of each, and one at which it may stand
    "exponential_decay": (lambda lib, x: lib.exponential_decay(0.1, 10, x), 0.5),
    "linear_schedule": (lambda lib, x: lib.linear_schedule(1.0, 0.0, x), 10.0),
    "cosine_decay_schedule": (lambda lib, x: lib.cosine_decay_schedule(0.1, x), 10.0),
    "peak": (lambda lib, x: lib.warmup_cosine_decay_schedule(0.0, x, 10, 100), 1.0),
    "warm-up": (lambda lib, x: lib.warmup_cosine_decay_schedule(0.0, 1.0, x, 100), 10.0),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_scar_18_every_number_of_a_schedule_traces(name):
    make, x = SCHEDULES[name]
    with pytest.raises(jax.errors.TracerBoolConversionError):
        jax.jit(lambda x: make(optax, x)(5))(x)
    np.testing.assert_allclose(jax.jit(lambda x: make(gx, x)(5))(x), make(optax, x)(5), rtol=1e-6)


def test_scar_19_lookahead_takes_ordinary_parameters_and_keywords():
    theirs, both = optax.lookahead(optax.sgd(0.1), 5, 0.5), optax.LookaheadParams.init_synced(P)
    with pytest.raises(AttributeError):
        theirs.update(P, theirs.init(both), P)
    with pytest.raises(TypeError, match="unexpected keyword argument"):
        theirs.update(P, theirs.init(both), both, value=1.0)

    ours = gx.lookahead(gx.sgd(0.1), 5, 0.5)
    updates, state = ours.update(P, ours.init(P), P, value=1.0)
    np.testing.assert_allclose(updates["a"], -0.3, rtol=1e-6)
    np.testing.assert_array_equal(gx.eval_params(ours, P, state)["a"], P["a"])


def test_scar_20_nadam_with_and_without_the_decay_of_momentum():
    oracle = json.loads((pathlib.Path(__file__).parent / "oracles" / "torch_trajectories.json").read_text())
    case = next(case for case in oracle["cases"] if case["optimizer"].endswith("NAdam"))
    given = {"lr": 2e-3, "betas": [0.9, 0.999], **case["given"]}
    numbers = given["lr"], *given["betas"]
    with jax.enable_x64(True):
        params = jax.tree.map(jnp.asarray, oracle["init"], is_leaf=lambda x: isinstance(x, list))
        gradient = jax.tree.map(jnp.asarray, oracle["gradients"][0], is_leaf=lambda x: isinstance(x, list))

        def off(tx):
            found = optax.apply_updates(params, first_update(tx, gradient, params))
            return max(float(np.abs(found[name] - np.array(x)).max()) for name, x in case["params"]["1"].items())

        assert off(optax.nadam(*numbers)) > 1e-4
        assert off(gx.nadam(*numbers, momentum_decay=0.004)) < 1e-10
        np.testing.assert_allclose(off(gx.nadam(*numbers)), off(optax.nadam(*numbers)), rtol=1e-9)


def test_scar_21_scale_by_rms_is_the_denominator_of_adam():
    gradient = jnp.array([-4.0])
    np.testing.assert_allclose(first_update(optax.scale_by_rms(), gradient), -(10**0.5), rtol=1e-6)
    np.testing.assert_allclose(first_update(gx.scale_by_rms(), gradient), -1.0, rtol=1e-6)
    np.testing.assert_allclose(first_update(gx.rmsprop(1.0), gradient), 10**0.5, rtol=1e-6)
    links = gx.chain(gx.scale_by_ewma(), gx.bias_correction(), gx.scale_by_rms(), gx.scale_by_learning_rate(0.1))
    np.testing.assert_array_equal(first_update(links, gradient), first_update(gx.adam(0.1), gradient))
