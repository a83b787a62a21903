"""How the states of Optax's ``contrib`` and of gradtx correspond; see `gradtx._interop.layouts`.

Each entry is a function of a transformation and of ``inside(tx)``, the layout of what a wrapper goes around.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradtx._interop import optax_types as T
from gradtx._interop.pieces import IS_FIRST, Layout, Piece, is_node, said
from gradtx._numeric.newton_schulz import SCHEDULES
from gradtx._value.errors import TransformationError

Make = Callable[[Any, Callable[[Any], Layout]], Layout]


def _one(layout: Layout) -> Make:
    return lambda tx, inside: layout


def _dog(tx: Any, inside: Any) -> Layout:
    from_rate = tx.given["kind"].value == "learning_rate"  # else nothing depends on which step is the first
    return T.DoGState(IS_FIRST if from_rate else said(False), "init_params", "max_dist", "sum_sq_norm_grads")


def _galore(tx: Any, inside: Any) -> Layout:
    base = inside(tx.given["base_optimizer"])
    of_one = isinstance(base, tuple) and len(base) == 1
    return T.GaLoreState("count", base[0] if of_one else base, "projector")


def _mechanic(tx: Any, inside: Any) -> Layout:
    return T.MechanicState(inside(tx.given["base_optimizer"]), "count", "r", "m", "v", "s", "x0")


def _muon(tx: Any, inside: Any) -> Layout:
    given = tx.given["ns_coeffs"]
    if isinstance(given, str):  # Optax has three numbers where all steps have the same
        rows = SCHEDULES[given]
        given = rows[0] if len(set(rows)) == 1 else rows
    return T.MuonState("count", "scale_by_ewma.mu", said(given))


def with_averages(state: Any, params: Any) -> Any:
    """A state in which each `schedule_free` has its average x, which Optax finds from y and z: y is (1 − β₁)z + β₁x.

    y are the parameters, of which z has those that a mask leaves in.
    """
    return jax.tree.map(lambda x: _with_average(x, params) if _has_none(x) else x, state, is_leaf=_has_none)


def _has_none(state: Any) -> bool:
    return isinstance(state, T.ScheduleFreeState) and state.x is None


def _with_average(state: Any, params: Any) -> Any:
    b1 = np.float64(state.b1)
    if b1 == 0:
        raise TransformationError("from_optax_state: b1: expected more than 0, found 0, where no average is kept")

    def average(z: Any, y: Any) -> Any:
        return z if is_node(z) else y + (1 / b1 - 1).astype(y.dtype) * (y - z.astype(y.dtype))

    inner = with_averages(state.base_optimizer_state, params)
    return state._replace(x=jax.tree.map(average, state.z, params, is_leaf=is_node), base_optimizer_state=inner)


def _schedule_free(tx: Any, inside: Any) -> Layout:
    base = inside(tx.given["base_optimizer"])
    from_one = Piece(("count",), lambda count: count + 1, lambda count: (count - 1,))
    return T.ScheduleFreeState(said(jnp.asarray(tx.b1, float)), "weight_sum", from_one, "max_lr", base, "z", "x")


STATES = {
    "dadapt_adamw": T.DAdaptAdamWState("exp_avg", "exp_avg_sq", "grad_sum", "estim_lr", "numerator_weighted", "count"),
    "momo": T.MomoState("exp_avg", "barf", "gamma", "lb", "count"),
    "momo_adam": T.MomoAdamState("exp_avg", "exp_avg_sq", "barf", "gamma", "lb", "count"),
    "normalize": T.EmptyState(),
    "prodigy": T.ProdigyState(
        "exp_avg", "exp_avg_sq", "grad_sum", "params0", "estim_lr", "numerator_weighted", "count"
    ),
    "reduce_on_plateau": T.ReduceLROnPlateauState(
        "scale", "best_value", "plateau_count", "cooldown_count", "accumulated", "avg_value"
    ),
    "scale_by_acprop": T.ScaleByBeliefState("count", "mu", "nu"),
    "scale_by_ademamix": T.ScaleByAdemamixState("count", "count", "m1", "m2", "nu"),
    "scale_by_adopt": T.ScaleByAdamState("count", "mu", "nu"),
    "scale_by_cocob": T.COCOBState("init_particles", "cumulative_gradients", "scale", "subgradients", "reward"),
    "scale_by_dowg": T.DoWGState("init_params", "weighted_sq_norm_grads", "estim_sq_dist"),
    "scale_by_madgrad": T.MadgradState("count", "grad_sum_sq", "s", "x0"),
    "scale_by_simplified_ademamix": T.ScaleBySimplifiedAdEMAMixState("count", "m", "n"),
    "scale_by_sophia": T.SophiaState("count", "mu", "nu", "inner"),
    "snapshot": T.SnapshotState("measurement"),
    "stateless": T.EmptyState(),
    "stateless_with_tree_map": T.EmptyState(),
}
WRAPPED: Mapping[str, Make] = {
    **{name: _one(layout) for name, layout in STATES.items()},
    "mechanize": _mechanic,
    "scale_by_dog": _dog,
    "scale_by_galore": _galore,
    "scale_by_muon": _muon,
    "schedule_free": _schedule_free,
    "split_real_and_imaginary": lambda tx, inside: T.SplitRealAndImaginaryState(inside(tx.given["inner"])),
}
