"""`fit`: a compiled loop that trains on data, all of it or mini-batches."""

import functools
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp

from gradtx._rules.loops import scan, varying_as
from gradtx._rules.transformation import GradientTransformation
from gradtx._training.batches import batch_rows, check_data, first_rows, next_order, order_of
from gradtx._training.callback import Callback, check_callback
from gradtx._training.chunks import Clock
from gradtx._training.course import Course
from gradtx._training.evaluation import Evaluate, metrics_of
from gradtx._training.feed import Feed, check_fed, is_source, longest_for
from gradtx._training.objective import Loss, Objective, key_of
from gradtx._training.prepare import check_objective, prepared
from gradtx._training.result import Fit
from gradtx._training.step import as_transformation

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
    model_state: Tree = None,
    held_out: Tree = None,
    evaluate: Evaluate | None = None,
    evaluate_every: int | None = None,
    callback: Callback | None = None,
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

    *Models.* ``params`` is any model: a tree of arrays, Flax's variables, an nnx or an Equinox module; or a function of
    a key that makes it, called with ``jax.random.key(seed)``. The loss sees the model itself, and so does who reads
    ``params`` of the result. Arrays in floating point train; functions, strings and whole numbers of Python are
    constants. Of an nnx module train the variables of type ``nnx.Param``, and the others go on by themselves. Of Flax's
    variables with ``batch_stats`` trains ``params``, and the loss returns (value, collections), as
    ``apply(..., mutable=...)`` has them. Any other state is given as ``model_state`` (or a function of the key): the
    loss is called ``loss(params, batch, model_state=...)`` and returns (value, model_state), with ``has_aux`` (value,
    (model_state, aux)). A loss that takes ``key`` gets one for each step, from ``seed`` and the step alone.

    *Data from the host.* ``data`` may be an iterable of batches: an object with ``__iter__`` or ``__next__`` that is
    no tree, so no list. A thread draws them, stacks them and moves them to the device. Batches are of one shape. What
    can be read again from its start begins anew where it ends. The final loss is then the mean training loss of the
    last fiftieth of the steps, unless ``held_out`` is given: rows that the final loss is over, whatever the data are.

    *While it trains.* ``evaluate(params)``, or ``evaluate(params, model_state=...)``, returns numbers by name, of the
    parameters to deploy: ``metrics`` of the result, and every ``evaluate_every`` steps an entry of ``curves``.
    ``callback(progress)`` is called between chunks of steps with a `Progress`; if it returns True, the run ends.

    Raises `TransformationError`: data whose leaves differ in length, a batch larger than the data, a loss that is no
    scalar, or no (value, aux) with ``has_aux``; an iterator that ends before the last step, or a batch of another
    shape, where ``result`` of the error is what was trained until then.

    >>> from gradtx import adam
    >>> x = jnp.linspace(-1.0, 1.0, 100)
    >>> squares = lambda params, batch: jnp.mean((batch["y"] - params * batch["x"]) ** 2)
    >>> run = fit(squares, jnp.array(0.0), adam(0.1), {"x": x, "y": 3.0 * x}, steps=200, batch_size=20)
    >>> round(float(run.params), 2)
    3.0
    """
    clock, tx = Clock.of("fit", steps, record_every, evaluate_every), as_transformation("fit", tx)
    check_callback("fit", callback)
    key = jax.random.key(seed)
    ready = prepared("fit", loss, params, model_state=model_state, has_aux=has_aux)
    objective, (params, carried) = ready.objective, ready.made(key)
    feed = Feed("fit", data) if is_source(data) else None
    final = None if held_out is None else check_data("fit", held_out, None, "held_out")
    if feed is not None:
        check_fed("fit", batch_size, has_aux, final)
        clock, batch = replace(clock, longest=longest_for(feed.like)), feed.like
    else:
        data = check_data("fit", data, batch_size)
        final, batch = data if final is None else final, first_rows(data, batch_size)
    for tried in (batch, *([] if final is None else [final])):  # a step sees few rows, the final loss all of them
        check_objective("fit", objective, params, carried, tried, key=key)
    names = metrics_of("fit", evaluate, objective, params, carried, evaluate_every)
    if feed is None:
        few = jax.tree.map(lambda x: x[:batch_size], data)
        params = varying_as(params, value=lambda params: objective(params, carried, few, key=key)[0])
    run = functools.partial(fit_steps, objective, tx, every=clock.every, batch_size=batch_size)
    course = Course(objective, evaluate, tx, clock, key, feed or data, run, callback, names)
    return course.result(*course.go((params, tx.init(params), carried), progress), final)


@functools.partial(jax.jit, static_argnames=("objective", "steps", "every", "batch_size", "fed"))
def fit_steps(
    objective: Objective,
    tx: GradientTransformation,
    data: Tree,
    key: Any,
    carry: Any,
    first: Any,
    *,
    steps: int,
    every: int,
    batch_size: int | None,
    fed: bool = False,
) -> Any:
    """``steps`` steps from step ``first`` on, and the mean loss of every ``every`` of them.

    The data are batches one after the other where they are ``fed``.
    """
    step = one_step(objective, tx, data, key, batch_size, fed_from=first if fed else None)
    carry = begun(carry, key, first, data, batch_size)
    (carry, _), values = scan(step, carry, first + jnp.arange(steps))
    whole = steps - steps % every
    means = jnp.mean(values[:whole].reshape(-1, every), axis=1)
    return carry, means if whole == steps else jnp.append(means, jnp.mean(values[whole:]))


def begun(carry: Any, key: Any, first: Any, data: Tree, batch_size: int | None) -> Any:
    """What is trained, and beside it the order in which the epoch of step ``first`` sees the rows."""
    rows = len(jax.tree.leaves(data)[0])
    return carry, None if batch_size is None else order_of(key, first // (rows // batch_size), rows)


def one_step(
    objective: Objective,
    tx: GradientTransformation,
    data: Tree,
    key: Any,
    batch_size: int | None,
    *,
    fed_from: Any = None,
    **numbers: Any,
) -> Any:
    """A step of training as the body of a scan: it takes what `begun` makes, and the number of the step.

    ``fed_from``: the data are batches one after the other, the first of this step. ``numbers`` are those of the loss.
    """
    rows = len(jax.tree.leaves(data)[0])

    def step(carry: Any, n: Any) -> Any:
        (params, state, carried), order = carry
        batch = data
        if fed_from is not None:
            batch = jax.tree.map(lambda x: x[n - fed_from], data)
        elif batch_size is not None:
            order = next_order(order, key, n, rows, batch_size)
            chosen = batch_rows(order, n, batch_size)
            batch = jax.tree.map(lambda x: x[chosen], data)
        own = key_of(key, n) if objective.keyed else None
        *made, value = objective.advance(tx, params, state, carried, batch, key=own, **numbers)
        return (tuple(made), order), value

    return step
