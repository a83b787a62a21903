"""Newton's direction: by the Hessian itself, and by conjugate gradients on products with it."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from gradtx import tree as trees
from gradtx._rules.loops import in_shard_map, varying_as, while_loop
from gradtx._rules.objective import with_objective
from gradtx._rules.protocol import Rule, Tree
from gradtx._rules.transformation import transformation
from gradtx._rules.vectors import alike, dot, normalized, scaled, step_along
from gradtx._rules.whole_tree import whole_tree
from gradtx._value.errors import TransformationError
from gradtx._value.marks import NonNegative
from gradtx._value.whole import whole_number


@transformation
def scale_by_newton(damping: NonNegative = 0.0, *, has_aux: bool = False) -> Rule:
    """Newton's direction, by solving with the dense Hessian: for small problems.

        u ← (H + λI)⁻¹uₜ,   H = ∇²f(θ)

    λ is ``damping``, f the ``value_fn`` and θ the parameters that ``update`` is given; all leaves together are one
    vector of n numbers, so H takes n² of them, and the solution n³ operations. Extra keywords of ``update`` go to
    ``value_fn`` where it takes them; ``has_aux`` says that it returns (value, aux). The trap: where H + λI is not
    positive definite the direction need not descend, saddle points attract, and where it is singular the direction is
    not finite; `scale_by_newton_cg` avoids all this. Source: Nocedal & Wright 2006, eq. 2.15; damped: Levenberg 1944.
    State: none. Raises `TransformationError`: no ``params`` or ``value_fn``, a complex leaf.

    >>> f = lambda x: x[0] ** 2 + 2 * x[1] ** 2  # H is diagonal, 2 and 4
    >>> scale_by_newton(damping=1.0).update(jnp.array([6.0, 20.0]), {}, jnp.zeros(2), value_fn=f)[0]
    Array([2., 4.], dtype=float32)
    """

    def update(updates: Tree, state: Any, *, params: Tree, value_fn: Any) -> Any:
        if not jax.tree.leaves(updates):
            return updates, state
        _check_real(params)
        at, right = alike(params, updates)
        at, right = ravel_pytree(varying_as(at, right)), ravel_pytree(right)
        hessian = jax.hessian(lambda flat: value_fn(at[1](flat)))(at[0])
        damped = hessian + jnp.asarray(damping).astype(hessian.dtype) * jnp.eye(len(hessian), dtype=hessian.dtype)
        return trees.cast_like(right[1](jnp.linalg.solve(damped, right[0])), updates), state

    return with_objective(whole_tree(update, packs=True), has_aux=has_aux)


@transformation
def scale_by_newton_cg(
    damping: NonNegative = 0.0, tol: NonNegative = 1e-5, *, max_iterations: int | None = None, has_aux: bool = False
) -> Rule:
    """Newton's direction by conjugate gradients, from products with the Hessian, which is never formed.

        u ≈ (H + λI)⁻¹uₜ,   until  ‖uₜ − (H + λI)u‖ ≤ tol·‖uₜ‖;   Hp = ∂/∂r ∇f(θ + rp) at r = 0

    λ is ``damping``, f the ``value_fn`` and θ the parameters that ``update`` is given. An iteration is one product,
    which costs about two gradients; there are at most ``max_iterations``, by default as many as there are parameters.
    Where a direction p of negative curvature is met, pᵀ(H + λI)p ≤ 0, it stops with what it has, or with uₜ itself if
    p is the first one: so the result descends wherever uₜ is the gradient. Extra keywords of ``update`` go to
    ``value_fn`` where it takes them; ``has_aux`` says that it returns (value, aux). The trap: derivatives, with
    respect to λ for one, are those of the exact solution. Source: Nocedal & Wright 2006, Algorithm 7.1, with a given
    tolerance; Steihaug 1983. State: ``iterations``, how many the last update took. Raises
    `TransformationError`: no ``params`` or ``value_fn``, a complex leaf.

    >>> f = lambda x: x[0] ** 2 + 2 * x[1] ** 2  # H is diagonal, 2 and 4
    >>> tx, x = scale_by_newton_cg(damping=1.0), jnp.zeros(2)
    >>> u, state = tx.update(jnp.array([6.0, 20.0]), tx.init(x), x, value_fn=f)
    >>> [round(v, 4) for v in u.tolist()], int(state["iterations"])
    ([2.0, 4.0], 2)
    """

    def init(params: Tree) -> Any:
        return {"iterations": jnp.zeros([], jnp.int32)}

    def update(updates: Tree, state: Any, *, params: Tree, value_fn: Any) -> Any:
        most = trees.size(updates) if max_iterations is None else whole_number("max_iterations", max_iterations)
        if not jax.tree.leaves(updates):
            return updates, state
        _check_real(params)
        at, right = alike(params, updates)
        at = varying_as(at, right)

        def product(p: Tree) -> Tree:
            return step_along(jax.jvp(jax.grad(value_fn), (at,), (p,))[1], damping, p)

        def solve(matvec: Any, b: Tree) -> Any:
            return conjugate_gradients(matvec, b, jax.lax.stop_gradient(tol), most)

        right, power = normalized(right)  # so that the squares of a badly scaled gradient stay finite
        if in_shard_map():  # there a linear solve refuses an objective that is summed over the devices
            direction, iterations = solve(product, right)
        else:
            direction, iterations = jax.lax.custom_linear_solve(product, right, solve, symmetric=True, has_aux=True)
        return trees.cast_like(scaled(power, direction), updates), {"iterations": iterations}

    return with_objective(whole_tree(update, init=init, packs=True), has_aux=has_aux)


def conjugate_gradients(matvec: Any, b: Tree, tol: Any, most: int) -> tuple[Tree, jax.Array]:
    """An x with Ax ≈ b, and how many products it took. It stops at negative curvature; at the first product, with b."""

    def iterate(carry: Any) -> Any:
        n, x, r, p, rr, _ = carry
        ap = matvec(p)
        curvature = dot(p, ap)
        alpha = rr / jnp.where(curvature > 0, curvature, 1)
        convex = (curvature > 0) & jnp.isfinite(alpha)
        x = step_along(x, jnp.where(convex, alpha, jnp.where(n == 0, 1, 0).astype(rr.dtype)), p)
        r = step_along(r, -alpha, ap)
        rr, before = dot(r, r), rr
        p = step_along(r, rr / before, p)
        return n + 1, x, r, p, rr, convex & (jnp.sqrt(rr) > enough)

    def unfinished(carry: Any) -> jax.Array:
        return carry[-1] & (carry[0] < most)

    bb = dot(b, b)
    enough = jnp.asarray(tol).astype(bb.dtype) * jnp.sqrt(bb)
    start = (jnp.zeros([], jnp.int32), trees.map(jnp.zeros_like, b), b, b, bb, bb != 0)
    n, x, *_ = while_loop(unfinished, iterate, start)
    return x, n


def _check_real(params: Tree) -> None:
    for path, x in zip(trees.paths(params), trees.flatten(params)[0], strict=True):
        if x is not None and jnp.iscomplexobj(x):
            raise TransformationError(f"leaf {path}: expected a real parameter, found {x.dtype}")
