"""A check that a formula is elementwise: each number of its result depends only on numbers at the same place.

Any other formula would be silently wrong on packed leaves (`gradtx.pack`). The check traces the formula for arrays of
several shapes. It is elementwise if all the programs are the same and have only operations known to be elementwise.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import jax
import numpy as np
from jax.core import Tracer

from gradtx._value.errors import TransformationError

SHAPES = ((6,), (2, 5), (3, 1, 2), (2, 2, 3, 1))
"""Shapes to try: different in size, in rank, in every axis."""

ELEMENTWISE = frozenset({
    "abs", "acos", "acosh", "add", "add_any", "and", "asin", "asinh", "atan", "atan2", "atanh", "bessel_i0e",
    "bessel_i1e", "cbrt", "ceil", "clamp", "complex", "conj", "convert_element_type", "copy", "copy_p", "cos",
    "cosh", "digamma", "div", "eq", "eq_to", "erf", "erf_inv", "erfc", "exp", "exp2", "expm1", "floor", "ge", "gt",
    "igamma", "igammac", "imag", "integer_pow", "is_finite", "le", "le_to", "lgamma", "log", "log1p", "logistic",
    "lt", "lt_to", "max", "min", "mul", "ne", "neg", "nextafter", "not", "optimization_barrier", "or", "polygamma",
    "pow", "real", "reduce_precision", "regularized_incomplete_beta", "rem", "round", "rsqrt", "select_n",
    "shift_left", "shift_right_arithmetic", "shift_right_logical", "sign", "sin", "sinh", "sqrt", "square",
    "stop_gradient", "sub", "tan", "tanh", "xor", "zeta",
})  # fmt: skip
CALLS = {"jit": "jaxpr", "pjit": "jaxpr", "closed_call": "call_jaxpr", "core_call": "call_jaxpr", "remat2": "jaxpr"}
CALLS |= {"custom_jvp_call": "call_jaxpr", "custom_vjp_call": "call_jaxpr", "cond": "branches"}
OF_SHAPES = {"shape", "sizes", "broadcast_dimensions", "sharding", *CALLS.values()}
"""Parameters of an operation that depend on the shape, or are compared separately."""


def check_elementwise(function: Callable[..., Any], u: Any, *args: Any, **kwargs: Any) -> None:
    """Raise `TransformationError`, which says why, unless a formula of arrays shaped like ``u`` is elementwise.

    >>> check_elementwise(lambda u: 2 * u, jax.numpy.zeros(3))
    >>> check_elementwise(lambda u: u - u.mean(), jax.numpy.zeros(3))
    Traceback (most recent call last):
    gradtx._value.errors.TransformationError: its formula uses reduce_sum, which is not elementwise
    """
    if not all(jax.tree.structure(x).num_nodes == 1 for x in args):
        raise TransformationError("its state is more than one array for a leaf")
    leaves, treedef = jax.tree.flatten(((u, *args), kwargs))
    probed = [getattr(x, "shape", None) == u.shape for x in leaves]

    def traced(shape: tuple[int, ...]) -> list[Any]:
        probes = [jax.ShapeDtypeStruct(shape, x.dtype) for x, probe in zip(leaves, probed, strict=True) if probe]

        def call(*probes: Any) -> Any:
            rest = iter(probes)
            args, kwargs = treedef.unflatten([next(rest) if p else x for x, p in zip(leaves, probed, strict=True)])
            return function(*args, **kwargs)

        closed = jax.make_jaxpr(call)(*probes)
        return list(_program(closed.jaxpr, closed.consts, shape))

    first, *others = (traced(shape) for shape in SHAPES)
    if any(other != first for other in others):
        raise TransformationError("its formula depends on the shape of the leaf")


def _program(jaxpr: Any, consts: Sequence[Any], shape: tuple[int, ...]) -> Iterator[Any]:
    """What a program does, without shapes; raises where an operation is not elementwise."""
    names: dict[Any, Any] = {var: ("given", n) for n, var in enumerate(jaxpr.invars)}
    names |= {var: _of_value(value) for var, value in zip(jaxpr.constvars, consts, strict=True)}

    def name(atom: Any) -> Any:
        return _of_value(atom.val) if hasattr(atom, "val") else names[atom]  # a literal, or a variable

    for n, eqn in enumerate(jaxpr.eqns):
        kind = eqn.primitive.name
        spreads = kind == "broadcast_in_dim" and shapes_of(eqn.invars) == {()}
        if not (kind in ELEMENTWISE or kind in CALLS or spreads):
            raise TransformationError(f"its formula uses {kind}, which is not elementwise")
        if not shapes_of([*eqn.invars, *eqn.outvars]) <= {(), shape}:
            raise TransformationError(f"its formula uses {kind} on arrays that are not shaped like the leaf")
        names |= {var: (n, which) for which, var in enumerate(eqn.outvars)}
        settings = sorted((key, repr(x)) for key, x in eqn.params.items() if key not in OF_SHAPES and not callable(x))
        yield kind, [name(x) for x in eqn.invars], settings if kind not in CALLS else None
        if kind in CALLS:
            inner = eqn.params[CALLS[kind]]
            for part in inner if isinstance(inner, tuple) else (inner,):
                yield list(_program(getattr(part, "jaxpr", part), getattr(part, "consts", ()), shape))
    yield [name(x) for x in jaxpr.outvars]


def shapes_of(atoms: Iterable[Any]) -> set[Any]:
    """The shapes of what goes into an operation, or comes out."""
    return {getattr(x.aval, "shape", None) for x in atoms}


def _of_value(x: Any) -> Any:
    """A constant, so that it can be compared: by value where it has one."""
    if isinstance(x, Tracer):
        return "traced", id(x)
    return "value", str(np.asarray(x).dtype), np.asarray(x).tolist()
