"""`roles`: what each parameter of a model is, and a refusal where that is in doubt."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from gradtx import tree as trees
from gradtx._roles.places import Place, places_of
from gradtx._roles.readings import Reading, readings
from gradtx._roles.role import Role, Shaped, as_role, fitted
from gradtx._roles.stacks import stacks_of
from gradtx._rules.matrices import AxesOfTree, piece_shapes
from gradtx._rules.protocol import Tree
from gradtx._rules.siblings import remembered, whole_of
from gradtx._value.errors import TransformationError, within

HEADINGS = ("path", "shape", "role", "axes", "pieces", "why")


@dataclass(frozen=True)
class Line:
    """What is known of one leaf."""

    path: str
    shape: tuple[int, ...]
    role: Role
    why: str

    def cells(self) -> tuple[str, ...]:
        """Its line in the table."""
        axes = pieces = ""
        if self.role.reduction_axis is not None:
            axes = f"{self.role.reduction_axis} → {self.role.output_axis}"
            pieces = shown_pieces(self.role, self.shape) if self.role.is_matrix else ""
        return self.path, str(self.shape), self.role.kind, axes, pieces, self.why


class Doubt(NamedTuple):
    """A leaf that could be several things."""

    place: Place
    found: list[Reading]


class Roles(AxesOfTree, Mapping[str, Role]):
    """The role of each parameter: a mapping from paths to a `Role`, and a table if it is printed.

    ``tree`` is a tree of roles like the parameters, ``kinds`` one of their kinds, which labels the groups of a
    `partition`. It may stand wherever ``weight_dimension_numbers`` may: what is no matrix counts as None.
    """

    def __init__(self, lines: list[Line | None], treedef: Any):
        self._lines, self._treedef = tuple(lines), treedef
        self._by_path = {line.path: line.role for line in lines if line is not None}

    @property
    def tree(self) -> Tree:
        """The roles, as a tree like the parameters; None for a missing leaf."""
        return self._treedef.unflatten([None if line is None else line.role for line in self._lines])

    @property
    def kinds(self) -> Tree:
        """The kinds of the roles, as a tree like the parameters."""
        return self._treedef.unflatten([None if line is None else line.role.kind for line in self._lines])

    def __getitem__(self, path: str) -> Role:
        return self._by_path[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_path)

    def __len__(self) -> int:
        return len(self._by_path)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Roles) and (self._lines, self._treedef) == (other._lines, other._treedef)

    def __hash__(self) -> int:
        return hash((self._lines, self._treedef))

    def __repr__(self) -> str:
        return f"Roles({dict(self)})"

    def __str__(self) -> str:
        rows = [HEADINGS, *(line.cells() for line in self._lines if line is not None)]
        widths = [max(len(row[n]) for row in rows) for n in range(len(HEADINGS))]
        return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def roles(params: Tree, rules: Mapping[str, Role | str] | None = None) -> Roles:
    """What each parameter is: a matrix, a stack of them, heads, an embedding, a bias ... ; see `Role` for all kinds.

    Names, shapes and layers tell it: those of Flax (linen and nnx), Haiku and Equinox are known, also where `jax.vmap`
    or a scan has stacked them. Whole modules, trees of parameters and of shapes will do. ``rules`` says it by path
    pattern, as in `partition`: ``{"*.wq": Role("heads", heads=8), "table": "embedding"}``.

    What could be two things is an error, which names all such leaves and what each could be. The traps: the last layer
    of a network is an unembedding only if its name says so (``head``, ``logits`` ...); heads in a kernel with two axes,
    and the groups of a convolution outside of Equinox, cannot be seen: they are one matrix, unless a rule cuts it.

    Raises `TransformationError`: a leaf in doubt; a rule that fits no leaf, or not the shape of a leaf.

    >>> params = {"embed": {"embedding": jnp.zeros((9, 4))}, "mlp": {"kernel": jnp.zeros((4, 8)), "bias": jnp.zeros(8)}}
    >>> print(roles(params | {"attn": {"query": {"kernel": jnp.zeros((4, 2, 2)), "bias": jnp.zeros((2, 2))}}}))
    path               shape      role       axes        pieces      why
    attn.query.bias    (2, 2)     bias                               named bias
    attn.query.kernel  (4, 2, 2)  heads      0 → (1, 2)  2 × (4, 2)  named query, to heads, by its bias
    embed.embedding    (9, 4)     embedding  0 → 1                   named embedding
    mlp.bias           (8,)       bias                               named bias
    mlp.kernel         (4, 8)     matrix     0 → 1       1 × (4, 8)  named kernel
    """
    return within("roles", _roles)(params, rules or {})


def or_roles(given: Any) -> Any:
    """What a recipe takes for matrices: what it was given, or `roles`."""
    return roles if given is None else given


def _roles(params: Tree, rules: Mapping[str, Any]) -> Roles:
    whole = whole_of(params)
    found = remembered(whole, ("roles", *rules.items()), lambda: _found(whole, rules))
    leaves, treedef = trees.flatten(params)
    found = [None if leaf is None else own for leaf, own in zip(leaves, found, strict=True)]
    doubts = [own for own in found if isinstance(own, Doubt)]
    if doubts:
        raise TransformationError(_doubt(doubts))
    return Roles([own for own in found if not isinstance(own, Doubt)], treedef)


def _found(tree: Tree, rules: Mapping[str, Any]) -> list[Line | Doubt | None]:
    places, said = places_of(tree), _said(rules, tree)
    stacks = stacks_of(places)
    return [
        None if place is None else _of_leaf(place, given, stacks.get(place.words))
        for place, given in zip(places, said, strict=True)
    ]


def _of_leaf(place: Place, given: tuple[str, Role] | None, stacked: int | None) -> Line | Doubt:
    if given is not None:
        return _line(place, Reading(given[1], f"rule {given[0]}"))
    found = readings(place, stacked)
    return _line(place, found[0]) if len(found) == 1 else Doubt(place, found)


def _said(rules: Mapping[str, Any], tree: Tree) -> list[tuple[str, Role] | None]:
    """Pattern and role for each leaf that a rule chooses."""
    if not rules:
        return [None] * len(trees.flatten(tree)[0])
    given = [(repr(pattern), within(f"rules: {pattern!r}", as_role)(role)) for pattern, role in rules.items()]
    numbers = trees.labels({**{pattern: n for n, pattern in enumerate(rules)}, "*": rules_for_rest(rules)}, tree)
    return [None if n is None or n < 0 else given[n] for n in trees.flatten(numbers)[0]]


def rules_for_rest(rules: Mapping[str, Any]) -> int:
    """The number of the rule for all leaves; -1 if there is none."""
    return list(rules).index("*") if "*" in rules else -1


def _line(place: Place, reading: Reading) -> Line:
    role = within(f"leaf {place.path}", fitted)(reading.role, place.shape)
    return Line(place.path, place.shape, role, reading.why)


def shown_pieces(role: Role, shape: tuple[int, ...]) -> str:
    """Its matrices, as in ``2 × (4, 8)``."""
    return ", ".join(f"{number} × ({rows}, {columns})" for number, rows, columns in piece_shapes(Shaped(shape), role))


def _doubt(doubts: list[Doubt]) -> str:
    place, found = doubts[0]
    role = _as_written(place, found[0].role) if found else "gradtx.Role(...)"
    example = f"gradtx.roles(params, rules={{{place.path!r}: {role}}})"
    several = "a leaf" if len(doubts) == 1 else f"{len(doubts)} leaves"
    lines = [f"{several} could be several things: say which, as in {example}"]
    for place, found in doubts:
        what = "; ".join(_shown(place, reading) for reading in found) or "no layer is known to have this"
        lines.append(f"  {place.path} {place.shape}: {what}")
    return "\n".join(lines)


def _shown(place: Place, reading: Reading) -> str:
    if reading.role == Role("fused"):
        return "Role('fused', split_sizes=(...)), parts of sizes that cannot be seen"
    role = fitted(reading.role, place.shape)
    pieces = "" if not role.is_matrix else f", {shown_pieces(role, place.shape)}"
    return f"{_as_written(place, reading.role)}{pieces}"


def _as_written(place: Place, role: Role) -> str:
    """A role as its user would write it for a leaf."""
    if role == Role("fused"):
        return "Role('fused', split_sizes=(...))"
    own = fitted(role, place.shape)
    short = replace(role, reduction_axis=None, output_axis=None)
    try:
        plain = fitted(short, place.shape) == own
    except TransformationError:
        plain = False
    return repr(own) if not plain else repr(role.kind) if short == Role(role.kind) else repr(short)
