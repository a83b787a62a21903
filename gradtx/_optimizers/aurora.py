"""Aurora: orthogonal updates of tall and wide matrices, with vectors of one length along the longer side."""

from typing import Any

import jax
import jax.numpy as jnp

from gradtx._links.matrix_scaling import scale_by_shape
from gradtx._links.moments import nesterov_lookahead, trace
from gradtx._numeric.newton_schulz import Coefficients, newton_schulz, rows_of, starting_point
from gradtx._optimizers.muon import beside_adamw
from gradtx._roles.roles import or_roles
from gradtx._rules.protocol import Rule, Tree
from gradtx._rules.stacks import on_stacks
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._rules.whole_tree import whole_tree
from gradtx._value.floating import abs_sq, root
from gradtx._value.marks import Decay, Dtype, NonNegative


@transformation
def scale_by_aurora(
    coefficients: Coefficients = (2.0, -1.5, 0.5),
    eps: NonNegative = 1e-7,
    power: NonNegative = 0.5,
    *,
    steps: int | None = 12,
    rounds: int = 2,
    dtype: Dtype = None,
    weight_dimension_numbers: Any = None,
) -> Rule:
    """The update made orthogonal, so that all vectors along its longer side have about one length.

        D = diag(1/‖xⱼ‖);   U ← NS(XD),   D ← D diag((m/n)/‖uⱼ‖²)^p,   ``rounds`` times of X (m, n), m ≤ n;   u ← U

    xⱼ and uⱼ are the n columns of X and U. p is ``power``; NS is `orthogonalize` with ``coefficients`` and ``steps``.
    An orthogonal U has columns of length √(m/n) on average. A square matrix has no choice: all are 1. A tall matrix is
    turned, so there it is the rows. Without it, neurons that have small gradients stay small. Source: Aurora (Tilde
    Research 2025). State: none.

    >>> x = jnp.array([[1.0, 0.0, 2.0], [0.0, 3.0, 1.0]])
    >>> u, _ = scale_by_aurora(rounds=20).update(x, {})
    >>> [round(x, 3) for x in jnp.sum(u**2, 0).tolist()]  # 2/3
    [0.667, 0.667, 0.667]
    """
    rows, start = rows_of(coefficients, steps), starting_point(coefficients, None)

    def of_stack(x: jax.Array) -> jax.Array:
        def polar(x: jax.Array) -> jax.Array:
            return newton_schulz(x, rows, eps, preconditioning=start, dtype=dtype)

        m, n = x.shape[-2:]
        if m == n:
            return polar(x)
        scale = 1 / jnp.maximum(_lengths(x), jnp.asarray(eps).astype(jnp.real(x).dtype))
        for _ in range(rounds - 1):
            lengths = jnp.maximum(_lengths(polar(x * scale.astype(x.dtype))), jnp.asarray(eps).astype(scale.dtype))
            scale = scale * (m / n / lengths**2) ** jnp.asarray(power).astype(scale.dtype)
        return polar(x * scale.astype(x.dtype))

    def update(updates: Tree, state: Any) -> Any:
        return on_stacks(of_stack, updates, weight_dimension_numbers), state

    return whole_tree(update)


def _lengths(x: jax.Array) -> jax.Array:
    return root(abs_sq(x).sum(-2, keepdims=True))


@transformation
def aurora(
    learning_rate: NonNegative,
    ns_coeffs: Coefficients = (2.0, -1.5, 0.5),
    beta: Decay = 0.95,
    eps: NonNegative = 1e-7,
    weight_decay: NonNegative = 0.025,
    adam_learning_rate: NonNegative = None,
    adam_b1: Decay = 0.9,
    adam_b2: Decay = 0.95,
    adam_eps: NonNegative = 1e-8,
    adam_weight_decay: NonNegative = 0.0,
    *,
    ns_steps: int | None = 12,
    ns_dtype: Dtype = None,
    weight_dimension_numbers: Any = None,
) -> GradientTransformation:
    """Muon that is fair to neurons: `scale_by_aurora` in place of `orthogonalize`.

        mₜ = βmₜ₋₁ + gₜ;   W ← W − α (√max(1, n/m) E(gₜ + βmₜ) + λW)

    E is `scale_by_aurora`, the factor that of `scale_by_shape`. For square matrices it is Muon.
    ``weight_dimension_numbers``, and what it does not make matrices of, are as in `muon`; AdamW's numbers begin with
    ``adam_``. Source: Aurora (Tilde Research 2025).

    >>> tx, params = aurora(0.5, weight_decay=0.0), {"w": jnp.zeros((2, 2))}
    >>> updates, _ = tx.update({"w": jnp.array([[2.0, 0.0], [0.0, -1.0]])}, tx.init(params), params)
    >>> jnp.diagonal(updates["w"]).round(4)
    Array([-0.5,  0.5], dtype=float32)
    """
    axes = or_roles(weight_dimension_numbers)
    even = scale_by_aurora(ns_coeffs, eps, steps=ns_steps, dtype=ns_dtype, weight_dimension_numbers=axes)
    links = (trace(beta), nesterov_lookahead(beta), even, scale_by_shape(weight_dimension_numbers=axes))
    adam = (adam_b1, adam_b2, adam_eps, adam_weight_decay)
    return beside_adamw(links, learning_rate, weight_decay, adam_learning_rate, adam, axes)
