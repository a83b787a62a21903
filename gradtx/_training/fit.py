"""`fit`: a compiled loop that trains on data, all of it or mini-batches."""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from gradtx._rules.functions import eval_params
from gradtx._rules.loops import scan, varying_as
from gradtx._rules.transformation import GradientTransformation
from gradtx._training.batches import batch_rows, check_data, next_order, order_of
from gradtx._training.chunks import Clock, in_chunks
from gradtx._training.result import ALL_TAKEN, NOT_FINITE, Fit, ended
from gradtx._training.step import Loss, ValueOf, advance, as_transformation, final_loss

Tree = Any


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

    ``data`` is a tree of arrays with one leading axis, the rows. A mini-batch is ``batch_size`` rows, drawn on the
    device without replacement: every epoch is a new permutation, and leaves out the rows that do not fill a batch.
    Without ``batch_size`` every step sees all data. The batch of a step depends on ``seed`` and the step alone. Every
    ``record_every`` steps make one entry of ``loss``, their mean; if not given, there are at most 1,000 entries. The
    loss is compiled once for each function; what it closes over is a constant, as under ``jit``. ``progress`` shows a
    bar; if not given, only on a terminal. With ``has_aux`` the loss returns (value, aux), as in `minimize`; ``aux`` of
    the result is that of the final loss, over all data. Works under ``jit``, ``vmap``, ``scan`` and ``grad``, without a
    bar; inside ``shard_map`` each device fits its own data, unless the loss is summed over the devices.

    Raises `TransformationError`: data whose leaves differ in length, a batch larger than the data, a loss that is no
    scalar, or no (value, aux) with ``has_aux``.

    >>> from gradtx import adam
    >>> x = jnp.linspace(-1.0, 1.0, 100)
    >>> squares = lambda params, batch: jnp.mean((batch["y"] - params * batch["x"]) ** 2)
    >>> run = fit(squares, jnp.array(0.0), adam(0.1), {"x": x, "y": 3.0 * x}, steps=200, batch_size=20)
    >>> round(float(run.params), 2)
    3.0
    """
    clock, tx = Clock.of("fit", steps, record_every), as_transformation("fit", tx)
    data = check_data("fit", loss, params, data, batch_size, has_aux=has_aux)
    params, value = jax.tree.map(jnp.asarray, params), ValueOf(loss) if has_aux else loss
    params = varying_as(params, value=lambda params: loss(params, data))
    run = functools.partial(fit_steps, value, tx, data, jax.random.key(seed), every=clock.every, batch_size=batch_size)
    (params, state), values = in_chunks("fit", run, (params, tx.init(params)), clock, progress)
    final, aux = final_loss(loss, has_aux, eval_params(tx, params, state), data)
    stopped = ended(jnp.where(jnp.isfinite(final), ALL_TAKEN, NOT_FINITE), state)
    return Fit(params, state, values, final, jnp.asarray(clock.steps, jnp.int32), stopped, aux)


@functools.partial(jax.jit, static_argnames=("loss", "steps", "every", "batch_size"))
def fit_steps(
    loss: Loss,
    tx: GradientTransformation,
    data: Tree,
    key: Any,
    carry: Any,
    first: Any,
    *,
    steps: int,
    every: int,
    batch_size: int | None,
) -> Any:
    """``steps`` steps from step ``first`` on, and the mean loss of every ``every`` of them."""
    step = one_step(loss, tx, data, key, batch_size)
    carry = begun(carry, key, first, data, batch_size)
    (carry, _), values = scan(step, carry, first + jnp.arange(steps))
    whole = steps - steps % every
    means = jnp.mean(values[:whole].reshape(-1, every), axis=1)
    return carry, means if whole == steps else jnp.append(means, jnp.mean(values[whole:]))


def begun(carry: Any, key: Any, first: Any, data: Tree, batch_size: int | None) -> Any:
    """Parameters and state, and beside them the order in which the epoch of step ``first`` sees the rows."""
    rows = len(jax.tree.leaves(data)[0])
    return carry, None if batch_size is None else order_of(key, first // (rows // batch_size), rows)


def one_step(loss: Loss, tx: GradientTransformation, data: Tree, key: Any, batch_size: int | None) -> Any:
    """A step of training as the body of a scan: it takes what `begun` makes, and the number of the step."""
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

    return step
