"""Gradient transformations for JAX that are values: pytrees of their numbers.

A transformation has ``init(params)`` and ``update(updates, state, params)``. Build one from links with `chain`, or take a
recipe such as `adam`; the README says how.
"""

from gradtx import tree
from gradtx._combinators.chain import chain, identity
from gradtx._combinators.fork import fork
from gradtx._combinators.groups import masked, partition, set_to_zero
from gradtx._errors import TransformationError
from gradtx._numbers import Decay, Group, Limit, Link, NonNegative, OfStep, Static, abs_sq, root
from gradtx._optimizers.adaptive import adam, adamax, adamw, amsgrad, lion, nadam
from gradtx._optimizers.classic import adagrad, rmsprop, sgd
from gradtx._primitives.centralization import centralize
from gradtx._primitives.clipping import clip, clip_by_global_norm
from gradtx._primitives.decay import add_decayed_weights
from gradtx._primitives.moments import (
    bias_correction,
    nesterov_bias_correction,
    nesterov_lookahead,
    nesterov_momentum_decay,
    scale_by_ewma,
    scale_by_lion,
    trace,
)
from gradtx._primitives.scaling import scale, scale_by_learning_rate, scale_by_schedule, scale_by_sign
from gradtx._primitives.second_moments import (
    scale_by_infinity_norm,
    scale_by_max_rms,
    scale_by_rms,
    scale_by_rss,
    scale_by_stddev,
)
from gradtx._rules import Rule, per_leaf, real_zeros, whole_tree, zeros
from gradtx._schedules import (
    Schedule,
    constant_schedule,
    cosine_decay_schedule,
    exponential_decay,
    function_of_step,
    inverse_time_decay,
    join_schedules,
    linear_schedule,
    piecewise_constant_schedule,
    piecewise_interpolate_schedule,
    polynomial_schedule,
    schedule,
    stretch,
    warmup_cosine_decay_schedule,
)
from gradtx._transformation import GradientTransformation, apply_updates, foreign, hyperparameters, transformation
