"""`minimize`: a compiled loop that lowers a function of the parameters, until a rule says stop."""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer

from gradtx import tree as trees
from gradtx._rules.loops import settled, varying_as
from gradtx._rules.transformation import GradientTransformation
from gradtx._training.chunks import Clock, in_chunks
from gradtx._training.course import final_loss
from gradtx._training.model import Opened, rebuilt
from gradtx._training.objective import Loss, Objective
from gradtx._training.prepare import check_objective, prepared
from gradtx._training.result import ALL_TAKEN, CHANGE, GRADIENT, NOT_FINITE, STEP, Fit, ended
from gradtx._training.step import advance, as_transformation, moving
from gradtx._value.errors import TransformationError

Tree = Any


def minimize(
    loss: Loss,
    params: Tree,
    tx: GradientTransformation,
    *,
    steps: int,
    tol: float | None = None,
    gradient_tol: float | None = None,
    loss_tol: float | None = None,
    progress: bool | None = None,
    has_aux: bool = False,
) -> Fit:
    """Minimize ``loss(params)`` with a transformation, for ``steps`` steps or until a rule stops it.

        θ ← θ + update(∇loss(θ)),   until  ‖update‖ ≤ tol,  ‖∇loss‖ ≤ gradient_tol,  or  |Δloss| ≤ loss_tol

    The loss is compiled once for each function; what it closes over is a constant, as under ``jit``. The rules that
    you give are checked after every step, and with any of them a loss that is not finite stops the run too. The result
    says why it ended (`Fit.reason`). ``progress`` shows a bar; if not given, only on a terminal. With ``has_aux`` the
    loss returns (value, aux): the value is minimized, links get the value alone as ``value_fn``, and ``aux`` of the
    result belongs to the parameters to deploy. Works under ``jit``, ``vmap``, ``scan`` and ``grad``: then there is no
    bar, and after the stop ``loss`` repeats its last value. Inside ``shard_map`` each device minimizes its own loss, or
    all together minimize a loss that is summed over the devices. ``params`` is any model, as in `fit`.

    Raises `TransformationError`: a loss that is no scalar, or no (value, aux) with ``has_aux``; ``steps`` below 1.

    >>> from gradtx import sgd
    >>> run = minimize(lambda x: x**2, jnp.array(10.0), sgd(0.2), steps=100, tol=1e-3)
    >>> [round(float(x), 4) for x in run.loss[:3]], int(run.steps), run.reason
    ([100.0, 36.0, 12.96], 18, 'the step was no longer than tol')
    >>> run = minimize(lambda x: (x**2, {"root": x}), jnp.array(10.0), sgd(0.2), steps=2, has_aux=True)
    >>> round(float(run.aux["root"]), 4)
    3.6
    """
    clock, tx = Clock.of("minimize", steps, 1), as_transformation("minimize", tx)
    ready = prepared("minimize", loss, params, has_aux=has_aux, keyed=False)
    objective, params, carried = ready.objective, ready.params, ready.carried
    if ready.maker is not None:
        raise TransformationError("minimize: params: expected a model, found a function: there is no key to make it of")
    check_objective("minimize", objective, params, carried)
    params = varying_as(params, value=lambda params: objective(params, carried)[0])
    rules = {"tol": tol, "gradient_tol": gradient_tol, "loss_tol": loss_tol}
    given = {name: rule for name, rule in rules.items() if rule is not None}
    carry = (params, tx.init(params), carried, jnp.zeros([], jnp.int32), jnp.zeros([], jnp.int32), jnp.asarray(jnp.inf))
    run = functools.partial(minimize_steps, objective, tx, given)
    (params, state, carried, taken, stopped, _), values = in_chunks(
        "minimize", run, carry, clock, progress, done=lambda carry, *_: bool(carry[4])
    )
    final, aux = final_loss(objective, tx, params, state, carried)
    values = values if isinstance(taken, Tracer) else values[: int(taken)]
    model = rebuilt(Opened(params, carried.own, objective.form))
    return Fit(model, state, values, final, taken, ended(stopped, state), aux)


@functools.partial(jax.jit, static_argnames=("objective", "steps"))
def minimize_steps(
    objective: Objective, tx: GradientTransformation, rules: Mapping[str, Any], carry: Any, first: Any, *, steps: int
) -> Any:
    """``steps`` steps, and the loss at each; after a rule has stopped the run they change nothing."""
    del first

    def step(carry: Any) -> Any:
        params, state, carried, taken, _, before = carry
        made = advance(lambda params: objective(params, carried), tx, params, state)
        value, gradient, updates = made.value, made.gradient, made.updates
        stopped = jnp.full([], ALL_TAKEN)
        if rules:
            stopped = jnp.where(jnp.isfinite(value), ALL_TAKEN, NOT_FINITE)
        if "loss_tol" in rules:
            stopped = jnp.where(jnp.abs(before - value) <= rules["loss_tol"], CHANGE, stopped)
        if "gradient_tol" in rules:
            stopped = jnp.where(trees.norm(moving(gradient)) <= rules["gradient_tol"], GRADIENT, stopped)
        if "tol" in rules:
            stopped = jnp.where(trees.norm(moving(updates)) <= rules["tol"], STEP, stopped)
        return (
            made.params,
            made.state,
            made.extras.carried,
            taken + 1,
            stopped.astype(jnp.int32),
            value.astype(before.dtype),
        )

    def body(carry: Any, _: None) -> Any:
        carry = jax.lax.cond(carry[4] > 0, lambda same: same, step, carry) if rules else step(carry)
        return carry, carry[5]

    return jax.lax.scan(body, settled(step, carry), length=steps)
