"""A train step that is no loss and no optimizer, here Q-learning in a corridor: how do its rate and discount matter?

``grid(None, ...)`` sweeps the numbers of any step(carry, batch, **numbers); the carry is what it learns, here a table
of values. At the exit of a corridor of 8 places is a reward of 1, so from the start the best value is γ⁷, and for γ =
0.9 it is 0.478.
"""

import jax
import jax.numpy as jnp

from gradtx import sweep

PLACES, LEFT_RIGHT = 8, jnp.array([-1, 1])


def step(carry, batch, rate, discount, key):
    """One move, at random, and what it teaches: Q(s, a) ← Q(s, a) + α (r + γ maxₐ Q(next, a) − Q(s, a))."""
    values, place = carry["values"], carry["place"]
    action = jax.random.randint(key, (), 0, 2)
    after = jnp.clip(place + LEFT_RIGHT[action], 0, PLACES)
    done = after == PLACES
    target = jnp.where(done, 1.0, discount * jnp.max(values[jnp.minimum(after, PLACES - 1)]))
    surprise = target - values[place, action]
    values = values.at[place, action].add(rate * surprise)
    return {"values": values, "place": jnp.where(done, 0, after)}, surprise**2


def main():
    """Sweep rates and discounts, over three seeds each, with no data at all."""
    lanes = sweep.grid(None, rate=[0.01, 0.1, 0.5], discount=[0.5, 0.9], seeds=range(3))
    carry = {"values": jnp.zeros((PLACES, 2)), "place": jnp.zeros([], jnp.int32)}
    options = {"steps": 20_000, "evaluate": lambda carry: {"start": jnp.max(carry["values"][0])}}
    result = sweep.run(step, carry, lanes, None, metric="final_loss", **options)
    for row in sorted(result.over_seeds(), key=lambda row: (row["discount"], row["rate"])):
        true = row["discount"] ** (PLACES - 1)
        print(f"γ {row['discount']} rate {row['rate']:<5g} value at the start {row['start']:.3f}, true {true:.3f}")


if __name__ == "__main__":
    main()
