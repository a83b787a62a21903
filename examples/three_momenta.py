"""Momentum is written in three ways: are they one method?

    form 1:  v ← μv − αg;         θ ← θ + v       (the rate inside the velocity)
    form 2:  v ← μv + (1 − μ)g;   θ ← θ − αv      (an average of gradients)
    form 3:  v ← μv + g;          θ ← θ − αv      (a sum of gradients)

On a constant slope of 0.1, with μ = 0.5: first at a constant rate, then at one that falls to a tenth after three steps.
"""

import jax.numpy as jnp

import gradtx

DECAY, SLOPE = 0.5, 0.1


def forms(rate):
    """Each form as a chain; form 2 at α/(1 − μ), which makes up for its 1 − μ."""
    return {
        "1, rate inside the velocity": gradtx.chain(gradtx.scale_by_learning_rate(rate), gradtx.trace(DECAY)),
        "2, average, at α/(1 − μ)": gradtx.chain(
            gradtx.scale_by_ewma(DECAY), gradtx.scale_by_learning_rate(rate / (1 - DECAY))
        ),
        "3, sum": gradtx.chain(gradtx.trace(DECAY), gradtx.scale_by_learning_rate(rate)),
    }


def steps_of(tx, steps=6):
    """How far each step goes downhill."""
    gradient, lengths = jnp.array(SLOPE), []
    state = tx.init(gradient)
    for _ in range(steps):
        update, state = tx.update(gradient, state)
        lengths.append(-float(update))
    return lengths


def main():
    """Print the steps of every form, under both rates."""
    falling = gradtx.piecewise_constant_schedule(1.0, {3: 0.1})
    for name, rate in (("constant, α = 1", 1.0), ("α = 1, and 0.1 from the fourth step on", falling)):
        print(f"rate {name}")
        for form, tx in forms(rate).items():
            print(f"  form {form:28}", *(f"{length:.4f}" for length in steps_of(tx)))
    print(f"terminal speed at α = 1: {SLOPE / (1 - DECAY):.4f}, the slope over 1 − μ")
    print("One method at a constant rate. Where the rate falls, forms 2 and 3 brake at once, all velocity scaled;")
    print("form 1 keeps the velocity that it has, and only what is added to it is smaller.")


if __name__ == "__main__":
    main()
