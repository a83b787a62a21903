"""Is a point where the gradient vanishes a minimum, and what gets away from one that is not?

On f = x₁² − x₂² + x₂⁴/4 the origin is a saddle between two minima, x₂ = ±√2. Whoever begins next to the ridge sees
almost no gradient along the way out: how long that takes is what optimizers differ in.
"""

import jax
import jax.numpy as jnp

import gradtx
from gradtx import curvature


def loss(x):
    """A saddle at the origin, and a valley on either side."""
    return x[0] ** 2 - x[1] ** 2 + x[1] ** 4 / 4


TRANSFORMATIONS = {
    "gradient descent": gradtx.sgd(0.05),
    "momentum 0.9": gradtx.sgd(0.05, 0.9),
    "RMSProp": gradtx.rmsprop(0.05),
    "Adam": gradtx.adam(0.05),
}


def main():
    """Classify three points, look at two steps, and race four optimizers off the ridge."""
    for name, x in {"(0, 0)": [0.0, 0.0], "(0, 0.5)": [0.0, 0.5], "(0, √2)": [0.0, 2**0.5]}.items():
        print(f"{name:9} {curvature.classify(loss, jnp.array(x))}")

    found = curvature.spectrum(loss, jnp.zeros(2))
    print(f"\nthe way out of the saddle: eigenvalue {found.eigenvalues[0]:g} along ±{jnp.abs(found.vectors[0])}")

    print("\na step of 0.1 changes the loss by     actually  first order  second order  curvature")
    for x in (jnp.array([1.0, 0.0]), jnp.array([0.0, 0.5])):
        g = jax.grad(loss)(x)
        actual, first = loss(x - 0.1 * g) - loss(x), -0.1 * g @ g
        second, along = curvature.predicted_decrease(loss, x, 0.1), curvature.directional_curvature(loss, x, g)
        print(f"    from ({x[0]:g}, {x[1]:g})".ljust(34), f"{actual:12.4f} {first:12.4f} {second:13.4f} {along:10.2f}")

    print("\nsteps from (1, 1e-6) until the loss is below −0.99 (the minima have −1)")
    for name, tx in TRANSFORMATIONS.items():
        run = gradtx.minimize(loss, jnp.array([1.0, 1e-6]), tx, steps=400)
        print(f"    {name:17} {int(jnp.argmax(run.loss < -0.99)):4}")


if __name__ == "__main__":
    main()
