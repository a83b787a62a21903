"""Batches from the host: what is drawn, that lanes see the same, and that a run goes on where it stopped."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx
from gradtx import sweep
from gradtx._training.feed import is_source

RATES = sweep.grid(gradtx.sgd, learning_rate=[0.05, 0.1, 0.2, 0.3, 0.4, 0.5])


def loss(params, batch):
    return jnp.mean((params["w"] - batch) ** 2)


def mean_of(batch):
    return float(np.mean(batch))


def batches(many, size=2):
    for n in range(many):
        yield np.arange(n, n + size, dtype=np.float32) % 7


class Again:
    """Batches that can be read again, in another order each time."""

    def __init__(self, many):
        self.many, self.times = many, 0

    def __iter__(self):
        self.times += 1
        return iter([batch + np.float32(self.times) for batch in batches(self.many)])


class Stateful:
    """An iterator that says where it stands."""

    def __init__(self, many, as_bytes=False):
        self.many, self.n, self.as_bytes = many, 0, as_bytes

    def __iter__(self):
        return self

    def __next__(self):
        if self.n == self.many:
            raise StopIteration
        self.n += 1
        return np.full(2, self.n % 5, np.float32)

    def get_state(self):
        return str(self.n).encode() if self.as_bytes else {"n": self.n}

    def set_state(self, state):
        self.n = int(state) if self.as_bytes else state["n"]


def by_hand(drawn, rate, w=0.0):
    for batch in drawn:
        w -= rate * 2 * (w - mean_of(batch))
    return w


START = {"w": jnp.zeros([])}


@pytest.mark.parametrize("data", [{"a": 1.0}, [1.0], (1.0,), np.zeros(3), jnp.zeros(3), "ab", {}, None])
def test_a_tree_is_no_source_of_batches(data):
    assert not is_source(data)


def test_a_fit_trains_on_what_is_drawn_and_draws_no_more():
    source = batches(100)
    run = gradtx.fit(loss, START, gradtx.sgd(0.1), source, steps=60)
    np.testing.assert_allclose(run.params["w"], by_hand(batches(60), 0.1), rtol=1e-6)
    assert len(list(source)) == 40
    assert len(run.loss) == 60
    np.testing.assert_allclose(run.final_loss, np.mean(run.loss[-2:]), rtol=1e-6)
    again = Again(4)
    gradtx.fit(loss, START, gradtx.sgd(0.1), again, steps=10)
    assert again.times == 3  # 4 + 4 + 2
    held = gradtx.fit(loss, START, gradtx.sgd(0.1), batches(60), steps=60, held_out=np.zeros(3, np.float32))
    np.testing.assert_allclose(held.final_loss, by_hand(batches(60), 0.1) ** 2, rtol=1e-5)


def test_an_iterator_that_ends_early_says_when_and_keeps_what_was_trained(tmp_path):
    with pytest.raises(gradtx.TransformationError, match="fit: data: the iterator ended after 13 batches") as caught:
        gradtx.fit(loss, START, gradtx.sgd(0.1), batches(13), steps=200)
    run = caught.value.result
    np.testing.assert_allclose(run.params["w"], by_hand(batches(13), 0.1), rtol=1e-6)
    assert (int(run.steps), run.reason, len(run.loss)) == (13, "the data ended", 13)
    with pytest.raises(gradtx.TransformationError, match="data: the iterator ended after 13") as caught:
        sweep.run(loss, START, RATES, Stateful(13), steps=200, folder=tmp_path)
    swept = caught.value.result
    assert (swept.steps.tolist(), set(swept.status)) == ([13] * 6, {"stopped"})
    longer = sweep.run(loss, START, RATES, Stateful(200), steps=200, folder=tmp_path)
    whole = sweep.run(loss, START, RATES, Stateful(200), steps=200)
    np.testing.assert_array_equal(longer.params["w"], whole.params["w"])


def test_batches_that_change_are_an_error_that_names_batch_and_leaf():
    def growing(key):
        yield from ({"x": np.zeros(2, np.float32), "y": np.zeros(1, np.float32)} for _ in range(7))
        yield {"x": np.zeros(1, np.float32), key: np.zeros(1, np.float32)}

    def of_x(params, batch):
        return jnp.mean((params["w"] - batch["x"]) ** 2)

    for key, message in {
        "y": r"batch 7: leaf x: expected float32\[2\], like the first, found float32\[1\]",
        "z": "batch 7: expected the structure",
    }.items():
        with pytest.raises(gradtx.TransformationError, match="fit: data: " + message) as caught:
            gradtx.fit(of_x, START, gradtx.sgd(0.1), growing(key), steps=20)
        assert int(caught.value.result.steps) == 7

    def broken():
        yield np.zeros(2, np.float32)
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone") as caught:
        gradtx.fit(loss, START, gradtx.sgd(0.1), broken(), steps=20)
    assert int(caught.value.result.steps) == 1


def test_lanes_see_the_same_batches_whatever_chunks_devices_and_selection():
    whole = sweep.run(loss, START, RATES, batches(60), steps=60)
    for n, point in enumerate(RATES.points):
        np.testing.assert_allclose(whole.params["w"][n], by_hand(batches(60), point["learning_rate"]), rtol=1e-6)
    for options in ({"lanes_at_once": 4, "devices": 1}, {"devices": 2, "width": 4}):
        other = sweep.run(loss, START, RATES, batches(60), steps=60, **options)
        np.testing.assert_array_equal(other.params["w"], whole.params["w"])
        np.testing.assert_array_equal(other.loss, whole.loss)
    halved = sweep.run(
        loss, START, RATES, batches(60), steps=60, select=sweep.halving(2), held_out=np.ones(2, np.float32)
    )
    last = halved.status.index("finished")
    np.testing.assert_array_equal(halved.params["w"][last], whole.params["w"][last])
    np.testing.assert_allclose(halved.final_loss[last], (whole.params["w"][last] - 1) ** 2, rtol=1e-5)
    mixed = RATES + sweep.grid(gradtx.adam, learning_rate=[0.1])
    np.testing.assert_array_equal(sweep.run(loss, START, mixed, batches(60), steps=60).loss[:6], whole.loss)


@pytest.mark.parametrize("source", [lambda: Again(7), lambda: Stateful(99), lambda: Stateful(99, as_bytes=True)])
def test_a_sweep_goes_on_where_its_source_stood(tmp_path, source):
    options = {"steps": 60, "select": sweep.halving(2)}
    whole = sweep.run(loss, START, RATES, source(), **options)
    sweep.run(loss, START, RATES, source(), folder=tmp_path, callback=lambda p: p.step >= 17, **options)
    resumed = sweep.run(loss, START, RATES, source(), folder=tmp_path, **options)
    np.testing.assert_array_equal(resumed.params["w"], whole.params["w"])
    np.testing.assert_array_equal(resumed.loss, whole.loss)
    np.testing.assert_array_equal(resumed.final_loss, whole.final_loss)


def test_a_generator_cannot_go_on_and_nothing_is_lost(tmp_path):
    sweep.run(loss, START, RATES, batches(60), steps=60, folder=tmp_path, callback=lambda p: p.step >= 17)
    before = sorted((path.name, path.stat().st_size) for path in tmp_path.rglob("*"))
    with pytest.raises(gradtx.TransformationError, match=r"17 batches .* a generator cannot say where it stands"):
        sweep.run(loss, START, RATES, batches(60), steps=60, folder=tmp_path)
    assert sorted((path.name, path.stat().st_size) for path in tmp_path.rglob("*")) == before
    with pytest.raises(gradtx.TransformationError, match=r"holds another sweep: .*data is batches of a generator"):
        sweep.run(loss, START, RATES, (batch[:1] for batch in batches(60)), steps=60, folder=tmp_path)


def test_long_strides_are_cut_by_bytes_and_read_ahead_by_a_thread(monkeypatch):
    import threading

    from gradtx._training import feed

    monkeypatch.setattr(feed, "BYTES", 3 * 2 * 4)
    names, counted = set(), itertools.count()

    def watched():
        for batch in batches(500):
            names.add(threading.current_thread().name)
            next(counted)
            yield batch

    steps = []
    run = gradtx.fit(loss, START, gradtx.sgd(0.1), watched(), steps=300, callback=lambda p: steps.append(p.step))
    assert steps[:3] == [3, 6, 9]
    assert any(name.startswith("gradtx-feed") for name in names)
    assert next(counted) == 300
    np.testing.assert_allclose(run.params["w"], by_hand(batches(300), 0.1), rtol=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: gradtx.fit(loss, START, gradtx.sgd(0.1), batches(9), steps=9, batch_size=3),
            "batch_size: an iterable",
        ),
        (lambda: gradtx.fit(loss, START, gradtx.sgd(0.1), iter([]), steps=9), "found one without any"),
        (lambda: gradtx.fit(loss, START, gradtx.sgd(0.1), batches(9), steps=9, has_aux=True), "give held_out="),
        (
            lambda: sweep.search(
                gradtx.sgd, loss, START, batches(9), trials=2, steps=3, space={"learning_rate": sweep.uniform(0, 1)}
            ),
            "data: an iterator serves one batch of trials",
        ),
        (
            lambda: jax.jit(lambda w: gradtx.fit(loss, {"w": w}, gradtx.sgd(0.1), batches(9), steps=9).loss)(0.0),
            "an iterable is read by the host",
        ),
    ],
)
def test_refuses(call, message):
    with pytest.raises((gradtx.TransformationError, TypeError), match=message):
        call()


def test_grain_goes_on_where_it_stood(tmp_path):
    import grain

    def source():
        rows = grain.MapDataset.source(np.arange(40, dtype=np.float32)).shuffle(seed=1).repeat()
        return rows.to_iter_dataset().batch(4)

    options = {"steps": 30}
    whole = sweep.run(loss, START, RATES, source(), **options)
    sweep.run(loss, START, RATES, source(), folder=tmp_path, callback=lambda p: p.step >= 11, **options)
    resumed = sweep.run(loss, START, RATES, source(), folder=tmp_path, **options)
    np.testing.assert_array_equal(resumed.params["w"], whole.params["w"])
