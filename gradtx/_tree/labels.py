"""Labels and masks: a rule on paths, and what it says of every leaf."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

import jax
import numpy as np

from gradtx._tree.paths import Tree, flatten, map, paths
from gradtx._value.errors import TransformationError


def labels(rule: Any, tree: Tree) -> Tree:
    """A tree like ``tree`` with the label that ``rule`` gives to each leaf.

    A rule is one of

    - a mapping from patterns to labels, ``{"*.bias": "no_decay", "*": "decay"}``: the first that matches;
    - a tree of labels, or a prefix of one: any container, or a module of the same type as ``tree``, even if that is
      callable;
    - a function of the tree, which returns one of these.

    A pattern is a shell glob on the dotted path (``*`` crosses dots); it matches a leaf if it matches the path of the
    leaf or of a branch above it. A pattern that is itself the path of a leaf or branch matches only that one: ``w[0]``
    is a key if there is such a key.

    Raises `TransformationError`: a leaf that no pattern matches; labels of another structure.

    >>> labels({"enc": "slow", "*": "fast"}, {"enc": {"w": 0, "b": 0}, "out": 0})
    {'enc': {'b': 'slow', 'w': 'slow'}, 'out': 'fast'}
    """
    rule = rule(tree) if callable(rule) and type(rule) is not type(tree) else rule
    leaves, treedef = flatten(tree)
    if isinstance(rule, Mapping) and rule and all(_is_label(x) for x in rule.values()):
        own = {str(key) for key in tree} if isinstance(tree, Mapping) else set[str]()  # a key may hold no leaf
        return treedef.unflatten(_by_pattern(rule, paths(tree), leaves, own))
    try:
        return jax.tree.map(lambda label, part: map(lambda _: label, part), rule, tree)
    except ValueError:
        labelled = [path for path, label in zip(paths(rule), flatten(rule)[0], strict=True) if label is not None]
        for path in paths(tree):
            if not any(path == name or path.startswith(f"{name}.") for name in labelled):
                raise TransformationError(f"leaf {path}: expected a label, found none") from None
        for name in labelled:
            if not any(path == name or path.startswith(f"{name}.") for path in paths(tree)):
                raise TransformationError(f"leaf {name}: found a label, but no such leaf") from None
        raise TransformationError(f"expected labels like {treedef}, found {jax.tree.structure(rule)}") from None


def are_patterns(rule: Any) -> bool:
    """Whether a rule is one pattern or a list of patterns, which choose leaves without labelling them.

    >>> are_patterns("*.b"), are_patterns(["w", "*.b"]), are_patterns({"*.b": "no_decay"})
    (True, True, False)
    """
    several = isinstance(rule, list | tuple) and len(rule) > 0 and all(isinstance(pattern, str) for pattern in rule)
    return isinstance(rule, str) or several


def mask(rule: Any, tree: Tree) -> Tree:
    """A tree like ``tree``, True where ``rule`` chooses the leaf: a rule as for `labels`, or one pattern or several.

    >>> mask("*.b", {"enc": {"w": 0, "b": 0}, "b": 0})
    {'b': False, 'enc': {'b': True, 'w': False}}
    """
    if are_patterns(rule):
        rule = {"*": False} | dict.fromkeys((rule,) if isinstance(rule, str) else rule, True)
        rule["*"] = rule.pop("*")  # last, so that the patterns are looked at first
    chosen = labels(rule, tree)
    for path, choice in zip(paths(chosen), flatten(chosen)[0], strict=True):
        if choice is not None and not isinstance(choice, bool) and getattr(choice, "dtype", None) != np.bool_:
            raise TransformationError(f"leaf {path}: a mask says True or False, found {choice!r}")
    return map(bool, chosen)


def _is_label(x: Any) -> bool:
    """Whether something is one label, and no branch of labels."""
    return x is None or jax.tree_util.all_leaves([x])


def _by_pattern(rule: Mapping[Any, Any], names: list[str], leaves: list[Any], own: set[str]) -> list[Any]:
    above = [_with_branches(path) for path in names]
    literal = {str(key) for key in rule if str(key) != "*"} & {name for each in above for name in each}
    found, used = [], set()
    for path, leaf, branches in zip(names, leaves, above, strict=True):
        pattern = next((key for key in rule if _matches(str(key), branches, literal)), None)
        if pattern is None and leaf is not None:
            known = ", ".join(repr(str(pattern)) for pattern in rule)
            raise TransformationError(f"leaf {path}: no rule matches (there are {known}): add one, or '*' for the rest")
        used.add(pattern)
        found.append(None if leaf is None or pattern is None else rule[pattern])
    idle = [key for key in rule if key not in used and key != "*" and str(key) not in own]
    if idle and names:
        raise TransformationError(
            f"{idle[0]!r} matches no leaf that an earlier pattern left; there are {', '.join(names)}"
        )
    return found


def _with_branches(path: str) -> list[str]:
    """The paths of the branches above a leaf, and then its own."""
    branches = path.split(".")
    return [".".join(branches[: n + 1]) for n in range(len(branches))]


def _matches(pattern: str, branches: list[str], literal: set[str]) -> bool:
    return pattern in branches if pattern in literal else any(fnmatchcase(name, pattern) for name in branches)
