"""An nnx module holds its dropout counts and batch statistics itself: what must be done to train it?

Nothing: the module goes in, its variables of type ``nnx.Param`` train, the others go on by themselves, and a module
comes out, which can be called. The noisy sine is to be learned to a mean squared error below 0.02.
"""

import jax
import jax.numpy as jnp
from flax import nnx

import gradtx
from gradtx import sweep


class Network(nnx.Module):
    """Two layers, with batch normalization and dropout between them."""

    def __init__(self, rngs):
        self.first, self.norm = nnx.Linear(1, 32, rngs=rngs), nnx.BatchNorm(32, momentum=0.9, rngs=rngs)
        self.drop, self.last = nnx.Dropout(0.02, rngs=rngs), nnx.Linear(32, 1, rngs=rngs)

    def __call__(self, x):  # noqa: D102
        return self.last(self.drop(jnp.tanh(self.norm(self.first(x)))))


x = jnp.linspace(-3.0, 3.0, 256)[:, None]
data = {"x": x, "y": jnp.sin(x) + 0.05 * jax.random.normal(jax.random.key(0), x.shape)}


def loss(model, batch):
    return jnp.mean((model(batch["x"]) - batch["y"]) ** 2)


def error(model):
    model.eval()  # the one that is evaluated; the one that trains stays as it is
    return {"error": jnp.mean((model(x) - jnp.sin(x)) ** 2)}


def main():
    """Train one module, then six, each from its own key."""
    tx = gradtx.adam(0.03)
    run = gradtx.fit(loss, Network(nnx.Rngs(0)), tx, data, steps=400, batch_size=64, evaluate=error)
    print(f"one module: error {run.metrics['error']:.4f}, {int(run.params.drop.rngs.count[...])} draws of dropout")
    lanes = sweep.grid(gradtx.adam, learning_rate=[0.003, 0.03, 0.3], seeds=range(2))
    options = {"steps": 400, "batch_size": 64, "evaluate": error, "metric": "error"}
    result = sweep.run(loss, lambda key: Network(nnx.Rngs(key)), lanes, data, **options)
    for row in result.table():
        print(f"rate {row['learning_rate']:<5g} seed {row['seed']}: error {row['error']:.4f}")
    best = result.best.params
    best.eval()
    print(f"the best module says sin(1) = {best(jnp.ones((1, 1)))[0, 0]:.2f}")


if __name__ == "__main__":
    main()
