"""A convolutional network on scikit-learn's digits: which rate, and which size of batch, at equal steps?

Sizes of batches are an axis like any other: each is a program of its own, and all lanes are ranked together. The best
is to be right on more than 90 % of the held-out digits.
"""

import jax
import jax.numpy as jnp
from flax import nnx
from sklearn.datasets import load_digits

import gradtx
from gradtx import sweep


class Network(nnx.Module):
    """Two convolutions, and a layer that reads them."""

    def __init__(self, rngs):
        self.one = nnx.Conv(1, 8, (3, 3), rngs=rngs)
        self.two = nnx.Conv(8, 16, (3, 3), strides=2, rngs=rngs)
        self.last = nnx.Linear(16 * 16, 10, rngs=rngs)

    def __call__(self, x):  # noqa: D102
        x = nnx.relu(self.two(nnx.relu(self.one(x))))
        return self.last(x.reshape(len(x), -1))


images, labels = load_digits(return_X_y=True)
images, labels = jnp.asarray(images / 16, jnp.float32).reshape(-1, 8, 8, 1), jnp.asarray(labels)
train, held_out = {"x": images[:1400], "y": labels[:1400]}, {"x": images[1400:1600], "y": labels[1400:1600]}


def loss(model, batch):
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(model(batch["x"])), batch["y"][:, None], axis=1))


def accuracy(model):
    return {"accuracy": jnp.mean(jnp.argmax(model(held_out["x"]), axis=-1) == held_out["y"])}


def main():
    """Sweep rates and sizes, and print the table."""
    lanes = sweep.grid(gradtx.adam, learning_rate=[1e-3, 1e-2], batch_size=[16, 32])
    options = {"steps": 150, "evaluate": accuracy, "metric": "accuracy", "better": "higher"}
    result = sweep.run(loss, lambda key: Network(nnx.Rngs(key)), lanes, train, held_out=held_out, **options)
    for row in result.table():
        print(f"rate {row['learning_rate']:<6g} batch {row['batch_size']}: accuracy {row['accuracy']:.3f}")
    print(f"best: {result.best.point}, accuracy {accuracy(result.best.params)['accuracy']:.3f}")


if __name__ == "__main__":
    main()
