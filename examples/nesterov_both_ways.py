"""Nesterov's momentum: is the rewritten form really the true lookahead?

The true form takes the gradient where momentum is about to go, θ + μv. The rewritten one takes it where it stands and
adds the momentum once more. They are the same path, seen from two points: y = θ + μv.
"""

import jax
import jax.numpy as jnp

import gradtx

RATE, MOMENTUM, STEPS = 0.02, 0.9, 60


def loss(params):
    """A ravine of condition number 50."""
    return 0.5 * (params[0] ** 2 + 50 * params[1] ** 2)


def main():
    start = jnp.array([5.0, 1.0])
    true = gradtx.nesterov(RATE, MOMENTUM)
    rewritten = gradtx.sgd(RATE, MOMENTUM, nesterov=True)
    theta, y = start, start
    states = [true.init(start), rewritten.init(start)]
    apart = 0.0
    for _ in range(STEPS):
        ahead = gradtx.gradient_params(true, theta, states[0])
        apart = max(apart, float(jnp.abs(ahead - y).max()))
        updates, states[0] = true.update(jax.grad(loss)(ahead), states[0])
        theta = gradtx.apply_updates(theta, updates)
        updates, states[1] = rewritten.update(jax.grad(loss)(y), states[1])
        y = gradtx.apply_updates(y, updates)
    print(f"after {STEPS} steps: true form at θ = {theta}, loss {loss(theta):.2e}")
    print(f"              rewritten form at y = {y}, loss {loss(y):.2e}")
    print(f"yes: y and θ + μv were never more than {apart:.1e} apart")
    for name, tx in {"plain momentum": gradtx.sgd(RATE, MOMENTUM), "true Nesterov": true}.items():
        run = gradtx.minimize(loss, start, tx, steps=STEPS)  # asks the transformation where to take the gradient
        print(f"{name:>15}: loss {run.final_loss:.2e}")


if __name__ == "__main__":
    main()
