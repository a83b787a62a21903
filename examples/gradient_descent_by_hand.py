"""Does the library do what gradient descent does by hand?

f(x) = x² from x = 10: the slope is 2x, and every step is x ← x − rate · 2x. Three steps by hand, then the same three by
the library; then how far each rate gets in thirty.
"""

import jax
import jax.numpy as jnp

import gradtx

BY_HAND = {
    0.2: [6.0, 3.6, 2.16],  # 10 − 0.2·2·10 = 6;  6 − 0.2·2·6 = 3.6;  3.6 − 0.2·2·3.6 = 2.16
    0.05: [9.0, 8.1, 7.29],  # 10 − 0.05·2·10 = 9;  9 − 0.05·2·9 = 8.1;  8.1 − 0.05·2·8.1 = 7.29
}


def f(x):
    """A parabola."""
    return x**2


def descend(rate, steps):
    """The points that gradient descent visits, the start not among them."""
    tx, x, visited = gradtx.sgd(rate), jnp.array(10.0), []
    state = tx.init(x)
    for _ in range(steps):
        updates, state = tx.update(jax.grad(f)(x), state)
        x = gradtx.apply_updates(x, updates)
        visited.append(float(x))
    return visited


def main():
    """Print both."""
    for rate, by_hand in BY_HAND.items():
        visited = descend(rate, 30)
        print(f"rate {rate}")
        print("  by hand    ", *(f"{x:6.2f}" for x in by_hand))
        print("  the library", *(f"{x:6.2f}" for x in visited[:3]))
        print(f"  after thirty steps: x = {visited[-1]:.2g}")
    factors = ", ".join(f"{1 - 2 * rate:g} at {rate}" for rate in BY_HAND)
    print(f"Yes. Every step multiplies x by 1 − 2 · rate: {factors}. So the small rate crawls.")


if __name__ == "__main__":
    main()
