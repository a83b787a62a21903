"""SciPy: its tests minimize a problem of maximum entropy and print how BFGS and L-BFGS go."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import gradtx
from gradtx._prove.row import Row, Source

FEATURES = ((1.0, 1.0, 1.0), (1.0, 1.0, 0.0), (1.0, 0.0, 1.0), (1.0, 0.0, 0.0), (1.0, 0.0, 0.0))
MEANS = (1.0, 0.3, 0.5)


def negative_entropy(x: Any) -> Any:
    """The dual of the problem of Berger, Della Pietra & Della Pietra 1996."""
    return jax.nn.logsumexp(jnp.array(FEATURES) @ x) - jnp.array(MEANS) @ x


@gradtx.transformation
def first_guess() -> Any:
    """The direction, times the step that SciPy's search tries first: as long as would repeat the last decrease."""

    def init(params: Any) -> dict[str, Any]:
        return {"value": jnp.full([], jnp.inf, float)}

    def update(updates: Any, state: Any, *, value: Any, grad: Any) -> Any:
        expected = 2.02 * (value - state["value"]) / gradtx.tree.vdot(updates, grad)
        step = jnp.minimum(1.0, expected)
        return jax.tree.map(lambda u: step * u, updates), {"value": value}

    return gradtx.whole_tree(update, init=init)


@functools.cache
def bfgs() -> tuple[np.ndarray, int]:
    """The points of BFGS until no slope is above 1e-5, and how often the function was evaluated."""
    search = gradtx.scale_by_zoom_linesearch(20, initial_guess_strategy="one")
    direction = gradtx.scale_by_lbfgs(memory_size=20, scale_init_precond=False)
    tx = gradtx.chain(direction, gradtx.scale(-1.0), first_guess(), search=search)
    x = jnp.zeros(3)
    state, points, calls = tx.init(x), [np.asarray(x)], 1
    step = jax.jit(
        lambda x, state, value, grad: tx.update(grad, state, x, value=value, grad=grad, value_fn=negative_entropy)
    )
    value_and_slopes = jax.jit(jax.value_and_grad(negative_entropy))
    value, grad = value_and_slopes(x)
    while jnp.max(jnp.abs(grad)) > 1e-5:
        updates, state = step(x, state, value, grad)
        x = x + updates
        value, grad = value_and_slopes(x)
        points.append(np.asarray(x))
        calls += int(state["search"]["num_linesearch_steps"])
    return np.array(points), calls


def minimum() -> Any:
    """Where the slope vanishes, by Newton's method."""
    return gradtx.minimize(negative_entropy, jnp.zeros(3), gradtx.newton(damping=1e-9), steps=30).params[1:]


SOURCE = Source(
    "scipy",
    "SciPy: tests of scipy.optimize, a problem of maximum entropy",
    "scipy/optimize/tests/test_optimize.py of scipy/scipy (BSD-3-Clause)",
    (
        Row("BFGS, the sixth evaluation but the first", "0 -5.25060743e-01 4.87748473e-01", lambda: bfgs()[0][6]),
        Row("BFGS, the last evaluation", "0 -5.24885582e-01 4.87530347e-01", lambda: bfgs()[0][7]),
        Row("BFGS, evaluations of the function; the test itself adds two", "10", lambda: bfgs()[1] + 2),
        Row("BFGS, evaluations of the gradient", "8", lambda: len(bfgs()[0])),
        Row(
            "the solution",
            "-0.524869316 0.487525860",
            minimum,
            reason="the printed point is not the minimum, its slope is 5e-7; the test compares the function, to 1e-6",
        ),
    ),
)
