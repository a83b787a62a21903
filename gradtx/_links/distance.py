"""A learning rate from the distance travelled."""

import functools

import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._rules.fields import copied
from gradtx._rules.per_leaf import per_leaf
from gradtx._rules.protocol import Rule
from gradtx._rules.transformation import transformation
from gradtx._value.floating import abs_sq, root
from gradtx._value.marks import Dtype, NonNegative


@transformation
def scale_by_distance_over_gradients(
    reps_rel: NonNegative = 1e-6,
    eps: NonNegative = 1e-8,
    global_scale: NonNegative = 1.0,
    *,
    param_dtype: Dtype = None,
) -> Rule:
    """Every leaf times the farthest that it has been from its start, over the norm of all its gradients.

        dₜ = max(dₜ₋₁, ‖θₜ − θ₀‖),   d₀ = r(1 + ‖θ₀‖);   u ← s dₜ uₜ/√(‖g₁‖² + ... + ‖gₜ‖² + ε)

    r is ``reps_rel``, s ``global_scale``, ε ``eps``, g the gradient that entered the chain; θ₀ are the parameters given
    to ``init``. It replaces the learning rate: only the sign is left to be changed. Source: Ivgi, Hinder & Carmon 2023,
    DoG layer by layer. State: ``init_params`` (θ₀), in ``param_dtype`` or in float32 at least (Optax: in float32, also
    where the parameters have 64 bits); ``max_dist`` (d), ``grad_sum_of_squares``, one number for each leaf. Raises
    `TransformationError`: no ``params``.

    >>> tx = scale_by_distance_over_gradients(reps_rel=0.5, eps=0.0)
    >>> x = jnp.array([3.0])
    >>> tx.update(jnp.array([4.0]), tx.init(x), x)[0]  # 0.5·(1 + 3)·4/√16
    Array([2.], dtype=float32)
    """

    def formula(u, max_dist, grad_sum_of_squares, init_params, *, gradient, param):
        max_dist = jnp.maximum(max_dist, trees.norm(param - init_params))
        total = grad_sum_of_squares + jnp.sum(abs_sq(gradient))
        rate = global_scale * max_dist / jnp.where(total > 0, root(jnp.where(total > 0, total, 1) + eps), 1)
        return u * rate, max_dist, total, init_params

    return per_leaf(
        formula,
        max_dist=lambda param: reps_rel * (1 + trees.norm(param)),
        grad_sum_of_squares=lambda param: jnp.zeros_like(trees.norm(param)),
        init_params=functools.partial(_stored, dtype=param_dtype),
    )


def _stored(param, dtype):
    return copied(param) if dtype is None or jnp.iscomplexobj(param) else param.astype(dtype)
