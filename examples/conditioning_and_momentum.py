"""How much does a bad condition number cost, and how much of that does momentum win back?

On ½ Σ λᵢθᵢ² the best rate of gradient descent shrinks the error by (κ − 1)/(κ + 1) a step, the best heavy ball by
(√κ − 1)/(√κ + 1) (Polyak 1964; Goh 2017). Here the steps to a millionth of the loss are counted, and compared.
"""

import math

import jax.numpy as jnp

import gradtx
from gradtx import curvature

TARGET = 1e-3  # of the distance: a millionth of the loss


def loss(theta, values):
    """A ravine, whose Hessian has these eigenvalues."""
    return jnp.sum(values * theta**2) / 2


def best(values):
    """The best rate of gradient descent, and of heavy ball with its best momentum, for the ends of a spectrum."""
    low, high = math.sqrt(values[0]), math.sqrt(values[-1])
    plain = gradtx.sgd(2 / (values[0] + values[-1]))
    heavy = gradtx.sgd((2 / (low + high)) ** 2, ((high - low) / (high + low)) ** 2)
    return plain, heavy


def steps_to_target(tx, values, most=20_000):
    """How many steps it takes to the target, or None."""
    run = gradtx.fit(loss, jnp.ones(len(values)), tx, values, steps=most, record_every=1)
    there = run.loss <= TARGET**2 * run.loss[0]
    return int(jnp.argmax(there)) if there.any() else None


def main():
    """Count steps for four condition numbers."""
    print(f"{'κ':>7} {'gradient descent':>24} {'heavy ball':>24}")
    print(f"{'':7} {'rate':>10} {'steps':>13} {'rate':>10} {'steps':>13}")
    for smallest in (0.5, 0.1, 0.01, 0.001):
        values = jnp.array([smallest, math.sqrt(smallest), 1.0])
        kappa = float(curvature.condition_number(loss, jnp.ones(3), values))
        rates = (kappa - 1) / (kappa + 1), (math.sqrt(kappa) - 1) / (math.sqrt(kappa) + 1)
        row = f"{kappa:7.1f}"
        for rate, tx in zip(rates, best(values.tolist()), strict=True):
            row += f" {rate:10.6f} {steps_to_target(tx, values):13,}"
        print(row)


if __name__ == "__main__":
    main()
