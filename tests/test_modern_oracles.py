"""Rules of PyTorch, `pytorch_optimizer`, `schedulefree` and `prodigyopt` reproduce their trajectories in float64.

`oracles/torch_modern.json` holds gradients and where they led: ``cases``, each an optimizer, the arguments that it was
given, the parameters after some of the steps, and the point to deploy where there is one. What we have for each stands
in `tests.modern`; what we do not have, with the reason, in `tests.modern.not_built`.
"""

import json
import pathlib

import numpy as np
import pytest

from tests.modern import NOT_BUILT, OURS, TOLERANCES
from tests.recorded import trajectory

ORACLE = json.loads((pathlib.Path(__file__).parent / "oracles" / "torch_modern.json").read_text())


def title(case):
    given = ", ".join(f"{name}={value}" for name, value in case["given"].items())
    return f"{case['optimizer']}({given})"


def test_every_recorded_case_has_one_of_ours_or_a_reason():
    assert not OURS.keys() & NOT_BUILT.keys()
    assert sorted([*OURS, *NOT_BUILT]) == sorted(map(title, ORACLE["cases"]))
    assert all(reason.strip() for reason in NOT_BUILT.values())


@pytest.mark.parametrize("case", [case for case in ORACLE["cases"] if title(case) in OURS], ids=title)
def test_reproduces_the_trajectory_of(case):
    square = "_square" if case["tree"] == "square" else ""
    tolerance = TOLERANCES.get(title(case), 1e-10)
    recorded = {"init": ORACLE["init" + square], "gradients": ORACLE["gradients" + square]}
    trained, deployed = trajectory(OURS[title(case)], recorded)
    assert list(case["params"]) == ["1", "2", "3", "11", "40"]
    for found, expected in ((trained, case["params"]), (deployed, case.get("eval_params", {}))):
        for after, params in expected.items():
            for name, value in params.items():
                assert found[name].dtype == np.float64
                np.testing.assert_allclose(found[name][int(after) - 1], value, rtol=0, atol=tolerance)
