"""How the states of Optax and of gradtx correspond: for a transformation, Optax's state with our paths in it.

A layout is a pytree of Optax's named tuples. Each of its leaves says where that part is kept in our state: a dotted
path, or a `Piece` where the two differ in form. So one description serves both directions.
"""

import functools
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradtx._interop import optax_types as T
from gradtx._interop.contrib_layouts import WRAPPED
from gradtx._interop.pieces import IS_FIRST, Layout, Piece, moved, said, with_nodes, without_nodes
from gradtx._rules.transformation import GradientTransformation, opened
from gradtx._schedules.schedule import at_step, is_scheduled
from gradtx._value.decay import SplitDecay
from gradtx._wrappers.chain import chain, identity

CLOCK = ("count", "key")


def layout_of(tx: GradientTransformation) -> Layout:
    """Optax's state for a transformation, with our paths in it; a part that Optax does not have is kept as ours is."""
    name = _known_as(tx)
    if name in LAYOUTS:
        return LAYOUTS[name](tx)
    if name in WRAPPED:
        return WRAPPED[name](tx, in_step)
    made = opened(tx)
    if not isinstance(made, GradientTransformation):
        return ""
    layout = _serial(made) if _known_as(made) == "chain" else layout_of(made)
    of_one = tx.call.name.startswith("scale_by_") and isinstance(layout, tuple) and len(layout) == 1
    return layout[0] if of_one else layout


def _known_as(tx: GradientTransformation) -> str:
    """The name of a factory of gradtx; those of others, and of `gradtx.optax`, may have the same names."""
    where = tx.call.body.__module__
    return tx.call.name if where.startswith("gradtx.") and not where.startswith("gradtx._optax.") else ""


def in_step(tx: GradientTransformation) -> Layout:
    """The layout of what a wrapper goes around, which reads the clock outside."""
    return moved(layout_of(tx), lambda path: path if path in CLOCK else f"inner.{path}" if path else "inner")


def linked(name: str, tx: GradientTransformation) -> Layout:
    """The layout of a link among others, which keeps its state under its name, and its clock with theirs."""

    def where(path: str) -> str:
        if path in (*CLOCK, name):  # a field that has the name of its link is not kept one level deeper
            return path
        return f"{name}.{path}" if path else name

    return moved(layout_of(tx), where)


def inside(tx: GradientTransformation, name: str = "inner") -> Layout:
    """The layout of what a wrapper goes around, which keeps its own clock."""
    return moved(layout_of(tx), lambda path: f"{name}.{path}" if path else name)


# The table ------------------------------------------------------------------------------------------------------------


def _chain(tx: GradientTransformation) -> Layout:
    """A tuple, or a mapping where all links have names of their own, as in Optax's ``named_chain``."""
    triples = tx.given["links"].triples()
    if triples and all(given is not None for _, given, _ in triples):
        return OrderedDict((name, _alone(name, given, link)) for name, given, link in triples)
    return _serial(tx)


def _serial(tx: GradientTransformation) -> Layout:
    return tuple(_alone(*run[0]) if len(run) == 1 else _pattern(run) for run in _runs(tx))


def _runs(tx: GradientTransformation) -> Iterator[list[Any]]:
    """The links of a chain, in runs that are one state of Optax each."""
    rest = tx.given["links"].triples()
    while rest:
        run = next(run for run in range(len(rest), 0, -1) if run == 1 or _pattern(rest[:run]) is not None)
        yield rest[:run]
        rest = rest[run:]


def separated(tx: GradientTransformation) -> list[GradientTransformation] | None:
    """The parts of a recipe that have a state of their own in Optax; None where it is no chain of such parts."""
    name = _known_as(tx)
    if name != "chain" and name not in PLACES and name in (*LAYOUTS, *WRAPPED):
        return None
    made = tx if name == "chain" else opened(tx)
    if not isinstance(made, GradientTransformation):
        return None
    if _known_as(made) != "chain":
        return separated(made)
    parts = [run[0][2] if len(run) == 1 else chain(*(link for _, _, link in run)) for run in _runs(made)]
    number, first = PLACES.get(name, (None, True))
    if number is None or tx.given[number] is not None:
        return parts
    return [identity(), *parts] if first else [*parts, identity()]


def _alone(name: str, given: str | None, link: GradientTransformation) -> Layout:
    layout = linked(name, link)
    of_one = given is not None and link.call.associative and isinstance(layout, tuple) and len(layout) == 1
    return layout[0] if of_one else layout  # a chain of one link, there to have a name


def _pattern(links: list[tuple[str, str | None, GradientTransformation]]) -> Layout:
    """The one state that Optax has for several of our links; None where it has none."""
    layout = TOGETHER.get(tuple(_known_as(link) for _, _, link in links))
    named = {link.call.name: name for name, _, link in links}
    return None if layout is None else moved(layout, lambda path: _renamed(path, named))


def _renamed(path: str, named: Mapping[str, str]) -> str:
    factory, _, field = path.partition(".")
    name = named.get(factory, factory)
    return f"{name}.{field}" if field and (name, factory) != (field, field) else name


def _masked(tx: GradientTransformation) -> Layout:
    return T.MaskedState(hidden(layout_of(tx.given["inner"])))


def hidden(layout: Layout) -> Layout:
    """The layout under a mask: where we keep None, Optax keeps a node of its own."""

    def under(leaf: Any) -> Piece:
        piece = Piece.of(leaf)
        out, back = (lambda *x: with_nodes(piece.out(*x))), (lambda x: piece.back(without_nodes(x)))
        return Piece(piece.paths, out, back, whole=piece.whole)

    return jax.tree.map(under, layout)


def _partition(tx: GradientTransformation) -> Layout:
    labels = _labels(tx.given["param_labels"].value)
    groups = zip(tx.given["transforms"].names(), tx.given["transforms"].values, strict=True)
    return T.PartitionState({labels.get(name, name): T.MaskedState(hidden(linked(name, x))) for name, x in groups})


def _labels(given: Any) -> dict[str, Any]:
    """The labels by the names of their groups, where they can be seen."""
    return {} if callable(given) else {str(label): label for label in jax.tree.leaves(given)}


def _steps(tx: GradientTransformation, inner: str) -> Layout:
    skips = "should_skip_update_fn" in tx.given and tx.given["should_skip_update_fn"].value is not None
    remembered = "skip_state" if skips else ()
    return T.MultiStepsState("mini_step", "gradient_step", inside(tx.given[inner]), "acc_grads", remembered)


def _if_finite(tx: GradientTransformation) -> Layout:
    fields = ("notfinite_count", "last_finite", "total_notfinite")
    return T.ApplyIfFiniteState(*fields, inside(tx.given["inner"]))


def _sam(tx: GradientTransformation) -> Layout:
    """Optax's parameters always move; what it keeps for that is not there in an opaque step."""
    opaque = tx.given["opaque_mode"].value
    if not (opaque or tx.given["moves_params"].value):
        return ""
    turn = said(np.int32(0)) if opaque else "steps_since_sync"
    states = inside(tx.given["optimizer"]), inside(tx.given["adv_optimizer"], "adv")
    return T.SAMState(turn, *states, None if opaque else "cache")


def _with_hyperparams(tx: GradientTransformation) -> Layout:
    """Optax makes the inner transformation of numbers, and its schedules count for themselves."""
    inner = tx.given["inner"]
    scheduled = [name for name, x in inner.given.items() if is_scheduled(x)]
    kept = inner.replace({name: at_step(inner.given[name], jnp.zeros([], jnp.int32)) for name in scheduled})
    rounded = tx.given["dtype"].value is not None
    decays = {} if rounded else {name: x for name, x in inner.given.items() if isinstance(x, SplitDecay)}
    states = {name: f"hyperparams_states.{name}" for name in dict(tx.given["stateful"].value or {})}

    def exact(found: dict[str, Any]) -> dict[str, Any]:
        """What float32 does not hold of a decay, where float64 does."""
        rest = {n: jnp.where(found[n] == x.near, x.rest, 0) for n, x in decays.items() if n in found}
        return {n: x.astype(float) + rest[n] if n in rest else x for n, x in found.items()}

    return T.InjectStatefulHyperparamsState(
        "inner_state.count",
        Piece(("hyperparams",), exact, lambda found: (found,)),
        {name: T.WrappedScheduleState("inner_state.count") for name in scheduled} | states,
        inside(kept, "inner_state"),
    )


def _decay(tx: GradientTransformation) -> Layout:
    bare = T.WeightDecaySchedule("count") if is_scheduled(tx.given["weight_decay"]) else T.EmptyState()
    return bare if tx.given["mask"].value is None else T.MaskedState(bare)


def _scheduled(name: str) -> Callable[[GradientTransformation], Layout]:
    return lambda tx: T.ScaleByScheduleState("count") if is_scheduled(tx.given[name]) else T.EmptyState()


def _apply_every(tx: GradientTransformation) -> Layout:
    """Optax counts from the last sum."""
    count = Piece(("count",), lambda n: n % jnp.asarray(tx.given["k"]).astype(n.dtype), lambda n: (n,))
    return T.ApplyEvery(count, "grad_acc")


def _scaled_by(name: str, uncounted: Any, counted: Any) -> Callable[[GradientTransformation], Layout]:
    return lambda tx: counted if tx.given[name].value else uncounted


def _one(layout: Layout) -> Callable[[GradientTransformation], Layout]:
    return lambda tx: layout


# Where a number is not given, Optax has an empty state all the same: in the first place, or else in the last.
PLACES = {
    "dog": ("weight_decay", True),
    "dowg": ("weight_decay", True),
    "rmsprop": ("momentum", False),
    "sgd": ("momentum", True),
}


def _with_place(tx: GradientTransformation) -> Layout:
    made, (number, first) = layout_of(opened(tx)), PLACES[tx.call.name]
    if tx.given[number] is not None:
        return made
    return (T.EmptyState(), *made) if first else (*made, T.EmptyState())


def _fromage(tx: GradientTransformation) -> Layout:
    if not is_scheduled(tx.given["learning_rate"]):
        return (T.EmptyState(),) * 3
    return T.EmptyState(), T.ScaleByScheduleState("count"), T.WeightDecaySchedule("count")


def _optimistic(tx: GradientTransformation) -> Layout:
    return T.ScaleByOptimisticGradientState(IS_FIRST, "previous_gradient")


def _of_one(name: str) -> Piece:
    """One number for each leaf: an array of one in Optax."""
    return Piece(
        (name,),
        lambda x: jax.tree.map(lambda x: jnp.reshape(x, (1,)), x),
        lambda x: (jax.tree.map(lambda x: jnp.reshape(x, ()), x),),
    )


def _lbfgs(tx: GradientTransformation) -> Layout:
    """Optax's count says where in its memory the next pair goes; here some pairs are not kept."""
    memory = ("params", "updates", "diff_params_memory", "diff_updates_memory", "weights_memory")
    count = Piece(("count", "pairs"), lambda _, pairs: pairs + 1, lambda count: (count, count - 1))
    return T.ScaleByLBFGSState(count, *memory)


def _search(tx: GradientTransformation) -> Layout:
    """Optax does not say whether a search has failed."""
    steps = Piece(("num_linesearch_steps", "failed"), lambda n, failed: n, lambda n: (n, jnp.zeros([], bool)))
    if tx.call.name == "scale_by_zoom_linesearch":
        info = T.ZoomLinesearchInfo(steps, "decrease_error", "curvature_error")
        return T.ScaleByZoomLinesearchState("learning_rate", "value", "grad", info)
    grad = "grad" if tx.given["store_grad"].value else None
    info = T.BacktrackingLinesearchInfo(steps, "decrease_error")
    return T.ScaleByBacktrackingLinesearchState("learning_rate", "value", grad, info)


def _sm3(tx: GradientTransformation) -> Layout:
    """Optax calls the momentum ν, and the covers of each axis, in a list, μ."""

    def out(covers: Any, momentum: Any) -> Any:
        leaves, treedef = jax.tree.flatten(momentum)
        kept = treedef.unflatten([list(each) for each in treedef.flatten_up_to(covers)])
        return T.ScaleBySM3State(kept, treedef.unflatten(leaves))

    def back(state: Any) -> tuple[Any, Any]:
        treedef = jax.tree.structure(state.nu)
        return treedef.unflatten([tuple(each) for each in treedef.flatten_up_to(state.mu)]), state.nu

    return Piece(("nu", "mu"), out, back)


def _is_split(x: Any) -> bool:
    return isinstance(x, dict) and set(x) == {"row", "col"}


def _factored(tx: GradientTransformation) -> Layout:
    """Rows and columns are trees of their own in Optax, with one zero for what is not there."""

    def out(nu: Any, count: Any) -> Any:
        none = lambda x: jnp.zeros((1,), x.dtype)  # noqa: E731
        split = lambda x, name, whole: (x[name] if name else none(x["row"])) if _is_split(x) else whole(x)  # noqa: E731
        row, col, all_of_it = (
            jax.tree.map(functools.partial(split, name=name, whole=whole), nu, is_leaf=_is_split)
            for name, whole in (("row", none), ("col", none), (None, lambda x: x))
        )
        return T.FactoredState(count, row, col, all_of_it)

    def back(state: Any) -> tuple[Any, Any]:
        def joined(row: Any, col: Any, all_of_it: Any) -> Any:
            factored = jnp.shape(all_of_it) == (1,) and (jnp.ndim(row) > 1 or jnp.shape(row) != (1,))
            return {"row": row, "col": col} if factored else all_of_it

        return jax.tree.map(joined, state.v_row, state.v_col, state.v), state.count

    return Piece(("nu", "count"), out, back)


# Several links of ours for one of Optax.
ADAM_LIKE = {
    (*first, second): T.ScaleByAdamState("count", "scale_by_ewma.mu", f"{second}.nu")
    for first in (("scale_by_ewma", "bias_correction"), ("scale_by_ewma", "nesterov_bias_correction"))
    for second in ("scale_by_rms", "scale_by_infinity_norm", "scale_by_rectified_rms")
}
AMSGRAD = T.ScaleByAmsgradState("count", "scale_by_ewma.mu", "scale_by_max_rms.nu", "scale_by_max_rms.nu_max")
TOGETHER: Mapping[tuple[str, ...], Layout] = {
    ("trace", "nesterov_lookahead"): T.TraceState("trace.trace"),
    ("scale_by_ewma", "scale_by_max_rms"): AMSGRAD,
    ("scale_by_ewma", "bias_correction", "scale_by_max_rms"): AMSGRAD,
    **ADAM_LIKE,
}
STATELESS = (
    "adaptive_grad_clip", "centralize", "clip", "clip_by_block_rms", "clip_by_global_norm", "identity",
    "keep_params_nonnegative", "normalize_by_update_norm", "scale", "scale_by_param_block_norm",
    "scale_by_param_block_rms", "scale_by_polyak", "scale_by_shape", "scale_by_sign", "scale_by_trust_ratio",
    "set_to_zero",
)  # fmt: skip
LAYOUTS: Mapping[str, Callable[[GradientTransformation], Layout]] = {
    **{name: _one(T.EmptyState()) for name in STATELESS},
    **dict.fromkeys(PLACES, _with_place),
    "MultiSteps": lambda tx: _steps(tx, "opt"),
    "accumulate": lambda tx: _steps(tx, "inner"),
    "add_decayed_weights": _decay,
    "add_noise": _one(T.AddNoiseState("count", "key")),
    "apply_every": _apply_every,
    "apply_if_finite": _if_finite,
    "chain": _chain,
    "conditionally_mask": lambda tx: T.ConditionallyMaskState("count", inside(tx.given["inner"])),
    "conditionally_transform": lambda tx: T.ConditionallyTransformState(inside(tx.given["inner"]), "count"),
    "ema": _one(T.EmaState("count", "mu")),
    "flatten": lambda tx: layout_of(tx.given["inner"]),
    "fromage": _fromage,
    "masked": _masked,
    "partition": _partition,
    "polyak_sgd": lambda tx: ((T.EmptyState(), T.EmptyState()), T.EmptyState()),
    "sam": _sam,
    "scale_by_adadelta": _one(T.ScaleByAdaDeltaState("e_g", "e_x")),
    "scale_by_adan": _one(T.ScaleByAdanState("m", "v", "n", "g", "count")),
    "scale_by_belief": _one(T.ScaleByBeliefState("count", "mu", "nu")),
    "scale_by_distance_over_gradients": _one(
        T.ScaleByDistanceOverGradientsState("max_dist", _of_one("grad_sum_of_squares"), "init_params")
    ),
    "scale_by_backtracking_linesearch": _search,
    "scale_by_ewma": _one(T.EmaState("count", "mu")),
    "scale_by_factored_rms": _factored,
    "scale_by_lbfgs": _lbfgs,
    "scale_by_learning_rate": _scheduled("learning_rate"),
    "scale_by_lion": _one(T.ScaleByLionState("count", "mu")),
    "scale_by_novograd": _one(T.ScaleByNovogradState("count", "mu", "nu")),
    "scale_by_optimistic_gradient": _optimistic,
    "scale_by_rms": _scaled_by("bias_correction", T.ScaleByRmsState("nu"), T.ScaleByRmsWithCountState("count", "nu")),
    "scale_by_rprop": _one(T.ScaleByRpropState("step_sizes", "previous")),
    "scale_by_rss": _one(T.ScaleByRssState("nu")),
    "scale_by_schedule": _scheduled("step_size_fn"),
    "scale_by_sm3": _sm3,
    "scale_by_stddev": _scaled_by(
        "bias_correction", T.ScaleByRStdDevState("mu", "nu"), T.ScaleByRStdDevWithCountState("count", "mu", "nu")
    ),
    "scale_by_yogi": _one(T.ScaleByAdamState("count", "mu", "nu")),
    "scale_by_zoom_linesearch": _search,
    "trace": _one(T.TraceState("trace")),
    "with_hyperparams": _with_hyperparams,
    "zero_nans": _one(T.ZeroNansState("found_nan")),
}
