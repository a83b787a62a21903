"""What papers prove of optimizers, in numbers: Goh, Reddi, Kale & Kumar, Wilson et al., and Hinton's sign example."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

import gradtx
from gradtx._prove.row import Row, Source
from gradtx._prove.runs import path_of, updates_of

CURVATURES = (0.01, 0.1, 1.0)


def radius(tx: Any) -> float:
    """The spectral radius of one step on a quadratic of these curvatures: how fast the slowest direction shrinks."""
    curvatures = jnp.array(CURVATURES)

    def step(point: Any) -> Any:
        params, state = point
        u, state = tx.update(curvatures * params, state, params)
        return gradtx.apply_updates(params, u), state

    flat, unravel = ravel_pytree((jnp.ones(3), tx.init(jnp.ones(3))))
    jacobian = jax.jacobian(lambda point: ravel_pytree(step(unravel(point)))[0])(flat)
    return float(np.max(np.abs(np.linalg.eigvals(np.asarray(jacobian)))))


def heavy_ball() -> float:
    """At the best rate and momentum."""
    low, high = np.sqrt(min(CURVATURES)), np.sqrt(max(CURVATURES))
    return radius(gradtx.sgd((2 / (low + high)) ** 2, momentum=((high - low) / (high + low)) ** 2))


GOH = Source(
    "goh",
    "Goh 2017, Why Momentum Really Works",
    "distill.pub/2017/momentum: the best rates of convergence, at a condition number of 100",
    (
        Row("heavy ball, (√κ − 1)/(√κ + 1)", "0.8181818", heavy_ball),
        Row("gradient descent, (κ − 1)/(κ + 1)", "0.980198", lambda: radius(gradtx.sgd(2 / (0.01 + 1.0)))),
    ),
)


@functools.cache
def reddi(name: str, start: float) -> float:
    """Where x ends after 30,000 steps: fₜ = 4x if t mod 3 = 1 else −x on [−1, 1], so that −1 is best."""
    size = {"adam": gradtx.scale_by_rms, "amsgrad": gradtx.scale_by_max_rms}[name](1 / 17, bias_correction=False)
    rate = gradtx.scale_by_learning_rate(lambda step: 0.5 / jnp.sqrt(jnp.asarray(step + 1, float)))
    tx = gradtx.chain(gradtx.scale_by_ewma(0.0), size, rate)
    slopes = jnp.where(jnp.arange(1, 30_001) % 3 == 1, 4.0, -1.0)

    def step(carry: Any, slope: Any) -> Any:
        x, state = carry
        u, state = tx.update(slope, state, x)
        return (jnp.clip(gradtx.apply_updates(x, u), -1.0, 1.0), state), None

    x = jnp.asarray(start, float)
    return float(jax.lax.scan(step, (x, tx.init(x)), slopes)[0][0])


REDDI = Source(
    "reddi",
    "Reddi, Kale & Kumar 2018, On the Convergence of Adam and Beyond",
    "section 3, Theorem 1 and the figure of section 5: 30,000 steps from 0",
    (
        Row("Adam, β₁ = 0, β₂ = 1/17, .5/√t: the worst point", "1", lambda: reddi("adam", 0.0)),
        Row("AMSGrad, the same: towards the best point", "-1", lambda: reddi("amsgrad", 0.0), within=2e-3),
    ),
)


def wilson_data(positive: int, negative: int) -> tuple[np.ndarray, np.ndarray]:
    """The construction: the label, two ones, and features that no other row has, one or five of them."""
    y = np.append(np.ones(positive), -np.ones(negative))
    x = np.zeros((len(y), 3 + 5 * len(y)))
    x[:, 0], x[:, 1:3] = y, 1
    for n, label in enumerate(y):
        x[n, 3 + 5 * n : 3 + 5 * n + (1 if label > 0 else 5)] = 1
    return x, y


@functools.cache
def wilson(name: str) -> np.ndarray:
    """The weights of least squares, from 0."""
    tx = {
        "sgd": gradtx.sgd(0.1),
        "adagrad": gradtx.adagrad(0.1, 0.0, 0.0),
        "adam": gradtx.adam(lambda step: 0.1 * 0.98 ** jnp.asarray(step, float), b1=0.0, eps=1e-30),
    }[name]
    x, y = map(jnp.asarray, wilson_data(4, 2))
    return path_of(tx, lambda w: x.T @ (x @ w - y) / len(y), np.zeros(x.shape[1]), 2000)[-1]


def unseen(weights: np.ndarray) -> float:
    """The share of new rows of either label that are taken for the other: what they have alone has no weight."""
    rows = np.array([[1.0, 1, 1], [-1.0, 1, 1]])
    return float(np.mean(np.sign(rows @ weights[:3]) != rows[:, 0]))


def sizes(weights: np.ndarray) -> np.ndarray:
    """The smallest and the largest of the weights that moved."""
    moved = np.abs(weights[weights != 0])
    return np.array([moved.min(), moved.max()])


WILSON = Source(
    "wilson",
    "Wilson et al. 2017, The Marginal Value of Adaptive Gradient Methods in Machine Learning",
    "section 3.3, Lemma 3.1: least squares on four positive and two negative rows of its construction",
    (
        Row("AdaGrad, all weights end at ±1/4", "0.25 0.25", lambda: sizes(wilson("adagrad"))),
        Row("Adam, all weights end at ±1/4", "0.25 0.25", lambda: sizes(wilson("adam"))),
        Row("AdaGrad, share of unseen rows in error", "0.5", lambda: unseen(wilson("adagrad"))),
        Row("Adam, share of unseen rows in error", "0.5", lambda: unseen(wilson("adam"))),
        Row("gradient descent, share of unseen rows in error", "0", lambda: unseen(wilson("sgd"))),
    ),
)


def mini_batches(decades: int) -> np.ndarray:
    """+.1 nine times and −.9 once: nothing to gain."""
    return np.tile(np.append(np.full(9, 0.1), -0.9), decades)[:, None]


def signs() -> Any:
    """Steps of one size in the direction of the sign."""
    return gradtx.chain(gradtx.scale_by_sign(), gradtx.scale_by_learning_rate(1.0))


HINTON = Source(
    "hinton",
    "Hinton, Srivastava & Swersky 2012, Neural Networks for Machine Learning, lecture 6e",
    "why rprop does not work with mini-batches: a gradient of .1 on nine of them and −.9 on the tenth",
    (
        Row("signs, where ten steps of α lead, over α", "-8", lambda: np.sum(updates_of(signs(), mini_batches(1)))),
        Row("SGD, the same", "0", lambda: np.sum(updates_of(gradtx.sgd(1.0), mini_batches(1))), within=1e-15),
    ),
)
