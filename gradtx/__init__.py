"""Gradient transformations for JAX that are values: pytrees of their numbers.

A transformation has ``init(params)`` and ``update(updates, state, params)``. Build one from links with `chain`, or
take a recipe such as `adam`; the README says how.
"""

import importlib
import typing

from gradtx import tree
from gradtx._links.centralization import centralize
from gradtx._links.clipping import clip, clip_by_global_norm
from gradtx._links.dadapt import dadapt_adamw
from gradtx._links.decay import add_decayed_weights
from gradtx._links.distance import scale_by_dog, scale_by_dowg
from gradtx._links.factored import scale_by_factored_rms
from gradtx._links.hessian_diagonal import hutchinson_estimator_diag_hessian
from gradtx._links.kronecker import scale_by_shampoo
from gradtx._links.lbfgs import scale_by_lbfgs
from gradtx._links.line_search import scale_by_backtracking_linesearch, scale_by_zoom_linesearch
from gradtx._links.moments import (
    bias_correction,
    lookahead_trace,
    nesterov_bias_correction,
    nesterov_lookahead,
    nesterov_momentum_decay,
    scale_by_ewma,
    trace,
)
from gradtx._links.momo import momo, momo_adam
from gradtx._links.newton import scale_by_newton, scale_by_newton_cg
from gradtx._links.noise import add_noise
from gradtx._links.normalization import normalize, normalize_by_size
from gradtx._links.orthogonalize import orthogonalize, scale_by_shape
from gradtx._links.plateau import reduce_on_plateau
from gradtx._links.privacy import differentially_private_aggregate
from gradtx._links.prodigy import prodigy
from gradtx._links.scaling import (
    scale,
    scale_by_falling_rate,
    scale_by_learning_rate,
    scale_by_schedule,
    scale_by_sign,
)
from gradtx._links.second_moments import (
    scale_by_infinity_norm,
    scale_by_max_rms,
    scale_by_mean_squares,
    scale_by_rms,
    scale_by_rss,
    scale_by_stddev,
)
from gradtx._optimizers.acprop import acprop, scale_by_acprop
from gradtx._optimizers.adadelta import adadelta, scale_by_adadelta
from gradtx._optimizers.adagrad import adagrad
from gradtx._optimizers.adam import adam, adamax
from gradtx._optimizers.adamw import adamw
from gradtx._optimizers.ademamix import (
    ademamix,
    scale_by_ademamix,
    scale_by_simplified_ademamix,
    simplified_ademamix,
)
from gradtx._optimizers.adopt import adopt, scale_by_adopt
from gradtx._optimizers.amsgrad import amsgrad
from gradtx._optimizers.asam import asam
from gradtx._optimizers.asgd import asgd
from gradtx._optimizers.cocob import cocob, scale_by_cocob
from gradtx._optimizers.dog import dog, dowg
from gradtx._optimizers.dpsgd import dpsgd
from gradtx._optimizers.galore import galore, scale_by_galore
from gradtx._optimizers.lbfgs import lbfgs
from gradtx._optimizers.lion import lion, scale_by_lion
from gradtx._optimizers.madgrad import madgrad, scale_by_madgrad
from gradtx._optimizers.muon import muon, scale_by_muon
from gradtx._optimizers.nadam import nadam
from gradtx._optimizers.newton import newton, newton_cg
from gradtx._optimizers.rmsprop import rmsprop
from gradtx._optimizers.rprop import rprop, scale_by_rprop
from gradtx._optimizers.schedule_free import schedule_free_adamw, schedule_free_sgd
from gradtx._optimizers.sgd import nesterov, sgd
from gradtx._optimizers.sophia import scale_by_sophia, sophia
from gradtx._rules.around import around
from gradtx._rules.fields import real_zeros, zeros
from gradtx._rules.functions import apply_updates, eval_params, gradient_params, hyperparameters
from gradtx._rules.matrices import DimensionNumbers as GaLoreDimensionNumbers
from gradtx._rules.matrices import DimensionNumbers as MuonDimensionNumbers
from gradtx._rules.packing import Packed, pack
from gradtx._rules.per_leaf import per_leaf
from gradtx._rules.protocol import Rule
from gradtx._rules.transformation import GradientTransformation, foreign, transformation
from gradtx._rules.whole_tree import whole_tree
from gradtx._schedules.averages import decay_of_half_life, effective_window, ewma_weights, half_life
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
from gradtx._schedules.schedule import Schedule, function_of_step, join_schedules, schedule, stretch
from gradtx._schedules.warmups import (
    inverse_sqrt_schedule,
    warmup_constant_schedule,
    warmup_exponential_decay_schedule,
    warmup_stable_decay_schedule,
)
from gradtx._value.errors import TransformationError
from gradtx._value.floating import abs_sq, ewma, root
from gradtx._value.marks import Decay, Decays, Dtype, Group, Limit, Link, NonNegative, Numbers, OfStep, Seed, Static
from gradtx._wrappers.accumulate import MultiSteps, accumulate, has_updated
from gradtx._wrappers.average import average_params, ema_params
from gradtx._wrappers.cautious import cautious
from gradtx._wrappers.chain import chain, identity
from gradtx._wrappers.complex_parts import split_real_and_imaginary
from gradtx._wrappers.fork import fork
from gradtx._wrappers.groups import masked, partition, set_to_zero
from gradtx._wrappers.guard import apply_if_finite, guard_nonfinite
from gradtx._wrappers.lookahead import lookahead
from gradtx._wrappers.measured import measured, measurements
from gradtx._wrappers.mechanize import mechanize
from gradtx._wrappers.schedule_free import schedule_free, schedule_free_eval_params
from gradtx._wrappers.sharpness import sam

if typing.TYPE_CHECKING:
    from gradtx import curvature, initializers, sweep, testing
    from gradtx._training.fit import fit
    from gradtx._training.minimize import minimize
    from gradtx._training.result import Fit

__all__ = [
    "Decay",
    "Decays",
    "Dtype",
    "Fit",
    "GaLoreDimensionNumbers",
    "GradientTransformation",
    "Group",
    "Limit",
    "Link",
    "MultiSteps",
    "MuonDimensionNumbers",
    "NonNegative",
    "Numbers",
    "OfStep",
    "Packed",
    "Rule",
    "Schedule",
    "Seed",
    "Static",
    "TransformationError",
    "abs_sq",
    "accumulate",
    "acprop",
    "adadelta",
    "adagrad",
    "adam",
    "adamax",
    "adamw",
    "add_decayed_weights",
    "add_noise",
    "ademamix",
    "adopt",
    "amsgrad",
    "apply_if_finite",
    "apply_updates",
    "around",
    "asam",
    "asgd",
    "average_params",
    "bias_correction",
    "cautious",
    "centralize",
    "chain",
    "clip",
    "clip_by_global_norm",
    "cocob",
    "constant_schedule",
    "cosine_decay_schedule",
    "cosine_onecycle_schedule",
    "curvature",
    "cyclic_schedule",
    "dadapt_adamw",
    "decay_of_half_life",
    "differentially_private_aggregate",
    "dog",
    "dowg",
    "dpsgd",
    "effective_window",
    "ema_params",
    "eval_params",
    "ewma",
    "ewma_weights",
    "exponential_decay",
    "fit",
    "foreign",
    "fork",
    "function_of_step",
    "galore",
    "gradient_params",
    "guard_nonfinite",
    "half_life",
    "has_updated",
    "hutchinson_estimator_diag_hessian",
    "hyperparameters",
    "identity",
    "initializers",
    "inverse_sqrt_schedule",
    "inverse_time_decay",
    "join_schedules",
    "lbfgs",
    "linear_onecycle_schedule",
    "linear_schedule",
    "lion",
    "lookahead",
    "lookahead_trace",
    "madgrad",
    "masked",
    "measured",
    "measurements",
    "mechanize",
    "minimize",
    "momo",
    "momo_adam",
    "muon",
    "nadam",
    "nesterov",
    "nesterov_bias_correction",
    "nesterov_lookahead",
    "nesterov_momentum_decay",
    "newton",
    "newton_cg",
    "normalize",
    "normalize_by_size",
    "orthogonalize",
    "pack",
    "partition",
    "per_leaf",
    "piecewise_constant_schedule",
    "piecewise_interpolate_schedule",
    "polynomial_schedule",
    "prodigy",
    "real_zeros",
    "reduce_on_plateau",
    "rmsprop",
    "root",
    "rprop",
    "sam",
    "scale",
    "scale_by_acprop",
    "scale_by_adadelta",
    "scale_by_ademamix",
    "scale_by_adopt",
    "scale_by_backtracking_linesearch",
    "scale_by_cocob",
    "scale_by_dog",
    "scale_by_dowg",
    "scale_by_ewma",
    "scale_by_factored_rms",
    "scale_by_falling_rate",
    "scale_by_galore",
    "scale_by_infinity_norm",
    "scale_by_lbfgs",
    "scale_by_learning_rate",
    "scale_by_lion",
    "scale_by_madgrad",
    "scale_by_max_rms",
    "scale_by_mean_squares",
    "scale_by_muon",
    "scale_by_newton",
    "scale_by_newton_cg",
    "scale_by_rms",
    "scale_by_rprop",
    "scale_by_rss",
    "scale_by_schedule",
    "scale_by_shampoo",
    "scale_by_shape",
    "scale_by_sign",
    "scale_by_simplified_ademamix",
    "scale_by_sophia",
    "scale_by_stddev",
    "scale_by_zoom_linesearch",
    "schedule",
    "schedule_free",
    "schedule_free_adamw",
    "schedule_free_eval_params",
    "schedule_free_sgd",
    "set_to_zero",
    "sgd",
    "sgdr_schedule",
    "simplified_ademamix",
    "sophia",
    "split_real_and_imaginary",
    "stretch",
    "sweep",
    "testing",
    "trace",
    "transformation",
    "tree",
    "warmup_constant_schedule",
    "warmup_cosine_decay_schedule",
    "warmup_exponential_decay_schedule",
    "warmup_stable_decay_schedule",
    "whole_tree",
    "zeros",
]

_LOOPS = {"fit": "fit", "minimize": "minimize", "Fit": "result"}


def __getattr__(name: str) -> typing.Any:
    """Namespaces and training loops are imported where they are first used: most programs need few of them."""
    if name in ("curvature", "initializers", "sweep", "testing"):
        return importlib.import_module(f"gradtx.{name}")
    if name in _LOOPS:
        return getattr(importlib.import_module(f"gradtx._training.{_LOOPS[name]}"), name)
    hints = importlib.import_module("gradtx._value.hints")
    hint = "" if name.startswith("_") else hints.instead_of_name(name, __all__)
    raise AttributeError(f"module 'gradtx' has no attribute {name!r}{hint}", name=name)


def __dir__() -> list[str]:
    return __all__
