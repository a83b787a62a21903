"""Why does Adam divide its averages by 1 − βᵗ, and what would the first steps be if it did not?"""

import jax
import jax.numpy as jnp

import gradtx

B1, B2, RATE = 0.9, 0.999, 0.001

CORRECTED = gradtx.chain(
    gradtx.scale_by_ewma(B1),
    gradtx.bias_correction(B1),
    gradtx.scale_by_rms(B2, 1e-8),
    gradtx.scale_by_learning_rate(RATE),
)
UNCORRECTED = gradtx.chain(
    gradtx.scale_by_ewma(B1),
    gradtx.scale_by_rms(B2, 1e-8, bias_correction=False),
    gradtx.scale_by_learning_rate(RATE),
)


def steps_of(tx, gradients):
    """The steps in units of the learning rate, while the gradients come in."""

    def update(state, gradient):
        step, state = tx.update(gradient, state)
        return state, -step / RATE

    return jax.lax.scan(update, tx.init(gradients[0]), gradients)[1]


def main():
    """Print the steps of both on a gradient that is always the same."""
    gradients = jnp.full(1000, 5.0)
    right, wrong = steps_of(CORRECTED, gradients), steps_of(UNCORRECTED, gradients)
    print("Steps on a constant gradient, in learning rates:")
    print("    t   corrected   uncorrected")
    for t in (1, 2, 5, 10, 20, 100, 1000):
        print(f"{t:5d}{right[t - 1]:12.3f}{wrong[t - 1]:14.3f}")
    print("Both averages start at 0, and the second takes longer to leave it. Uncorrected, the first step is")
    print(f"(1 − β₁)/√(1 − β₂) = 0.1/√0.001 = {0.1 / 0.001**0.5:.3f} learning rates, and step", end=" ")
    print(f"{jnp.argmax(wrong) + 1} even {wrong.max():.3f}:")
    print("it goes farthest when it knows least. Corrected, every step is one learning rate.")


if __name__ == "__main__":
    main()
