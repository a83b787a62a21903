"""Libraries of modules: Flax, Equinox, and Haiku's two levels of names."""

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import nnx
from flax.training.train_state import TrainState

from tests.clients.training import STEPS, normal, seen, train


class Adapted(nnx.Module):
    """A layer, and a small one beside it that is trained."""

    def __init__(self):
        self.kernel = nnx.Param(normal(3, 2))
        self.lora_a, self.lora_b = nnx.LoRAParam(normal(3, 1, seed=1)), nnx.LoRAParam(normal(1, 2, seed=2))

    def __call__(self, x):
        return x @ (self.kernel[...] + self.lora_a[...] @ self.lora_b[...])


def flax_nnx(optax):
    """`nnx.Optimizer` of what a filter chooses, and a rate that is read from its state."""
    x, y, module = normal(8, 3), jnp.sin(normal(8, 2, seed=4)), Adapted()
    tx = optax.chain(optax.clip_by_global_norm(1.0), optax.inject_hyperparams(optax.adamw)(learning_rate=0.1))
    optimizer = nnx.Optimizer(module, tx, wrt=nnx.LoRAParam)

    @nnx.jit
    def step(module, optimizer):
        gradient = nnx.grad(lambda m: jnp.mean((m(x) - y) ** 2), argnums=nnx.DiffState(0, nnx.LoRAParam))(module)
        optimizer.update(module, gradient)

    for _ in range(STEPS):
        step(module, optimizer)
    assert (module.kernel[...] == normal(3, 2)).all()
    rate = optimizer.opt_state[1].hyperparams["learning_rate"]
    return {"params": jax.tree.leaves(nnx.state(module)), "state": (optimizer.step[...], rate[...])}


def flax_linen(optax):
    """`TrainState` of a network, with parameters that Flax has boxed in nothing, and one group that stands still."""
    x, y = normal(8, 3), jnp.sin(normal(8, 1, seed=4))
    network = nn.Sequential([nn.Dense(4, param_dtype=float), nn.tanh, nn.Dense(1, param_dtype=float)])
    params = jax.eval_shape(network.init, jax.random.key(0), x)["params"]
    params = jax.tree.map(lambda x: normal(*x.shape), params)  # the same in either precision
    labels = {"layers_0": "slow", "layers_2": "fast"}
    tx = optax.multi_transform({"fast": optax.nadam(0.1), "slow": optax.adabelief(0.01)}, labels)
    state = TrainState.create(apply_fn=network.apply, params=params, tx=tx)

    @jax.jit
    def step(state):
        gradient = jax.grad(lambda params: jnp.mean((state.apply_fn({"params": params}, x) - y) ** 2))(state.params)
        return state.apply_gradients(grads=gradient)

    for _ in range(STEPS):
        state = step(state)
    inner = seen(optax, tx, params, state.opt_state).inner_states
    return {"params": state.params, "state": (state.step, sorted(inner) == ["fast", "slow"])}


class Layer(eqx.Module):
    weight: jax.Array
    bias: jax.Array | None
    scale: float
    activation: object = eqx.field(static=True)

    def __call__(self, x):
        return self.activation(self.weight @ x) * self.scale


def equinox(optax):
    """Equinox: what is an array is trained, the rest is None in the parameters, the gradients and the state."""
    layers = [Layer(normal(3, 3), None, 2.0, jnp.tanh), Layer(normal(2, 3, seed=1), None, 1.0, lambda x: x)]
    x, y = normal(3), normal(2, seed=9)
    tx = optax.chain(
        optax.adaptive_grad_clip(0.5), optax.adamw(0.1, mask=lambda p: jax.tree.map(lambda x: x.ndim > 1, p))
    )
    state = tx.init(eqx.filter(layers, eqx.is_inexact_array))

    @eqx.filter_jit
    def step(layers, state):
        gradient = eqx.filter_grad(lambda layers: jnp.sum((layers[1](layers[0](x)) - y) ** 2))(layers)
        updates, state = tx.update(gradient, state, eqx.filter(layers, eqx.is_inexact_array))
        return eqx.apply_updates(layers, updates), state

    for _ in range(STEPS):
        layers, state = step(layers, state)
    assert (layers[0].bias, layers[0].scale) == (None, 2.0)
    return {"params": eqx.filter(layers, eqx.is_array), "state": optax.tree.get(state, "count")}


def haiku(optax):
    """Parameters by module and name; what decays is told by the name, what a key is for by the module."""
    params = {
        "mlp/~/linear_0": {"w": normal(3, 4), "b": normal(4)},
        "mlp/~/linear_1": {"w": normal(4, 2, seed=2), "b": normal(2)},
        "layer_norm": {"scale": normal(4, seed=3), "offset": normal(4, seed=4)},
    }
    decays = {module: {name: name == "w" for name in bundle} for module, bundle in params.items()}
    tx = optax.chain(
        optax.centralize(),
        optax.add_decayed_weights(1e-3, decays),
        optax.scale_by_radam(),
        optax.scale_by_trust_ratio(),
        optax.scale_by_schedule(optax.exponential_decay(0.1, 2, 0.5, staircase=True)),
        optax.scale(-1),
    )
    params, state = train(optax, tx, params)
    return {"params": params, "state": (state[2].count, state[4].count)}


def own_containers(optax):
    """Parameters in tuples, lists and a class of the project's own; a mean of the state by `optax.tree_map_params`."""
    params = [(normal(2, 3), {"b": normal(3)}), Layer(normal(2, 2), normal(2), jnp.asarray(0.5, float), jnp.tanh)]
    tx = optax.lamb(0.1, weight_decay=0.1)
    state = tx.init(params)
    ones = optax.tree_map_params(tx, lambda x: x + 1, state, transform_non_params=lambda x: x)
    ones = seen(optax, tx, params, ones)
    params, state = train(optax, tx, params)
    return {"params": params, "state": (ones[0].count, jax.tree.leaves(ones[0].mu), jax.tree.leaves(state[0].nu))}
