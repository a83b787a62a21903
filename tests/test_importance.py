"""Which numbers matter, against functions whose indices are known; and what a sweep says in its notes."""

import dataclasses
import json
import math

import jax.numpy as jnp
import numpy as np
import pytest

import gradtx
from gradtx import sweep
from gradtx.sweep._studies.anova import of_grid
from gradtx.sweep._studies.axes import Axis
from gradtx.sweep._studies.forest import of_forest


def quiet(params, batch, **numbers):
    return 0 * params + 0 * jnp.mean(batch) + 0 * sum(numbers.values())


def result_of(axes, f, *, noise=0.0, seeds=1, better="lower", **more):
    """A sweep over a grid whose final losses are f of the point, and a noise of every seed."""
    population = sweep.grid(gradtx.sgd, **axes, seeds=range(seeds) if seeds > 1 else None)
    made = sweep.run(
        lambda params, batch: 0 * params + 0 * jnp.mean(batch), jnp.zeros([]), population, jnp.ones(1), steps=1
    )
    rng = np.random.default_rng(0)
    values = [f(**{name: x for name, x in point.items() if name != "seed"}) for point in made.points]
    losses = np.asarray(values) + noise * rng.normal(size=len(values))
    status = ["finished" if np.isfinite(x) else "diverged" for x in losses]
    return dataclasses.replace(made, final_loss=losses, better=better, status=status, **more)


# Functional ANOVA -----------------------------------------------------------------------------------------------------

A, B = 7.0, 0.1
V1, V2, V13 = 0.5 * (1 + B * math.pi**4 / 5) ** 2, A**2 / 8, 8 * B**2 * math.pi**8 / 225
WHOLE = V1 + V2 + V13
SOBOL = {(0,): V1 / WHOLE, (1,): V2 / WHOLE, (2,): 0.0, (0, 1): 0.0, (0, 2): V13 / WHOLE, (1, 2): 0.0}


def ishigami(x, y, z):
    """Ishigami & Homma 1990, on [−π, π]³."""
    return np.sin(x) + A * np.sin(y) ** 2 + B * z**4 * np.sin(x)


def test_a_fine_grid_has_the_indices_of_ishigami_s_function():
    points = -math.pi + 2 * math.pi * (np.arange(120) + 0.5) / 120
    found = of_grid(ishigami(points[:, None, None], points[None, :, None], points[None, None, :]))
    assert found.terms == pytest.approx(SOBOL, abs=5e-4)
    totals = [SOBOL[(0,)] + SOBOL[0, 2], SOBOL[(1,)], SOBOL[0, 2]]
    assert found.totals == pytest.approx(totals, abs=5e-4)


def test_gauss_s_weights_give_them_to_eight_digits():
    nodes, weights = np.polynomial.legendre.leggauss(24)
    x = math.pi * nodes
    found = of_grid(ishigami(x[:, None, None], x[None, :, None], x[None, None, :]), [weights / 2] * 3)
    assert found.terms == pytest.approx(SOBOL, abs=1e-8)


def test_a_forest_finds_them_in_drawn_points():
    pytest.importorskip("sklearn")
    x = np.random.default_rng(0).uniform(-math.pi, math.pi, (1000, 3))
    axes = [Axis(name, tuple(np.sort(x[:, n])), np.argsort(np.argsort(x[:, n]))) for n, name in enumerate("xyz")]
    made = of_forest(axes, ishigami(*x.T), 24, 0)
    found = {of: float(np.mean([one.terms[of] for one in made])) for of in made[0].terms}
    assert found == pytest.approx(SOBOL, abs=0.09)
    assert sorted(found, key=lambda of: -found[of])[:3] == [(1,), (0,), (0, 2)]


def test_a_tree_is_decomposed_exactly():
    """A tree on a fine grid is constant on its cells, so its shares are those of a grid of its own predictions."""
    pytest.importorskip("sklearn")
    from sklearn.ensemble import RandomForestRegressor

    from gradtx.sweep._studies.forest import _shares

    rng = np.random.default_rng(1)
    x = (rng.integers(0, 8, (60, 3)) + 0.5) / 8
    forest = RandomForestRegressor(1, random_state=0).fit(x, np.sin(9 * x[:, 0]) + x[:, 1] * x[:, 2])
    places = (np.arange(512) + 0.5) / 512
    del places
    cuts = [np.unique(np.r_[0.0, forest.estimators_[0].tree_.threshold[forest.estimators_[0].tree_.feature == n], 1.0])
            for n in range(3)]  # fmt: skip
    middles = [(cut[1:] + cut[:-1]) / 2 for cut in cuts]
    cells = forest.predict(np.stack(np.meshgrid(*middles, indexing="ij"), -1).reshape(-1, 3))
    expected = of_grid(cells.reshape([len(m) for m in middles]), [np.diff(cut) for cut in cuts])
    assert _shares(forest.estimators_[0].tree_, 3).terms == pytest.approx(expected.terms, abs=1e-9)


def test_a_sum_has_no_interaction_and_a_product_of_mean_0_nothing_else():
    rates, momenta = [0.1, 0.2, 0.3], [0.1, 0.5, 0.9]
    axes = {"learning_rate": rates, "momentum": momenta}
    added = sweep.importance(result_of(axes, lambda learning_rate, momentum: learning_rate + momentum))
    ratio = np.var(momenta) / (np.var(rates) + np.var(momenta))
    assert added.method == "exact"
    assert added.shares[("momentum",)] == pytest.approx(ratio)
    assert added.totals["momentum"] == pytest.approx(ratio)
    assert added.shares["learning_rate", "momentum"] == pytest.approx(0.0, abs=1e-12)
    times = sweep.importance(
        result_of(axes, lambda learning_rate, momentum: (learning_rate - 0.2) * (momentum - 0.5), better="higher")
    )
    assert times.shares["learning_rate", "momentum"] == pytest.approx(1.0)
    assert times.totals == pytest.approx({"learning_rate": 1.0, "momentum": 1.0})
    assert [row["number"] for row in times.table()][-1] == "learning_rate × momentum"
    assert "100.0%" in str(times)
    assert math.isnan(times.low[("momentum",)])  # one seed: nothing to tell its noise from


def test_seeds_give_an_interval_that_holds_the_truth():
    axes = {"learning_rate": [0.1, 0.2, 0.3, 0.4], "momentum": [0.1, 0.5, 0.9]}
    f = lambda learning_rate, momentum: learning_rate + 0.1 * momentum  # noqa: E731
    truth = sweep.importance(result_of(axes, f)).shares
    found = sweep.importance(result_of(axes, f, noise=0.03, seeds=8))
    for of in [("learning_rate",), ("momentum",)]:
        assert found.low[of] <= truth[of] <= found.high[of]
        assert 0 < found.high[of] - found.low[of] < 0.3
    assert sweep.importance(result_of(axes, f, noise=0.03, seeds=8)) == found  # the same draws


def test_a_lane_that_diverged_counts_as_the_worst_that_did_not_and_ranks_tame_outliers():
    axes = {"learning_rate": [0.1, 0.2, 0.3], "momentum": [0.1, 0.5, 0.9]}

    def f(learning_rate, momentum):
        return math.nan if learning_rate > 0.25 and momentum > 0.8 else momentum

    def worst(learning_rate, momentum):
        return 0.9 if learning_rate > 0.25 and momentum > 0.8 else momentum

    assert sweep.importance(result_of(axes, f)).shares == sweep.importance(result_of(axes, worst)).shares

    def huge(learning_rate, momentum):
        return 1e9 if learning_rate > 0.25 and momentum > 0.8 else momentum

    assert sweep.importance(result_of(axes, huge)).totals["learning_rate"] > 0.6
    assert sweep.importance(result_of(axes, huge), scale="rank").totals["learning_rate"] < 0.1
    assert sweep.importance(result_of(axes, huge), scale="capped").totals["learning_rate"] == pytest.approx(0.0)


def test_drawn_points_words_and_none_are_decomposed():
    pytest.importorskip("sklearn")
    population = sweep.sample(
        gradtx.sgd, 200, seed=0, learning_rate=sweep.log_uniform(1e-4, 1e-1), momentum=sweep.choice([None, 0.5, 0.9])
    )
    made = sweep.run(
        lambda params, batch: 0 * params + 0 * jnp.mean(batch), jnp.zeros([]), population, jnp.ones(1), steps=1
    )
    values = [math.log10(p["learning_rate"]) + (0.5 if p["momentum"] is None else 0.0) for p in made.points]
    found = sweep.importance(dataclasses.replace(made, final_loss=np.asarray(values)), trees=16)
    rate, momentum = 9 / 12, 0.5**2 * 2 / 9  # variances: three decades, uniform; a third is moved by a half
    assert found.method == "forest"
    assert found.shares[("learning_rate",)] == pytest.approx(rate / (rate + momentum), abs=0.05)
    assert found.shares[("momentum",)] == pytest.approx(momentum / (rate + momentum), abs=0.05)
    assert found.low[("learning_rate",)] < found.shares[("learning_rate",)] < found.high[("learning_rate",)]


def test_what_has_no_variance_to_explain_is_said():
    one = result_of({"learning_rate": [0.1]}, lambda learning_rate: learning_rate)
    lost = result_of({"learning_rate": [0.1, 0.2]}, lambda learning_rate: math.nan)
    flat = result_of({"learning_rate": [0.1, 0.2]}, lambda learning_rate: 1.0)
    assert sweep.importance(flat).totals == {"learning_rate": 0.0}
    for call, words in [
        (lambda: sweep.importance(one), "importance: expected points that differ, found one point"),
        (lambda: sweep.importance(lost), "importance: every lane diverged"),
        (
            lambda: sweep.importance(flat, scale="log"),
            "importance: scale: expected 'value', 'capped' or 'rank', found 'log'",
        ),
        (lambda: sweep.importance(flat, "accuracy"), "metric: expected one of final_loss, found 'accuracy'"),
    ]:
        with pytest.raises(gradtx.TransformationError, match=words):
            call()


# Notes ----------------------------------------------------------------------------------------------------------------


def test_a_best_at_the_edge_says_what_to_try():
    rates = [0.001, 0.01, 0.1]
    high = result_of({"learning_rate": rates}, lambda learning_rate: -learning_rate)
    assert high.notes() == ["the best has learning_rate = 0.1, the largest of 3 values: try larger ones, such as 1"]
    low = result_of({"learning_rate": rates}, lambda learning_rate: learning_rate)
    assert low.notes() == [
        "the best has learning_rate = 0.001, the smallest of 3 values: try smaller ones, such as 0.0001"
    ]
    inside = result_of({"learning_rate": rates}, lambda learning_rate: abs(math.log10(learning_rate) + 2))
    assert inside.notes() == []


def test_the_next_value_follows_the_spacing():
    even = result_of({"learning_rate": [1.0, 2.0, 3.0]}, lambda learning_rate: -learning_rate)
    assert even.notes()[0].endswith("such as 4")
    down = result_of({"learning_rate": [1.0, 2.0, 3.0]}, lambda learning_rate: learning_rate)
    assert down.notes()[0].endswith("such as 0.5")  # never 0
    decay = result_of({"momentum": [0.0, 0.9, 0.99], "learning_rate": [0.1]}, lambda momentum, learning_rate: -momentum)
    assert decay.notes()[0].endswith("such as 0.999")
    none = result_of({"momentum": [0.0, 0.9, 0.99], "learning_rate": [0.1]}, lambda momentum, learning_rate: momentum)
    assert none.notes() == []  # there is nothing below 0


def test_draws_have_an_edge_where_the_best_of_them_crowd_there():
    population = sweep.sample(
        gradtx.sgd, 40, seed=0, learning_rate=sweep.log_uniform(1e-4, 1e-1), momentum=sweep.uniform(0.0, 0.9)
    )
    made = sweep.run(
        lambda params, batch: 0 * params + 0 * jnp.mean(batch), jnp.zeros([]), population, jnp.ones(1), steps=1
    )
    losses = np.asarray([-math.log(point["learning_rate"]) for point in made.points])
    found = dataclasses.replace(made, final_loss=losses).notes()
    assert found[0].startswith("the best draws are at the upper end of learning_rate")
    assert not any("end of momentum" in note for note in found)


def test_lanes_that_diverged_are_counted_with_the_value_from_which_on():
    def f(learning_rate, momentum):
        return math.nan if learning_rate >= 0.3 else abs(learning_rate - 0.2)

    axes = {"learning_rate": [0.1, 0.2, 0.3, 0.4], "momentum": [0.1, 0.5]}
    assert "4 of 8 lanes diverged (50 %): all from learning_rate = 0.3 on" in result_of(axes, f).notes()

    def mixed(learning_rate, momentum):
        return math.nan if learning_rate >= 0.3 or (momentum > 0.3 and learning_rate == 0.1) else learning_rate

    words = "5 of 8 lanes diverged (62 %): all from learning_rate = 0.3 on, and 1 elsewhere"
    assert words in result_of(axes, mixed).notes()
    all_of_them = result_of(axes, lambda learning_rate, momentum: math.nan)
    assert all_of_them.notes() == ["all 8 lanes diverged: try learning_rate below 0.1"]


def test_numbers_that_hardly_matter_are_named():
    axes = {"learning_rate": [0.1, 0.2, 0.3, 0.4], "momentum": [0.1, 0.5, 0.9]}
    found = result_of(axes, lambda learning_rate, momentum: abs(learning_rate - 0.2) + 1e-6 * momentum).notes()
    assert len(found) == 1
    assert found[0].startswith("momentum hardly matters here: ")
    both = result_of(axes, lambda learning_rate, momentum: abs(learning_rate - 0.2) + abs(momentum - 0.5))
    assert both.notes() == []


def test_points_that_cannot_be_told_from_the_best_are_named():
    axes = {"learning_rate": [0.1, 0.2, 0.3, 0.4]}
    f = {0.1: 0.5, 0.2: 0.101, 0.3: 0.1, 0.4: 0.5}
    found = result_of(axes, lambda learning_rate: f[learning_rate], noise=0.01, seeds=5)
    note = next(note for note in found.notes() if "cannot be told" in note)
    assert note.startswith("1 of 3 other points cannot be told from the best over 5 seeds: learning_rate = ")
    apart = result_of(axes, lambda learning_rate: abs(learning_rate - 0.2), noise=1e-4, seeds=5)
    assert not any("cannot be told" in note for note in apart.notes())


def test_the_notes_and_the_intervals_are_in_sweep_json(tmp_path):
    axes = {"learning_rate": [0.001, 0.01, 0.1]}
    found = result_of(axes, lambda learning_rate: -learning_rate, noise=1e-6, seeds=3)
    found.save(tmp_path, report=False)
    kept = json.loads((tmp_path / "sweep.json").read_text())
    assert kept["notes"] == found.notes()
    assert len(kept["notes"]) == 1
    assert [row["final_loss_low"] for row in kept["over_seeds"]] == [
        row["final_loss_low"] for row in found.over_seeds()
    ]


def test_its_picture_has_a_bar_for_each_share_the_largest_above():
    shares = {("a",): 0.7, ("b",): 0.1, ("a", "b"): 0.2}
    ends = [{of: x + by for of, x in shares.items()} for by in (-0.1, 0.1)]
    figure = sweep.Importance("final_loss", "exact", shares, {"a": 0.9, "b": 0.3}, *ends).plot()
    (ax,) = figure.axes
    assert [bar.get_width() for bar in ax.patches] == pytest.approx([10, 20, 70])
    assert [label.get_text() for label in ax.get_yticklabels()] == ["b", "a × b", "a"]
    assert len(ax.collections) == 1  # the intervals
    figure.clf()
