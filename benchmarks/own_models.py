"""Modules of Equinox and nnx swept, beside the usual loop and a hand-written ``vmap``; and Optuna's loop beside search.

``python -m benchmarks.own_models``: 64 Adams train a 64-64-64-10 perceptron on the digits for 500 steps, as a module of
either library. Optuna proposes 64 rates at random, and trains one trial after another or has `gradtx.sweep.search`
train them in batches. The contestants take turns; ratios are taken round by round.
"""

import statistics

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from flax import nnx

import gradtx
from benchmarks.sweeps import BATCH, STEPS, batches, rates, seconds
from gradtx._cli.problems import digits

LANES = 64


class Perceptron(nnx.Module):
    """64-64-64-10."""

    def __init__(self, rngs):
        self.layers = nnx.List([nnx.Linear(64, n, rngs=rngs) for n in (64, 64, 10)])

    def __call__(self, x):  # noqa: D102
        for layer in self.layers[:-1]:
            x = jnp.tanh(layer(x))
        return self.layers[-1](x)


def cross_entropy(scores, y):
    """The mean over the batch."""
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(scores), y[:, None], -1))


def equinox_loss(model, batch):
    """Of an Equinox module, which is of one example."""
    return cross_entropy(jax.vmap(model)(batch["x"]), batch["y"])


def nnx_loss(model, batch):
    """Of an nnx module."""
    return cross_entropy(model(batch["x"]), batch["y"])


def equinox_model():
    """The perceptron of Equinox."""
    return eqx.nn.MLP(64, 10, 64, 2, activation=jnp.tanh, key=jax.random.key(0))


def nnx_model():
    """The perceptron of nnx."""
    return Perceptron(nnx.Rngs(0))


# Contestants ----------------------------------------------------------------------------------------------------------


def swept(loss, model, data):
    """`gradtx.sweep.run` of the module."""
    population = gradtx.sweep.grid(gradtx.adam, learning_rate=rates(LANES))
    options = {"steps": STEPS, "batch_size": BATCH, "progress": False}
    return lambda: gradtx.sweep.run(loss, model(), population, data, **options)


def equinox_loop(data):
    """One rate after another, each step a call of ``filter_jit``, as Equinox's pages show it."""
    tx = optax.inject_hyperparams(optax.adam)(learning_rate=1e-3)

    @eqx.filter_jit
    def step(model, state, batch):
        value, gradients = eqx.filter_value_and_grad(equinox_loss)(model, batch)
        updates, state = tx.update(gradients, state, eqx.filter(model, eqx.is_inexact_array))
        return eqx.apply_updates(model, updates), state, value

    def train(rate, chosen):
        model = equinox_model()
        state = tx.init(eqx.filter(model, eqx.is_inexact_array))
        state.hyperparams["learning_rate"] = jnp.asarray(rate)
        for rows in chosen:
            model, state, _ = step(model, state, {name: x[rows] for name, x in data.items()})
        return model

    return one_after_another(train, data)


def nnx_loop(data):
    """One rate after another, each step a call of ``nnx.jit``, as Flax's pages show it."""
    tx = optax.inject_hyperparams(optax.adam)(learning_rate=1e-3)

    @nnx.jit
    def step(model, optimizer, batch):
        value, gradients = nnx.value_and_grad(nnx_loss)(model, batch)
        optimizer.update(model, gradients)
        return value

    def train(rate, chosen):
        model = nnx_model()
        optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
        optimizer.opt_state.hyperparams["learning_rate"][...] = jnp.asarray(rate)
        for rows in chosen:
            step(model, optimizer, {name: x[rows] for name, x in data.items()})
        return nnx.state(model)

    return one_after_another(train, data)


def one_after_another(train, data):
    """All rates."""
    chosen = batches(len(data["y"]))
    return lambda: jax.block_until_ready([eqx.filter(train(rate, chosen), eqx.is_array) for rate in rates(LANES)])


def by_hand(loss, params, data):
    """One ``vmap`` over a ``scan``, Optax's Adam inside, of the parameters that are left when the module is split."""
    train = jax.jit(jax.vmap(scanned(loss, params, data)))
    return lambda: jax.block_until_ready(train(rates(LANES)))


def scanned(loss, params, data):
    """A whole training of one rate as a ``scan``."""
    data, chosen = jax.tree.map(jnp.asarray, data), jnp.asarray(batches(len(data["y"])))

    def train(rate):
        tx = optax.adam(rate)

        def step(carry, rows):
            now, state = carry
            value, gradients = jax.value_and_grad(loss)(now, jax.tree.map(lambda x: x[rows], data))
            updates, state = tx.update(gradients, state, now)
            return (optax.apply_updates(now, updates), state), value

        (trained, _), losses = jax.lax.scan(step, (params, tx.init(params)), chosen)
        return loss(trained, data), losses

    return train


def equinox_split():
    """Loss and parameters of the module, split by hand."""
    arrays, rest = eqx.partition(equinox_model(), eqx.is_inexact_array)
    return lambda params, batch: equinox_loss(eqx.combine(params, rest), batch), arrays


def nnx_split():
    """Loss and parameters of the module, split by hand."""
    graph, params = nnx.split(nnx_model(), nnx.Param)
    return lambda params, batch: nnx_loss(nnx.merge(graph, params), batch), params


# Optuna ---------------------------------------------------------------------------------------------------------------


def optuna_loop(data):
    """Optuna's loop over one trial after another: each a training that was compiled once, as a ``scan``."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    train = jax.jit(scanned(*equinox_split(), data))

    def objective(trial):
        return float(train(jnp.float32(trial.suggest_float("learning_rate", 1e-4, 1e-1, log=True)))[0])

    def run():
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(0))
        study.optimize(objective, n_trials=LANES)
        return study.best_value

    return run


def optuna_steps(data):
    """Optuna's loop as most write it: each trial a loop over jitted steps."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    loss, params = equinox_split()
    tx, chosen = optax.inject_hyperparams(optax.adam)(learning_rate=1e-3), batches(len(data["y"]))

    @jax.jit
    def step(now, state, batch):
        value, gradients = jax.value_and_grad(loss)(now, batch)
        updates, state = tx.update(gradients, state, now)
        return optax.apply_updates(now, updates), state, value

    whole = jax.jit(loss)

    def objective(trial):
        now, state = params, tx.init(params)
        state.hyperparams["learning_rate"] = jnp.float32(trial.suggest_float("learning_rate", 1e-4, 1e-1, log=True))
        for rows in chosen:
            now, state, _ = step(now, state, {name: x[rows] for name, x in data.items()})
        return float(whole(now, data))

    def run():
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(0))
        study.optimize(objective, n_trials=LANES)
        return study.best_value

    return run


def searched(data, lanes):
    """`gradtx.sweep.search`: the same sampler, ``lanes`` trials at once."""
    import optuna

    space = {"learning_rate": gradtx.sweep.log_uniform(1e-4, 1e-1)}
    options = {"trials": LANES, "steps": STEPS, "batch_size": BATCH, "space": space, "lanes": lanes, "progress": False}

    def run():
        sampler = optuna.samplers.RandomSampler(0)
        return gradtx.sweep.search(gradtx.adam, equinox_loss, equinox_model(), data, sampler=sampler, **options)

    return run


# What comes out -------------------------------------------------------------------------------------------------------


def lines_of(title, runs, rounds):
    """A table: seconds of each in every round, and ratios to the first, after one round that compiles."""
    first = {name: seconds(run) for name, run in runs.items()}
    found = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            found[name].append(seconds(run))
    mine = next(iter(found.values()))
    lines = [f"### {title}", "", "| | seconds | times the first, median (range) | first call, compiled |"]
    lines.append("|---|---|---|---|")
    for name, times in found.items():
        ratios = [theirs / own for theirs, own in zip(times, mine, strict=True)]
        spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        lines.append(f"| {name} | {statistics.median(times):.2f} | {spread} | {first[name]:.2f} |")
    return [*lines, ""]


def section(rounds=5):
    """The lines of the results."""
    data = digits(0).data
    equinox = {
        "gradtx.sweep.run": swept(equinox_loss, equinox_model, data),
        "partition, vmap and scan by hand, Optax": by_hand(*equinox_split(), data),
        "the usual loop, filter_jit and Optax": equinox_loop(data),
    }
    of_nnx = {
        "gradtx.sweep.run": swept(nnx_loss, nnx_model, data),
        "split, vmap and scan by hand, Optax": by_hand(*nnx_split(), data),
        "the usual loop, nnx.jit and nnx.Optimizer": nnx_loop(data),
    }
    optuna = {
        "gradtx.sweep.search, 64 at once": searched(data, LANES),
        "gradtx.sweep.search, 16 at once": searched(data, 16),
        "Optuna's loop, each trial a compiled scan": optuna_loop(data),
        "Optuna's loop, each trial a loop over compiled steps": optuna_steps(data),
    }
    return [
        f"## Modules: 64 Adams, a 64-64-64-10 perceptron, digits, {STEPS} steps (medians of {rounds} rounds)",
        "",
        *lines_of("Equinox", equinox, rounds),
        *lines_of("Flax nnx", of_nnx, rounds),
        *lines_of("Optuna, 64 random trials of the Equinox module", optuna, rounds),
    ]


if __name__ == "__main__":
    print("\n".join(section()))
