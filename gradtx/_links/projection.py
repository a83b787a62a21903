"""Steps along the sphere: updates without the part that only makes a weight longer."""

import jax.numpy as jnp

from gradtx._rules.per_leaf import per_leaf
from gradtx._rules.protocol import Rule
from gradtx._rules.transformation import transformation
from gradtx._value.floating import abs_sq, root
from gradtx._value.marks import NonNegative


@transformation
def remove_radial(
    delta: NonNegative = 0.1,
    weight_decay: NonNegative = 0.0,
    wd_ratio: NonNegative = 0.1,
    eps: NonNegative = 1e-8,
    *,
    axis: int = -1,
) -> Rule:
    """The update without its part along the weights, where the loss does not seem to depend on their length.

        u ← uₜ − ŵ⟨ŵ, uₜ⟩ + λrθ,   ŵ = θ/(‖θ‖ + ε),   for each channel if every |cos(gₜ, θ)| < δ/√n,
                                                       else for the leaf if its |cos(gₜ, θ)| < δ/√n;  else uₜ + λθ

    A channel is one output: an index of ``axis``, the last of a kernel here (PyTorch's is 0); n is how many numbers it
    has. Weights before a normalization have gradients at right angles to them, and momentum makes these longer and
    longer, which is a lower rate. δ is ``delta``, λ ``weight_decay``, r ``wd_ratio``, ε ``eps``, g the gradient that
    entered the chain. Leaves of one axis or none are never projected. Source: Heo et al. 2021, Algorithms 1 and 2.
    State: none. Raises `TransformationError`: no ``params``.

    >>> g, x = jnp.array([[0.0], [2.0]]), jnp.array([[3.0], [0.0]])  # at right angles: its length does not matter
    >>> remove_radial().update(g, {}, x)[0].ravel()
    Array([0., 2.], dtype=float32)
    """

    def formula(u, *, gradient, param):
        if u.ndim < 2 or not u.size:
            return u + weight_decay * param
        others = tuple(n for n in range(u.ndim) if n != axis % u.ndim)
        channels, layer = _summed(others), _summed(None)
        by_channel = _at_right_angles(gradient, param, channels, delta, eps)
        by_layer = _at_right_angles(gradient, param, layer, delta, eps)
        length = root(jnp.where(by_channel, channels(abs_sq(param)), layer(abs_sq(param)))) + eps
        w = jnp.where(length > 0, param / jnp.where(length > 0, length, 1), 0)
        along = jnp.real(jnp.conj(w) * u)
        radial = w * jnp.where(by_channel, channels(along), layer(along))
        free = by_channel | by_layer
        return jnp.where(free, u - radial, u) + weight_decay * jnp.where(free, wd_ratio, 1) * param

    return per_leaf(formula)


def _summed(axes):
    return lambda x: jnp.sum(x, axis=axes, keepdims=True)


def _at_right_angles(gradient, param, summed, delta, eps):
    """Whether the cosine of every part is below δ/√n; a part of zeros has cosine 0."""
    inner = jnp.abs(summed(jnp.real(jnp.conj(gradient) * param)))
    lengths = jnp.maximum(root(summed(abs_sq(gradient))) * root(summed(abs_sq(param))), eps)
    many = param.size // inner.size
    return jnp.max(inner / jnp.where(lengths > 0, lengths, 1)) < delta / jnp.sqrt(jnp.asarray(many, inner.dtype))
