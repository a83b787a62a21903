"""Codes of few bits for arrays: blocks of numbers, each with a scale of its own.

    x = s v(c),   s = max |x| in the block,   c = 0 ... 2ᵇ − 1

There are two codes, and each block takes the one that fits it; the sign of its scale says which:

    no number below 0:  v(c) = (c/(2ᵇ − 1))²,                                       s > 0
    numbers below 0:    v(c) = z/(2 − |z|),   z = (c − 2ᵇ⁻¹)/(2ᵇ⁻¹ − 1),            s < 0

So a second moment is known by its numbers, whatever the field is called. The first code never rounds a positive number
to 0: what is divided by the root of a second moment stays small. Both have more codes near 0 than a linear one, and
both give the largest number of a block back exactly: an average that all numbers of a block follow does not stand
still. Coding what was decoded gives the same codes again.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx._value.floating import wide

BLOCK = 64
SNAP = 2.0**-10  # closer to a code than this is rounding of float32, and not left to chance


class Coded8(NamedTuple):
    """An array in codes of 8 bits: ``codes``, shaped like it, and ``scales``, one for each block."""

    codes: Any
    scales: Any

    def __repr__(self) -> str:
        return _shown(self, 8)


class Coded4(NamedTuple):
    """An array in codes of 4 bits: ``pairs`` of codes, half as many along the last axis, and ``scales``."""

    pairs: Any
    scales: Any

    def __repr__(self) -> str:
        return _shown(self, 4)


class CodedComplex(NamedTuple):
    """A complex array: both parts in codes."""

    real: Any
    imag: Any


CODED = (Coded8, Coded4, CodedComplex)


def encode(x: jax.Array, bits: int, key: Any = None) -> Any:
    """An array in codes of 8 or 4 bits (4 where its last axis is even), rounded to the nearest; with a key at random.

    >>> encode(jnp.array([[0.0, 1.0, 4.0]]), 8)
    <shape (1, 3), 8 bits, 7 bytes>
    >>> x = decode(encode(jnp.array([4.0, 1e-12, 0.0]), 8))
    >>> [round(255**2 * float(n) / 4, 3) for n in x]  # 1e-12 becomes the smallest number that there is, but no 0
    [65025.0, 1.0, 0.0]
    """
    if jnp.iscomplexobj(x):
        keys = (None, None) if key is None else jax.random.split(key)
        return CodedComplex(*(encode(part, bits, k) for part, k in zip((x.real, x.imag), keys, strict=True)))
    bits = 8 if x.shape[-1] % 2 else bits
    codes, scales = _coded(_blocks(wide(x, jnp.float32)), bits, key)
    codes = _whole(codes.astype(jnp.uint8), x.shape)
    if bits == 8:
        return Coded8(codes, scales)
    pairs = codes.reshape(*x.shape[:-1], -1, 2)
    return Coded4(pairs[..., 0] * jnp.uint8(16) + pairs[..., 1], scales)


def decode(coded: Any) -> jax.Array:
    """The array that is in codes, in float32 (complex64)."""
    if isinstance(coded, CodedComplex):
        return jax.lax.complex(decode(coded.real), decode(coded.imag))
    if isinstance(coded, Coded8):
        bits, codes = 8, coded.codes
    else:
        bits, pairs = 4, coded.pairs
        codes = jnp.stack([pairs >> 4, pairs & 15], axis=-1).reshape(*pairs.shape[:-1], -1)
    scales = coded.scales[..., None]
    return _whole(_value(_blocks(codes).astype(jnp.float32), scales < 0, bits) * jnp.abs(scales), codes.shape)


def _coded(x: jax.Array, bits: int, key: Any) -> tuple[jax.Array, jax.Array]:
    """Blocks of numbers (along the last axis) as whole numbers, and their scales."""
    top, half = 2.0**bits - 1, 2.0 ** (bits - 1)
    scale = jnp.max(jnp.abs(x), axis=-1, keepdims=True)
    part = x / jnp.where(scale > 0, scale, 1)
    both = half + (half - 1) * 2 * part / (1 + jnp.abs(part))
    signed = jnp.any(jnp.round(both) < half, axis=-1, keepdims=True)
    place = jnp.where(signed, both, top * jnp.sqrt(jnp.maximum(part, 0)))
    code = jnp.round(place)
    if key is not None:  # up or down so that the mean is the number, not its place among the codes
        below = jnp.minimum(jnp.floor(place), top - 1)
        low, high = _value(below, signed, bits), _value(below + 1, signed, bits)
        chance = (part - low) / (high - low)
        drawn = jnp.where(jax.random.uniform(key, x.shape, x.dtype) < chance, below + 1, below)
        code = jnp.where(jnp.abs(place - code) < SNAP, code, drawn)
    code = jnp.where(~signed & (part > 0), jnp.maximum(code, 1), code)
    return code, jnp.where(signed, -scale, scale)[..., 0]


def _value(code: jax.Array, signed: jax.Array, bits: int) -> jax.Array:
    """What codes stand for, as a part of the scale."""
    top, half = 2.0**bits - 1, 2.0 ** (bits - 1)
    k = code - half
    part = jnp.where(code == top, 1, (code / top) ** 2)  # a compiler may turn the division into a product
    return jnp.where(signed, k / (2 * (half - 1) - jnp.abs(k)), part)


def _blocks(x: jax.Array) -> jax.Array:
    """Blocks along a new last axis: of the last axis, where that is made of whole ones; otherwise of all numbers."""
    if x.shape[-1] % BLOCK == 0:
        return x.reshape(*x.shape[:-1], -1, BLOCK)
    return jnp.pad(x.ravel(), (0, -x.size % BLOCK)).reshape(-1, BLOCK)


def _whole(blocks: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """The array of which these are the blocks."""
    if shape[-1] % BLOCK == 0:
        return blocks.reshape(shape)
    size = 1
    for n in shape:
        size *= n
    return blocks.ravel()[:size].reshape(shape)


def _shown(coded: Any, bits: int) -> str:
    codes, scales = coded
    if not all(hasattr(x, "shape") and hasattr(x, "dtype") for x in coded):
        return f"{type(coded).__name__}({codes!r}, {scales!r})"
    shape = (*codes.shape[:-1], codes.shape[-1] * 8 // bits)
    return f"<shape {shape}, {bits} bits, {codes.size + 4 * scales.size} bytes>"
