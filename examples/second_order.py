"""What does curvature buy? Four optimizers in Rosenbrock's valley, from gradients alone to the whole Hessian.

The floor of the valley is 2,500 times flatter than its walls are steep: a gradient points across it, Newton's direction
along it. L-BFGS learns the difference from the gradients that it has seen.
"""

import jax
import jax.numpy as jnp

import gradtx as gx

CLOSE = 1e-5  # when the gradient is no longer than this, the minimum at (1, 1) is found
STEPS = 50_000


def rosenbrock(x):
    """A curved valley with its minimum at (1, 1)."""
    return (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2


OPTIMIZERS = {
    "gradient descent": gx.sgd(2e-3),
    "with momentum": gx.sgd(1e-3, 0.9),
    "L-BFGS": gx.lbfgs(),
    "Newton by conjugate gradients": gx.newton_cg(),
    "Newton": gx.newton(),
}


def main():
    """Print how many steps each takes, and where it ends."""
    with jax.enable_x64(True):
        start = jnp.array([-1.2, 1.0])
        eigenvalues = jnp.linalg.eigvalsh(jax.hessian(rosenbrock)(jnp.ones(2)))
        print(f"curvature at the minimum: {eigenvalues[0]:.2f} along the valley, {eigenvalues[1]:.0f} across it\n")
        for name, tx in OPTIMIZERS.items():
            run = gx.minimize(rosenbrock, start, tx, steps=STEPS, gradient_tol=CLOSE, progress=False)
            off = jnp.linalg.norm(run.params - 1)
            print(f"{name:30} {int(run.steps):6,} steps, {off:.0e} from the minimum")


if __name__ == "__main__":
    main()
