"""What `docs/pages/choose.md` says of its pictures is what the races show."""

import importlib

import numpy as np
import pytest

pytestmark = pytest.mark.slow


def race(name):
    return importlib.import_module(f"docs.make.pictures.choose_{name}").curves()


def first_below(curve, target):
    return int(curve.steps[np.argmax(curve.mean < target)]) if np.any(curve.mean < target) else None


def ends(curves):
    return {name: float(curve.mean[-1]) for name, curve in curves.items()}


def test_ravine_nesterov_is_lowest_and_adam_swings():
    _, losses = importlib.import_module("docs.make.pictures.choose_ravine").race()
    plain, heavy, nesterov, adam = (loss[-1] for loss in losses.values())
    assert nesterov < heavy < adam < plain
    assert any(name.startswith("Adam") and np.sum(np.diff(loss) > 0) > 10 for name, loss in losses.items())


def test_saddle_gradient_descent_sits_on_the_ridge():
    down = {name: first_below(curve, -0.5) for name, curve in race("saddle").items()}
    assert down["gradient descent"] > 18
    assert 10 < down["momentum"] < down["gradient descent"]
    assert max(down["RMSProp"], down["Adam"], down["Lion"]) <= 5
    assert ends(race("saddle"))["Lion"] > -0.95


def test_without_noise_curvature_wins():
    there = {name: first_below(curve, 1e-6) for name, curve in race("deterministic").items()}
    assert (there["Newton"], there["L-BFGS"]) == (6, 13)
    assert 55 <= there["gradient descent"] <= 63
    assert there["momentum"] is there["Adam"] is None


def test_in_mini_batches_they_end_close_together():
    curves = race("noisy")
    end = ends(curves)
    assert max(end.values()) < 1.35 * min(end.values())
    assert sorted(end, key=end.__getitem__)[:2] == ["Muon, cosine", "Adam, cosine"]
    assert curves["Muon, cosine"].most[-1] > curves["Adam, cosine"].least[-1]
    assert end["momentum, cosine"] < end["momentum"]
    assert abs(end["momentum, cosine"] - end["Schedule-Free Adam"]) < 0.01


def test_of_what_is_rare_adagrad_learns_first():
    curves = race("sparse")
    early = {name: float(curve.mean[0]) for name, curve in curves.items()}
    end = ends(curves)
    assert early["AdaGrad"] + 0.2 < min(x for name, x in early.items() if name != "AdaGrad")
    assert abs(end["AdaGrad"] - end["Adam"]) < 0.01 < end["RMSProp"] - end["Adam"]
    assert min(end["gradient descent"], end["momentum"]) > end["RMSProp"]


def test_rules_of_matrices_see_a_ravine_across_the_axes():
    end = ends(race("matrices"))
    assert 10 * max(end["Muon"], end["Shampoo"], end["SOAP"]) < end["Adam"] < end["SOAP, decays 0.95"]


def test_what_needs_no_rate():
    module = importlib.import_module("docs.make.pictures.choose_without_rate")
    losses, usual = module.losses(), int(np.argmin(np.abs(module.FACTORS - 1)))
    adam, prodigy, cocob = losses["Adam, 0.001"], losses["Prodigy, 1"], losses["COCOB"]
    assert 25 < module.FACTORS[np.nanargmin(adam)] < 40
    assert adam[usual] > 9 * np.nanmin(adam)
    assert prodigy[usual] < 1.4 * np.nanmin(adam)
    assert np.ptp(cocob) < 0.005
    mechanic = losses["Mechanic of SGD, 0.1"][usual - 2 : usual + 7]
    assert mechanic.max() < 3 * mechanic.min()
    assert losses["DoWG, 1"][usual] > 1
    assert np.nanmin(adam) < min(prodigy[usual], cocob.min(), mechanic.min())
