"""Rules that are PyTorch's too reproduce its trajectories, as `oracles/torch_trajectories.json` records them."""

import json
import pathlib

import numpy as np
import pytest

from tests.recorded import trajectory
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
    path, _ = trajectory(OURS[title(case)], ORACLE)
    assert list(case["params"]) == ["1", "2", "3", "10", "30"]
    for after, params in case["params"].items():
        for name, value in params.items():
            np.testing.assert_allclose(path[name][int(after) - 1], value, rtol=0, atol=1e-10)
