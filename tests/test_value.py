"""A transformation is a value: it prints, compares, hashes, pickles, and goes through jit, vmap and grad."""

import copy
import pickle
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx
from gradtx import (
    Decay,
    adam,
    adamw,
    amsgrad,
    chain,
    clip,
    clip_by_global_norm,
    constant_schedule,
    cosine_decay_schedule,
    exponential_decay,
    fork,
    hyperparameters,
    identity,
    linear_schedule,
    lion,
    masked,
    nadam,
    partition,
    per_leaf,
    piecewise_constant_schedule,
    piecewise_interpolate_schedule,
    rmsprop,
    scale,
    scale_by_learning_rate,
    set_to_zero,
    sgd,
    transformation,
    warmup_cosine_decay_schedule,
)

WARMUP = warmup_cosine_decay_schedule(0.0, 1e-3, 10, 100)
LINE = linear_schedule(1.0, 0.0, 10)


def total(*branches):
    return sum(branches)


VALUES = [
    adam(1e-3),
    adam(3e-4, 0.95, b2=0.98, eps=1e-6),
    adam(1e-3, 1 / 3, 0.1 + 0.2),  # decays that no float32 holds
    adam(1e-3, b2=0.9999999),
    adam(1e-3, mu_dtype="bfloat16"),
    adam(1e-3, mu_dtype=jnp.bfloat16),
    adam(WARMUP),
    adam(LINE * 2 + 1.0),
    adam(1 - LINE / 3 - LINE),
    adam(-LINE),
    adam(constant_schedule(1.0).then(LINE, after=100)),
    adam(LINE.stretch(5)),
    adam(piecewise_constant_schedule(1.0, {10: 0.5, 20: 0.1})),
    adam(piecewise_interpolate_schedule("cosine", 1.0, {10: 0.5})),
    adam(exponential_decay(1.0, 10, 0.9, staircase=True)),
    adam(1e-3, b1=LINE * 0.9, eps=constant_schedule(1e-8)),
    adamw(1e-3, mask={"w": True, "b": [False, True]}),
    adamw(1e-3, mask=("*.w", "head")),
    nadam(1e-3, momentum_decay=0.004),
    amsgrad(1e-3, maximum="raw"),
    rmsprop(1e-3, centered=True, momentum=0.5),
    lion(1e-4),
    sgd(0.1),
    sgd(0.1, 0.9, nesterov=True),
    scale(-1e300),
    scale(5e-324),
    scale(float("inf")),
    clip(float("inf")),
    identity(),
    chain(),
    chain(clip(1.0), adam(1e-3)),
    chain(clip=clip(1.0), adam=adam(1e-3)),
    chain(clip(1.0), inner=chain(scale(1.0), scale(2.0))),
    chain(chain(a=clip(1.0)), scale(2.0)),
    chain(chain(chain(a=clip(1.0)), scale(2.0), b=scale(5.0)), scale(3.0), scale(4.0), c=identity()),
    masked(adam(1e-3), "*.w"),
    partition(
        {"slow": sgd(0.1), "it's": chain(adam(1e-3)), "off": set_to_zero()}, {"a": "slow", "b": "off", "*": "it's"}
    ),
    fork(total, scale(1.0), second=scale(2.0)),
    fork(total, chain(clip(1.0), scale(1.0)), scale(2.0)),
]
NAMES = {name: getattr(gradtx, name) for name in dir(gradtx) if not name.startswith("_")} | {"total": total}


def problem():
    params = {"w": jnp.array([1.0, -2.0, 3.0]), "b": jnp.array(0.5)}
    return params, {"w": jnp.array([0.5, 1.0, -4.0]), "b": jnp.array(-0.25)}


def first_update(tx):
    params, gradients = problem()
    return tx.update(gradients, tx.init(params), params)[0]


def trace_counter(function):
    """The function, and a list that grows by one whenever it is traced."""
    traces = []

    def counted(*args):
        traces.append(None)
        return function(*args)

    return counted, traces


# Printing -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tx", VALUES, ids=repr)
def test_it_prints_as_the_call_that_makes_it_again(tx):
    again = eval(repr(tx), NAMES)
    assert again == tx
    assert hash(again) == hash(tx)
    assert repr(again) == repr(tx)


def test_it_prints_every_number_and_structure_that_is_not_the_default():
    assert repr(adam(1e-3)) == "adam(learning_rate=0.001, b1=0.9, b2=0.999, eps=1e-08, eps_root=0.0)"
    assert repr(sgd(1, 0.9, nesterov=True)) == "sgd(learning_rate=1.0, momentum=0.9, nesterov=True)"
    assert repr(sgd(1, nesterov=False)) == "sgd(learning_rate=1.0, momentum=None)"


def test_arrays_and_tracers_print_short():
    assert "float32[64]" in repr(adam(jnp.ones(64)))
    assert len(repr(adam(jnp.ones(64)))) < 120
    printed = []
    jax.jit(lambda tx: printed.append(repr(tx)))(adam(1e-3))
    assert "float32[]" in printed[0]
    assert len(printed[0]) < 200


# Comparing ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", range(len(VALUES)), ids=[repr(tx) for tx in VALUES])
def test_it_equals_itself_and_no_other(n):
    equal = [m for m, other in enumerate(VALUES) if VALUES[n] == other]
    same_call = {4: [4, 5], 5: [4, 5]}  # a dtype by name and by class
    assert equal == same_call.get(n, [n])
    assert [hash(VALUES[m]) == hash(VALUES[n]) for m in equal] == [True] * len(equal)


def test_three_calls_alike_are_equal_and_hash_alike():
    txs = {adam(1e-3), adam(learning_rate=1e-3), adam(1e-3, 0.9, eps=1e-8)}
    assert len(txs) == 1
    assert len({adam(1e-3), adam(2e-3), adamw(1e-3), sgd(1e-3), adam(1e-3, mu_dtype="float32")}) == 5
    assert sgd(1) == sgd(1.0) == sgd(np.float64(1)) == sgd(np.int32(1)) == sgd(np.array(1.0))


def test_structure_names_and_order_are_compared():
    a, b = scale(1.0), clip(1.0)
    assert chain(a, b) != chain(b, a)
    assert chain(a, b) != chain(a, b=b)
    assert chain(a=a, b=b) != chain(b=b, a=a)
    assert chain(chain(a), b) == chain(a, chain(b))
    assert chain(inner=chain(a), b=b) != chain(a, b=b)
    assert sgd(1.0, 0.9) != sgd(1.0, 0.9, nesterov=True)
    assert sgd(1.0, None) != sgd(1.0, 0.0)
    assert adamw(1.0, mask={"w": True}) != adamw(1.0, mask={"w": False})
    assert linear_schedule(1.0, 0.0, 10) != sgd(1.0)
    assert adam(constant_schedule(1.0)) != adam(1.0)


def test_decays_that_round_to_one_float32_are_not_equal():
    near = float(np.float32(0.999))
    assert near != 0.999
    assert adam(1e-3, b2=near) != adam(1e-3, b2=0.999)


def test_arrays_are_compared_by_value():
    assert adam(jnp.array([1.0, 2.0])) == adam(jnp.array([1.0, 2.0]))
    assert adam(jnp.array([1.0, 2.0])) != adam(jnp.array([1.0, 3.0]))
    assert adam(jnp.array([1.0, 2.0])) != adam(jnp.array([1.0, 2.0, 3.0]))
    assert hash(adam(jnp.array([1.0, 2.0]))) == hash(adam(np.array([1.0, 2.0])))
    mask = {"w": np.array([True, False])}
    assert adamw(1.0, mask=mask) == adamw(1.0, mask=copy.deepcopy(mask))


class Hostile:
    __array__ = property(lambda self: 1 / 0)
    dtype = property(lambda self: 1 / 0)
    __eq__ = None
    __hash__ = None


@pytest.mark.parametrize(
    "other", [None, 3, "adam", adam, object(), np.ones(3), {}, Hostile], ids=lambda x: type(x).__name__
)
def test_comparing_never_raises(other):
    tx = adam(1e-3)
    equal, different = tx.__eq__(other), tx.__ne__(other)
    assert equal is NotImplemented
    assert different is NotImplemented


def test_comparing_odd_leaves_is_false_and_does_not_raise():
    tx = adam(1e-3)
    odd = jax.tree.map(lambda _: "not a number", tx)
    assert odd != tx
    gone = adam(jnp.ones(3))
    gone.learning_rate.delete()
    assert gone != adam(jnp.ones(3))
    assert not gone == adam(jnp.ones(3))  # noqa: SIM201
    shapes = jax.eval_shape(lambda t: t, tx)
    assert shapes != tx


def test_a_tracer_equals_only_itself():
    found = {}

    @jax.jit
    def inside(tx, other):
        found["itself"] = tx == tx
        found["another tracer"] = tx == other
        found["a number"] = tx == adam(1e-3)
        found["hash"] = hash(tx) == hash(tx)
        return 0

    inside(adam(1e-3), adam(1e-3))
    assert found == {"itself": True, "another tracer": False, "a number": False, "hash": True}


# Copies ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tx", VALUES, ids=repr)
def test_it_pickles_and_copies_to_an_equal_value(tx):
    for again in (pickle.loads(pickle.dumps(tx)), copy.copy(tx), copy.deepcopy(tx), tx.replace()):
        assert again == tx
        assert hash(again) == hash(tx)
        assert repr(again) == repr(tx)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_it_pickles_with_every_protocol(protocol):
    tx = chain(clip(1.0), adamw(WARMUP, mask={"w": True}), last=scale(2.0))
    assert pickle.loads(pickle.dumps(tx, protocol)) == tx


def test_a_stacked_transformation_pickles():
    tx = jax.vmap(adam)(jnp.array([1e-3, 1e-2]))
    again = pickle.loads(pickle.dumps(tx))
    assert again == tx
    np.testing.assert_array_equal(again.learning_rate, tx.learning_rate)


@transformation
def of_a_user(learning_rate, decay: Decay = 0.9, *, flag: bool = False):
    """A recipe at module level, as a user would write one."""
    return chain(gradtx.trace(decay), scale_by_learning_rate(learning_rate))


def test_a_transformation_of_a_user_is_a_value_too():
    tx = of_a_user(0.5, flag=True)
    assert repr(tx) == "of_a_user(learning_rate=0.5, decay=0.9, flag=True)"
    assert pickle.loads(pickle.dumps(tx)) == tx
    assert eval(repr(tx), {"of_a_user": of_a_user}) == tx
    assert tx.replace(learning_rate=1.0) == of_a_user(1.0, flag=True)
    assert of_a_user.__doc__.startswith("A recipe")
    np.testing.assert_allclose(first_update(tx)["w"], [-0.25, -0.5, 2.0])


def test_an_array_that_changes_later_does_not_change_the_value():
    rates = np.array([1e-3, 1e-2])
    tx = adam(rates)
    rates[0] = 7.0
    assert tx.learning_rate[0] == 1e-3


# Parts and changes ----------------------------------------------------------------------------------------------------


def test_numbers_structure_and_links_are_attributes():
    tx = chain(clip(2.0), adamw(WARMUP, 0.8, mask={"w": True}), last=scale(3.0))
    assert tx.clip.max_delta == 2.0
    assert tx.adamw.b1 == 0.8
    assert tx.adamw.mask == {"w": True}
    assert tx.adamw.learning_rate == WARMUP
    assert tx.adamw.learning_rate.peak_value == 1e-3
    assert tx.last.step_size == 3.0
    assert {"clip", "adamw", "last", "init", "update", "replace"} <= set(dir(tx))
    assert chain(scale(1.0), scale(2.0)).scale_1.step_size == 2.0
    assert partition({"a": sgd(0.5)}, {"*": "a"}).a.learning_rate == 0.5
    assert masked(sgd(0.5), "*").inner.learning_rate == 0.5


def test_an_attribute_that_is_not_there_says_what_is():
    with pytest.raises(
        AttributeError, match="adam has no 'beta1'; it has learning_rate, b1, b2, eps, eps_root, mu_dtype"
    ):
        _ = adam(1e-3).beta1
    assert not hasattr(adam(1e-3), "__array__")
    assert not hasattr(adam(1e-3), "_cache")


def test_it_cannot_be_changed():
    tx = adam(1e-3)
    for name in ("learning_rate", "init", "anything", "given"):
        with pytest.raises(AttributeError):
            setattr(tx, name, 1.0)
    assert tx == adam(1e-3)


@pytest.mark.parametrize("name", ["learning_rate", "given"])
def test_nothing_of_it_can_be_deleted(name):
    tx = adam(1e-3)
    with pytest.raises(AttributeError):
        delattr(tx, name)
    assert tx == adam(1e-3)


REPLACEMENTS = [
    (adam(1e-3), {"learning_rate": 3e-4}, adam(3e-4)),
    (adam(1e-3), {"adam.learning_rate": 3e-4, "adam.b1": 0.5}, adam(3e-4, 0.5)),
    (adam(1e-3), {"learning_rate": WARMUP}, adam(WARMUP)),
    (adam(WARMUP), {"learning_rate": 1e-3}, adam(1e-3)),
    (adam(WARMUP), {"adam.learning_rate.peak_value": 5.0}, adam(WARMUP.replace(peak_value=5.0))),
    (adam(WARMUP), {"learning_rate.warmup_steps": 20}, adam(warmup_cosine_decay_schedule(0.0, 1e-3, 20, 100))),
    (adam(1e-3), {"mu_dtype": "bfloat16"}, adam(1e-3, mu_dtype="bfloat16")),
    (sgd(1.0), {"momentum": 0.9}, sgd(1.0, 0.9)),
    (sgd(1.0, 0.9), {"momentum": None}, sgd(1.0)),
    (chain(clip(1.0), adam(1e-3)), {"adam.b1": 0.5}, chain(clip(1.0), adam(1e-3, 0.5))),
    (chain(clip(1.0), adam(1e-3)), {"clip": clip(2.0)}, chain(clip(2.0), adam(1e-3))),
    (chain(a=clip(1.0)), {"a.max_delta": 2.0}, chain(a=clip(2.0))),
    (chain(scale(1.0), scale(2.0)), {"scale_1.step_size": 5.0}, chain(scale(1.0), scale(5.0))),
    (
        chain(a=chain(clip(1.0), adam(WARMUP))),
        {"a.adam.learning_rate.peak_value": 5.0},
        chain(a=chain(clip(1.0), adam(WARMUP.replace(peak_value=5.0)))),
    ),
    (masked(sgd(1.0), "*"), {"inner.learning_rate": 2.0}, masked(sgd(2.0), "*")),
    (masked(sgd(1.0), "*"), {"masked.inner.learning_rate": 2.0}, masked(sgd(2.0), "*")),
    (
        partition({"a": sgd(1.0), "b": sgd(2.0)}, {"*": "a"}),
        {"b.learning_rate": 3.0},
        partition({"a": sgd(1.0), "b": sgd(3.0)}, {"*": "a"}),
    ),
    (
        sgd(piecewise_constant_schedule(1.0, {10: 0.5, 20: 0.1})),
        {"learning_rate.boundaries_and_scales.1.0": 30},
        sgd(piecewise_constant_schedule(1.0, {10: 0.5, 30: 0.1})),
    ),
    (
        sgd(constant_schedule(1.0).then(LINE, after=5)),
        {"learning_rate.schedules.1.transition_steps": 7},
        sgd(constant_schedule(1.0).then(linear_schedule(1.0, 0.0, 7), after=5)),
    ),
    (
        sgd(constant_schedule(1.0).then(LINE, after=5)),
        {"learning_rate.boundaries.0": 6},
        sgd(constant_schedule(1.0).then(LINE, after=6)),
    ),
    (sgd(LINE * 2.0), {"learning_rate.left.init_value": 3.0}, sgd(LINE.replace(init_value=3.0) * 2.0)),
    (chain(adam=adam(1e-3)), {"adam.learning_rate": 1.0}, chain(adam=adam(1.0))),
    (chain(chain=chain(scale(1.0))), {"chain.scale.step_size": 2.0}, chain(chain=chain(scale(2.0)))),
]


@pytest.mark.parametrize(("tx", "changes", "expected"), REPLACEMENTS, ids=[f"{r[0]!r} {r[1]}" for r in REPLACEMENTS])
def test_replace_is_the_call_with_other_arguments(tx, changes, expected):
    before = repr(tx)
    assert tx.replace(changes) == expected
    assert repr(tx) == before


def test_replace_takes_what_hyperparameters_names():
    for tx in VALUES:
        numbers = {name: x for name, x in hyperparameters(tx).items() if isinstance(x, float)}
        assert tx.replace(numbers) == tx
    doubled = chain(clip(1.0), adam(1e-3)).replace(
        {n: x / 2 for n, x in hyperparameters(chain(clip(1.0), adam(1e-3))).items()}
    )
    assert doubled == chain(clip(0.5), adam(5e-4, 0.45, 0.4995, 5e-9, 0.0))


def test_replacing_a_decay_keeps_it_as_exact_as_the_call_does():
    assert hyperparameters(adam(1e-3).replace(b2=0.9995))["adam.b2"] == 0.9995
    assert jax.tree.leaves(adam(1e-3).replace({"adam.b2": 0.9995})) == jax.tree.leaves(adam(1e-3, b2=0.9995))


# A pytree -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tx", VALUES, ids=repr)
def test_its_leaves_are_numbers_and_taking_it_apart_changes_nothing(tx):
    leaves, treedef = jax.tree.flatten(tx)
    assert all(isinstance(leaf, float) for leaf in leaves)
    again = jax.tree.unflatten(treedef, leaves)
    assert again == tx
    assert repr(again) == repr(tx)
    assert jax.tree.structure(again) == treedef
    assert hash(jax.tree.structure(again)) == hash(treedef)


def test_paths_of_leaves_are_names():
    paths = {jax.tree_util.keystr(p) for p, _ in jax.tree.leaves_with_path(chain(clip(1.0), main=adam(WARMUP)))}
    assert ".links.clip.max_delta" in paths
    assert ".links.main.learning_rate.peak_value" in paths
    assert ".links.main.b1.near" in paths


def test_map_over_a_value_makes_a_value():
    tx = jax.tree.map(lambda x: 2 * x, chain(clip(1.0), sgd(0.25)))
    assert tx == chain(clip(2.0), sgd(0.5))


@pytest.mark.parametrize("mark", [None, 0, "x", jax.ShapeDtypeStruct((), np.float32)], ids=repr)
def test_leaves_that_are_no_numbers_may_stand_in_a_value(mark):
    marked = jax.tree.map(lambda _: mark, chain(clip(1.0), adam(1e-3)))  # as JAX does for axes, shardings and shapes
    assert type(marked) is gradtx.GradientTransformation
    assert marked == jax.tree.map(lambda _: mark, marked, is_leaf=lambda x: x is mark)
    assert marked != chain(clip(1.0), adam(1e-3))
    assert repr(marked).startswith("chain(clip(max_delta=")


@pytest.mark.parametrize(
    "number",
    [1, 0.5, np.float64(0.5), np.float32(0.5), np.float16(0.5), np.int64(2), np.array(0.5), np.array(2)],
    ids=lambda x: f"{type(x).__name__}({x})",
)
def test_python_and_numpy_numbers_are_kept_as_floats(number):
    tx = sgd(number)
    assert type(tx.learning_rate) is float
    assert tx == sgd(float(number))
    np.testing.assert_array_equal(first_update(tx)["b"], np.float32(0.25 * float(number)))


@pytest.mark.parametrize(
    "number", [jnp.float32(0.5), jnp.asarray(0.5), jnp.asarray(2), jnp.bfloat16(0.5), jnp.float16(0.5)], ids=repr
)
def test_scalars_of_jax_work_in_every_place(number):
    np.testing.assert_allclose(first_update(sgd(number))["b"], 0.25 * float(number), rtol=1e-6)
    if number < 1:
        np.testing.assert_allclose(first_update(adam(0.5, number, number))["b"], 0.5, rtol=1e-5)
    assert jnp.issubdtype(sgd(number).learning_rate.dtype, jnp.floating)


def test_integer_arrays_become_floats_for_a_sweep():
    tx = jax.vmap(sgd)(jnp.arange(3))
    assert tx.learning_rate.dtype == jnp.float32
    updates = jax.vmap(first_update)(tx)
    np.testing.assert_array_equal(updates["b"], [0.0, 0.25, 0.5])


# jit ------------------------------------------------------------------------------------------------------------------


def test_one_compilation_serves_any_number_of_learning_rates():
    step, traces = trace_counter(first_update)
    step = jax.jit(step)
    for rate in np.linspace(1e-4, 1e-1, 12):
        np.testing.assert_allclose(step(adam(rate))["b"], rate, rtol=1e-5)
    step(adam(1e-3).replace(learning_rate=0.7, b1=0.2, eps=1e-3))
    step(adam(1e-3, 0.8, b2=0.5, eps_root=1e-3))
    step(adam(1))
    assert len(traces) == 1
    step(adam(1e-3, mu_dtype="bfloat16"))  # structure
    step(adam(WARMUP))
    assert len(traces) == 3
    step(adam(WARMUP.replace(peak_value=0.5, warmup_steps=7)))
    assert len(traces) == 3
    step(adam(jnp.asarray(1e-3)))  # a change of kind costs one more
    step(adam(jnp.asarray(2e-3)))
    assert len(traces) <= 4


def test_adams_made_in_different_places_share_a_compilation():
    step, traces = trace_counter(first_update)
    step = jax.jit(step)
    for tx in (
        adam(1e-3),
        adam(learning_rate=1e-3),
        pickle.loads(pickle.dumps(adam(2e-3))),
        eval(repr(adam(1e-3)), NAMES),
    ):
        step(tx)
    assert len(traces) == 1


def test_as_a_static_argument_equal_values_share_a_compilation():
    step, traces = trace_counter(first_update)
    step = jax.jit(step, static_argnums=0)
    for _ in range(3):
        np.testing.assert_allclose(step(adam(1e-3))["b"], 1e-3, rtol=1e-5)
    assert len(traces) == 1
    np.testing.assert_allclose(step(adam(1e-2))["b"], 1e-2, rtol=1e-5)
    assert len(traces) == 2


def test_methods_of_a_value_are_jitted_as_they_are():
    params, gradients = problem()
    tx = adam(1e-3)
    state = jax.jit(tx.init)(params)
    updates, state = jax.jit(tx.update)(gradients, state, params)
    np.testing.assert_allclose(updates["b"], 1e-3, rtol=1e-5)
    assert int(state["count"]) == 1


def test_a_jitted_function_may_return_a_transformation():
    warm = jax.jit(lambda tx: tx.replace(learning_rate=tx.learning_rate / 2))(adam(1e-3, b2=0.9995))
    assert type(warm) is gradtx.GradientTransformation
    assert jax.tree.structure(warm) == jax.tree.structure(adam(1e-3))
    np.testing.assert_allclose(warm.learning_rate, 5e-4)
    near, rest = jax.tree.leaves(adam(1.0, b2=0.9995))[3:5]
    assert [float(x) for x in jax.tree.leaves(warm)[3:5]] == [near, float(np.float32(rest))]
    np.testing.assert_allclose(first_update(warm)["b"], 5e-4, rtol=1e-5)
    made = jax.jit(lambda rate: chain(clip(1.0), adam(rate)))(0.25)
    np.testing.assert_allclose(made.adam.learning_rate, 0.25)


@pytest.mark.parametrize(
    "tx", [adam(1e-2), adamw(WARMUP), sgd(0.1, 0.9), lion(1e-3), rmsprop(0.1), chain(clip(1.0), nadam(1e-2))], ids=repr
)
def test_numbers_that_are_traced_give_what_numbers_that_are_baked_in_give(tx):
    baked, traced = jax.jit(lambda: first_update(tx))(), jax.jit(first_update)(tx)
    for a, b in zip(jax.tree.leaves(baked), jax.tree.leaves(traced), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-12)


# vmap -----------------------------------------------------------------------------------------------------------------


def train(tx, steps=6):
    """The parameters after some steps on Σ(w·scale)² with a fixed, uneven scale."""
    params, scales = problem()

    def step(carry, _):
        params, state = carry
        gradients = jax.tree.map(lambda p, s: 2 * p * s * s, params, scales)
        updates, state = tx.update(gradients, state, params)
        return (jax.tree.map(jnp.add, params, updates), state), None

    (params, _), _ = jax.lax.scan(step, (params, tx.init(params)), None, length=steps)
    return params


def loss(tx, steps=6):
    params, scales = train(tx, steps), problem()[1]
    return sum(jnp.sum((p * s) ** 2) for p, s in zip(jax.tree.leaves(params), jax.tree.leaves(scales), strict=True))


def test_vmap_over_a_factory_makes_one_value_of_many():
    rates, b1s = jnp.array([1e-3, 1e-2, 1e-1]), jnp.array([0.9, 0.5, 0.0])
    txs = jax.vmap(adam)(rates, b1s)
    assert type(txs) is gradtx.GradientTransformation
    np.testing.assert_array_equal(txs.learning_rate, rates)
    np.testing.assert_allclose(txs.b1, b1s, rtol=1e-7)
    stacked = jax.jit(jax.vmap(train))(txs)
    for lane in range(3):
        single = jax.jit(train)(adam(float(rates[lane]), float(b1s[lane])))
        np.testing.assert_allclose(stacked["w"][lane], single["w"], rtol=1e-5)


@pytest.mark.parametrize("schedule", [WARMUP, cosine_decay_schedule(1e-2, 5), LINE.stretch(2) * 0.01], ids=repr)
def test_vmap_over_every_number_of_a_schedule(schedule):
    leaves, treedef = jax.tree.flatten(adam(schedule))
    for n in range(len(leaves) - 6):  # what stands behind are the decays and the two eps
        lanes = [
            jax.tree.unflatten(treedef, [*leaves[:n], leaves[n] * factor, *leaves[n + 1 :]])
            for factor in (1.0, 0.5, 1.5)
        ]
        stacked = jax.tree.map(lambda *x: jnp.stack([jnp.float32(v) for v in x]), *lanes)
        together = jax.vmap(partial(train, steps=4))(stacked)
        for lane, tx in enumerate(lanes):
            np.testing.assert_allclose(together["w"][lane], train(tx, 4)["w"], rtol=2e-6)


def test_vmap_with_an_axis_for_some_numbers_only():
    rates = jnp.array([1e-3, 1e-2, 1e-1])
    tx = adam(1e-2).replace(learning_rate=rates)
    axes = jax.tree_util.tree_map_with_path(lambda path, _: 0 if "learning_rate" in str(path) else None, tx)
    found = jax.vmap(train, in_axes=(axes,))(tx)
    np.testing.assert_allclose(found["w"][1], train(adam(1e-2))["w"], rtol=1e-6)
    built_inside = jax.vmap(lambda rate: train(adam(1e-2).replace(learning_rate=rate)))(rates)
    np.testing.assert_allclose(found["w"], built_inside["w"], rtol=1e-6)


def test_a_sweep_over_one_lane_that_diverges_leaves_its_neighbours_as_they_were():
    calm = jax.tree.map(lambda *x: jnp.stack([jnp.float32(v) for v in x]), *[sgd(r, 0.9) for r in (1e-3, 1e-3, 1e-2)])
    wild = calm.replace(learning_rate=jnp.array([1e-3, 1e30, 1e-2]))
    run = jax.jit(jax.vmap(train))
    a, b = run(calm), run(wild)
    assert not np.isfinite(b["w"][1]).all()
    for path in ("w", "b"):
        np.testing.assert_array_equal(a[path][np.array([0, 2])], b[path][np.array([0, 2])])


# grad -----------------------------------------------------------------------------------------------------------------

GRADIENTS = [
    adam(1e-2, 0.8, 0.95, 1e-6, 1e-6),
    adam(warmup_cosine_decay_schedule(1e-3, 1e-2, 2.5, 7.5, 1e-3, 1.5), 0.8, 0.95),
    chain(clip_by_global_norm(5.0), adamw(1e-2, 0.8, 0.95, weight_decay=0.1)),
    sgd(1e-2, 0.8, nesterov=True),
    rmsprop(1e-2, 0.8, 1e-4, 0.1, 0.5, centered=False),
    nadam(1e-2, 0.8, 0.95, momentum_decay=0.1),
    amsgrad(1e-2, 0.8, 0.95),
    gradtx.adagrad(1e-2),
    gradtx.adamax(1e-2, 0.8, 0.95),
]


@pytest.mark.parametrize("tx", GRADIENTS, ids=repr)
def test_derivatives_by_every_number_are_those_of_finite_differences(tx):
    with jax.enable_x64(True):
        function = jax.jit(loss)
        names = [name for name, x in hyperparameters(tx).items() if isinstance(x, float)]
        slopes = jax.jit(jax.grad(loss))(tx)
        by_path = {jax.tree_util.keystr(p): g for p, g in jax.tree.leaves_with_path(slopes)}
        assert len(names) >= 2
        for path, _ in jax.tree.leaves_with_path(tx):
            name = jax.tree_util.keystr(path)
            if name.endswith(".rest"):
                assert float(by_path[name]) == 0
                continue
            h = 1e-7 if "eps" in name else 1e-6  # of a loss near 100: rounding makes the difference 1e-6 off
            moved = [
                jax.tree_util.tree_map_with_path(lambda p, x, s=sign * h, q=path: x + s if p == q else x, tx)
                for sign in (1, -1)
            ]
            difference = (function(moved[0]) - function(moved[1])) / (2 * h)
            np.testing.assert_allclose(by_path[name], difference, rtol=1e-4, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("tx", [*GRADIENTS, lion(1e-2), rmsprop(1e-2, centered=True), adam(1e-2)], ids=repr)
def test_derivatives_are_finite_at_zero_gradients(tx):
    params = {"w": jnp.array([1.0, -2.0]), "dead": jnp.zeros(3)}

    def final(tx, params):
        state = tx.init(params)
        for factor in (0.0, 1.0, 0.0):
            gradients = {"w": params["w"] * factor, "dead": 0 * params["dead"]}
            updates, state = tx.update(gradients, state, params)
            params = jax.tree.map(jnp.add, params, updates)
        return jnp.sum(params["w"] ** 2) + jnp.sum(params["dead"])

    slopes = jax.jit(jax.grad(final, argnums=(0, 1)))(tx, params)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(slopes))
    assert any(np.abs(x).max() > 0 for x in jax.tree.leaves(slopes[0]))


def test_a_step_along_the_hypergradient_lowers_the_loss():
    tx = adam(1e-3)
    slope = jax.grad(loss)(tx).learning_rate
    assert slope < 0
    assert loss(tx.replace(learning_rate=1e-3 - 1e-4 * np.sign(slope))) < loss(tx)


# hyperparameters ------------------------------------------------------------------------------------------------------


def test_hyperparameters_by_their_dotted_names():
    tx = chain(clip(1.0), main=adam(LINE, 0.8), groups=partition({"a": sgd(0.5)}, {"*": "a"}))
    assert hyperparameters(tx) == {
        "clip.max_delta": 1.0,
        "main.learning_rate": LINE,
        "main.b1": 0.8,
        "main.b2": 0.999,
        "main.eps": 1e-8,
        "main.eps_root": 0.0,
        "groups.a.learning_rate": 0.5,
    }
    assert hyperparameters(sgd(0.5)) == {"sgd.learning_rate": 0.5}
    assert hyperparameters(identity()) == {}


def test_hyperparameters_with_a_state_are_those_of_the_next_update():
    params, gradients = problem()
    tx = chain(clip(100.0), sgd(LINE))
    state = tx.init(params)
    for n in range(4):
        now = hyperparameters(tx, state)
        np.testing.assert_allclose(now["sgd.learning_rate"], 1 - n / 10, rtol=1e-6)
        assert now["clip.max_delta"] == 100.0
        updates, state = tx.update(gradients, state, params)
        np.testing.assert_allclose(updates["b"], 0.25 * now["sgd.learning_rate"], rtol=1e-6)


def test_hyperparameters_under_jit():
    params, _ = problem()
    tx = sgd(LINE)
    state = {"count": jnp.asarray(5)}
    assert jax.tree.structure(tx.init(params)) == jax.tree.structure(state)
    np.testing.assert_allclose(jax.jit(hyperparameters)(tx, state)["sgd.learning_rate"], 0.5)


# Writing one's own ----------------------------------------------------------------------------------------------------


def test_a_formula_of_a_user_sees_exact_decays_and_its_state_is_kept():
    @transformation
    def average(decay: Decay = 0.9, *, twice: bool = False):
        """An average."""

        def formula(u, mu):
            mu = decay * mu + (1 - decay) * u
            return (2 * mu if twice else mu), mu

        return per_leaf(formula, mu=gradtx.zeros)

    params, gradients = problem()
    tx = chain(average(0.5, twice=True), scale(-1.0))
    updates, state = tx.update(gradients, tx.init(params), params)
    np.testing.assert_allclose(updates["w"], -gradients["w"])
    np.testing.assert_allclose(state["average"]["mu"]["w"], gradients["w"] / 2)
    assert average(0.5) != average(0.5, twice=True)
