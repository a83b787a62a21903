"""scikit-learn: the curves of its multilayer perceptron, with its initial weights and its order of batches."""

import functools
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import gradtx
from gradtx._cli.problems import perceptron
from gradtx._prove.row import Row, Source

ALPHA, PATIENCE, GAIN = 1e-4, 10, 1e-4
EPOCHS = {"iris": 400, "digits": 15}


def method(name: str) -> Any:
    """The three that the example compares at a constant rate."""
    momentum = {} if name == "constant" else {"momentum": 0.9, "nesterov": name == "Nesterov"}
    return gradtx.sgd(0.2, **momentum)


def scaled(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Features scaled to [0, 1], and labels."""
    try:
        from sklearn import datasets
    except ImportError:
        raise ImportError("the rows of scikit-learn need its data: pip install 'gradtx[cli]'") from None
    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    low, high = x.min(axis=0), x.max(axis=0)
    factor = 1 / np.where(high > low, high - low, 1)
    return x * factor - low * factor, y


def weights_and_batches(sizes: tuple[int, ...], rows: int, epochs: int) -> tuple[Any, np.ndarray, np.ndarray]:
    """scikit-learn's, from one stream: weights and biases layer by layer, then each epoch shuffles the last order."""
    rng = np.random.RandomState(0)
    layers = []
    for n_in, n_out in pairwise(sizes):
        bound = np.sqrt(6 / (n_in + n_out))
        layers.append({"w": rng.uniform(-bound, bound, (n_in, n_out)), "b": rng.uniform(-bound, bound, n_out)})
    orders, order = [], np.arange(rows)
    for _ in range(epochs):
        turn = np.arange(rows)
        rng.shuffle(turn)
        order = order[turn]
        orders.append(order)
    size = min(200, rows)
    missing = -rows % size  # the last batch is short: filled up with rows of weight 0
    padded = np.pad(np.array(orders), ((0, 0), (0, missing)))
    real = np.append(np.ones(rows), np.zeros(missing))
    return layers, padded.reshape(epochs, -1, size), real.reshape(-1, size)


@jax.jit
def curve_of(tx: Any, params: Any, x: Any, y: Any, batches: Any, real: Any) -> Any:
    """The mean training loss of every epoch, of each batch before its step."""

    def loss(params: Any, rows: Any, weights: Any) -> Any:
        scores = jax.nn.log_softmax(perceptron(params, x[rows]))
        squares = sum(jnp.sum(layer["w"] ** 2) for layer in params)
        return (-jnp.sum(weights[:, None] * y[rows] * scores) + 0.5 * ALPHA * squares) / jnp.sum(weights)

    def step(carry: Any, batch: Any) -> Any:
        params, state = carry
        value, gradient = jax.value_and_grad(loss)(params, *batch)
        u, state = tx.update(gradient, state, params)
        return (gradtx.apply_updates(params, u), state), value * jnp.sum(batch[1])

    def epoch(carry: Any, rows: Any) -> Any:
        carry, values = jax.lax.scan(step, carry, (rows, real))
        return carry, jnp.sum(values) / jnp.sum(real)

    return jax.lax.scan(epoch, (params, tx.init(params)), batches)[1]


def until_no_gain(curve: np.ndarray) -> np.ndarray:
    """The curve up to where more than `PATIENCE` epochs in a row have not gained `GAIN`."""
    best, idle = np.inf, 0
    for n, loss in enumerate(curve, start=1):
        idle = idle + 1 if loss > best - GAIN else 0
        best = min(best, loss)
        if idle > PATIENCE:
            return curve[:n]
    return curve


@functools.cache
def curve(data: str, name: str) -> np.ndarray:
    """The training loss after each epoch."""
    x, y = scaled(data)
    layers, batches, real = weights_and_batches((x.shape[1], 100, y.max() + 1), len(x), EPOCHS[data])
    return until_no_gain(np.asarray(curve_of(method(name), layers, x, np.eye(y.max() + 1)[y], batches, real)))


PUBLISHED = {
    ("iris", "constant"): "0.096950",
    ("iris", "momentum"): "0.049530",
    ("iris", "Nesterov"): "0.049540",
    ("digits", "constant"): "0.243802",
    ("digits", "momentum"): "0.041297",
    ("digits", "Nesterov"): "0.042898",
}
SOURCE = Source(
    "scikit-learn",
    "scikit-learn: Compare Stochastic learning strategies for MLPClassifier",
    "plot_mlp_training_curves of scikit-learn/scikit-learn (BSD-3-Clause): the training set loss",
    tuple(
        Row(f"{data}, {name}", published, lambda data=data, name=name: curve(data, name)[-1])
        for (data, name), published in PUBLISHED.items()
    ),
)
