"""Gradient transformations for JAX that are values: pytrees of their numbers.

A transformation has ``init(params)`` and ``update(updates, state, params)``. Build one from links with `chain`, or
take a recipe such as `adam`; the README says how.
"""

import importlib
import typing

from gradtx import tree
from gradtx._links.adaptive_clipping import adaptive_grad_clip, unitwise_clip, unitwise_norm
from gradtx._links.atan2 import scale_by_atan2_rms
from gradtx._links.cautious_decay import add_cautious_decayed_weights
from gradtx._links.centralization import centralize
from gradtx._links.clipping import clip, clip_by_block_rms, clip_by_global_norm, clip_by_leaf_norm
from gradtx._links.constraints import keep_params_nonnegative
from gradtx._links.corrected_decay import add_corrected_decay
from gradtx._links.dadapt import dadapt_adagrad, dadapt_adamw, dadapt_adan, dadapt_sgd
from gradtx._links.decay import add_decayed_weights
from gradtx._links.decoupled_decay import decay_params, decay_to_start
from gradtx._links.distance import scale_by_distance_over_gradients
from gradtx._links.dog import scale_by_dog, scale_by_dowg
from gradtx._links.every import apply_every
from gradtx._links.factored import scale_by_factored_rms
from gradtx._links.ftrl import ftrl
from gradtx._links.grokfast import grokfast
from gradtx._links.hessian_diagonal import gauss_newton_bartlett_diag_hessian, hutchinson_estimator_diag_hessian
from gradtx._links.kronecker import scale_by_shampoo
from gradtx._links.lbfgs import scale_by_lbfgs
from gradtx._links.line_search import scale_by_backtracking_linesearch, scale_by_zoom_linesearch
from gradtx._links.lion_momentum import lion_momentum
from gradtx._links.lmo import scale_by_lmo
from gradtx._links.matrix_scaling import scale_by_output_rms, scale_by_shape, scale_to_rms
from gradtx._links.mean_side import scale_by_mean_side
from gradtx._links.mixing import mix_with_gradient
from gradtx._links.moments import (
    bias_correction,
    ema,
    lookahead_trace,
    nesterov_bias_correction,
    nesterov_lookahead,
    nesterov_momentum_decay,
    root_bias_correction,
    scale_by_ewma,
    trace,
)
from gradtx._links.momo import momo, momo_adam
from gradtx._links.nans import zero_nans
from gradtx._links.newton import scale_by_newton, scale_by_newton_cg
from gradtx._links.noise import add_noise
from gradtx._links.norm_growth import limit_norm_growth
from gradtx._links.norm_history import clip_spikes, lengthen_to_average, steady_norm
from gradtx._links.normalization import normalize, normalize_by_size, normalize_by_update_norm
from gradtx._links.orthogonalize import orthogonalize
from gradtx._links.param_scale import scale_by_param_block_norm, scale_by_param_block_rms
from gradtx._links.per_example import per_example_global_norm_clip, per_example_layer_norm_clip
from gradtx._links.plateau import reduce_on_plateau
from gradtx._links.privacy import differentially_private_aggregate
from gradtx._links.prodigy import prodigy
from gradtx._links.projected import project_params
from gradtx._links.projection import remove_radial
from gradtx._links.qk_clip import clip_attention_logits, qk_clip
from gradtx._links.relative import row_floor, scale_to_params
from gradtx._links.scaling import scale, scale_by_falling_rate, scale_by_learning_rate, scale_by_schedule, scale_by_sign
from gradtx._links.second_moments import (
    scale_by_infinity_norm,
    scale_by_max_rms,
    scale_by_mean_squares,
    scale_by_rms,
    scale_by_rss,
    scale_by_stddev,
)
from gradtx._links.signs import with_gradient_signs
from gradtx._links.stable_rms import scale_by_stable_rms
from gradtx._links.stateless import init_empty_state, stateless, stateless_with_tree_map
from gradtx._links.trust_ratio import scale_by_trust_ratio
from gradtx._links.variance_reduction import reduce_variance
from gradtx._links.z_score import clip_by_z_score
from gradtx._numeric.gradients import scale_gradient, value_and_grad_from_state
from gradtx._numeric.linear_algebra import matrix_inverse_pth_root, nnls, power_iteration
from gradtx._numeric.normal import multi_normal
from gradtx._numeric.safe import safe_increment, safe_int32_increment, safe_norm, safe_root_mean_squares
from gradtx._numeric.targets import incremental_update, periodic_update
from gradtx._optimizers.acprop import acprop, scale_by_acprop
from gradtx._optimizers.adabelief import adabelief, scale_by_belief
from gradtx._optimizers.adabound import adabound, scale_by_bounded_rms
from gradtx._optimizers.adadelta import adadelta, scale_by_adadelta
from gradtx._optimizers.adafactor import adafactor
from gradtx._optimizers.adago import adago, scale_by_norm_history
from gradtx._optimizers.adagrad import adagrad
from gradtx._optimizers.adahessian import adahessian, scale_by_adahessian
from gradtx._optimizers.adam import adam, adamax, scale_by_adam, scale_by_adamax
from gradtx._optimizers.adam_atan2 import adam_atan2
from gradtx._optimizers.adam_mini import adam_mini, scale_by_mini_rms
from gradtx._optimizers.adamc import adamc
from gradtx._optimizers.adamp import adamp, sgdp
from gradtx._optimizers.adamuon import adamuon
from gradtx._optimizers.adamw import adamaxw, adamw, nadamw
from gradtx._optimizers.adan import adan, scale_by_adan
from gradtx._optimizers.ademamix import ademamix, scale_by_ademamix, scale_by_simplified_ademamix, simplified_ademamix
from gradtx._optimizers.adopt import adopt, scale_by_adopt
from gradtx._optimizers.aggmo import aggmo
from gradtx._optimizers.amsgrad import amsgrad, scale_by_amsgrad
from gradtx._optimizers.apollo import apollo, scale_by_apollo
from gradtx._optimizers.asam import asam
from gradtx._optimizers.asgd import asgd
from gradtx._optimizers.aurora import aurora, scale_by_aurora
from gradtx._optimizers.came import came, scale_by_confidence
from gradtx._optimizers.cocob import cocob, scale_by_cocob
from gradtx._optimizers.conda import conda
from gradtx._optimizers.dadapt_lion import dadapt_lion
from gradtx._optimizers.diffgrad import diffgrad, scale_by_change
from gradtx._optimizers.dion2 import dion2, scale_by_dion2
from gradtx._optimizers.dog import dog, dowg
from gradtx._optimizers.dpsgd import dpsgd
from gradtx._optimizers.fromage import fromage
from gradtx._optimizers.galore import galore, scale_by_galore
from gradtx._optimizers.grams import grams
from gradtx._optimizers.lamb import lamb
from gradtx._optimizers.laprop import laprop
from gradtx._optimizers.lars import lars
from gradtx._optimizers.lbfgs import lbfgs
from gradtx._optimizers.lion import lion, scale_by_lion
from gradtx._optimizers.madgrad import madgrad, scale_by_madgrad
from gradtx._optimizers.mars import mars
from gradtx._optimizers.muon import muon, scale_by_muon
from gradtx._optimizers.muon_clip import muon_clip
from gradtx._optimizers.nadam import nadam
from gradtx._optimizers.newton import newton, newton_cg
from gradtx._optimizers.noisy_sgd import noisy_sgd
from gradtx._optimizers.normuon import normuon
from gradtx._optimizers.novograd import novograd, scale_by_novograd
from gradtx._optimizers.optimistic import (
    optimistic_adam,
    optimistic_adam_v2,
    optimistic_gradient_descent,
    scale_by_optimistic_gradient,
)
from gradtx._optimizers.pnm import adapnm, pnm, scale_by_pnm
from gradtx._optimizers.polyak import polyak_sgd, scale_by_polyak
from gradtx._optimizers.psgd import psgd_kron, scale_by_kron
from gradtx._optimizers.quasi_hyperbolic import qhadam, qhm, scale_by_mixed_rms
from gradtx._optimizers.radam import radam, scale_by_radam, scale_by_rectified_rms
from gradtx._optimizers.ranger import ranger
from gradtx._optimizers.rmsprop import rmsprop
from gradtx._optimizers.rprop import rprop, scale_by_rprop
from gradtx._optimizers.schedule_free import schedule_free_adamw, schedule_free_radam, schedule_free_sgd
from gradtx._optimizers.schedule_free_adamc import schedule_free_adamc
from gradtx._optimizers.scion import scion
from gradtx._optimizers.sgd import nesterov, sgd
from gradtx._optimizers.shampoo import shampoo
from gradtx._optimizers.sign import sign_sgd, signum
from gradtx._optimizers.sm3 import scale_by_sm3, sm3
from gradtx._optimizers.soap import soap
from gradtx._optimizers.soap_muon import soap_muon
from gradtx._optimizers.sophia import scale_by_sophia, sophia
from gradtx._optimizers.splus import splus
from gradtx._optimizers.stable_adamw import stable_adamw
from gradtx._optimizers.stable_spam import stable_spam
from gradtx._optimizers.yogi import scale_by_yogi, yogi
from gradtx._roles.by_role import by_role
from gradtx._roles.role import Role
from gradtx._roles.roles import Roles, roles
from gradtx._rules.around import around
from gradtx._rules.fields import real_zeros, zeros
from gradtx._rules.functions import (
    apply_updates,
    eval_params,
    gradient_params,
    hyperparameters,
    reset,
    with_extra_args_support,
)
from gradtx._rules.matrices import DimensionNumbers as GaLoreDimensionNumbers
from gradtx._rules.matrices import DimensionNumbers as MuonDimensionNumbers
from gradtx._rules.packing import Packed, pack
from gradtx._rules.per_leaf import per_leaf
from gradtx._rules.protocol import Rule
from gradtx._rules.transformation import GradientTransformation, foreign, transformation
from gradtx._rules.whole_tree import whole_tree
from gradtx._schedules.averages import decay_of_half_life, effective_window, ewma_weights, half_life
from gradtx._schedules.cooldowns import power_cooldown_schedule, sqrt_cooldown_schedule
from gradtx._schedules.cycles import cosine_onecycle_schedule, cyclic_schedule, linear_onecycle_schedule, sgdr_schedule
from gradtx._schedules.decays import (
    constant_schedule,
    cosine_decay_schedule,
    exponential_decay,
    inverse_time_decay,
    linear_schedule,
    piecewise_constant_schedule,
    piecewise_interpolate_schedule,
    polynomial_schedule,
    warmup_cosine_decay_schedule,
)
from gradtx._schedules.rectified import rectified_schedule
from gradtx._schedules.schedule import Schedule, function_of_step, join_schedules, schedule, stretch
from gradtx._schedules.warmups import (
    inverse_sqrt_schedule,
    warmup_constant_schedule,
    warmup_exponential_decay_schedule,
    warmup_stable_decay_schedule,
)
from gradtx._tree.lookup import map_params as tree_map_params
from gradtx._tree.moments import update_infinity_moment, update_moment, update_moment_per_elem_norm
from gradtx._tree.reductions import norm as global_norm
from gradtx._value.errors import TransformationError
from gradtx._value.floating import abs_sq, ewma, root
from gradtx._value.marks import (
    Decay,
    Decays,
    Dtype,
    Group,
    Limit,
    Link,
    NonNegative,
    Numbers,
    OfStep,
    Seed,
    Share,
    Static,
)
from gradtx._wrappers.accumulate import MultiSteps, accumulate, has_updated
from gradtx._wrappers.average import average_params, ema_params, swa_params, tail_ema_params
from gradtx._wrappers.cautious import cautious
from gradtx._wrappers.chain import chain, identity, named_chain
from gradtx._wrappers.clocks import own_clock
from gradtx._wrappers.complex_parts import split_real_and_imaginary
from gradtx._wrappers.conditions import conditionally_mask, conditionally_transform
from gradtx._wrappers.dadapt import dadapt
from gradtx._wrappers.eigenbasis import in_eigenbasis, rotated
from gradtx._wrappers.ema_nesterov import ema_nesterov
from gradtx._wrappers.flatten import flatten
from gradtx._wrappers.fork import fork
from gradtx._wrappers.graft import graft
from gradtx._wrappers.groups import freeze, masked, multi_transform, partition, selective_transform, set_to_zero
from gradtx._wrappers.guard import apply_if_finite, guard_nonfinite
from gradtx._wrappers.hyperball import hyperball
from gradtx._wrappers.hyperparams import (
    InjectHyperparamsState,
    inject_hyperparams,
    inject_stateful_hyperparams,
    with_hyperparams,
)
from gradtx._wrappers.kahan import kahan
from gradtx._wrappers.lookahead import lookahead
from gradtx._wrappers.loss_scale import dynamic_loss_scale, loss_scale
from gradtx._wrappers.measured import measured, measurements
from gradtx._wrappers.mechanize import mechanize
from gradtx._wrappers.monitor import measure_with_ema, monitor, snapshot
from gradtx._wrappers.precision import master_weights, with_state_dtype
from gradtx._wrappers.quantized import quantized
from gradtx._wrappers.radial_brake import radial_brake
from gradtx._wrappers.restart import restart
from gradtx._wrappers.schedule_free import schedule_free, schedule_free_eval_params
from gradtx._wrappers.schedule_free_plus import schedule_free_plus
from gradtx._wrappers.sharpness import sam
from gradtx._wrappers.singular_basis import in_singular_basis
from gradtx._wrappers.skipping import skip_large_updates, skip_not_finite
from gradtx._wrappers.spikes import skip_spikes
from gradtx._wrappers.split_weights import split_weights
from gradtx._wrappers.stochastic_rounding import stochastic_rounding

if typing.TYPE_CHECKING:
    from gradtx import curvature, initializers, interop, plot, projections, sweep, testing, tune
    from gradtx._training.fit import fit
    from gradtx._training.minimize import minimize
    from gradtx._training.result import Fit

__all__ = [
    "Decay", "Decays", "Dtype", "Fit", "GaLoreDimensionNumbers", "GradientTransformation", "Group",
    "InjectHyperparamsState", "Limit", "Link", "MultiSteps", "MuonDimensionNumbers", "NonNegative", "Numbers",
    "OfStep", "Packed", "Role", "Roles", "Rule", "Schedule", "Seed", "Share", "Static", "TransformationError",
    "abs_sq", "accumulate", "acprop", "adabelief", "adabound", "adadelta", "adafactor", "adago", "adagrad",
    "adahessian", "adam", "adam_atan2", "adam_mini", "adamax", "adamaxw", "adamc", "adamp", "adamuon", "adamw",
    "adan", "adapnm", "adaptive_grad_clip", "add_cautious_decayed_weights", "add_corrected_decay",
    "add_decayed_weights", "add_noise", "ademamix", "adopt", "aggmo", "amsgrad", "apollo", "apply_every",
    "apply_if_finite", "apply_updates", "around", "asam", "asgd", "aurora", "average_params", "bias_correction",
    "by_role", "came", "cautious", "centralize", "chain", "clip", "clip_attention_logits", "clip_by_block_rms",
    "clip_by_global_norm", "clip_by_leaf_norm", "clip_by_z_score", "clip_spikes", "cocob", "conda",
    "conditionally_mask", "conditionally_transform", "constant_schedule", "cosine_decay_schedule",
    "cosine_onecycle_schedule", "curvature", "cyclic_schedule", "dadapt", "dadapt_adagrad", "dadapt_adamw",
    "dadapt_adan", "dadapt_lion", "dadapt_sgd", "decay_of_half_life", "decay_params", "decay_to_start",
    "differentially_private_aggregate", "diffgrad", "dion2", "dog", "dowg", "dpsgd", "dynamic_loss_scale",
    "effective_window", "ema", "ema_nesterov", "ema_params", "eval_params", "ewma", "ewma_weights",
    "exponential_decay", "fit", "flatten", "foreign", "fork", "freeze", "fromage", "ftrl", "function_of_step",
    "galore", "gauss_newton_bartlett_diag_hessian", "global_norm", "gradient_params", "graft", "grams", "grokfast",
    "guard_nonfinite", "half_life", "has_updated", "hutchinson_estimator_diag_hessian", "hyperball",
    "hyperparameters", "identity", "in_eigenbasis", "in_singular_basis", "incremental_update", "init_empty_state",
    "initializers", "inject_hyperparams", "inject_stateful_hyperparams", "interop", "inverse_sqrt_schedule",
    "inverse_time_decay", "join_schedules", "kahan", "keep_params_nonnegative", "lamb", "laprop", "lars", "lbfgs",
    "lengthen_to_average", "limit_norm_growth", "linear_onecycle_schedule", "linear_schedule", "lion",
    "lion_momentum", "lookahead", "lookahead_trace", "loss_scale", "madgrad", "mars", "masked", "master_weights",
    "matrix_inverse_pth_root", "measure_with_ema", "measured", "measurements", "mechanize", "minimize",
    "mix_with_gradient", "momo", "momo_adam", "monitor", "multi_normal", "multi_transform", "muon", "muon_clip",
    "nadam", "nadamw", "named_chain", "nesterov", "nesterov_bias_correction", "nesterov_lookahead",
    "nesterov_momentum_decay", "newton", "newton_cg", "nnls", "noisy_sgd", "normalize", "normalize_by_size",
    "normalize_by_update_norm", "normuon", "novograd", "optimistic_adam", "optimistic_adam_v2",
    "optimistic_gradient_descent", "orthogonalize", "own_clock", "pack", "partition",
    "per_example_global_norm_clip", "per_example_layer_norm_clip", "per_leaf", "periodic_update",
    "piecewise_constant_schedule", "piecewise_interpolate_schedule", "plot", "pnm", "polyak_sgd",
    "polynomial_schedule", "power_cooldown_schedule", "power_iteration", "prodigy", "project_params", "projections",
    "psgd_kron", "qhadam", "qhm", "qk_clip", "quantized", "radam", "radial_brake", "ranger", "real_zeros",
    "rectified_schedule", "reduce_on_plateau", "reduce_variance", "remove_radial", "reset", "restart", "rmsprop",
    "roles", "root", "root_bias_correction", "rotated", "row_floor", "rprop", "safe_increment",
    "safe_int32_increment", "safe_norm", "safe_root_mean_squares", "sam", "scale", "scale_by_acprop",
    "scale_by_adadelta", "scale_by_adahessian", "scale_by_adam", "scale_by_adamax", "scale_by_adan",
    "scale_by_ademamix", "scale_by_adopt", "scale_by_amsgrad", "scale_by_apollo", "scale_by_atan2_rms",
    "scale_by_aurora", "scale_by_backtracking_linesearch", "scale_by_belief", "scale_by_bounded_rms",
    "scale_by_change", "scale_by_cocob", "scale_by_confidence", "scale_by_dion2",
    "scale_by_distance_over_gradients", "scale_by_dog", "scale_by_dowg", "scale_by_ewma", "scale_by_factored_rms",
    "scale_by_falling_rate", "scale_by_galore", "scale_by_infinity_norm", "scale_by_kron", "scale_by_lbfgs",
    "scale_by_learning_rate", "scale_by_lion", "scale_by_lmo", "scale_by_madgrad", "scale_by_max_rms",
    "scale_by_mean_side", "scale_by_mean_squares", "scale_by_mini_rms", "scale_by_mixed_rms", "scale_by_muon",
    "scale_by_newton", "scale_by_newton_cg", "scale_by_norm_history", "scale_by_novograd",
    "scale_by_optimistic_gradient", "scale_by_output_rms", "scale_by_param_block_norm", "scale_by_param_block_rms",
    "scale_by_pnm", "scale_by_polyak", "scale_by_radam", "scale_by_rectified_rms", "scale_by_rms", "scale_by_rprop",
    "scale_by_rss", "scale_by_schedule", "scale_by_shampoo", "scale_by_shape", "scale_by_sign",
    "scale_by_simplified_ademamix", "scale_by_sm3", "scale_by_sophia", "scale_by_stable_rms", "scale_by_stddev",
    "scale_by_trust_ratio", "scale_by_yogi", "scale_by_zoom_linesearch", "scale_gradient", "scale_to_params",
    "scale_to_rms", "schedule", "schedule_free", "schedule_free_adamc", "schedule_free_adamw",
    "schedule_free_eval_params", "schedule_free_plus", "schedule_free_radam", "schedule_free_sgd", "scion",
    "selective_transform", "set_to_zero", "sgd", "sgdp", "sgdr_schedule", "shampoo", "sign_sgd", "signum",
    "simplified_ademamix", "skip_large_updates", "skip_not_finite", "skip_spikes", "sm3", "snapshot", "soap",
    "soap_muon", "sophia", "split_real_and_imaginary", "split_weights", "splus", "sqrt_cooldown_schedule",
    "stable_adamw", "stable_spam", "stateless", "stateless_with_tree_map", "steady_norm", "stochastic_rounding",
    "stretch", "swa_params", "sweep", "tail_ema_params", "testing", "trace", "transformation", "tree",
    "tree_map_params", "tune", "unitwise_clip", "unitwise_norm", "update_infinity_moment", "update_moment",
    "update_moment_per_elem_norm", "value_and_grad_from_state", "warmup_constant_schedule",
    "warmup_cosine_decay_schedule", "warmup_exponential_decay_schedule", "warmup_stable_decay_schedule",
    "whole_tree", "with_extra_args_support", "with_gradient_signs", "with_hyperparams", "with_state_dtype", "yogi",
    "zero_nans", "zeros",
]  # fmt: skip

_LOOPS = {"fit": "fit", "minimize": "minimize", "Fit": "result"}


def __getattr__(name: str) -> typing.Any:
    """Namespaces and training loops are imported where they are first used: most programs need few of them."""
    if name in ("curvature", "initializers", "interop", "plot", "projections", "sweep", "testing", "tune"):
        return importlib.import_module(f"gradtx.{name}")
    if name in _LOOPS:
        return getattr(importlib.import_module(f"gradtx._training.{_LOOPS[name]}"), name)
    hints = importlib.import_module("gradtx._value.hints")
    hint = "" if name.startswith("_") else hints.instead_of_name(name, __all__)
    raise AttributeError(f"module 'gradtx' has no attribute {name!r}{hint}", name=name)


def __dir__() -> list[str]:
    return __all__
