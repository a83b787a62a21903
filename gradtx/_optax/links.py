"""Links as Optax has them.

Each is the factory of gradtx of that name with the signature of Optax: structure stands where Optax has it, numbers may
have any value, and the state has Optax's form.
"""

from typing import Any, Literal

import jax
import jax.numpy as jnp

import gradtx as gx
from gradtx._optax.shaped import like_optax
from gradtx._value.marks import OfStep, Static


def _placed(eps: Any, eps_in_sqrt: bool) -> tuple[Any, Any]:
    """The stabilizer beside the root, and the one inside it."""
    return (0.0, eps) if eps_in_sqrt else (eps, 0.0)


def seed_of(key: Any, seed: Any) -> Any:
    """The seed of random draws: a number as it is, and one that is made of a key."""
    given = seed if key is None else key
    if isinstance(given, jax.Array) and (given.ndim or jnp.issubdtype(given.dtype, jax.dtypes.prng_key)):
        return jax.random.randint(given, (), 0, 2**24)
    return 0 if given is None else given


@like_optax
def adaptive_grad_clip(clipping, eps=0.001, axis: Static = None) -> Any:
    """The gradient of each unit, scaled down where it is large relative to the weights of the unit."""
    return gx.adaptive_grad_clip(clipping, eps, axis=axis)


@like_optax
def add_decayed_weights(weight_decay: OfStep = 0.0, mask: Static = None) -> Any:
    """The parameters, times a number, added to the update."""
    return gx.add_decayed_weights(weight_decay, mask=mask)


@like_optax
def add_noise(eta, gamma, key: Static = None, *, seed: Static = None) -> Any:
    """Gaussian noise on the gradient, whose variance falls with the step."""
    return gx.add_noise(eta, gamma, seed_of(key, seed))


@like_optax
def apply_every(k=1) -> Any:
    """The sum of the updates of k steps, at every k-th step; nothing at the others."""
    return gx.apply_every(k)


@like_optax
def centralize() -> Any:
    """Arrays of two or more axes, less their mean over all axes but the first."""
    return gx.centralize()


@like_optax
def clip(max_delta) -> Any:
    """Every coordinate, brought into an interval around zero."""
    return gx.clip(max_delta)


@like_optax
def clip_by_block_rms(threshold) -> Any:
    """Every leaf by itself, scaled down to the root mean square ``threshold`` where its own is larger."""
    return gx.clip_by_block_rms(threshold)


@like_optax
def clip_by_global_norm(max_norm) -> Any:
    """All leaves together, scaled down to the norm ``max_norm`` where theirs is larger."""
    return gx.clip_by_global_norm(max_norm)


@like_optax
def ema(decay, debias: Static = True, accumulator_dtype: Static = None) -> Any:
    """The moving average of the updates, corrected at once: `scale_by_ewma` and `bias_correction` in one."""
    return gx.ema(decay, debias=debias, accumulator_dtype=accumulator_dtype)


@like_optax
def identity() -> Any:
    """No change."""
    return gx.identity()


@like_optax
def keep_params_nonnegative() -> Any:
    """Parameters that stay at zero or above: the step ends there."""
    return gx.keep_params_nonnegative()


@like_optax
def normalize_by_update_norm(scale_factor=1.0, eps=1e-06) -> Any:
    """All leaves together, over their norm."""
    return gx.normalize_by_update_norm(scale_factor, eps)


@like_optax
def scale(step_size) -> Any:
    """A constant factor."""
    return gx.scale(step_size)


@like_optax
def scale_by_adadelta(rho=0.9, eps=1e-06) -> Any:
    """AdaGrad over a moving window, times the size of past updates, so that the update has the parameters' units."""
    return gx.scale_by_adadelta(rho, eps)


@like_optax
def scale_by_adam(
    b1=0.9, b2=0.999, eps=1e-08, eps_root=0.0, mu_dtype: Static = None, *, nesterov: Static = False
) -> Any:
    """Adam's direction: an average of the gradients over an average of their sizes."""
    return gx.scale_by_adam(b1, b2, eps, eps_root, mu_dtype=mu_dtype, nesterov=nesterov)


@like_optax
def scale_by_adamax(b1=0.9, b2=0.999, eps=1e-08) -> Any:
    """AdaMax's direction: an average of the gradients over a decaying maximum of their sizes."""
    return gx.scale_by_adamax(b1, b2, eps)


@like_optax
def scale_by_adan(b1=0.98, b2=0.92, b3=0.99, eps=1e-08, eps_root=0.0) -> Any:
    """Nesterov's momentum from differences of gradients, over the size of what it looks ahead to."""
    return gx.scale_by_adan(b1, b2, b3, eps, eps_root)


@like_optax
def scale_by_amsgrad(
    b1=0.9,
    b2=0.999,
    eps=1e-08,
    eps_root=0.0,
    mu_dtype: Static = None,
    bias_correction_mu: Static = True,
    bias_correction_nu: Static = True,
) -> Any:
    """AMSGrad's direction: Adam's, with a denominator that never falls."""
    return gx.scale_by_amsgrad(
        b1,
        b2,
        eps,
        eps_root,
        mu_dtype=mu_dtype,
        bias_correction_mu=bias_correction_mu,
        bias_correction_nu=bias_correction_nu,
    )


@like_optax
def scale_by_backtracking_linesearch(
    max_backtracking_steps: Static,
    slope_rtol=0.0001,
    decrease_factor=0.8,
    increase_factor=1.5,
    max_learning_rate=1.0,
    atol=0.0,
    rtol=0.0,
    store_grad: Static = False,
    verbose: Static = False,
) -> Any:
    """The update, shortened until the objective has decreased sufficiently: Armijo's condition."""
    return gx.scale_by_backtracking_linesearch(
        max_backtracking_steps=max_backtracking_steps,
        slope_rtol=slope_rtol,
        decrease_factor=decrease_factor,
        increase_factor=increase_factor,
        max_learning_rate=max_learning_rate,
        atol=atol,
        rtol=rtol,
        store_grad=store_grad,
    )


@like_optax
def scale_by_belief(b1=0.9, b2=0.999, eps=1e-16, eps_root=1e-16, *, nesterov: Static = False) -> Any:
    """Adam's direction, whose second moment is of the deviation of the gradient from its average."""
    return gx.scale_by_belief(b1, b2, eps, eps_root, nesterov=nesterov)


@like_optax
def scale_by_distance_over_gradients(
    reps_rel=1e-06, eps=1e-08, param_dtype: Static = "float32", global_scale=1.0
) -> Any:
    """Every leaf times the farthest that it has been from its start, over the norm of all its gradients."""
    return gx.scale_by_distance_over_gradients(reps_rel, eps, param_dtype=param_dtype, global_scale=global_scale)


@like_optax
def scale_by_factored_rms(
    factored: Static = True,
    decay_rate=0.8,
    step_offset=0,
    min_dim_size_to_factor: Static = 128,
    epsilon=1e-30,
    decay_rate_fn: Static = None,
) -> Any:
    """The update over the root of its mean square, which is kept only as means of rows and columns."""
    return gx.scale_by_factored_rms(
        factored=factored,
        decay_rate=decay_rate,
        step_offset=step_offset,
        min_dim_size_to_factor=min_dim_size_to_factor,
        epsilon=epsilon,
        decay_rate_fn=decay_rate_fn,
    )


@like_optax
def scale_by_lbfgs(memory_size: Static = 10, scale_init_precond: Static = True) -> Any:
    """The direction of L-BFGS: the update times an inverse Hessian that the last ``memory_size`` steps suggest."""
    return gx.scale_by_lbfgs(memory_size=memory_size, scale_init_precond=scale_init_precond)


@like_optax
def scale_by_learning_rate(learning_rate: OfStep = None, *, flip_sign: Static = True) -> Any:
    """The learning rate, with the minus sign that makes the update descend; None leaves the update as it is."""
    return gx.identity() if learning_rate is None else gx.scale_by_learning_rate(learning_rate, flip_sign=flip_sign)


@like_optax
def scale_by_lion(
    b1=0.9, b2=0.99, mu_dtype: Static = None, *, mode: Literal["hard", "smooth", "refined"] = "hard", smooth_beta=1.0
) -> Any:
    """Lion's direction: the sign of an interpolation between the average and the newest update."""
    return gx.scale_by_lion(b1, b2, mu_dtype=mu_dtype, mode=mode, smooth_beta=smooth_beta)


@like_optax
def scale_by_novograd(
    b1=0.9, b2=0.25, eps=1e-08, eps_root=0.0, weight_decay: OfStep = 0.0, mu_dtype: Static = None
) -> Any:
    """Momentum of normalised gradients: one second moment for each leaf, of the norm."""
    return gx.scale_by_novograd(b1, b2, eps, eps_root, weight_decay, mu_dtype=mu_dtype)


@like_optax
def scale_by_optimistic_gradient(alpha=1.0, beta=1.0) -> Any:
    """The update, and its newest change once more."""
    return gx.scale_by_optimistic_gradient(alpha, beta)


@like_optax
def scale_by_param_block_norm(min_scale=0.001) -> Any:
    """Every leaf times the norm of its parameter."""
    return gx.scale_by_param_block_norm(min_scale)


@like_optax
def scale_by_param_block_rms(min_scale=0.001) -> Any:
    """Every leaf times the root mean square of its parameter."""
    return gx.scale_by_param_block_rms(min_scale)


@like_optax
def scale_by_polyak(f_min=0.0, max_learning_rate=1.0, eps=0.0, variant: Static = "sps") -> Any:
    """The update times the step that would end at the least loss, if the loss were linear."""
    return gx.scale_by_polyak(f_min, max_learning_rate, eps, variant=variant)


@like_optax
def scale_by_radam(b1=0.9, b2=0.999, eps=1e-08, eps_root=0.0, threshold=5.0, *, nesterov: Static = False) -> Any:
    """Rectified Adam's direction."""
    return gx.scale_by_radam(b1, b2, eps, eps_root, threshold, nesterov=nesterov)


@like_optax
def scale_by_rms(
    decay=0.9, eps=1e-08, initial_scale=0.0, eps_in_sqrt: Static = True, bias_correction: Static = False
) -> Any:
    """Adam's denominator: the root of a corrected moving average of the squared gradients."""
    return gx.scale_by_rms(decay, *_placed(eps, eps_in_sqrt), initial_scale, bias_correction=bias_correction)


@like_optax
def scale_by_rprop(learning_rate: OfStep, eta_minus=0.5, eta_plus=1.2, min_step_size=1e-06, max_step_size=50.0) -> Any:
    """A step size for every coordinate, which grows while the sign of the gradient holds and shrinks where it flips."""
    return gx.scale_by_rprop(learning_rate, eta_minus, eta_plus, min_step_size, max_step_size)


@like_optax
def scale_by_rss(initial_accumulator_value=0.1, eps=1e-07) -> Any:
    """AdaGrad's denominator: the root of the sum of all squared gradients."""
    return gx.scale_by_rss(initial_accumulator_value, eps)


@like_optax
def scale_by_schedule(step_size_fn: OfStep) -> Any:
    """A factor that depends on the step."""
    return gx.scale_by_schedule(step_size_fn)


@like_optax
def scale_by_sign() -> Any:
    """The sign of every coordinate."""
    return gx.scale_by_sign()


@like_optax
def scale_by_sm3(b1=0.9, b2=1.0, eps=1e-08) -> Any:
    """AdaGrad in sublinear memory: one accumulator for each row and each column, in place of one for each entry."""
    return gx.scale_by_sm3(b1, b2, eps)


@like_optax
def scale_by_stddev(
    decay=0.9, eps=1e-08, initial_scale=0.0, eps_in_sqrt: Static = True, bias_correction: Static = False
) -> Any:
    """Centred RMSProp: the root of a moving variance of the gradients."""
    return gx.scale_by_stddev(decay, eps, initial_scale, eps_in_sqrt=eps_in_sqrt, bias_correction=bias_correction)


@like_optax
def scale_by_trust_ratio(min_norm=0.0, trust_coefficient=1.0, eps=0.0) -> Any:
    """Every leaf, scaled to the norm of its parameter, so that all leaves change by the same share of their size."""
    return gx.scale_by_trust_ratio(min_norm, trust_coefficient, eps)


@like_optax
def scale_by_yogi(b1=0.9, b2=0.999, eps=0.001, eps_root=0.0, initial_accumulator_value=1e-06) -> Any:
    """Adam's direction, whose second moment changes by an amount that does not depend on its own size."""
    return gx.scale_by_yogi(b1, b2, eps, eps_root, initial_accumulator_value)


@like_optax
def scale_by_zoom_linesearch(
    max_linesearch_steps: Static,
    max_learning_rate=None,
    tol=0.0,
    increase_factor=2.0,
    slope_rtol=0.0001,
    curv_rtol=0.9,
    approx_dec_rtol=1e-06,
    stepsize_precision=1e-05,
    initial_guess_strategy: Static = "keep",
    verbose: Static = False,
) -> Any:
    """The update, scaled to meet the strong Wolfe conditions: the objective falls enough, and its slope flattens."""
    return gx.scale_by_zoom_linesearch(
        max_linesearch_steps=max_linesearch_steps,
        max_learning_rate=max_learning_rate,
        tol=tol,
        increase_factor=increase_factor,
        slope_rtol=slope_rtol,
        curv_rtol=curv_rtol,
        approx_dec_rtol=approx_dec_rtol,
        stepsize_precision=stepsize_precision,
        initial_guess_strategy=initial_guess_strategy,
    )


@like_optax
def trace(decay, nesterov: Static = False, accumulator_dtype: Static = None) -> Any:
    """The decaying sum of the updates: momentum."""
    return gx.trace(decay, nesterov=nesterov, accumulator_dtype=accumulator_dtype)


@like_optax
def zero_nans() -> Any:
    """Zeros in place of NaN."""
    return gx.zero_nans()
