"""Rules of `pytorch_optimizer` and of PyTorch's newer ones reproduce their trajectories, step by step in float64.

`oracles/torch_modern.json` holds gradients and where they led: ``cases``, each an optimizer, the arguments that it was
given, and the parameters after some of the steps. Where its conventions are not ours (the place of ε, the order of
decay and step), the links say so in another order or with another number. To add a case: put it into the file, and what
we have for it into `OURS`.
"""

import json
import pathlib

import jax.numpy as jnp
import numpy as np
import pytest

import gradtx as gx
from tests.recorded import trajectory

ORACLE = json.loads((pathlib.Path(__file__).parent / "oracles" / "torch_modern.json").read_text())
RATE = gx.scale_by_learning_rate(0.001)
DECAY = gx.add_decayed_weights(0.01)
NADAM = gx.chain(gx.scale_by_ewma(0.9), gx.nesterov_momentum_decay(0.9, 0.01), gx.scale_by_rms(), DECAY, RATE)


def beside_the_raw_root(step):
    """ε of PyTorch's RAdam, which is added to the root before its correction."""
    return 1e-8 / jnp.sqrt(1 - 0.999 ** (jnp.asarray(step, float) + 1))


def lamb(*decay, shrunk):
    """LAMB without the correction of ν; the norm of the parameters is the one after their decay."""
    return gx.chain(
        gx.scale_by_ewma(0.9),
        gx.scale_by_rms(0.999, 1e-6, bias_correction=False),
        gx.scale_by_trust_ratio(0.0, shrunk, 1e-6),
        gx.bias_correction(0.9),
        *decay,
        RATE,
    )


OURS = {
    "AdaBelief(lr=0.001, betas=[0.9, 0.999], rectify=False, weight_decay=0.01)": gx.chain(
        gx.scale_by_belief(), DECAY, RATE
    ),
    "Adafactor(lr=0.001, weight_decay=0.01)": gx.adafactor(0.001, 1, eps=0.0, weight_decay_rate=1e-5),
    "AdamW(lr=0.001, betas=[0.9, 0.999], amsgrad=True, weight_decay=0.01)": gx.chain(
        gx.scale_by_amsgrad(maximum="raw"), DECAY, RATE
    ),
    "Adamax(lr=0.001, betas=[0.9, 0.999], weight_decay=0.01)": gx.chain(DECAY, gx.adamax(0.001)),
    "Adan(lr=0.001, weight_decay=0.01, weight_decouple=True)": gx.adan(0.001, eps_root=0.0, weight_decay=0.01),
    "Fromage(lr=0.001)": gx.fromage(0.001, 0.0),
    "Lamb(lr=0.001, betas=[0.9, 0.999])": lamb(shrunk=1.0),
    "Lamb(lr=0.001, betas=[0.9, 0.999], weight_decay=0.01)": lamb(DECAY, shrunk=1 - 1e-5),
    "NAdam(lr=0.001, betas=[0.9, 0.999], momentum_decay=0.01, weight_decay=0.01, decoupled_weight_decay=True)": NADAM,
    "NovoGrad(lr=0.001)": gx.novograd(0.001, 0.95, 0.98, 1e-8),
    "NovoGrad(lr=0.001, grad_averaging=True, weight_decay=0.01)": gx.chain(
        gx.scale_by_novograd(0.0, 0.98, weight_decay=0.01), gx.scale_by_ewma(0.95, initial="first"), RATE
    ),
    "RAdam(lr=0.001, betas=[0.9, 0.999], weight_decay=0.01)": gx.chain(DECAY, gx.radam(0.001, eps=beside_the_raw_root)),
    "RAdam(lr=0.001, betas=[0.9, 0.999], weight_decay=0.01, decoupled_weight_decay=True)": gx.chain(
        gx.scale_by_radam(eps=beside_the_raw_root), DECAY, RATE
    ),
    "SM3(lr=0.001)": gx.chain(gx.scale_by_sm3(0.0, eps=1e-30), RATE),
    "SignSGD(lr=0.001, momentum=0.9)": gx.signum(0.001),
    "Yogi(lr=0.001, betas=[0.9, 0.999])": gx.yogi(0.001),
}


def title(case):
    given = ", ".join(f"{name}={value}" for name, value in case["given"].items())
    return f"{case['optimizer'].split('.')[-1]}({given})"


def test_every_recorded_case_has_one_of_ours():
    assert sorted(OURS) == sorted(title(case) for case in ORACLE["cases"])


@pytest.mark.parametrize("case", ORACLE["cases"], ids=title)
def test_reproduces_the_trajectory_of(case):
    path, _ = trajectory(OURS[title(case)], ORACLE)
    assert list(case["params"]) == ["1", "2", "3", "11", "40"]
    for after, params in case["params"].items():
        for name, value in params.items():
            assert path[name].dtype == np.float64
            np.testing.assert_allclose(path[name][int(after) - 1], value, rtol=0, atol=1e-10)
