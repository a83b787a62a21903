"""What a parameter is: one of a dozen kinds, and the axes of its matrix if it has one."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from gradtx._rules.matrices import DimensionNumbers, piece_shapes, sides
from gradtx._value.errors import TransformationError, suggest

MATRICES = ("matrix", "stack", "heads", "fused", "convolution")
TABLES = ("embedding", "unembedding")
KINDS = (*MATRICES, *TABLES, "bias", "scale", "vector", "scalar", "constant")
Axes = Sequence[int] | int


@dataclass(frozen=True, repr=False)
class Role:
    """What a parameter is, and how its matrices lie in it.

    ``kind`` is one of

    - ``"matrix"``; ``"stack"``, of matrices; ``"heads"``, matrices side by side, or below each other in a projection
      that takes heads together; ``"fused"``, projections side by side; ``"convolution"``;
    - ``"embedding"`` and ``"unembedding"``, with a row or a column for each token: no matrices;
    - ``"bias"``, ``"scale"``; ``"vector"``, anything else with one axis; ``"scalar"``; ``"constant"``, not
      floating-point.

    ``reduction_axis`` are the axes of the rows (inputs), ``output_axis`` of the columns (outputs), each one or several;
    if they are not given, the last two, as Flax and Haiku have them (of a convolution all but the last, and the last).
    Axes in neither are a stack, whatever the kind. ``heads``, ``split_sizes`` and ``input_heads`` say how the matrix is
    cut, as in `MuonDimensionNumbers`, and a role may stand wherever that may.

    >>> Role("fused", split_sizes=(64, 64, 64), heads=4)
    Role('fused', heads=4, split_sizes=(64, 64, 64))
    >>> Role("matrix", 1, 0)  # outputs first, as Equinox has them
    Role('matrix', 1, 0)
    """

    kind: str
    reduction_axis: Axes | None = None
    output_axis: Axes | None = None
    heads: Axes = 1
    split_sizes: Sequence[int] = ()
    input_heads: int = 1

    def __post_init__(self):
        if self.kind not in KINDS:
            known = ", ".join(KINDS)
            raise TransformationError(
                f"Role: kind: found {self.kind!r}{suggest(str(self.kind), KINDS)}; expected {known}"
            )
        for name in ("reduction_axis", "output_axis", "heads", "split_sizes"):
            given = getattr(self, name)
            if given is not None and not isinstance(given, int):
                object.__setattr__(self, name, tuple(given))

    @property
    def is_matrix(self) -> bool:
        """Whether it is of a kind that rules of matrices treat, piece by piece."""
        return self.kind in MATRICES

    def __repr__(self) -> str:
        axes = [self.reduction_axis, self.output_axis]
        given = [repr(self.kind), *(map(repr, axes) if axes != [None, None] else ())]
        rest = [(field.name, getattr(self, field.name), field.default) for field in fields(self)[3:]]
        return f"Role({', '.join(given + [f'{name}={x!r}' for name, x, default in rest if x != default])})"


def as_role(given: Any) -> Role:
    """A role, or its kind alone."""
    if isinstance(given, str):
        return Role(given)
    if isinstance(given, Role):
        return given
    if isinstance(given, DimensionNumbers):
        return Role("matrix", *given)
    raise TransformationError(f"expected a gradtx.Role or its kind, such as 'matrix', found {given!r}")


class Shaped:
    """A shape, in place of an array."""

    def __init__(self, shape: tuple[int, ...]):
        self.shape, self.ndim = shape, len(shape)


def fitted(role: Role, shape: tuple[int, ...]) -> Role:
    """The role with the axes that it has in an array, checked. Raises `TransformationError` where they do not fit."""
    x, rank = Shaped(shape), len(shape)
    if role.kind == "vector" and rank > 1 and sum(n > 1 for n in shape) > 1:
        raise TransformationError(f"expected at most one axis longer than 1 in a vector, found shape {shape}")
    if role.kind == "scalar" and rank:
        raise TransformationError(f"expected no axes in a scalar, found shape {shape}")
    if not role.is_matrix and (role.kind not in TABLES or rank < 2):
        return Role(role.kind)
    before = -2 if role.kind != "convolution" else tuple(range(rank - 1))
    rows = before if role.reduction_axis is None else role.reduction_axis
    columns = -1 if role.output_axis is None else role.output_axis
    rows, columns, rest = sides(x, DimensionNumbers(rows, columns))
    made = replace(role, reduction_axis=_plain(rows), output_axis=_plain(columns))
    pieces = piece_shapes(x, made)
    if role.kind == "matrix" and rest:
        lone = f"axis {rest[0]} is" if len(rest) == 1 else f"axes {rest} are"
        raise TransformationError(f"expected one matrix, but in shape {shape} {lone} left: that is a 'stack'")
    if role.kind in ("stack", "heads", "fused") and not rest and pieces == [(1, *pieces[0][1:])]:
        missing = {"stack": "axes that are left", "heads": "heads or input_heads", "fused": "split_sizes"}[role.kind]
        raise TransformationError(f"expected {missing}, found one matrix of shape {shape}")
    return made


def _plain(axes: tuple[int, ...]) -> Axes:
    return axes[0] if len(axes) == 1 else axes
