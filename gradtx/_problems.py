"""Problems to train on, by name: real data, a model, and a split into training and held-out rows."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


@dataclass(frozen=True)
class Problem:
    """What a run needs: ``loss(params, batch)``, initial ``params``, training ``data``, ``evaluate(params)``."""

    loss: Callable[[Any, Any], Any]
    params: Any
    data: Any
    evaluate: Callable[[Any], dict[str, Any]]
    summary: str


def digits(seed: int = 0, hidden: tuple[int, ...] = (64, 64)) -> Problem:
    """Handwritten digits (1,797 images of 8 × 8 pixels, UCI), and a multilayer perceptron with ReLU units.

    Four fifths of the images train, one fifth is held out, stratified by digit. Needs scikit-learn.
    """
    try:
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split
    except ImportError:
        raise ImportError("the digits need scikit-learn: pip install 'gradtx[cli]'") from None
    x, y = load_digits(return_X_y=True)
    x = (x / 16.0).astype(np.float32)
    x_train, x_held, y_train, y_held = train_test_split(x, y, test_size=0.2, stratify=y, random_state=seed)
    sizes = (x.shape[1], *hidden, 10)
    held = {"x": jnp.asarray(x_held), "y": jnp.asarray(y_held)}

    def evaluate(params: Any) -> dict[str, Any]:
        right = jnp.argmax(perceptron(params, held["x"]), axis=-1) == held["y"]
        return {"held_out_accuracy": jnp.mean(right.astype(jnp.float32))}

    shape = "-".join(str(size) for size in sizes)
    summary = f"digits: {len(x_train)} images to train, {len(x_held)} held out; a {shape} perceptron"
    return Problem(cross_entropy, init_perceptron(sizes, seed), {"x": x_train, "y": y_train}, evaluate, summary)


PROBLEMS: dict[str, Callable[..., Problem]] = {"digits": digits}


def init_perceptron(sizes: tuple[int, ...], seed: int) -> list[dict[str, jax.Array]]:
    """Weights by He et al. 2015 (normal, variance 2/n_in), biases zero."""
    keys = jax.random.split(jax.random.key(seed), len(sizes) - 1)
    start = jax.nn.initializers.he_normal()
    layers = zip(keys, sizes[:-1], sizes[1:], strict=True)
    return [{"w": start(key, (n_in, n_out)), "b": jnp.zeros(n_out)} for key, n_in, n_out in layers]


def perceptron(params: list[dict[str, jax.Array]], x: jax.Array) -> jax.Array:
    """The logits of a multilayer perceptron with ReLU units."""
    for layer in params[:-1]:
        x = jax.nn.relu(x @ layer["w"] + layer["b"][None])
    return x @ params[-1]["w"] + params[-1]["b"][None]


def cross_entropy(params: Any, batch: Any) -> jax.Array:
    """The mean cross-entropy of a perceptron's logits against integer labels."""
    scores = jax.nn.log_softmax(perceptron(params, batch["x"]))
    return -jnp.mean(jnp.take_along_axis(scores, batch["y"][:, None], axis=1))
