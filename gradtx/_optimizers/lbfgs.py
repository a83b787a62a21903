"""Limited-memory BFGS; ``update`` takes ``value_fn`` and more by keyword."""

from gradtx._links.lbfgs import scale_by_lbfgs
from gradtx._links.line_search import scale_by_zoom_linesearch
from gradtx._links.scaling import scale, scale_by_learning_rate
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._value.marks import Link, NonNegative
from gradtx._wrappers.chain import chain


@transformation
def lbfgs(
    learning_rate: NonNegative = None,
    linesearch: Link = scale_by_zoom_linesearch(20, initial_guess_strategy="one"),  # noqa: B008  it is a value
    *,
    memory_size: int = 10,
    scale_init_precond: bool = True,
) -> GradientTransformation:
    """Limited-memory BFGS, with a line search for the strong Wolfe conditions.

        θ ← θ − αsPgₜ

    P is the inverse Hessian of `scale_by_lbfgs`, s comes from ``linesearch``, α is ``learning_rate``, 1 where it is not
    given. ``update`` needs ``params``, ``value``, ``grad`` and ``value_fn``, as the line search does; with
    ``identity()`` for a search and a rate, only ``params``. Where ``value_fn`` has auxiliary outputs, tell the search:
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
    return chain(direction, sign, linesearch=linesearch)
