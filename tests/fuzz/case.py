"""What is fuzzed, as plain data, from which gradtx's value and the interpreter are made; it prints as a call."""

import dataclasses
from typing import Any

import numpy as np

SCHEDULES = frozenset(
    [
        "constant_schedule",
        "linear_schedule",
        "polynomial_schedule",
        "cosine_decay_schedule",
        "exponential_decay",
        "inverse_time_decay",
        "piecewise_constant_schedule",
        "warmup_cosine_decay_schedule",
        "warmup_constant_schedule",
        "warmup_stable_decay_schedule",
        "inverse_sqrt_schedule",
        "sqrt_cooldown_schedule",
        "function",
        "add",
        "subtract",
        "multiply",
        "divide",
        "negate",
        "then",
        "stretch",
    ]
)


class C:
    """A call by name: of a link, a wrapper, a recipe or a schedule. What is inside stands first, or has a name."""

    def __init__(self, name: str, *inside: Any, **arguments: Any):
        self.name, self.inside, self.arguments = name, inside, arguments

    def __repr__(self) -> str:
        given = [*map(repr, self.inside), *(f"{key}={value!r}" for key, value in self.arguments.items())]
        return f"C({', '.join([repr(self.name), *given])})"

    def __eq__(self, other: object) -> bool:
        return repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(repr(self))

    @property
    def links(self) -> list[tuple[str | None, "C"]]:
        """The transformations inside, with their names."""
        named = [(key, value) for key, value in self.arguments.items() if is_link(value)]
        return [*((None, link) for link in self.inside if is_link(link)), *named]

    @property
    def numbers(self) -> dict[str, Any]:
        """The other arguments."""
        return {key: value for key, value in self.arguments.items() if not is_link(value)}

    def names(self) -> list[str]:
        """Every name that is called, in here and inside."""
        calls = [x for x in (*self.inside, *self.arguments.values()) if isinstance(x, C)]
        return [self.name, *(name for x in calls for name in x.names())]


def is_link(x: Any) -> bool:
    """Whether this is the call of a transformation."""
    return isinstance(x, C) and x.name not in SCHEDULES


@dataclasses.dataclass(frozen=True)
class Leaf:
    """An array: its shape, and its dtype."""

    shape: tuple[int, ...]
    dtype: str


@dataclasses.dataclass(frozen=True)
class Case:
    """A transformation, the tree that it moves, and the gradients that it gets, one word a step.

    ``steps`` are of the words of `gradients`; ``seed`` draws the numbers in the arrays.
    """

    tx: C
    tree: Any
    steps: tuple[str, ...]
    seed: int = 0

    def __repr__(self) -> str:
        return f"Case(\n    {self.tx!r},\n    {self.tree!r},\n    {self.steps!r},\n    {self.seed!r},\n)"


def leaves_of(tree: Any, path: tuple[str, ...] = ()) -> dict[str, Leaf]:
    """The leaves by their dotted paths, in the order of JAX."""
    if tree is None:
        return {}
    if isinstance(tree, Leaf):
        return {".".join(path): tree}
    items = sorted(tree.items()) if isinstance(tree, dict) else enumerate(tree)
    return {name: leaf for key, x in items for name, leaf in leaves_of(x, (*path, str(key))).items()}


def filled(tree: Any, arrays: Any, path: tuple[str, ...] = ()) -> Any:
    """The tree with arrays in place of its leaves."""
    if tree is None:
        return None
    if isinstance(tree, Leaf):
        return arrays[".".join(path)]
    if isinstance(tree, dict):
        return {key: filled(x, arrays, (*path, str(key))) for key, x in tree.items()}
    return type(tree)(filled(x, arrays, (*path, str(n))) for n, x in enumerate(tree))


def parameters(case: Case) -> dict[str, np.ndarray]:
    """The first parameters, in float64."""
    rng = np.random.default_rng([case.seed, 0])
    return {path: np.asarray(np.round(rng.normal(size=leaf.shape), 3)) for path, leaf in leaves_of(case.tree).items()}


SIZES = {"normal": 1.0, "zeros": 0.0, "tiny": 1e-9, "small": 1e-3, "large": 1e4, "nan": 1.0, "inf": 1.0, "ones": 0.0}


def gradients(case: Case, step: int) -> dict[str, np.ndarray]:
    """The gradients of a step, in float64: of a size, or with one number that is not finite."""
    rng = np.random.default_rng([case.seed, 1, step])
    word = case.steps[step]
    found = {path: np.asarray(SIZES[word] * rng.normal(size=leaf.shape)) for path, leaf in leaves_of(case.tree).items()}
    if word == "ones":
        found = {path: np.ones(leaf.shape) for path, leaf in leaves_of(case.tree).items()}
    if word in ("nan", "inf"):
        full = [path for path, x in found.items() if x.size]
        if full:
            found[full[int(rng.integers(len(full)))]][...] = {"nan": np.nan, "inf": np.inf}[word]
    return found
