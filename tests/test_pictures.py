"""Pictures: what is drawn is what was computed, on every surface, of every schedule, and of averages."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx
from gradtx import plot
from gradtx._cli.surfaces import SURFACES

plt = pytest.importorskip("matplotlib.pyplot")


def drawn(figure):
    """The lines of a figure by their labels, as arrays of x and y."""
    lines = [line for ax in figure.axes for line in ax.get_lines()]
    return {line.get_label(): np.asarray(line.get_xydata(), float).T for line in lines}


def legend_of(figure):
    boxes = [*figure.legends, *(ax.get_legend() for ax in figure.axes if ax.get_legend())]
    return [text.get_text() for box in boxes for text in box.get_texts()]


def test_pictures_of_learning_rate_curves_of_any_schedule():
    curves = {
        "time-based decay": (gradtx.inverse_time_decay(1.0, 1, 1.0), 1 / (1 + np.arange(41))),
        "exponential decay": (gradtx.exponential_decay(1.0, 1, 0.9), 0.9 ** np.arange(41)),
        "cosine": (gradtx.cosine_decay_schedule(1.0, 40), np.cos(np.pi * np.arange(41) / 80) ** 2),
        "a plain function": (lambda step: 0.5 + 0 * step, np.full(41, 0.5)),
    }
    figure = plot.schedules({name: schedule for name, (schedule, _) in curves.items()}, 40)
    lines = drawn(figure)
    for name, (_, values) in curves.items():
        np.testing.assert_array_equal(lines[name][0], np.arange(41))
        np.testing.assert_allclose(lines[name][1], values, rtol=1e-6, atol=1e-7)
    assert legend_of(figure) == list(curves)
    plt.close(figure)


def test_pictures_of_ewma_and_its_correction():
    series = [3.0, 5.0, 6.0, 2.0, 4.0, 8.0]
    tables = {
        0.5: [1.5, 3.25, 4.625, 3.3125, 3.65625, 5.828125],
        0.9: [0.3, 0.77, 1.293, 1.3637, 1.62733, 2.264597],
    }
    figure = plot.averages(series, tuple(tables))
    heights = [y for _, y in drawn(figure).values()]
    for decay, table in tables.items():
        for expected in (table, np.array(table) / (1 - decay ** np.arange(1, 7))):
            assert any(len(y) == 6 and np.allclose(y, expected, rtol=1e-12, atol=0) for y in heights)
    assert any(len(y) == 6 and np.array_equal(y, series) for y in heights)
    assert len(legend_of(figure)) == 5
    plt.close(figure)


@pytest.mark.parametrize("name", SURFACES)
def test_pictures_of_a_race_show_paths_and_losses_on(name):
    surface = SURFACES[name]
    start, loss = jnp.asarray(surface.start), surface.loss
    tx = {"sgd": gradtx.sgd(1e-3), "adam": gradtx.adam(0.05)}

    def run(tx):
        def step(carry, _):
            at, state = carry
            value, gradient = jax.value_and_grad(loss)(at)
            updates, state = tx.update(gradient, state, at)
            return (gradtx.apply_updates(at, updates), state), (at, value)

        return jax.lax.scan(step, (start, tx.init(start)), length=30)[1]

    runs = {label: jax.tree.map(np.asarray, run(one)) for label, one in tx.items()}
    figure = plot.race(surface, {k: path for k, (path, _) in runs.items()}, {k: fall for k, (_, fall) in runs.items()})
    left, right = figure.axes[:2]
    assert legend_of(figure)[:2] == list(tx)
    for ax, column in ((left, 0), (right, 1)):
        found = [line.get_xydata() for line in ax.get_lines()]
        for path, fall in runs.values():
            on_the_left = path if path.shape[1] > 1 else np.stack([path[:, 0], fall], 1)
            expected = (on_the_left, np.stack([np.arange(30), fall], 1))[column]
            assert any(points.shape == expected.shape and np.allclose(points, expected) for points in found)
        assert ax.get_xlabel()
        assert ax.get_ylabel()
    plt.close(figure)


def test_pictures_of_a_race_as_a_film(tmp_path):
    surface, film = SURFACES["saddle"], tmp_path / "film.gif"
    path = np.stack([np.linspace(-1, 0, 12), np.linspace(0, 1.5, 12)], 1)
    plot.animate_race(surface, {"a": path}, {"a": path[:, 0] ** 2 - path[:, 1] ** 2}, film, frames=6)
    assert film.read_bytes().startswith(b"GIF89a")
    assert film.read_bytes().count(b"\x21\xf9\x04") > 3  # frames


def test_a_loss_that_blows_up_does_not_flatten_the_others_and_its_exit_is_marked():
    surface = SURFACES["saddle"]
    still = np.stack([np.linspace(-1.5, 0, 20), np.zeros(20)], 1)
    gone = np.stack([np.zeros(20), 1.5 ** np.arange(20.0) * 1e-1], 1)
    gone[-1, 1] = 1.4e14
    paths = {"still": still, "gone": gone}
    losses = {name: path[:, 0] ** 2 - path[:, 1] ** 2 for name, path in paths.items()}
    figure = plot.race(surface, paths, losses)
    left, right = figure.axes[:2]
    assert right.get_ylim()[0] > -10
    arrows = {
        ax: [line for line in ax.get_lines() if line.get_marker() in list("<>^v") and len(line.get_xdata())]
        for ax in (left, right)
    }
    ((up,), (down,)) = arrows[left], arrows[right]
    assert (up.get_marker(), down.get_marker()) == ("^", "v")
    assert up.get_color() == down.get_color() != left.get_lines()[0].get_color()
    assert (float(up.get_xdata()[0]), float(up.get_ydata()[0])) == pytest.approx((0.0, 2.0))
    assert float(down.get_ydata()[0]) == pytest.approx(right.get_ylim()[0])
    plt.close(figure)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ([[0.0, 1.0], [0.0, 0.5]], None),
        ([[0.0, 5.0, 0.0], [0.0, 0.0, 0.0]], None),  # it comes back
        ([[5.0, 6.0], [0.0, 0.0]], None),  # it was never inside
        ([[0.0, -4.0], [0.0, 0.0]], (-2.0, 0.0, "<")),
        ([[0.0, 1.0], [0.0, -4.0]], (0.25, -1.0, "v")),
        ([[0.0, 8.0], [0.0, 8.0]], (1.0, 1.0, "^")),
        ([[0.0, 1.0], [0.0, np.nan]], (0.0, 1.0, "^")),
        ([[0.0, 1.0], [0.0, -np.inf]], (0.0, -1.0, "v")),
    ],
)
def test_where_a_line_leaves_a_window(line, expected):
    from gradtx._report.races import leaves

    found = leaves(np.array(line), (-2.0, 2.0), (-1.0, 1.0))
    if expected is None:
        assert found is None
        return
    assert found is not None
    assert found[2] == expected[2]
    if np.isfinite(line).all():
        assert found[:2] == pytest.approx(expected[:2])
    assert abs(found[1]) <= 1.0 + 1e-9


def test_names_of_schedules_leave_the_curves_their_room():
    figure = plot.schedules({f"warmup_cosine_decay_schedule(0, 1, {n}, 100)": lambda step: 1.0 for n in range(3)}, 10)
    figure.canvas.draw()
    box = figure.axes[0].get_position()
    assert box.width > 0.8
    assert box.height > 0.6
    plt.close(figure)
