"""The named tuples that Optax's transformations keep as their state, with Optax's names and fields."""

from collections import namedtuple
from typing import Any, NamedTuple


class EmptyState(NamedTuple):
    """The state of what keeps none."""


class MaskedNode(NamedTuple):
    """Stands for a leaf that a mask leaves out."""


class LookaheadParams(NamedTuple):
    """Fast and slow parameters, as Optax's ``lookahead`` trains them."""

    fast: Any
    slow: Any

    @classmethod
    def init_synced(cls, params: Any) -> "LookaheadParams":
        """Both the same."""
        return cls(fast=params, slow=params)


AddNoiseState = namedtuple("AddNoiseState", "count rng_key")
ApplyEvery = namedtuple("ApplyEvery", "count grad_acc")
ApplyIfFiniteState = namedtuple("ApplyIfFiniteState", "notfinite_count last_finite total_notfinite inner_state")
ConditionallyMaskState = namedtuple("ConditionallyMaskState", "step inner_state")
ConditionallyTransformState = namedtuple("ConditionallyTransformState", "inner_state step")
EmaState = namedtuple("EmaState", "count ema")
FactoredState = namedtuple("FactoredState", "count v_row v_col v")
InjectHyperparamsState = namedtuple("InjectHyperparamsState", "count hyperparams inner_state")
InjectStatefulHyperparamsState = namedtuple(
    "InjectStatefulHyperparamsState", "count hyperparams hyperparams_states inner_state"
)
WeightDecaySchedule = namedtuple("WeightDecaySchedule", "count")
WrappedScheduleState = namedtuple("WrappedScheduleState", "count")
LookaheadState = namedtuple("LookaheadState", "fast_state steps_since_sync")
MaskedState = namedtuple("MaskedState", "inner_state")
MonitorState = namedtuple("MonitorState", "measurements measure_states")
MultiStepsState = namedtuple(
    "MultiStepsState", "mini_step gradient_step inner_opt_state acc_grads skip_state", defaults=((),)
)
PartitionState = namedtuple("PartitionState", "inner_states")
ScaleByAdaDeltaState = namedtuple("ScaleByAdaDeltaState", "e_g e_x")
ScaleByAdamState = namedtuple("ScaleByAdamState", "count mu nu")
ScaleByAdanState = namedtuple("ScaleByAdanState", "m v n g t")
ScaleByAmsgradState = namedtuple("ScaleByAmsgradState", "count mu nu nu_max")
ScaleByBacktrackingLinesearchState = namedtuple("ScaleByBacktrackingLinesearchState", "learning_rate value grad info")
BacktrackingLinesearchInfo = namedtuple("BacktrackingLinesearchInfo", "num_linesearch_steps decrease_error")
ScaleByBeliefState = namedtuple("ScaleByBeliefState", "count mu nu")
ScaleByLBFGSState = namedtuple(
    "ScaleByLBFGSState", "count params updates diff_params_memory diff_updates_memory weights_memory"
)
ScaleByLionState = namedtuple("ScaleByLionState", "count mu")
ScaleByNovogradState = namedtuple("ScaleByNovogradState", "count mu nu")
ScaleByRStdDevState = namedtuple("ScaleByRStdDevState", "mu nu")
ScaleByRStdDevWithCountState = namedtuple("ScaleByRStdDevWithCountState", "count mu nu")
ScaleByRmsState = namedtuple("ScaleByRmsState", "nu")
ScaleByRmsWithCountState = namedtuple("ScaleByRmsWithCountState", "count nu")
ScaleByRpropState = namedtuple("ScaleByRpropState", "step_sizes prev_updates")
ScaleByRssState = namedtuple("ScaleByRssState", "sum_of_squares")
ScaleByDistanceOverGradientsState = namedtuple(
    "ScaleByDistanceOverGradientsState", "max_dist grad_sum_of_squares init_params"
)
ScaleByOptimisticGradientState = namedtuple("ScaleByOptimisticGradientState", "is_initial_step previous_gradient")
ScaleBySM3State = namedtuple("ScaleBySM3State", "mu nu")
ScaleByScheduleState = namedtuple("ScaleByScheduleState", "count")
ScaleByZoomLinesearchState = namedtuple("ScaleByZoomLinesearchState", "learning_rate value grad info")
SnapshotState = namedtuple("SnapshotState", "measurement")
TraceState = namedtuple("TraceState", "trace")
WeightDecaySchedule = namedtuple("WeightDecaySchedule", "count")
ZeroNansState = namedtuple("ZeroNansState", "found_nan")
ZoomLinesearchInfo = namedtuple("ZoomLinesearchInfo", "num_linesearch_steps decrease_error curvature_error")

# Of Optax's contrib ---------------------------------------------------------------------------------------------------

COCOBState = namedtuple("COCOBState", "init_particles cumulative_gradients scale subgradients reward")
DAdaptAdamWState = namedtuple("DAdaptAdamWState", "exp_avg exp_avg_sq grad_sum estim_lr numerator_weighted count")
DifferentiallyPrivateAggregateState = namedtuple("DifferentiallyPrivateAggregateState", "rng_key")
DoGState = namedtuple("DoGState", "is_init_step init_params max_dist sum_sq_norm_grads")
DoWGState = namedtuple("DoWGState", "init_params weighted_sq_norm_grads estim_sq_dist")
GaLoreDimensionNumbers = namedtuple(
    "GaLoreDimensionNumbers",
    "reduction_axis output_axis",
    defaults=(
        0,
        1,
    ),
)
GaLoreState = namedtuple("GaLoreState", "count base_optimizer_state projector")
HutchinsonState = namedtuple("HutchinsonState", "key")
MadgradState = namedtuple("MadgradState", "count grad_sum_sq s x0")
MechanicState = namedtuple("MechanicState", "base_optimizer_state count r m v s x0")
MomoAdamState = namedtuple("MomoAdamState", "exp_avg exp_avg_sq barf gamma lb count")
MomoState = namedtuple("MomoState", "exp_avg barf gamma lb count")
MuonDimensionNumbers = namedtuple(
    "MuonDimensionNumbers",
    "reduction_axis output_axis",
    defaults=(
        0,
        1,
    ),
)
MuonState = namedtuple("MuonState", "count mu ns_coeffs")
ProdigyState = namedtuple("ProdigyState", "exp_avg exp_avg_sq grad_sum params0 estim_lr numerator_weighted count")
ReduceLROnPlateauState = namedtuple(
    "ReduceLROnPlateauState", "scale best_value plateau_count cooldown_count count avg_value"
)
SAMState = namedtuple("SAMState", "steps_since_sync opt_state adv_state cache")
ScaleByAdemamixState = namedtuple("ScaleByAdemamixState", "count count_m2 m1 m2 nu")
ScaleBySimplifiedAdEMAMixState = namedtuple("ScaleBySimplifiedAdEMAMixState", "t m n")
ScheduleFreeState = namedtuple(
    "ScheduleFreeState", "b1 weight_sum step_count max_lr base_optimizer_state z x", defaults=(None,)
)
SophiaState = namedtuple("SophiaState", "count mu nu hessian_fn_state")
SplitRealAndImaginaryState = namedtuple("SplitRealAndImaginaryState", "inner_state")

# Other names of the same.

AdaptiveGradClipState = AddDecayedWeightsState = ClipByGlobalNormState = ClipState = EmptyState
NonNegativeParamsState = NormalizeState = ScaleByTrustRatioState = ScaleState = EmptyState
MultiTransformState = PartitionState
