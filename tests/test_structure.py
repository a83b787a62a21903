"""The static part of a value: equal ones are one object, and any leaves may stand in it; and what a call checks."""

import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx
from gradtx import TransformationError, adam, adamw, add_noise, chain, clip, partition, scale, sgd, transformation

NESTED = chain(clip(1.0), main=adamw(lambda s: 1e-3, 0.8), rest=partition({"a": sgd(0.1, 0.9), "b": scale(2.0)}, "a"))
VALUES = [adamw(1e-3), sgd(0.1), NESTED, gradtx.linear_schedule(0.1, 0.0, 10) + 1.0]


def aux_of(tx):
    return jax.tree_util.default_registry.flatten_one_level(tx)[1]


def test_equal_structures_are_one_object():
    # JAX compares them at every compiled call: what is the same object is equal without a look inside
    again = pickle.loads(pickle.dumps(adam(2e-3, b1=0.5)))
    for other in (adam(1e-2), adam(jnp.array(0.1)), adam(0.1, 0.2, eps=1), adam(0.1).replace(b2=0.5), again):
        assert aux_of(other) is aux_of(adam(1e-3))
    assert aux_of(adam(1e-3, mu_dtype="bfloat16")) is not aux_of(adam(1e-3))
    assert aux_of(sgd(0.1)) is not aux_of(sgd(0.1, 0.9))
    assert aux_of(chain(scale(1.0))) is not aux_of(chain(a=scale(1.0)))


@pytest.mark.parametrize("tx", VALUES, ids=lambda tx: tx.call.name)
def test_any_leaves_may_stand_in_a_value(tx):
    leaves, treedef = jax.tree.flatten(tx)
    for anything in (object(), None, (1, 2), {"a": jnp.ones(3)}, jax.ShapeDtypeStruct((), jnp.float32)):
        mapped = jax.tree.map(lambda _, x=anything: x, tx)
        assert jax.tree.leaves(mapped) == jax.tree.leaves([anything] * len(leaves))
        again = jax.tree.unflatten(jax.tree.structure(mapped), jax.tree.leaves(mapped))
        assert jax.tree.structure(again) == jax.tree.structure(mapped)
    doubled = jax.tree.map(lambda x: (x, x), tx)
    assert jax.tree.leaves(jax.tree.map(lambda _, pair: pair[1], tx, doubled)) == leaves
    assert jax.tree.transpose(treedef, jax.tree.structure((0, 0)), doubled)[0] == tx
    placed = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(tx)]
    assert len(set(placed)) == len(leaves)
    assert copy.deepcopy(tx) == copy.copy(tx) == tx


def test_axes_of_vmap_are_a_value_or_a_prefix():
    tx = jax.vmap(lambda lr: chain(adam(lr), scale(2.0)))(jnp.array([0.1, 0.2]))
    axes = jax.tree.map(lambda _: 0, tx)
    p = jnp.ones(2)

    def step(tx):
        return tx.update(p, tx.init(p), p)[0]

    by_value, by_number = jax.vmap(step, in_axes=(axes,))(tx), jax.vmap(step)(tx)
    np.testing.assert_array_equal(by_value, by_number)
    links = jax.tree.map(lambda _: 0, tx, is_leaf=lambda x: x is not tx and isinstance(x, type(tx)))  # 0 for each link
    np.testing.assert_array_equal(jax.vmap(step, in_axes=(links,))(tx), by_number)


@transformation
def halves(fraction: "gradtx.Decay" = 0.5, part: "gradtx.NonNegative" = 0.5):
    return scale(fraction * part)


def test_a_decay_is_what_is_annotated_so():
    assert len(jax.tree.leaves(halves(0.25))) == 3
    assert [path for path, _ in jax.tree_util.tree_leaves_with_path(halves(0.1))] == [
        (jax.tree_util.GetAttrKey(name),) for name in ("fraction.near", "fraction.rest", "part")
    ]


def test_a_seed_is_a_whole_number():
    assert (add_noise(0.1, 0.55, 3).seed, add_noise(0.1, 0.55, np.int32(2**24)).seed) == (3.0, 2.0**24)
    for wrong in (0.5, -1, 2**24 + 1, float("nan"), 1.5, float("inf")):
        with pytest.raises(TransformationError, match=r"add_noise: seed: expected a number in 0, 1 \.\.\. 16777216"):
            add_noise(0.1, 0.55, seed=wrong)
    p = jnp.zeros(3)
    lanes = jax.vmap(lambda seed: add_noise(0.1, 0.55, seed))(jnp.arange(3))
    drawn = jax.vmap(lambda tx: tx.update(p, tx.init(p))[0])(lanes)
    alone = add_noise(0.1, 0.55, 2)
    np.testing.assert_array_equal(drawn[2], alone.update(p, alone.init(p))[0])
    assert not np.array_equal(drawn[0], drawn[1])


@pytest.mark.parametrize(
    ("args", "kwargs", "what"),
    [
        ((), {}, r"adamw: missing a required argument: 'learning_rate'; it takes adamw\(learning_rate, b1=0.9"),
        ((1e-3,) * 7, {}, "adamw: too many positional arguments; mu_dtype, mask must be given by keyword"),
        ((1e-3,), {"learning_rate": 1.0}, "adamw: multiple values for argument 'learning_rate'"),
        ((1e-3,), {"lr": 1.0}, r"adamw: no argument 'lr' \(did you mean 'learning_rate'\?\)"),
        ((1e-3, 1.0), {}, r"adamw: b1: expected a number in \[0, 1\), found 1.0"),
        ((float("nan"),), {}, "adamw: learning_rate: expected a number in"),
        ((-1.0,), {}, "adamw: learning_rate: expected a number in"),
        ((float("inf"),), {}, "adamw: learning_rate: expected a number in"),
        ((True,), {}, "adamw: learning_rate: expected a number, a schedule"),
        ((1e-3,), {"b2": None}, "adamw: b2: expected a number"),
        ((1e-3,), {"mu_dtype": "int8"}, "adamw: mu_dtype: expected a floating-point dtype"),
    ],
)
def test_the_fast_way_of_a_call_checks_as_the_slow_one(args, kwargs, what):
    with pytest.raises(TransformationError, match=what):
        adamw(*args, **kwargs)
