"""States of PyTorch's and Keras' optimizers: ours go on from there to where theirs arrived, and back."""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gradtx as gx
from gradtx import interop
from tests.extending.eight_bit import in_eight_bits

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


# What goes wrong, and what is matched with what -----------------------------------------------------------------------

P = {"b": jnp.zeros(3), "w": jnp.zeros((2, 3))}
GROUP = {"params": [0, 1], "nesterov": False, "dampening": 0, "amsgrad": False, "maximize": False}


def torch_state(group=(), **buffers):
    """The state_dict of an optimizer for ``b`` and ``w``, with buffers of ones."""
    entries = {
        n: {name: np.ones(x.shape) if size is None else np.array(size) for name, size in buffers.items()}
        for n, x in enumerate(P.values())
    }
    return {"state": entries if buffers else {}, "param_groups": [{**GROUP, **dict(group)}]}


ADAM = {"step": 3.0, "exp_avg": None, "exp_avg_sq": None}


def other_shape():
    saved = torch_state(**ADAM)
    saved["state"][1]["exp_avg"] = np.ones((3, 2))
    return saved


def other_step():
    saved = torch_state(**ADAM)
    saved["state"][1]["step"] = np.array(4.0)
    return saved


def no_step():
    saved = torch_state(**ADAM)
    del saved["state"][1]
    return saved


ADAMS = "leaf b: expected exp_avg, exp_avg_sq, step (Adam's), found"
WRONG = {
    "another kind": (
        gx.adam(0.1),
        torch_state(step=3.0, square_avg=None),
        f"{ADAMS} square_avg, step: that is a state for rmsprop",
    ),
    "a buffer missing": (gx.adam(0.1), torch_state(step=3.0, exp_avg=None), f"{ADAMS} exp_avg, step"),
    "no state": (gx.adam(0.1), torch_state(), f"{ADAMS} no state: before the first step, it is tx.init(params)"),
    "a leaf without": (gx.adam(0.1), no_step(), "leaf w: expected exp_avg, exp_avg_sq, step (Adam's), found none"),
    "another shape": (
        gx.adam(0.1),
        other_shape(),
        "leaf w: exp_avg: expected shape (2, 3), found (3, 2); its axes are swapped",
    ),
    "another step": (gx.adam(0.1), other_step(), "leaf w: step: expected 3 as for leaf b, found 4"),
    "no whole step": (gx.adam(0.1), torch_state(**{**ADAM, "step": 2.5}), "leaf b: step: expected one whole number"),
    "momentum": (gx.sgd(0.1), torch_state(momentum_buffer=None), "leaf b: expected no buffers (SGD's), found momentum"),
    "nesterov": (gx.sgd(0.1, 0.9, nesterov=True), torch_state(momentum_buffer=None), "expected nesterov True"),
    "dampening": (gx.sgd(0.1, 0.9), torch_state({"dampening": 0.5}, momentum_buffer=None), "dampening 0"),
    "maximize": (gx.adam(0.1), torch_state({"maximize": True}, **ADAM), "expected maximize False"),
    "amsgrad": (gx.adam(0.1), torch_state({"amsgrad": True}, **ADAM), "expected amsgrad False, as adam is PyTorch's"),
    "its maximum": (gx.amsgrad(0.1), torch_state(**ADAM), "amsgrad: PyTorch takes the maximum before the correction"),
    "nadam": (gx.nadam(0.1), torch_state(**ADAM), "nadam: PyTorch's momentum warms up"),
    "another number of leaves": (
        gx.adam(0.1),
        torch_state({"params": [0, 1, 2]}, **ADAM),
        "param_groups: expected 2 parameters, b, w, found 3",
    ),
    "no state_dict": (gx.adam(0.1), {0: {}}, "state_dict: expected what optimizer.state_dict() returns"),
    "no recipe": (gx.chain(gx.scale_by_ewma(), gx.scale(-1.0)), torch_state(**ADAM), "with one of sgd, adam, adamw"),
    "a recipe of Optax": (gx.chain(optax.adam(0.1)), torch_state(**ADAM), "with one of sgd, adam, adamw"),
    "two recipes": (gx.chain(gx.adam(0.1), gx.sgd(0.1)), torch_state(**ADAM), "of one kind, found adam and sgd"),
    "a step that is not said": (
        gx.sgd(gx.linear_schedule(0.1, 0.0, 10), 0.9),
        torch_state(momentum_buffer=None),
        "sgd: the state does not say how many updates there were: give step=",
    ),
    "a rate of 0": (
        gx.rmsprop(gx.linear_schedule(0.1, 0.0, 3), momentum=0.9),
        torch_state(step=3.0, square_avg=None, momentum_buffer=None),
        "rmsprop: momentum_buffer: it is scaled by the learning rate, which is 0 at step 3",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_state_of_pytorch_that_does_not_fit_is_an_error_that_says_where(name):
    tx, saved, text = WRONG[name]
    with pytest.raises(gx.TransformationError) as error:
        interop.from_torch_state(tx, P, saved)
    assert str(error.value).startswith("from_torch_state: ")
    assert text in str(error.value)


KERAS_SHAPES = {"b": np.ones(3), "w": np.ones((2, 3))}


def keras_variables(*slots, head=2):
    return [np.array(3), np.array(0.1)][:head] + [x for x in KERAS_SHAPES.values() for _ in slots]


KERAS_WRONG = {
    "another number": (
        gx.adam(0.1),
        keras_variables("momentum"),
        "expected 6 variables of Adam (iteration, learning_rate where it is no schedule, and momentum, velocity of "
        "b, w), found 4",
    ),
    "another shape": (
        gx.sgd(0.1, 0.9),
        [*keras_variables(), np.ones((2, 3)), np.ones(3)],
        "leaf b: momentum: expected shape (3,), found (2, 3)",
    ),
    "another name": (
        gx.sgd(0.1, 0.9),
        [
            *keras_variables(),
            Variable("adagrad/b_accumulator", np.ones(3)),
            Variable("adagrad/w_accumulator", np.ones((2, 3))),
        ],
        "leaf b: expected its momentum, found 'adagrad/b_accumulator'",
    ),
    "other keys": (gx.sgd(0.1), {"iteration": 3}, "variables: expected the keys '0', '1' ..., found 'iteration'"),
    "no rate": (
        gx.sgd(0.1),
        [np.array(3), np.ones(3)],
        "learning_rate: expected one number, found shape (3,)",
    ),
    "its maximum": (gx.amsgrad(0.1), [], "amsgrad: Keras takes the maximum before the correction"),
    "nadam": (gx.nadam(0.1), [], "nadam: Keras' momentum warms up"),
    "no recipe": (gx.rprop(0.1), [], "expected a transformation with one of sgd, adam, adamw"),
}


@pytest.mark.parametrize("name", KERAS_WRONG)
def test_variables_of_keras_that_do_not_fit_are_an_error_that_says_where(name):
    tx, variables, text = KERAS_WRONG[name]
    with pytest.raises(gx.TransformationError) as error:
        interop.from_keras_state(tx, P, variables)
    assert str(error.value).startswith("from_keras_state: ")
    assert text in str(error.value)


def test_names_that_do_not_fit_are_errors():
    named = torch_state({"param_names": ["bias", "weight"]}, **ADAM)
    for names, text in (
        ({"bias": "b", "weight": "v"}, "names: 'weight': there is no leaf v; there are b, w"),
        ({"bias": "b"}, "names: leaf w: expected a name for it, found none"),
        ({"bias": "b", "wait": "w"}, "leaf w: PyTorch has no 'wait'; it has bias, weight"),
    ):
        with pytest.raises(gx.TransformationError) as error:
            interop.from_torch_state(gx.adam(0.1), P, named, names=names)
        assert text in str(error.value)


def test_names_match_in_any_order_if_the_optimizer_has_them_too():
    saved = torch_state({"param_names": ["bias", "weight"]}, momentum_buffer=None)
    state = interop.from_torch_state(gx.sgd(0.1, 0.9), P, saved, names={"weight": "w", "bias": "b"})
    np.testing.assert_array_equal(state["trace"]["w"], np.ones((2, 3)))


def test_matrices_are_transposed_where_a_rule_says_so():
    tx, saved = gx.adam(0.1), other_shape()
    saved["state"][1]["exp_avg"] = np.arange(6.0).reshape(3, 2)
    saved["state"][1]["exp_avg_sq"] = np.ones((3, 2))
    state = interop.from_torch_state(tx, P, saved, transpose="*")
    np.testing.assert_array_equal(state["scale_by_ewma"]["mu"]["w"], [[0, 2, 4], [1, 3, 5]])
    back = interop.to_torch_state(tx, P, state, transpose="*")["state"]
    jax.tree.map(np.testing.assert_array_equal, back, saved["state"])


def test_the_rest_of_a_transformation_starts_as_in_init():
    tx = gx.accumulate(gx.chain(gx.clip(1.0), opt=gx.adam(0.1)), 4)
    state, first = interop.from_torch_state(tx, P, torch_state(**ADAM)), tx.init(P)
    assert int(state["inner"]["count"]) == 3
    np.testing.assert_array_equal(state["inner"]["opt"]["scale_by_ewma"]["mu"]["b"], np.ones(3))
    jax.tree.map(np.testing.assert_array_equal, state["acc_grads"], first["acc_grads"])
    assert jax.tree.structure(state) == jax.tree.structure(first)
    back = interop.to_torch_state(tx, P, state)["state"]
    jax.tree.map(np.testing.assert_array_equal, back, torch_state(**ADAM)["state"])


def test_groups_with_several_rates_and_frozen_leaves():
    params = {**P, "z": jnp.zeros(1)}
    groups = {"slow": gx.adam(0.1), "fast": gx.adam(0.2), "still": gx.set_to_zero()}
    tx = gx.partition(groups, {"w": "slow", "b": "fast", "z": "still"})
    state = interop.from_torch_state(tx, params, torch_state(**ADAM))
    np.testing.assert_array_equal(state["slow"]["scale_by_rms"]["nu"]["w"], np.ones((2, 3)))
    np.testing.assert_array_equal(state["fast"]["scale_by_rms"]["nu"]["b"], np.ones(3))
    assert state["slow"]["scale_by_rms"]["nu"]["z"] is None
    back = interop.to_torch_state(tx, params, state)["state"]
    jax.tree.map(np.testing.assert_array_equal, back, torch_state(**ADAM)["state"])
    with pytest.raises(gx.TransformationError, match=r"Keras has one learning rate, found 0\.1, 0\.2"):
        interop.to_keras_state(tx, params, state)
    names = {"b": "b", "z": "z", "w": "w"}
    assert list(interop.to_torch_state(tx, params, state, names=names)["state"]) == [0, 2]
    tx = gx.partition({"slow": gx.adam(0.1), "still": gx.set_to_zero()}, {"w": "slow", "b": "slow", "z": "still"})
    with pytest.raises(gx.TransformationError, match="leaf z: it is frozen, so Keras has nothing for it"):
        interop.to_keras_state(tx, params, tx.init(params), names=names)


def test_groups_that_keep_different_buffers():
    groups = {"plain": gx.rmsprop(0.1), "heavy": gx.rmsprop(0.1, momentum=0.9)}
    tx = gx.partition(groups, {"w": "plain", "b": "heavy"})
    saved = torch_state(step=3.0, square_avg=None)
    saved["state"][0]["momentum_buffer"] = np.ones(3)
    state = interop.from_torch_state(tx, P, saved)
    np.testing.assert_allclose(state["heavy"]["momentum"]["trace"]["b"], -0.1)
    back = interop.to_torch_state(tx, P, state, step=3)["state"]
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-6), back, saved["state"])
    with pytest.raises(gx.TransformationError, match="found 'velocity' and 'velocity, momentum'"):
        interop.to_keras_state(tx, P, state, step=3)


def test_a_tensor_is_fetched_from_its_device():
    class Tensor:
        dtype = "torch.bfloat16"

        def __init__(self, value):
            self.value = value

        def detach(self):
            return self

        cpu = float = detach

        def numpy(self):
            return self.value

    saved = jax.tree.map(lambda x: Tensor(np.asarray(x)), torch_state(**ADAM)["state"])
    state = interop.from_torch_state(gx.adam(0.1), P, {**torch_state(), "state": saved})
    np.testing.assert_array_equal(state["scale_by_ewma"]["mu"]["w"], np.ones((2, 3)))
    made = interop.to_torch_state(gx.adam(0.1), P, state, tensor=Tensor)["state"]
    assert all(isinstance(x, Tensor) and x.value.flags.writeable for entry in made.values() for x in entry.values())


def test_a_state_that_does_not_count_needs_a_step_to_go_back():
    tx = gx.adagrad(0.1)
    for convert in (interop.to_torch_state, interop.to_keras_state):
        with pytest.raises(gx.TransformationError, match="adagrad: the state does not say how many updates"):
            convert(tx, P, tx.init(P))
        with pytest.raises(gx.TransformationError, match="step: expected one whole number"):
            convert(tx, P, tx.init(P), step=-1)
    with pytest.raises(gx.TransformationError, match="adam: its state has no 'mu'"):
        interop.to_torch_state(gx.adam(0.1), P, tx.init(P))


def test_a_state_is_sharded_as_its_parameters():
    mesh = jax.make_mesh((3,), ("x",), devices=jax.devices()[:3])
    sharding = jax.sharding.NamedSharding(mesh, jax.P(None, "x"))
    params = {**P, "w": jax.device_put(P["w"], sharding)}
    state = interop.from_torch_state(gx.adam(0.1), params, torch_state(**ADAM))
    assert state["scale_by_ewma"]["mu"]["w"].sharding == sharding


def test_half_precision_parameters_get_a_state_in_float32():
    params = jax.tree.map(lambda x: x.astype(jnp.bfloat16), P)
    state = interop.from_torch_state(gx.adam(0.1), params, torch_state(**ADAM))
    assert {str(x.dtype) for x in jax.tree.leaves(state)} == {"float32", "int32"}


def test_a_smaller_dtype_of_ours_is_widened_for_numpy():
    tx = gx.adam(0.1, mu_dtype="bfloat16")
    state = interop.from_torch_state(tx, P, torch_state(**ADAM))
    assert state["scale_by_ewma"]["mu"]["w"].dtype == jnp.bfloat16
    assert interop.to_torch_state(tx, P, state)["state"][1]["exp_avg"].dtype == np.float32


def test_a_state_that_a_wrapper_encodes_cannot_be_converted():
    tx = in_eight_bits(gx.adam(0.1))
    with pytest.raises(gx.TransformationError, match="adam: its state is kept in another form by the wrapper"):
        interop.from_torch_state(tx, P, torch_state(**ADAM))


def test_complex_buffers_for_real_ones_are_an_error():
    params, saved = {"z": jnp.zeros(2, complex)}, torch_state({"params": [0]}, **ADAM)
    saved["state"] = {0: {"step": 3, "exp_avg": np.ones(2, complex), "exp_avg_sq": np.ones(2, complex)}}
    with pytest.raises(gx.TransformationError, match="leaf z: exp_avg_sq: expected real numbers, found complex128"):
        interop.from_torch_state(gx.adam(0.1), params, saved)


def test_a_state_for_other_parameters_is_an_error():
    state = gx.adam(0.1).init({"w": P["w"]})
    with pytest.raises(gx.TransformationError, match=r"the state's scale_by_ewma\.mu is not like the parameters"):
        interop.to_torch_state(gx.adam(0.1), P, state)


def test_variables_of_keras_that_names_do_not_know_are_an_error():
    found = [Variable("sgd/kernel_momentum", np.ones((2, 3))), Variable("sgd/bias_momentum", np.ones(3))]
    with pytest.raises(gx.TransformationError, match="names: expected a path for Keras' 'kernel', found core, bias"):
        interop.from_keras_state(gx.sgd(0.1, 0.9), P, [*keras_variables(), *found], names={"core": "w", "bias": "b"})
