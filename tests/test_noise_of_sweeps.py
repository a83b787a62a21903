"""Seeds: what of a difference is noise, one ranking for all tables, and by which number lanes are ranked."""

import dataclasses
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import gradtx
from gradtx import sweep
from gradtx.sweep._choice.direction import direction_of
from gradtx.sweep._studies.ranking import interval
from gradtx.sweep._studies.student import quantile, two_sided

ROWS = jnp.sin(jnp.arange(64.0)) + 1.0


def bowl(params, batch):
    return jnp.mean((params - batch) ** 2)


@pytest.mark.parametrize("freedom", [1, 2, 3.7, 10, 100, 1e4])
def test_the_tail_and_the_quantile_are_student_s(freedom):
    for t in (0.0, 1e-3, 0.5, 2.0, 10.0, 60.0):
        assert two_sided(t, freedom) == pytest.approx(2 * stats.t.sf(t, freedom), rel=1e-9)
        assert two_sided(-t, freedom) == two_sided(t, freedom)
    for confidence in (0.5, 0.95, 0.999):
        assert quantile(confidence, freedom) == pytest.approx(stats.t.ppf((1 + confidence) / 2, freedom), rel=1e-9)
    assert two_sided(math.inf, freedom) == 0.0
    assert math.isnan(two_sided(math.nan, freedom))


def test_an_interval_does_not_depend_on_the_order_of_the_values():
    values = np.random.default_rng(0).normal(size=5)
    found = {interval(order) for order in itertools.permutations(values.tolist())}
    assert len(found) == 1
    one = found.pop()
    low, high = stats.t.interval(0.95, 4, np.mean(values), stats.sem(values))
    np.testing.assert_allclose([one.low, one.high], [low, high], rtol=1e-9)
    same = interval([0.9] * 3)
    assert (same.mean, same.std, same.low, same.high) == (0.9, 0.0, 0.9, 0.9)
    assert math.isnan(interval([1.0]).low)
    assert math.isnan(interval([1.0, math.nan]).mean)


# One ranking ----------------------------------------------------------------------------------------------------------


def result_of(scores, *, better="higher", losses=None, status=None, steps=None):
    """A sweep whose lanes have these scores, points × seeds."""
    scores = np.asarray(scores, np.float32)
    points, seeds = scores.shape
    population = sweep.grid(gradtx.sgd, learning_rate=[0.1 * (n + 1) for n in range(points)], seeds=range(seeds))
    made = sweep.run(bowl, jnp.zeros([]), population, ROWS, steps=1)
    lost = np.isnan(scores).ravel()
    return dataclasses.replace(
        made, metrics={"accuracy": scores.ravel()}, metric="accuracy", better=better,
        final_loss=np.where(lost, np.nan, np.ones(lost.size) if losses is None else np.ravel(losses)),
        status=made.status if status is None else status,
        steps=made.steps if steps is None else np.asarray(steps),
    )  # fmt: skip


def test_a_lucky_lane_does_not_win_over_points_that_are_sure():
    lucky = [1.0, 1.0, 0.972]
    found = result_of([lucky, [0.99, 0.99, 0.99], [0.985, 0.985, 0.985]])
    assert [row["learning_rate"] for row in found.over_seeds()] == pytest.approx([0.2, 0.3, 0.1])
    assert found.best.point["learning_rate"] == pytest.approx(0.2)
    assert [row["lane"] // 3 for row in found.table()] == [1, 1, 1, 2, 2, 2, 0, 0, 0]
    first = found.over_seeds()[-1]
    assert first["accuracy"] == pytest.approx(np.mean(lucky))
    assert first["accuracy_std"] == pytest.approx(np.std(lucky, ddof=1), rel=1e-5)
    half = stats.t.ppf(0.975, 2) * np.std(lucky, ddof=1) / math.sqrt(3)
    assert first["accuracy_high"] - first["accuracy"] == pytest.approx(half, rel=1e-5)
    lower = result_of([[1.0, 1.0, 0.972], [1.001, 1.001, 1.001], [0.985, 0.985, 0.985]], better="lower")
    assert [row["learning_rate"] for row in lower.over_seeds()] == pytest.approx([0.3, 0.2, 0.1])


def test_ties_are_broken_by_the_lower_mean_final_loss_in_every_table():
    losses = [[0.3, 0.3, 0.3], [0.2, 0.1, 0.3], [0.1, 0.2, 0.0]]
    found = result_of(np.ones((3, 3)), losses=losses)
    assert [row["learning_rate"] for row in found.over_seeds()] == pytest.approx([0.3, 0.2, 0.1])
    assert found.order == [8, 6, 7, 4, 3, 5, 0, 1, 2]
    assert found.best == 8


def test_points_with_lanes_that_diverged_or_were_dropped_come_last():
    nan = math.nan
    found = result_of([[1, nan, nan], [0.2, 0.2, 0.2], [1, 1, nan], [0.9, 0.9, 0.9], [0.8, 0.8, 0.8]],
                      status=["finished"] * 9 + ["finished", "finished", "dropped"] + ["dropped"] * 3,
                      steps=[9] * 9 + [9, 9, 3] + [5, 5, 5])  # fmt: skip
    assert [n // 3 for n in found.order[::3]] == [1, 3, 4, 2, 0]
    assert math.isnan(found.over_seeds()[-1]["accuracy"])


def test_a_point_with_one_seed_comes_after_those_whose_noise_is_known():
    population = sweep.grid(gradtx.sgd, learning_rate=[0.01], seeds=range(3))
    population += sweep.grid(gradtx.sgd, learning_rate=[0.1], seeds=[0])
    found = sweep.run(bowl, jnp.zeros([]), population, ROWS, steps=20, batch_size=4)
    assert min(found.final_loss) == found.final_loss[3]
    assert found.order[-1] == 3


def test_the_lanes_of_the_best_point_are_ranked_as_the_points_are_without_seeds():
    population = sweep.grid(gradtx.sgd, learning_rate=[0.3, 0.01, 0.1])
    found = sweep.run(bowl, jnp.zeros([]), population, ROWS, steps=20)
    assert found.order == np.argsort(found.final_loss).tolist()
    assert [row["seeds"] for row in found.over_seeds()] == [1, 1, 1]


# Comparisons ----------------------------------------------------------------------------------------------------------


def test_a_comparison_is_the_t_test_paired_where_seeds_are_equal():
    rng = np.random.default_rng(1)
    luck = rng.normal(size=6)
    scores = np.stack([luck + 0.1 * rng.normal(size=6), luck + 0.3 + 0.1 * rng.normal(size=6)]).astype(np.float32)
    found = result_of(scores).compare({"learning_rate": 0.1}, {"learning_rate": 0.2})
    a, b = scores.astype(np.float64)
    theirs = stats.ttest_rel(a, b)
    assert found.paired
    assert found.seeds == 6
    assert found.p == pytest.approx(theirs.pvalue, rel=1e-9)
    assert found.difference == pytest.approx(np.mean(a - b), rel=1e-12)
    np.testing.assert_allclose([found.low, found.high], theirs.confidence_interval(0.95), rtol=1e-9)
    assert found.verdict == "different"
    assert "is worse than" in str(found)
    assert stats.ttest_ind(a, b, equal_var=False).pvalue > 0.05  # what the seeds share would have hidden it


def test_a_comparison_without_common_seeds_is_welch_s():
    population = sweep.grid(gradtx.sgd, learning_rate=[0.1], seeds=range(4))
    population += sweep.grid(gradtx.sgd, learning_rate=[0.2], seeds=range(10, 17))
    made = sweep.run(bowl, jnp.zeros([]), population, ROWS, steps=10, batch_size=4)
    found = made.compare({"learning_rate": 0.2}, 0, level=0.1)
    loss = made.final_loss.astype(np.float64)
    theirs = stats.ttest_ind(loss[4:], loss[:4], equal_var=False)
    assert not found.paired
    assert found.p == pytest.approx(theirs.pvalue, rel=1e-9)
    np.testing.assert_allclose([found.low, found.high], theirs.confidence_interval(0.9), rtol=1e-9)


def test_equal_runs_are_noise_and_a_constant_difference_is_none():
    same = result_of([[0.5, 0.6, 0.7]] * 2).compare()
    assert (same.p, same.difference, same.verdict) == (1.0, 0.0, "noise")
    assert "cannot be told apart" in str(same)
    apart = result_of([[0.5, 0.625, 0.75], [0.25, 0.375, 0.5]]).compare()
    assert (apart.p, apart.difference, apart.low, apart.high) == (0.0, 0.25, 0.25, 0.25)
    lost = result_of([[0.5, math.nan, 0.7], [0.5, 0.6, 0.7]]).compare()
    assert lost.verdict == "diverged"
    assert "a lane diverged" in str(lost)


@pytest.mark.parametrize("paired", [True, False])
def test_two_equal_configurations_differ_in_about_5_of_100_repetitions(paired):
    """200 repetitions of two equal configurations with 5 seeds each, in one sweep; 5 ± 3 % are called different."""
    repetitions, seeds = 200, 5

    def loss(params, batch, repetition, side):
        """A bowl whose gradient has a noise of its own on each side, beside that of the batches."""
        noise = jnp.sin(1e3 * jnp.mean(batch) + 97.0 * repetition + 31.0 * side)
        return jnp.mean((params - batch) ** 2) + noise * params

    def seed(n, side, k):
        return (n * 2 + side * (not paired)) * seeds + k

    cells = itertools.product(range(repetitions), range(2), range(seeds))
    rows = [{"learning_rate": 0.1, "repetition": n, "side": side, "seed": seed(n, side, k)} for n, side, k in cells]
    made = sweep.run(
        loss, jnp.zeros([]), sweep.points(gradtx.sgd, rows, numbers=["repetition", "side"]), ROWS, steps=20,
        batch_size=8, width=500, evaluate=lambda params: {"held_out_error": jnp.abs(params - 3.0)},
    )  # fmt: skip
    found = [made.compare({"repetition": n, "side": 0}, {"repetition": n, "side": 1}) for n in range(repetitions)]
    assert {one.paired for one in found} == {paired}
    share = np.mean([one.verdict == "different" for one in found])
    assert 0.02 <= share <= 0.08
    p = np.asarray([one.p for one in found])
    assert stats.kstest(p, "uniform").pvalue > 0.01  # every level is kept, not only 5 %


def test_what_cannot_be_compared_is_said():
    found = result_of([[0.5, 0.6], [0.4, 0.6], [0.3, 0.2]])
    for call, words in [
        (lambda: found.compare({"rate": 0.1}), "a: no point has a 'rate'; there are learning_rate, seed"),
        (lambda: found.compare({"learning_rate": 0.7}), "a: expected one point, found 0 with"),
        (lambda: found.compare({}), "a: expected one point, found 3"),
        (lambda: found.compare(0, "b"), "b: expected a point, or the number of a lane, found 'b'"),
        (lambda: found.compare(0, 17), "b: expected a point, or the number of a lane, found 17"),
        (lambda: found.compare(level=5), "level: expected a number between 0 and 1, found 5"),
        (lambda: result_of([[0.5, 0.6]]).compare(), "expected two points, the sweep has one"),
        (lambda: result_of([[0.5], [0.6]]).compare(), "a: expected a point with two seeds or more"),
    ]:
        with pytest.raises(gradtx.TransformationError, match=words):
            call()


def test_the_best_two_points_are_compared_unless_others_are_given():
    found = result_of([[0.5, 0.5], [0.9, 0.9], [0.7, 0.7]])
    both = found.compare()
    assert (both.a["learning_rate"], both.b["learning_rate"]) == pytest.approx((0.2, 0.3))
    assert found.compare(None, 3).a["learning_rate"] == pytest.approx(0.3)  # the best but the point of lane 3


# By which number ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("accuracy", "higher"), ("held_out_accuracy", "higher"), ("val/acc", "higher"), ("r2", "higher"),
        ("AUC", "higher"), ("macro f1", "higher"), ("log_likelihood", "higher"), ("neg_mean_squared_error", "higher"),
        ("top5_accuracy", "higher"), ("loss", "lower"), ("valLoss", "lower"), ("test-error", "lower"), ("mse", "lower"),
        ("rmse", "lower"), ("mae", "lower"), ("nll", "lower"), ("perplexity", "lower"), ("final_loss", "lower"),
        ("negative_log_likelihood", "lower"), ("size", None), ("accuracy_loss", None), ("mapped", None), ("", None),
    ],
)  # fmt: skip
def test_the_direction_of_a_metric_is_in_its_name(name, way):
    assert direction_of(name) == way


def ridge(params, batch, l2):
    return bowl(params, batch) + l2 * params**2


def test_lanes_are_ranked_by_the_first_number_that_is_held_out():
    population = sweep.grid(gradtx.sgd, learning_rate=0.1, numbers={"l2": [0.0, 1.0, 5.0]})

    def evaluate(params):
        return {"r2": -((params - 0.5) ** 2), "mse": params**2, "accuracy": params}

    found = sweep.run(ridge, jnp.zeros([]), population, ROWS, steps=60, evaluate=evaluate)
    assert (found.metric, found.better) == ("r2", "higher")  # as evaluate returns them, not by the alphabet
    assert found.best.point == {"learning_rate": 0.1, "l2": 1.0}  # 1/(1 + 1), where the penalized loss is not lowest
    assert int(np.argmin(found.final_loss)) == 0
    assert list(found.table()[0]) == ["lane", "learning_rate", "l2", "final_loss", "r2", "mse", "accuracy"]
    by_mse = found.ranked_by("mse")
    assert (by_mse.better, by_mse.best.point["l2"]) == ("lower", 5.0)
    assert found.ranked_by(better="lower").better == "lower"
    assert found.ranked_by("r2", "lower").ranked_by("r2").better == "lower"  # what is not asked for stays
    plain = sweep.run(ridge, jnp.zeros([]), population, ROWS, steps=2)
    assert (plain.metric, plain.better) == ("final_loss", "lower")


def test_a_direction_that_no_name_says_is_asked_for():
    population = sweep.grid(gradtx.sgd, learning_rate=[0.1, 0.2])

    def run(**given):
        evaluate = lambda params: {"size": params}  # noqa: E731
        return sweep.run(bowl, jnp.zeros([]), population, ROWS, steps=2, evaluate=evaluate, **given)

    asked = r"better: lanes are ranked by 'size', the first number that evaluate returns, and .* better='higher'"
    with pytest.raises(gradtx.TransformationError, match=asked):
        run()
    with pytest.raises(gradtx.TransformationError, match="better: lanes are ranked by 'size' and the name does not"):
        run(metric="size")
    with pytest.raises(gradtx.TransformationError, match="the name does not say which way"):
        run(metric="final_loss").ranked_by("size")
    assert run(better="higher").metric == "size"
    assert run(metric="final_loss").better == "lower"


def test_a_search_ranks_as_a_sweep_does():
    pytest.importorskip("optuna")
    found = sweep.search(
        gradtx.sgd, bowl, jnp.zeros([]), ROWS, trials=2, lanes=2, steps=2, progress=False,
        space={"learning_rate": sweep.log_uniform(0.01, 0.1)}, evaluate=lambda params: {"accuracy": params},
    )  # fmt: skip
    assert found.metric == "accuracy"
    assert found.study.direction.name == "MAXIMIZE"
    assert jax.tree.leaves(found.best_value) == [max(row["accuracy"] for row in found.table())]


def test_the_command_line_ranks_a_problem_of_one_s_own_by_what_it_holds_out(tmp_path):
    pytest.importorskip("click")
    import click

    from gradtx._cli.asked import _ranking
    from gradtx._cli.own_problems import own_problem

    def problem(returned):
        file = tmp_path / "problem.py"
        file.write_text(
            "import jax.numpy as jnp\n"
            "def make():\n"
            "    loss = lambda params, batch, l2=0.0: jnp.mean((params - batch) ** 2) + l2 * params**2\n"
            f"    return loss, jnp.zeros([]), jnp.ones(8), lambda params: {returned}\n"
        )
        return own_problem(f"{file}:make", 0)

    assert _ranking(problem("{'accuracy': params, 'mse': params}"), None, None) == ("accuracy", "higher")
    assert _ranking(problem("{'mse': params, 'accuracy': params}"), None, None) == ("mse", "lower")
    assert _ranking(problem("{'mse': params}"), "final_loss", None) == ("final_loss", "lower")
    assert _ranking(problem("{'size': params}"), None, "higher") == ("size", "higher")
    with pytest.raises(click.UsageError, match="the first number that evaluate returns, size: say --better lower"):
        _ranking(problem("{'size': params}"), None, None)


def test_halving_ranks_points_and_not_lucky_lanes():
    """A lane whose seed is lucky at the cut, in a point that is bad on the whole, is dropped with its point."""

    def start(key):
        lucky = jax.random.key_data(key)[-1] == 3
        return jnp.where(lucky, 1.0, 10.0)  # the mean of the rows: nothing is left to learn

    population = sweep.grid(gradtx.sgd, learning_rate=[1e-4, 0.05, 0.4, 2e-4], seeds=range(4))
    halved = sweep.run(bowl, start, population, ROWS, steps=8, select=sweep.halving(2, first=4))
    assert [n for n, status in enumerate(halved.status) if status == "finished"] == list(range(4, 12))
    assert halved.best.point["learning_rate"] == 0.4
