"""What a notebook shows: short reprs, tables and pictures, and namespaces without what they are made of."""

import importlib
import re
import xml.etree.ElementTree as ElementTree

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx
from gradtx import sweep

from .test_fit import START, line, squares

POPULATION = sweep.grid(gradtx.adam, learning_rate=[0.01, 0.1, 0.3], b1=[0.5, 0.9], eps=1e-6)


@pytest.fixture(scope="module")
def result():
    return sweep.run(squares, START, POPULATION, line(), steps=20)


def parsed(text):
    """The text as a tree: it is well-formed, and nothing in it is a script."""
    tree = ElementTree.fromstring(text)
    assert not [part for part in tree.iter() if part.tag.endswith("script")]
    return tree


def points_of(tree):
    return [
        np.array([[float(x) for x in pair.split(",")] for pair in part.get("points").split()])
        for part in tree.iter()
        if part.tag.endswith("polyline")
    ]


def test_a_sweep_prints_in_a_line(result):
    text = repr(result)
    assert len(text) < 200
    assert text.startswith("<Sweep: 6 lanes of adam, 20 steps; best final_loss ")
    assert f"of lane {result.best}: learning_rate=" in text
    assert repr(POPULATION) == (
        "<Population: 6 lanes of adam; learning_rate: 3 values, 0.01 to 0.3; b1: 2 values, 0.5 to 0.9; eps: 1e-06>"
    )


def test_a_sweep_is_shown_with_its_best_lanes_and_their_losses(result):
    tree = parsed(result._repr_html_())
    rows = [[cell.text for cell in row] for row in tree.iter("tr")]
    assert rows[0] == ["lane", "learning_rate", "b1", "eps", "final_loss"]
    assert [int(row[0]) for row in rows[1:]] == result.order[:5]
    (points,) = points_of(tree)
    assert len(points) == 20
    losses = result.best.loss  # higher losses stand higher, and pixels count from above
    assert (
        np.array_equal(np.argsort(-points[:, 1]), np.argsort(losses))
        or np.corrcoef(points[:, 1], losses)[0, 1] < -0.999
    )
    axes = [[cell.text for cell in row] for row in parsed(POPULATION._repr_html_()).iter("tr")]
    assert axes[1:] == [["learning_rate", "3 values, 0.01 to 0.3"], ["b1", "2 values, 0.5 to 0.9"], ["eps", "1e-06"]]


def test_a_transformation_is_a_table_of_its_numbers():
    tx = gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.sgd(0.1, 0.9, nesterov=True))
    text = " ".join(parsed(tx._repr_html_()).itertext())
    for part in ("clip_by_global_norm", "max_norm", "1.0", "sgd", "learning_rate", "0.1", "nesterov", "True"):
        assert part in text


def test_a_schedule_is_drawn_as_it_is():
    schedule = gradtx.linear_schedule(1.0, 0.0, 100)
    (points,) = points_of(parsed(schedule._repr_html_()))
    assert len(points) == 121
    assert points[0, 1] == points[:, 1].min()  # it begins at the top
    np.testing.assert_allclose(points[100:, 1], points[:, 1].max(), atol=0.06)  # from step 100 on it is at the bottom
    np.testing.assert_allclose(np.diff(points[:100, 1]), np.diff(points[:100, 1])[0], atol=0.11)
    inside = gradtx.adam(gradtx.warmup_cosine_decay_schedule(0.0, 1.0, 10, 100))
    assert len(points_of(parsed(inside._repr_html_()))) == 1


@pytest.mark.parametrize(
    "value",
    [
        gradtx.sgd(lambda step: 0.1 if step < 3 else 0.01),
        jax.vmap(gradtx.constant_schedule)(jnp.arange(3.0)),
        gradtx.constant_schedule(0.5),
        gradtx.linear_schedule(0.0, 1.0, 10) * 2 + gradtx.constant_schedule(jnp.inf),
        gradtx.adamw(0.1, mask={"<w>": True}),
        gradtx.identity(),
    ],
    ids=["python", "stacked", "constant", "infinite", "mask", "empty"],
)
def test_whatever_a_value_holds_it_is_shown(value):
    assert repr(value).partition("(")[0] in "".join(parsed(value._repr_html_()).itertext())


@pytest.mark.parametrize(
    "name", ["tree", "sweep", "curvature", "initializers", "projections", "testing", "plot", "interop", "optax"]
)
def test_a_namespace_shows_what_it_offers_and_nothing_else(name):
    module = importlib.import_module(f"gradtx.{name}")
    shown = dir(module)
    assert shown
    assert not {"np", "jax", "jnp", "Any", "fnmatchcase", "math", "dataclass", "TransformationError"} & set(shown) - {
        "jax" if name == "interop" else ""
    }
    assert not [part for part in shown if re.match("_", part)]
    for part in shown:
        getattr(module, part)


def test_plot_opens_without_an_import_of_its_own():
    import subprocess
    import sys

    code = "import gradtx; assert 'plot' in dir(gradtx); print(gradtx.plot.schedules.__name__)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.stdout.strip() == "schedules", run.stderr
