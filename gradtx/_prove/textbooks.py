"""Rosenbrock's valley and a quadratic in books and manuals: Nocedal & Wright, Optim.jl, GSL."""

import functools
from typing import Any

import jax
import jax.numpy as jnp

import gradtx
from gradtx import curvature
from gradtx._prove.row import Row, Source


def rosenbrock(x: Any) -> Any:
    """The valley."""
    return (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2


def bowl(x: Any) -> Any:
    """GSL's paraboloid."""
    return 10 * (x[0] - 1) ** 2 + 20 * (x[1] - 2) ** 2 + 30


def halving() -> Any:
    """Armijo's search, by halves from a full step."""
    return gradtx.scale_by_backtracking_linesearch(40, decrease_factor=0.5, increase_factor=jnp.inf)


@functools.cache
def iterations(name: str, start: tuple[float, ...], gradient_tol: float) -> tuple[int, Any]:
    """Steps until the gradient is short, and the point: a run looks at the gradient where a step begins."""
    tx = {
        "newton": gradtx.chain(gradtx.newton(), halving()),
        "bfgs": gradtx.lbfgs(memory_size=60),
        "steepest": gradtx.chain(gradtx.sgd(1.0), halving()),
    }[name]
    run = gradtx.minimize(rosenbrock, jnp.array(start), tx, steps=12_000, gradient_tol=gradient_tol)
    return int(run.steps) - 1, run.params


def book(name: str) -> int:
    """From (−1.2, 1) to a gradient of 1e-5."""
    return iterations(name, (-1.2, 1.0), 1e-5)[0]


NOCEDAL = Source(
    "nocedal-wright",
    "Nocedal & Wright 2006, Numerical Optimization, section 6.1",
    "Rosenbrock's function from (−1.2, 1) until the gradient is shorter than 1e-5",
    (
        Row("Newton's method, iterations (a search by halves)", "21", lambda: book("newton")),
        Row("BFGS, iterations (a search for Wolfe's conditions)", "34", lambda: book("bfgs")),
        Row(
            "steepest descent, iterations (a search by halves)",
            "5264",
            lambda: book("steepest"),
            reason="the book does not say how it searches, and here all depends on it: by tenths it is 892",
        ),
    ),
)

OPTIM = Source(
    "optim.jl",
    "Optim.jl, README",
    "github.com/JuliaNLSolvers/Optim.jl: Rosenbrock's function from (0, 0) by BFGS until the gradient is below 1e-8",
    (
        Row("the minimizer", "1.00e+00 1.00e+00", lambda: iterations("bfgs", (0.0, 0.0), 1e-8)[1]),
        Row(
            "BFGS, iterations",
            "16",
            lambda: iterations("bfgs", (0.0, 0.0), 1e-8)[0],
            reason="theirs searches by Hager & Zhang's rule, ours by Nocedal & Wright's",
        ),
    ),
)


@functools.cache
def doubling() -> Any:
    """GSL's first steps: along one direction, each twice as long as the one before."""
    tx = gradtx.chain(
        gradtx.normalize(), gradtx.scale_by_learning_rate(lambda step: 0.01 * jnp.exp2(jnp.asarray(step, float)))
    )
    x = jnp.array([5.0, 7.0])
    direction, state, values = jax.grad(bowl)(x), tx.init(x), []
    for _ in range(9):
        updates, state = tx.update(direction, state, x)
        x = x + updates
        values.append(bowl(x))
    return jnp.array(values)


def along_the_gradient() -> Any:
    """The lowest point in the direction of the first gradient."""
    x = jnp.array([5.0, 7.0])
    return bowl(x - curvature.best_step(bowl, x) * jax.grad(bowl)(x))


def by_conjugate_gradients() -> Any:
    """The minimum of the quadratic, in one step of two conjugate directions."""
    run = gradtx.minimize(bowl, jnp.array([5.0, 7.0]), gradtx.newton_cg(max_iterations=2), steps=1)
    return jnp.append(run.params, run.final_loss)


GSL = Source(
    "gsl",
    "GNU Scientific Library, manual: multidimensional minimization",
    "10(x − 1)² + 20(y − 2)² + 30 from (5, 7) by conjugate gradients, the first step .01",
    (
        Row(
            "the function, iterations 1 to 9",
            "687.848 683.555 675.013 658.108 625.013 561.684 446.467 261.794 75.498",
            doubling,
        ),
        Row("the function, iteration 10", "67.037", along_the_gradient),
        Row("the minimum, and the function there", "1.00000 2.00000 30.00000", by_conjugate_gradients),
    ),
)
