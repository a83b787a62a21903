"""Estimates of the diagonal of the Hessian."""

from typing import Any

import jax

from gradtx import tree as trees
from gradtx._rules.loops import varying_as
from gradtx._rules.objective import with_objective
from gradtx._rules.protocol import Rule, Tree, missing
from gradtx._rules.transformation import transformation
from gradtx._rules.whole_tree import whole_tree
from gradtx._value.errors import TransformationError
from gradtx._value.marks import Seed


@transformation
def hutchinson_estimator_diag_hessian(random_seed: Seed = 0, *, has_aux: bool = False) -> Rule:
    """Hutchinson's estimate of the diagonal of the Hessian, in place of the update.

        u ← z ∘ Hz,   H = ∇²f(θ),   z = ±1, drawn for each number;   its mean is diag H

    f is the ``obj_fn`` that ``update`` is given (or ``value_fn``), θ the parameters. It takes one product with the
    Hessian, about two gradients. Extra keywords of ``update``, such as a batch, go to f where it takes them;
    ``has_aux`` says that it returns (value, aux). The draws follow from ``random_seed``, as those of `add_noise` do:
    they are not Optax's, which takes a key. The trap: as in Optax this is the Hessian of f, not squares of gradients
    (Gauss-Newton-Bartlett), and may be negative. Source: Hutchinson 1990; Liu et al. 2023, Algorithm 1. State: none but
    the chain's count and key. Raises `TransformationError`: no ``params`` or ``obj_fn``, a complex leaf.

    >>> f, tx, x = lambda x: x[0] ** 2 + 2 * x[1] ** 2, hutchinson_estimator_diag_hessian(), jnp.zeros(2)
    >>> tx.update(x, tx.init(x), x, obj_fn=f)[0]  # of a diagonal Hessian it is exact
    Array([2., 4.], dtype=float32)
    """

    def update(updates: Tree, state: Any, *, params: Tree, key: Any, obj_fn: Any = None, value_fn: Any = None) -> Any:
        function = value_fn if obj_fn is None else obj_fn
        if function is None:
            raise missing("obj_fn")
        leaves, treedef = trees.flatten(varying_as(params, updates))
        for path, x in zip(trees.paths(params), leaves, strict=True):
            if x is not None and jax.numpy.iscomplexobj(x):
                raise TransformationError(f"leaf {path}: expected a real parameter, found {x.dtype}")
        signs = [
            None if x is None else jax.random.rademacher(jax.random.fold_in(key, n), x.shape, x.dtype)
            for n, x in enumerate(leaves)
        ]
        at, z = treedef.unflatten(leaves), treedef.unflatten(signs)
        product = jax.jvp(jax.grad(function), (at,), (z,))[1] if jax.tree.leaves(at) else at
        return trees.map(lambda u, z, hz: (z * hz).astype(u.dtype), updates, z, product), state

    rule = whole_tree(update, seed=random_seed)
    return with_objective(rule, has_aux=has_aux, names=("obj_fn", "value_fn"))
