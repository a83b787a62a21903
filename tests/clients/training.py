"""What the programs share: numbers, a loss whose minimum wanders, and the loop that everybody writes."""

import jax
import jax.numpy as jnp
import numpy as np

STEPS = 5


def normal(*shape, seed=0):
    """Noise in the default dtype of the run."""
    return jnp.asarray(np.random.default_rng(seed + len(shape)).normal(size=shape), float)


def model():
    """Parameters of a small transformer, by path."""
    return {
        "embed": {"embedding": normal(4, 3)},
        "layer": {"kernel": normal(3, 4, seed=1)},
        "head": {"bias": normal(2)},
    }


def by_path(rule, tree):
    """A tree of ``rule(path)``, where a path is ``layer/kernel``."""
    return jax.tree.map_with_path(lambda path, _: rule("/".join(str(entry.key) for entry in path)), tree)


def loss(params, step):
    """A sum of squares around a point that moves with the step."""
    total = 0.0
    for n, x in enumerate(jax.tree.leaves(params)):
        there = jnp.cos(0.7 * step + n + jnp.arange(x.size, dtype=jnp.real(x).dtype)).reshape(x.shape)
        total = total + (0.5 + n) * jnp.sum(jnp.abs(x - there) ** 2)
    return total


def train(optax, tx, params, steps=STEPS):
    """The parameters and the state after some steps."""

    @jax.jit
    def step(params, state, n):
        updates, state = tx.update(jax.grad(loss)(params, n), state, params)
        return optax.apply_updates(params, updates), state

    state = tx.init(params)
    for n in range(steps):
        params, state = step(params, state, n)
    return params, seen(optax, tx, params, state)


def seen(optax, tx, params, state):
    """The state as a program reads it: in Optax's form."""
    return getattr(optax, "seen", lambda tx, params, state: state)(tx, params, state)
