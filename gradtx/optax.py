"""Optax's whole surface, for ``import gradtx.optax as optax``.

What gradtx has is its own, with Optax's signatures, Optax's forms of state, and Optax's one signal: each transformation
sees the update of the one before it. Transformations are still values: they go through ``jit``, print and compare. The
rest (losses, perturbations, assignment, microbatching) is Optax's, where that is installed. In `gradtx` itself names
mean what its own documentation says.
"""

from typing import Any

from gradtx import constant_schedule as constant_schedule
from gradtx import cosine_decay_schedule as cosine_decay_schedule
from gradtx import cosine_onecycle_schedule as cosine_onecycle_schedule
from gradtx import curvature as _curvature
from gradtx import incremental_update as incremental_update
from gradtx import join_schedules as join_schedules
from gradtx import linear_onecycle_schedule as linear_onecycle_schedule
from gradtx import matrix_inverse_pth_root as matrix_inverse_pth_root
from gradtx import monitor as monitor
from gradtx import multi_normal as multi_normal
from gradtx import nnls as nnls
from gradtx import per_example_global_norm_clip as per_example_global_norm_clip
from gradtx import per_example_layer_norm_clip as per_example_layer_norm_clip
from gradtx import periodic_update as periodic_update
from gradtx import piecewise_constant_schedule as piecewise_constant_schedule
from gradtx import piecewise_interpolate_schedule as piecewise_interpolate_schedule
from gradtx import power_iteration as power_iteration
from gradtx import projections as projections
from gradtx import safe_increment as safe_increment
from gradtx import safe_int32_increment as safe_int32_increment
from gradtx import safe_norm as safe_norm
from gradtx import safe_root_mean_squares as safe_root_mean_squares
from gradtx import scale_gradient as scale_gradient
from gradtx import sgdr_schedule as sgdr_schedule
from gradtx import skip_large_updates as skip_large_updates
from gradtx import skip_not_finite as skip_not_finite
from gradtx import tree as _tree
from gradtx import tree_map_params as tree_map_params
from gradtx import unitwise_clip as unitwise_clip
from gradtx import unitwise_norm as unitwise_norm
from gradtx import update_infinity_moment as update_infinity_moment
from gradtx import update_moment as update_moment
from gradtx import update_moment_per_elem_norm as update_moment_per_elem_norm
from gradtx import value_and_grad_from_state as value_and_grad_from_state
from gradtx import warmup_constant_schedule as warmup_constant_schedule
from gradtx import warmup_cosine_decay_schedule as warmup_cosine_decay_schedule
from gradtx._interop.optax_types import AdaptiveGradClipState as AdaptiveGradClipState
from gradtx._interop.optax_types import AddDecayedWeightsState as AddDecayedWeightsState
from gradtx._interop.optax_types import AddNoiseState as AddNoiseState
from gradtx._interop.optax_types import ApplyEvery as ApplyEvery
from gradtx._interop.optax_types import ApplyIfFiniteState as ApplyIfFiniteState
from gradtx._interop.optax_types import BacktrackingLinesearchInfo as BacktrackingLinesearchInfo
from gradtx._interop.optax_types import ClipByGlobalNormState as ClipByGlobalNormState
from gradtx._interop.optax_types import ClipState as ClipState
from gradtx._interop.optax_types import COCOBState as COCOBState
from gradtx._interop.optax_types import ConditionallyMaskState as ConditionallyMaskState
from gradtx._interop.optax_types import ConditionallyTransformState as ConditionallyTransformState
from gradtx._interop.optax_types import DAdaptAdamWState as DAdaptAdamWState
from gradtx._interop.optax_types import DifferentiallyPrivateAggregateState as DifferentiallyPrivateAggregateState
from gradtx._interop.optax_types import DoGState as DoGState
from gradtx._interop.optax_types import DoWGState as DoWGState
from gradtx._interop.optax_types import EmaState as EmaState
from gradtx._interop.optax_types import EmptyState as EmptyState
from gradtx._interop.optax_types import FactoredState as FactoredState
from gradtx._interop.optax_types import GaLoreDimensionNumbers as GaLoreDimensionNumbers
from gradtx._interop.optax_types import GaLoreState as GaLoreState
from gradtx._interop.optax_types import HutchinsonState as HutchinsonState
from gradtx._interop.optax_types import InjectHyperparamsState as InjectHyperparamsState
from gradtx._interop.optax_types import InjectStatefulHyperparamsState as InjectStatefulHyperparamsState
from gradtx._interop.optax_types import LookaheadParams as LookaheadParams
from gradtx._interop.optax_types import LookaheadState as LookaheadState
from gradtx._interop.optax_types import MadgradState as MadgradState
from gradtx._interop.optax_types import MaskedNode as MaskedNode
from gradtx._interop.optax_types import MaskedState as MaskedState
from gradtx._interop.optax_types import MechanicState as MechanicState
from gradtx._interop.optax_types import MomoAdamState as MomoAdamState
from gradtx._interop.optax_types import MomoState as MomoState
from gradtx._interop.optax_types import MonitorState as MonitorState
from gradtx._interop.optax_types import MultiStepsState as MultiStepsState
from gradtx._interop.optax_types import MultiTransformState as MultiTransformState
from gradtx._interop.optax_types import MuonDimensionNumbers as MuonDimensionNumbers
from gradtx._interop.optax_types import MuonState as MuonState
from gradtx._interop.optax_types import NonNegativeParamsState as NonNegativeParamsState
from gradtx._interop.optax_types import NormalizeState as NormalizeState
from gradtx._interop.optax_types import PartitionState as PartitionState
from gradtx._interop.optax_types import ProdigyState as ProdigyState
from gradtx._interop.optax_types import ReduceLROnPlateauState as ReduceLROnPlateauState
from gradtx._interop.optax_types import SAMState as SAMState
from gradtx._interop.optax_types import ScaleByAdaDeltaState as ScaleByAdaDeltaState
from gradtx._interop.optax_types import ScaleByAdamState as ScaleByAdamState
from gradtx._interop.optax_types import ScaleByAdanState as ScaleByAdanState
from gradtx._interop.optax_types import ScaleByAdemamixState as ScaleByAdemamixState
from gradtx._interop.optax_types import ScaleByAmsgradState as ScaleByAmsgradState
from gradtx._interop.optax_types import ScaleByBacktrackingLinesearchState as ScaleByBacktrackingLinesearchState
from gradtx._interop.optax_types import ScaleByBeliefState as ScaleByBeliefState
from gradtx._interop.optax_types import ScaleByDistanceOverGradientsState as ScaleByDistanceOverGradientsState
from gradtx._interop.optax_types import ScaleByLBFGSState as ScaleByLBFGSState
from gradtx._interop.optax_types import ScaleByLionState as ScaleByLionState
from gradtx._interop.optax_types import ScaleByNovogradState as ScaleByNovogradState
from gradtx._interop.optax_types import ScaleByOptimisticGradientState as ScaleByOptimisticGradientState
from gradtx._interop.optax_types import ScaleByRmsState as ScaleByRmsState
from gradtx._interop.optax_types import ScaleByRmsWithCountState as ScaleByRmsWithCountState
from gradtx._interop.optax_types import ScaleByRpropState as ScaleByRpropState
from gradtx._interop.optax_types import ScaleByRssState as ScaleByRssState
from gradtx._interop.optax_types import ScaleByRStdDevState as ScaleByRStdDevState
from gradtx._interop.optax_types import ScaleByRStdDevWithCountState as ScaleByRStdDevWithCountState
from gradtx._interop.optax_types import ScaleByScheduleState as ScaleByScheduleState
from gradtx._interop.optax_types import ScaleBySimplifiedAdEMAMixState as ScaleBySimplifiedAdEMAMixState
from gradtx._interop.optax_types import ScaleBySM3State as ScaleBySM3State
from gradtx._interop.optax_types import ScaleByTrustRatioState as ScaleByTrustRatioState
from gradtx._interop.optax_types import ScaleByZoomLinesearchState as ScaleByZoomLinesearchState
from gradtx._interop.optax_types import ScaleState as ScaleState
from gradtx._interop.optax_types import ScheduleFreeState as ScheduleFreeState
from gradtx._interop.optax_types import SnapshotState as SnapshotState
from gradtx._interop.optax_types import SophiaState as SophiaState
from gradtx._interop.optax_types import SplitRealAndImaginaryState as SplitRealAndImaginaryState
from gradtx._interop.optax_types import TraceState as TraceState
from gradtx._interop.optax_types import WeightDecaySchedule as WeightDecaySchedule
from gradtx._interop.optax_types import WrappedScheduleState as WrappedScheduleState
from gradtx._interop.optax_types import ZeroNansState as ZeroNansState
from gradtx._interop.optax_types import ZoomLinesearchInfo as ZoomLinesearchInfo
from gradtx._optax import namespaces as _spaces
from gradtx._optax.base import NO_PARAMS_MSG as NO_PARAMS_MSG
from gradtx._optax.base import ConditionFn as ConditionFn
from gradtx._optax.base import GradientTransformation as GradientTransformation
from gradtx._optax.base import GradientTransformationExtraArgs as GradientTransformationExtraArgs
from gradtx._optax.base import MaskOrFn as MaskOrFn
from gradtx._optax.base import OptState as OptState
from gradtx._optax.base import Params as Params
from gradtx._optax.base import ScalarOrSchedule as ScalarOrSchedule
from gradtx._optax.base import Schedule as Schedule
from gradtx._optax.base import ShouldSkipUpdateFunction as ShouldSkipUpdateFunction
from gradtx._optax.base import StatefulSchedule as StatefulSchedule
from gradtx._optax.base import TransformInitFn as TransformInitFn
from gradtx._optax.base import TransformUpdateExtraArgsFn as TransformUpdateExtraArgsFn
from gradtx._optax.base import TransformUpdateFn as TransformUpdateFn
from gradtx._optax.base import Updates as Updates
from gradtx._optax.base import init_empty_state as init_empty_state
from gradtx._optax.base import is_placeholder as is_placeholder
from gradtx._optax.base import with_extra_args_support as with_extra_args_support
from gradtx._optax.combining import chain as chain
from gradtx._optax.combining import freeze as freeze
from gradtx._optax.combining import masked as masked
from gradtx._optax.combining import multi_transform as multi_transform
from gradtx._optax.combining import named_chain as named_chain
from gradtx._optax.combining import partition as partition
from gradtx._optax.combining import selective_transform as selective_transform
from gradtx._optax.combining import set_to_zero as set_to_zero
from gradtx._optax.contrib import acprop as acprop
from gradtx._optax.contrib import ademamix as ademamix
from gradtx._optax.contrib import adopt as adopt
from gradtx._optax.contrib import cocob as cocob
from gradtx._optax.contrib import dadapt_adamw as dadapt_adamw
from gradtx._optax.contrib import dog as dog
from gradtx._optax.contrib import dowg as dowg
from gradtx._optax.contrib import galore as galore
from gradtx._optax.contrib import madgrad as madgrad
from gradtx._optax.contrib import momo as momo
from gradtx._optax.contrib import momo_adam as momo_adam
from gradtx._optax.contrib import muon as muon
from gradtx._optax.contrib import normalize as normalize
from gradtx._optax.contrib import prodigy as prodigy
from gradtx._optax.contrib import scale_by_acprop as scale_by_acprop
from gradtx._optax.contrib import scale_by_ademamix as scale_by_ademamix
from gradtx._optax.contrib import scale_by_adopt as scale_by_adopt
from gradtx._optax.contrib import scale_by_cocob as scale_by_cocob
from gradtx._optax.contrib import scale_by_galore as scale_by_galore
from gradtx._optax.contrib import scale_by_madgrad as scale_by_madgrad
from gradtx._optax.contrib import scale_by_muon as scale_by_muon
from gradtx._optax.contrib import scale_by_simplified_ademamix as scale_by_simplified_ademamix
from gradtx._optax.contrib import simplified_ademamix as simplified_ademamix
from gradtx._optax.contrib_wrappers import differentially_private_aggregate as differentially_private_aggregate
from gradtx._optax.contrib_wrappers import dpsgd as dpsgd
from gradtx._optax.contrib_wrappers import hutchinson_estimator_diag_hessian as hutchinson_estimator_diag_hessian
from gradtx._optax.contrib_wrappers import mechanize as mechanize
from gradtx._optax.contrib_wrappers import reduce_on_plateau as reduce_on_plateau
from gradtx._optax.contrib_wrappers import sam as sam
from gradtx._optax.contrib_wrappers import schedule_free as schedule_free
from gradtx._optax.contrib_wrappers import schedule_free_adamw as schedule_free_adamw
from gradtx._optax.contrib_wrappers import schedule_free_sgd as schedule_free_sgd
from gradtx._optax.contrib_wrappers import sophia as sophia
from gradtx._optax.contrib_wrappers import split_real_and_imaginary as split_real_and_imaginary
from gradtx._optax.functions import apply_updates as apply_updates
from gradtx._optax.functions import exponential_decay as exponential_decay
from gradtx._optax.functions import global_norm as global_norm
from gradtx._optax.functions import hvp as hvp
from gradtx._optax.functions import linear_schedule as linear_schedule
from gradtx._optax.functions import measure_with_ema as measure_with_ema
from gradtx._optax.functions import polynomial_schedule as polynomial_schedule
from gradtx._optax.functions import schedule_free_eval_params as schedule_free_eval_params
from gradtx._optax.functions import warmup_exponential_decay_schedule as warmup_exponential_decay_schedule
from gradtx._optax.injection import WrappedSchedule as WrappedSchedule
from gradtx._optax.injection import inject_hyperparams as inject_hyperparams
from gradtx._optax.injection import inject_stateful_hyperparams as inject_stateful_hyperparams
from gradtx._optax.links import adaptive_grad_clip as adaptive_grad_clip
from gradtx._optax.links import add_decayed_weights as add_decayed_weights
from gradtx._optax.links import add_noise as add_noise
from gradtx._optax.links import apply_every as apply_every
from gradtx._optax.links import centralize as centralize
from gradtx._optax.links import clip as clip
from gradtx._optax.links import clip_by_block_rms as clip_by_block_rms
from gradtx._optax.links import clip_by_global_norm as clip_by_global_norm
from gradtx._optax.links import ema as ema
from gradtx._optax.links import identity as identity
from gradtx._optax.links import keep_params_nonnegative as keep_params_nonnegative
from gradtx._optax.links import normalize_by_update_norm as normalize_by_update_norm
from gradtx._optax.links import scale as scale
from gradtx._optax.links import scale_by_adadelta as scale_by_adadelta
from gradtx._optax.links import scale_by_adam as scale_by_adam
from gradtx._optax.links import scale_by_adamax as scale_by_adamax
from gradtx._optax.links import scale_by_adan as scale_by_adan
from gradtx._optax.links import scale_by_amsgrad as scale_by_amsgrad
from gradtx._optax.links import scale_by_backtracking_linesearch as scale_by_backtracking_linesearch
from gradtx._optax.links import scale_by_belief as scale_by_belief
from gradtx._optax.links import scale_by_distance_over_gradients as scale_by_distance_over_gradients
from gradtx._optax.links import scale_by_factored_rms as scale_by_factored_rms
from gradtx._optax.links import scale_by_lbfgs as scale_by_lbfgs
from gradtx._optax.links import scale_by_learning_rate as scale_by_learning_rate
from gradtx._optax.links import scale_by_lion as scale_by_lion
from gradtx._optax.links import scale_by_novograd as scale_by_novograd
from gradtx._optax.links import scale_by_optimistic_gradient as scale_by_optimistic_gradient
from gradtx._optax.links import scale_by_param_block_norm as scale_by_param_block_norm
from gradtx._optax.links import scale_by_param_block_rms as scale_by_param_block_rms
from gradtx._optax.links import scale_by_polyak as scale_by_polyak
from gradtx._optax.links import scale_by_radam as scale_by_radam
from gradtx._optax.links import scale_by_rms as scale_by_rms
from gradtx._optax.links import scale_by_rprop as scale_by_rprop
from gradtx._optax.links import scale_by_rss as scale_by_rss
from gradtx._optax.links import scale_by_schedule as scale_by_schedule
from gradtx._optax.links import scale_by_sign as scale_by_sign
from gradtx._optax.links import scale_by_sm3 as scale_by_sm3
from gradtx._optax.links import scale_by_stddev as scale_by_stddev
from gradtx._optax.links import scale_by_trust_ratio as scale_by_trust_ratio
from gradtx._optax.links import scale_by_yogi as scale_by_yogi
from gradtx._optax.links import scale_by_zoom_linesearch as scale_by_zoom_linesearch
from gradtx._optax.links import trace as trace
from gradtx._optax.links import zero_nans as zero_nans
from gradtx._optax.recipes import adabelief as adabelief
from gradtx._optax.recipes import adadelta as adadelta
from gradtx._optax.recipes import adafactor as adafactor
from gradtx._optax.recipes import adagrad as adagrad
from gradtx._optax.recipes import adam as adam
from gradtx._optax.recipes import adamax as adamax
from gradtx._optax.recipes import adamaxw as adamaxw
from gradtx._optax.recipes import adamw as adamw
from gradtx._optax.recipes import adan as adan
from gradtx._optax.recipes import amsgrad as amsgrad
from gradtx._optax.recipes import fromage as fromage
from gradtx._optax.recipes import lamb as lamb
from gradtx._optax.recipes import lars as lars
from gradtx._optax.recipes import lbfgs as lbfgs
from gradtx._optax.recipes import lion as lion
from gradtx._optax.recipes import nadam as nadam
from gradtx._optax.recipes import nadamw as nadamw
from gradtx._optax.recipes import noisy_sgd as noisy_sgd
from gradtx._optax.recipes import novograd as novograd
from gradtx._optax.recipes import optimistic_adam as optimistic_adam
from gradtx._optax.recipes import optimistic_adam_v2 as optimistic_adam_v2
from gradtx._optax.recipes import optimistic_gradient_descent as optimistic_gradient_descent
from gradtx._optax.recipes import polyak_sgd as polyak_sgd
from gradtx._optax.recipes import radam as radam
from gradtx._optax.recipes import rmsprop as rmsprop
from gradtx._optax.recipes import rprop as rprop
from gradtx._optax.recipes import sgd as sgd
from gradtx._optax.recipes import sign_sgd as sign_sgd
from gradtx._optax.recipes import signum as signum
from gradtx._optax.recipes import sm3 as sm3
from gradtx._optax.recipes import yogi as yogi
from gradtx._optax.wrappers import MultiSteps as MultiSteps
from gradtx._optax.wrappers import apply_if_finite as apply_if_finite
from gradtx._optax.wrappers import conditionally_mask as conditionally_mask
from gradtx._optax.wrappers import conditionally_transform as conditionally_transform
from gradtx._optax.wrappers import lookahead as lookahead
from gradtx._optax.wrappers import snapshot as snapshot
from gradtx._optax.wrappers import stateless as stateless
from gradtx._optax.wrappers import stateless_with_tree_map as stateless_with_tree_map

__version__ = "0.2.8"
bias_correction = _tree.bias_correction
additive_weight_decay = add_decayed_weights

_here = _spaces.among(globals())
_TREE_UTILS = {"tree_l2_norm": "norm", "NamedTupleKey": "NamedTupleKey"}
_SRC = (
    "alias", "base", "clipping", "combine", "constrain", "control_variates", "factorized", "linear_algebra",
    "linesearch", "lookahead", "loss", "numerics", "privacy", "schedule", "second_order", "state_utils",
    "stochastic_gradient_estimators", "transform", "update", "utils", "wrappers",
)  # fmt: skip

tree = _spaces.opened("tree", _spaces.among(_tree))
tree_utils = _spaces.opened("tree_utils", _spaces.among(_tree, "tree_", **_TREE_UTILS))
second_order = _spaces.opened("second_order", _here, _spaces.among(_curvature))
contrib = _spaces.opened("contrib", _here)
schedules = _spaces.opened("schedules", _here)
transforms = _spaces.opened("transforms", _here)
for _name in ("assignment", "experimental", "losses", "microbatching", "perturbations"):
    globals()[_name] = _spaces.opened(_name)
_src = _spaces.opened("_src")
for _name in _SRC:
    setattr(_src, _name, _spaces.opened(f"_src.{_name}", _here))
setattr(_src, "loss", _spaces.opened("losses"))  # noqa: B010  a module has no such attribute by itself


def __getattr__(name: str) -> Any:
    """What gradtx leaves to Optax, such as its losses."""
    if name.startswith("__"):
        raise AttributeError(f"module 'gradtx.optax' has no attribute {name!r}", name=name)
    return _spaces.of_optax("", name)


def __dir__() -> list[str]:
    return sorted(name for name in globals() if not name.startswith("_") and name != "Any")
