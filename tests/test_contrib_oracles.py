"""Rules that Optax has in ``optax.contrib`` reproduce the trajectories of the programs of their authors, and of others.

`oracles/torch_contrib.json` records them in float64. Not among them: SimplifiedAdEMAMix of pytorch_optimizer, which
multiplies by the correction of the second moment where the paper and Optax divide by it; and its Muon, which iterates
in bfloat16.
"""

import json
import pathlib

import numpy as np
import pytest

import gradtx as gx
from tests.recorded import trajectory

ORACLE = json.loads((pathlib.Path(__file__).parent / "oracles" / "torch_contrib.json").read_text())


def later_root(step):
    """The limit of ADOPT where its steps are counted from one more than in the paper."""
    return (step + 1) ** 0.25


AUTHORS = {"warmup_from": "one step"}
OURS = {
    "pytorch_optimizer.AdEMAMix(lr=0.001, alpha=3.0)": gx.ademamix(0.001, alpha=3.0),
    "pytorch_optimizer.ADOPT(lr=0.001, betas=[0.9, 0.999], weight_decay=0.01, weight_decouple=True)": gx.chain(
        gx.scale_by_adopt(0.9, 0.999, clip_value_fn=later_root),
        gx.add_decayed_weights(0.01),
        gx.scale_by_learning_rate(0.001),
    ),
    "pytorch_optimizer.MADGRAD(lr=0.001, momentum=0.8)": gx.madgrad(0.001, 0.8),
    "pytorch_optimizer.Prodigy(lr=1.0, safeguard_warmup=True)": gx.prodigy(
        safeguard_warmup=True, bias_correction=False
    ),
    "pytorch_optimizer.Prodigy(lr=1.0, weight_decay=0.01)": gx.prodigy(weight_decay=0.01, bias_correction=False),
    "prodigyopt.Prodigy(lr=1.0, weight_decay=0.01, use_bias_correction=True)": gx.prodigy(weight_decay=0.01),
    "prodigyopt.Prodigy(lr=1.0, betas=[0.9, 0.999], d0=0.0001, growth_rate=1.2)": gx.prodigy(
        estim_lr0=0.0001, growth_rate=1.2, bias_correction=False
    ),
    "pytorch_optimizer.DAdaptAdam(lr=1.0)": gx.dadapt_adamw(bias_correction=False),
    "pytorch_optimizer.ScheduleFreeSGD(lr=0.001, momentum=0.8, warmup_steps=5)": gx.schedule_free_sgd(
        0.001, 5, 0.8, **AUTHORS
    ),
    "pytorch_optimizer.ScheduleFreeAdamW(lr=0.001, betas=[0.9, 0.999], weight_decay=0.01, warmup_steps=5)": (
        gx.schedule_free_adamw(0.001, 5, weight_decay=0.01, **AUTHORS)
    ),
    "schedulefree.SGDScheduleFree(lr=0.001, momentum=0.9, warmup_steps=4)": gx.schedule_free_sgd(0.001, 4, **AUTHORS),
    "schedulefree.AdamWScheduleFree(lr=0.001, betas=[0.9, 0.999], weight_decay=0.01, warmup_steps=4)": (
        gx.schedule_free_adamw(0.001, 4, weight_decay=0.01, **AUTHORS)
    ),
    "schedulefree.AdamWScheduleFree(lr=0.001, betas=[0.9, 0.999], r=1.0, weight_lr_power=1.0)": (
        gx.schedule_free_adamw(0.001, weight_lr_power=1.0, r=1.0)
    ),
}


def title(case):
    given = ", ".join(f"{name}={value}" for name, value in case["given"].items())
    return f"{case['optimizer']}({given})"


def test_every_recorded_optimizer_has_one_of_ours():
    assert sorted(OURS) == sorted(title(case) for case in ORACLE["cases"])


@pytest.mark.parametrize("case", ORACLE["cases"], ids=title)
def test_reproduces_the_trajectory_of(case):
    trained, deployed = trajectory(OURS[title(case)], ORACLE)
    for found, recorded in ((trained, case["params"]), (deployed, case.get("eval_params", {}))):
        for n, expected in recorded.items():
            for leaf, values in expected.items():
                np.testing.assert_allclose(found[leaf][int(n) - 1], values, rtol=1e-10, atol=1e-13)
