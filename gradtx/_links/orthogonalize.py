"""Orthogonal updates: matrices with all singular values near 1, by Newton–Schulz iterations."""

from typing import Any

import jax
import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._numeric.newton_schulz import Coefficients, Form, Preconditioning, newton_schulz, rows_of, starting_point
from gradtx._rules.protocol import Rule, Tree
from gradtx._rules.stacks import on_stacks
from gradtx._rules.transformation import transformation
from gradtx._rules.whole_tree import whole_tree
from gradtx._value.marks import Dtype, NonNegative


@transformation
def orthogonalize(
    coefficients: Coefficients = "simple",
    eps: NonNegative = 1e-8,
    *,
    steps: int | None = None,
    dtype: Dtype = None,
    preconditioning: Preconditioning = None,
    adaptive: bool = False,
    form: Form = None,
    weight_dimension_numbers: Any = None,
) -> Rule:
    """The nearest orthogonal matrix to the update, nearly: all of its singular values become about 1.

        u ← NS(uₜ) ≈ UVᴴ,   uₜ = UΣVᴴ        (adaptive: u ← ⟨uₜ, NS(uₜ)⟩ NS(uₜ))

    NS is an iteration of Newton and Schulz, X ← aX + (bG + cG²)X with G = XXᴴ, from uₜ/(‖uₜ‖ + ε). The numbers a, b, c
    of each step are ``coefficients``: three numbers, an (n, 3) array, or a name. Singular values from 0.01 to 1 end

    - ``"simple"`` (5 steps, Jordan et al. 2024): between 0.68 and 1.14,
    - ``"quintic"`` (5, Cesista et al. 2025): between 0.97 and 1.04,
    - ``"polar_express"`` (5 of 8, Amsel et al. 2025): between 0.87 and 1.13, after all 8 steps at 1,
    - ``"cans"`` (5, Grishina et al. 2025): between 0.88 and 1.12,
    - ``"deepseek_v4"`` (10, 8 of them simple): between 1 and 1.001,
    - ``"turbo"`` (4, Boissin et al. 2025): it starts from ``preconditioning="aol"``, and does not run without.

    ``"standard"`` and ``"dion"`` are Optax's names of the first two. ``steps`` takes the first of them, and repeats the
    last. What the iteration starts from, ``preconditioning``, is "frobenius", "spectral", "aol" or "schatten": see
    ``newton_schulz`` in ``gradtx._numeric.newton_schulz``. It runs in ``dtype``, or as the chain in float32 at least.

    ``weight_dimension_numbers`` says which axes make rows and columns, and what is cut apart, where a leaf is not one
    matrix (`gradtx.MuonDimensionNumbers`, for all leaves, or a tree or function that has one for each). Matrices of one
    shape, whichever leaves they belong to, are one batched product. Where one side of them is much longer, the products
    are of the short side (``form="gram"``, see there); ``form="direct"`` never does that. Source: Jordan et al. 2024;
    Bernstein & Newhouse 2024. State: none. Raises `TransformationError`: a leaf that is no matrix, more triples than
    steps.

    >>> tx = orthogonalize((1.5, -0.5, 0.0), steps=12)
    >>> tx.update(jnp.diag(jnp.array([4.0, -0.5])), {})[0].round(4)
    Array([[ 1.,  0.],
           [ 0., -1.]], dtype=float32)
    """
    rows, start = rows_of(coefficients, steps), starting_point(coefficients, preconditioning)

    def of_stack(x: jax.Array) -> jax.Array:
        return newton_schulz(x, rows, eps, preconditioning=start, form=form, dtype=dtype)

    def update(updates: Tree, state: Any) -> Any:
        made = on_stacks(of_stack, updates, weight_dimension_numbers)
        return trees.map(_adapted, updates, made) if adaptive else made, state

    return whole_tree(update)


def _adapted(u: jax.Array, made: jax.Array) -> jax.Array:
    return jnp.sum(jnp.conj(u) * made) * made
