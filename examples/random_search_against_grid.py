"""Random search or a grid: which finds the better optimizer with 27 runs, and how sure is it of finding a good one?"""

import jax
import jax.numpy as jnp
import numpy as np

import gradtx
from gradtx import sweep

RATES, B1, B2 = (1e-4, 1.0), (0.5, 0.95), (0.8, 0.999)
SEARCHES, RUNS = 40, 27


def loss(params, batch):
    """Squares: a plane through points."""
    return jnp.mean((batch["x"] @ params - batch["y"]) ** 2)


def final_losses(population):
    """What 60 steps with each optimizer come to; the features are of very different scales."""
    x = jax.random.normal(jax.random.key(0), (200, 3)) * jnp.array([1.0, 0.3, 0.1])
    data = {"x": x, "y": x @ jnp.array([1.0, -2.0, 3.0])}
    return sweep.run(loss, jnp.zeros(3), population, data, steps=60).final_loss


def chance(searches=10_000, draws=60):
    """How many of many random searches draw a rate from the best 5 % of the space, wherever that is."""
    rate, rng = sweep.log_uniform(*RATES), np.random.default_rng(0)
    points = np.array([rate.draw(rng) for _ in range(searches * draws)]).reshape(searches, draws)
    low, high = RATES[0] * (RATES[1] / RATES[0]) ** np.array([0.60, 0.65])
    return np.mean(np.any((low <= points) & (points < high), axis=1))


def main():
    """Print what both find, and how often random search would."""
    axes = {"learning_rate": np.geomspace(*RATES, 3), "b1": np.linspace(*B1, 3), "b2": np.linspace(*B2, 3)}
    space = {"learning_rate": sweep.log_uniform(*RATES), "b1": sweep.uniform(*B1), "b2": sweep.uniform(*B2)}
    of_grid = final_losses(sweep.grid(gradtx.adam, **axes)).min()
    drawn = sweep.sample(gradtx.adam, SEARCHES * RUNS, seed=0, **space)
    of_random = final_losses(drawn).reshape(SEARCHES, RUNS).min(axis=1)
    print(f"Adam's learning rate, b1 and b2 by {RUNS} runs; {SEARCHES} random searches against one grid.")
    print(f"  grid, 3 × 3 × 3:  3 values of each, best loss {of_grid:.0e}")
    print(f"  random:          27 values of each, best loss {np.median(of_random):.0e} (the median)")
    print(f"  random search is better in {np.sum(of_random < of_grid)} of {SEARCHES}")
    print(f"60 draws hit the best 5 % of any space, of any number of axes, with probability {1 - 0.95**60:.3f}:")
    print(f"  1 − 0.95⁶⁰; of 10,000 searches, {chance():.3f} did")


if __name__ == "__main__":
    main()
