"""How far is it from AdaGrad to Adam? One part at a time.

{plain, momentum} × {constant, time decay, sum, average, decaying average}: ten methods, each a chain of at most three
links. It prints what each reaches on a small classification problem; give it a file name and it draws.
"""

import sys

import jax
import jax.numpy as jnp

import gradtx as gx

X = jax.random.normal(jax.random.key(0), (200, 8)) * jnp.logspace(0, -2, 8)  # columns of very different sizes
Y = (X @ jnp.logspace(0, 2, 8) > 0).astype(float)
RATES = {"constant": 1.0, "time decay": 3.0, "sum": 1.0, "average": 0.1, "decaying average": 0.1}
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000"]  # told apart by colour-blind readers too


def loss(w):
    scores = X @ w
    return jnp.mean(jnp.logaddexp(0.0, scores) - Y * scores)


def rate(name):
    """The second and the third link: what sets the learning rate."""
    descend = gx.scale_by_learning_rate
    return {
        "constant": [descend(RATES[name])],
        "time decay": [descend(gx.inverse_time_decay(RATES[name], 1, 0.05))],
        "sum": [gx.scale_by_rss(0.0), descend(RATES[name])],
        "average": [gx.scale_by_mean_squares(), descend(RATES[name])],
        "decaying average": [gx.scale_by_rms(), descend(RATES[name])],
    }[name]


def main(file=None):
    first, curves = {"plain": [], "momentum": [gx.scale_by_ewma(0.9)]}, {}
    known = {"plain, sum": "AdaGrad", "plain, decaying average": "RMSProp", "momentum, decaying average": "Adam"}
    for step, start in first.items():
        for size in RATES:
            tx, name = gx.chain(*start, *rate(size)), f"{step}, {size}"
            run = gx.minimize(loss, jnp.zeros(8), tx, steps=300)
            curves[name] = run.loss
            print(f"{step:>8} + {size:<16} loss {run.final_loss:.4f}  {known.get(name, '')}")
    if file:
        import matplotlib.pyplot as plt

        figure, ax = plt.subplots(figsize=(9, 4.5), layout="constrained")
        for n, (name, curve) in enumerate(curves.items()):  # a colour for the rate, a dash for the step
            ax.semilogy(curve, color=COLOURS[n % 5], lw=4 if n % 5 == 3 else 1.5, ls="-" if n < 5 else "--", label=name)
        ax.set(xlabel="step", ylabel="loss")
        figure.legend(loc="outside right center", frameon=False)
        figure.savefig(file)


if __name__ == "__main__":
    main(*sys.argv[1:])
