"""Optax's whole surface, for ``import gradtx.optax as optax``.

What gradtx has is its own, with Optax's signatures, Optax's forms of state, and Optax's one signal: each transformation
sees the update of the one before it. Transformations are still values: they go through ``jit``, print and compare. The
rest (losses, perturbations, assignment, microbatching) is Optax's, where that is installed. In `gradtx` itself names
mean what its own documentation says.
"""

from typing import Any

from gradtx import curvature, projections
from gradtx import tree as _tree
from gradtx._interop.optax_types import (
    AdaptiveGradClipState,
    AddDecayedWeightsState,
    AddNoiseState,
    ApplyEvery,
    ApplyIfFiniteState,
    BacktrackingLinesearchInfo,
    COCOBState,
    ClipByGlobalNormState,
    ClipState,
    ConditionallyMaskState,
    ConditionallyTransformState,
    DAdaptAdamWState,
    DifferentiallyPrivateAggregateState,
    DoGState,
    DoWGState,
    EmaState,
    EmptyState,
    FactoredState,
    GaLoreDimensionNumbers,
    GaLoreState,
    HutchinsonState,
    InjectHyperparamsState,
    InjectStatefulHyperparamsState,
    LookaheadParams,
    LookaheadState,
    MadgradState,
    MaskedNode,
    MaskedState,
    MechanicState,
    MomoAdamState,
    MomoState,
    MonitorState,
    MultiStepsState,
    MultiTransformState,
    MuonDimensionNumbers,
    MuonState,
    NonNegativeParamsState,
    NormalizeState,
    PartitionState,
    ProdigyState,
    ReduceLROnPlateauState,
    SAMState,
    ScaleByAdaDeltaState,
    ScaleByAdamState,
    ScaleByAdanState,
    ScaleByAdemamixState,
    ScaleByAmsgradState,
    ScaleByBacktrackingLinesearchState,
    ScaleByBeliefState,
    ScaleByDistanceOverGradientsState,
    ScaleByLBFGSState,
    ScaleByLionState,
    ScaleByNovogradState,
    ScaleByOptimisticGradientState,
    ScaleByRStdDevState,
    ScaleByRStdDevWithCountState,
    ScaleByRmsState,
    ScaleByRmsWithCountState,
    ScaleByRpropState,
    ScaleByRssState,
    ScaleBySM3State,
    ScaleByScheduleState,
    ScaleBySimplifiedAdEMAMixState,
    ScaleByTrustRatioState,
    ScaleByZoomLinesearchState,
    ScaleState,
    ScheduleFreeState,
    SnapshotState,
    SophiaState,
    SplitRealAndImaginaryState,
    TraceState,
    WrappedScheduleState,
    ZeroNansState,
    ZoomLinesearchInfo,
)
from gradtx._optax.base import (
    ConditionFn,
    GradientTransformation,
    GradientTransformationExtraArgs,
    MaskOrFn,
    NO_PARAMS_MSG,
    OptState,
    Params,
    ScalarOrSchedule,
    Schedule,
    ShouldSkipUpdateFunction,
    StatefulSchedule,
    TransformInitFn,
    TransformUpdateExtraArgsFn,
    TransformUpdateFn,
    Updates,
    init_empty_state,
    with_extra_args_support,
)
from gradtx._optax.combining import chain, masked, multi_transform, named_chain, partition
from gradtx._optax.wrappers import MultiSteps, apply_if_finite, conditionally_mask, conditionally_transform, lookahead
from gradtx._optax.injection import WrappedSchedule, inject_hyperparams, inject_stateful_hyperparams
from gradtx._optax.links import (
    adaptive_grad_clip,
    add_decayed_weights,
    add_noise,
    apply_every,
    centralize,
    clip,
    clip_by_block_rms,
    clip_by_global_norm,
    ema,
    freeze,
    identity,
    keep_params_nonnegative,
    normalize_by_update_norm,
    scale,
    scale_by_adadelta,
    scale_by_adam,
    scale_by_adamax,
    scale_by_adan,
    scale_by_amsgrad,
    scale_by_backtracking_linesearch,
    scale_by_belief,
    scale_by_distance_over_gradients,
    scale_by_factored_rms,
    scale_by_lbfgs,
    scale_by_learning_rate,
    scale_by_lion,
    scale_by_novograd,
    scale_by_optimistic_gradient,
    scale_by_param_block_norm,
    scale_by_param_block_rms,
    scale_by_polyak,
    scale_by_radam,
    scale_by_rms,
    scale_by_rprop,
    scale_by_rss,
    scale_by_schedule,
    scale_by_sign,
    scale_by_sm3,
    scale_by_stddev,
    scale_by_trust_ratio,
    scale_by_yogi,
    scale_by_zoom_linesearch,
    selective_transform,
    set_to_zero,
    trace,
    zero_nans,
)
from gradtx._optax.recipes import (
    adabelief,
    adadelta,
    adafactor,
    adagrad,
    adam,
    adamax,
    adamaxw,
    adamw,
    adan,
    amsgrad,
    fromage,
    lamb,
    lars,
    lbfgs,
    lion,
    nadam,
    nadamw,
    noisy_sgd,
    novograd,
    optimistic_adam,
    optimistic_adam_v2,
    optimistic_gradient_descent,
    polyak_sgd,
    radam,
    rmsprop,
    rprop,
    sgd,
    sign_sgd,
    signum,
    sm3,
    yogi,
)
from gradtx import (
    apply_updates,
    constant_schedule,
    cosine_decay_schedule,
    cosine_onecycle_schedule,
    exponential_decay,
    join_schedules,
    linear_onecycle_schedule,
    linear_schedule,
    per_example_global_norm_clip,
    per_example_layer_norm_clip,
    piecewise_constant_schedule,
    piecewise_interpolate_schedule,
    polynomial_schedule,
    sgdr_schedule,
    tree_map_params,
    unitwise_clip,
    unitwise_norm,
    warmup_constant_schedule,
    warmup_cosine_decay_schedule,
    warmup_exponential_decay_schedule,
)
from gradtx._optax import namespaces as _spaces

__version__ = "0.2.8"
bias_correction = _tree.bias_correction
additive_weight_decay = add_decayed_weights

_here = _spaces.among(globals())
_TREE_UTILS = {"tree_l2_norm": "norm", "NamedTupleKey": "NamedTupleKey"}
_SRC = (
    "alias", "base", "clipping", "combine", "constrain", "control_variates", "factorized", "linear_algebra", "linesearch",
    "lookahead", "loss", "numerics", "privacy", "schedule", "second_order", "state_utils", "stochastic_gradient_estimators",
    "transform", "update", "utils", "wrappers",
)  # fmt: skip

tree = _spaces.opened("tree", _spaces.among(_tree))
tree_utils = _spaces.opened("tree_utils", _spaces.among(_tree, "tree_", **_TREE_UTILS))
second_order = _spaces.opened("second_order", _spaces.among(curvature))
contrib = _spaces.opened("contrib", _here)
schedules = _spaces.opened("schedules", _here)
transforms = _spaces.opened("transforms", _here)
for _name in ("assignment", "experimental", "losses", "microbatching", "perturbations"):
    globals()[_name] = _spaces.opened(_name)
_src = _spaces.opened("_src")
for _name in _SRC:
    setattr(_src, _name, _spaces.opened(f"_src.{_name}", _here))


def __getattr__(name: str) -> Any:
    """What gradtx leaves to Optax, such as its losses."""
    if name.startswith("__"):
        raise AttributeError(f"module 'gradtx.optax' has no attribute {name!r}", name=name)
    return _spaces.of_optax("", name)
