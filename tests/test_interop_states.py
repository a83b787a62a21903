"""States of PyTorch's and Keras' optimizers: ours go on from there to where theirs arrived, and back."""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx as gx
from gradtx import interop

FOLDER = pathlib.Path(__file__).parent / "oracles"
TORCH = json.loads((FOLDER / "torch_states.json").read_text())
KERAS = json.loads((FOLDER / "keras_states.json").read_text())


def title(case):
    given = ", ".join(f"{name}={value}" for name, value in case["given"].items())
    return f"{case['optimizer']}({given})"


def after_decay(tx):
    """PyTorch's weight decay: added to the gradient before anything else sees it."""
    return gx.chain(gx.add_decayed_weights(0.1), tx)


OURS = {
    "SGD(lr=0.1)": gx.sgd(0.1),
    "SGD(lr=0.1, momentum=0.9)": gx.sgd(0.1, 0.9),
    "SGD(lr=0.1, momentum=0.9, nesterov=True)": gx.sgd(0.1, 0.9, nesterov=True),
    "SGD(lr=0.1, momentum=0.9, weight_decay=0.01)": gx.chain(gx.add_decayed_weights(0.01), gx.sgd(0.1, 0.9)),
    "Adam(lr=0.1, betas=[0.8, 0.95])": gx.adam(0.1, 0.8, 0.95),
    "Adam(lr=0.1, weight_decay=0.1)": after_decay(gx.adam(0.1)),
    "Adam(lr=0.1, amsgrad=True)": gx.amsgrad(0.1, maximum="raw"),
    "AdamW(lr=0.1, weight_decay=0.1)": gx.adamw(0.1, weight_decay=0.1),
    "Adamax(lr=0.1)": gx.adamax(0.1),
    "NAdam(lr=0.1)": gx.nadam(0.1, momentum_decay=0.004),
    "RMSprop(lr=0.01)": gx.rmsprop(0.01, 0.99, eps_in_sqrt=False),
    "RMSprop(lr=0.01, centered=True)": gx.rmsprop(0.01, 0.99, eps_in_sqrt=False, centered=True),
    "RMSprop(lr=0.01, momentum=0.9)": gx.rmsprop(0.01, 0.99, momentum=0.9, eps_in_sqrt=False),
    "RMSprop(lr=0.01, alpha=0.9, centered=True, momentum=0.5)": gx.rmsprop(
        0.01, 0.9, momentum=0.5, eps_in_sqrt=False, centered=True
    ),
    "Adagrad(lr=0.1)": gx.adagrad(0.1, 0.0, 1e-10, eps_in_sqrt=False),
    "Adagrad(lr=0.1, initial_accumulator_value=0.1, lr_decay=0.05)": gx.adagrad(
        gx.inverse_time_decay(0.1, 1, 0.05), 0.1, 1e-10, eps_in_sqrt=False
    ),
    "Adadelta(lr=1.0)": gx.adadelta(),
    "Rprop(lr=0.1)": gx.rprop(0.1),
    "ASGD(lr=0.1, lambd=0.5, t0=3.0)": gx.asgd(0.1, 0.5, t0=3.0),
}
if hasattr(gx, "radam"):
    OURS["RAdam(lr=0.1, betas=[0.9, 0.99], eps=0.0)"] = gx.radam(0.1, 0.9, 0.99, eps=0.0)


def uncorrected(eps, b2=0.999):
    """The stabilizer of Keras' Adam, which it adds to the root of the uncorrected average."""
    return lambda step: eps / jnp.sqrt(1 - b2 ** (step.astype(float) + 1))


KERAS_OURS = {
    "SGD(learning_rate=0.1)": gx.sgd(0.1),
    "SGD(learning_rate=0.1, momentum=0.9)": gx.sgd(0.1, 0.9),
    "SGD(learning_rate=0.1, momentum=0.9, nesterov=True)": gx.sgd(0.1, 0.9, nesterov=True),
    "Adam(learning_rate=0.1)": gx.adam(0.1, eps=uncorrected(1e-7)),
    "Adam(learning_rate=0.1, amsgrad=True)": gx.amsgrad(0.1, eps=uncorrected(1e-7), maximum="raw"),
    "AdamW(learning_rate=0.1, weight_decay=0.1)": gx.adamw(0.1, eps=uncorrected(1e-7), weight_decay=0.1),
    "Adamax(learning_rate=0.1, epsilon=0.0)": gx.adamax(0.1, eps=0.0),
    "Nadam(learning_rate=0.1)": gx.nadam(0.1, eps=1e-7, momentum_decay=1.0),
    "RMSprop(learning_rate=0.01)": gx.rmsprop(0.01, 0.9, 1e-7),
    "RMSprop(learning_rate=0.01, centered=True)": gx.rmsprop(0.01, 0.9, 1e-7, centered=True),
    "RMSprop(learning_rate=0.01, momentum=0.9)": gx.rmsprop(0.01, 0.9, 1e-7, momentum=0.9),
    "RMSprop(learning_rate=0.01, rho=0.8, centered=True, momentum=0.5)": gx.rmsprop(
        0.01, 0.8, 1e-7, momentum=0.5, centered=True
    ),
    "RMSprop(learning_rate=InverseTimeDecay(0.1, 10, 0.5))": gx.rmsprop(gx.inverse_time_decay(0.1, 10, 0.5), 0.9, 1e-7),
    "Adagrad(learning_rate=0.1)": gx.adagrad(0.1, 0.1, 1e-7),
    "Adadelta(learning_rate=1.0, rho=0.9)": gx.adadelta(eps=1e-7),
    "Lion(learning_rate=0.1, weight_decay=0.1)": gx.lion(0.1, weight_decay=0.1),
}
SAVED = [case for case in TORCH["cases"] if title(case) in OURS]
NAMES = {"weight": "w", "bias": "b"}
KERAS_NAMES = {"kernel": "w", "bias": "b"}


def arrays(tree):
    return {name: jnp.asarray(x, float) for name, x in tree.items()}


def state_dict_of(case):
    """What PyTorch's state_dict() was: positions are numbers, and every entry an array."""
    entries = {int(n): {k: np.asarray(x) for k, x in entry.items()} for n, entry in case["state_dict"]["state"].items()}
    return {"state": entries, "param_groups": case["state_dict"]["param_groups"]}


def go_on(tx, params, state, oracle, renamed):
    """Where ``tx`` arrives from the middle of the recorded run."""
    for gradient in oracle["gradients"][oracle["middle"] :]:
        gradient = arrays({renamed[name]: g for name, g in gradient.items()})
        updates, state = tx.update(gradient, state, params)
        params = gx.apply_updates(params, updates)
    return params


# PyTorch --------------------------------------------------------------------------------------------------------------

TORCH_NAMES = {"w": "w", "b": "b"}  # their order is not that of the leaves: b, w


def test_every_recorded_optimizer_has_one_of_ours():
    recorded = {title(case) for case in TORCH["cases"]}
    assert recorded - {"RAdam(lr=0.1, betas=[0.9, 0.99], eps=0.0)"} <= set(OURS) <= recorded
    assert {title(case) for case in KERAS["cases"]} == set(KERAS_OURS)


@pytest.mark.parametrize("case", SAVED, ids=title)
def test_goes_on_where_pytorch_stopped(case):
    tx = OURS[title(case)]
    with jax.enable_x64(True):
        params = arrays(case["middle"])
        step = TORCH["middle"] if case["optimizer"] == "SGD" else None
        state = interop.from_torch_state(tx, params, state_dict_of(case), names=TORCH_NAMES, step=step)
        assert jax.tree.structure(state) == jax.tree.structure(tx.init(params))
        found = go_on(tx, params, state, TORCH, TORCH_NAMES)
    for name, value in case["end"].items():
        np.testing.assert_allclose(found[name], value, rtol=0, atol=1e-10)


@pytest.mark.parametrize("case", SAVED, ids=title)
def test_gives_pytorch_its_state_back(case):
    tx, saved = OURS[title(case)], state_dict_of(case)
    with jax.enable_x64(True):
        params = arrays(case["middle"])
        state = interop.from_torch_state(tx, params, saved, names=TORCH_NAMES, step=TORCH["middle"])
        back = interop.to_torch_state(tx, params, state, names=TORCH_NAMES, step=TORCH["middle"])
    assert list(back) == ["state"]
    assert jax.tree.structure(back["state"]) == jax.tree.structure(saved["state"])
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-14), back["state"], saved["state"])


# Keras ----------------------------------------------------------------------------------------------------------------


class Variable:
    """What a variable of Keras is to us: an array that knows its path."""

    def __init__(self, path, value):
        self.path, self.value = path, value

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.value, dtype)


def variables_of(case):
    return [Variable(path, x) for path, x in zip(case["paths"], case["variables"].values(), strict=True)]


@pytest.mark.parametrize("case", KERAS["cases"], ids=title)
def test_goes_on_where_keras_stopped(case):
    tx = KERAS_OURS[title(case)]
    with jax.enable_x64(True):
        params = arrays({KERAS_NAMES[name]: x for name, x in case["middle"].items()})
        state = interop.from_keras_state(tx, params, case["variables"], names=KERAS_NAMES)
        assert jax.tree.structure(state) == jax.tree.structure(tx.init(params))
        found = go_on(tx, params, state, KERAS, KERAS_NAMES)
    for name, value in case["end"].items():
        np.testing.assert_allclose(found[KERAS_NAMES[name]], value, rtol=0, atol=1e-10)


@pytest.mark.parametrize("case", KERAS["cases"], ids=title)
def test_gives_keras_its_variables_back(case):
    tx = KERAS_OURS[title(case)]
    with jax.enable_x64(True):
        params = arrays({KERAS_NAMES[name]: x for name, x in case["middle"].items()})
        state = interop.from_keras_state(tx, params, case["variables"], names=KERAS_NAMES)
        back = interop.to_keras_state(tx, params, state, names=KERAS_NAMES, step=KERAS["middle"])
        by_path = interop.from_keras_state(
            tx, params, variables_of(case), names={"bias": "b", "kernel": "w"}
        )  # variables that know their paths come in any order
    assert list(back) == list(case["variables"])
    for n, value in case["variables"].items():
        np.testing.assert_allclose(back[n], value, rtol=1e-14)
    jax.tree.map(np.testing.assert_array_equal, by_path, state)
