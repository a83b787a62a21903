"""Lanes in tiles: their bits depend on no neighbour, chunk or device, and nothing waits for another device."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx
from gradtx import sweep
from gradtx.sweep._engine import course, lanes

from .test_fit import START, line, squares

pytestmark = pytest.mark.slow


def perceptron(params, batch):
    hidden = jnp.tanh(batch["x"] @ params["w"] + params["b"][None])
    return jnp.mean((hidden @ params["v"] - batch["y"]) ** 2)


def start(key):
    one, two = jax.random.split(key)
    return {"w": jax.random.normal(one, (3, 7)), "b": jnp.zeros(7), "v": jax.random.normal(two, (7,))}


def population(n=22):
    """Rates up to where training is chaotic, so that a last bit that differs grows until it is seen."""
    space = {"learning_rate": sweep.log_uniform(1e-3, 3.0), "b1": sweep.uniform(0.0, 0.95)}
    return sweep.sample(gradtx.adam, n, seed=1, **space)


def run(population, **options):
    given = {"steps": 120, "batch_size": 7, "seed": 3, "record_every": 5} | options
    return sweep.run(perceptron, start, population, line(), **given)


def assert_same_bits(a, b):
    for x, y in zip(jax.tree.leaves((a.params, a.state)), jax.tree.leaves((b.params, b.state)), strict=True):
        np.testing.assert_array_equal(x, y)
    np.testing.assert_array_equal(a.loss, b.loss)
    np.testing.assert_array_equal(a.final_loss, b.final_loss)
    assert (a.points, a.status, a.steps.tolist()) == (b.points, b.status, b.steps.tolist())


@pytest.fixture(scope="module")
def whole():
    return run(population(), devices=jax.devices()[:1])


@pytest.mark.parametrize(
    "options",
    [
        {"lanes_at_once": 8},
        {"lanes_at_once": 1},
        {"devices": 3},
        {"devices": 2, "lanes_at_once": 8},
    ],
    ids=["chunks of 8", "as small as can be", "3 devices", "both"],
)
def test_chunked_and_sharded_is_whole_bit_for_bit(whole, options):
    assert_same_bits(run(population(), **options), whole)


def test_chunked_and_sharded_with_seeds_selection_and_stops_is_whole_bit_for_bit():
    seeded = sweep.grid(gradtx.adam, learning_rate=np.geomspace(1e-3, 3.0, 5), b1=[0.0, 0.9], seeds=range(2))
    for more in ({"select": sweep.halving(2)}, {"select": sweep.population_based(30)}, {"patience": 3}):
        one = run(seeded, devices=jax.devices()[:1], **more)
        assert_same_bits(run(seeded, lanes_at_once=8, devices=2, **more), one)


def test_a_lane_does_not_depend_on_its_neighbours_or_its_place(whole):
    order = np.random.default_rng(0).permutation(22)
    space = population().points
    moved = run(sweep.points(gradtx.adam, [space[n] for n in order]))
    for x, y in zip(jax.tree.leaves(moved.params), jax.tree.leaves(whole.params), strict=True):
        np.testing.assert_array_equal(x, y[order])


def test_a_lane_that_is_mapped_is_its_fit_bit_for_bit():
    few = population(5)
    mapped = run(few, over="map")
    for n, point in enumerate(few.points):
        tx = few.lane(n)
        assert float(tx.learning_rate) == pytest.approx(point["learning_rate"], rel=1e-7)
        alone = gradtx.fit(perceptron, start(jax.random.key(3)), tx, line(), steps=120, batch_size=7, seed=3)
        for x, y in zip(jax.tree.leaves(mapped.lane(n).params), jax.tree.leaves(alone.params), strict=True):
            np.testing.assert_array_equal(x, y)
        assert mapped.final_loss[n] == alone.final_loss


def test_the_size_of_a_chunk_comes_from_the_compiled_program(monkeypatch):
    asked, sizes = [], []
    needed, train = course.bytes_needed, course.train
    monkeypatch.setattr(course, "bytes_needed", lambda *args: asked.append(needed(*args)) or asked[-1])
    monkeypatch.setattr(course, "train", lambda *args: sizes.append(len(args[3].alive)) or train(*args))
    alone = {"steps": 20, "devices": jax.devices()[:1]}
    whole = run(population(64), **alone)
    assert len(asked) == 1
    assert set(sizes) == {64}
    rows = gradtx.tree.nbytes((whole.params, whole.state))
    assert rows < asked[0] < 50 * rows
    sizes.clear()
    small = run(population(64), **alone, memory=asked[0] // 2)
    assert max(asked[1:]) == asked[0]
    assert asked[-1] <= asked[0] // 2
    assert 4 <= max(sizes) <= 32
    assert_same_bits(small, whole)


def test_lanes_are_spread_over_all_devices_and_no_training_step_waits_for_another(monkeypatch):
    places, train = [], course.train

    def watched(program, settings, data, rows, *numbers):
        places.append(rows.params["w"].sharding.device_set)
        if len(places) > 1:
            return train(program, settings, data, rows, *numbers)
        text = lanes.train.lower(program, settings, data, rows, *numbers).compile().as_text()
        assert not re.findall(r"all-reduce|all-gather|all-to-all|collective-permute|reduce-scatter", text)
        return train(program, settings, data, rows, *numbers)

    monkeypatch.setattr(course, "train", watched)
    run(population(24), devices="all", steps=1)
    assert {device for devices in places for device in devices} == set(jax.devices())
    assert all(len(devices) == 1 for devices in places)


def test_one_compilation_whatever_the_numbers_and_however_many_lanes_are_left():
    before = lanes.train._cache_size()
    for factor in (1.0, 2.0):
        rates = (factor * np.geomspace(1e-3, 1e-1, 16)).tolist()
        sweep.run(
            squares, START, sweep.grid(gradtx.adam, learning_rate=rates), line(), steps=64, select=sweep.halving(2)
        )
    assert lanes.train._cache_size() == before + 1


def test_another_width_is_the_same_to_rounding():
    tame = sweep.grid(gradtx.adam, learning_rate=np.geomspace(1e-3, 1e-2, 6))
    one, other = run(tame), run(tame, width=6)
    np.testing.assert_allclose(one.final_loss, other.final_loss, rtol=1e-5)
