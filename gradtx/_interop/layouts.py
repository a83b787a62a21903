"""How the states of Optax and of gradtx correspond: for a transformation, Optax's state with our paths in it.

A layout is a pytree of Optax's named tuples. Each of its leaves says where that part is kept in our state: a dotted
path, or a `Piece` where the two differ in form. So one description serves both directions.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax

from gradtx._interop import optax_types as T
from gradtx._rules.transformation import GradientTransformation, opened
from gradtx._schedules.schedule import is_scheduled

Layout = Any
CLOCK = ("count", "key")


class Piece:
    """A part of Optax's state that is made of entries of ours: ``out(*entries)``, and ``back(part) -> entries``."""

    def __init__(self, paths: tuple[str, ...], out: Callable[..., Any], back: Callable[[Any], tuple[Any, ...]]):
        self.paths, self.out, self.back = paths, out, back

    @classmethod
    def of(cls, leaf: Any) -> "Piece":
        """A leaf of a layout as a piece."""
        return leaf if isinstance(leaf, Piece) else cls((leaf,), lambda x: x, lambda x: (x,))

    def moved(self, where: Callable[[str], str]) -> "Piece":
        """The same piece at other paths."""
        return Piece(tuple(map(where, self.paths)), self.out, self.back)


def layout_of(tx: GradientTransformation) -> Layout:
    """Optax's state for a transformation, with our paths in it; a part that Optax does not have is kept as ours is."""
    if tx.call.name in LAYOUTS:
        return LAYOUTS[tx.call.name](tx)
    made = opened(tx)
    return layout_of(made) if isinstance(made, GradientTransformation) else ""


def moved(layout: Layout, where: Callable[[str], str]) -> Layout:
    """The layout with other paths."""
    return jax.tree.map(lambda leaf: Piece.of(leaf).moved(where), layout)


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
    found: list[Layout] = []
    rest = tx.given["links"].triples()
    while rest:
        run = next(run for run in range(len(rest), 0, -1) if run == 1 or _pattern(rest[:run]) is not None)
        pattern = _pattern(rest[:run])
        found.append(_alone(*rest[0]) if pattern is None else pattern)
        rest = rest[run:]

    return tuple(found)


def _alone(name: str, given: str | None, link: GradientTransformation) -> Layout:
    layout = linked(name, link)
    of_one = given is not None and link.call.associative and isinstance(layout, tuple) and len(layout) == 1
    return layout[0] if of_one else layout  # a chain of one link, there to have a name


def _pattern(links: list[tuple[str, str | None, GradientTransformation]]) -> Layout:
    """The one state that Optax has for several of our links; None where it has none."""
    layout = TOGETHER.get(tuple(link.call.name for _, _, link in links))
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

    def out(x: Any) -> Any:
        return jax.tree.map(lambda y: T.MaskedNode() if y is None else y, x, is_leaf=lambda y: y is None)

    def is_node(x: Any) -> bool:
        return isinstance(x, T.MaskedNode)

    def under(leaf: Any) -> Piece:
        piece = Piece.of(leaf)
        back = lambda x: jax.tree.map(lambda y: None if is_node(y) else y, x, is_leaf=is_node)  # noqa: E731
        return Piece(piece.paths, lambda *x: out(piece.out(*x)), lambda x: piece.back(back(x)))

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


def _with_hyperparams(tx: GradientTransformation) -> Layout:
    return T.InjectStatefulHyperparamsState(
        "inner_state.count", "hyperparams", {}, inside(tx.given["inner"], "inner_state")
    )


def _decay(tx: GradientTransformation) -> Layout:
    bare = _scheduled("weight_decay")(tx)
    return bare if tx.given["mask"].value is None else T.MaskedState(bare)


def _scheduled(name: str) -> Callable[[GradientTransformation], Layout]:
    return lambda tx: T.ScaleByScheduleState("count") if is_scheduled(tx.given[name]) else T.EmptyState()


def _scaled_by(name: str, uncounted: Any, counted: Any) -> Callable[[GradientTransformation], Layout]:
    return lambda tx: counted if tx.given[name].value else uncounted


def _one(layout: Layout) -> Callable[[GradientTransformation], Layout]:
    return lambda tx: layout


# Several links of ours for one of Optax.
TOGETHER: Mapping[tuple[str, ...], Layout] = {
    ("trace", "nesterov_lookahead"): T.TraceState("trace.trace"),
    **{
        ("scale_by_ewma", corrected, "scale_by_rms"): T.ScaleByAdamState("count", "scale_by_ewma.mu", "scale_by_rms.nu")
        for corrected in ("bias_correction", "nesterov_bias_correction")
    },
    ("scale_by_ewma", "bias_correction", "scale_by_infinity_norm"): T.ScaleByAdamState(
        "count", "scale_by_ewma.mu", "scale_by_infinity_norm.nu"
    ),
    ("scale_by_ewma", "bias_correction", "scale_by_max_rms"): T.ScaleByAmsgradState(
        "count", "scale_by_ewma.mu", "scale_by_max_rms.nu", "scale_by_max_rms.nu_max"
    ),
}
STATELESS = ("identity", "scale", "clip", "clip_by_global_norm", "centralize", "set_to_zero", "scale_by_sign")
LAYOUTS: Mapping[str, Callable[[GradientTransformation], Layout]] = {
    **{name: _one(T.EmptyState()) for name in STATELESS},
    "chain": _chain,
    "masked": _masked,
    "partition": _partition,
    "accumulate": lambda tx: _steps(tx, "inner"),
    "MultiSteps": lambda tx: _steps(tx, "opt"),
    "apply_if_finite": _if_finite,
    "conditionally_transform": lambda tx: T.ConditionallyTransformState(inside(tx.given["inner"]), "count"),
    "conditionally_mask": lambda tx: T.ConditionallyMaskState("count", inside(tx.given["inner"])),
    "with_hyperparams": _with_hyperparams,
    "add_decayed_weights": _decay,
    "add_noise": _one(T.AddNoiseState("count", "key")),
    "scale_by_learning_rate": _scheduled("learning_rate"),
    "scale_by_schedule": _scheduled("step_size_fn"),
    "trace": _one(T.TraceState("trace")),
    "scale_by_lion": _one(T.ScaleByLionState("count", "mu")),
    "scale_by_rms": _scaled_by("bias_correction", T.ScaleByRmsState("nu"), T.ScaleByRmsWithCountState("count", "nu")),
    "scale_by_stddev": _scaled_by(
        "bias_correction", T.ScaleByRStdDevState("mu", "nu"), T.ScaleByRStdDevWithCountState("count", "mu", "nu")
    ),
    "scale_by_rss": _one(T.ScaleByRssState("nu")),
    "scale_by_adadelta": _one(T.ScaleByAdaDeltaState("e_g", "e_x")),
}
