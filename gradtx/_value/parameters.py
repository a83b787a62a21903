"""The parameters of a factory, and what each of them takes according to its annotation."""

import builtins
import inspect
import math
from collections.abc import Callable
from functools import partial
from types import UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

import jax.numpy as jnp

from gradtx._value.errors import TransformationError
from gradtx._value.marks import Interval, Kept

MARKS = (
    "Decay", "Decays", "NonNegative", "Limit", "Seed", "Share", "Static", "Numbers", "Dtype", "OfStep", "Link", "Group",
)  # fmt: skip


class Parameter(NamedTuple):
    """A parameter: ``kind`` is number, numbers (a tuple too), whole (schedules kept), structure, link, links or group.

    ``interval`` is where a number must lie; ``check`` raises for structure that is not in its ``Literal``, or no
    dtype. A float from ``low`` to ``top`` needs no other check; ``split``: it is stored as two numbers; ``optional``:
    None may be given, which is the default or stands in the annotation (``Limit | None``); ``adapt`` makes a
    transformation of what is given for one in a group, and of other things what is to be kept of them.
    """

    kind: str
    interval: Interval | None
    default: Any
    check: Callable[[Any], None] | None = None
    low: float = math.inf
    top: float = -math.inf
    split: bool = False
    optional: bool = False
    adapt: Callable[[Any], Any] | None = None

    @classmethod
    def of_number(cls, kind: str, interval: Interval | None, default: Any) -> "Parameter":
        """A parameter that takes numbers."""
        if interval is None:
            return cls(kind, None, default, low=-math.inf, top=math.inf)
        if interval.whole:
            return cls(kind, interval, default)
        return cls(kind, interval, default, low=interval.low, top=interval.top, split=interval.split)


def _one_of(choices: tuple[Any, ...], x: Any) -> None:
    if x not in choices:
        raise TransformationError(f"expected {' or '.join(map(repr, choices))}, found {x!r}")


def _floating(x: Any) -> None:
    try:
        right = x is None or jnp.issubdtype(jnp.dtype(x), jnp.inexact)
    except TypeError:
        right = False
    if not right:
        raise TransformationError(f"expected a floating-point dtype such as 'bfloat16', found {x!r}")


def parameters_of(body: Callable[..., Any], signature: inspect.Signature) -> dict[str, Parameter]:
    """The parameters of a factory by name; all links together are one parameter, ``links``."""
    found = {}
    for name, p in signature.parameters.items():
        if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
            found["links"] = Parameter("links", None, p.empty)
            continue
        bare, marks, optional = _hint(body, name, p.annotation)
        kept, adapt = next((mark for mark in marks if isinstance(mark, Kept)), (None, None))
        interval = next((mark for mark in marks if isinstance(mark, Interval)), None)
        check = partial(_one_of, get_args(bare)) if get_origin(bare) is Literal else None
        check = _floating if kept == "dtype" else check
        kind = "structure" if p.kind == p.KEYWORD_ONLY or kept == "dtype" else kept or "number"
        numeric = kind in ("number", "numbers", "whole")
        of_kind = Parameter.of_number if numeric else partial(Parameter, check=check)
        found[name] = of_kind(kind, interval, p.default)._replace(optional=optional or p.default is None, adapt=adapt)
    return found


def _hint(body: Callable[..., Any], name: str, hint: Any) -> tuple[Any, tuple[Any, ...], bool]:
    """The type in an annotation, the marks on it (also inside a union with None), and whether None is allowed."""
    if isinstance(hint, str):
        closure = inspect.getclosurevars(body)
        try:
            hint = eval(hint, {**vars(builtins), **body.__globals__}, dict(closure.nonlocals))
        except Exception as error:
            if any(mark in hint for mark in MARKS):
                raise TransformationError(
                    f"{body.__name__}: {name}: the annotation {hint!r} cannot be read: {error}"
                ) from None
            return None, (), False
    optional = get_origin(hint) in (Union, UnionType) and type(None) in get_args(hint)
    if get_origin(hint) in (Union, UnionType):
        hint = next((part for part in get_args(hint) if get_origin(part) is Annotated), hint)
    annotated = get_origin(hint) is Annotated
    return (get_args(hint)[0], get_args(hint)[1:], optional) if annotated else (hint, (), optional)
