"""What moved over from Optax and failed once: inputs that Optax takes, and what comes of them."""

import jax
import jax.numpy as jnp
import numpy as np
import optax as original
import pytest

import gradtx
import gradtx.optax as optax

WHOLE = jnp.array([1, 2])
NO_NUMBERS = {"random key": jax.random.key(0), "float0": np.zeros(2, jax.dtypes.float0), "function": jnp.sin}


def first_update(tx, gradients, params=None):
    return tx.update(gradients, tx.init(gradients if params is None else params), params)[0]


def same(a, b):
    a, b = (jax.random.key_data(x) if hasattr(x, "dtype") and x.dtype == NO_NUMBERS["random key"].dtype else x
            for x in (a, b))  # fmt: skip
    return a is b or np.array_equal(a, b)


@pytest.mark.parametrize(
    ("tx", "expected"),
    [(optax.sgd(0.25), [-0.25, -0.5]), (optax.chain(optax.scale(0.5), optax.scale(0.5)), [0.25, 0.5])],
)
def test_steps_of_whole_numbers_are_not_cut_to_whole_numbers(tx, expected):
    for params in (None, WHOLE, WHOLE.astype(jnp.float32)):
        np.testing.assert_array_equal(first_update(tx, WHOLE, params), expected)


@pytest.mark.parametrize("space", [gradtx, optax], ids=["gradtx", "gradtx.optax"])
@pytest.mark.parametrize("kind", NO_NUMBERS)
def test_a_mask_leaves_out_whatever_it_is(space, kind):
    tree = {"w": jnp.ones(2), "other": NO_NUMBERS[kind]}
    out = first_update(space.masked(space.scale(2.0), {"w": True, "other": False}), tree, tree)
    assert out["w"].tolist() == [2.0, 2.0]
    assert same(out["other"], tree["other"])


@pytest.mark.parametrize(
    "make",
    [
        lambda mask: optax.freeze(mask),
        lambda mask: optax.selective_transform(optax.identity(), freeze_mask=mask),
        lambda mask: optax.partition({True: optax.set_to_zero(), False: optax.identity()}, mask),
    ],
    ids=["freeze", "selective_transform", "partition"],
)
def test_what_is_frozen_may_be_anything_that_has_a_dtype(make):
    tree = {"w": jnp.ones(2), "whole": WHOLE, "key": NO_NUMBERS["random key"], "z": NO_NUMBERS["float0"]}
    out = first_update(make({"w": False, "whole": True, "key": True, "z": True}), tree, tree)
    assert out["w"].tolist() == [1.0, 1.0]
    assert same(out["key"], tree["key"])
    assert out["whole"].dtype == WHOLE.dtype
    assert not out["whole"].any()


def test_selective_transform_has_the_state_of_a_partition():
    state = optax.selective_transform(optax.sgd(0.1), freeze_mask={"w": True}).init({"w": jnp.ones(2)})
    assert sorted(state.inner_states) == ["freeze", "train"]


def test_a_filter_finds_fields_by_the_class_that_the_namespace_has():
    def of_adam(path, value):
        return isinstance(path[-1], optax.tree_utils.NamedTupleKey) and path[-1].tuple_name == "ScaleByAdamState"

    state = optax.inject_hyperparams(optax.adam)(0.1).init(jnp.ones(2))
    assert optax.tree_utils.tree_get(state, "count", filtering=of_adam) == 0


@pytest.mark.parametrize(
    ("make", "number"),
    [
        (lambda x: optax.contrib.ademamix(0.1, b3=x), 0.5),
        (lambda x: optax.contrib.simplified_ademamix(0.1, alpha=x), 2.0),
        (lambda x: optax.adafactor(0.1, weight_decay_rate=x), 0.25),
        (lambda x: optax.clip_by_global_norm(x), 0.5),
    ],
    ids=["ademamix", "simplified_ademamix", "adafactor", "clip_by_global_norm"],
)
def test_every_number_may_be_a_schedule(make, number):
    params = jnp.array([1.0, -2.0])
    constant, scheduled = make(number), make(lambda step: number)
    before, state = constant.init(params), scheduled.init(params)
    for _ in range(2):
        expected, before = constant.update(params, before, params)
        out, state = scheduled.update(params, state, params)
        np.testing.assert_allclose(out, expected, rtol=1e-6)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda tx: optax.chain(optax.clip(1.0), optax.chain(tx)),
        lambda tx: optax.named_chain(("inner", tx)),
        lambda tx: optax.masked(tx, True),
        lambda tx: optax.partition({"all": tx}, "all"),
    ],
    ids=["chain", "named_chain", "masked", "partition"],
)
def test_the_numbers_inside_are_read_with_the_state(wrap):
    tx, params = wrap(optax.add_noise(1.0, 0.5, seed=0)), jnp.ones(2)
    found = gradtx.hyperparameters(tx, tx.init(params))
    assert [float(x) for name, x in found.items() if name.endswith(".eta")] == [1.0]


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_a_schedule_is_restarted_by_its_own_count(name):
    rate, gradient, params = original.linear_schedule(0.1, 0.0, 6), jnp.array([0.3, -2.0]), jnp.ones(2)

    def after_a_restart(module):
        tx = getattr(module, name)(rate)
        state = tx.init(params)
        for _ in range(4):
            state = tx.update(gradient, state, params)[1]
        state = (*state[:-1], state[-1]._replace(count=jnp.zeros([], jnp.int32)))
        return tx.update(gradient, state, params)[0]

    with jax.numpy_dtype_promotion("standard"):
        theirs = after_a_restart(original)
    np.testing.assert_allclose(after_a_restart(optax), theirs, rtol=2e-5)


def test_parameters_without_leaves_have_states_without_leaves():
    tx = optax.adam(0.1)
    updates, state = tx.update({}, tx.init({}), {})
    assert updates == {}
    assert state[0].mu == {}
