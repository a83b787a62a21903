"""``python -m gradtx race``: several transformations on one surface, in one compiled program, and their pictures."""

from pathlib import Path
from typing import Any

import click
import jax
import jax.numpy as jnp
import numpy as np

import gradtx
from gradtx import plot
from gradtx._cli.calls import read
from gradtx._cli.surfaces import SURFACES, Surface
from gradtx._cli.words import OneOf, whole
from gradtx._rules.functions import apply_updates, gradient_params
from gradtx._rules.transformation import GradientTransformation
from gradtx._value.errors import TransformationError
from gradtx.sweep._disk.folders import made_folder


@click.command(short_help="Optimizers on a loss surface: a figure and an animation.")
@click.argument("optimizers", nargs=-1)
@click.option(
    "--surface", type=OneOf("surface", list(SURFACES)), default="beale", show_default=True, help=" ".join(SURFACES)
)
@click.option("--steps", type=whole(), default=200, show_default=True, help="Steps of every optimizer.")
@click.option("--out", type=click.Path(path_type=Path), default="gradtx-race", show_default=True, help="Folder.")
def race(optimizers: tuple[str, ...], surface: str, steps: int, out: Path) -> None:
    """Race OPTIMIZERS on a surface, in one compiled program, and draw their paths and losses.

    Each is a call in quotes: "adam(0.1)" "chain(clip(1.0), sgd(0.01, momentum=0.9))". Without any, six of them run.
    """
    ground = SURFACES[surface]
    runners = {text: _optimizer(text) for text in optimizers} or contestants(ground)
    made_folder("--out", out)
    paths, losses = trajectories(ground, runners, steps)
    title = f"{surface}: {ground.formula.rstrip('.')}"
    plot.race(ground, paths, losses, title=title).savefig(out / f"{surface}.png", dpi=130)
    plot.animate_race(ground, paths, losses, out / f"{surface}.gif", title=title)
    width = max(map(len, runners))
    for name, loss in sorted(losses.items(), key=lambda item: np.nan_to_num(item[1][-1], nan=np.inf)):
        end = ", ".join(f"{x:.4g}" for x in paths[name][-1])
        click.echo(f"{name:<{width}}  loss {loss[-1]:>10.4g}  at ({end}){_gone(ground, paths[name], loss)}")
    for file in sorted(out.glob(f"{surface}.*")):
        click.echo(f"wrote {file}")
    if not any(np.isfinite(loss[-1]) for loss in losses.values()):
        raise TransformationError("all of them diverged: try lower learning rates")


def _gone(ground: Surface, path: np.ndarray, loss: np.ndarray) -> str:
    """In words, if a path diverged, or left the picture and did not come back."""
    lost = ~np.isfinite(loss) | ~np.all(np.isfinite(path), axis=1)
    if lost.any():
        return f"  diverged at step {int(np.argmax(lost))}"
    low, high = np.array(ground.window).T
    outside = np.any((path < low) | (path > high), axis=1)
    left = len(outside) - int(np.argmin(outside[::-1]))  # the first step after the last one inside
    return f"  left the picture at step {left}" if outside[-1] else ""


def _optimizer(text: str) -> GradientTransformation:
    made = read(text)
    if not isinstance(made, GradientTransformation):
        raise TransformationError(f"{text}: expected an optimizer, found {type(made).__name__}")
    return made


def contestants(surface: Surface) -> dict[str, GradientTransformation]:
    """Six optimizers, each with a rate that suits the surface."""
    rate = surface.rate
    return {
        "gradient descent": gradtx.sgd(rate),
        "momentum": gradtx.sgd(rate / 2, 0.9),
        "Nesterov": gradtx.nesterov(rate / 2, 0.9),
        "AdaGrad": gradtx.adagrad(0.5),
        "RMSProp": gradtx.rmsprop(0.05),
        "Adam": gradtx.adam(0.1),
    }


def trajectories(
    surface: Surface, runners: dict[str, Any], steps: int
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The path of every runner, (steps + 1) × parameters, and the loss along it; all of them compiled as one."""
    start = jnp.asarray(surface.start)

    def run(tx: Any) -> jax.Array:
        def step(carry: Any, _: None) -> Any:
            params, state = carry
            value, gradient = jax.value_and_grad(surface.loss)(gradient_params(tx, params, state))
            updates, state = tx.update(gradient, state, params, value=value, grad=gradient, value_fn=surface.loss)
            params = apply_updates(params, updates)
            return (params, state), params

        _, path = jax.lax.scan(step, (start, tx.init(start)), length=steps)
        return jnp.concatenate([start[None], path])

    paths = jax.jit(lambda txs: {name: run(tx) for name, tx in txs.items()})(runners)
    losses = {name: jax.vmap(surface.loss)(path) for name, path in paths.items()}
    return {name: np.asarray(paths[name]) for name in runners}, {name: np.asarray(losses[name]) for name in runners}
