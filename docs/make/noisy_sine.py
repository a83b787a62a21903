"""The small problem of the pages on sweeps, for their pictures: a network learns a sine from noisy points."""

from typing import Any

import jax
import jax.numpy as jnp

x = jnp.linspace(-3.0, 3.0, 200)[:, None]
data = {"x": x, "y": jnp.sin(x) + 0.2 * jax.random.normal(jax.random.key(0), x.shape)}


def network(key: Any) -> Any:
    """One hidden layer of 16."""
    one, two = jax.random.split(key)
    return {"a": jax.random.normal(one, (1, 16)), "b": jnp.zeros((1, 16)), "c": jax.random.normal(two, (16, 1)) / 4}


def predict(params: Any, x: Any) -> Any:
    """What the network says."""
    return jnp.tanh(x @ params["a"] + params["b"]) @ params["c"]


def loss(params: Any, batch: Any) -> Any:
    """The mean square of what it is off."""
    return jnp.mean((predict(params, batch["x"]) - batch["y"]) ** 2)


def evaluate(params: Any) -> Any:
    """The same without the noise."""
    return {"error": jnp.mean((predict(params, x) - jnp.sin(x)) ** 2)}


def swept() -> Any:
    """The sweep of 24 Adams."""
    import gradtx
    from gradtx import sweep

    rates = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3]
    population = sweep.grid(gradtx.adam, learning_rate=rates, b1=[0.0, 0.5, 0.9, 0.99])
    return sweep.run(loss, network, population, data, steps=200, batch_size=50, evaluate=evaluate, progress=False)
