"""Estimates of the diagonal of the Hessian."""

from typing import Any

import jax
import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._rules.loops import varying_as
from gradtx._rules.objective import with_objective, with_outputs
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
        _check_real(params)
        leaves, treedef = trees.flatten(varying_as(params, updates))
        signs = [
            None if x is None else jax.random.rademacher(jax.random.fold_in(key, n), x.shape, x.dtype)
            for n, x in enumerate(leaves)
        ]
        at, z = treedef.unflatten(leaves), treedef.unflatten(signs)
        product = jax.jvp(jax.grad(function), (at,), (z,))[1] if jax.tree.leaves(at) else at
        return trees.map(lambda u, z, hz: (z * hz).astype(u.dtype), updates, z, product), state

    rule = whole_tree(update, seed=random_seed)
    return with_objective(rule, has_aux=has_aux, names=("obj_fn", "value_fn"))


@transformation
def gauss_newton_bartlett_diag_hessian(random_seed: Seed = 0) -> Rule:
    """The Gauss–Newton–Bartlett estimate of the diagonal of the Hessian of a cross-entropy, in place of the update.

        u ← B ĝ ∘ ĝ,   ĝ = ∇ mean CE(logits(θ), ŷ),   ŷ drawn from softmax(logits(θ))

    Its mean is the diagonal of the Gauss–Newton matrix, which is not negative. ``logits_fn`` is a keyword of
    ``update``, a function of the parameters (and of extra keywords, where it takes them) that returns the logits of
    a batch, classes last; B is how many rows they have. It takes one gradient more. The trap: labels are drawn, not
    those of the data; the square of the gradient itself is another thing, the empirical Fisher. For `sophia` it is
    a ``hessian_diagonal_fn``. The draws follow from ``random_seed``. Source: Liu et al. 2023, Algorithm 2; Wei,
    Kakade & Ma 2020. State: none but the chain's count and key. Raises `TransformationError`: no ``params`` or
    ``logits_fn``, a complex leaf, logits without an axis of classes.

    >>> tx, x = gauss_newton_bartlett_diag_hessian(), jnp.array([0.0])
    >>> f = jax.tree_util.Partial(lambda x: jnp.stack([x, -x], 1))  # of two classes; their log-odds are 2x
    >>> tx.update(x, tx.init(x), x, logits_fn=f)[0]  # 2²p(1 − p)
    Array([1.], dtype=float32)
    """

    def update(updates: Tree, state: Any, *, params: Tree, key: Any, logits_fn: Any) -> Any:
        _check_real(params)
        logits, back = jax.vjp(logits_fn, varying_as(params, updates))
        if jnp.ndim(logits) < 1:
            raise TransformationError(f"logits_fn: expected logits with classes last, found shape {jnp.shape(logits)}")
        labels = jax.random.categorical(key, logits)
        missed = jax.nn.softmax(logits) - jax.nn.one_hot(labels, logits.shape[-1], dtype=logits.dtype)
        (gradient,) = back(missed / labels.size)
        return trees.map(lambda u, g: (labels.size * g**2).astype(u.dtype), updates, gradient), state

    return with_outputs(whole_tree(update, seed=random_seed), "logits_fn")


def _check_real(params: Tree) -> None:
    for path, x in zip(trees.paths(params), trees.flatten(params)[0], strict=True):
        if x is not None and jnp.iscomplexobj(x):
            raise TransformationError(f"leaf {path}: expected a real parameter, found {x.dtype}")
