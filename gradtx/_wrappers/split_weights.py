"""Weights of float32 in two parts: bfloat16 parameters, and the rest of their digits in the state."""

from typing import Any, Literal

import jax
import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._numeric.rounding import in_place_of, is_narrow, landed, towards
from gradtx._rules.around import around
from gradtx._rules.fields import zeros
from gradtx._rules.protocol import Late, State, Tree
from gradtx._rules.transformation import transformation
from gradtx._value.marks import Link

DROPPED = {"bfloat16": 16, "float16": 13}
"""How many of the last digits of a float32 each dtype lacks."""


@transformation
def split_weights(inner: Link, *, bits: Literal[8, 16] = 8) -> Late:
    """Weights in 24 or 32 bits, of which the parameters are the upper 16, rounded; the state has the rest.

        w = θ + r;   w ← w + inner(uₜ at w);   θ ← w in bfloat16;   r ← w − θ, in 8 or 16 bits of w

    With parameters in bfloat16 a step below 1/256 of a parameter is lost when it is added; added to w it is not. With
    16 bits w is a weight in float32, bit for bit as in `master_weights`, for 2 bytes in place of 4. With 8 bits it has
    16 digits, for 1 byte, and is rounded up in as many of 256 steps as what lies below the last digit says, so that
    small steps are not lost. In float16 it has 3 digits more, except below 6e-5. The trap: no update in bfloat16 may
    land where w changes its sign; then 1/256 of that step is lost. ``inner`` is a whole optimizer. Leaves in float32
    and float64 get its update as it is. Source: Zamirai et al. 2021; Gonzalez Ortiz et al. 2026, section 3.1
    (here the rest is of the digits themselves, so nothing is scaled). State: ``inner``; ``rest`` (r), int8 or int16,
    like the parameters, and empty for leaves that need none; with 8 bits, the chain's count. Raises
    `TransformationError`: no ``params``.

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
            return zeros(param if is_narrow(dtype) else param.ravel()[:0]).astype(kind)

        return {"rest": trees.map(nothing, params, dtypes)}

    def update(step: Any, updates: Tree, state: State, *, params: Tree, dtypes: Tree, t: Any = None) -> Any:
        weights = _on_narrow(_joined, dtypes, params, state["rest"])
        new, after = step(updates, params=weights)
        whole = trees.map(jnp.add, weights, new)
        aims = _on_narrow(lambda w, r, d: _shortened(w, r, d, t), dtypes, whole, state["rest"])
        made = _on_narrow(lambda u, w, p, d: towards(p, _upper(w, d), d), dtypes, new, aims, params)
        ends = _on_narrow(landed, dtypes, params, made)
        return made, {"inner": after, "rest": _on_narrow(_rest, dtypes, state["rest"], aims, ends)}

    def of_32_bits(step: Any, updates: Tree, state: State, *, params: Tree, dtypes: Tree) -> Any:
        return update(step, updates, state, params=params, dtypes=dtypes)

    return around(inner, update if bits == 8 else of_32_bits, init=init, every_step=True, packs=True)


def _on_narrow(of: Any, dtypes: Tree, first: Tree, *others: Tree) -> Tree:
    """A function of the leaves that are split, and of their dtypes; the others stay as they are in the first tree."""
    return trees.map(lambda d, x, *rest: of(x, *rest, d) if is_narrow(d) else x, dtypes, first, *others)


def _digits(x: jax.Array) -> jax.Array:
    return jax.lax.bitcast_convert_type(jax.lax.stop_gradient(x).astype(jnp.float32), jnp.int32)


def _number(digits: jax.Array, exact: jax.Array) -> jax.Array:
    return in_place_of(jax.lax.bitcast_convert_type(digits, jnp.float32).astype(exact.dtype), exact)


def _below(rest: jax.Array, dtype: Any) -> int:
    """How many digits of a float32 are neither in a parameter nor in the rest."""
    return max(DROPPED[dtype.name] - 8 * rest.dtype.itemsize, 0)


def _joined(param: jax.Array, rest: jax.Array, dtype: Any) -> jax.Array:
    """The weight: the digits of the parameter, and below them the rest, which may be negative."""
    return _number(_digits(param) + (rest.astype(jnp.int32) << _below(rest, dtype)), param)


def _shortened(weight: jax.Array, rest: jax.Array, dtype: Any, t: Any) -> jax.Array:
    """The weight without its last digits, rounded at another threshold at each of 256 steps; whole without a step."""
    lost = 1 << _below(rest, dtype)
    return weight if t is None else _number((_digits(weight) + (t * 159) % lost) & -lost, weight)


def _upper(weight: jax.Array, dtype: Any) -> jax.Array:
    """The weight, rounded to the digits of ``dtype`` so that what is left is −2ⁿ ... 2ⁿ − 1 of the others."""
    dropped = DROPPED[dtype.name]
    return _number((_digits(weight) + (1 << (dropped - 1))) & -(1 << dropped), weight)


def _rest(rest: jax.Array, weight: jax.Array, param: jax.Array, dtype: Any) -> jax.Array:
    """What the parameter lacks of the weight; nothing where a parameter of the other sign is all that can be had."""
    lacking = (_digits(weight) - _digits(param)) >> _below(rest, dtype)
    most = 1 << (8 * rest.dtype.itemsize - 1)
    alike = jnp.signbit(weight) == jnp.signbit(param)
    return jnp.where(alike, jnp.clip(lacking, -most, most - 1), 0).astype(rest.dtype)
