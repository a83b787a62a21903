"""Several transformations on one surface, in one compiled program."""

import ast
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import gradtx
from gradtx._cli.surfaces import Surface
from gradtx._rules.functions import apply_updates, gradient_params
from gradtx._rules.transformation import GradientTransformation
from gradtx._value.errors import TransformationError, suggest


def read(text: str) -> Any:
    """A transformation (or a schedule) from the text of its call, such as ``chain(clip(1.0), adam(0.1))``.

    Only calls of gradtx's own factories and literal values are read. Raises `TransformationError`: anything else.

    >>> read("sgd(0.1, momentum=0.9)")
    sgd(learning_rate=0.1, momentum=0.9)
    """
    try:
        return _value(ast.parse(text.strip(), mode="eval").body)
    except SyntaxError as error:
        raise TransformationError(f"{text!r} is no call: {error.msg}") from None


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        name = node.func.id
        known = [known for known in gradtx.__all__ if hasattr(getattr(gradtx, known), "call")]
        if name not in known:
            raise TransformationError(f"no transformation or schedule {name!r}{suggest(name, known)}")
        keywords = {keyword.arg or "": _value(keyword.value) for keyword in node.keywords}
        return getattr(gradtx, name)(*map(_value, node.args), **keywords)
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise TransformationError(f"expected a call or a literal, found {ast.unparse(node)!r}") from None


def contestants(surface: Surface) -> dict[str, GradientTransformation]:
    """The lectures' optimizers, each with a rate that suits the surface."""
    rate = surface.rate
    return {
        "gradient descent": gradtx.sgd(rate),
        "momentum": gradtx.sgd(rate / 2, 0.9),
        "Nesterov": gradtx.nesterov(rate / 2, 0.9),
        "AdaGrad": gradtx.adagrad(0.5),
        "RMSProp": gradtx.rmsprop(0.05),
        "Adam": gradtx.adam(0.1),
    }


def race(surface: Surface, runners: dict[str, Any], steps: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
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
