"""A bad start and its gradient, or 64 random draws: which finds the better optimizer in as many steps?"""

import sys

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.datasets import load_digits

import gradtx
from gradtx import sweep, tune

TRIALS, RUN = 64, {"steps": 100, "batch_size": 64}
X, Y = (jnp.asarray(a)[np.random.default_rng(0).permutation(1797)] for a in load_digits(return_X_y=True))
TRAIN, HELD_OUT = (X[:1000] / 16, Y[:1000]), (X[1000:1400] / 16, Y[1000:1400])
RATES = [f"rate{n}" for n in range(5)]


def start(key):
    w, v = jax.random.split(key)
    return {"w": jax.random.normal(w, (64, 32)) / 8, "v": jax.random.normal(v, (32, 10)) / 32**0.5}


def loss(params, batch):
    logits = jnp.tanh(batch[0] @ params["w"]) @ params["v"]
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits), batch[1][:, None], 1))


def held_out(params):
    return {"held_out": loss(params, HELD_OUT)}


@gradtx.schedule  # the rate at evenly spaced steps, and straight lines between them
def knots(values: gradtx.Numbers):
    return lambda step: jnp.interp(step / RUN["steps"], jnp.linspace(0.0, 1.0, len(values)), jnp.stack(values))


def optimizer(b1, b2, eps, weight_decay, **rates):
    return gradtx.adamw(knots(tuple(rates.values())), b1, b2, eps, weight_decay=weight_decay)


def main():
    """Print the held-out loss of both for each seed, which is of the parameters, the batches and the draws."""
    seeds, wins, log = int(sys.argv[1]) if sys.argv[1:] else 10, 0, sweep.log_uniform
    space = {"b1": sweep.one_minus(log(0.01, 0.5)), "b2": sweep.one_minus(log(0.001, 0.1)), "eps": log(1e-8, 1e-3)}
    space |= {"weight_decay": log(1e-5, 0.1)} | dict.fromkeys(RATES, log(1e-4, 0.1))
    bad = optimizer(0.9, 0.999, 1e-8, 1e-3, **dict.fromkeys(RATES, 1e-5))  # a hundredth of Adam's usual rate
    for seed in range(seeds):
        drawn, more = sweep.sample(optimizer, TRIALS, seed=seed, **space), {"seed": seed} | RUN
        swept = sweep.run(loss, start, drawn, TRAIN, evaluate=held_out, better="lower", **more)
        train = tune.training(loss, start(jax.random.key(seed)), TRAIN, held_out=HELD_OUT, **more)
        tuned, best = tune.tune(train, bad, steps=TRIALS), swept.metrics["held_out"][swept.best]
        wins += tuned.loss < best
        print(f"seed {seed}: best of {TRIALS} draws {best:.4f}, by gradient {tuned.loss:.4f}", flush=True)
    print(f"By gradient is better on {wins} of {seeds} seeds, after {TRIALS} × {RUN['steps']} steps each.")


if __name__ == "__main__":
    main()
