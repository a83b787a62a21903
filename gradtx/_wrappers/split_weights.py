"""Weights of float32 in two parts: bfloat16 parameters, and the rest of their digits in the state."""

from typing import Any, Literal

import jax
import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._numeric.rounding import landed, towards
from gradtx._rules.around import around
from gradtx._rules.protocol import Late, State, Tree
from gradtx._rules.transformation import transformation
from gradtx._value.errors import TransformationError
from gradtx._value.marks import Link


@transformation
def split_weights(inner: Link, *, bits: Literal[8, 16] = 8) -> Late:
    """Weights in 24 or 32 bits, of which the parameters are the upper 16, rounded; the state has the rest.

        w = θ + r;   w ← w + inner(uₜ at w);   θ ← w in bfloat16;   r ← w − θ, in 8 or 16 bits of w

    With parameters in bfloat16 a step below 1/256 of a parameter is lost when it is added; added to w it is not. With
    16 bits w is a weight in float32, bit for bit as in `master_weights`, for 2 bytes in place of 4. With 8 bits it has
    16 digits, for 1 byte, and is rounded up in as many of 256 steps as what lies below the last digit says, so that
    small steps are not lost. ``inner`` is a whole optimizer. Leaves in float32 and float64 get its update as it is.
    Source: Zamirai et al. 2021; Gonzalez Ortiz et al. 2026, section 3.1 (here the rest is of the digits themselves, so
    nothing is scaled). State: ``inner``; ``rest`` (r), int8 or int16, like the parameters, and empty for leaves that
    need none; with 8 bits, the chain's count. Raises `TransformationError`: no ``params``; a leaf in float16.

    >>> from gradtx import apply_updates, sgd
    >>> tx, theta = split_weights(sgd(1e-3)), jnp.ones(1, "bfloat16")
    >>> state = tx.init(theta)
    >>> for _ in range(500):
    ...     u, state = tx.update(jnp.ones(1, "bfloat16"), state, theta)
    ...     theta = apply_updates(theta, u)
    >>> theta, state["rest"].dtype  # sgd(1e-3) alone stays at 1
    (Array([0.5], dtype=bfloat16), dtype('int8'))
    """
    kind = {8: jnp.int8, 16: jnp.int16}[bits]

    def init(params: Tree, *, dtypes: Tree) -> State:
        def nothing(param: Any, dtype: Any) -> Any:
            return jnp.zeros_like(param if _is_split(dtype) else param.ravel()[:0], kind)

        return {"rest": trees.map(nothing, params, dtypes)}

    def update(step: Any, updates: Tree, state: State, *, params: Tree, dtypes: Tree, t: Any = None) -> Any:
        weights = _on_split(lambda p, r: _joined(p, r, bits), dtypes, params, state["rest"])
        new, after = step(updates, params=weights)
        aims = _on_split(lambda w: _shortened(w, t), dtypes, trees.map(jnp.add, weights, new))
        made = _on_split(lambda u, w, p: towards(p, _upper(w), jnp.bfloat16), dtypes, new, aims, params)
        ends = _on_split(lambda p, u: landed(p, u, jnp.bfloat16), dtypes, params, made)
        rest = _on_split(lambda r, w, p: _rest(w, p, bits), dtypes, state["rest"], aims, ends)
        return made, {"inner": after, "rest": rest}

    def of_32_bits(step: Any, updates: Tree, state: State, *, params: Tree, dtypes: Tree) -> Any:
        return update(step, updates, state, params=params, dtypes=dtypes)

    return around(inner, update if bits == 8 else of_32_bits, init=init, every_step=True)


def _on_split(of: Any, dtypes: Tree, first: Tree, *others: Tree) -> Tree:
    """A function of leaves that are split; the others stay as they are in the first tree."""
    return trees.map(lambda d, x, *rest: of(x, *rest) if _is_split(d) else x, dtypes, first, *others)


def _is_split(dtype: Any) -> bool:
    if dtype == jnp.float16:
        raise TransformationError("expected parameters in bfloat16, or wider, found float16: use kahan")
    return dtype == jnp.bfloat16


def _digits(x: jax.Array) -> jax.Array:
    return jax.lax.bitcast_convert_type(x, jnp.int32)


def _number(digits: jax.Array) -> jax.Array:
    return jax.lax.bitcast_convert_type(digits, jnp.float32)


def _joined(param: jax.Array, rest: jax.Array, bits: int) -> jax.Array:
    """The weight: the digits of the parameter, and below them the rest, which may be negative."""
    return _number(_digits(param) + (rest.astype(jnp.int32) << (16 - bits)))


def _shortened(weight: jax.Array, t: Any) -> jax.Array:
    """The weight without its last 8 digits, rounded at another threshold at each of 256 steps."""
    return weight if t is None else _number((_digits(weight) + (t * 159) % 256) & -256)


def _upper(weight: jax.Array) -> jax.Array:
    """The weight, rounded to bfloat16 as `_rest` needs it: what is left is −2⁷ ... 2⁷ − 1 of its last digits."""
    return _number((_digits(weight) + (1 << 15)) & -(1 << 16))


def _rest(weight: jax.Array, param: jax.Array, bits: int) -> jax.Array:
    """What the parameter lacks of the weight; nothing where a parameter of the other sign is all that can be had."""
    lacking = (_digits(weight) - _digits(param)) >> (16 - bits)
    alike = jnp.signbit(weight) == jnp.signbit(param)
    most = 1 << (bits - 1)
    return jnp.where(alike, jnp.clip(lacking, -most, most - 1), 0).astype(jnp.int8 if bits == 8 else jnp.int16)
