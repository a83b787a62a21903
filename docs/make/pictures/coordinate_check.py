"""How far three steps move the output of a network, over its width: in the standard parametrization, and in μP."""

from typing import Any

WIDTHS = [32, 64, 128, 256]


def draw() -> Any:
    """The figure."""
    import jax
    from matplotlib import pyplot as plt

    import gradtx
    from gradtx import tune

    narrow = jax.eval_shape(lambda: weights(WIDTHS[0], jax.random.key(0)))

    def standard(width: int, key: Any) -> Any:
        return weights(width, key), gradtx.adam(3e-4)

    def mup(width: int, key: Any) -> Any:
        params = weights(width, key)
        factors = tune.mup(narrow, params)
        return factors.initial(params), factors.scaled(gradtx.adam(3e-4))

    figure, ax = plt.subplots(figsize=(6, 3.5), layout="constrained")
    for make, name, mark in ((standard, "standard", "o-"), (mup, "μP", "s-")):
        check = tune.coordinate_check(make, layers, error, batch(), widths=WIDTHS, steps=3, seeds=2)
        power = check.slopes()["last"][-1]
        ax.plot(WIDTHS, check.changes["last"][:, -1], mark, label=f"{name}: grows with power {abs(power):.1f}")
    ax.set_xscale("log", base=2)
    ax.set(xlabel="width of the hidden layers", ylabel="mean change of the output", yscale="log")
    ax.set_title("after three steps of Adam")
    ax.legend()
    return figure


def batch() -> Any:
    """Noisy points of a sine."""
    import jax
    import jax.numpy as jnp

    x = jnp.linspace(-3.0, 3.0, 64)[:, None]
    return {"x": x, "y": jnp.sin(x) + 0.3 * jax.random.normal(jax.random.key(0), x.shape)}


def weights(width: int, key: Any) -> Any:
    """Three layers, of variance one over their inputs."""
    import jax

    sizes = {"first": (1, width), "middle": (width, width), "last": (width, 1)}
    keys = jax.random.split(key, 3)
    return {
        name: jax.random.normal(k, size) / size[0] ** 0.5 for k, (name, size) in zip(keys, sizes.items(), strict=True)
    }


def layers(params: Any, batch: Any) -> Any:
    """The activations of each layer."""
    import jax.numpy as jnp

    first = jnp.tanh(batch["x"] @ params["first"])
    middle = jnp.tanh(first @ params["middle"])
    return {"first": first, "middle": middle, "last": middle @ params["last"]}


def error(params: Any, batch: Any) -> Any:
    """The mean square of what the output is off."""
    import jax.numpy as jnp

    return jnp.mean((layers(params, batch)["last"] - batch["y"]) ** 2)
