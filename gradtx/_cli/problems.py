"""Problems to train on, by name: real data, a model, and a split into training and held-out rows."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

WIDEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Problem:
    """What a run needs: ``loss(params, batch)``, initial ``params``, training ``data``, ``evaluate(params)``.

    ``init(key)`` makes initial parameters of a key, where they can be made so. ``metric`` is what runs are compared by,
    and ``better`` which way, None if its name does not say.
    """

    loss: Callable[..., Any]
    params: Any
    data: Any
    evaluate: Callable[[Any], dict[str, Any]] | None
    summary: str
    init: Callable[[jax.Array], Any] | None = None
    metric: str = "held_out_accuracy"
    better: str | None = "higher"

    @property
    def rows(self) -> int:
        """How many rows there are to train on."""
        return len(jax.tree.leaves(self.data)[0])


# Data sets ------------------------------------------------------------------------------------------------------------


def digits(seed: int = 0, hidden: tuple[int, ...] = (64, 64)) -> Problem:
    """Handwritten digits (1,797 images of 8 × 8 pixels, UCI), and a multilayer perceptron with ReLU units.

    Four fifths of the images train, one fifth is held out, stratified by digit. Needs scikit-learn.
    """
    x, y = _load("digits")
    x = (x / 16.0).astype(np.float32)
    return classification("digits", *split(x, y, seed), seed=seed, hidden=hidden, rows="images")


def iris(seed: int = 0, hidden: tuple[int, ...] = (16,)) -> Problem:
    """Iris: 150 flowers of three species, four lengths in centimetres each (Fisher 1936). Split as the digits."""
    return _standardised("iris", seed, hidden, "flowers")


def wine(seed: int = 0, hidden: tuple[int, ...] = (16,)) -> Problem:
    """Wine: 178 wines of three growers, 13 chemical measurements each (UCI). Split as the digits."""
    return _standardised("wine", seed, hidden, "wines")


def breast_cancer(seed: int = 0, hidden: tuple[int, ...] = (32,)) -> Problem:
    """Breast cancer, benign or malignant: 569 images of cell nuclei, 30 measures each (UCI). Split as the digits."""
    return _standardised("breast_cancer", seed, hidden, "cases")


def mnist1d(seed: int = 0, hidden: tuple[int, ...] = (64, 64)) -> Problem:
    """MNIST-1D: ten digits as curves of 40 points, 4,000 to train and 1,000 held out (Greydanus & Kobak 2024).

    The curves are computed, not downloaded, which takes about two seconds; ``seed`` is of the weights alone. Needs the
    package mnist1d.
    """
    return classification("mnist1d", *_curves(), seed=seed, hidden=hidden, rows="curves")


PROBLEMS: dict[str, Callable[..., Problem]] = {
    "digits": digits,
    "iris": iris,
    "wine": wine,
    "breast_cancer": breast_cancer,
    "mnist1d": mnist1d,
}


def _load(name: str) -> tuple[np.ndarray, np.ndarray]:
    try:
        from sklearn import datasets
    except ImportError:
        raise ImportError(f"{name} needs scikit-learn: pip install 'gradtx[cli]'") from None
    return getattr(datasets, f"load_{name}")(return_X_y=True)


def _standardised(name: str, seed: int, hidden: tuple[int, ...], rows: str) -> Problem:
    x, y = _load(name)
    x, x_held, y, y_held = split(x, y, seed)
    x, x_held = standardised(x, x_held)
    return classification(name, x, x_held, y, y_held, seed=seed, hidden=hidden, rows=rows)


@functools.cache
def _curves() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    try:
        from mnist1d.data import get_dataset_args, make_dataset
    except ImportError:
        raise ImportError("mnist1d needs the package mnist1d: pip install 'gradtx[cli]'") from None
    import random

    before = np.random.get_state(), random.getstate()  # noqa: NPY002  # the package seeds everybody's generators
    try:
        made = make_dataset(get_dataset_args())
    finally:
        np.random.set_state(before[0])  # noqa: NPY002
        random.setstate(before[1])
    x, x_held = (made[name].astype(np.float32) for name in ("x", "x_test"))
    return x, x_held, made["y"], made["y_test"]


# Splits and scales ----------------------------------------------------------------------------------------------------


def split(x: np.ndarray, y: np.ndarray, seed: int, *, by: np.ndarray | None = None) -> Any:
    """Four fifths to train and one fifth held out: x, x_held, y, y_held. Stratified ``by`` the labels; by y if None."""
    try:
        from sklearn.model_selection import train_test_split
    except ImportError:
        raise ImportError("a split needs scikit-learn: pip install 'gradtx[cli]'") from None
    by = y if by is None else by
    return train_test_split(x, y, test_size=0.2, stratify=by if len(by) else None, random_state=seed)


def standardised(x: np.ndarray, *others: np.ndarray) -> list[np.ndarray]:
    """Every column with mean 0 and variance 1, and the others on the same scale, in float32; computed in float64.

        x ← (x − mean x) / std x;   0 where max x − min x ≤ 8 ulp of max |x|: a column that is constant to rounding

    >>> standardised(np.array([[1, 0.1], [3, 0.1]], np.float16), np.array([[5, 0.2]]))
    [array([[-1.,  0.],
           [ 1.,  0.]], dtype=float32), array([[3., 0.]], dtype=float32)]
    """
    wide = x.astype(np.float64)
    size = np.max(np.abs(wide), axis=0)
    size = np.where(size > 0, 2.0 ** np.floor(np.log2(np.where(size > 0, size, 1.0))), 1.0)  # squares stay in range
    wide = wide / size
    constant = np.ptp(wide, axis=0) <= rounding(x.dtype) * np.max(np.abs(wide), axis=0)
    first = wide[0]  # from there the differences are exact, where they are small
    mean, std = np.mean(wide - first, axis=0), np.std(wide - first, axis=0)
    scale = np.where(constant, 1.0, std)
    with np.errstate(over="ignore"):  # held-out rows may be as far away as they like
        made = [
            np.where(constant, 0.0, (part.astype(np.float64) / size - first - mean) / scale) for part in (x, *others)
        ]
    return [np.clip(part, -WIDEST, WIDEST).astype(np.float32) for part in made]


def rounding(dtype: np.dtype) -> float:
    """How far equal numbers of a dtype may lie apart, in parts of them: 8 units in the last place, 1 of float16's."""
    if dtype.kind != "f":
        return 0.0
    return float(np.finfo(dtype).eps) * (8 if np.finfo(dtype).nmant > 10 else 1)


# Models ---------------------------------------------------------------------------------------------------------------


def classification(
    name: str,
    x: np.ndarray,
    x_held: np.ndarray,
    y: np.ndarray,
    y_held: np.ndarray,
    *,
    seed: int,
    hidden: tuple[int, ...],
    classes: int | None = None,
    rows: str = "rows",
) -> Problem:
    """A perceptron that tells classes 0, 1, ... apart: cross-entropy, and the accuracy on the held-out rows."""
    sizes = (x.shape[1], *hidden, classes or int(np.max(y)) + 1)
    held = {"x": jnp.asarray(x_held), "y": jnp.asarray(y_held)}

    def evaluate(params: Any) -> dict[str, Any]:
        right = jnp.argmax(perceptron(params, held["x"]), axis=-1) == held["y"]
        return {"held_out_accuracy": jnp.mean(right.astype(jnp.float32))}

    return Problem(
        cross_entropy,
        init_perceptron(sizes, seed),
        {"x": x, "y": y},
        evaluate,
        f"{name}: {len(x)} {rows} to train, {len(x_held)} held out; a {'-'.join(map(str, sizes))} perceptron",
        init=lambda key: layers_of(sizes, key),
    )


def regression(
    name: str,
    x: np.ndarray,
    x_held: np.ndarray,
    y: np.ndarray,
    y_held: np.ndarray,
    *,
    seed: int,
    hidden: tuple[int, ...],
) -> Problem:
    """A perceptron that predicts y (rows × outputs): the mean squared error, and the same on the held-out rows.

    Inputs and outputs are standardised by the training rows, so an error of 1 is that of predicting the mean.
    """
    (x, x_held), (y, y_held) = standardised(x, x_held), standardised(y, y_held)
    sizes = (x.shape[1], *hidden, y.shape[1])
    held = {"x": jnp.asarray(x_held), "y": jnp.asarray(y_held)}
    shape = "-".join(map(str, sizes))
    return Problem(
        squared_error,
        init_perceptron(sizes, seed),
        {"x": x, "y": y},
        lambda params: {"held_out_error": squared_error(params, held)},
        f"{name}: {len(x)} rows to train, {len(x_held)} held out; a {shape} perceptron, errors in variances of y",
        init=lambda key: layers_of(sizes, key),
        metric="held_out_error",
        better="lower",
    )


def init_perceptron(sizes: tuple[int, ...], seed: int) -> list[dict[str, jax.Array]]:
    """Weights by He et al. 2015 (normal, variance 2/n_in), biases zero."""
    return layers_of(sizes, jax.random.key(seed))


def layers_of(sizes: tuple[int, ...], key: jax.Array) -> list[dict[str, jax.Array]]:
    """The same of a key."""
    keys = jax.random.split(key, len(sizes) - 1)
    start = jax.nn.initializers.he_normal()
    layers = zip(keys, sizes[:-1], sizes[1:], strict=True)
    return [{"w": start(key, (n_in, n_out)), "b": jnp.zeros(n_out)} for key, n_in, n_out in layers]


def perceptron(params: list[dict[str, jax.Array]], x: jax.Array) -> jax.Array:
    """The outputs (logits) of a multilayer perceptron with ReLU units."""
    for layer in params[:-1]:
        x = jax.nn.relu(x @ layer["w"] + layer["b"][None])
    return x @ params[-1]["w"] + params[-1]["b"][None]


def cross_entropy(params: Any, batch: Any) -> jax.Array:
    """The mean cross-entropy of a perceptron's logits against integer labels."""
    scores = jax.nn.log_softmax(perceptron(params, batch["x"]))
    return -jnp.mean(jnp.take_along_axis(scores, batch["y"][:, None], axis=1))


def squared_error(params: Any, batch: Any) -> jax.Array:
    """The mean squared error of a perceptron's outputs."""
    return jnp.mean((perceptron(params, batch["x"]) - batch["y"]) ** 2)
