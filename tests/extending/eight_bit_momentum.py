"""A field that is codes and scales: momentum in eight bits a number (Dettmers et al. 2022, section 2)."""

from typing import Any, NamedTuple

import jax.numpy as jnp

from gradtx import Decay, per_leaf, transformation

BLOCK = 64


class Coded(NamedTuple):
    """Numbers as parts, in 127ths, of the largest of their block."""

    codes: Any
    scales: Any


def encode(x):
    """To the nearest code."""
    blocks = jnp.pad(x.reshape(-1), (0, -x.size % BLOCK)).reshape(-1, BLOCK)
    scales = jnp.max(jnp.abs(blocks), 1, keepdims=True)
    codes = jnp.round(127 * blocks / jnp.where(scales > 0, scales, 1)).astype(jnp.int8)
    return Coded(codes.reshape(-1)[: x.size].reshape(x.shape), scales)


def decode(x):
    """What the codes stand for."""
    parts = x.codes.astype(x.scales.dtype).reshape(-1) / 127
    return (parts * jnp.repeat(x.scales, BLOCK)[: parts.size]).reshape(x.codes.shape)


@transformation
def trace_in_eight_bits(decay: Decay = 0.9):
    """Momentum."""

    def formula(u, coded):
        u = u + decay * decode(coded)
        return u, encode(u)

    return per_leaf(formula, trace=lambda param: encode(0 * param))
