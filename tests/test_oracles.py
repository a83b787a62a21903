"""Rules that are PyTorch's too reproduce its trajectories, as `oracles/torch_trajectories.json` records them."""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx as gx
from tests.table import ROWS

ORACLE = json.loads((pathlib.Path(__file__).parent / "oracles" / "torch_trajectories.json").read_text())

OURS = {row.oracle: row.tx for row in ROWS if row.oracle}


def title(case):
    given = ", ".join(f"{name}={value}" for name, value in case["given"].items())
    return f"{case['optimizer'].split('.')[-1]}({given})"


ROWS = {  # of the catalogue's table of first-order rules
    "SGD": "gradient descent",
    "Adagrad": "AdaGrad",
    "RMSprop": "RMSProp",
    "Adamax": "AdaMax",
    "NAdam": "Nadam",
}


def row(case):
    """The name of the rule in the catalogue, and the recorded call."""
    name = case["optimizer"].split(".")[-1]
    if "momentum" in case["given"] and name == "SGD":
        rule = "Nesterov, rewritten" if case["given"].get("nesterov") else "momentum"
    else:
        rule = "AMSGrad" if case["given"].get("amsgrad") else ROWS.get(name, name)
    return f"{rule}: {title(case)}"


def test_every_recorded_optimizer_has_one_of_ours():
    assert sorted(OURS) == sorted(title(case) for case in ORACLE["cases"])


@pytest.mark.parametrize("case", ORACLE["cases"], ids=row)
def test_reproduces_the_trajectory_of(case):
    tx = OURS[title(case)]

    def step(carry, gradient):
        params, state = carry
        updates, state = tx.update(gradient, state, params)
        params = gx.apply_updates(params, updates)
        return (params, state), params

    with jax.enable_x64(True):
        init = {name: jnp.asarray(value) for name, value in ORACLE["init"].items()}
        gradients = {name: jnp.asarray([row[name] for row in ORACLE["gradients"]]) for name in init}
        assert all(x.dtype == jnp.float64 for x in jax.tree.leaves((init, gradients)))
        path = jax.jit(lambda: jax.lax.scan(step, (init, tx.init(init)), gradients)[1])()
    assert list(case["params"]) == ["1", "2", "3", "10", "30"]
    for after, params in case["params"].items():
        for name, value in params.items():
            np.testing.assert_allclose(path[name][int(after) - 1], value, rtol=0, atol=1e-10)
