"""Gradient transformations for JAX that are values: pytrees of their numbers.

A transformation has ``init(params)`` and ``update(updates, state, params)``. Build one from links with `chain`, or
take a recipe such as `adam`; the README says how.

What a name needs is imported where the name is first used, so ``import gradtx`` costs next to nothing on top of jax.
The types of all names stand in ``__init__.pyi``.
"""

import importlib
import typing

_NAMESPACES = ("curvature", "initializers", "interop", "plot", "projections", "sweep", "testing", "tree", "tune")
_OPENS = {  # the names of each module; ``found:name`` is called otherwise there
    "_links.adaptive_clipping": "adaptive_grad_clip unitwise_clip unitwise_norm",
    "_links.atan2": "scale_by_atan2_rms",
    "_links.cautious_decay": "add_cautious_decayed_weights",
    "_links.centralization": "centralize",
    "_links.clipping": "clip clip_by_block_rms clip_by_global_norm clip_by_leaf_norm",
    "_links.constraints": "keep_params_nonnegative",
    "_links.corrected_decay": "add_corrected_decay",
    "_links.dadapt": "dadapt_adagrad dadapt_adamw dadapt_adan dadapt_sgd",
    "_links.decay": "add_decayed_weights",
    "_links.decoupled_decay": "decay_params decay_to_start",
    "_links.distance": "scale_by_distance_over_gradients",
    "_links.dog": "scale_by_dog scale_by_dowg",
    "_links.every": "apply_every",
    "_links.factored": "scale_by_factored_rms",
    "_links.ftrl": "ftrl",
    "_links.grokfast": "grokfast",
    "_links.hessian_diagonal": "gauss_newton_bartlett_diag_hessian hutchinson_estimator_diag_hessian",
    "_links.kronecker": "scale_by_shampoo",
    "_links.lbfgs": "scale_by_lbfgs",
    "_links.line_search": "scale_by_backtracking_linesearch scale_by_zoom_linesearch",
    "_links.lion_momentum": "lion_momentum",
    "_links.lmo": "scale_by_lmo",
    "_links.matrix_scaling": "scale_by_output_rms scale_by_shape scale_to_rms",
    "_links.mean_side": "scale_by_mean_side",
    "_links.mixing": "mix_with_gradient",
    "_links.moments": (
        "bias_correction ema lookahead_trace nesterov_bias_correction nesterov_lookahead nesterov_momentum_decay "
        "root_bias_correction scale_by_ewma trace"
    ),
    "_links.momo": "momo momo_adam",
    "_links.nans": "zero_nans",
    "_links.newton": "scale_by_newton scale_by_newton_cg",
    "_links.noise": "add_noise",
    "_links.norm_growth": "limit_norm_growth",
    "_links.norm_history": "clip_spikes lengthen_to_average steady_norm",
    "_links.normalization": "normalize normalize_by_size normalize_by_update_norm",
    "_links.orthogonalize": "orthogonalize",
    "_links.param_scale": "scale_by_param_block_norm scale_by_param_block_rms",
    "_links.per_example": "per_example_global_norm_clip per_example_layer_norm_clip",
    "_links.plateau": "reduce_on_plateau",
    "_links.privacy": "differentially_private_aggregate",
    "_links.prodigy": "prodigy",
    "_links.projected": "project_params",
    "_links.projection": "remove_radial",
    "_links.qk_clip": "clip_attention_logits qk_clip",
    "_links.relative": "row_floor scale_to_params",
    "_links.scaling": "scale scale_by_falling_rate scale_by_learning_rate scale_by_schedule scale_by_sign",
    "_links.second_moments": (
        "scale_by_infinity_norm scale_by_max_rms scale_by_mean_squares scale_by_rms scale_by_rss scale_by_stddev"
    ),
    "_links.signs": "with_gradient_signs",
    "_links.stable_rms": "scale_by_stable_rms",
    "_links.stateless": "init_empty_state stateless stateless_with_tree_map",
    "_links.trust_ratio": "scale_by_trust_ratio",
    "_links.variance_reduction": "reduce_variance",
    "_links.z_score": "clip_by_z_score",
    "_numeric.gradients": "scale_gradient value_and_grad_from_state",
    "_numeric.linear_algebra": "matrix_inverse_pth_root nnls power_iteration",
    "_numeric.normal": "multi_normal",
    "_numeric.safe": "safe_increment safe_int32_increment safe_norm safe_root_mean_squares",
    "_numeric.targets": "incremental_update periodic_update",
    "_optimizers.acprop": "acprop scale_by_acprop",
    "_optimizers.adabelief": "adabelief scale_by_belief",
    "_optimizers.adabound": "adabound scale_by_bounded_rms",
    "_optimizers.adadelta": "adadelta scale_by_adadelta",
    "_optimizers.adafactor": "adafactor",
    "_optimizers.adago": "adago scale_by_norm_history",
    "_optimizers.adagrad": "adagrad",
    "_optimizers.adahessian": "adahessian scale_by_adahessian",
    "_optimizers.adam": "adam adamax scale_by_adam scale_by_adamax",
    "_optimizers.adam_atan2": "adam_atan2",
    "_optimizers.adam_mini": "adam_mini scale_by_mini_rms",
    "_optimizers.adamc": "adamc",
    "_optimizers.adamp": "adamp sgdp",
    "_optimizers.adamuon": "adamuon",
    "_optimizers.adamw": "adamaxw adamw nadamw",
    "_optimizers.adan": "adan scale_by_adan",
    "_optimizers.ademamix": "ademamix scale_by_ademamix scale_by_simplified_ademamix simplified_ademamix",
    "_optimizers.adopt": "adopt scale_by_adopt",
    "_optimizers.aggmo": "aggmo",
    "_optimizers.amsgrad": "amsgrad scale_by_amsgrad",
    "_optimizers.apollo": "apollo scale_by_apollo",
    "_optimizers.asam": "asam",
    "_optimizers.asgd": "asgd",
    "_optimizers.aurora": "aurora scale_by_aurora",
    "_optimizers.came": "came scale_by_confidence",
    "_optimizers.cocob": "cocob scale_by_cocob",
    "_optimizers.conda": "conda",
    "_optimizers.dadapt_lion": "dadapt_lion",
    "_optimizers.diffgrad": "diffgrad scale_by_change",
    "_optimizers.dion2": "dion2 scale_by_dion2",
    "_optimizers.dog": "dog dowg",
    "_optimizers.dpsgd": "dpsgd",
    "_optimizers.fromage": "fromage",
    "_optimizers.galore": "galore scale_by_galore",
    "_optimizers.grams": "grams",
    "_optimizers.lamb": "lamb",
    "_optimizers.laprop": "laprop",
    "_optimizers.lars": "lars",
    "_optimizers.lbfgs": "lbfgs",
    "_optimizers.lion": "lion scale_by_lion",
    "_optimizers.madgrad": "madgrad scale_by_madgrad",
    "_optimizers.mars": "mars",
    "_optimizers.muon": "muon scale_by_muon",
    "_optimizers.muon_clip": "muon_clip",
    "_optimizers.nadam": "nadam",
    "_optimizers.newton": "newton newton_cg",
    "_optimizers.noisy_sgd": "noisy_sgd",
    "_optimizers.normuon": "normuon",
    "_optimizers.novograd": "novograd scale_by_novograd",
    "_optimizers.optimistic": (
        "optimistic_adam optimistic_adam_v2 optimistic_gradient_descent scale_by_optimistic_gradient"
    ),
    "_optimizers.pnm": "adapnm pnm scale_by_pnm",
    "_optimizers.polyak": "polyak_sgd scale_by_polyak",
    "_optimizers.psgd": "psgd_kron scale_by_kron",
    "_optimizers.quasi_hyperbolic": "qhadam qhm scale_by_mixed_rms",
    "_optimizers.radam": "radam scale_by_radam scale_by_rectified_rms",
    "_optimizers.ranger": "ranger",
    "_optimizers.rmsprop": "rmsprop",
    "_optimizers.rprop": "rprop scale_by_rprop",
    "_optimizers.schedule_free": "schedule_free_adamw schedule_free_radam schedule_free_sgd",
    "_optimizers.schedule_free_adamc": "schedule_free_adamc",
    "_optimizers.scion": "scion",
    "_optimizers.sgd": "nesterov sgd",
    "_optimizers.shampoo": "shampoo",
    "_optimizers.sign": "sign_sgd signum",
    "_optimizers.sm3": "scale_by_sm3 sm3",
    "_optimizers.soap": "soap",
    "_optimizers.soap_muon": "soap_muon",
    "_optimizers.sophia": "scale_by_sophia sophia",
    "_optimizers.splus": "splus",
    "_optimizers.stable_adamw": "stable_adamw",
    "_optimizers.stable_spam": "stable_spam",
    "_optimizers.yogi": "scale_by_yogi yogi",
    "_roles.by_role": "by_role",
    "_roles.role": "Role",
    "_roles.roles": "Roles roles",
    "_rules.around": "around",
    "_rules.fields": "real_zeros zeros",
    "_rules.functions": "apply_updates eval_params gradient_params hyperparameters reset with_extra_args_support",
    "_rules.matrices": "DimensionNumbers:GaLoreDimensionNumbers DimensionNumbers:MuonDimensionNumbers",
    "_rules.packing": "Packed pack",
    "_rules.per_leaf": "per_leaf",
    "_rules.protocol": "Rule",
    "_rules.transformation": "GradientTransformation foreign transformation",
    "_rules.whole_tree": "whole_tree",
    "_schedules.averages": "decay_of_half_life effective_window ewma_weights half_life",
    "_schedules.cooldowns": "power_cooldown_schedule sqrt_cooldown_schedule",
    "_schedules.cycles": "cosine_onecycle_schedule cyclic_schedule linear_onecycle_schedule sgdr_schedule",
    "_schedules.decays": (
        "constant_schedule cosine_decay_schedule exponential_decay inverse_time_decay linear_schedule "
        "piecewise_constant_schedule piecewise_interpolate_schedule polynomial_schedule "
        "warmup_cosine_decay_schedule"
    ),
    "_schedules.rectified": "rectified_schedule",
    "_schedules.schedule": "Schedule function_of_step join_schedules schedule stretch",
    "_schedules.warmups": (
        "inverse_sqrt_schedule warmup_constant_schedule warmup_exponential_decay_schedule warmup_stable_decay_schedule"
    ),
    "_training.fit": "fit",
    "_training.minimize": "minimize",
    "_training.result": "Fit",
    "_tree.lookup": "map_params:tree_map_params",
    "_tree.moments": "update_infinity_moment update_moment update_moment_per_elem_norm",
    "_tree.reductions": "norm:global_norm",
    "_value.errors": "TransformationError",
    "_value.floating": "abs_sq ewma root",
    "_value.marks": "Decay Decays Dtype Group Limit Link NonNegative Numbers OfStep Seed Share Static",
    "_wrappers.accumulate": "MultiSteps accumulate has_updated",
    "_wrappers.average": "average_params ema_params swa_params tail_ema_params",
    "_wrappers.cautious": "cautious",
    "_wrappers.chain": "chain identity named_chain",
    "_wrappers.clocks": "own_clock",
    "_wrappers.complex_parts": "split_real_and_imaginary",
    "_wrappers.conditions": "conditionally_mask conditionally_transform",
    "_wrappers.dadapt": "dadapt",
    "_wrappers.eigenbasis": "in_eigenbasis rotated",
    "_wrappers.ema_nesterov": "ema_nesterov",
    "_wrappers.flatten": "flatten",
    "_wrappers.fork": "fork",
    "_wrappers.graft": "graft",
    "_wrappers.groups": "freeze masked multi_transform partition selective_transform set_to_zero",
    "_wrappers.guard": "apply_if_finite guard_nonfinite",
    "_wrappers.hyperball": "hyperball",
    "_wrappers.hyperparams": "InjectHyperparamsState inject_hyperparams inject_stateful_hyperparams with_hyperparams",
    "_wrappers.kahan": "kahan",
    "_wrappers.lookahead": "lookahead",
    "_wrappers.loss_scale": "dynamic_loss_scale loss_scale",
    "_wrappers.measured": "measured measurements",
    "_wrappers.mechanize": "mechanize",
    "_wrappers.monitor": "measure_with_ema monitor snapshot",
    "_wrappers.precision": "master_weights with_state_dtype",
    "_wrappers.quantized": "quantized",
    "_wrappers.radial_brake": "radial_brake",
    "_wrappers.restart": "restart",
    "_wrappers.schedule_free": "schedule_free schedule_free_eval_params",
    "_wrappers.schedule_free_plus": "schedule_free_plus",
    "_wrappers.sharpness": "sam",
    "_wrappers.singular_basis": "in_singular_basis",
    "_wrappers.skipping": "skip_large_updates skip_not_finite",
    "_wrappers.spikes": "skip_spikes",
    "_wrappers.split_weights": "split_weights",
    "_wrappers.stochastic_rounding": "stochastic_rounding",
}
_HOMES = {name.rpartition(":")[2]: (home, name.partition(":")[0]) for home, x in _OPENS.items() for name in x.split()}

__all__ = sorted([*_HOMES, *_NAMESPACES])  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> typing.Any:
    """Import what a name stands for, once."""
    if name in _NAMESPACES:
        return importlib.import_module(f"gradtx.{name}")
    if name in _HOMES:
        home, found = _HOMES[name]
        return globals().setdefault(name, getattr(importlib.import_module(f"gradtx.{home}"), found))
    hints = importlib.import_module("gradtx._value.hints")
    hint = "" if name.startswith("_") else hints.instead_of_name(name, __all__)
    raise AttributeError(f"module 'gradtx' has no attribute {name!r}{hint}", name=name)


def __dir__() -> list[str]:
    return __all__
