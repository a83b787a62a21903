"""Measurements: they are right, cost nothing unless they are asked for, and change no update."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx as gx

PARAMS = {"w": jnp.array([[0.5, -1.0], [2.0, 0.25]]), "b": jnp.array([0.0, 1.0])}
GRADIENT = {"w": jnp.array([[3.0, 0.1], [-0.2, 0.0]]), "b": jnp.array([4.0, 0.5])}
NORM = float(np.sqrt(9 + 0.01 + 0.04 + 16 + 0.25))


def stepped(tx, gradients=(GRADIENT,), **extra):
    state, params = tx.init(PARAMS), PARAMS
    for gradient in gradients:
        updates, state = tx.update(gradient, state, params, **extra)
        params = gx.apply_updates(params, updates)
    return params, state


def test_each_link_is_found_under_its_dotted_name():
    tx = gx.measured(gx.chain(gx.clip(0.3), first=gx.clip_by_global_norm(1.0), last=gx.adam(0.1)))
    found = gx.measurements(stepped(tx)[1])
    assert set(found) == {"clip.rate", "first.norm", "first.rate"}
    assert jax.tree.map(float, found["clip.rate"]) == {"w": 0.25, "b": 1.0}
    norm = np.sqrt(0.3**2 + 0.1**2 + 0.2**2 + 2 * 0.3**2)
    np.testing.assert_allclose(found["first.norm"], norm, rtol=1e-6)
    assert float(found["first.rate"]) == 0.0


def test_names_are_those_of_hyperparameters():
    tx = gx.chain(gx.clip_by_global_norm(1.0), gx.lookahead(gx.chain(gx.clip(0.3), gx.sgd(0.1)), 2))
    found = {name.rpartition(".")[0] for name in gx.measurements(stepped(gx.measured(tx))[1])}
    assert found == {"clip_by_global_norm", "lookahead.inner.clip"}
    assert found <= {name.rpartition(".")[0] for name in gx.hyperparameters(tx)}


@pytest.mark.parametrize(
    "inside", [gx.adam(0.1), gx.chain(gx.add_noise(0.1, 0.5, 7), gx.sgd(0.1)), gx.add_noise(0.1, 0)]
)
def test_measuring_changes_no_update(inside):
    alone, measured = stepped(inside, [GRADIENT] * 3)[0], stepped(gx.measured(inside), [GRADIENT] * 3)[0]
    assert jax.tree.all(jax.tree.map(np.array_equal, alone, measured))


def test_what_is_not_asked_for_is_not_computed():
    def norms(tx):
        text = str(jax.make_jaxpr(tx.update)(GRADIENT, tx.init(PARAMS), PARAMS))
        return text.count(" sqrt")

    tx = gx.clip_by_global_norm(1.0)
    assert norms(tx) == 1
    assert norms(gx.measured(tx, only="*.rate")) < norms(gx.measured(tx))


def test_inside_an_accumulation_they_are_those_of_the_last_step():
    tx = gx.measured(gx.accumulate(gx.chain(gx.clip_by_global_norm(1.0), gx.sgd(0.1)), 2))
    name = "accumulate.inner.clip_by_global_norm.norm"
    half = jax.tree.map(lambda g: g / 2, GRADIENT)
    seen = [float(gx.measurements(stepped(tx, gradients)[1])[name]) for gradients in ([], [half], [half, GRADIENT])]
    np.testing.assert_allclose(seen, [0.0, 0.0, 0.75 * NORM], rtol=1e-6)
    gradients = jax.tree.map(lambda g: jnp.stack([g] * 5), GRADIENT)

    def step(state, gradient):
        return tx.update(gradient, state, PARAMS)[1], gx.measurements(tx.update(gradient, state, PARAMS)[1])[name]

    _, scanned = jax.lax.scan(step, tx.init(PARAMS), gradients)
    np.testing.assert_allclose(scanned, [0.0, NORM, NORM, NORM, NORM], rtol=1e-6)


def test_in_groups_each_measures_its_own_leaves():
    tx = gx.measured(gx.partition({"a": gx.clip_by_global_norm(1.0), "b": gx.clip(1.0)}, {"w": "a", "b": "b"}))
    found = gx.measurements(stepped(tx)[1])
    np.testing.assert_allclose(found["partition.a.norm"], np.sqrt(9.05), rtol=1e-6)
    assert found["partition.b.rate"]["w"] is None
    assert float(found["partition.b.rate"]["b"]) == 0.5


def test_some_may_be_chosen_by_pattern():
    inside = gx.chain(gx.clip(0.3), gx.clip_by_global_norm(1.0))
    assert set(gx.measurements(stepped(gx.measured(inside, only="*norm.*"))[1])) == {
        "clip_by_global_norm.norm",
        "clip_by_global_norm.rate",
    }
    assert set(gx.measurements(stepped(gx.measured(inside, only=("clip.rate", "*.norm")))[1])) == {
        "clip.rate",
        "clip_by_global_norm.norm",
    }


@gx.transformation
def doubled(inner: gx.Link):
    """A wrapper that measures, of its state too."""

    def update(step, updates, state):
        new, after = step(updates)
        return jax.tree.map(lambda u: 2 * u, new), {"inner": after, "n": state["n"] + 1}

    measure = {"n": lambda before, after, *, n: n, "norm": lambda before, after: gx.tree.norm(after)}
    return gx.around(inner, update, init=lambda params: {"n": jnp.zeros([], jnp.int32)}, measure=measure)


@gx.transformation
def remembered():
    """A formula that measures, of its state too."""

    def formula(u, last):
        return u, u

    return gx.per_leaf(formula, last=gx.zeros, measure={"last": lambda before, after, *, last: jnp.max(last)})


def test_a_measurement_may_ask_for_fields_of_the_state():
    tx = gx.measured(doubled(remembered()))
    found = gx.measurements(stepped(tx, [GRADIENT] * 3)[1])
    assert float(found["doubled.n"]) == 3.0
    np.testing.assert_allclose(found["doubled.norm"], 2 * NORM, rtol=1e-6)
    assert jax.tree.map(float, found["doubled.inner.last"]) == {"w": 3.0, "b": 4.0}
    gx.testing.check(tx)


def test_errors_say_what_there_is():
    with pytest.raises(gx.TransformationError, match=r"only: nothing is called 'norm'; there are clip.rate"):
        gx.measured(gx.chain(gx.clip(1.0)), only="norm").init(PARAMS)
    with pytest.raises(gx.TransformationError, match="no link in it measures anything"):
        gx.measured(gx.adam(0.1), only="norm").init(PARAMS)
    with pytest.raises(gx.TransformationError, match=r"write measured\(...\) around"):
        gx.measurements(gx.adam(0.1).init(PARAMS))

    @gx.transformation
    def wrong():
        return gx.per_leaf(lambda u: u, measure={"all": lambda before, after: after})

    with pytest.raises(gx.TransformationError, match=r"all: expected a measurement to be one number, found \(2,\)"):
        stepped(gx.measured(wrong()))
