"""Selection in a sweep: halving, Hyperband, populations that evolve, lanes that stop."""

import math

import numpy as np
import pytest

import gradtx
from gradtx import sweep
from gradtx._prove.searches import best

from .test_fit import START, line, squares

RATES = np.geomspace(1e-4, 1e-1, 16).tolist()


def rates(**options):
    return sweep.run(squares, START, sweep.grid(gradtx.sgd, learning_rate=RATES), line(), **{"steps": 80, **options})


def test_halving_is_the_paper_step_by_step():
    """By hand: every lane alone, and of those that are left the better half at 5, 10, 20 and 40 steps."""
    alone = [gradtx.fit(squares, START, gradtx.sgd(rate), line(), steps=1).final_loss for rate in RATES]
    left, taken = list(range(16)), np.zeros(16, int)
    for before, step, keep in ((0, 5, 8), (5, 10, 4), (10, 20, 2), (20, 40, 1), (40, 80, 1)):
        taken[left] += step - before
        alone = {n: gradtx.fit(squares, START, gradtx.sgd(RATES[n]), line(), steps=step).final_loss for n in left}
        left = sorted(sorted(left, key=lambda n: alone[n])[:keep])
    result = rates(select=sweep.halving(2))
    assert result.steps.tolist() == taken.tolist()
    assert result.steps_spent == taken.sum() == 16 * 5 + 8 * 5 + 4 * 10 + 2 * 20 + 1 * 40
    assert [n for n, status in enumerate(result.status) if status == "finished"] == left == [result.best]
    assert result.order[1] in np.flatnonzero(taken == 40)  # who was dropped late comes first
    for n in (0, 5, left[0]):
        run = gradtx.fit(squares, START, gradtx.sgd(RATES[n]), line(), steps=int(taken[n]))
        np.testing.assert_allclose(result.lane(n).params["w"], run.params["w"], rtol=1e-6)
        assert result.lane(n).final_loss == pytest.approx(float(run.final_loss), rel=1e-6)
        assert np.isfinite(result.loss[n]).sum() == taken[n]


def test_a_survivor_is_what_it_is_without_selection():
    whole, halved = rates(), rates(select=sweep.halving(4))
    np.testing.assert_array_equal(halved.best.params["w"], whole.lane(halved.best).params["w"])


@pytest.mark.parametrize(
    ("selection", "steps", "lanes", "expected"),
    [
        (sweep.halving(3), 81, 81, [(1, 27), (3, 9), (9, 3), (27, 1)]),
        (sweep.halving(3), 81, 20, [(9, 6), (27, 2)]),
        (sweep.halving(2, first=25), 100, 64, [(25, 32), (50, 16)]),
        (sweep.halving(2), 3, 64, [(2, 32)]),
        (sweep.halving(2), 100, 1, []),
    ],
)
def test_cuts_of_halving(selection, steps, lanes, expected):
    assert [(cut.step, cut.keep) for cut in selection.cuts(steps, lanes)] == expected


def test_hyperband_has_the_papers_brackets():
    """Li et al. 2018, Table 1: R = 81, η = 3."""
    band = sweep.hyperband(3)
    table = {
        81: [(1, 27), (3, 9), (9, 3), (27, 1)],
        34: [(3, 11), (9, 3), (27, 1)],
        15: [(9, 5), (27, 1)],
        8: [(27, 2)],
    }
    found = {}
    for cut in band.cuts(81, band.lanes(81)):
        found.setdefault(len(cut.lanes), []).append((cut.step, cut.keep))
    assert found == table
    assert band.lanes(81) == 81 + 34 + 15 + 8 + 5


def test_hyperband_shares_out_another_number_of_lanes_and_runs():
    band = sweep.hyperband(2, brackets=3)
    assert sorted({cut.lanes for cut in band.cuts(80, 16)}) == [tuple(range(6)), tuple(range(6, 11))]
    result = rates(select=band)
    assert sorted(set(result.steps.tolist())) == [20, 40, 80]
    assert result.steps_spent == result.steps.sum() < 16 * 80
    assert set(result.steps[11:]) == {80}


def test_a_metric_and_its_direction_decide():
    def evaluate(params):
        return {"size": gradtx.tree.norm(params)}

    high = rates(select=sweep.halving(2), evaluate=evaluate, metric="size", better="higher")
    low = rates(select=sweep.halving(2), evaluate=evaluate, metric="size", better="lower")
    assert (high.best, low.best) == (15, 0)
    assert high.table()[0]["size"] == max(high.metrics["size"])


def test_lanes_that_diverged_lose_first():
    ill = sweep.grid(gradtx.sgd, learning_rate=[1e30, 0.01, 1e30, 0.02])
    result = sweep.run(squares, START, ill, line(), steps=64, select=sweep.halving(2))
    assert result.best == 3
    assert [result.status[n] for n in (0, 2)] == ["diverged", "diverged"]
    assert result.table()[-1]["lane"] in (0, 2)


# Populations that evolve ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(1, 5))
def test_the_papers_toy_populations_reach_1_2_where_a_grid_stops_at_0_4(seed):
    """Jaderberg et al. 2017, Figure 2; with seed 0 it is a row of ``python -m gradtx prove``."""
    assert best(seed, evolves=False) == pytest.approx(1.2 - 0.81, abs=1e-4)
    assert best(seed, evolves=True) > 1.19


def test_who_exploits_goes_on_from_the_other_and_the_history_says_so():
    first = sweep.grid(gradtx.sgd, learning_rate=[1e-5, 1e-4, 1e-3, 0.05])
    result = sweep.run(squares, START, first, line(), steps=20, select=sweep.population_based(10, factors=(0.5,)))
    assert result.history.steps.tolist() == [10]
    assert result.history.parents.tolist() == [[3, 1, 2, 3]]
    numbers = result.history.numbers["sgd.learning_rate"]
    np.testing.assert_allclose(numbers, [[1e-5, 1e-4, 1e-3, 0.05], [0.025, 1e-4, 1e-3, 0.05]], rtol=1e-6)
    half = gradtx.fit(squares, START, gradtx.sgd(0.05), line(), steps=10)
    rest = gradtx.fit(squares, half.params, gradtx.sgd(0.025), line(), steps=10)
    np.testing.assert_allclose(result.lane(0).params["w"], rest.params["w"], rtol=1e-5)
    assert result.history.lineage(0) == [3, 0]
    assert result.history.schedule(0)["sgd.learning_rate"].tolist() == pytest.approx([0.05, 0.025])
    assert result.lane(0).tx.learning_rate == pytest.approx(0.025)
    row = next(row for row in result.table() if row["lane"] == 0)  # how it began, and how it ended
    assert (row["learning_rate"], row["learning_rate_at_the_end"]) == (1e-5, pytest.approx(0.025))


def test_a_decay_is_explored_as_its_complement_and_stays_one():
    first = sweep.grid(gradtx.adam, learning_rate=[1e-4, 1e-3, 1e-2, 0.1], b1=[0.9, 0.99])
    result = sweep.run(squares, START, first, line(), steps=60, select=sweep.population_based(5, factors=(0.1, 10.0)))
    b1 = result.history.numbers["adam.b1"]
    assert b1.min() >= 0
    assert b1.max() < 1
    moved = 1 - b1[1][result.history.parents[0] != np.arange(8)]
    source = 1 - b1[0][result.history.parents[0][result.history.parents[0] != np.arange(8)]]
    for new, old in zip(moved, source, strict=True):
        assert min(abs(new / old - 0.1), abs(new / old - 10.0), abs(new - 1.0)) < 1e-3
    assert "adam.b2" in result.history.numbers
    assert len(np.unique(result.history.numbers["adam.b2"])) == 1  # it is the same in all lanes, so it is left alone


def test_arguments_of_schedules_evolve_by_their_names():
    def factory(peak):
        return gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.sgd(gradtx.linear_schedule(peak, 0.0, 40)))

    first = sweep.grid(factory, peak=[1e-4, 1e-3, 1e-2, 0.1])
    space = {"init_value": sweep.log_uniform(0.2, 0.4)}
    result = sweep.run(
        squares, START, first, line(), steps=40, select=sweep.population_based(10, resample=1.0, space=space)
    )
    column = result.history.numbers["sgd.learning_rate.init_value"]
    copied = result.history.parents[0] != np.arange(4)
    assert np.all((column[1][copied] >= 0.2) & (column[1][copied] <= 0.4))


# Lanes that stop ------------------------------------------------------------------------------------------------------


def test_a_lane_that_diverges_stops_there_and_costs_nothing_more():
    mixed = sweep.grid(gradtx.sgd, learning_rate=[1e30, 1e30, 1e30, 1e30, 0.01, 0.02, 0.03, 0.04])
    result = sweep.run(squares, START, mixed, line(), steps=100, stop_diverged=True)
    one_step = sweep.run(squares, START, mixed, line(), steps=1).lane(0)
    assert result.status == ["diverged"] * 4 + ["finished"] * 4
    assert result.steps.tolist() == [1, 1, 1, 1, 100, 100, 100, 100]  # the loss before the second step is not finite
    assert result.steps_spent == 404
    assert np.all(np.isnan(result.loss[:4, 1:]))
    np.testing.assert_array_equal(result.lane(0).params["w"], one_step.params["w"])
    plain = sweep.run(squares, START, mixed, line(), steps=100)
    np.testing.assert_array_equal(plain.params["w"][4:], result.params["w"][4:])


def test_patience_stops_a_lane_that_gets_no_better():
    """By hand: a lane whose loss is no new best three records in a row."""
    mixed = sweep.grid(gradtx.sgd, learning_rate=[0.0, 0.01, 1.2])
    result = sweep.run(squares, START, mixed, line(), steps=60, patience=3, record_every=2)
    whole = sweep.run(squares, START, mixed, line(), steps=60, record_every=2)
    for n in range(3):
        best, since, steps = math.inf, 0, 60
        for k, loss in enumerate(whole.loss[n].tolist()):
            best, since = (loss, 0) if loss < best else (best, since + 1)
            if since == 3:
                steps = 2 * (k + 1)
                break
        assert result.steps[n] == steps
        assert np.isfinite(result.loss[n]).sum() == -(-steps // 2) or result.status[n] == "diverged"
    assert result.steps[0] == 8
    assert result.status[:2] == ["stalled", "finished"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: sweep.halving(1), r"halving: eta: expected a number above 1, found 1"),
        (lambda: sweep.halving(3, first=0), r"halving: first: expected a whole number, 1 or more, found 0"),
        (lambda: rates(select=sweep.halving(3, first=100)), r"halving: first: expected at most 80"),
        (lambda: rates(select=sweep.hyperband(3, brackets=9)), r"hyperband: brackets: at most 4 fit into 80 steps"),
        (lambda: sweep.hyperband(3).cuts(81, 2), r"hyperband: expected at least 5 lanes, one a bracket, found 2"),
        (lambda: sweep.population_based(0), r"population_based: every: expected a whole number"),
        (lambda: sweep.population_based(5, fraction=0.9), r"fraction: expected a number in \(0, 0.5\], found 0.9"),
        (lambda: sweep.population_based(5, factors=(0.0,)), r"factors: expected positive numbers"),
        (lambda: sweep.population_based(5, space={"a": 3}), r"space: a: expected a distribution"),
        (
            lambda: rates(select=sweep.population_based(5, space={"learning_rat": sweep.uniform(0, 1)})),
            r"space: learning_rat: no lane has it \(did you mean 'sgd.learning_rate'\?\)",
        ),
        (lambda: rates(select="halving"), r"select: expected halving\(...\), hyperband\(...\) or population_based"),
        (lambda: rates(patience=0), r"patience: expected a whole number, 1 or more, found 0"),
        (lambda: rates(metric="final_los"), r"metric: expected one of final_loss, found 'final_los' \(did you mean"),
        (lambda: rates(better="more"), r"better: expected 'lower' or 'higher', found 'more'"),
    ],
)
def test_selection_refuses(make, message):
    with pytest.raises(gradtx.TransformationError, match=message):
        make()


def test_selection_is_traced_once():
    traces = []

    def loss(params, batch):
        traces.append(1)
        return squares(params, batch)

    sweep.run(loss, START, sweep.grid(gradtx.sgd, learning_rate=RATES), line(), steps=64, select=sweep.halving(2))
    assert len(traces) <= 3
