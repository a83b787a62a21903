"""Batches come from the host, through a grain pipeline: does a sweep that was stopped go on with the very next one?

The callback stops the sweep after half of its steps; the same call goes on from its folder, and grain says where it
stood. The result is to be that of a sweep that was not stopped, bit for bit.
"""

import tempfile

import grain
import jax.numpy as jnp
import numpy as np

import gradtx
from gradtx import sweep

rows = np.random.default_rng(0).normal(size=(1000, 4)).astype(np.float32)
TRUE = np.array([1.0, -2.0, 3.0, 0.5], np.float32)


def with_answer(x):
    return {"x": x, "y": x @ TRUE}


def batches():
    source = grain.MapDataset.source(rows).shuffle(seed=7).map(with_answer).repeat()
    return source.to_iter_dataset().batch(32)


def loss(params, batch):
    return jnp.mean((batch["x"] @ params - batch["y"]) ** 2)


def main():
    """Train eight rates whole, and in two halves."""
    rates = sweep.grid(gradtx.sgd, learning_rate=np.geomspace(1e-3, 0.3, 8))
    whole = sweep.run(loss, jnp.zeros(4), rates, batches(), steps=200)
    with tempfile.TemporaryDirectory() as folder:
        half = sweep.run(
            loss, jnp.zeros(4), rates, batches(), steps=200, folder=folder, callback=lambda p: p.step >= 100
        )
        print(f"{half.status[0]} after {half.steps[0]} steps, loss {half.best.final_loss:.2e}")
        rest = sweep.run(loss, jnp.zeros(4), rates, batches(), steps=200, folder=folder)
    print(f"{rest.status[0]} after {rest.steps[0]} steps, best {np.round(rest.best.params, 3).tolist()}")
    print(f"the same bits as without a stop: {np.array_equal(rest.params, whole.params)}")


if __name__ == "__main__":
    main()
