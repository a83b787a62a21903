"""`by_role`: a transformation for each kind of parameter."""

import functools
from collections.abc import Mapping
from typing import Any

from gradtx import tree as trees
from gradtx._roles.role import KINDS, MATRICES
from gradtx._roles.roles import roles
from gradtx._rules.protocol import Tree
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._value.errors import TransformationError, suggest
from gradtx._value.marks import Group, Link, Static
from gradtx._wrappers.groups import partition


@transformation
def by_role(transforms: Group, default: Link = None, rules: Static = None) -> GradientTransformation:
    """Transformations by what the parameters are: one for matrices, another for embeddings, a third for biases.

        u ← transforms[role of the leaf](u)

    ``transforms`` maps kinds of `Role` to transformations; ``"matrices"`` is every kind of matrix that has no
    transformation of its own (matrix, stack, heads, fused, convolution). ``default`` is for all other roles. ``rules``
    are those of `roles`. State: as that of `partition`, the default's under ``default``.

    Raises `TransformationError`: a leaf in doubt; leaves of a role that has no transformation.

    >>> from gradtx import adam, sgd
    >>> tx = by_role({"matrices": sgd(0.1), "bias": sgd(0.5)}, default=adam(0.2))
    >>> gradients = {"embedding": jnp.full((1, 2), 2.0), "mlp": {"w": jnp.full((2, 1), 2.0), "b": jnp.array([2.0])}}
    >>> updates, _ = tx.update(gradients, tx.init(gradients))
    >>> [round(float(x.ravel()[0]), 4) for x in jax.tree.leaves(updates)]
    [-0.2, -1.0, -0.2]
    """
    for kind in transforms:
        if kind not in KINDS and kind not in ("matrices", "default"):
            known = ", ".join(("matrices", *KINDS))
            raise TransformationError(f"no role {kind!r}{suggest(str(kind), ('matrices', *KINDS))}; there are {known}")
    if default is not None and "default" in transforms:
        raise TransformationError("default: found two transformations")
    groups = dict(transforms) if default is None else {**transforms, "default": default}
    return partition(groups, functools.partial(_groups_of, tuple(groups), rules))


def _groups_of(groups: tuple[str, ...], rules: Mapping[str, Any] | None, params: Tree) -> Tree:
    """The group of each leaf."""
    found = roles(params, rules)
    without = [f"{path} ({role.kind})" for path, role in found.items() if _group_of(role.kind, groups) is None]
    if without:
        raise TransformationError(f"no transformation, and no default, for {', '.join(without)}")
    return trees.map(lambda kind: _group_of(kind, groups), found.kinds)


def _group_of(kind: str, groups: tuple[str, ...]) -> str | None:
    possible = (kind, *(("matrices",) if kind in MATRICES else ()), "default")
    return next((group for group in possible if group in groups), None)
