"""Optimizers that know curvature: Newton's method and L-BFGS. ``update`` takes ``value_fn`` and more by keyword."""

from gradtx._combinators.chain import chain
from gradtx._numbers import Link, NonNegative, Static
from gradtx._primitives.lbfgs import scale_by_lbfgs
from gradtx._primitives.line_search import scale_by_zoom_linesearch
from gradtx._primitives.newton import scale_by_newton, scale_by_newton_cg
from gradtx._primitives.scaling import scale, scale_by_learning_rate
from gradtx._rules import Rule
from gradtx._transformation import GradientTransformation, transformation


@transformation
def newton(
    learning_rate: NonNegative = 1.0, damping: NonNegative = 0.0, *, has_aux: bool = False
) -> GradientTransformation:
    """Newton's method, damped where that is asked for, with the dense Hessian: for small problems.

        θ ← θ − ε(H + λI)⁻¹gₜ,   H = ∇²f(θ)

    ε is ``learning_rate``, λ ``damping``; ``update`` needs the parameters θ and f, its ``value_fn``. The trap: far from
    a minimum it may ascend; see `scale_by_newton`. Source: Nocedal & Wright 2006, eqs. 2.15 and 3.30. Raises
    `TransformationError`: no ``params`` or ``value_fn``.

    >>> f = lambda x: 2 * (x - 3) ** 2  # a quadratic is solved in one step
    >>> newton().update(4 * (1.0 - 3), {}, jnp.array(1.0), value_fn=f)[0]
    Array(2., dtype=float32)

    A function that returns (value, aux) serves ``value_and_grad`` and the update alike:

    >>> g = lambda x: (f(x), {"missed by": 3 - x})
    >>> (value, aux), grad = jax.value_and_grad(g, has_aux=True)(jnp.array(1.0))
    >>> newton(has_aux=True).update(grad, {}, jnp.array(1.0), value_fn=g)[0], float(aux["missed by"])
    (Array(2., dtype=float32), 2.0)
    """
    return chain(scale_by_newton(damping, has_aux=has_aux), scale_by_learning_rate(learning_rate))


@transformation
def newton_cg(
    learning_rate: NonNegative = 1.0,
    damping: NonNegative = 0.0,
    tol: NonNegative = 1e-5,
    *,
    max_iterations: int | None = None,
    has_aux: bool = False,
) -> GradientTransformation:
    """Newton's method by conjugate gradients, which never forms the Hessian and always descends.

        θ ← θ − εd,   ‖gₜ − (H + λI)d‖ ≤ tol·‖gₜ‖,   H = ∇²f(θ)

    ε is ``learning_rate``, λ ``damping``; ``update`` needs the parameters θ and f, its ``value_fn``; see
    `scale_by_newton_cg` for ``max_iterations`` and negative curvature. The trap: a direction that descends may still be
    too long; ``chain(newton_cg(), scale_by_backtracking_linesearch(20))`` shortens it. Source: Nocedal & Wright 2006,
    Algorithm 7.1. Raises `TransformationError`: no ``params`` or ``value_fn``.

    >>> f, tx, x = lambda x: 2 * (x - 3) ** 2, newton_cg(), jnp.array(1.0)
    >>> tx.update(jax.grad(f)(x), tx.init(x), x, value_fn=f)[0]
    Array(2., dtype=float32)
    """
    direction = scale_by_newton_cg(damping, tol, max_iterations=max_iterations, has_aux=has_aux)
    return chain(direction, scale_by_learning_rate(learning_rate))


@transformation
def _search(rule: Static) -> Rule:
    """The link that a recipe was given, as one of its own."""
    return rule


@transformation
def lbfgs(
    learning_rate: NonNegative = None,
    linesearch: Link = scale_by_zoom_linesearch(20, initial_guess_strategy="one"),  # noqa: B008  it is a value
    *,
    memory_size: int = 10,
    scale_init_precond: bool = True,
) -> GradientTransformation:
    """Limited-memory BFGS, with a line search for the strong Wolfe conditions.

        θ ← θ − αεPgₜ

    P is the inverse Hessian of `scale_by_lbfgs`, α comes from ``linesearch``, ε is ``learning_rate``, 1 where it is not
    given. ``update`` needs ``params``, ``value``, ``grad`` and ``value_fn``, as the line search does; with
    ``identity()`` for a search and a rate, only ``params``. The search is told of auxiliary outputs of ``value_fn``:
    ``scale_by_zoom_linesearch(20, initial_guess_strategy="one", has_aux=True)``. The trap: it is for losses without
    noise; see `scale_by_lbfgs`. Source: Liu & Nocedal 1989; Nocedal & Wright 2006, Algorithm 7.5. State:
    ``scale_by_lbfgs`` and ``linesearch``. Raises `TransformationError`: what the search needs is missing.

    >>> from gradtx import minimize
    >>> run = minimize(lambda x: (x - 3) ** 2, jnp.array(1.0), lbfgs(), steps=20, gradient_tol=1e-4)
    >>> float(run.params), int(run.steps)  # 1, 2, 3, and a look at the gradient there
    (3.0, 3)
    """
    direction = scale_by_lbfgs(memory_size=memory_size, scale_init_precond=scale_init_precond)
    sign = scale(-1.0) if learning_rate is None else scale_by_learning_rate(learning_rate)
    return chain(direction, sign, linesearch=_search(linesearch))
