"""The shape of a loss around a point: Hessian-vector products, spectra, critical points, what a step will do.

A loss is ``loss(params, *args) -> scalar``, ``params`` a tree of floating-point arrays (``None`` leaves are not there).
H is its Hessian with respect to all parameters together, in the order of `gradtx.tree.paths`, each leaf row by row.
All is computed in float32 at least, and in float64 for float64 leaves; half-precision leaves of ``params`` and of
``args`` are widened before the loss sees them. ``loss`` must be hashable, and a new function is a new compilation.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from gradtx import tree as trees
from gradtx._curvature.diagonals import fisher_diag, hessian_diag
from gradtx._curvature.flat import like, no_tracers, place, prepare, product, unravel_rows
from gradtx._curvature.lanczos import extremes
from gradtx._rules.vectors import dot, matmul, precision, raveled, unraveled
from gradtx._testing.assertions import expect
from gradtx._value.errors import TransformationError
from gradtx._value.whole import whole_number

__all__ = [
    "CriticalPoint", "Spectrum", "best_step", "check_gradient", "classify", "condition_number",
    "directional_curvature", "fisher_diag", "hessian", "hessian_diag", "hvp", "predicted_decrease",
    "spectrum",
]  # fmt: skip


def __dir__() -> list[str]:
    return __all__


Tree = Any
Loss = Callable[..., Any]

SMALL = 256  # up to so many parameters H is formed and decomposed, even if only some eigenvalues are asked for
LARGE = 5000  # with more parameters only `hessian` forms H


# Products and matrices ------------------------------------------------------------------------------------------------


def hvp(loss: Loss, params: Tree, vector: Tree, *args: Any) -> Tree:
    """The Hessian times a vector, without forming the Hessian: the cost of a few gradients, and their memory.

        Hv = ∂/∂r ∇loss(θ + r v) at r = 0        (forward over reverse)

    ``vector`` is a tree like ``params``; so is the result, in float32 at least. Works under any transformation of JAX.
    The trap: a piecewise linear loss (ReLU, no softmax) has H = 0 almost everywhere.

    Source: Pearlmutter 1994.

    Raises `TransformationError`: a loss that is no real scalar, a vector that is not like the parameters.

    >>> hvp(lambda x: x[0] ** 2 - x[1] ** 2, jnp.zeros(2), jnp.ones(2))
    Array([ 2., -2.], dtype=float32)
    """
    params, args = prepare("hvp", loss, params, args)
    return _hvp(loss, params, like("hvp", "vector", vector, params), args)


_hvp = jax.jit(product, static_argnames="loss")


def hessian(loss: Loss, params: Tree, *args: Any) -> jax.Array:
    """The Hessian as an (n, n) matrix, where n is the number of all parameters; for small n.

        H_ij = ∂²loss/∂θᵢ∂θⱼ

    The rows are in the order of `gradtx.tree.paths`, each leaf row by row. Symmetric to the last bit.

    Raises `TransformationError`: a loss that is no real scalar.

    >>> hessian(lambda x: x["a"] ** 2 * x["b"], {"a": jnp.array(1.0), "b": jnp.array(3.0)})
    Array([[6., 2.],
           [2., 0.]], dtype=float32)
    """
    params, args = prepare("hessian", loss, params, args)
    return _hessian(loss, params, args)


@functools.partial(jax.jit, static_argnames="loss")
def _hessian(loss: Loss, params: Tree, args: Any) -> jax.Array:
    identity = jnp.eye(trees.size(params), dtype=precision(params))
    rows = jax.vmap(lambda row: raveled(product(loss, params, unraveled(row, params), args)))(identity)
    return (rows + rows.T) / 2


def directional_curvature(loss: Loss, params: Tree, direction: Tree, *args: Any) -> jax.Array:
    """The second derivative of the loss along a direction, whatever the length of the direction.

        dᵀHd / dᵀd

    ``direction`` is a tree like ``params``. The result lies between the smallest and the largest eigenvalue of H; it is
    NaN for the direction 0.

    Raises `TransformationError`: a loss that is no real scalar, a direction that is not like the parameters.

    >>> directional_curvature(lambda x: x[0] ** 2 - x[1] ** 2, jnp.zeros(2), jnp.array([0.0, 3.0]))
    Array(-2., dtype=float32)
    """
    params, args = prepare("directional_curvature", loss, params, args)
    squared, along = _along(loss, params, like("directional_curvature", "direction", direction, params), args)
    return along / squared


# The spectrum ---------------------------------------------------------------------------------------------------------


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Spectrum:
    """Eigenvalues of a Hessian, ascending, and what belongs to each.

    ``vectors``: unit eigenvectors, a tree like the parameters with a leading axis. ``errors``: ‖Hv − λv‖ of each pair;
    H has an eigenvalue no farther than that from λ. ``steps``: Lanczos steps taken, 0 where H was formed.
    """

    eigenvalues: jax.Array
    vectors: Tree
    errors: jax.Array
    steps: jax.Array


def spectrum(
    loss: Loss,
    params: Tree,
    *args: Any,
    k: int | None = None,
    method: Literal["dense", "lanczos"] | None = None,
    max_steps: int | None = None,
    tol: float | None = None,
    seed: int = 0,
) -> Spectrum:
    """The eigenvalues of the Hessian: all of them, or the ``k`` smallest and the ``k`` largest.

        H v = λ v,   λ₁ ≤ … ≤ λₙ

    ``dense`` forms H; ``lanczos`` takes one `hvp` a step, and keeps its basis, (steps, n) numbers, orthogonal by two
    full reorthogonalisations. If no method is given: dense for all eigenvalues or up to 256 parameters, else Lanczos,
    which needs ``k``. It begins with a random vector from ``seed`` and stops when every residual is below ``tol`` times
    the largest |λ| (if not given: eps^⅔, 2e-5 in float32 and 4e-11 in float64), at the latest after ``max_steps``
    (20k + 60 if not given; never more than n). An eigenvalue is off by no more than its residual, and where the gap to
    the next is wide, by no more than the residual squared over the gap. Look at ``errors``: they show if a run was too
    short. The traps: in float32 a small eigenvalue beside a large one is known only to 2e-5 of the large one, and one
    close to it may be missed; one starting vector finds one copy of a repeated eigenvalue. Works under ``jit`` and
    ``vmap``.

    Source: Lanczos 1950; Paige 1972 (residuals); Parlett 1998, chapter 13 (reorthogonalisation, twice is enough).

    Raises `TransformationError`: a loss that is no real scalar, a ``k`` that is not 1 or more, Lanczos without ``k``,
    the dense method on more than 5,000 parameters.

    >>> spectrum(lambda x: x[0] ** 2 - x[1] ** 2, jnp.zeros(2)).eigenvalues
    Array([-2.,  2.], dtype=float32)
    """
    params, args = prepare("spectrum", loss, params, args)
    n, real = trees.size(params), precision(params)
    if method not in (None, "dense", "lanczos"):
        raise TransformationError(f"spectrum: method: expected 'dense' or 'lanczos', found {method!r}")
    if method == "lanczos" and k is None:
        raise TransformationError("spectrum: k: lanczos finds the k smallest and the k largest eigenvalues: give k")
    for name, number in (("k", k), ("max_steps", max_steps)):
        if number is not None:
            whole_number(f"spectrum: {name}", number)
    k = None if k is None or 2 * k >= n else k
    if k is None or method == "dense" or (method is None and n <= SMALL):
        if n > LARGE:
            raise TransformationError(f"spectrum: k: H of {n} parameters is too large to form: give k, for lanczos")
        return _dense(loss, params, args, k=k)
    most = min(n, max(2 * k, 20 * k + 60 if max_steps is None else max_steps))
    tol = float(jnp.finfo(real).eps) ** (2 / 3) if tol is None else tol
    return _lanczos(loss, params, args, jax.random.key(seed), jnp.asarray(tol, real), k=k, most=most)


@functools.partial(jax.jit, static_argnames=("loss", "k"))
def _dense(loss: Loss, params: Tree, args: Any, *, k: int | None) -> Spectrum:
    matrix = _hessian(loss, params, args)
    values, vectors = jnp.linalg.eigh(matrix)
    ends = slice(None) if k is None else np.r_[:k, len(values) - k : len(values)]
    values, vectors = values[ends], vectors[:, ends]
    errors = jnp.linalg.norm(matmul(matrix, vectors) - vectors * values[None], axis=0)
    return Spectrum(values, unravel_rows(vectors.T, params), errors, jnp.asarray(0))


@functools.partial(jax.jit, static_argnames=("loss", "k", "most"))
def _lanczos(loss: Loss, params: Tree, args: Any, key: Any, tol: Any, *, k: int, most: int) -> Spectrum:
    def operator(v: jax.Array) -> jax.Array:
        return raveled(product(loss, params, unraveled(v, params), args))

    found = extremes(operator, trees.size(params), precision(params), key, tol, k=k, most=most)
    return Spectrum(found.values, unravel_rows(found.vectors, params), found.errors, found.steps)


def condition_number(loss: Loss, params: Tree, *args: Any) -> jax.Array:
    """How much the curvature differs between directions: what makes gradient descent slow.

        κ = max |λᵢ/λⱼ| over the eigenvalues of H;   ∞ where one of them is zero to rounding, |λ| ≤ n · eps · max|λ|

    Needs all eigenvalues, so H is formed; the H of a network that has more parameters than it uses is singular.

    Source: Goodfellow, Bengio & Courville 2016, eq. 4.2.

    Raises `TransformationError`: a loss that is no real scalar, more than 5,000 parameters.

    >>> float(condition_number(lambda x: x[0] ** 2 - 8 * x[1] ** 2, jnp.zeros(2)))
    8.0
    """
    sizes = jnp.abs(spectrum(loss, params, *args).eigenvalues)
    least, most = jnp.min(sizes), jnp.max(sizes)
    singular = least <= len(sizes) * jnp.finfo(sizes.dtype).eps * most
    return jnp.where(singular, jnp.inf, most / jnp.where(singular, 1, least))


# Steps ----------------------------------------------------------------------------------------------------------------


def predicted_decrease(loss: Loss, params: Tree, step_size: Any, *args: Any) -> jax.Array:
    """How a step of gradient descent will change the loss, predicted from the slope and curvature at the point.

        L(θ − αg) − L(θ) ≈ −α gᵀg + ½ α² gᵀHg

    α is ``step_size``, a number or an array of them. Exact where the loss is quadratic. The decrease falls short of the
    first-order prediction −α gᵀg where the curvature along g is positive, meets it where it is zero, and exceeds it
    where it is negative. The trap: a decrease is a negative number.

    Source: Goodfellow, Bengio & Courville 2016, eq. 4.9.

    Raises `TransformationError`: a loss that is no real scalar.

    >>> [float(predicted_decrease(lambda x: x**2, jnp.array(10.0), step)) for step in (0.25, 0.5, 1.0)]  # 25, 0, 100
    [-75.0, -100.0, 0.0]
    """
    params, args = prepare("predicted_decrease", loss, params, args)
    squared, along = _along(loss, params, None, args)
    step_size = jnp.asarray(step_size, squared.dtype)
    return -step_size * squared + step_size**2 * along / 2


def best_step(loss: Loss, params: Tree, *args: Any) -> jax.Array:
    """The step size of gradient descent with the lowest loss, predicted from the slope and curvature at the point.

        α* = gᵀg / gᵀHg,   with the decrease −½ (gᵀg)²/gᵀHg

    Where gᵀHg ≤ 0 the predicted loss falls for ever, and the best step is ∞: second derivatives cannot say how far the
    prediction holds. Where the gradient is zero it is 0. It is between 1/λₙ and 1/λ₁ if all eigenvalues are positive.

    Source: Goodfellow, Bengio & Courville 2016, eq. 4.10; Cauchy 1847.

    Raises `TransformationError`: a loss that is no real scalar.

    >>> float(best_step(lambda x: x**2, jnp.array(10.0)))  # to the minimum at once: 10 − ½ · 20
    0.5
    """
    params, args = prepare("best_step", loss, params, args)
    squared, along = _along(loss, params, None, args)
    return jnp.where(along > 0, squared / jnp.where(along > 0, along, 1), jnp.where(squared > 0, jnp.inf, 0))


@functools.partial(jax.jit, static_argnames="loss")
def _along(loss: Loss, params: Tree, direction: Tree, args: Any) -> tuple[jax.Array, jax.Array]:
    """dᵀd and dᵀHd, d the gradient where no direction is given."""
    direction = jax.grad(loss)(params, *args) if direction is None else direction
    d = raveled(direction)
    return dot(d, d), dot(d, raveled(product(loss, params, direction, args)))


# Critical points ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CriticalPoint:
    """What kind of point it is, and why; the norm of the gradient, and the two ends of the spectrum."""

    kind: Literal["minimum", "maximum", "saddle", "degenerate", "not critical"]
    reason: str
    gradient_norm: float
    smallest: float
    largest: float

    def __str__(self) -> str:
        return f"{self.kind}: {self.reason}"


def classify(
    loss: Loss, params: Tree, *args: Any, gradient_tol: float = 1e-5, tol: float | None = None
) -> CriticalPoint:
    """Whether a point is a minimum, a maximum, a saddle, or none of them.

        all λ > 0: minimum   all λ < 0: maximum   both signs: saddle   else, some λ = 0: degenerate

    A point is ``not critical`` where ‖∇loss‖ exceeds ``gradient_tol``. That is in units of the loss: rescale them both.
    An eigenvalue counts as zero up to ``tol`` times the largest |λ| (√eps if not given), and up to its error. A saddle
    may have zero eigenvalues too; at a ``degenerate`` point the second derivative does not decide. The two ends of the
    `spectrum` are enough, so this works for networks too. Not under ``jit``: the answer is a word.

    Source: Goodfellow, Bengio & Courville 2016, section 4.3.1.

    Raises `TransformationError`: a loss that is no real scalar, traced parameters.

    >>> print(classify(lambda x: x[0] ** 2 - x[1] ** 2, jnp.zeros(2)))
    saddle: eigenvalues of both signs, from -2 to 2
    """
    params, args = prepare("classify", loss, params, args)
    no_tracers("classify", (params, args))
    norm = float(trees.norm(jax.jit(jax.grad(loss))(params, *args)))
    found = spectrum(loss, params, *args, k=1)
    values, errors = np.asarray(found.eigenvalues, np.float64), np.asarray(found.errors, np.float64)
    tol = float(jnp.finfo(found.eigenvalues.dtype).eps) ** 0.5 if tol is None else tol
    zero = tol * np.max(np.abs(values)) + errors
    positive, negative = values > zero, values < -zero
    ends = f"from {values[0]:g} to {values[-1]:g}"
    if not norm <= gradient_tol:
        kind, reason = "not critical", f"the gradient is not zero, its norm is {norm:g}"
    elif positive.any() and negative.any():
        kind, reason = "saddle", f"eigenvalues of both signs, {ends}"
    elif positive.all():
        kind, reason = "minimum", f"all eigenvalues are positive, {ends}"
    elif negative.all():
        kind, reason = "maximum", f"all eigenvalues are negative, {ends}"
    else:
        kind, reason = "degenerate", f"an eigenvalue is zero and none has the other sign, {ends}"
    return CriticalPoint(kind, reason, norm, float(values[0]), float(values[-1]))


# A check of gradients -------------------------------------------------------------------------------------------------


def check_gradient(
    loss: Loss, params: Tree, *args: Any, gradient: Callable[..., Tree] | None = None, tol: float = 1e-6
) -> float:
    """Compare a gradient with central finite differences, every coordinate, in float64 whether x64 is on or not.

        gᵢ ≈ (L(θ + hᵢeᵢ) − L(θ − hᵢeᵢ)) / 2hᵢ,   hᵢ = eps^⅓ · max(1, |θᵢ|)

    ``gradient(params, *args)`` is a tree like the parameters, ``jax.grad(loss)`` if not given, which tests the rules
    inside the loss (``custom_vjp``). Returns the largest difference relative to the largest entry of the two gradients,
    with an allowance for rounding of the loss. Takes two evaluations per coordinate. The traps: a loss that computes in
    float32 inside is too coarse for it; at a kink (ReLU at 0) the two rightly differ.

    Raises `AssertionError`, which names the leaf and the index, where that is above ``tol``; `TransformationError`: a
    loss that is no real scalar, a gradient that is not like the parameters, traced parameters.

    >>> check_gradient(lambda x: jnp.sum(x**3), jnp.array([1.0, 2.0])) < 1e-9
    True
    >>> check_gradient(lambda x: jnp.sum(x**2), jnp.array([1.0, 2.0]), gradient=lambda x: 3 * x)
    Traceback (most recent call last):
    AssertionError: check_gradient: leaf [1]: expected 4 by finite differences, found 6
    """
    params, args = prepare("check_gradient", loss, params, args)
    no_tracers("check_gradient", (params, args))
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        params, args = (jax.tree.map(_double, tree) for tree in (params, args))
        tree = (jax.grad(loss) if gradient is None else gradient)(params, *args)
        found = np.asarray(raveled(like("check_gradient", "gradient", tree, params)))
        expected, noise = (np.asarray(x) for x in _differences(loss, params, args))
    apart = np.abs(found - expected)
    size = max(np.max(np.abs(found), initial=0), np.max(np.abs(expected), initial=0))
    errors = np.where(apart == 0, 0, apart / (size + noise / tol))
    worst = int(np.argmax(errors))
    expect(
        errors[worst] <= tol,
        f"check_gradient: leaf {place(worst, params)}",
        f"{expected[worst]:.6g} by finite differences",
        f"{found[worst]:.6g}",
    )
    return float(errors[worst])


@functools.partial(jax.jit, static_argnames="loss")
def _differences(loss: Loss, params: Tree, args: Any) -> tuple[jax.Array, jax.Array]:
    """Central differences, and how far off rounding and the third derivative may make them."""
    x, eps = raveled(params), float(np.finfo(np.float64).eps)
    h = eps ** (1 / 3) * jnp.maximum(1, jnp.abs(x))

    def difference(i: jax.Array) -> tuple[jax.Array, jax.Array]:
        up, down = x.at[i].add(h[i]), x.at[i].add(-h[i])
        above, below = (loss(unraveled(point, params), *args).astype(x.dtype) for point in (up, down))
        noise = 4 * eps * jnp.maximum(jnp.abs(above), jnp.abs(below)) / h[i] + eps ** (2 / 3)
        return (above - below) / (up[i] - down[i]), noise

    batch = min(64, len(x))
    whole = jnp.arange(-(-len(x) // batch) * batch) % len(x)  # whole batches compile once
    differences, noise = jax.lax.map(difference, whole, batch_size=batch)
    return differences[: len(x)], noise[: len(x)]


def _double(x: Any) -> Any:
    x = np.asarray(x)
    return jnp.asarray(x, jnp.float64) if jnp.issubdtype(x.dtype, jnp.floating) else jnp.asarray(x)
