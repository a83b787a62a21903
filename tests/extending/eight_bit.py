"""A wrapper of any state: eight bits a number, a scale for every block (Dettmers et al. 2022, section 2)."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx import Link, around, transformation


class Coded(NamedTuple):
    """Numbers as parts, in 127ths, of the largest of their row."""

    codes: Any
    scales: Any


def coded(x):
    """To the nearest code; counts, keys and single numbers as they are."""
    if not x.ndim or not jnp.issubdtype(x.dtype, jnp.floating):
        return x
    scales = jnp.max(jnp.abs(x), -1, keepdims=True)
    return Coded(jnp.round(127 * x / jnp.where(scales > 0, scales, 1)).astype(jnp.int8), scales)


@transformation
def in_eight_bits(inner: Link):
    """``inner``, with its state in eight bits."""

    def decode(state):
        plain = lambda x: x.codes.astype(x.scales.dtype) / 127 * x.scales if isinstance(x, Coded) else x  # noqa: E731
        return jax.tree.map(plain, state, is_leaf=lambda x: isinstance(x, Coded))

    def update(step, updates, state):
        updates, inner = step(updates)
        return updates, {"inner": inner}

    return around(inner, update, encode=lambda s: jax.tree.map(coded, s), decode=decode, every_step=True)
