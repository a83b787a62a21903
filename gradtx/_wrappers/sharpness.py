"""Sharpness-aware minimization: the gradient is taken where an adversary has gone."""

from typing import Any

import jax
import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._rules.around import around
from gradtx._rules.fields import narrowed, zeros
from gradtx._rules.loops import cond
from gradtx._rules.objective import with_gradients
from gradtx._rules.protocol import Late, Tree, is_empty
from gradtx._rules.transformation import transformation
from gradtx._value.marks import Link, Static
from gradtx._value.whole import whole_number


@transformation
def sam(
    optimizer: Link,
    adv_optimizer: Link,
    sync_period: Static = 2,
    *,
    reset_state: bool = True,
    opaque_mode: bool = False,
    batch_axis_name: str | None = None,
    moves_params: bool = True,
) -> Late:
    """An optimizer that is given the gradient at the worst point nearby, which an adversary looks for.

        φ ← θ;   φ ← φ − adv(∇f(φ)), k − 1 times;   θ ← θ + optimizer(∇f(φ))

    k is ``sync_period``; ``adv_optimizer`` descends, and its sign is turned: ``chain(normalize(), sgd(rho))`` is the
    adversary of the paper, `asam` another. It starts anew in each period, unless ``reset_state`` is False. Each of k
    updates is one of these steps. In the first k − 1 the parameters themselves move to φ; the k-th goes back, and takes
    the step of ``optimizer``. With ``moves_params=False`` they stay at θ, updates are 0 until the k-th, and
    `gradtx.gradient_params` returns φ: so `gradtx.fit`, which asks for it, trains with this everywhere. In both,
    `gradtx.eval_params` returns θ.

    With ``opaque_mode`` one update is all k steps: it takes ∇f(θ), and ``grad_fn(params, i)`` by keyword, the gradient
    at other points (if it is not given, that of ``value_fn``), averaged over the axis ``batch_axis_name``, if there is
    one. Source: Foret et al. 2021, Algorithm 1.

    State: ``inner``, of ``optimizer``; ``adv``; unless opaque, ``steps_since_sync``, and like the parameters ``cache``
    (θ), or ``offset`` (φ − θ) where they stay. Raises `TransformationError`: no ``params``; in opaque mode no
    ``grad_fn``.

    >>> from gradtx import chain, normalize, sgd
    >>> tx, x = sam(sgd(0.5), chain(normalize(), sgd(1.0)), opaque_mode=True), jnp.array([3.0])
    >>> tx.update(2 * x, tx.init(x), x, grad_fn=lambda x, i: 2 * x)[0]  # the gradient at 4
    Array([-4.], dtype=float32)
    """
    period = whole_number("sync_period", sync_period)

    def started(params: Tree, **more: Any) -> Any:
        adversary = adv_optimizer.init(params)
        return more if is_empty(adversary) else more | {"adv": adversary}

    def against(updates: Tree, state: Any, at: Tree) -> tuple[Tree, Any]:
        """The step of the adversary, uphill, and what its state becomes."""
        moved, adversary = adv_optimizer.update(updates, state.get("adv", {}), at)
        uphill = trees.map(lambda u, x: (-u).astype(x.dtype), moved, updates)
        return uphill, {} if is_empty(adversary) else {"adv": adversary}

    def anew(state: Any, params: Tree) -> Any:
        return state | (narrowed(started(params), {"adv": state["adv"]}) if reset_state and "adv" in state else {})

    def turn(state: Any, inner: Any, *, last: bool) -> Any:
        n = state["steps_since_sync"]
        return state | {"inner": inner, "steps_since_sync": jnp.zeros_like(n) if last else n + 1}

    def in_turns(descend: Any, ascend: Any, state: Any) -> Any:
        return cond(state["steps_since_sync"] >= period - 1, descend, ascend)

    def moving(step: Any, updates: Tree, state: Any, *, params: Tree) -> Any:
        first = state["steps_since_sync"] == 0
        cache = trees.map(lambda x, kept: jnp.where(first, x, kept), params, state["cache"])
        state = state | {"cache": cache}

        def descend() -> Any:
            new, inner = step(updates, params=cache)
            back = trees.map(lambda kept, x, u: kept - x + u, cache, params, new)
            return back, turn(anew(state, cache), inner, last=True)

        def ascend() -> Any:
            uphill, adversary = against(updates, state, params)
            return uphill, turn(state | adversary, state["inner"], last=False)

        return in_turns(descend, ascend, state)

    def staying(step: Any, updates: Tree, state: Any, *, params: Tree) -> Any:
        def descend() -> Any:
            new, inner = step(updates)
            offset = trees.map(jnp.zeros_like, state["offset"])
            return new, turn(anew(state, params) | {"offset": offset}, inner, last=True)

        def ascend() -> Any:
            at = trees.map(lambda x, d: x + d, params, state["offset"])
            uphill, adversary = against(updates, state, at)
            offset = trees.map(lambda d, u: d + u, state["offset"], uphill)
            after = turn(state | adversary | {"offset": offset}, state["inner"], last=False)
            return trees.map(jnp.zeros_like, updates), after

        return in_turns(descend, ascend, state)

    def opaque(step: Any, updates: Tree, state: Any, *, params: Tree, grad_fn: Any) -> Any:
        at, g, after = params, updates, state
        for n in range(period - 1):
            uphill, adversary = against(g, after, at)
            at, after = trees.map(lambda x, u: x + u, at, uphill), after | adversary
            g = trees.cast_like(grad_fn(at, n), updates)
            g = g if batch_axis_name is None else jax.lax.pmean(g, batch_axis_name)
        new, inner = step(g)
        return new, anew(after, params) | {"inner": inner}

    def home(params: Tree, state: Any) -> Tree:
        first = state["steps_since_sync"] == 0
        return trees.map(lambda x, kept: jnp.where(first, x, kept), params, state["cache"])

    def worst(params: Tree, state: Any) -> Tree:
        return trees.map(lambda x, d: x + d, params, state["offset"])

    def start_moving(params: Tree) -> Any:
        return started(params, cache=trees.map(jnp.copy, params), steps_since_sync=jnp.zeros([], jnp.int32))

    def start_staying(params: Tree) -> Any:
        return started(params, offset=trees.map(zeros, params), steps_since_sync=jnp.zeros([], jnp.int32))

    common: dict[str, Any] = {"beside": {"adv": adv_optimizer}, "packs": True}
    if opaque_mode:
        return with_gradients(around(optimizer, opaque, init=started, **common))
    if moves_params:
        return around(optimizer, moving, init=start_moving, eval_params=home, **common)
    return around(optimizer, staying, init=start_staying, gradient_params=worst, **common)
