"""How should weights begin: what is left of a signal, and of a gradient, after ten layers?

Weights that are all alike never part. Too small, and both vanish; too large, and both explode; Xavier's variance,
2/(n_in + n_out), keeps them, and ReLU wants twice as much, because it cuts one half off.
"""

import jax
import jax.numpy as jnp

from gradtx import initializers

WIDTH, DEPTH = 256, 10


def identity(x):
    """No activation: a linear layer."""
    return x


ROWS = [
    ("all equal, 0.01", initializers.constant(0.01), identity),
    ("normal(0.01)", initializers.normal(0.01), identity),
    ("normal(0.5)", initializers.normal(0.5), identity),
    ("xavier_normal()", initializers.xavier_normal(), identity),
    ("xavier_uniform()", initializers.xavier_uniform(), identity),
    ("xavier_normal()", initializers.xavier_normal(), jax.nn.relu),
    ("xavier_normal(√2)", initializers.xavier_normal(initializers.gain("relu")), jax.nn.relu),
    ("sparse(15, 1/√15)", initializers.sparse(15, 15**-0.5), identity),
]


def through(init, activation, key):
    """The variance of the last activations and of the gradients at the input, each over what went in, and units."""
    *keys, k_x, k_g = jax.random.split(key, DEPTH + 2)
    weights = [init(k, (WIDTH, WIDTH)) for k in keys]

    def network(x):
        for w in weights:
            x = activation(x @ w)
        return x

    x, g = (jax.random.normal(k, (64, WIDTH)) for k in (k_x, k_g))
    output, pull = jax.vjp(network, x)
    alike = jnp.all(jnp.abs(output - output[:, :1]) <= 1e-4 * jnp.abs(output[:, :1]))
    return jnp.var(output) / jnp.var(x), jnp.var(pull(g)[0]) / jnp.var(g), alike


def main():
    """Print what every way to begin leaves of the variance."""
    print(f"{DEPTH} layers of {WIDTH} units: variance that comes out, over what goes in")
    print(f"{'weights':20} {'units':9} {'forwards':>10} {'backwards':>10}")
    for name, init, activation in ROWS:
        forwards, backwards, alike = through(init, activation, jax.random.key(0))
        kind = "relu" if activation is jax.nn.relu else "linear"
        print(f"{name:20} {kind:9} {forwards:10.2g} {backwards:10.2g}{'   all units alike' if alike else ''}")


if __name__ == "__main__":
    main()
