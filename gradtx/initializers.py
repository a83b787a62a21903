"""Initial parameters: ``init(key, shape, dtype=None) -> array``, the convention of `jax.nn.initializers`.

Weights have the shape (..., n_in, n_out), a convolution's receptive field in front: a unit is a column. Where JAX has
the rule it is JAX's own, under its name: `zeros` (for hidden biases), `ones`, `constant`, `normal`, `he_normal`,
`he_uniform`, `lecun_normal`, `lecun_uniform`, `variance_scaling`. JAX's ``*_normal`` are truncated at two standard
deviations, and have the variance that they say.

Those of this file differ from JAX, or are not there: `xavier_normal` (not truncated), `xavier_uniform` and `orthogonal`
(with a gain), `gain`, `sparse`, `class_frequencies`. They draw in float32 at least and round once at the end.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.nn.initializers import (
    Initializer,
    constant,
    he_normal,
    he_uniform,
    lecun_normal,
    lecun_uniform,
    normal,
    ones,
    variance_scaling,
    zeros,
)

from gradtx._value.errors import TransformationError, suggest
from gradtx._value.floating import real_dtype

__all__ = [
    "Initializer",
    "class_frequencies",
    "constant",
    "gain",
    "he_normal",
    "he_uniform",
    "lecun_normal",
    "lecun_uniform",
    "normal",
    "ones",
    "orthogonal",
    "sparse",
    "variance_scaling",
    "xavier_normal",
    "xavier_uniform",
    "zeros",
]


def __dir__() -> list[str]:
    return __all__


Axes = int | Sequence[int]
Shape = tuple[int, ...]
Draw = Callable[[Any, Shape, Any], jax.Array]

LEAST = 6e-8  # a chosen weight is not zero, in no dtype: JAX's normals are, once in 2²³ draws; float16 ends here
LEAKY_SLOPE = 0.01
GAINS = {
    "linear": 1.0,
    "sigmoid": 1.0,
    "tanh": 5 / 3,
    "relu": math.sqrt(2),
    "leaky_relu": math.sqrt(2 / (1 + LEAKY_SLOPE**2)),
    "selu": 3 / 4,
}


def gain(activation: str, slope: float | None = None) -> float:
    """The factor on the weights that makes up for what an activation does to the variance, by the activation's name.

        linear, sigmoid: 1   tanh: 5/3   relu: √2   leaky_relu: √(2/(1 + slope²))   selu: 3/4

    ``slope`` is that of ``leaky_relu`` below zero (0.01 if not given); no other activation has one. √2 is exact where
    half of the inputs are cut off; 5/3 is a rule of thumb, and 3/4 for selu trades self-normalisation for gradients
    that stay their size. The values are PyTorch's (``torch.nn.init.calculate_gain``).

    Source: Saxe, McClelland & Ganguli 2014; He et al. 2015, eqs. 10 and 15 (relu, leaky_relu).

    Raises `TransformationError`: an activation that is not among them, a slope where there is none.

    >>> gain("tanh"), round(gain("relu") ** 2, 6), gain("leaky_relu", 1.0)
    (1.6666666666666667, 2.0, 1.0)
    """
    if activation not in GAINS:
        known = ", ".join(GAINS)
        hint = suggest(str(activation), GAINS)
        raise TransformationError(f"gain: activation: expected one of {known}, found {activation!r}{hint}")
    if slope is None:
        return GAINS[activation]
    if activation != "leaky_relu":
        raise TransformationError(f"gain: slope: {activation} has none, found {slope!r}")
    if isinstance(slope, bool) or not isinstance(slope, int | float) or not math.isfinite(slope):
        raise TransformationError(f"gain: slope: expected a finite number, found {slope!r}")
    return math.sqrt(2 / (1 + slope**2))


# Weights --------------------------------------------------------------------------------------------------------------


def xavier_normal(
    gain: Any = 1.0, *, in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (), dtype: Any = None
) -> Initializer:
    """Normal weights that keep the variance of activations forwards, and of gradients backwards, as nearly as one can.

        w ~ N(0, gain² · 2/(n_in + n_out))

    n_in and n_out are the sizes along ``in_axis`` and ``out_axis``, times the receptive field. Forwards asks for a
    variance of 1/n_in, backwards for 1/n_out: this has the mean of the two n. The trap: JAX's ``glorot_normal`` has
    this variance, but cuts the normal off at two standard deviations; here it is the plain normal, as in the lectures
    and in PyTorch. ``shape`` has two axes or more.

    Source: Glorot & Bengio 2010, eq. 12 (as a normal).

    Raises `TransformationError`: a gain that is not positive, a shape with fewer than two axes.

    >>> w = xavier_normal()(jax.random.key(0), (300, 700))
    >>> round(float(jnp.var(w)) * 500, 2)  # 2/1000 is the variance
    1.0
    """
    return _xavier("xavier_normal", "normal", gain, in_axis, out_axis, batch_axis, dtype)


def xavier_uniform(
    gain: Any = 1.0, *, in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (), dtype: Any = None
) -> Initializer:
    """Uniform weights of the variance of `xavier_normal`.

        w ~ U(−a, a),   a = gain · √(6/(n_in + n_out))

    n_in and n_out are the sizes along ``in_axis`` and ``out_axis``, times the receptive field; at gain 1 it is JAX's
    ``xavier_uniform``, number by number. ``shape`` has two axes or more.

    Source: Glorot & Bengio 2010, eq. 16.

    Raises `TransformationError`: a gain that is not positive, a shape with fewer than two axes.

    >>> w = xavier_uniform()(jax.random.key(0), (300, 300))  # √(6/600) = 0.1
    >>> round(float(w.min()), 3), round(float(w.max()), 3)
    (-0.1, 0.1)
    """
    return _xavier("xavier_uniform", "uniform", gain, in_axis, out_axis, batch_axis, dtype)


def _xavier(
    who: str, distribution: Any, gain: Any, in_axis: Axes, out_axis: Axes, batch_axis: Axes, dtype: Any
) -> Initializer:
    gain = _positive(who, "gain", gain)
    axes = {"in_axis": in_axis, "out_axis": out_axis, "batch_axis": batch_axis}

    def draw(key: Any, shape: Shape, dtype: Any) -> jax.Array:
        for name, axis in axes.items():
            for a in (axis,) if isinstance(axis, int) else axis:
                _axis(who, name, a, shape)
        return variance_scaling(gain**2, "fan_avg", distribution, in_axis, out_axis, batch_axis)(key, shape, dtype)

    return _initializer(who, draw, 2, dtype)


def orthogonal(gain: Any = 1.0, *, column_axis: int = -1, dtype: Any = None) -> Initializer:
    """Random orthogonal matrices times a gain: every singular value is the gain, so a stack of them keeps lengths.

        WᵀW = gain² I  (WWᵀ where there are more columns than rows),   W uniform over such matrices

    The matrix has the size of ``column_axis`` as columns and all other axes together as rows. ``gain`` makes up for the
    activation: ``orthogonal(gain("relu"))``, see `gain`. ``shape`` has two axes or more. Half precision is drawn in
    float32 and rounded (JAX's has no bfloat16).

    Source: Saxe, McClelland & Ganguli 2014; Mezzadri 2007 (uniformity, from the QR of a normal matrix).

    Raises `TransformationError`: a gain that is not positive, a shape with fewer than two axes.

    >>> w = orthogonal(2.0)(jax.random.key(0), (3, 3))
    >>> bool(jnp.allclose(w.T @ w, 4 * jnp.eye(3), atol=1e-5))
    True
    """
    gain = _positive("orthogonal", "gain", gain)

    def draw(key: Any, shape: Shape, dtype: Any) -> jax.Array:
        _axis("orthogonal", "column_axis", column_axis, shape)
        return jax.nn.initializers.orthogonal(gain, column_axis)(key, shape, dtype)

    return _initializer("orthogonal", draw, 2, dtype)


def sparse(k: int = 15, stddev: Any = 1.0, *, out_axis: int = -1, dtype: Any = None) -> Initializer:
    """Exactly ``k`` inputs of every unit have a weight that is not zero, a normal one, whatever the size of the layer.

        w[S, unit] ~ N(0, stddev²),   |S| = k, drawn without replacement for every unit;   w = 0 elsewhere

    So the variance of a pre-activation is k · stddev² · E[x²], independent of the number of inputs. A unit is a place
    along ``out_axis``; its inputs are all other axes together. Large weights saturate: mind ``stddev`` with ``tanh``.
    The trap: PyTorch's ``sparse_`` takes the share of zeros instead, and makes columns of (out, in) sparse, which are
    the outgoing weights.

    Source: Martens 2010, section 5 (15 inputs a unit, N(0, 1)).

    Raises `TransformationError`: fewer inputs than ``k``, a ``stddev`` that is not positive.

    >>> w = sparse(3)(jax.random.key(0), (50, 4))
    >>> [int(n) for n in (w != 0).sum(axis=0)]
    [3, 3, 3, 3]
    """
    if isinstance(k, bool) or not hasattr(k, "__index__") or k < 1:
        raise TransformationError(f"sparse: k: expected a whole number, 1 or more, found {k!r}")
    stddev = _positive("sparse", "stddev", stddev)

    def draw(key: Any, shape: Shape, dtype: Any) -> jax.Array:
        units = shape[_axis("sparse", "out_axis", out_axis, shape)]
        inputs = math.prod(shape) // units
        if inputs < k:
            raise TransformationError(f"sparse: shape: expected at least {k} inputs a unit, found {inputs} in {shape}")
        places, values = jax.random.split(key)
        chosen = jnp.argsort(jax.random.uniform(places, (inputs, units)), axis=0) < k  # a permutation for every unit
        rest = tuple(np.delete(shape, out_axis).tolist())
        chosen = jnp.moveaxis(chosen.reshape(*rest, units), -1, out_axis)
        weights = jax.random.normal(values, shape, dtype) * stddev
        return jnp.where(chosen, jnp.where(jnp.abs(weights) < LEAST, LEAST, weights), 0)

    return _initializer("sparse", draw, 2, dtype)


# Biases ---------------------------------------------------------------------------------------------------------------


def class_frequencies(labels: Any = None, *, counts: Any = None, smoothing: float = 0.0, dtype: Any = None) -> Any:
    """Output biases that predict the class frequencies of the training data before anything is learnt.

        b_c = log p_c                shape (classes,), for softmax:          softmax(b) = p
        b = log(p₁/p₀)               shape (1,) or (), for a sigmoid unit:   sigmoid(b) = p₁

    p_c = (n_c + ``smoothing``)/Σ(n + ``smoothing``), where n_c is how often c is among ``labels`` (whole numbers from 0
    on, any shape), or ``counts[c]`` (counts or frequencies, one axis): give one of the two. With zero weights on the
    output, the first loss is then the entropy of the labels, and no step is spent on learning the frequencies. Hidden
    biases start at `zeros`. The trap: a class that was never seen has log 0; ``smoothing=1`` is Laplace's rule.

    Source: Karpathy 2019 ("init well"); Lin et al. 2017, section 4.1 (the prior of a rare class).

    Raises `TransformationError`: labels that are not whole numbers or not below the number of classes, a class never
    seen without ``smoothing``, a shape that is not that of the classes.

    >>> init = class_frequencies([0, 0, 0, 1])
    >>> [round(float(p), 6) for p in jax.nn.softmax(init(jax.random.key(0), (2,)))]
    [0.75, 0.25]
    >>> round(float(jnp.exp(init(jax.random.key(0), (1,))[0])), 6)  # odds, 1 to 3
    0.333333
    """
    who = "class_frequencies"
    if (labels is None) == (counts is None):
        raise TransformationError(f"{who}: expected labels or counts, found {'neither' if labels is None else 'both'}")
    smoothing = _nonnegative(who, "smoothing", smoothing)
    seen = _labels(who, labels) if counts is None else _counts(who, counts)

    def draw(key: Any, shape: Shape, dtype: Any) -> jax.Array:
        del key
        if len(shape) > 1:
            raise TransformationError(f"{who}: shape: expected (classes,), (1,) or (), found {shape}")
        binary = math.prod(shape) == 1
        classes = 2 if binary else math.prod(shape)
        if len(seen) > classes or (counts is not None and len(seen) != classes):
            raise TransformationError(f"{who}: shape: expected {len(seen)} classes, found {classes} in {shape}")
        smooth = np.pad(seen, (0, classes - len(seen))) + smoothing
        if not np.all(smooth > 0):
            never = int(np.argmin(smooth))
            raise TransformationError(f"{who}: class {never} was never seen, and log 0 is no bias: give smoothing=1.0")
        logs = np.log(smooth / smooth.sum())
        return jnp.full(shape, logs[1] - logs[0], dtype) if binary else jnp.asarray(logs, dtype)

    return _initializer(who, draw, 0, dtype)


def _labels(who: str, labels: Any) -> np.ndarray:
    """How often each class is among the labels."""
    classes = _concrete(who, "labels", labels)
    if not (classes.size and np.issubdtype(classes.dtype, np.integer) and classes.min() >= 0):
        found = classes.dtype if classes.size and not np.issubdtype(classes.dtype, np.integer) else labels
        raise TransformationError(f"{who}: labels: expected whole numbers from 0 on, found {found!r}")
    return np.bincount(classes.ravel()).astype(np.float64)


def _counts(who: str, counts: Any) -> np.ndarray:
    seen = _concrete(who, "counts", counts)
    if seen.ndim != 1 or seen.dtype.kind not in "iuf" or not (np.all(np.isfinite(seen)) and np.all(seen >= 0)):
        raise TransformationError(f"{who}: counts: expected numbers ≥ 0 along one axis, found {counts!r}")
    return seen.astype(np.float64)


def _concrete(who: str, name: str, x: Any) -> np.ndarray:
    if isinstance(x, Tracer):
        raise TransformationError(
            f"{who}: {name}: expected numbers, found {x.aval.str_short()} traced: call it outside"
        )
    try:
        return np.asarray(x)
    except ValueError as error:  # rows of different lengths
        raise TransformationError(f"{who}: {name}: expected an array, found {x!r}") from error


# What all of them share -----------------------------------------------------------------------------------------------


def _initializer(who: str, draw: Draw, axes: int, default: Any) -> Initializer:
    """An initializer that draws in float32 at least, and rounds to the dtype that is asked for."""

    def init(key: Any, shape: Any, dtype: Any = default, out_sharding: Any = None) -> jax.Array:
        if out_sharding is not None:
            raise TransformationError(f"{who}: out_sharding: not taken: call it in a jit that has out_shardings")
        wanted = jnp.result_type(float if dtype is None else dtype)
        if not jnp.issubdtype(wanted, jnp.inexact):
            raise TransformationError(f"{who}: dtype: expected a floating-point dtype, found {wanted}")
        real = real_dtype(wanted)
        whole = {jnp.float32: jnp.complex64, jnp.float64: jnp.complex128}[real]
        wide = whole if jnp.issubdtype(wanted, jnp.complexfloating) else real
        sizes = _shape(who, shape, axes)
        return jnp.zeros(sizes, wanted) if 0 in sizes else draw(key, sizes, wide).astype(wanted)

    return init


def _shape(who: str, shape: Any, axes: int) -> Shape:
    try:
        sizes = tuple(size.__index__() for size in shape)
    except (TypeError, AttributeError):
        raise TransformationError(f"{who}: shape: expected a tuple of sizes, found {shape!r}") from None
    if len(sizes) < axes or any(size < 0 for size in sizes):
        raise TransformationError(f"{who}: shape: expected {axes} axes or more, (n_in, n_out), found {sizes}")
    return sizes


def _axis(who: str, name: str, axis: int, shape: Shape) -> int:
    if not -len(shape) <= axis < len(shape):
        raise TransformationError(f"{who}: {name}: expected an axis of {shape}, found {axis}")
    return axis % len(shape)


def _positive(who: str, name: str, x: Any) -> Any:
    if isinstance(x, str) and x in GAINS:
        raise TransformationError(f"{who}: {name}: expected a number, found {x!r}: write gain({x!r})")
    x = _nonnegative(who, name, x)
    if not isinstance(x, Tracer) and x == 0:
        raise TransformationError(f"{who}: {name}: expected a number above 0, found {x!r}")
    return x


def _nonnegative(who: str, name: str, x: Any) -> Any:
    if isinstance(x, Tracer):
        return x
    if isinstance(x, bool) or not isinstance(x, int | float | np.number | np.ndarray | jax.Array) or np.ndim(x) != 0:
        raise TransformationError(f"{who}: {name}: expected a number, found {x!r}")
    if not (np.isfinite(x) and x >= 0):
        raise TransformationError(f"{who}: {name}: expected a finite number ≥ 0, found {x!r}")
    return x
