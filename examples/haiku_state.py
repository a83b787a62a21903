"""Haiku keeps a network's state apart from its parameters: how does it train, and where is the state at the end?

It is given as ``model_state``; the loss gets it by that name and returns it beside its value. The mean that Haiku's
batch normalization has seen is to be that of the data, 2.
"""

import haiku as hk
import jax
import jax.numpy as jnp

import gradtx
from gradtx import sweep


def forward(x, train):
    x = hk.BatchNorm(create_scale=True, create_offset=True, decay_rate=0.9)(x, train)
    return hk.Linear(1)(jax.nn.relu(hk.Linear(16)(x)))


network = hk.transform_with_state(forward)
x = 2.0 + jax.random.normal(jax.random.key(0), (512, 1))
data = {"x": x, "y": jnp.abs(x - 2.0)}


def loss(params, batch, model_state):
    predicted, model_state = network.apply(params, model_state, None, batch["x"], True)
    return jnp.mean((predicted - batch["y"]) ** 2), model_state


def error(params, model_state):
    predicted, _ = network.apply(params, model_state, None, x, False)
    return {"error": jnp.mean((predicted - data["y"]) ** 2)}


def main():
    """Train three rates; each lane has a state of its own."""
    params, state = network.init(jax.random.key(1), x, True)
    rates = sweep.grid(gradtx.adam, learning_rate=[1e-3, 1e-2, 1e-1])
    result = sweep.run(loss, params, rates, data, steps=300, batch_size=64, model_state=state, evaluate=error)
    seen = result.model_state["batch_norm/~/mean_ema"]["average"][:, 0, 0]
    for row in result.table():
        print(f"rate {row['learning_rate']:<6g} error {row['error']:.5f}, mean seen {seen[row['lane']]:.2f}")


if __name__ == "__main__":
    main()
