"""Matrices with singular values near 1, by Newton–Schulz iterations: schedules of coefficients, two forms of a step.

A step with coefficients a, b, c multiplies a matrix X by a polynomial of its Gram matrix G = XXᴴ,

    X ← PX,   P = aI + bG + cG²,

so it leaves the singular vectors alone and takes each singular value σ to aσ + bσ³ + cσ⁵. The direct form computes it
so. In the Gram form, G ← PGP and Q ← PQ are the iteration, on the short side alone, and X ← QX stands at the end: fewer
products where one side of X is much longer than the other. Rounding errors of G grow with every step, so G is computed
anew from X before they are large.
"""

import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from gradtx._rules.vectors import power_of_two
from gradtx._value.errors import TransformationError, suggest
from gradtx._value.floating import abs_sq, root
from gradtx._value.marks import Kept
from gradtx._value.numbers import Name

Triple = tuple[Any, Any, Any]
Preconditioning = Literal["frobenius", "spectral", "aol", "schatten", None]
Form = Literal["direct", "gram", None]

SIMPLE = (3.4445, -4.7750, 2.0315)
QUINTIC = (
    (4.0848, -6.8946, 2.9270),
    (3.9505, -6.3029, 2.6377),
    (3.7418, -5.5913, 2.3037),
    (2.8769, -3.1427, 1.2046),
    (2.8366, -3.0525, 1.2012),
)
SCHEDULES: dict[str, tuple[tuple[float, float, float], ...]] = {
    "simple": (SIMPLE,) * 5,
    "quintic": QUINTIC,
    "polar_express": (
        (8.2051, -22.9019, 16.4607),
        (4.0664, -2.8612, 0.5184),
        (3.9096, -2.8234, 0.5250),
        (3.2856, -2.4153, 0.4853),
        (2.2779, -1.6198, 0.3985),
        (1.8726, -1.2307, 0.3585),
        (1.8564, -1.2132, 0.3568),
        (1.8750, -1.2500, 0.3750),
    ),
    "cans": (
        (8.4703, -25.1081, 18.6293),
        (4.1828, -3.1087, 0.5806),
        (3.9619, -2.9541, 0.5630),
        (3.2866, -2.4647, 0.5074),
        (2.2737, -1.6447, 0.4162),
    ),
    "turbo": (
        (4.0098, -7.0585, 2.4635),
        (3.4585, -5.5479, 2.5959),
        (2.7573, -3.2939, 1.4254),
        (2.7215, -3.0494, 1.3169),
    ),
    "deepseek_v4": (SIMPLE,) * 8 + ((2.0, -1.5, 0.5),) * 2,
    "standard": (SIMPLE,) * 5,
    "dion": QUINTIC,
}
USUAL = {"polar_express": 5}  # steps, where they are not all that the schedule has
OF_SCALED_ROWS = ("turbo",)  # schedules that start from rows scaled by "aol"


# Schedules ------------------------------------------------------------------------------------------------------------


def coefficients(given: Any) -> Any:
    """What is given for coefficients, in the form to keep: a name, three numbers, or a tuple of triples.

    Raises `TransformationError`: an unknown name, an array of another shape.
    """
    if isinstance(given, str):
        if given not in SCHEDULES:
            known = ", ".join(map(repr, SCHEDULES))
            raise TransformationError(f"expected numbers or one of {known}, found {given!r}{suggest(given, SCHEDULES)}")
        return Name(given)
    shape = np.shape(given) if hasattr(given, "shape") else None
    if shape is None:
        return given
    if len(shape) not in (1, 2) or shape[-1] != 3:
        raise TransformationError(f"expected coefficients of shape (3,) or (n, 3), found {shape}")
    return tuple(given) if len(shape) == 1 else tuple(tuple(row) for row in given)


Coefficients = Annotated[Any, Kept("numbers", coefficients)]
"""The name of a schedule of coefficients, three numbers (a, b, c), or one such triple for each step."""


def rows_of(given: Any, steps: int | None) -> list[Triple]:
    """The coefficients of each step.

    Of a schedule by name the first ``steps``, and its last row again if it has fewer; of one triple as many as steps
    (5); of several triples all, at most ``steps``. Raises `TransformationError`: more triples than steps.
    """
    if steps is not None and steps < 1:
        raise TransformationError(f"steps: expected 1 or more, found {steps}")
    if isinstance(given, str):
        rows = SCHEDULES[given]
        count = USUAL.get(given, len(rows)) if steps is None else steps
        return list(rows[:count]) + [rows[-1]] * (count - len(rows))
    rows = list(given) if given and isinstance(given[0], tuple | list) else [given] * (5 if steps is None else steps)
    if (steps is not None and len(rows) > steps) or any(len(row) != 3 for row in rows):
        each = "" if steps is None else f"{steps} "
        raise TransformationError(f"coefficients: expected three numbers, or three for each of {each}steps")
    return rows


def starting_point(given: Any, preconditioning: Preconditioning) -> str:
    """What the iteration starts from. Raises `TransformationError`: a schedule for scaled rows without them."""
    scaled = isinstance(given, str) and given in OF_SCALED_ROWS
    if preconditioning is None:
        return "aol" if scaled else "frobenius"
    if scaled and preconditioning != "aol":
        raise TransformationError(
            f"preconditioning: the coefficients {str(given)!r} are for rows scaled by 'aol', found {preconditioning!r}"
        )
    return preconditioning


# The iteration --------------------------------------------------------------------------------------------------------


def newton_schulz(
    x: jax.Array,
    rows: Sequence[Triple],
    eps: Any = 1e-8,
    *,
    preconditioning: str = "frobenius",
    form: Form = None,
    dtype: Any = None,
) -> jax.Array:
    """Matrices (..., m, n) with m ≤ n, with the singular vectors of ``x`` and singular values near 1.

    ``rows`` are the coefficients of each step. The first step starts from x/(‖x‖ + ε), where ‖x‖ is the root of the sum
    of squares (``preconditioning="frobenius"``) or the largest singular value (``"spectral"``). In place of the norm,
    ``"schatten"`` divides by the fourth root of the sum of squares of G, and ``"aol"`` each row by the root of its sum
    in |G|, which turns the singular vectors a little. ``form`` is that of a step, by default the one with fewer
    products. Computed in ``dtype``, or in that of ``x``.

    >>> x = newton_schulz(jnp.diag(jnp.array([4.0, -0.5])), [(1.5, -0.5, 0.0)] * 12)
    >>> [round(v, 4) for v in jnp.diagonal(x).tolist()]
    [1.0, -1.0]
    """
    was = x.dtype
    if preconditioning in ("aol", "schatten"):
        x = x / power_of_two(jnp.max(jnp.abs(x), axis=(-2, -1), keepdims=True, initial=0)).astype(was)
    else:
        size = _norm(x) if preconditioning == "frobenius" else _largest_singular_value(x)
        under = size + jnp.asarray(eps).astype(size.dtype)
        x = x * jnp.where(under > 0, 1 / jnp.where(under > 0, under, 1), 0).astype(x.dtype)
    x = x.astype(computed_in(was, dtype))
    gram = x @ _adjoint(x)
    if preconditioning in ("aol", "schatten"):
        scale = _scale(gram, preconditioning)
        x, gram = x * scale.astype(x.dtype), gram * (scale * scale.mT).astype(x.dtype)
    parts = segments(len(rows), x.dtype)
    if form is None:
        form = "gram" if products(len(rows), x.shape, parts) < products(len(rows), x.shape) else "direct"
    x = _by_gram(x, gram, rows, parts) if form == "gram" else _directly(x, gram, rows)
    return x.astype(was)


def computed_in(was: Any, dtype: Any) -> Any:
    """The dtype to iterate in. Raises `TransformationError`: float64 where JAX has none, half of a complex number."""
    if dtype is None:
        return was
    wanted = jnp.dtype(dtype)
    if jnp.issubdtype(was, jnp.complexfloating):
        if jnp.finfo(wanted).bits < 32:
            raise TransformationError(f"dtype: complex numbers have no parts in {wanted.name}: expected 'float32'")
        wanted = jnp.result_type(wanted, jnp.complex64)
    if jax.dtypes.canonicalize_dtype(wanted) != wanted:
        raise TransformationError(f"dtype: {wanted.name} is only there inside jax.enable_x64(True)")
    return wanted


def segments(steps: int, dtype: Any) -> list[int]:
    """How many steps of the Gram form go from one Gram matrix, before it is computed anew.

    A rounding error that leaves an eigenvalue of G below 0 grows by a² in each step, up to 70: two steps in half, five
    in single and twelve in double precision stay stable.
    """
    bits = jnp.finfo(dtype).bits
    most = 2 if bits == 16 else 5 if bits == 32 else 12
    parts = math.ceil(steps / most)
    return [steps // parts + (n < steps % parts) for n in range(parts)]


def products(steps: int, shape: Sequence[int], parts: Sequence[int] = ()) -> int:
    """How many multiplications the products of one matrix take: in the direct form, or in the Gram form in parts."""
    *_, m, n = shape
    if not parts:
        return steps * m * m * (2 * n + m)
    return sum(2 * m * m * n + m**3 * max(4 * k - 3, 1) for k in parts)


def _directly(x: jax.Array, gram: jax.Array, rows: Sequence[Triple]) -> jax.Array:
    for n, row in enumerate(rows):
        gram = x @ _adjoint(x) if n else gram
        x = _step(gram, row) @ x
    return x


def _by_gram(x: jax.Array, gram: jax.Array, rows: Sequence[Triple], parts: Sequence[int]) -> jax.Array:
    rest = list(rows)
    for part, count in enumerate(parts):
        own, rest = rest[:count], rest[count:]
        gram = x @ _adjoint(x) if part else gram
        product = None
        for n, row in enumerate(own):
            step = _step(gram, row)
            product = step if product is None else step @ product
            gram = step @ gram @ step if n + 1 < count else gram
        x = x if product is None else product @ x
    return x


def _step(gram: jax.Array, row: Triple) -> jax.Array:
    """What a step multiplies by. That its last operation is a product keeps what follows from computing it anew."""
    a, b, c = (jnp.asarray(number).astype(gram.dtype) for number in row)
    return a * _identity(gram) + b * gram + c * (gram @ gram)


def _adjoint(x: jax.Array) -> jax.Array:
    return jnp.conj(x.mT)


def _identity(like: jax.Array) -> jax.Array:
    return jnp.broadcast_to(jnp.eye(*like.shape[-2:], dtype=like.dtype), like.shape)


# What it starts from --------------------------------------------------------------------------------------------------


def _scale(gram: jax.Array, preconditioning: str) -> jax.Array:
    """What to multiply the rows of matrices by, from their Gram matrices, so that no singular value exceeds 1."""
    sums = jnp.abs(gram).sum(-1, keepdims=True) if preconditioning == "aol" else _norm(gram)
    return jax.lax.rsqrt(jnp.maximum(sums, 1e-20))


def _norm(x: jax.Array) -> jax.Array:
    """The root of the sum of squares of each matrix; finite where the matrix is."""
    largest = jax.lax.stop_gradient(jnp.max(jnp.abs(x), axis=(-2, -1), keepdims=True, initial=0))
    largest = jnp.where(largest > 0, largest, 1)
    return largest * root(abs_sq(x / largest.astype(x.dtype)).sum((-2, -1), keepdims=True))


def _largest_singular_value(x: jax.Array) -> jax.Array:
    """The spectral norm of each matrix, with derivative 0 at 0."""
    zero = ~jnp.any(x != 0, axis=(-2, -1), keepdims=True)
    there = jnp.where(zero, _identity(x), x)
    return jnp.where(zero, 0, jnp.linalg.norm(there, 2, axis=(-2, -1), keepdims=True))
