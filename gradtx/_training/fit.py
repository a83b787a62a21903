"""Compiled training loops: `minimize` a function of the parameters, `fit` a loss to data.

Steps run in chunks: one ``scan`` each, compiled once. Between chunks the host looks at a progress bar. Called under a
trace (``jit``, ``grad``, ``vmap``) the whole run is one chunk.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from gradtx import tree as trees
from gradtx._rules.functions import apply_updates, eval_params, gradient_params
from gradtx._rules.restrict import fill
from gradtx._rules.transformation import GradientTransformation
from gradtx._training.progress import progress
from gradtx._value.errors import TransformationError, within

Tree = Any
Loss = Callable[..., Any]

CHUNKS = 50  # how often the host looks up, about
RECORDS = 1000  # how many losses are kept, at the most

REASONS = (
    "all steps were taken",
    "the step was no longer than tol",
    "the gradient was no longer than gradient_tol",
    "the loss changed by no more than loss_tol",
    "the loss was not finite",
)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Fit:
    """What a run came to.

    ``params``, ``state``: after the last step. ``loss``: the training loss where the gradient of each step was taken,
    or its mean over every ``record_every`` steps. ``final_loss``: of the parameters to deploy, over all data.
    ``steps``: how many were taken. ``stopped``: the index of ``reason``, which says why there were no more. ``aux``:
    what the loss returned beside ``final_loss``, None without ``has_aux``.
    """

    params: Tree
    state: Tree
    loss: jax.Array
    final_loss: jax.Array
    steps: jax.Array
    stopped: jax.Array
    aux: Tree = None

    @property
    def reason(self) -> str:
        """Why the run ended, in words."""
        return REASONS[int(self.stopped)]


@dataclass(frozen=True)
class _Value:
    """A loss that returns (value, aux), as one that returns its value; equal for equal losses, so compiled once."""

    loss: Loss

    def __call__(self, *args: Any) -> Any:
        return self.loss(*args)[0]


def advance(loss: Loss, tx: GradientTransformation, params: Tree, state: Tree, *batch: Tree) -> Any:
    """One step: the new parameters and state; the loss and the gradient where it is to be taken; the update.

    Leaves that are not in floating point are held still. Of complex leaves the gradient is the conjugate of what
    ``jax.grad`` returns: the direction of steepest ascent.
    """

    def value_fn(trained: Tree) -> Any:
        return loss(fill(trained, params), *batch)

    at = gradient_params(tx, params, state)
    trained = trees.map(lambda p: p if jnp.issubdtype(p.dtype, jnp.inexact) else None, at)
    value, gradient = jax.value_and_grad(value_fn)(trained)
    gradient = fill(trees.map(jnp.conj, gradient), trees.map(jnp.zeros_like, params))
    updates, state = tx.update(gradient, state, params, value=value, grad=gradient, value_fn=value_fn)
    return apply_updates(params, updates), state, value, gradient, updates


# Minimize -------------------------------------------------------------------------------------------------------------


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
    """Minimize ``loss(params)`` from ``params`` with a transformation, for ``steps`` steps or until a rule says stop.

        θ ← θ + update(∇loss(θ)),   until  ‖update‖ ≤ tol,  ‖∇loss‖ ≤ gradient_tol,  or  |Δloss| ≤ loss_tol

    The loss is compiled, once for each function: what it closes over is a constant, as under ``jit``. The rules that
    are given are looked at after every step; a loss that is not finite stops a run that has any. The result says
    which it was (`Fit.reason`). ``progress`` shows a bar: on a terminal if not given. With ``has_aux`` the loss returns
    (value, aux): the value is minimized, links are handed it alone as ``value_fn``, and ``aux`` of the result is that
    of the parameters to deploy. Works under ``jit``, ``vmap``, ``scan`` and ``grad`` (then without a bar, and ``loss``
    keeps its last value after the stop).

    Raises `TransformationError`: a loss that is no scalar, or no (value, aux) with ``has_aux``; ``steps`` below 1.

    >>> from gradtx import sgd
    >>> run = minimize(lambda x: x**2, jnp.array(10.0), sgd(0.2), steps=100, tol=1e-3)
    >>> [round(float(x), 4) for x in run.loss[:3]], int(run.steps), run.reason
    ([100.0, 36.0, 12.96], 18, 'the step was no longer than tol')
    >>> run = minimize(lambda x: (x**2, {"root": x}), jnp.array(10.0), sgd(0.2), steps=2, has_aux=True)
    >>> round(float(run.aux["root"]), 4)
    3.6
    """
    steps, tx = _count("minimize", "steps", steps), as_transformation("minimize", tx)
    params = jax.tree.map(jnp.asarray, params)
    _check_scalar("minimize", loss, params, has_aux=has_aux)
    rules = {"tol": tol, "gradient_tol": gradient_tol, "loss_tol": loss_tol}
    given = {name: rule for name, rule in rules.items() if rule is not None}
    carry = (params, tx.init(params), jnp.zeros([], jnp.int32), jnp.zeros([], jnp.int32), jnp.asarray(jnp.inf))
    run = functools.partial(_minimize_chunk, _Value(loss) if has_aux else loss, tx, given)
    (params, state, taken, stopped, _), values = _in_chunks(
        "minimize", run, carry, steps, 1, progress, lambda carry: bool(carry[3])
    )
    final, aux = _final(loss, has_aux, eval_params(tx, params, state))
    return Fit(params, state, values if _traced(taken) else values[: int(taken)], final, taken, stopped, aux)


@functools.partial(jax.jit, static_argnames=("loss", "steps"))
def _minimize_chunk(loss: Loss, tx: Any, rules: dict[str, Any], carry: Any, first: Any, *, steps: int) -> Any:
    del first

    def step(carry: Any) -> Any:
        params, state, taken, _, before = carry
        params, state, value, gradient, updates = advance(loss, tx, params, state)
        stopped = jnp.zeros([], jnp.int32)
        if rules:
            stopped = jnp.where(jnp.isfinite(value), 0, 4)
        if "loss_tol" in rules:
            stopped = jnp.where(jnp.abs(before - value) <= rules["loss_tol"], 3, stopped)
        if "gradient_tol" in rules:
            stopped = jnp.where(trees.norm(gradient) <= rules["gradient_tol"], 2, stopped)
        if "tol" in rules:
            stopped = jnp.where(trees.norm(updates) <= rules["tol"], 1, stopped)
        return params, state, taken + 1, stopped.astype(jnp.int32), value.astype(before.dtype)

    def body(carry: Any, _: None) -> Any:
        carry = jax.lax.cond(carry[3] > 0, lambda same: same, step, carry) if rules else step(carry)
        return carry, carry[4]

    return jax.lax.scan(body, carry, length=steps)


# Fit ------------------------------------------------------------------------------------------------------------------


def fit(
    loss: Loss,
    params: Tree,
    tx: GradientTransformation,
    data: Tree,
    *,
    steps: int,
    batch_size: int | None = None,
    seed: int = 0,
    record_every: int | None = None,
    progress: bool | None = None,
    has_aux: bool = False,
) -> Fit:
    """Fit ``loss(params, batch)`` to data with a transformation.

    The loss is compiled, once for each function: what it closes over is a constant, as under ``jit``. ``data`` is a
    tree of arrays with one leading axis, the rows. ``batch_size`` rows make a mini-batch, drawn on the device without
    replacement: every epoch is a new permutation, and rows that do not fill a batch wait for the next one. Without it
    every step sees all the data. The batch of a step depends on ``seed`` and the step alone. ``record_every`` steps
    make one entry of ``loss``, their mean (1 up to 1,000 steps). ``progress`` shows a bar: on a terminal if not
    given. With ``has_aux`` the loss returns (value, aux), as in `minimize`; ``aux`` of the result is that of all data.
    Works under ``jit``, ``vmap``, ``scan`` and ``grad`` (then without a bar).

    Raises `TransformationError`: data whose leaves disagree in length, a batch larger than the data, a loss that is no
    scalar, or no (value, aux) with ``has_aux``.

    >>> from gradtx import adam
    >>> x = jnp.linspace(-1.0, 1.0, 100)
    >>> squares = lambda params, batch: jnp.mean((batch["y"] - params * batch["x"]) ** 2)
    >>> run = fit(squares, jnp.array(0.0), adam(0.1), {"x": x, "y": 3.0 * x}, steps=200, batch_size=20)
    >>> round(float(run.params), 2)
    3.0
    """
    tx = as_transformation("fit", tx)
    data, every = check_data("fit", loss, params, data, steps, batch_size, record_every, has_aux=has_aux)
    params, value = jax.tree.map(jnp.asarray, params), _Value(loss) if has_aux else loss
    run = functools.partial(_fit_chunk, value, tx, data, jax.random.key(seed), every=every, batch_size=batch_size)
    (params, state), values = _in_chunks("fit", run, (params, tx.init(params)), steps, every, progress, None)
    final, aux = _final(loss, has_aux, eval_params(tx, params, state), data)
    stopped = jnp.where(jnp.isfinite(final), 0, 4).astype(jnp.int32)
    return Fit(params, state, values, final, jnp.asarray(steps, jnp.int32), stopped, aux)


@functools.partial(jax.jit, static_argnames=("loss", "steps", "every", "batch_size"))
def _fit_chunk(
    loss: Loss, tx: Any, data: Tree, key: Any, carry: Any, first: Any, *, steps: int, every: int, batch_size: int | None
) -> Any:
    return fit_steps(loss, tx, data, key, carry, first, steps=steps, every=every, batch_size=batch_size)


def fit_steps(
    loss: Loss, tx: Any, data: Tree, key: Any, carry: Any, first: Any, *, steps: int, every: int, batch_size: int | None
) -> Any:
    """``steps`` steps from step ``first`` on, and the mean loss of every ``every`` of them."""
    rows = len(jax.tree.leaves(data)[0])

    def step(carry: Any, n: Any) -> Any:
        (params, state), order = carry
        batch = data
        if batch_size is not None:
            order = next_order(order, key, n, rows, batch_size)
            chosen = batch_rows(order, n, batch_size)
            batch = jax.tree.map(lambda x: x[chosen], data)
        params, state, value, *_ = advance(loss, tx, params, state, batch)
        return ((params, state), order), value

    order = None if batch_size is None else order_of(key, first // (rows // batch_size), rows)
    (carry, _), values = jax.lax.scan(step, (carry, order), first + jnp.arange(steps))
    whole = steps - steps % every
    means = jnp.mean(values[:whole].reshape(-1, every), axis=1)
    return carry, means if whole == steps else jnp.append(means, jnp.mean(values[whole:]))


def order_of(key: Any, epoch: Any, rows: int) -> jax.Array:
    """The order in which an epoch sees the rows."""
    return jax.random.permutation(jax.random.fold_in(key, epoch), rows)


def next_order(order: jax.Array, key: Any, step: Any, rows: int, batch_size: int) -> jax.Array:
    """The order that holds at a step: a new one where an epoch begins."""
    per_epoch = rows // batch_size
    begins = step % per_epoch == 0
    return jax.lax.cond(begins, lambda: order_of(key, step // per_epoch, rows), lambda: order)


def batch_rows(order: jax.Array, step: Any, batch_size: int) -> jax.Array:
    """The rows of the batch of a step."""
    per_epoch = len(order) // batch_size
    return jax.lax.dynamic_slice_in_dim(order, step % per_epoch * batch_size, batch_size)


# Chunks ---------------------------------------------------------------------------------------------------------------


def _in_chunks(
    label: str, run: Callable[..., Any], carry: Any, steps: int, every: int, show: bool | None, done: Any
) -> Any:
    """The run in chunks, with a bar; one chunk under a trace. ``done(carry)`` ends it early."""
    start, values = carry, []
    with progress(label, steps, show) as bar:
        for first, n in chunks(steps, every):
            carry, chunk = run(carry, jnp.asarray(first), steps=n)
            if any(
                _traced(x) for x in jax.tree.leaves((carry, chunk))
            ):  # of whatever is traced: the loss, the data ...
                return run(start, jnp.asarray(0), steps=steps)
            values.append(chunk)
            bar(n, float(np.min(chunk, initial=np.inf, where=np.isfinite(chunk))))
            if done is not None and done(carry):
                break
    return carry, jnp.concatenate(values)


def chunks(steps: int, every: int) -> list[tuple[int, int]]:
    """Where each chunk begins and how long it is: whole records, about `CHUNKS` of them, equal if that can be."""
    records = -(-steps // every)
    wanted = max(1, records // CHUNKS)
    fitting = [n for n in range(wanted, 4 * wanted + 1) if steps % (n * every) == 0]
    length = (fitting[0] if fitting else wanted) * every
    return [(first, min(length, steps - first)) for first in range(0, steps, length)]


def _traced(x: Any) -> bool:
    return isinstance(x, Tracer)


def _final(loss: Loss, has_aux: bool, *args: Any) -> Any:
    """The loss at the end, and what it returned beside its value."""
    made = jax.jit(loss)(*args)
    return made if has_aux else (made, None)


# Checks ---------------------------------------------------------------------------------------------------------------


def check_data(
    who: str,
    loss: Loss,
    params: Tree,
    data: Tree,
    steps: int,
    batch_size: int | None,
    record_every: int | None,
    *,
    has_aux: bool = False,
) -> tuple[Tree, int]:
    """The data on the device, and how many steps make a record; or a `TransformationError`."""
    _count(who, "steps", steps)
    every = -(-steps // RECORDS) if record_every is None else _count(who, "record_every", record_every)
    leaves = {path: x for path, x in zip(trees.paths(data), trees.flatten(data)[0], strict=True) if x is not None}
    if not leaves:
        raise TransformationError(f"{who}: data: expected a tree of arrays, found {data!r}")
    for path, x in leaves.items():
        if not hasattr(x, "__len__") or isinstance(x, str | bytes) or jnp.ndim(x) == 0:
            found = "a scalar" if hasattr(x, "dtype") or isinstance(x, int | float) else repr(x)
            raise TransformationError(f"{who}: data: leaf {path}: expected a leading axis of rows, found {found}")
    first, size = next((path, len(x)) for path, x in leaves.items())
    for path, x in leaves.items():
        if len(x) != size:
            raise TransformationError(
                f"{who}: data: leaf {path}: expected {size} rows, as many as leaf {first} has, found {len(x)}"
            )
    if size < 1:
        raise TransformationError(f"{who}: data: expected at least one row, found none")
    if batch_size is not None and _count(who, "batch_size", batch_size) > size:
        raise TransformationError(
            f"{who}: batch_size: expected at most {size}, the rows of the data, found {batch_size}"
        )
    data = jax.tree.map(jnp.asarray, data)
    few = jax.eval_shape(lambda tree: jax.tree.map(lambda x: x[:batch_size], tree), data)
    for batch in (few, data):  # a step sees few rows, the final loss all of them
        _check_scalar(who, loss, params, batch, has_aux=has_aux)
    return data, every


def as_transformation(who: str, tx: Any) -> GradientTransformation:
    """The transformation, one of another library as a link; or a `TransformationError`."""
    return within(f"{who}: tx", GradientTransformation._link)(tx)


def _check_scalar(who: str, loss: Loss, *args: Any, has_aux: bool) -> None:
    try:
        hash(loss)
    except TypeError:
        raise TransformationError(f"{who}: loss: expected a function that hashes, found {loss!r}") from None
    value = jax.eval_shape(loss, *args)
    if has_aux:
        if not isinstance(value, tuple) or len(value) != 2:
            found = f"a tuple of {len(value)}" if isinstance(value, tuple) else type(value).__name__
            raise TransformationError(f"{who}: loss: expected (value, aux), for has_aux=True, found {found}")
        value = value[0]
    elif isinstance(value, tuple):
        raise TransformationError(
            f"{who}: loss: expected one real number, found a tuple; has_aux=True takes (value, aux)"
        )
    if not hasattr(value, "shape") or value.shape != () or not jnp.issubdtype(value.dtype, jnp.floating):
        found = value if hasattr(value, "shape") else f"{type(value).__name__}"
        raise TransformationError(f"{who}: loss: expected one real number, found {found}")


def _count(who: str, name: str, n: Any) -> int:
    if isinstance(n, bool) or not hasattr(n, "__index__") or n < 1:
        raise TransformationError(f"{who}: {name}: expected a whole number, 1 or more, found {n!r}")
    return int(n)
