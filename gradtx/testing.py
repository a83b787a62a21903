"""The conformance kit: what every transformation promises, as contracts that run on yours.

`check` runs them all. `CONTRACTS` maps their names to functions like `check`, for a test that runs them one by one:

    @pytest.mark.parametrize("contract", gradtx.testing.CONTRACTS)
    def test_my_link(contract):
        gradtx.testing.CONTRACTS[contract](my_link(0.1))

Contracts compare with the simplest run there is: a Python loop of a few updates.
"""

import math
import operator
import pickle
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradtx import tree as trees
from gradtx._rules.functions import apply_updates, hyperparameters
from gradtx._rules.transformation import GradientTransformation
from gradtx._testing.assertions import (
    as_it_was,
    expect,
    expect_close,
    expect_equal,
    expect_finite,
    expect_located,
    expect_same_kind,
    plain,
)
from gradtx._testing.contract import (
    CONTRACTS,
    Extra,
    Tree,
    beside,
    contract,
    jitted_update,
    names_in,
    run,
    update,
)
from gradtx._testing.trials import UPDATES, lanes_of, ordinary_gradients, precision_of
from gradtx._value.errors import TransformationError, suggest

__all__ = ["CONTRACTS", "check"]


def __dir__() -> list[str]:
    return __all__


def check(
    tx: GradientTransformation,
    params: Tree = None,
    *,
    extra: Extra | None = None,
    exempt: Mapping[str, str] = {},
    tolerance: float | None = None,
) -> None:
    """Run every contract of `CONTRACTS` on a transformation.

    ``params`` are the parameters to try it on, by default a small tree; ``extra`` has the keywords that its ``update``
    needs. ``exempt`` maps each contract that cannot hold to the reason. ``tolerance`` is how far results may differ if
    only the order of arithmetic does; by default a few roundings of the largest number of a leaf. An update that is a
    difference of parameters is only as exact as they are: set ``tolerance`` to a few roundings of the largest
    parameter. Two things are checked only where they can be: the sharding of the state, if there is more than one
    device, and pickling, if everything in the transformation can be imported (a lambda cannot).

    Raises `AssertionError`: a contract that does not hold; it names the transformation, the contract, the leaf, what
    was expected and what was found. `TransformationError`: ``exempt`` names no contract.

    >>> from gradtx import scale
    >>> check(scale(-0.1))
    """
    unknown = next((name for name in exempt if name not in CONTRACTS), None)
    if unknown is not None:
        raise TransformationError(f"exempt: no contract {unknown!r}{suggest(unknown, CONTRACTS)}")
    for name, holds in CONTRACTS.items():
        if name not in exempt:
            holds(tx, params, extra=extra, tolerance=tolerance)


# Compilation and batching ---------------------------------------------------------------------------------------------


@contract
def jit_equals_eager(tx: Any, params: Tree, extra: Extra, tolerance: float | None) -> None:
    """A compiled run equals the eager run, to rounding."""
    gradients = ordinary_gradients(params)
    eager, compiled = (run(tx, params, gradients, extra, one) for one in (update, jitted_update))
    expect_close(eager, compiled, "", tolerance)


@contract
def argument_of_jit_equals_baked_in(tx: Any, params: Tree, extra: Extra, tolerance: float | None) -> None:
    """A transformation passed to ``jit`` as an argument does the same as one that the compiled function closes over."""
    gradients = ordinary_gradients(params)
    baked_in = jax.jit(lambda _, *arguments: update(tx, *arguments))
    given, closed_over = (run(tx, params, gradients, extra, one) for one in (jitted_update, baked_in))
    expect_close(closed_over, given, "", tolerance)


@contract
def new_numbers_do_not_compile_again(tx: Any, params: Tree, extra: Extra) -> None:
    """One compilation serves every value of every number, and every state."""
    traces = []

    @jax.jit
    def traced(tx: Any, *arguments: Any) -> Any:
        traces.append(tx)
        return update(tx, *arguments)

    (gradient, *_), state = ordinary_gradients(params), tx.init(params)
    for _ in range(2):  # what is traced once is compiled once
        traced.eval_shape(tx, gradient, state, params, extra)
        _, state = jitted_update(tx, gradient, state, params, extra)
    expect(len(traces) == 1, "the state", "one compilation", "another one for the state that update returned")
    for name, lanes in lanes_of(tx).items():
        for lane in lanes:
            traced.eval_shape(lane, gradient, state, params, extra)
        expect(len(traces) == 1, name, "one compilation", f"another one for {lanes[-1]}")


@contract
def vmap_equals_a_loop(tx: Any, params: Tree, extra: Extra, tolerance: float | None) -> None:
    """Each lane of ``vmap`` equals its transformation run alone; it also traces over each number by itself."""
    gradients, (_, treedef) = ordinary_gradients(params), jax.tree.flatten(tx)
    swept = lanes_of(tx)

    def lane(leaves: list[Any]) -> dict[str, Any]:
        return run(treedef.unflatten(leaves), params, gradients, extra)

    for lanes in swept.values():
        rows = list(zip(*map(jax.tree.leaves, lanes), strict=True))
        axes = [0 if any(np.any(x != row[0]) for x in row) else None for row in rows]
        columns = [
            row[0] if axis is None else jnp.stack([jnp.asarray(x) for x in row])
            for row, axis in zip(rows, axes, strict=True)
        ]
        jax.eval_shape(jax.vmap(lane, in_axes=(axes,)), columns)
    if swept:
        every = {"as it is": tx} | {
            f"{name}, lane {n}": lane for name, lanes in swept.items() for n, lane in enumerate(lanes) if n
        }
        rows = zip(*map(jax.tree.leaves, every.values()), strict=True)
        stacked = [jnp.stack([jnp.asarray(x) for x in row]) for row in rows]
        made = jax.tree.map(lambda x: np.asarray(plain(x)), jax.jit(jax.vmap(lane))(stacked))
        for n, (name, alone) in enumerate(every.items()):
            own = jax.tree.map(lambda x, n=n: x[n], made)
            single = jax.tree.map(plain, run(alone, params, gradients, extra, jitted_update))
            expect_close(single, own, f"{name}: ", tolerance)


@contract
def derivatives_are_finite(tx: Any, params: Tree, extra: Extra) -> None:
    """The updates have finite derivatives with respect to every number, at zero gradients too."""

    @jax.grad
    def derivative(tx: Any, gradients: list[Tree]) -> Any:
        made = run(tx, params, gradients, extra)
        return sum(jnp.sum(jnp.real(u).astype(jnp.float32)) for u in jax.tree.leaves(made["updates"]))

    if jax.tree.leaves(tx):
        ordinary = ordinary_gradients(params)
        for what, gradients in (("", ordinary), ("at zero gradients: ", jax.tree.map(jnp.zeros_like, ordinary))):
            with jax.disable_jit():  # cheaper than to compile
                found = derivative(tx, gradients)
            expect_finite(found, what)


# Structure and precision ----------------------------------------------------------------------------------------------


@contract
def scan_carry_keeps_its_kind(tx: Any, params: Tree, extra: Extra) -> None:
    """Structure, shapes and dtypes of the state stay as they are, in bfloat16, float32 and float64: ``scan`` runs."""

    def carried(carry: Any, gradient: Tree) -> Any:
        update, state = tx.update(gradient, carry[1], carry[0], **extra)
        return (apply_updates(carry[0], update), state), update

    for dtype in ("bfloat16", "float32", "float64"):
        with precision_of(dtype):
            cast = trees.cast(params, dtype)
            gradients = ordinary_gradients(cast)
            before = jax.eval_shape(lambda cast=cast: (cast, tx.init(cast)))
            after, _ = jax.eval_shape(carried, before, gradients[0])
            expect_same_kind(before, after, f"{dtype}: ")
            stacked = jax.tree.map(lambda *xs: jnp.stack(xs), *gradients)
            jax.eval_shape(lambda cast=cast, g=stacked: jax.lax.scan(carried, (cast, tx.init(cast)), g))


@contract
def updates_have_the_wider_dtype(tx: Any, params: Tree, extra: Extra) -> None:
    """An update has the dtype of its gradient, or of its parameter where that is wider: so nothing is rounded twice."""
    for of_params in ("bfloat16", "float32", "float64"):
        for of_gradient in ("float16", "bfloat16", "float32", "float64"):
            with precision_of("float64" if "float64" in (of_params, of_gradient) else "float32"):
                cast = trees.cast(params, of_params)
                gradient = trees.cast(ordinary_gradients(params)[0], of_gradient)
                state = jax.eval_shape(tx.init, cast)
                update, _ = jax.eval_shape(lambda g, s, p: tx.update(g, s, p, **extra), gradient, state, cast)
                with jax.numpy_dtype_promotion("standard"):
                    wider = str(jnp.promote_types(of_gradient, of_params))
                expected = jax.eval_shape(lambda g=gradient, wider=wider: trees.cast(g, wider))
                expect_same_kind(expected, update, f"{of_gradient} gradients of {of_params} parameters: ")


@contract
def missing_leaves_stay_missing(tx: Any, params: Tree, extra: Extra) -> None:
    """``None`` among the parameters is ``None`` in the update; a tree may be all ``None``, or empty."""
    (first, *rest), treedef = trees.flatten(params)
    one_gone, all_gone = treedef.unflatten([None, *rest]), treedef.unflatten([None for _ in (first, *rest)])
    for tree in (one_gone, all_gone, {}, ()):
        with jax.disable_jit():  # cheaper than to compile
            made, _ = tx.update(tree, tx.init(tree), tree, **extra)
        expect_same_kind(tree, made)


@contract
def zero_gradients_stay_finite(tx: Any, params: Tree, extra: Extra) -> None:
    """Zero gradients give finite updates and states, in float16, bfloat16, float32 and float64."""
    for dtypes in (("float16", "bfloat16", "float32"), ("float64",)):
        with precision_of(dtypes[-1]):
            casts = {dtype: trees.cast(params, dtype) for dtype in dtypes}
            states = {dtype: tx.init(cast) for dtype, cast in casts.items()}
            zeros = {dtype: trees.map(jnp.zeros_like, cast) for dtype, cast in casts.items()}
            for _ in range(UPDATES):
                with jax.disable_jit():  # cheaper than to compile
                    made = {k: tx.update(zeros[k], states[k], casts[k], **extra) for k in dtypes}
                for dtype in dtypes:
                    expect_finite(made[dtype], f"{dtype}: ")
                states = {dtype: state for dtype, (_, state) in made.items()}


@contract
def state_of_a_leaf_depends_on_that_leaf_alone(tx: Any, params: Tree, extra: Extra) -> None:
    """The state of a parameter has the same shapes and dtypes with and without the other parameters.

    These may be any: factors, codes and scales, keys. `jax.eval_shape` of ``init`` must find them from shapes alone.
    """
    state = tx.init(params)
    expect_same_kind(jax.eval_shape(lambda: state), jax.eval_shape(tx.init, params))
    leaves, treedef = trees.flatten(params)
    for n, path in enumerate(trees.paths(params)):
        alone = jax.eval_shape(tx.init, treedef.unflatten([leaf if k == n else None for k, leaf in enumerate(leaves)]))
        whole = dict(zip(trees.paths(state), trees.flatten(state)[0], strict=True))
        for place, x in zip(trees.paths(alone), trees.flatten(alone)[0], strict=True):
            if x is not None and path and f".{place}.".find(f".{path}.") >= 0:
                found = whole.get(place)
                kinds = [(str(y.dtype), y.shape) if y is not None else None for y in (found, x)]
                expect(kinds[0] == kinds[1], f"state leaf {place}", kinds[0], kinds[1])


@contract
def sharding_of_the_state_follows_the_parameters(tx: Any, params: Tree, extra: Extra) -> None:
    """State that is shaped like a parameter is laid out like it, from ``init`` and from ``jit(init)``.

    It needs more than one device: with one, nothing is checked.
    """
    devices = jax.devices()
    if len(devices) == 1:
        return
    mesh = jax.sharding.Mesh(np.array(devices), ("devices",))

    def spread(x: jax.Array) -> jax.Array:
        wide = jnp.tile(x, (*[1] * (x.ndim - 1), len(devices))) if x.ndim else x
        spec = jax.sharding.PartitionSpec(*[None] * (x.ndim - 1), "devices") if x.ndim else jax.sharding.PartitionSpec()
        return jax.device_put(wide, jax.sharding.NamedSharding(mesh, spec))

    sharded = trees.map(spread, params)
    for how, init in (("init", tx.init), ("jit(init)", jax.jit(tx.init))):
        for path, leaf, param in beside(init(sharded), sharded):
            if param is not None and leaf.shape == param.shape:
                same = leaf.sharding.is_equivalent_to(param.sharding, param.ndim)
                expect(same, f"{how}: state leaf {path}", param.sharding, leaf.sharding)


# Values ---------------------------------------------------------------------------------------------------------------


@contract
def update_is_pure(tx: Any, params: Tree, extra: Extra) -> None:
    """The same arguments give the same results, compiled or not, and are not changed."""
    gradient, state = ordinary_gradients(params)[0], tx.init(params)
    arguments = (gradient, state, params)
    before = jax.tree.map(jnp.copy, arguments)
    first, second = (tx.update(gradient, state, params, **extra) for _ in range(2))
    expect_equal(before, arguments, "argument ")
    expect_equal(first, second, "the second time: ")
    with jax.disable_jit():
        first, second = (tx.update(gradient, state, params, **extra) for _ in range(2))
    expect_equal(first, second, "the second time: ")


@contract
def state_survives_a_checkpoint(tx: Any, params: Tree, extra: Extra) -> None:
    """A state that was saved as NumPy arrays and restored continues exactly as before."""
    first, second = ordinary_gradients(params)
    _, state = jitted_update(tx, first, tx.init(params), params, extra)
    arrays = [np.asarray(plain(leaf)) for leaf in jax.tree.leaves(state)]
    template = jax.tree.structure(jax.eval_shape(tx.init, params))
    expect(template == jax.tree.structure(state), "the state", template, jax.tree.structure(state))
    kinds = jax.tree.leaves(jax.eval_shape(tx.init, params))
    restored = template.unflatten([as_it_was(array, kind) for array, kind in zip(arrays, kinds, strict=True)])
    went_on, resumed = (jitted_update(tx, second, s, params, extra) for s in (state, restored))
    expect_equal(went_on, resumed)


@contract
def pickle_gives_the_same_back(tx: Any, params: Tree, extra: Extra) -> None:
    """It pickles, if all that it holds can be imported: a lambda, or a factory inside a function, cannot."""
    try:
        pickled = pickle.dumps(tx)
    except (pickle.PicklingError, AttributeError) as error:
        if (
            "<locals>" in str(error)
            or "<lambda>" in str(error)
            or "not the same object" in str(error)
            or "attribute lookup" in str(error)
        ):
            return  # something in it cannot be imported
        raise
    back = pickle.loads(pickled)
    expect(back == tx, "pickle", tx, back)


@contract
def repr_is_the_call_that_makes_it(tx: Any, params: Tree, extra: Extra) -> None:
    """It prints as the call of its factory; evaluating that makes it again, if its numbers and structure can print."""
    printed = repr(tx)
    expect(printed.startswith(f"{tx.call.name}("), "repr", f"a call of {tx.call.name}", printed)
    if "<" not in printed and all(isinstance(x, float) for x in jax.tree.leaves(tx)):
        again = eval(printed, {"inf": math.inf, **names_in(tx)})
        expect(again == tx, "repr", tx, again)


@contract
def equal_means_equal_structure_and_numbers(tx: Any, params: Tree, extra: Extra) -> None:
    """A copy is equal and has the same hash; another number, or something else, is not equal."""
    copy = jax.tree.unflatten(*reversed(jax.tree.flatten(tx)))
    expect(tx == copy and hash(tx) == hash(copy), "a copy", "equal, and the same hash", "another value")
    for name, lanes in lanes_of(tx).items():
        for lane in lanes[1:]:
            expect(tx != lane, name, "different numbers not to be equal", f"{tx} == {lane}")
    for other in (None, 1.0, tx.update):
        expect(tx != other, "a comparison", "not equal", f"{tx} == {other}")


@contract
def flattening_keeps_everything(tx: Any, params: Tree, extra: Extra) -> None:
    """Unflattening undoes flattening, with any objects as leaves; all paths differ, and `replace` knows every name."""
    leaves, treedef = jax.tree.flatten(tx)
    expect(jax.tree.structure(treedef.unflatten(leaves)) == treedef, "the structure", treedef, "another one")
    anything = [object() for _ in leaves]
    found = jax.tree.leaves(treedef.unflatten(anything))
    expect(len(found) == len(leaves) and all(map(operator.is_, anything, found)), "the leaves", anything, found)
    paths = [trees.path_name(path) for path, _ in jax.tree_util.tree_leaves_with_path(tx)]
    expect(len(set(paths)) == len(leaves), "the paths", f"{len(leaves)} different ones", paths)
    for name, value in hyperparameters(tx).items():
        expect(tx.replace({name: value}) == tx, f"replace({name})", tx, tx.replace({name: value}))


@contract
def wrong_gradients_are_located(tx: Any, params: Tree, extra: Extra) -> None:
    """A gradient that is missing, of another shape, or made of integers is an error that names the leaf."""
    gradient, state = ordinary_gradients(params)[0], tx.init(params)
    leaves, treedef = trees.flatten(gradient)
    updates = trees.flatten(tx.update(gradient, state, params, **extra)[0])[0]
    wrong = {}
    for n, (path, leaf) in enumerate(zip(trees.paths(gradient), leaves, strict=True)):
        if leaf is not None and np.any(np.asarray(updates[n])):  # what comes in for a frozen leaf does not matter
            instead = {"None": None, "integers": jnp.ones(leaf.shape, int), "another shape": jnp.ones((1,) * leaf.ndim)}
            for what, x in instead.items():
                if what != "another shape" or leaf.size > 1:
                    bad = treedef.unflatten([x if k == n else good for k, good in enumerate(leaves)])
                    wrong[f"{what} in place of leaf {path}"] = path, bad
    for name in gradient if isinstance(gradient, dict) else ():
        wrong[f"no {name} among the gradients"] = name, {key: gradient[key] for key in gradient if key != name}
    for what, (path, bad) in wrong.items():
        expect_located(lambda bad=bad: tx.update(bad, state, params, **extra), path, what)
