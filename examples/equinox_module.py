"""An Equinox module has functions, numbers and None among its leaves: can sixteen of them train in one program?

Arrays train, all else is a constant. The function that makes a module of a key makes one for each seed, and the best
lane is a module again. It is to tell the two spirals apart on more than 95 % of the points.
"""

import equinox as eqx
import jax
import jax.numpy as jnp

import gradtx
from gradtx import sweep

angle = jnp.linspace(0.5, 3.0 * jnp.pi, 100)
arm = jnp.stack([angle * jnp.cos(angle), angle * jnp.sin(angle)], axis=-1) / 9.0
points = {"x": jnp.concatenate([arm, -arm]), "y": jnp.repeat(jnp.array([-1.0, 1.0]), 100)}


def network(key):
    return eqx.nn.MLP(2, "scalar", 24, 2, activation=jax.nn.silu, key=key)


def loss(model, batch):
    return jnp.mean(jax.nn.softplus(-batch["y"] * jax.vmap(model)(batch["x"])))


def accuracy(model):
    return {"accuracy": jnp.mean(jnp.sign(jax.vmap(model)(points["x"])) == points["y"])}


def main():
    """Train four rates from four seeds each."""
    lanes = sweep.grid(gradtx.adam, learning_rate=[1e-3, 1e-2, 3e-2, 1e-1], seeds=range(4))
    result = sweep.run(loss, network, lanes, points, steps=800, batch_size=50, evaluate=accuracy)
    for row in result.over_seeds():
        print(f"rate {row['learning_rate']:<6g} accuracy {row['accuracy']:.3f} ± {row['accuracy_std']:.3f}")
    best = result.best
    found = accuracy(best.params)["accuracy"]
    print(f"best: {best.point}, accuracy {found:.3f}, from a module with activation {best.params.activation.__name__}")
    print(f"stacked: {result.params.layers[0].weight.shape}")


if __name__ == "__main__":
    main()
