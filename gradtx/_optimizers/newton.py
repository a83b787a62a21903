"""Newton's method; ``update`` takes ``value_fn`` by keyword."""

from gradtx._links.newton import scale_by_newton, scale_by_newton_cg
from gradtx._links.scaling import scale_by_learning_rate
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._value.marks import NonNegative
from gradtx._wrappers.chain import chain


@transformation
def newton(
    learning_rate: NonNegative = 1.0, damping: NonNegative = 0.0, *, has_aux: bool = False
) -> GradientTransformation:
    """Newton's method with the dense Hessian, optionally damped: for small problems.

        θ ← θ − α(H + λI)⁻¹gₜ,   H = ∇²f(θ)

    α is ``learning_rate``, λ ``damping``; ``update`` needs the parameters θ and f, its ``value_fn``. The trap: far from
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

        θ ← θ − αd,   ‖gₜ − (H + λI)d‖ ≤ tol·‖gₜ‖,   H = ∇²f(θ)

    α is ``learning_rate``, λ ``damping``; ``update`` needs the parameters θ and f, its ``value_fn``; see
    `scale_by_newton_cg` for ``max_iterations`` and negative curvature. The trap: a direction that descends may still be
    too long; ``chain(newton_cg(), scale_by_backtracking_linesearch(20))`` shortens it. Source: Nocedal & Wright 2006,
    Algorithm 7.1. Raises `TransformationError`: no ``params`` or ``value_fn``.

    >>> f, tx, x = lambda x: 2 * (x - 3) ** 2, newton_cg(), jnp.array(1.0)
    >>> tx.update(jax.grad(f)(x), tx.init(x), x, value_fn=f)[0]
    Array(2., dtype=float32)
    """
    direction = scale_by_newton_cg(damping, tol, max_iterations=max_iterations, has_aux=has_aux)
    return chain(direction, scale_by_learning_rate(learning_rate))
