"""Sweeps: populations, lanes that are single runs, divergence that stays where it is, tables and files."""

import csv
import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx
from gradtx import sweep

from .test_fit import START, line, squares

RATES = sweep.grid(gradtx.sgd, learning_rate=[0.01, 0.02])


def ridge(params, batch, l2):
    return squares(params, batch) + l2 * jnp.sum(params["w"] ** 2)


def test_a_grid_has_every_combination_and_its_lanes_are_the_single_transformations():
    population = sweep.grid(gradtx.adam, learning_rate=[0.1, 0.2], b1=(0.5, 0.9, 0.99), eps=1e-6)
    assert population.size == 6
    expected = [{"learning_rate": lr, "b1": b, "eps": 1e-6} for lr in (0.1, 0.2) for b in (0.5, 0.9, 0.99)]
    assert population.points == expected
    for n, point in enumerate(population.points):
        lane = population.lane(n)
        for name, value in gradtx.hyperparameters(gradtx.adam(**point)).items():
            assert float(gradtx.hyperparameters(lane)[name]) == pytest.approx(value, rel=1e-7)


def test_axes_may_be_arrays_and_schedule_arguments_and_fixed_structure():
    def factory(peak, warmup, nesterov):
        return gradtx.sgd(gradtx.warmup_cosine_decay_schedule(0.0, peak, warmup, 50), 0.9, nesterov=nesterov)

    population = sweep.grid(factory, peak=np.geomspace(1e-3, 1e-1, 3), warmup=range(5, 15, 5), nesterov=True)
    assert population.size == 6
    assert population.tx.learning_rate.peak_value.shape == (6,)
    assert population.points[3] == {"peak": pytest.approx(1e-2), "warmup": 10, "nesterov": True}


def test_draws_are_independent_repeatable_and_within_their_bounds():
    space = {"learning_rate": sweep.log_uniform(1e-4, 1e-1), "b1": sweep.uniform(0.8, 0.99), "eps": 1e-8}
    one, again = (sweep.sample(gradtx.adam, 2000, seed=7, **space).points for _ in range(2))
    other = sweep.sample(gradtx.adam, 2000, seed=8, **space).points
    assert one == again != other
    rates, decays = (np.array([point[name] for point in one]) for name in ("learning_rate", "b1"))
    assert rates.min() >= 1e-4
    assert rates.max() <= 1e-1
    assert 0.8 <= decays.min() <= decays.max() < 0.99
    shares = np.histogram(np.log10(rates), bins=[-4, -3, -2, -1])[0] / 2000
    np.testing.assert_allclose(shares, 1 / 3, atol=4 * math.sqrt(2 / 9 / 2000))  # four standard deviations
    assert abs(np.corrcoef(np.log(rates), decays)[0, 1]) < 4 / math.sqrt(2000)


def test_a_choice_is_one_of_its_values():
    points = sweep.sample(gradtx.sgd, 200, seed=0, learning_rate=sweep.choice([0.1, 0.2, 0.4])).points
    assert {point["learning_rate"] for point in points} == {0.1, 0.2, 0.4}


@pytest.mark.parametrize("factory", [gradtx.adam, gradtx.rmsprop, gradtx.lion], ids=lambda f: f.__name__)
def test_a_lane_is_the_single_run_with_its_numbers_baked_in(factory):
    rates = [0.003, 0.01, 0.03]
    result = sweep.run(
        squares, START, sweep.grid(factory, learning_rate=rates), line(), steps=140, batch_size=7, seed=3
    )
    for n, rate in enumerate(rates):
        alone = gradtx.fit(squares, START, factory(rate), line(), steps=140, batch_size=7, seed=3)
        np.testing.assert_allclose(result.params["w"][n], alone.params["w"], rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(result.loss[n], alone.loss, rtol=2e-5, atol=1e-6)
        np.testing.assert_allclose(result.final_loss[n], alone.final_loss, rtol=2e-5)


def test_a_lane_that_diverges_leaves_its_neighbours_bit_for_bit():
    def run(rates):
        return sweep.run(squares, START, sweep.grid(gradtx.sgd, learning_rate=rates), line(), steps=60, batch_size=7)

    sound, ill = run([0.01, 0.02, 0.03, 0.04]), run([0.01, 0.02, 1e30, 0.04])
    assert not np.isfinite(ill.final_loss[2])
    for n in (0, 1, 3):
        np.testing.assert_array_equal(ill.params["w"][n], sound.params["w"][n])
        np.testing.assert_array_equal(ill.loss[n], sound.loss[n])
        np.testing.assert_array_equal(ill.final_loss[n], sound.final_loss[n])
    assert ill.order[-1] == 2
    assert ill.table()[-1]["lane"] == 2


def test_one_program_trains_a_population_and_the_next_one_of_its_size():
    traces = []

    def loss(params, batch):
        traces.append(1)
        return squares(params, batch)

    sweep.run(loss, START, sweep.grid(gradtx.adam, learning_rate=[0.1, 0.2]), line(), steps=100)
    first = len(traces)
    sweep.run(loss, START, sweep.grid(gradtx.adam, learning_rate=[0.3, 0.4]), line(), steps=100)
    assert first <= 3  # the check of its shape, the loop, the final loss
    assert len(traces) == first


def test_the_best_lane_is_a_number_and_knows_what_it_learned():
    population = sweep.grid(gradtx.sgd, learning_rate=[1e-4, 0.1, 1e-3])
    result = sweep.run(
        squares, START, population, line(), steps=50,
        evaluate=lambda params: {"norm": gradtx.tree.norm(params)}, metric="final_loss",
    )  # fmt: skip
    best = result.best
    assert best == 1
    assert best.point == result.points[best] == {"learning_rate": 0.1}
    assert best.final_loss == result.final_loss[1] == min(result.final_loss)
    np.testing.assert_array_equal(best.params["w"], result.params["w"][1])
    assert float(best.tx.learning_rate) == pytest.approx(0.1)
    assert [row["lane"] for row in result.table()] == [1, 2, 0]
    assert result.table()[0]["norm"] == pytest.approx(float(np.linalg.norm(best.params["w"])), rel=1e-6)


def test_a_sweep_saves_its_table_its_losses_and_its_pictures(tmp_path):
    population = sweep.grid(gradtx.adam, learning_rate=[0.01, 0.1], b1=[0.5, 0.9])
    result = sweep.run(squares, START, population, line(), steps=20)
    folder = tmp_path / "out"
    names = ["table.csv", "sweep.json", "loss.npz", "best.npz", "best", "curves.png", "heatmap.png", "report.html"]
    assert result.save(folder) == [folder / name for name in names]
    kept = json.loads((folder / "sweep.json").read_text())
    assert kept["best"]["point"] == result.best.point
    assert kept["table"] == result.table()
    with open(folder / "table.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [{k: float(v) for k, v in row.items()} for row in rows] == result.table()
    np.testing.assert_array_equal(np.load(folder / "loss.npz")["loss"], result.loss)
    for name in ("curves.png", "heatmap.png"):
        assert (folder / name).read_bytes().startswith(b"\x89PNG")
    assert len(result.plot().axes) == 4  # the curves, the heat map, and a scale for each
    other = sweep.run(squares, START, sweep.grid(gradtx.adam, learning_rate=[0.01, 0.1]), line(), steps=20)
    written = other.save(folder, report=False)
    assert {path.name for path in folder.iterdir()} == {path.name for path in written} == {*names[:6]}


def test_lanes_are_ranked_by_another_column_where_that_is_asked_for(tmp_path):
    population = sweep.grid(gradtx.adam, learning_rate=[0.01, 0.1], b1=[0.5, 0.9])
    result = sweep.run(
        squares, START, population, line(), steps=20,
        evaluate=lambda params: {"first": jnp.abs(params["w"][0])}, metric="final_loss",
    )  # fmt: skip
    ranked = result.ranked_by("first", "higher")
    assert ranked.best == int(np.argmax(result.metrics["first"]))
    assert ranked.ranked_by("final_loss", "lower").order == result.order
    result.save(tmp_path, report=False, metric="first", better="higher")
    assert json.loads((tmp_path / "sweep.json").read_text())["best"]["lane"] == ranked.best
    with pytest.raises(
        gradtx.TransformationError, match=r"metric: expected one of final_loss, first, found 'frist'.*did"
    ):
        result.ranked_by("frist")
    with pytest.raises(gradtx.TransformationError, match=r"better: expected 'lower' or 'higher', found 'more'"):
        result.plot(better="more")


def test_stacking_takes_any_transformations_of_one_structure():
    chains = [gradtx.chain(gradtx.clip_by_global_norm(c), gradtx.adam(lr)) for c, lr in ((1.0, 0.1), (2.0, 0.2))]
    population = sweep.stack(chains)
    assert population.points[1]["clip_by_global_norm.max_norm"] == 2.0
    result = sweep.run(squares, START, population, line(), steps=10)
    alone = gradtx.fit(squares, START, chains[1], line(), steps=10)
    np.testing.assert_allclose(result.params["w"][1], alone.params["w"], rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: sweep.grid(gradtx.sgd, learning_rate=[]), r"grid: learning_rate: expected at least one value"),
        (
            lambda: sweep.grid(gradtx.sgd, learning_rate=[0.1, -0.1]),
            r"sgd: learning_rate: expected a number in \[0, inf\)",
        ),
        (lambda: sweep.grid(gradtx.sgd, rate=[0.1]), r"sgd: .*'?rate"),
        (lambda: sweep.stack([]), r"at least one transformation"),
        (lambda: sweep.stack([gradtx.sgd(0.1), gradtx.adam(0.1)]).tx, r"the lanes are of 2 structures"),
        (
            lambda: sweep.stack([gradtx.sgd(lambda step, rate=rate: rate) for rate in range(40)]),
            r"40 lanes of 40 structures, each of which would be compiled: lanes 0 and 1 look alike .*rate: 0 and 1",
        ),
        (lambda: sweep.grid(gradtx.sgd, learning_rate=sweep.uniform(0, 1)), r"grid: learning_rate: .* use sample"),
        (lambda: sweep.zipped(gradtx.sgd, learning_rate=[0.1, 0.2], momentum=[0.9]), r"momentum: expected 2 values"),
        (lambda: sweep.points(gradtx.sgd, []), r"at least one point"),
        (lambda: sweep.points(gradtx.sgd, [{"learning_rate": 0.1, "seed": 1.5}]), r"point 0: seed: expected a whole"),
        (
            lambda: sweep.points(gradtx.sgd, [{"learning_rate": 0.1, "seed": 1}, {"learning_rate": 0.1}]),
            r"point 1 has no seed, but point 0 has",
        ),
        (lambda: sweep.grid(gradtx.sgd, learning_rate=[0.1], numbers={"l2": ["much"]}), r"l2: the loss is given num"),
        (lambda: sweep.grid(gradtx.sgd, l2=[0.1], numbers={"l2": [0.1]}), r"l2: given twice"),
        (lambda: sweep.sample(gradtx.sgd, 0, seed=0, learning_rate=0.1), r"sample: draws: expected a whole number"),
        (lambda: sweep.normal(0.0, -1.0), r"normal: expected a standard deviation above 0"),
        (lambda: sweep.integers(0.5, 2), r"integers: expected whole numbers"),
        (lambda: sweep.one_minus(sweep.choice([1, 2])), r"one_minus: expected a distribution of numbers with bounds"),
        (
            lambda: sweep.run(
                squares, START, RATES + sweep.grid(gradtx.sgd, learning_rate=[1.0], seeds=[1]), line(), steps=3
            ),
            r"populations add up where .* found none and seed",
        ),
        (
            lambda: sweep.run(
                ridge, START, sweep.grid(gradtx.sgd, learning_rate=[1.0], numbers={"l1": [1]}), line(), steps=3
            ),
            r"loss: it takes no number 'l1' \(did you mean 'l2'\?\); it takes l2",
        ),
        (
            lambda: sweep.run(squares, START, RATES, line(), steps=3, devices=9),
            r"devices: expected 1 to 8, all there are",
        ),
        (
            lambda: sweep.run(squares, START, RATES, line(), steps=3, devices="some"),
            r"devices: expected a number, 'all'",
        ),
        (lambda: sweep.run(squares, START, RATES, line(), steps=3, over="loop"), r"over: expected 'vmap' or 'map'"),
        (
            lambda: sweep.run(squares, START, RATES, line(), steps=3, evaluate=lambda p: {"learning_rate": 1.0}),
            r"two columns of the table would be called 'learning_rate'",
        ),
        (lambda: sweep.log_uniform(0.0, 1.0), r"log_uniform: expected 0 < low"),
        (lambda: sweep.uniform(2.0, 1.0), r"uniform: expected low ≤ high, found 2.0 and 1.0"),
        (lambda: sweep.choice([]), r"choice: expected at least one value"),
        (lambda: sweep.run(squares, START, gradtx.adam(0.1), line(), steps=3), r"sweep.run: population: expected"),
        (
            lambda: sweep.run(
                squares, START, sweep.grid(gradtx.sgd, learning_rate=[0.1]), line(), steps=3, batch_size=99
            ),
            r"sweep.run: batch_size: expected at most 60.*found 99",
        ),
    ],
)
def test_a_sweep_refuses(make, message):
    with pytest.raises(gradtx.TransformationError, match=message):
        make()


def test_a_population_is_trained_by_vmap_without_the_loop_too():
    population = sweep.grid(gradtx.adam, learning_rate=[0.01, 0.1])

    def train(tx):
        return gradtx.fit(squares, START, tx, line(), steps=25).final_loss

    result = sweep.run(squares, START, population, line(), steps=25)
    np.testing.assert_allclose(jax.vmap(train)(population.tx), result.final_loss, rtol=1e-5)
    assert isinstance(population.tx.learning_rate, jnp.ndarray)


# More than one structure, numbers of the loss, seeds ------------------------------------------------------------------


def test_zipped_points_and_sums_of_populations_are_what_they_say():
    zipped = sweep.zipped(gradtx.sgd, learning_rate=[0.1, 0.2], momentum=(0.5, 0.9), nesterov=True)
    assert zipped.points == [
        {"learning_rate": 0.1, "momentum": 0.5, "nesterov": True},
        {"learning_rate": 0.2, "momentum": 0.9, "nesterov": True},
    ]
    both = zipped + sweep.grid(gradtx.adam, learning_rate=[0.3])
    assert both.size == 3
    assert [group.lanes for group in both.groups] == [(0, 1), (2,)]
    assert repr(both.lane(2)).startswith("adam(")


def test_optimizers_of_different_structure_train_in_one_sweep_and_stand_in_one_table():
    mixed = sweep.grid(gradtx.sgd, learning_rate=[0.01, 0.02], momentum=[None, 0.9]) + sweep.grid(
        gradtx.adam, learning_rate=[0.1, 0.2]
    )
    assert [group.lanes for group in mixed.groups] == [(0, 2), (1, 3), (4, 5)]
    result = sweep.run(squares, START, mixed, line(), steps=40, batch_size=7)
    made = [gradtx.sgd(0.01), gradtx.sgd(0.01, 0.9), gradtx.sgd(0.02), gradtx.sgd(0.02, 0.9)]
    for n, tx in enumerate([*made, gradtx.adam(0.1), gradtx.adam(0.2)]):
        alone = gradtx.fit(squares, START, tx, line(), steps=40, batch_size=7)
        np.testing.assert_allclose(result.params["w"][n], alone.params["w"], rtol=1e-6, atol=1e-6)
        assert jax.tree.structure(result.lane(n).state) == jax.tree.structure(alone.state)
    rows = result.table()
    assert sorted(row["lane"] for row in rows) == list(range(6))
    assert {row["momentum"] for row in rows} == {None, 0.9}
    assert len({tuple(row) for row in rows}) == 1  # the same columns in every row


def test_numbers_of_the_loss_are_an_axis_like_any_other():
    population = sweep.grid(gradtx.sgd, learning_rate=[0.02, 0.05], numbers={"l2": [0.0, 0.1, 1.0]})
    assert population.points[4] == {"learning_rate": 0.05, "l2": 0.1}
    result = sweep.run(ridge, START, population, line(), steps=50, batch_size=7)
    for n, point in enumerate(population.points):

        def loss(params, batch, l2=point["l2"]):
            return ridge(params, batch, l2)

        alone = gradtx.fit(loss, START, gradtx.sgd(point["learning_rate"]), line(), steps=50, batch_size=7)
        np.testing.assert_allclose(result.params["w"][n], alone.params["w"], rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(result.final_loss[n], alone.final_loss, rtol=1e-5)


def test_a_seed_is_of_the_batches_and_of_initial_parameters_that_are_a_function_of_a_key():
    def start(key):
        return {"w": jax.random.normal(key, (3,))}

    population = sweep.grid(gradtx.adam, learning_rate=[0.01, 0.1], seeds=[3, 8])
    assert [point["seed"] for point in population.points] == [3, 8, 3, 8]
    result = sweep.run(squares, start, population, line(), steps=30, batch_size=7)
    for n, point in enumerate(population.points):
        alone = gradtx.fit(
            squares,
            start(jax.random.key(point["seed"])),
            gradtx.adam(point["learning_rate"]),
            line(),
            steps=30,
            batch_size=7,
            seed=point["seed"],
        )
        np.testing.assert_allclose(result.params["w"][n], alone.params["w"], rtol=1e-6, atol=1e-6)
    rows = result.over_seeds()
    assert [row["seeds"] for row in rows] == [2, 2]
    assert rows[0]["learning_rate"] == 0.1
    own = result.final_loss[2:].astype(np.float64)
    assert rows[0]["final_loss"] == pytest.approx(own.mean())
    assert rows[0]["final_loss_std"] == pytest.approx(own.std(ddof=1))


def test_over_seeds_has_the_same_columns_for_all_structures():
    mixed = sweep.grid(gradtx.adam, learning_rate=[0.1], b1=[0.5, 0.9], seeds=[0, 1])
    mixed += sweep.grid(gradtx.sgd, learning_rate=[0.1], seeds=[0, 1])
    rows = sweep.run(squares, START, mixed, line(), steps=5).over_seeds()
    assert {tuple(row) for row in rows} == {
        ("learning_rate", "b1", "seeds", "final_loss", "final_loss_std", "final_loss_low", "final_loss_high"),
    }
    assert sorted(row["b1"] or 0.0 for row in rows) == [0.0, 0.5, 0.9]


def test_parameters_that_can_be_called_are_parameters():
    @jax.tree_util.register_pytree_node_class
    class Line:
        def __init__(self, w):
            self.w = w

        def __call__(self, x):
            return x @ self.w

        def tree_flatten(self):
            return (self.w,), None

        @classmethod
        def tree_unflatten(cls, _, children):
            return cls(*children)

    def loss(model, batch):
        return jnp.mean((model(batch["x"]) - batch["y"]) ** 2)

    result = sweep.run(loss, Line(START["w"]), RATES, line(), steps=20)
    np.testing.assert_allclose(
        result.params.w, sweep.run(squares, START, RATES, line(), steps=20).params["w"], rtol=1e-6
    )


def test_axes_of_a_transformation_are_its_dotted_names():
    base = gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.sgd(gradtx.linear_schedule(0.1, 0.0, 50)))
    axes = {"sgd.learning_rate.init_value": [0.1, 0.2], "clip_by_global_norm.max_norm": [0.5, 1.0]}
    population = sweep.grid(base, **axes)
    result = sweep.run(squares, START, population, line(), steps=50)
    alone = gradtx.fit(
        squares, START, base.replace({name: values[1] for name, values in axes.items()}), line(), steps=50
    )
    np.testing.assert_allclose(result.params["w"][3], alone.params["w"], rtol=1e-6)


@pytest.mark.parametrize(
    ("distribution", "low", "high", "middle"),
    [
        (sweep.uniform(2.0, 4.0), 2.0, 4.0, 3.0),
        (sweep.log_uniform(1e-4, 1e-2), 1e-4, 1e-2, 1e-3),
        (sweep.one_minus(sweep.log_uniform(1e-3, 1e-1)), 0.9, 0.999, 0.99),
        (sweep.integers(1, 9), 1, 9, 5),
        (sweep.normal(1.0, 2.0), -30.0, 30.0, 1.0),
        (sweep.choice([1.0, 2.0, 7.0]), 1.0, 7.0, 2.0),
    ],
    ids=lambda x: str(x),
)
def test_a_distribution_draws_the_same_in_numpy_and_in_a_compiled_program(distribution, low, high, middle):
    assert distribution.quantile(0.5) == pytest.approx(middle)
    for u in np.linspace(0, 1 - 2**-24, 41).tolist():
        x = float(jax.jit(distribution.traced)(np.float32(u)))
        assert low - 1e-6 <= x <= high + 1e-6
        assert x == pytest.approx(distribution.quantile(float(np.float32(u))), rel=2e-5, abs=1e-5)


def test_60_random_draws_find_the_best_5_percent_in_954_of_1000_sweeps():
    """1 − .95⁶⁰ = .9539; the standard error of 10,000 sweeps is .0021."""
    space = {"learning_rate": sweep.log_uniform(1e-4, 1e-1), "b1": sweep.uniform(0.5, 0.99)}
    rng = np.random.default_rng(0)
    draws = np.array([[d.draw(rng) for d in space.values()] for _ in range(600_000)])
    x, y = np.log(draws[:, 0] / 1e-4) / np.log(1e3), (draws[:, 1] - 0.5) / 0.49  # uniform on the unit square
    disc = (x - 0.7) ** 2 + (y - 0.4) ** 2 < 0.05 / np.pi  # the best 5 % of the space, wherever they are
    assert abs(disc.reshape(10_000, 60).any(axis=1).mean() - 0.954) < 0.006
