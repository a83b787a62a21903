"""Step sizes from how far the parameters have come: distance over gradients."""

from typing import Any, Literal

import jax
import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._rules.fields import copied
from gradtx._rules.protocol import Rule, Tree
from gradtx._rules.transformation import transformation
from gradtx._rules.vectors import precision, scaled
from gradtx._rules.whole_tree import whole_tree
from gradtx._value.floating import root
from gradtx._value.marks import NonNegative


@transformation
def scale_by_dog(
    init_step: NonNegative = 1e-6,
    eps: NonNegative = 1e-8,
    *,
    kind: Literal["heuristic", "distance", "learning_rate"] = "heuristic",
) -> Rule:
    """The update, times the largest distance from the start over the root of all squared norms.

        u ← uₜ r/√(G + ε);   r = max(r, ‖θ − θ₁‖),   G = G + ‖uₜ‖²

    ε is ``eps``, θ₁ the first parameters. ``init_step`` says how it begins, according to ``kind``: r starts from
    init_step·(1 + ‖θ₁‖) (``"heuristic"``) or from init_step (``"distance"``), or the first factor of uₜ is init_step
    (``"learning_rate"``). Measures ``max_dist``, r. The trap: ``init`` must get the parameters themselves, and the last
    iterate is noisy: average them. Source: Ivgi, Hinder & Carmon 2023, DoG. State: ``init_params``, like the
    parameters; ``max_dist`` (r), ``sum_sq_norm_grads`` (G). Raises `TransformationError`: no ``params``.

    >>> tx, x = scale_by_dog(0.5, 0.0, kind="distance"), jnp.array([1.0])
    >>> tx.update(jnp.array([4.0]), tx.init(x), x)[0]  # 4·0.5/√16
    Array([0.5], dtype=float32)
    """

    def init(params: Tree) -> Any:
        size = 1 + trees.norm(params) if kind == "heuristic" else 1
        first = init_step * size if kind != "learning_rate" else 0
        return _started(params) | {"max_dist": _number(first, params), "sum_sq_norm_grads": _number(0, params)}

    def moved(updates: Tree, state: Any, params: Tree) -> Any:
        farthest = jnp.maximum(state["max_dist"], _distance(params, state))
        total = state["sum_sq_norm_grads"] + trees.norm(updates) ** 2
        under = total + eps
        rate = jnp.where(under > 0, farthest / root(jnp.where(under > 0, under, 1)), 0)
        return rate, trees.cast_like({**state, "max_dist": farthest, "sum_sq_norm_grads": total}, state)

    def update(updates: Tree, state: Any, *, params: Tree) -> Any:
        rate, state = moved(updates, state, params)
        return scaled(rate, updates), state

    def update_from_a_rate(updates: Tree, state: Any, *, params: Tree, t: Any) -> Any:
        rate, state = moved(updates, state, params)
        return scaled(jnp.where(t == 1, init_step, rate), updates), state

    of_kind = update_from_a_rate if kind == "learning_rate" else update
    return whole_tree(of_kind, init=init, packs=True, measure={"max_dist": lambda a, b, *, max_dist: max_dist})


@transformation
def scale_by_dowg(init_estim_sq_dist: NonNegative = None, eps: NonNegative = 1e-4) -> Rule:
    """The update, times the largest squared distance from the start over the root of the norms that it weights.

        u ← uₜ r²/(√v + ε);   r² = max(r², ‖θ − θ₁‖²),   v = v + r²‖uₜ‖²

    ε is ``eps``, θ₁ the first parameters; r² starts from ``init_estim_sq_dist``, by default from ε. Measures
    ``estim_sq_dist``, r². The trap: ``init`` must get the parameters themselves. Source: Khaled, Mishchenko & Jin 2023,
    Algorithm 1. State: ``init_params``, like the parameters; ``estim_sq_dist`` (r²), ``weighted_sq_norm_grads`` (v).
    Raises `TransformationError`: no ``params``.

    >>> tx, x = scale_by_dowg(0.25, 0.0), jnp.array([1.0])
    >>> tx.update(jnp.array([4.0]), tx.init(x), x)[0]  # 4·0.25/√(0.25·16)
    Array([0.5], dtype=float32)
    """

    def init(params: Tree) -> Any:
        first = eps if init_estim_sq_dist is None else init_estim_sq_dist
        return _started(params) | {
            "estim_sq_dist": _number(first, params),
            "weighted_sq_norm_grads": _number(0, params),
        }

    def update(updates: Tree, state: Any, *, params: Tree) -> Any:
        farthest = jnp.maximum(state["estim_sq_dist"], _distance(params, state) ** 2)
        total = state["weighted_sq_norm_grads"] + farthest * trees.norm(updates) ** 2
        under = root(total) + eps
        rate = jnp.where(under > 0, farthest / jnp.where(under > 0, under, 1), 0)
        made = {**state, "estim_sq_dist": farthest, "weighted_sq_norm_grads": total}
        return scaled(rate, updates), trees.cast_like(made, state)

    measure = {"estim_sq_dist": lambda a, b, *, estim_sq_dist: estim_sq_dist}
    return whole_tree(update, init=init, packs=True, measure=measure)


def _started(params: Tree) -> dict[str, Tree]:
    return {"init_params": trees.map(copied, params)}


def _number(x: Any, params: Tree) -> jax.Array:
    return jnp.asarray(x).astype(precision(params))


def _distance(params: Tree, state: Any) -> jax.Array:
    return trees.norm(trees.map(lambda x, start: x - start, params, state["init_params"]))
