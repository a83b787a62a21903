"""gradtx beside Optax: the same numbers, the one inside the other, and real Flax training with either.

Two tolerances. In float64 both libraries round to 1e-16, so 100 steps of the same formula agree to 1e-12 of the largest
parameter: that tells one formula from another. In float32 Adam is held to 1e-5 · learning_rate a step, which is what
Optax itself is off (it forms 1 − 0.999 in float32), so a closer bound would ask us to repeat its rounding.
"""

from contextlib import contextmanager

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from flax.training.train_state import TrainState

import gradtx
from tests.table import ROWS

STEPS = 100
RATE = 1e-2
MASK = {"w": True, "b": False}


@contextmanager
def double_precision():
    """Float64, and NumPy's promotion, which Optax needs."""
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        yield


def problem(dtype=np.float32, steps=STEPS):
    """Parameters, and independent noise for gradients, with some zeros among them."""
    rng = np.random.default_rng(0)
    params = {"w": rng.normal(size=(4, 3)), "b": rng.normal(size=3)}
    gradients = {"w": rng.normal(size=(steps, 4, 3)), "b": rng.normal(size=(steps, 3)) * 10}
    gradients["w"][:, 0, 0] = 0
    cast = lambda tree: jax.tree.map(lambda x: jnp.asarray(x, dtype), tree)  # noqa: E731
    return cast(params), cast(gradients)


def train(tx, params, gradients, **extra):
    """All parameters along the way, and the last state."""

    def step(carry, gradient):
        params, state = carry
        updates, state = tx.update(gradient, state, params, **extra)
        params = jax.tree.map(lambda p, u: p + u.astype(p.dtype), params, updates)
        return (params, state), params

    with jax.numpy_dtype_promotion("standard"):
        run = jax.jit(lambda p, g: jax.lax.scan(step, (p, tx.init(p)), g))
        (_, state), trajectory = run(params, gradients)
    return jax.tree.map(np.asarray, trajectory), state


def farthest(a, b):
    return max(np.abs(x - y).max() for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


# The same formulas ----------------------------------------------------------------------------------------------------

PEERS = [pytest.param(row, id=row.name) for row in ROWS if row.peer is not None]


@pytest.mark.parametrize("row", PEERS)
def test_a_row_is_the_formula_of_optax(row):
    with double_precision():
        params, gradients = problem(np.float64)
        theirs, _ = train(row.peer, params, gradients, **row.extra)
        ours, _ = train(row.tx, params, gradients, **row.extra)
    assert ours["w"].dtype == np.float64
    assert farthest(ours, theirs) <= 1e-12 * max(1, np.abs(theirs["b"]).max())
    assert np.abs(theirs["b"][-1] - np.asarray(params["b"])).max() > 1e-2  # it has moved


@pytest.mark.parametrize("arguments", [{}, {"smooth_beta": 0.3}], ids=["by default", "with a factor"])
@pytest.mark.parametrize("mode", ["hard", "smooth", "refined"])
def test_lion_has_the_signs_of_optax(mode, arguments):
    with double_precision():
        params, gradients = problem(np.float64)
        theirs, _ = train(optax.scale_by_lion(0.8, 0.9, mode=mode, **arguments), params, gradients)
        ours, _ = train(gradtx.scale_by_lion(0.8, 0.9, mode=mode, **arguments), params, gradients)
    assert farthest(ours, theirs) <= 1e-12 * max(1, np.abs(theirs["b"]).max())
    steps = np.abs(np.diff(ours["b"], axis=0))
    assert (steps.min() < 0.9) == (mode != "hard")  # else each is a whole one


@pytest.mark.parametrize("name", ["sgd", "adagrad", "rmsprop", "adam", "adamw", "nadam", "amsgrad", "adamax", "lion"])
def test_defaults_and_names_are_those_of_optax(name):
    import inspect

    theirs = inspect.signature(getattr(optax, name)).parameters
    ours = inspect.signature(getattr(gradtx, name)).parameters
    shared = [n for n in ours if n in theirs]
    assert shared[0] == "learning_rate"
    assert {n: ours[n].default for n in shared} == {n: theirs[n].default for n in shared}
    assert set(theirs) - set(ours) <= {"nesterov"}  # adam(nesterov=True) is nadam: a recipe, not a flag
    before_star = [n for n in shared if ours[n].kind == ours[n].POSITIONAL_OR_KEYWORD]
    assert before_star == [n for n in theirs if n in before_star]


# Adam, alone and in company -------------------------------------------------------------------------------------------

ADAM_LINKS = (
    gradtx.scale_by_ewma(0.9),
    gradtx.bias_correction(0.9),
    gradtx.scale_by_rms(0.999, 1e-8),
    gradtx.scale_by_learning_rate(RATE),
)
CLIPPED = optax.chain(optax.clip_by_global_norm(2.0), optax.adam(RATE))
CLIP = gradtx.clip_by_global_norm(2.0)
IN_COMPANY = {
    "alone": (gradtx.adam(RATE), optax.adam(RATE)),
    "flat": (gradtx.chain(*ADAM_LINKS), optax.adam(RATE)),
    "alone, in a chain of one": (gradtx.chain(gradtx.adam(RATE)), optax.adam(RATE)),
    "under a name": (gradtx.chain(main=gradtx.adam(RATE)), optax.adam(RATE)),
    "nested twice": (gradtx.chain(gradtx.chain(gradtx.chain(*ADAM_LINKS))), optax.adam(RATE)),
    "nested under a name": (gradtx.chain(inner=gradtx.chain(*ADAM_LINKS)), optax.adam(RATE)),
    "after a clip": (gradtx.chain(CLIP, gradtx.adam(RATE)), CLIPPED),
    "after a clip, flat": (gradtx.chain(CLIP, *ADAM_LINKS), CLIPPED),
    "after a clip, both under names": (gradtx.chain(clip=CLIP, adam=gradtx.adam(RATE)), CLIPPED),
    "after a nested clip": (gradtx.chain(gradtx.chain(CLIP), gradtx.chain(*ADAM_LINKS)), CLIPPED),
    "after a clip by value": (
        gradtx.chain(gradtx.clip(0.5), gradtx.adam(RATE)),
        optax.chain(optax.clip(0.5), optax.adam(RATE)),
    ),
    "before a scale": (
        gradtx.chain(gradtx.adam(RATE), gradtx.scale(0.5)),
        optax.chain(optax.adam(RATE), optax.scale(0.5)),
    ),
    "in optax.chain": (optax.chain(gradtx.adam(RATE)), optax.adam(RATE)),
    "in optax.chain after optax's clip": (optax.chain(optax.clip_by_global_norm(2.0), gradtx.adam(RATE)), CLIPPED),
    "in optax.chain after our clip": (optax.chain(CLIP, gradtx.adam(RATE)), CLIPPED),
    "in optax.partition": (
        optax.partition({"a": gradtx.adam(RATE), "b": gradtx.sgd(0.5)}, {"w": "a", "b": "b"}),
        optax.partition({"a": optax.adam(RATE), "b": optax.sgd(0.5)}, {"w": "a", "b": "b"}),
    ),
    "in optax.masked": (optax.masked(gradtx.adam(RATE), MASK), optax.masked(optax.adam(RATE), MASK)),
    "in optax.apply_if_finite": (
        optax.apply_if_finite(gradtx.adam(RATE), 3),
        optax.apply_if_finite(optax.adam(RATE), 3),
    ),
    "after optax's clip in our chain": (gradtx.chain(optax.clip_by_global_norm(2.0), gradtx.adam(RATE)), CLIPPED),
    "after optax's clip, flat in our chain": (gradtx.chain(optax.clip_by_global_norm(2.0), *ADAM_LINKS), CLIPPED),
    "of optax in our chain": (gradtx.chain(optax.adam(RATE)), optax.adam(RATE)),
    "of optax after our clip": (gradtx.chain(CLIP, optax.adam(RATE)), CLIPPED),
    "with optax's direction": (
        gradtx.chain(optax.scale_by_adam(), gradtx.scale_by_learning_rate(RATE)),
        optax.adam(RATE),
    ),
    "with optax's scale": (gradtx.chain(*ADAM_LINKS[:3], optax.scale(-RATE)), optax.adam(RATE)),
    "with a schedule": (
        gradtx.adam(gradtx.linear_schedule(RATE, 0.0, 50)),
        optax.adam(optax.linear_schedule(RATE, 0.0, 50)),
    ),
    "with a schedule of optax": (
        gradtx.adam(optax.warmup_cosine_decay_schedule(0.0, RATE, 10, 90)),
        optax.adam(optax.warmup_cosine_decay_schedule(0.0, RATE, 10, 90)),
    ),
}


@pytest.mark.parametrize("where", IN_COMPANY)
def test_adam_equals_optax(where):
    ours, theirs = IN_COMPANY[where]
    params, gradients = problem()
    a, _ = train(ours, params, gradients)
    b, _ = train(theirs, params, gradients)
    assert a["w"].dtype == np.float32
    for path in ("w", "b"):
        off = np.abs(a[path] - b[path]).reshape(STEPS, -1).max(axis=1)
        assert off[-1] <= 1e-5 * RATE * STEPS
        # on the way there, no closer than the last place of a parameter
        bound = 1e-5 * RATE * np.arange(1, STEPS + 1) + np.spacing(np.abs(b[path]).max())
        assert (off <= bound).all(), f"{path}: {(off / bound).max():.2g} of the bound"
    assert np.abs(b["w"][-1] - np.asarray(params["w"])).max() > RATE


def test_steps_that_are_not_jitted_equal_optax():
    params, gradients = problem(steps=5)
    ours, theirs = gradtx.adam(RATE), optax.adam(RATE)
    a = b = params
    state, other = ours.init(params), theirs.init(params)
    for n in range(5):
        gradient = jax.tree.map(lambda g: g[n], gradients)  # noqa: B023
        updates, state = ours.update(gradient, state, a)
        a = gradtx.apply_updates(a, updates)
        with jax.numpy_dtype_promotion("standard"):
            updates, other = theirs.update(gradient, other, b)
        b = optax.apply_updates(b, updates)
    assert farthest(a, b) <= 1e-5 * RATE * 5


# Optax's transformations in our chains --------------------------------------------------------------------------------

GUESTS = {
    "clip": lambda: optax.clip(1.0),
    "clip_by_global_norm": lambda: optax.clip_by_global_norm(1.0),
    "clip_by_block_rms": lambda: optax.clip_by_block_rms(1.0),
    "centralize": optax.centralize,
    "scale": lambda: optax.scale(0.5),
    "identity": optax.identity,
    "add_decayed_weights": lambda: optax.add_decayed_weights(0.1),
    "scale_by_adam": optax.scale_by_adam,
    "trace": lambda: optax.trace(0.9),
    "trace with nesterov": lambda: optax.trace(0.9, nesterov=True),
    "scale_by_lion": optax.scale_by_lion,
    "scale_by_schedule": lambda: optax.scale_by_schedule(lambda step: 1.0 / (step + 1)),
    "ema": lambda: optax.ema(0.9),
    "adafactor": lambda: optax.adafactor(1e-2),
    "add_noise": lambda: optax.add_noise(0.1, 0.5, 0),
    "masked": lambda: optax.masked(optax.scale_by_adam(), MASK),
    "inject_hyperparams": lambda: optax.inject_hyperparams(optax.sgd)(learning_rate=0.1, momentum=0.9),
}


@pytest.mark.parametrize("guest", GUESTS)
def test_guest_in_our_chain_is_the_guest_alone(guest):
    params, gradients = problem(steps=10)
    alone, _ = train(optax.chain(GUESTS[guest](), optax.scale(-RATE)), params, gradients)
    inside, _ = train(gradtx.chain(GUESTS[guest](), gradtx.scale(-RATE)), params, gradients)
    scale = max(np.abs(np.diff(alone[path], axis=0)).max() for path in ("w", "b"))
    assert farthest(alone, inside) <= 1e-5 * max(scale, RATE)


@pytest.mark.parametrize("guest", GUESTS)
def test_guest_keeps_structure_and_dtypes_of_its_state_in_bfloat16(guest):
    params, gradients = problem(jnp.bfloat16, steps=3)
    tx = gradtx.chain(gradtx.clip(1.0), GUESTS[guest](), gradtx.adam(RATE))
    with jax.numpy_dtype_promotion("standard"):
        state = tx.init(params)
        updates, after = jax.jit(tx.update)(jax.tree.map(lambda g: g[0], gradients), state, params)
        trajectory, last = train(tx, params, gradients)  # a scan refuses a carry that changes
    kinds = lambda tree: jax.tree.map(lambda x: (x.shape, str(x.dtype)), tree)  # noqa: E731
    assert kinds(state) == kinds(after) == kinds(last)
    assert {u.dtype for u in jax.tree.leaves(updates)} == {jnp.dtype(jnp.bfloat16)}
    assert all(np.isfinite(x.astype(np.float32)).all() for x in jax.tree.leaves(trajectory))


def test_guest_without_state_conditions_the_gradient_and_has_no_entry():
    params, _ = problem()
    assert gradtx.chain(optax.clip_by_global_norm(1.0), gradtx.sgd(0.1)).init(params) == {}
    tx = gradtx.chain(optax.clip_by_global_norm(1.0), gradtx.scale_by_ewma(0.5), gradtx.scale_by_rms(0.5, 0.0))
    gradients = {"w": jnp.full((4, 3), 100.0), "b": jnp.full(3, 100.0)}
    _, state = tx.update(gradients, tx.init(params), params)
    clipped = 1 / np.sqrt(15)  # what each of 15 equal coordinates is when their norm is 1
    np.testing.assert_allclose(state["scale_by_rms"]["nu"]["w"], 0.5 * clipped**2, rtol=1e-6)


def test_guest_with_state_has_an_entry_under_its_name_and_leaves_the_gradient_alone():
    params, _ = problem()
    tx = gradtx.chain(optax.trace(0.9), gradtx.scale_by_rms(0.5, 0.0), mine=optax.trace(0.5))
    gradients = jax.tree.map(jnp.ones_like, params)
    state = tx.init(params)
    assert set(state) == {"count", "trace", "scale_by_rms", "mine"}
    for _ in range(2):
        _, state = tx.update(gradients, state, params)
    np.testing.assert_allclose(state["trace"].trace["w"], 1.9, rtol=1e-6)
    np.testing.assert_allclose(state["scale_by_rms"]["nu"]["w"], 0.75, rtol=1e-6)  # of gradients, not of the trace


def test_extra_keywords_reach_a_guest_that_takes_them_and_no_other():
    params, gradients = problem(steps=4)
    plateau = lambda: optax.contrib.reduce_on_plateau(factor=0.5, patience=1)  # noqa: E731
    ours = gradtx.chain(optax.clip(1.0), gradtx.sgd(0.1), plateau())
    theirs = optax.chain(optax.clip(1.0), optax.sgd(0.1), plateau())
    a, _ = train(ours, params, gradients, value=jnp.asarray(1.0))
    b, _ = train(theirs, params, gradients, value=jnp.asarray(1.0))
    assert farthest(a, b) <= 1e-7
    plain, _ = train(optax.chain(optax.clip(1.0), optax.sgd(0.1)), params, gradients)
    assert farthest(b, plain) > 1e-2  # it did reduce


def test_guest_in_a_group_sees_its_own_leaves_alone():
    params, gradients = problem(steps=10)
    ours = gradtx.partition({"a": optax.adam(RATE), "b": gradtx.sgd(RATE)}, {"w": "a", "*": "b"})
    theirs = optax.partition({"a": optax.adam(RATE), "b": optax.sgd(RATE)}, {"w": "a", "b": "b"})
    assert farthest(train(ours, params, gradients)[0], train(theirs, params, gradients)[0]) <= 1e-6
    moments = [x.shape for x in jax.tree.leaves(ours.init(params)) if x.ndim]
    assert moments == [(4, 3), (4, 3)]


# Flax -----------------------------------------------------------------------------------------------------------------


def data():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(64, 5)).astype(np.float32)
    return jnp.asarray(x), jnp.asarray(np.sin(x.sum(axis=1, keepdims=True)))


@pytest.mark.parametrize(
    "tx", [gradtx.adam(1e-2), gradtx.chain(CLIP, gradtx.adamw(1e-2)), gradtx.sgd(0.1, 0.9)], ids=repr
)
def test_train_state_of_flax_trains(tx):
    x, y = data()
    model = nn.Sequential([nn.Dense(16), nn.tanh, nn.Dense(1)])
    params = model.init(jax.random.key(0), x)

    def loss(params):
        return jnp.mean((model.apply(params, x) - y) ** 2)

    @jax.jit
    def flax_step(state):
        return state.apply_gradients(grads=jax.grad(loss)(state.params))

    @jax.jit
    def step(params, state):
        updates, state = tx.update(jax.grad(loss)(params), state, params)
        return gradtx.apply_updates(params, updates), state

    held, plain, state = TrainState.create(apply_fn=model.apply, params=params, tx=tx), params, tx.init(params)
    for _ in range(60):
        held = flax_step(held)
        plain, state = step(plain, state)
    assert step._cache_size() == 1
    assert flax_step._cache_size() <= 2  # Flax starts its own count as a Python number
    assert int(held.step) == 60
    assert loss(held.params) < 0.6 * loss(params)
    assert farthest(held.params, plain) <= 1e-5
    assert jax.tree.structure(held.opt_state) == jax.tree.structure(state)


class Network(nnx.Module):
    def __init__(self, rngs):
        self.first, self.last = nnx.Linear(5, 16, rngs=rngs), nnx.Linear(16, 1, rngs=rngs)

    def __call__(self, x):
        return self.last(jnp.tanh(self.first(x)))


@pytest.mark.parametrize("jitted", [False, True], ids=["eager", "nnx.jit"])
def test_nnx_optimizer_of_flax_trains(jitted):
    x, y = data()
    model = Network(nnx.Rngs(0))
    tx = gradtx.chain(gradtx.clip_by_global_norm(5.0), gradtx.adam(1e-2))
    optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
    graph, params, rest = nnx.split(model, nnx.Param, ...)
    start = params = jax.tree.map(jnp.array, params)

    def loss(model):
        return jnp.mean((model(x) - y) ** 2)

    def of_params(params):
        return loss(nnx.merge(graph, params, rest))

    def nnx_step(model, optimizer):
        optimizer.update(model, nnx.grad(loss)(model))

    @jax.jit
    def step(params, state):
        updates, state = tx.update(jax.grad(of_params)(params), state, params)
        return gradtx.apply_updates(params, updates), state

    steps = 60 if jitted else 4
    state = tx.init(params)
    nnx_step = nnx.jit(nnx_step) if jitted else nnx_step
    for _ in range(steps):
        nnx_step(model, optimizer)
        params, state = step(params, state)
    assert loss(model) < (0.6 if jitted else 1.0) * of_params(start)
    assert farthest(nnx.state(model, nnx.Param), params) <= 1e-5


def test_nnx_optimizer_holds_the_state_of_the_transformation():
    model = Network(nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, gradtx.adam(1e-2), wrt=nnx.Param)
    x, y = data()
    optimizer.update(model, nnx.grad(lambda m: jnp.mean((m(x) - y) ** 2))(model))
    assert int(optimizer.step[...]) == 1
    counts = [leaf for path, leaf in jax.tree.leaves_with_path(nnx.state(optimizer)) if "count" in str(path)]
    assert [int(count) for count in counts] == [1]
