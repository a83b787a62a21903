"""State in few bits, around any transformation."""

from collections.abc import Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._numeric.codes import CODED, decode, encode
from gradtx._rules.around import around
from gradtx._rules.protocol import Late, State, Tree
from gradtx._rules.transformation import transformation
from gradtx._value.errors import TransformationError
from gradtx._value.marks import Link, Seed

SIZES = (4, 8, 32)


@transformation
def quantized(
    inner: Link,
    seed: Seed = 0,
    *,
    bits: int | Mapping[str, int] = 8,
    rounding: Literal["stochastic", "nearest"] = "stochastic",
) -> Late:
    """A transformation whose state is kept in codes of 8 bits; it still computes in float32 at least.

        state ← codes of the new state;   u ← inner(uₜ, decoded state)

    Blocks of 64 numbers have one scale, their largest, in float32: 1.0625 bytes a number. A block with numbers of both
    signs (a first moment) has a companding code, z/(2 − |z|) with z = k/127; a block without any below 0 (a second
    moment) has a √ code, (k/255)², in which no positive number becomes 0. Nothing need be declared, and any state will
    do: factors, row sums, those of other libraries. Scalars, whole numbers, keys and arrays of one number stay.

    ``bits`` is 8, 4 or 32 (as it is, bit for bit), or maps patterns on the dotted path of the state to these, as in
    ``{"*mu": 4, "*trace": 32}``; the rest has 8. Four bits are for first moments, if you dare; arrays whose last axis
    is odd then have 8. Rounding is at random, so that the mean of what is kept is what was to be kept; the draws follow
    from ``seed``. With ``rounding="nearest"`` nothing is drawn, but an average with b2 = 0.999 that moves by less than
    half a code stands still, beside the largest of its block.

    The traps: put `accumulate` around, not inside, or the sum of gradients is coded too; leaves in one buffer of
    `gradtx.pack` share blocks; derivatives do not pass through codes. Source: Dettmers et al. 2022 (blocks); Gonzalez
    Ortiz et al. 2026 (the two codes). State: ``inner``, with an array of codes and one of scales in place of each
    array, which print their bytes; the chain's count and key, unless rounding is to the nearest. Raises
    `TransformationError`: other bits; a pattern that matches nothing.

    >>> from gradtx import adam, sgd, tree
    >>> tx, theta = quantized(sgd(1.0, 0.5)), jnp.zeros((32, 128))
    >>> state = tx.init(theta)
    >>> state["inner"]["trace"], tree.nbytes(state["inner"]) / theta.size
    (<shape (32, 128), 8 bits, 4352 bytes>, 1.0625)
    >>> tree.nbytes(quantized(adam(1e-3)).init(theta)["inner"]) / theta.size
    2.125
    """
    wanted = {"*": bits} if isinstance(bits, int) else {**bits, "*": bits.get("*", 8)}
    for pattern, size in wanted.items():
        if size not in SIZES:
            raise TransformationError(f"bits: expected 4, 8 or 32, found {size!r} for {pattern!r}")

    def coded(state: State, key: Any = None) -> State:
        leaves, treedef = trees.flatten(state)
        sizes = trees.flatten(trees.labels(wanted, state))[0]
        keys = [None if key is None else jax.random.fold_in(key, n) for n in range(len(leaves))]
        made = [_coded(*row) for row in zip(leaves, sizes, keys, strict=True)]
        return treedef.unflatten(made)

    def at_random(state: State, *, key: Any = None) -> State:
        return coded(state, key)

    def update(step: Any, updates: Tree, state: State) -> Any:
        new, after = step(updates)
        return new, {"inner": after}

    draws = rounding == "stochastic" and any(size < 32 for size in wanted.values())
    kept = at_random if draws else coded
    return around(inner, update, every_step=True, packs=True, encode=kept, decode=_decoded, seed=seed)


def _coded(x: Any, bits: int, key: Any) -> Any:
    floating = hasattr(x, "dtype") and x.size > 1 and jnp.issubdtype(x.dtype, jnp.inexact)
    return encode(x, bits, key) if floating and bits < 32 else x


def _decoded(state: State) -> State:
    return jax.tree.map(
        lambda x: decode(x) if isinstance(x, CODED) else x, state, is_leaf=lambda x: isinstance(x, CODED)
    )
