"""deeplearning.ai: the second course checks one update of each rule on two layers, drawn by NumPy with seed 1."""

import functools
from typing import Any

import jax.numpy as jnp
import numpy as np

import gradtx
from gradtx._prove.row import Row, Source

SHAPES = {"W1": (2, 3), "b1": (2, 1), "W2": (3, 3), "b2": (3, 1)}


def drawn() -> list[dict[str, Any]]:
    """Parameters and gradients, one draw after the other."""
    numbers = np.random.RandomState(1)  # the course's stream
    return [{name: jnp.asarray(numbers.randn(*shape)) for name, shape in SHAPES.items()} for _ in range(2)]


@functools.cache
def step_of(rule: str) -> dict[str, Any]:
    """The parameters after the update, and the squares that Adam keeps."""
    tx = {
        "gradient descent": gradtx.sgd(0.01),
        "momentum": gradtx.chain(gradtx.scale_by_ewma(0.9), gradtx.scale_by_learning_rate(0.01)),
        "Adam": gradtx.adam(0.01),
        "Adam, ε inside the root": gradtx.adam(0.01, eps=0.0, eps_root=1e-8),
    }[rule]
    params, gradients = drawn()
    state = tx.init(params)
    if "count" in state:  # the course calls its first update the second
        state = state | {"count": jnp.ones_like(state["count"])}
    updates, state = tx.update(gradients, state, params)
    squares = {f"s[dW{n}]": state["scale_by_rms"]["nu"][f"W{n}"] for n in (1, 2)} if "scale_by_rms" in state else {}
    return gradtx.apply_updates(params, updates) | squares


def row(rule: str, name: str, published: str) -> Row:
    """A row of the table; NumPy prints eight decimals, less where they are zeros."""
    return Row(f"{rule}, {name}", published, lambda: step_of(rule)[name], decimals=8)


INSIDE = "Adam, ε inside the root"
SOURCE = Source(
    "deeplearning.ai",
    "deeplearning.ai: Improving Deep Neural Networks, week 2, Optimization Methods",
    "the expected outputs of the assignment, in its first edition and in its public tests",
    (
        row("gradient descent", "W1", "1.63535156 -0.62320365 -0.53718766 -1.07799357 0.85639907 -2.29470142"),
        row("gradient descent", "b1", "1.74604067 -0.75184921"),
        row(
            "gradient descent", "W2",
            "0.32171798 -0.25467393 1.46902454 -2.05617317 -0.31554548 -0.3756023 1.1404819 -1.09976462 -0.1612551",
        ),
        row("gradient descent", "b2", "-0.88020257 0.02561572 0.57539477"),
        row("momentum", "W1", "1.62544598 -0.61290114 -0.52907334 -1.07347112 0.86450677 -2.30085497"),
        row("momentum", "b1", "1.74493465 -0.76027113"),
        row(
            "momentum", "W2",
            "0.31930698 -0.24990073 1.4627996 -2.05974396 -0.32173003 -0.38320915 1.13444069 -1.0998786 -0.1713109",
        ),
        row("momentum", "b2", "-0.87809283 0.04055394 0.58207317"),
        row("Adam", "W1", "1.63178673 -0.61919778 -0.53561312 -1.08040999 0.85796626 -2.29409733"),
        row("Adam", "b1", "1.75225313 -0.75376553"),
        row(
            "Adam", "W2",
            "0.32648046 -0.25681174 1.46954931 -2.05269934 -0.31497584 -0.37661299 1.14121081 -1.09244991 -0.16498684",
        ),
        row("Adam", "b2", "-0.88529979 0.03477238 0.57537385"),
        row("Adam", "s[dW1]", "0.00121136 0.00131039 0.00081287 0.0002525 0.00081154 0.00046748"),
        row(
            INSIDE, "W2",
            "0.32648046 -0.25681174 1.46954931 -2.05269934 -0.31497584 -0.37661299 1.14121081 -1.09245036 -0.16498684",
        ),
        row(INSIDE, "b2", "-0.88529978 0.03477238 0.57537385"),
    ),
)  # fmt: skip
