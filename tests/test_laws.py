"""The algebra of transformations: which different calls are the same algorithm, and which are not."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx
from gradtx import (
    TransformationError,
    adam,
    adamw,
    add_decayed_weights,
    bias_correction,
    chain,
    clip,
    clip_by_global_norm,
    constant_schedule,
    identity,
    masked,
    partition,
    rmsprop,
    scale,
    scale_by_ewma,
    scale_by_learning_rate,
    scale_by_rms,
    sgd,
    sweep,
    trace,
)

RNG = np.random.default_rng(7)
PARAMS = {
    "w": jnp.asarray(RNG.normal(size=3), jnp.float32),
    "b": {"c": jnp.asarray(RNG.normal(size=(2, 3)), jnp.float32)},
}
GRADIENTS = [jax.tree.map(lambda p: jnp.asarray(RNG.normal(size=p.shape), jnp.float32), PARAMS) for _ in range(4)]


@jax.jit
def updates_of(tx):
    """The updates of a few steps on the same parameters, compiled."""
    state, found = tx.init(PARAMS), []
    for gradient in GRADIENTS:
        update, state = tx.update(gradient, state, PARAMS)
        found.append(update)
    return found


def assert_equal(found, expected):
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(one, other)


def name_of(tx):
    return tx.call.name


def state_of(tx):
    return jax.eval_shape(tx.init, PARAMS)


# Chains ---------------------------------------------------------------------------------------------------------------

A, B, C = clip_by_global_norm(0.5), scale_by_ewma(0.9), scale_by_rms(0.99)


@pytest.mark.parametrize(
    ("nested", "flat"),
    [
        (chain(A, chain(B, C)), chain(A, B, C)),
        (chain(chain(A, B), C), chain(A, B, C)),
        (chain(chain(chain(A)), chain(), chain(B, chain(C))), chain(A, B, C)),
        (chain(B, chain(B, C)), chain(B, B, C)),
        (chain(A, chain(first=B, second=C)), chain(A, first=B, second=C)),
    ],
    ids=["right", "left", "deep", "twice the same link", "names"],
)
def test_a_chain_in_a_chain_is_one_chain(nested, flat):
    assert nested == flat
    assert hash(nested) == hash(flat)
    assert state_of(nested) == state_of(flat)
    assert_equal(updates_of(nested), updates_of(flat))


@pytest.mark.parametrize("tx", [clip(0.5), trace(0.9), adam(0.1), masked(sgd(0.1, 0.9), "w")], ids=name_of)
@pytest.mark.parametrize("place", [lambda tx: chain(identity(), tx), lambda tx: chain(tx, identity()), chain])
def test_identity_changes_nothing(place, tx):
    assert_equal(updates_of(place(tx)), updates_of(tx))


def test_identity_adds_nothing_to_the_state():
    assert state_of(chain(identity(), adam(0.1))) == state_of(chain(adam(0.1)))


def test_a_link_without_state_moves_no_state():
    assert state_of(chain(clip(1.0), scale(2.0), adam(0.1), clip(1.0))) == state_of(chain(adam(0.1)))


def test_scales_multiply():
    assert_equal(updates_of(chain(scale(0.25), scale(-2.0))), updates_of(scale(-0.5)))


def steps_of(tx, gradients):
    state, found = tx.init(jnp.zeros(3)), []
    for gradient in gradients:
        update, state = tx.update(jnp.asarray(gradient), state)
        found.append(np.asarray(update))
    return np.array(found)


def test_order_is_the_algorithm_second_moment_first_is_laprop():
    b1, b2, eps = 0.9, 0.99, 1e-8
    gradients = [np.asarray(gradient["w"], np.float64) for gradient in GRADIENTS]
    m, nu, laprop = np.zeros(3), np.zeros(3), []
    for t, g in enumerate(gradients, 1):
        nu = b2 * nu + (1 - b2) * g**2
        m = b1 * m + (1 - b1) * g / (np.sqrt(nu / (1 - b2**t)) + eps)
        laprop.append(m / (1 - b1**t))
    divide, average = scale_by_rms(b2, eps), (scale_by_ewma(b1), bias_correction(b1))
    with jax.enable_x64(True):
        divided_first, averaged_first = (
            steps_of(chain(*links), gradients) for links in ([divide, *average], [*average, divide])
        )
    np.testing.assert_allclose(divided_first, laprop, rtol=1e-13)
    assert np.min(np.abs(averaged_first[1:] / laprop[1:] - 1)) > 1e-3


# Scopes ---------------------------------------------------------------------------------------------------------------

LINKS = (scale_by_ewma(0.9), bias_correction(0.9), scale_by_rms(0.999, 1e-8), scale_by_learning_rate(0.1))


def test_adam_is_the_chain_of_its_links():
    assert_equal(updates_of(chain(*LINKS)), updates_of(adam(0.1)))
    assert state_of(chain(*LINKS)) == state_of(adam(0.1))


def test_adamw_is_adam_whose_update_decays_before_the_rate():
    decayed = chain(*LINKS[:-1], add_decayed_weights(0.25), LINKS[-1])
    assert_equal(updates_of(decayed), updates_of(adamw(0.1, weight_decay=0.25)))


@pytest.mark.parametrize("condition", [clip_by_global_norm(0.5), clip(0.25), scale(8.0), add_decayed_weights(0.5)])
def test_a_recipe_sees_the_conditioned_gradient_as_its_links_do(condition):
    assert_equal(updates_of(chain(condition, adam(0.1))), updates_of(chain(condition, *LINKS)))


def test_a_clip_before_adam_clips_what_both_moments_see():
    clipped = [jax.tree.map(lambda g: jnp.clip(g, -0.25, 0.25), gradient) for gradient in GRADIENTS]
    tx, expected = adam(0.1), []
    state = tx.init(PARAMS)
    for gradient in clipped:
        update, state = jax.jit(tx.update)(gradient, state, PARAMS)
        expected.append(update)
    found = updates_of(chain(clip(0.25), adam(0.1)))
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


def test_a_named_link_opens_a_scope_whose_gradient_is_what_enters_it():
    average, divide = scale_by_ewma(0.5), scale_by_rms(0.9)
    of_the_average = updates_of(chain(average, divide=divide))
    state, gradient_of_scope, expected = average.init(PARAMS), divide.init(PARAMS), []
    for gradient in GRADIENTS:
        u, state = average.update(gradient, state)
        u, gradient_of_scope = divide.update(u, gradient_of_scope)
        expected.append(u)
    for one, other in zip(jax.tree.leaves(of_the_average), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)
    apart = np.abs(np.asarray(of_the_average[1]["w"]) / np.asarray(updates_of(chain(average, divide))[1]["w"]) - 1)
    assert np.min(apart) > 1e-3


def test_the_docstring_of_chain_says_that_a_named_link_opens_a_scope():
    assert "a link that is given a name, opens a scope of its own" in " ".join(inspect.getdoc(chain).split())


# Groups ---------------------------------------------------------------------------------------------------------------

WHOLE = [
    clip_by_global_norm(0.5),
    adam(0.1),
    adamw(0.1, mask="w"),
    rmsprop(0.1, momentum=0.9),
    chain(clip(0.5), adam(0.1)),
]


@pytest.mark.parametrize("tx", WHOLE, ids=name_of)
@pytest.mark.parametrize("mask", ["*", True, {"w": True, "*": True}, {"w": True, "b": {"c": True}}], ids=str)
def test_a_mask_of_everything_masks_nothing(mask, tx):
    assert_equal(updates_of(masked(tx, mask)), updates_of(tx))
    assert state_of(masked(tx, mask)) == state_of(tx)


@pytest.mark.parametrize("tx", WHOLE, ids=name_of)
def test_a_mask_of_nothing_leaves_the_gradient(tx):
    assert_equal(updates_of(masked(tx, False)), GRADIENTS)


@pytest.mark.parametrize("tx", WHOLE, ids=name_of)
def test_one_group_is_its_transformation(tx):
    assert_equal(updates_of(partition({"all": tx}, {"*": "all"})), updates_of(tx))


def test_groups_are_their_transformations_on_their_own_leaves():
    found = updates_of(partition({"fast": adam(0.1), "slow": sgd(0.01, 0.9)}, {"w": "fast", "*": "slow"}))
    expected = [
        {"w": a["w"], "b": s["b"]} for a, s in zip(updates_of(adam(0.1)), updates_of(sgd(0.01, 0.9)), strict=True)
    ]
    for one, other in zip(*map(jax.tree.leaves, (found, expected)), strict=True):  # two programs: to one rounding
        np.testing.assert_allclose(one, other, rtol=2e-7, atol=0)


# Numbers --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0.1, 0.001, 3.0])
def test_a_constant_schedule_is_the_number(value):
    assert_equal(updates_of(sgd(constant_schedule(value))), updates_of(sgd(value)))


def test_a_constant_schedule_is_the_number_to_rounding_for_every_number_of_adam():
    scheduled = adam(
        *(constant_schedule(value) for value in (0.1, 0.875, 0.9375, 1e-8, 0.0))
    )  # decays that float32 has
    for one, other in zip(
        *map(jax.tree.leaves, (updates_of(scheduled), updates_of(adam(0.1, 0.875, 0.9375)))), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=4e-7)


def test_a_stack_of_transformations_comes_apart_into_them():
    singles = [adam(0.1, b1=0.5), adam(0.01, b1=0.9), adam(0.001, b1=0.99)]
    population = sweep.stack(singles)
    for n, single in enumerate(singles):
        lane = population.lane(n)
        assert jax.tree.structure(lane) == jax.tree.structure(single)
        for found, expected in zip(jax.tree.leaves(lane), jax.tree.leaves(single), strict=True):
            assert found == np.float32(expected)
        assert_equal(updates_of(lane), updates_of(single))


def test_a_stack_under_vmap_is_its_lanes():
    singles = [adam(0.1, b1=0.5), adam(0.01, b1=0.9), adam(0.001, b1=0.99)]
    batched = jax.vmap(updates_of)(sweep.stack(singles).tx)
    for n, single in enumerate(singles):
        alone = updates_of(single)
        for found, expected in zip(jax.tree.leaves(batched), jax.tree.leaves(alone), strict=True):
            np.testing.assert_allclose(found[n], expected, rtol=1e-6)


def test_a_stack_without_vmap_says_so():
    population = sweep.stack([sgd(0.1), sgd(0.2)])
    with pytest.raises(TransformationError, match=r"sgd: .*learning_rate: .*shape \(2,\).*jax.vmap"):
        population.tx.update(PARAMS, {}, PARAMS)


def test_a_keyword_that_no_link_wants_passes_through():
    found, _ = sgd(0.5).update(PARAMS, {}, PARAMS, value=1.0, seed=3)
    assert_equal(found, jax.tree.map(lambda p: -0.5 * p, PARAMS))


def test_the_step_given_replaces_the_count_of_every_link():
    tx = chain(scale(gradtx.linear_schedule(0.0, 1.0, 4)), scale(gradtx.linear_schedule(1.0, 0.0, 4)))
    found, state = tx.update(PARAMS, tx.init(PARAMS), PARAMS, step=1)
    assert_equal(found, jax.tree.map(lambda p: p * 0.25 * 0.75, PARAMS))
    assert state == {"count": 2}


def test_a_clip_loses_nothing_of_half_precision_before_the_links_that_follow():
    gradient = {"large": jnp.full(3, 2e4, jnp.float16), "small": jnp.full(3, 1e-4, jnp.float16)}
    tx = chain(clip_by_global_norm(1.0), scale(1e4))
    found, _ = tx.update(gradient, {}, gradient)
    factor = 1e4 / np.linalg.norm([np.float64(x) for leaf in gradient.values() for x in leaf])
    np.testing.assert_array_equal(found["small"], np.float16(np.float64(gradient["small"]) * factor))


def follower():
    return gradtx.chain(gradtx.scale_by_ewma(0.9), gradtx.scale_by_rms(0.9))


@pytest.mark.parametrize(
    "wrapped",
    [
        gradtx.masked(gradtx.clip(1.0), "*"),
        gradtx.partition({"a": gradtx.clip(1.0)}, {"*": "a"}),
        gradtx.fork(lambda a: a, gradtx.clip(1.0)),
        gradtx.fork(lambda a: a, gradtx.chain(gradtx.clip_by_global_norm(1e9), gradtx.clip(1.0))),
        gradtx.chain(clip=gradtx.clip(1.0)),
    ],
    ids=["masked", "partition", "fork", "fork of trees", "under a name"],
)
def test_a_wrapper_of_everything_is_what_it_wraps_for_the_links_behind_it_too(wrapped):
    gradients = {"w": jnp.array([3.0, -2.0]), "b": jnp.array([0.5])}
    expected, found = gradtx.chain(gradtx.clip(1.0), follower()), gradtx.chain(wrapped, follower())
    states = [expected.init(gradients), found.init(gradients)]
    for _ in range(3):
        right, states[0] = expected.update(gradients, states[0])
        ours, states[1] = found.update(gradients, states[1])
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), right, ours)


def test_masked_restricts_both_signals_of_a_chain_within():
    gradients = {"w": jnp.array([3.0, -2.0])}
    flat = gradtx.chain(gradtx.clip(1.0), gradtx.scale_by_ewma(0.9), gradtx.scale_by_rms(0.9))
    inside = gradtx.chain(
        gradtx.masked(gradtx.chain(gradtx.clip(1.0), gradtx.scale_by_ewma(0.9)), "*"), gradtx.scale_by_rms(0.9)
    )
    right, ours = flat.update(gradients, flat.init(gradients))[0], inside.update(gradients, inside.init(gradients))[0]
    np.testing.assert_allclose(right["w"], ours["w"], rtol=1e-6)


def test_a_fork_freezes_only_what_all_its_branches_freeze():
    gradients = {"w": jnp.array([3.0]), "b": jnp.array([2.0])}
    tx = gradtx.fork(lambda a, b: a + b, gradtx.sgd(1.0), gradtx.masked(gradtx.set_to_zero(), "b"))
    updates, _ = tx.update(gradients, tx.init(gradients))
    assert {name: u.tolist() for name, u in updates.items()} == {"w": [0.0], "b": [-2.0]}


def test_a_conditioned_gradient_is_seen_by_links_behind_a_rule_over_whole_trees():
    gradients = {"w": jnp.array([3.0, -2.0])}
    first, last = [gradtx.clip(1.0), gradtx.scale_by_ewma(0.9)], gradtx.scale_by_rms(0.9)
    flat = gradtx.chain(*first, last)
    parted = gradtx.chain(*first, gradtx.clip_by_global_norm(1e9), last)
    right, ours = flat.update(gradients, flat.init(gradients))[0], parted.update(gradients, parted.init(gradients))[0]
    np.testing.assert_allclose(right["w"], ours["w"], rtol=1e-6)
