"""Reinforcement learning: links of the project's own, rates in the state that are read and set, target networks."""

import jax
import jax.numpy as jnp
from flax.training.train_state import TrainState

from tests.clients.training import STEPS, loss, model, seen, train


def agc(optax, limit, least=1e-3):
    """Dreamer's clip: each array relative to the norm of its parameter."""

    def update(updates, state, params=None):
        def one(p, u):
            most = limit * jnp.maximum(least, jnp.linalg.norm(p.ravel()))
            return u / jnp.maximum(1.0, jnp.linalg.norm(u.ravel()) / most)

        return jax.tree.map(one, params, updates), ()

    return optax.GradientTransformation(lambda params: (), update)


def rms(optax, decay, eps=1e-8):
    """Dreamer's second moment: its state is a plain tuple."""

    def init(params):
        return jnp.zeros([], jnp.int32), jax.tree.map(jnp.zeros_like, params)

    def update(updates, state, params=None):
        count, nu = optax.safe_increment(state[0]), optax.tree.update_moment_per_elem_norm(updates, state[1], decay, 2)
        hat = optax.tree.bias_correction(nu, decay, count)
        return jax.tree.map(lambda u, v: u / (jnp.sqrt(v) + eps), updates, hat), (count, nu)

    return optax.GradientTransformation(init, update)


def momentum(optax, decay, nesterov):
    """Dreamer's first moment, of what is already scaled: with `rms` before it, this is LaProp."""

    def init(params):
        return jnp.zeros([], jnp.int32), jax.tree.map(jnp.zeros_like, params)

    def update(updates, state, params=None):
        count, mu = optax.safe_increment(state[0]), optax.tree.update_moment(updates, state[1], decay, 1)
        ahead = optax.tree.update_moment(updates, mu, decay, 1) if nesterov else mu
        return optax.tree.bias_correction(ahead, decay, count), (count, mu)

    return optax.GradientTransformation(init, update)


def dreamer(optax):
    """LaProp from links of the project's own, with its own clip, a masked decay, and a rate that warms up."""
    tx = optax.chain(
        agc(optax, 0.3),
        rms(optax, 0.999),
        momentum(optax, 0.9, nesterov=True),
        optax.add_decayed_weights(0.1, lambda params: jax.tree.map(lambda x: x.ndim > 1, params)),
        optax.scale_by_learning_rate(lambda step: 0.1 * jnp.minimum(1.0, (step + 1) / 3)),
    )
    params, state = train(optax, tx, model())
    return {"params": params, "state": (state[1][0], jax.tree.leaves(state[2][1]))}


def cleanrl(optax):
    """Flax's state of a training; Adam after a clip, with a rate that is annealed by a function, and logged."""

    def anneal(count):
        return 0.1 * (1.0 - (count // 2) / 4)

    tx = optax.chain(
        optax.clip_by_global_norm(0.5), optax.inject_hyperparams(optax.adam)(learning_rate=anneal, eps=1e-5)
    )
    agent = TrainState.create(apply_fn=None, params=model(), tx=tx)
    step = jax.jit(lambda agent, n: agent.apply_gradients(grads=jax.grad(loss)(agent.params, n)))
    log = []
    for n in range(STEPS):
        agent = step(agent, n)
        state = seen(optax, tx, agent.params, agent.opt_state)
        log.append(state[1].hyperparams["learning_rate"].item())
    return {"params": agent.params, "state": (agent.step, state[1].count, log)}


def set_by_hand(optax):
    """A rate in the state that the loop sets, outside of what is compiled: in place, and in a new dictionary."""
    tx = optax.chain(
        optax.clip_by_global_norm(0.5), optax.inject_hyperparams(optax.adamw)(learning_rate=0.1, weight_decay=1e-2)
    )
    params = model()
    state, log = tx.init(params), []

    @jax.jit
    def step(params, state, n):
        updates, state = tx.update(jax.grad(loss)(params, n), state, params)
        return optax.apply_updates(params, updates), state

    for n in range(4):
        log.append(float(state[1].hyperparams["learning_rate"]))
        params, state = step(params, state, n)
        if n == 1:
            state[1].hyperparams["learning_rate"] = jnp.asarray(0.03, float)
        if n == 2:
            hyperparams = {**state[1].hyperparams, "learning_rate": 0.01 * jnp.ones([]), "b1": jnp.asarray(0.5, float)}
            state = (state[0], state[1]._replace(hyperparams=hyperparams))
    return {"params": params, "state": (log, state[1].hyperparams["b1"], state[1].hyperparams["weight_decay"])}


def adaptive_kl(optax):
    """Brax's PPO: inside of the scan, the rate goes up or down with how far the policy has moved."""
    tx = optax.chain(optax.clip_by_global_norm(1.0), optax.inject_hyperparams(optax.adam)(learning_rate=0.1))

    def step(carry, n):
        params, state = carry
        updates, state = tx.update(jax.grad(loss)(params, n), state, params)
        moved, rate = optax.tree.norm(updates), state[1].hyperparams["learning_rate"]
        rate = jnp.where(moved > 0.3, jnp.maximum(1e-3, rate / 1.5), jnp.minimum(1e-1, rate * 1.5))
        state[1].hyperparams["learning_rate"] = rate
        return (optax.apply_updates(params, updates), state), rate

    run = jax.jit(lambda params: jax.lax.scan(step, (params, tx.init(params)), jnp.arange(STEPS)))
    (params, _), rates = run(model())
    return {"params": params, "state": rates}


def target_networks(optax):
    """DQN and SAC: a target that follows slowly, and one that is copied every other step; Huber's loss."""
    tx, params = (
        optax.chain(optax.clip_by_global_norm(10.0), optax.rmsprop(0.1, decay=0.95, eps=1e-5, centered=True)),
        model(),
    )
    slow = copied = jax.tree.map(jnp.zeros_like, params)

    def td(params, target, n):
        errors = jax.tree.map(lambda p, t: jnp.mean(optax.huber_loss(p, 0.9 * t + jnp.cos(n))), params, target)
        return sum(jax.tree.leaves(errors))

    @jax.jit
    def step(params, state, slow, copied, n):
        updates, state = tx.update(jax.grad(td)(params, slow, n), state)
        params = optax.apply_updates(params, updates)
        slow = optax.incremental_update(new_tensors=params, old_tensors=slow, step_size=0.05)
        return params, state, slow, optax.periodic_update(params, copied, n, 2)

    state = tx.init(params)
    for n in range(STEPS):
        params, state, slow, copied = step(params, state, slow, copied, jnp.asarray(n, jnp.int32))
    return {"params": (params, slow, copied), "state": jax.tree.leaves(seen(optax, tx, params, state))}


def population(optax):
    """PureJaxRL: a whole training is a function of the rate, under `vmap`, with the optimizer made inside."""

    def run(rate):
        tx = optax.chain(optax.clip_by_global_norm(0.5), optax.adam(rate, eps=1e-5))

        def step(carry, n):
            params, state = carry
            updates, state = tx.update(jax.grad(loss)(params, n), state, params)
            return (optax.apply_updates(params, updates), state), optax.tree.norm(updates)

        params = model()
        (params, _), norms = jax.lax.scan(step, (params, tx.init(params)), jnp.arange(STEPS))
        return params, norms

    params, norms = jax.jit(jax.vmap(run))(jnp.asarray([0.1, 0.01, 0.001]))
    return {"params": params, "state": norms}
