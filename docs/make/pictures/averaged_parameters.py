"""How far from the minimum the trained and the deployed parameters are, with noisy gradients."""

import jax
import jax.numpy as jnp
from matplotlib.figure import Figure

import gradtx
from gradtx._report.canvas import NEAT, pyplot

STEPS = 400
WRAPPERS = {
    "SGD, as trained": gradtx.sgd(0.1),
    "lookahead": gradtx.lookahead(gradtx.sgd(0.1), sync_period=10),
    "average of parameters": gradtx.chain(gradtx.sgd(0.1), gradtx.ema_params(0.99)),
    "Schedule-Free": gradtx.schedule_free(gradtx.sgd(0.1), 0.1),
}


def distances(tx, key):
    """‖θ − 3‖/√n of the parameters to deploy, after every step on ‖θ − 3‖² with noise."""

    def step(carry, key):
        params, state = carry
        at = gradtx.gradient_params(tx, params, state)
        updates, state = tx.update(2 * (at - 3.0 + 2.0 * jax.random.normal(key, at.shape)), state, params)
        params = gradtx.apply_updates(params, updates)
        return (params, state), jnp.sqrt(jnp.mean((gradtx.eval_params(tx, params, state) - 3.0) ** 2))

    start = jnp.zeros(64)
    return jax.lax.scan(step, (start, tx.init(start)), jax.random.split(key, STEPS))[1]


def draw() -> Figure:
    """A curve for each wrapper."""
    plt = pyplot()
    with plt.rc_context(NEAT):
        figure, ax = plt.subplots(figsize=(6, 3.4), layout="constrained")
        for name, tx in WRAPPERS.items():
            ax.plot(jax.jit(lambda tx: distances(tx, jax.random.key(0)))(tx), label=name, lw=1.4)
        ax.set(xlabel="step", ylabel="distance to the minimum", yscale="log")
        ax.legend(frameon=False, ncols=2, fontsize=9)
    return figure
