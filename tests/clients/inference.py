"""Physics and statistics: complex parameters, schedules as functions, scans, checks of the type, pairs of functions."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from tests.clients.training import STEPS, loss, model, normal, seen, train


def netket(optax):
    """Complex amplitudes, and a gradient that stochastic reconfiguration has preconditioned: (S + λ)⁻¹F."""
    samples = np.asarray(normal(20, 6))
    centred = samples - samples.mean(axis=0, keepdims=True)
    metric = centred.T @ centred / len(samples) + 0.1 * np.eye(6, dtype=samples.dtype)

    def complex_numbers():
        a, b = np.asarray(normal(2, 3)), np.asarray(normal(6))
        return {"a": jnp.asarray(a + 1j * a[::-1]), "b": jnp.asarray(b * (1 - 0.5j))}

    def run(tx):
        params = complex_numbers()

        @jax.jit
        def step(params, state, n):
            gradient = jax.tree.map(jnp.conj, jax.grad(loss)(params, n))
            natural = jax.tree.map(
                lambda g: jnp.linalg.solve(jnp.asarray(metric, g.dtype), g.ravel()).reshape(g.shape), gradient
            )
            updates, state = tx.update(natural, state, params)
            return optax.apply_updates(params, updates), state

        state = tx.init(params)
        for n in range(STEPS):
            params, state = step(params, state, n)
        return params, seen(optax, tx, params, state)

    found = [run(tx) for tx in (optax.sgd(0.05, momentum=0.9, nesterov=True), optax.adam(0.05))]
    return {"params": [params for params, _ in found], "state": found[1][1][0].count}


def ferminet(optax):
    """A rate that is a function, Adam's direction, the schedule, the sign; a leading axis of devices, and `pmean`."""

    def rate(t):
        return 0.1 * jnp.power(1.0 / (1.0 + jnp.asarray(t, float) / 4.0), 1.5)

    tx = optax.chain(
        optax.scale_by_adam(b1=0.9, b2=0.999, eps=1e-8, eps_root=0.0), optax.scale_by_schedule(rate), optax.scale(-1.0)
    )
    params = jax.tree.map(lambda x: jnp.asarray(np.stack([x, x])), model())
    state = jax.jit(jax.vmap(tx.init))(params)

    def step(params, state, n):
        gradient = jax.lax.pmean(jax.grad(loss)(params, n), axis_name="devices")
        updates, state = tx.update(gradient, state, params)
        return optax.apply_updates(params, updates), state

    step = jax.jit(jax.vmap(step, axis_name="devices"))
    for n in range(STEPS):
        params, state = step(params, state, jnp.asarray([n, n + 0.5]))
    one = lambda tree: jax.tree.map(lambda x: np.asarray(x)[0], tree)  # noqa: E731
    state = seen(optax, tx, one(params), one(state))
    return {"params": params, "state": (state[0].count, state[1].count)}


def numpyro(optax):
    """SVI: the optimizer is told by its type, and made to (step, (params, state)), as NumPyro's own are."""

    def as_triple(transformation):
        if not isinstance(transformation, optax.GradientTransformation):
            raise TypeError(f"expected a transformation of Optax, found {transformation}")
        init_fn, update_fn = transformation

        def init(params):
            return jnp.array(0), (params, init_fn(params))

        def update(gradient, state):
            n, (params, inner) = state
            updates, inner = update_fn(gradient, inner, params)
            return n + 1, (optax.apply_updates(params, updates), inner)

        return init, update, lambda state: state[1][0]

    init, update, get_params = as_triple(optax.chain(optax.clip(10.0), optax.adamw(0.1)))
    state = jax.jit(init)(model())

    def step(state, _):
        value, gradient = jax.value_and_grad(loss)(get_params(state), state[0])
        return update(gradient, state), value

    state, losses = jax.jit(lambda state: jax.lax.scan(step, state, None, length=STEPS))(state)
    return {"params": get_params(state), "state": (state[0], losses)}


def gpjax(optax):
    """GPJax' ``fit``: the type is checked, parameters are mapped to the reals, and a scan takes the steps."""

    def fit(objective, params, optim, num_iters, unroll=1):
        if not isinstance(optim, optax.GradientTransformation):
            raise TypeError("optax_optim must be an optax.GradientTransformation")
        params = jax.tree.map(lambda x: jnp.log(jnp.expm1(x)), params)
        objective_of = lambda x: objective(jax.tree.map(jax.nn.softplus, x))  # noqa: E731

        def step(carry, _):
            params, state = carry
            value, gradient = jax.value_and_grad(objective_of)(params)
            updates, state = optim.update(gradient, state, params)
            return (optax.apply_updates(params, updates), state), value

        (params, _), history = jax.lax.scan(step, (params, optim.init(params)), None, num_iters, unroll=unroll)
        return jax.tree.map(jax.nn.softplus, params), history

    kernel = {"lengthscale": jnp.asarray(1.0, float), "variance": jnp.asarray([0.5, 2.0])}
    objective = lambda params: loss(params, 1.0)  # noqa: E731
    params, history = jax.jit(lambda: fit(objective, kernel, optax.adam(learning_rate=0.05), 20))()
    return {"params": params, "state": history}


class VIState(NamedTuple):
    mu: dict
    rho: dict
    opt_state: tuple


def blackjax(optax):
    """Mean-field inference: init and step are a pair of functions around a pair of functions."""

    def algorithm(optimizer):
        start, update = optimizer

        def init(position):
            mu, rho = (jax.tree.map(lambda x, to=to: jnp.full_like(x, to), position) for to in (0.0, -1.0))
            return VIState(mu, rho, start((mu, rho)))

        def step(state, n):
            def divergence(parameters):
                mu, rho = parameters
                spread = sum(jnp.sum(jnp.exp(2 * x) / 2 - x) for x in jax.tree.leaves(rho))
                return loss(mu, n) + spread

            parameters = (state.mu, state.rho)
            updates, opt_state = update(jax.grad(divergence)(parameters), state.opt_state, parameters)
            return VIState(*jax.tree.map(lambda p, u: p + u, parameters, updates), opt_state), divergence(parameters)

        return init, step

    tx = optax.chain(optax.zero_nans(), optax.lion(0.05, weight_decay=0.0))
    init, step = algorithm(tx)
    state, step = init(model()), jax.jit(step)
    for n in range(STEPS):
        state, value = step(state, n)
    found_nan = seen(optax, tx, state[:2], state.opt_state)[0].found_nan
    return {"params": state[:2], "state": (value, found_nan)}


def line_search(optax):
    """L-BFGS as Optax documents it: the value and the gradient that the search leaves in the state are used."""

    def objective(params):
        return loss(params, 0.0) ** 2 / 100 + loss(params, 0.0)

    tx = optax.lbfgs()
    value_and_grad = optax.value_and_grad_from_state(objective)

    @jax.jit
    def step(params, state):
        value, gradient = value_and_grad(params, state=state)
        updates, state = tx.update(gradient, state, params, value=value, grad=gradient, value_fn=objective)
        return optax.apply_updates(params, updates), state

    params = {"w": normal(3, 2)}
    state = tx.init(params)
    for _ in range(3):
        params, state = step(params, state)
    found = optax.tree.get(state, "grad"), optax.tree.get(state, "value"), optax.tree.get(state, "count")
    return {"params": params, "state": found}


def averages(optax):
    """Weights that are averaged: a link of moments beside the training, with the correction of its start."""
    average = optax.ema(0.9)
    params, _ = train(optax, optax.adam(0.1), model(), steps=2)
    state = average.init(params)
    update = jax.jit(average.update)
    for n in range(3):
        out, state = update(jax.tree.map(lambda x: jnp.asarray(np.asarray(x) + n), params), state)  # noqa: B023
    state = seen(optax, average, params, state)
    return {"params": out, "state": (state.count, state.ema)}
