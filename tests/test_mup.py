"""μP: its table, the transfer of the best rate to wider networks, and the coordinate check."""

import functools

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.datasets import load_digits

import gradtx
from gradtx import sweep, tune

HIDDEN, BASE = 3, 32


def shapes(n):
    return {
        "embed": jnp.zeros((8, n)), "bias": jnp.zeros(n), "mid": jnp.zeros((n, 4 * n)), "out": jnp.zeros((4 * n, 3)),
        "conv": jnp.zeros((3, 3, n, n)), "free": jnp.zeros(3),
    }  # fmt: skip


# Tensor Programs V, Table 3, with fan-in and fan-out in units of those at the base: columns input and bias, hidden,
# output; the variance of the initial parameters is relative to 1/fan-in.
R = 4.0
TABLE = {
    "adam": {"embed": 1, "bias": 1, "mid": 1 / R, "conv": 1 / R, "out": 1 / R, "free": 1},
    "sgd": {"embed": R, "bias": R, "mid": 1, "conv": 1, "out": 1 / R, "free": 1},
}
VARIANCE = {"embed": 1, "bias": 1, "mid": 1, "conv": 1, "out": 1 / R, "free": 1}


@pytest.mark.parametrize("optimizer", TABLE)
def test_the_factors_are_those_of_table_3(optimizer):
    found = tune.mup(shapes(16), shapes(64), optimizer)
    assert found.rate == TABLE[optimizer]
    assert {name: x**2 for name, x in found.init.items()} == VARIANCE
    assert {name: found.rate[name] * x for name, x in found.decay.items()} == dict.fromkeys(VARIANCE, 1.0)
    assert found.role == {
        "embed": "input", "bias": "vector", "mid": "hidden", "conv": "hidden", "out": "output", "free": "fixed"
    }  # fmt: skip


@pytest.mark.parametrize(("n_in", "n_out"), [(8, 64), (64, 64), (64, 256), (64, 3)])
def test_muons_step_has_the_spectral_norm_of_the_condition(n_in, n_out):
    """‖ΔW‖ ∝ √(n_out/n_in): four times as wide, the spectral norm of a step is as it must be, whatever the shape."""

    def norm(wide):
        def shape(n):
            return (n if n == 8 or n == 3 else n * wide) if wide > 1 else n

        params = {"w": jnp.zeros((shape(n_in), shape(n_out)))}
        factors = tune.mup({"w": jnp.zeros((n_in, n_out))}, params, "muon")
        tx = factors.scaled(gradtx.muon(1.0, ((1.5, -0.5, 0.0),) * 20, ns_steps=20))
        gradient = {"w": jax.random.normal(jax.random.key(0), params["w"].shape)}
        return float(jnp.linalg.norm(tx.update(gradient, tx.init(params), params)[0]["w"], 2)), params["w"].shape

    (before, old), (after, new) = norm(1), norm(4)
    wanted = ((new[1] / new[0]) / (old[1] / old[0])) ** 0.5
    np.testing.assert_allclose(after / before, wanted, rtol=1e-5)


def test_the_spectral_form_looks_at_sizes():
    """σ ∝ min(1, √(n_out/n_in))/√n_in: from 64 × 16 to 64 × 256 the matrix is square on the way."""
    base, wide = {"w": jnp.zeros((64, 16))}, {"w": jnp.zeros((64, 256))}
    assert tune.mup(base, wide).init["w"] == 1.0
    assert tune.mup(base, wide, form="spectral").init["w"] == 2.0  # 1 in place of √(16/64)


def test_axes_are_said_by_pattern_where_they_are_in_doubt():
    base, wide = ({"query": jnp.zeros((n, 2, n // 2)), "last": jnp.zeros(n)} for n in (8, 32))
    with pytest.raises(gradtx.TransformationError, match=r"leaf query: axis 0 grows from 8 to 32.*axes=\{'query': "):
        tune.mup(base, wide)
    found = tune.mup(base, wide, axes={"query": (0, (1, 2))})
    assert found.rate == {"query": 0.25, "last": 1.0}
    assert tune.mup(base, wide, axes={"query": (0, (1, 2)), "last": (0, ())}).rate["last"] == 0.25  # an output vector


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: tune.mup({"a": jnp.zeros(2)}, {"b": jnp.zeros(2)}), "base: expected a tree like the parameters"),
        (lambda: tune.mup({"a": jnp.zeros(2)}, {"a": jnp.zeros((2, 2))}), "leaf a: expected 2 axes in the base"),
        (lambda: tune.mup({"a": jnp.zeros(2)}, {"a": jnp.zeros(0)}), "leaf a: expected a parameter with numbers"),
        (lambda: tune.mup({"a": jnp.zeros(2)}, {"a": jnp.zeros(4)}, "lion"), "optimizer: expected 'adam' or"),
        (lambda: tune.mup({"a": jnp.zeros(2)}, {"a": jnp.zeros(4)}, form="other"), "form: expected 'mup' or"),
        (lambda: tune.mup({"a": jnp.zeros(2)}, {"a": jnp.zeros(4)}, axes={"a": (5, ())}), "axes: expected axes of 1"),
    ],
)  # fmt: skip
def test_errors_say_what_to_do(call, words):
    with pytest.raises(gradtx.TransformationError, match=words):
        call()


def test_the_factors_are_numbers_of_the_transformation():
    found = tune.mup(shapes(16), shapes(64))
    tx = found.scaled(gradtx.sgd(1.0))
    names = [name for name in gradtx.hyperparameters(tx) if name.startswith("partition")]
    assert names == ["partition.fixed.step_size", "partition.hidden.step_size", "partition.input.step_size",
                     "partition.output.step_size", "partition.vector.step_size"]  # fmt: skip
    ones = jax.tree.map(jnp.ones_like, shapes(64))
    updates = tx.update(ones, tx.init(ones), ones)[0]
    assert {name: float(u.ravel()[0]) for name, u in updates.items()} == {n: -r for n, r in found.rate.items()}
    initial = found.initial(ones)
    assert float(initial["out"][0, 0]) == 0.5


def test_decoupled_decay_is_the_same_at_every_width():
    params = jax.tree.map(jnp.ones_like, shapes(64))
    found = tune.mup(shapes(16), params)
    tx = found.scaled(gradtx.chain(found.decayed(0.5), gradtx.scale_by_learning_rate(0.5)))
    updates = tx.update(jax.tree.map(jnp.zeros_like, params), tx.init(params), params)[0]
    assert {float(u.ravel()[0]) for u in updates.values()} == {-0.25}


# Networks -------------------------------------------------------------------------------------------------------------


def network(key, n):
    """Parameters of the standard parametrization, He's."""
    sizes = [64] + [n] * HIDDEN + [10]
    keys = jax.random.split(key, len(sizes) - 1)
    pairs = zip(keys, sizes[:-1], sizes[1:], strict=True)
    return {f"layer{i}": jax.random.normal(k, (a, b)) * (2 / a) ** 0.5 for i, (k, a, b) in enumerate(pairs)}


def layers(params, batch):
    x, found = batch[0], {}
    for name, w in params.items():
        x = (jax.nn.relu(x) if found else x) @ w
        found[name] = x
    return found


def loss(params, batch):
    logits = layers(params, batch)[f"layer{HIDDEN}"]
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits), batch[1][:, None], 1))


@functools.cache
def digits(rows):
    x, y = load_digits(return_X_y=True)
    x = (x - x.mean(0)) / (x.std(0) + 1.6)
    return jnp.asarray(x[:rows], jnp.float32), jnp.asarray(y[:rows])


def parametrized(n, form):
    """Initial parameters by key, and the transformation by rate."""
    wide = jax.eval_shape(lambda: network(jax.random.key(0), n))
    factors = tune.mup(jax.eval_shape(lambda: network(jax.random.key(0), BASE)), wide)
    if form == "standard":
        return lambda key: network(key, n), gradtx.adam
    return lambda key: factors.initial(network(key, n)), lambda learning_rate: factors.scaled(
        gradtx.adam(learning_rate)
    )


def best_rate(n, form):
    """The base-2 logarithm of the best rate: the vertex of a parabola through the best of a grid and its neighbours."""
    start, tx = parametrized(n, form)
    powers = np.arange(-9, -2)
    lanes = sweep.grid(tx, learning_rate=2.0**powers, seeds=range(3))
    run = sweep.run(loss, start, lanes, digits(128), steps=10)
    losses = np.log(np.nan_to_num(run.final_loss, nan=10.0)).reshape(len(powers), -1).mean(1)
    k = int(np.clip(np.argmin(losses), 1, len(powers) - 2))
    a, b, _ = np.polyfit(powers[k - 1 : k + 2], losses[k - 1 : k + 2], 2)
    return -b / (2 * a)


@pytest.mark.slow
def test_the_best_rate_of_mup_stays_where_that_of_the_standard_parametrization_falls():
    """From 32 to 256, three doublings: by two octaves or more, and by less than one. benchmarks/ goes to 1,024."""
    narrow, standard, stays = (best_rate(n, form) for n, form in ((32, "standard"), (256, "standard"), (256, "mup")))
    assert narrow - standard > 2
    assert abs(stays - narrow) < 1


def test_the_coordinate_check_tells_them_apart():
    """Changes after three steps of Adam: of one size with μP, in proportion to the width in the standard form."""
    checks = {}
    for form in ("standard", "mup"):

        def make(n, key, form=form):
            start, tx = parametrized(n, form)
            return start(key), tx(2.0**-8)

        found = tune.coordinate_check(make, layers, loss, digits(64), widths=[64, 256], steps=2, seeds=1)
        checks[form] = {name: slopes[-1] for name, slopes in found.slopes().items()}
    assert found.sizes["layer0"].shape == (2, 3)
    assert not found.changes["layer0"][:, 0].any()
    for layer in ("layer1", "layer2"):
        assert abs(checks["mup"][layer]) < 0.3
        assert checks["standard"][layer] > 0.5
    np.testing.assert_allclose(found.slopes("sizes")["layer3"][0], -0.5, atol=0.25)  # outputs at the start fall
    figure = found.plot()
    assert len(figure.axes) == HIDDEN + 1
    plt.close(figure)


def test_a_check_wants_widths_and_knows_what_it_has():
    with pytest.raises(gradtx.TransformationError, match="widths: expected two or more"):
        tune.coordinate_check(lambda n, key: None, layers, loss, digits(8), widths=[8, 8])
    with pytest.raises(gradtx.TransformationError, match="slopes: expected 'changes' or 'sizes'"):
        tune.Coordinates((1, 2), {}, {}).slopes("size")
