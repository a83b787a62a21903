"""A transformation where code asks for one of Optax."""

import pickle
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gradtx as gx
from gradtx import interop


@pytest.fixture(autouse=True)
def standard_promotion():
    """Optax needs it."""
    with jax.numpy_dtype_promotion("standard"):
        yield


P = {"w": jnp.arange(1.0, 4.0), "b": jnp.ones(2)}


def square(params):
    return sum(jnp.sum(x**2) for x in jax.tree.leaves(params))


def run(tx, steps=3, params=P):
    """The parameters after some steps with the gradient of `square`."""
    state = tx.init(params)
    for _ in range(steps):
        updates, state = tx.update(jax.grad(square)(params), state, params)
        params = optax.apply_updates(params, updates)
    return params


def same(a, b):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=2e-5), a, b)  # by so much is theirs off


def test_is_what_isinstance_asks_for():
    tx = interop.as_optax(gx.adam(0.1))
    assert isinstance(tx, optax.GradientTransformation)  # NumPyro
    assert isinstance(tx, optax.GradientTransformationExtraArgs)  # optax.chain
    same(run(tx), run(optax.adam(0.1)))
    assert pickle.loads(pickle.dumps(tx)).update.__self__ == gx.adam(0.1)


def ours():
    return interop.as_optax(gx.adam(0.1))


def theirs():
    return optax.adam(0.1)


AROUND = {
    "chain": lambda tx: optax.chain(optax.clip(1.0), tx()),
    "MultiSteps": lambda tx: optax.MultiSteps(tx(), 2),
    "partition": lambda tx: optax.partition({"a": tx(), "b": optax.sgd(0.1)}, {"w": "a", "b": "b"}),
    "masked": lambda tx: optax.chain(optax.masked(tx(), {"w": True, "b": False}), optax.scale(0.5)),
    "apply_if_finite": lambda tx: optax.apply_if_finite(tx(), 2),
    "beside ema": lambda tx: optax.chain(tx(), optax.ema(0.5)),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", AROUND)
def test_works_inside(name):
    same(run(AROUND[name](ours), 4), run(AROUND[name](theirs), 4))


def test_is_made_inside_inject_hyperparams():
    tx = optax.inject_hyperparams(lambda learning_rate: interop.as_optax(gx.adam(learning_rate)))(learning_rate=0.1)
    same(run(tx), run(optax.adam(0.1)))


def test_runs_in_scan():
    tx = ours()

    def step(carry, _):
        params, state = carry
        updates, state = tx.update(jax.grad(square)(params), state, params)
        return (optax.apply_updates(params, updates), state), None

    same(jax.lax.scan(step, (P, tx.init(P)), None, length=3)[0][0], run(theirs()))


def test_every_keyword_reaches_it_in_a_chain_of_optax():
    tx = optax.chain(optax.identity(), interop.as_optax(gx.lbfgs()))
    value, grad = jax.value_and_grad(square)(P)
    updates, _ = tx.update(grad, tx.init(P), P, value=value, grad=grad, value_fn=square)
    assert float(square(optax.apply_updates(P, updates))) < float(value)
    seen = {}

    @gx.transformation
    def looks():
        def update(updates, state, *, phase=None, loss=None):
            seen.update(phase=phase, loss=loss)
            return updates, state

        return gx.whole_tree(update)

    tx = optax.chain(optax.scale(1.0), interop.as_optax(looks()))
    tx.update(P, tx.init(P), P, phase=1.0, loss=2.0, more=3.0)
    assert None not in seen.values()


def test_importing_it_needs_no_other_library():
    code = "import sys, gradtx.interop; print([x for x in ('optax', 'torch', 'keras', 'flax') if x in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_errors_say_what_to_do(monkeypatch):
    with pytest.raises(gx.TransformationError, match="as_optax: expected a transformation of gradtx, found"):
        interop.as_optax(optax.sgd(0.1))
    monkeypatch.setitem(sys.modules, "optax", None)
    with pytest.raises(gx.TransformationError, match="as_optax: Optax is not installed: pip install optax"):
        interop.as_optax(gx.sgd(0.1))
