"""The normal distribution with a diagonal covariance."""

import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from gradtx._value.floating import real_dtype


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class DiagonalNormal:
    """N(μ, σ²), each coordinate by itself: μ is ``loc``, log σ is ``log_scale``; see `multi_normal`."""

    loc: jax.Array
    log_scale: jax.Array

    @property
    def params(self) -> list[jax.Array]:
        """The mean, and the logarithm of the standard deviation."""
        return [self.loc, self.log_scale]

    def sample(self, shape: Any, key: Any) -> jax.Array:
        """Draws: an array of ``shape`` in front of the shape of the parameters; differentiable in both of them."""
        own = jnp.broadcast_shapes(self.loc.shape, self.log_scale.shape)
        noise = jax.random.normal(key, (*shape, *own), real_dtype(self.loc.dtype, self.log_scale.dtype))
        return noise * jnp.exp(self.log_scale) + self.loc

    def log_prob(self, x: Any) -> jax.Array:
        """The logarithm of the density, summed over the axes of the parameters."""
        terms = -0.5 * ((x - self.loc) / jnp.exp(self.log_scale)) ** 2 - self.log_scale - 0.5 * math.log(2 * math.pi)
        own = len(jnp.broadcast_shapes(self.loc.shape, self.log_scale.shape))
        return jnp.sum(terms, axis=tuple(range(-own, 0)))


def multi_normal(loc: Any, log_scale: Any) -> DiagonalNormal:
    """The normal distribution with independent coordinates: ``sample(shape, key)``, ``log_prob(x)``, ``params``.

    μ is ``loc``, log σ is ``log_scale``.

    >>> normal = multi_normal(jnp.zeros(2), jnp.zeros(2))
    >>> round(float(normal.log_prob(jnp.zeros(2))), 4)  # −log 2π
    -1.8379
    """
    return DiagonalNormal(jnp.asarray(loc), jnp.asarray(log_scale))
