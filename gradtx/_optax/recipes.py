"""Optimizers as Optax has them.

Each is the factory of gradtx of that name with the signature of Optax: structure stands where Optax has it, numbers may
have any value, and the state has Optax's form.
"""

import warnings
from typing import Any

import gradtx as gx
from gradtx._optax.links import seed_of
from gradtx._optax.shaped import like_optax
from gradtx._value.marks import Link, OfStep, Static


@like_optax
def adabelief(learning_rate: OfStep, b1=0.9, b2=0.999, eps=1e-16, eps_root=1e-16, *, nesterov: Static = False) -> Any:
    """Adam with belief in its own prediction: long steps where the gradient is as its average says."""
    return gx.adabelief(learning_rate, b1, b2, eps, eps_root, nesterov=nesterov)


@like_optax
def adadelta(
    learning_rate: OfStep = None, rho=0.9, eps=1e-06, weight_decay: OfStep = 0.0, weight_decay_mask: Static = None
) -> Any:
    """AdaGrad over a moving window, with the size of past updates in place of a rate; None is 1 (Optax ascends)."""
    return gx.adadelta(
        1.0 if learning_rate is None else learning_rate, rho, eps, weight_decay, weight_decay_mask=weight_decay_mask
    )


@like_optax
def adafactor(
    learning_rate: OfStep = None,
    min_dim_size_to_factor: Static = 128,
    decay_rate=0.8,
    decay_offset=0,
    multiply_by_parameter_scale: Static = True,
    clipping_threshold: float | None = 1.0,
    momentum=None,
    dtype_momentum: Static = "float32",
    weight_decay_rate=None,
    eps=1e-30,
    factored: Static = True,
    weight_decay_mask: Static = None,
) -> Any:
    """Adam in sublinear memory: second moments by row and column, steps relative to the parameters, and no momentum."""
    return gx.adafactor(
        learning_rate,
        min_dim_size_to_factor=min_dim_size_to_factor,
        decay_rate=decay_rate,
        decay_offset=decay_offset,
        multiply_by_parameter_scale=multiply_by_parameter_scale,
        clipping_threshold=clipping_threshold,
        momentum=momentum,
        dtype_momentum=dtype_momentum,
        weight_decay_rate=weight_decay_rate,
        eps=eps,
        factored=factored,
        weight_decay_mask=weight_decay_mask,
    )


@like_optax
def adagrad(learning_rate: OfStep, initial_accumulator_value=0.1, eps=1e-07) -> Any:
    """A rate for every coordinate, which falls with the gradients that it has seen."""
    return gx.adagrad(learning_rate, initial_accumulator_value, eps)


@like_optax
def adam(
    learning_rate: OfStep,
    b1=0.9,
    b2=0.999,
    eps=1e-08,
    eps_root=0.0,
    mu_dtype: Static = None,
    *,
    nesterov: Static = False,
) -> Any:
    """Adaptive moment estimation."""
    return (gx.nadam if nesterov else gx.adam)(learning_rate, b1, b2, eps, eps_root, mu_dtype=mu_dtype)


@like_optax
def adamax(learning_rate: OfStep, b1=0.9, b2=0.999, eps=1e-08) -> Any:
    """Adam with the infinity norm."""
    return gx.adamax(learning_rate, b1, b2, eps)


@like_optax
def adamaxw(
    learning_rate: OfStep, b1=0.9, b2=0.999, eps=1e-08, weight_decay: OfStep = 0.0001, mask: Static = None
) -> Any:
    """AdaMax with decoupled weight decay."""
    return gx.adamaxw(learning_rate, b1, b2, eps, weight_decay, mask=mask)


@like_optax
def adamw(
    learning_rate: OfStep,
    b1=0.9,
    b2=0.999,
    eps=1e-08,
    eps_root=0.0,
    mu_dtype: Static = None,
    weight_decay: OfStep = 0.0001,
    mask: Static = None,
    *,
    nesterov: Static = False,
) -> Any:
    """Adam with decoupled weight decay."""
    return (gx.nadamw if nesterov else gx.adamw)(
        learning_rate, b1, b2, eps, eps_root, mu_dtype=mu_dtype, weight_decay=weight_decay, mask=mask
    )


@like_optax
def adan(
    learning_rate: OfStep,
    b1=0.98,
    b2=0.92,
    b3=0.99,
    eps=1e-08,
    eps_root=1e-08,
    weight_decay: OfStep = 0.0,
    mask: Static = None,
) -> Any:
    """Adaptive Nesterov momentum."""
    return gx.adan(learning_rate, b1, b2, b3, eps, eps_root, weight_decay, mask=mask)


@like_optax
def amsgrad(
    learning_rate: OfStep,
    b1=0.9,
    b2=0.999,
    eps=1e-08,
    eps_root=0.0,
    mu_dtype: Static = None,
    bias_correction_mu: Static = True,
    bias_correction_nu: Static = True,
) -> Any:
    """Adam whose denominator never falls."""
    return gx.amsgrad(
        learning_rate,
        b1,
        b2,
        eps,
        eps_root,
        mu_dtype=mu_dtype,
        bias_correction_mu=bias_correction_mu,
        bias_correction_nu=bias_correction_nu,
    )


@like_optax
def fromage(learning_rate: OfStep, min_norm=1e-06) -> Any:
    """Steps relative to the norm of each leaf, shrunk so that the leaf does not grow."""
    return gx.fromage(learning_rate, min_norm)


@like_optax
def lamb(
    learning_rate: OfStep, b1=0.9, b2=0.999, eps=1e-06, eps_root=0.0, weight_decay: OfStep = 0.0, mask: Static = None
) -> Any:
    """Adam with a rate for each layer, proportional to the norm of its weights: for large batches."""
    return gx.lamb(learning_rate, b1, b2, eps, eps_root, weight_decay, mask=mask)


@like_optax
def lars(
    learning_rate: OfStep,
    weight_decay: OfStep = 0.0,
    weight_decay_mask: Static = True,
    trust_coefficient=0.001,
    eps=0.0,
    trust_ratio_mask: Static = True,
    momentum=0.9,
    nesterov: Static = False,
) -> Any:
    """Momentum with a rate for each layer, proportional to the norm of its weights: for large batches."""
    return gx.lars(
        learning_rate,
        weight_decay,
        weight_decay_mask=weight_decay_mask,
        trust_coefficient=trust_coefficient,
        eps=eps,
        trust_ratio_mask=trust_ratio_mask,
        momentum=momentum,
        nesterov=nesterov,
    )


@like_optax
def lion(
    learning_rate: OfStep, b1=0.9, b2=0.99, mu_dtype: Static = None, weight_decay: OfStep = 0.001, mask: Static = None
) -> Any:
    """Evolved sign momentum."""
    return gx.lion(learning_rate, b1, b2, mu_dtype=mu_dtype, weight_decay=weight_decay, mask=mask)


@like_optax
def nadam(
    learning_rate: OfStep,
    b1=0.9,
    b2=0.999,
    eps=1e-08,
    eps_root=0.0,
    mu_dtype: Static = None,
    *,
    nesterov: Static = True,
) -> Any:
    """Adam with Nesterov's momentum."""
    return (gx.nadam if nesterov else gx.adam)(learning_rate, b1, b2, eps, eps_root, mu_dtype=mu_dtype)


@like_optax
def nadamw(
    learning_rate: OfStep,
    b1=0.9,
    b2=0.999,
    eps=1e-08,
    eps_root=0.0,
    mu_dtype: Static = None,
    weight_decay: OfStep = 0.0001,
    mask: Static = None,
    *,
    nesterov: Static = True,
) -> Any:
    """Nadam with decoupled weight decay."""
    return (gx.nadamw if nesterov else gx.adamw)(
        learning_rate, b1, b2, eps, eps_root, mu_dtype=mu_dtype, weight_decay=weight_decay, mask=mask
    )


@like_optax
def noisy_sgd(learning_rate: OfStep, eta=0.01, gamma=0.55, key: Static = None, *, seed: Static = None) -> Any:
    """Gradient descent with noise that fades."""
    return gx.noisy_sgd(learning_rate, eta, gamma, seed_of(key, seed))


@like_optax
def novograd(learning_rate: OfStep, b1=0.9, b2=0.25, eps=1e-06, eps_root=0.0, weight_decay: OfStep = 0.0) -> Any:
    """Momentum of gradients that are normalised layer by layer."""
    return gx.novograd(learning_rate, b1, b2, eps, eps_root, weight_decay)


@like_optax
def _optimistic_adam(
    learning_rate: OfStep,
    optimism=None,
    b1=0.9,
    b2=0.999,
    eps=1e-08,
    eps_root=0.0,
    mu_dtype: Static = None,
    *,
    nesterov: Static = True,
) -> Any:
    return gx.optimistic_adam(learning_rate, optimism, b1, b2, eps, eps_root, mu_dtype=mu_dtype, nesterov=nesterov)


def optimistic_adam(
    learning_rate: Any,
    optimism=None,
    b1=0.9,
    b2=0.999,
    eps=1e-08,
    eps_root=0.0,
    mu_dtype: Any = None,
    *,
    nesterov: Any = True,
) -> Any:
    """`gradtx.optimistic_adam`, which Optax has deprecated for ``optimistic_adam_v2``."""
    warnings.warn("optimistic_adam is deprecated: use `optimistic_adam_v2` instead", DeprecationWarning, stacklevel=2)
    return _optimistic_adam(learning_rate, optimism, b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov)


@like_optax
def optimistic_adam_v2(
    learning_rate: OfStep,
    *,
    alpha=1.0,
    beta=1.0,
    b1=0.9,
    b2=0.999,
    eps=1e-08,
    eps_root=0.0,
    mu_dtype: Static = None,
    nesterov: Static = True,
) -> Any:
    """Adam, or Nadam, that expects the newest change of its direction once more, as a share of the rate."""
    return gx.optimistic_adam_v2(
        learning_rate, alpha, beta, b1, b2, eps, eps_root, mu_dtype=mu_dtype, nesterov=nesterov
    )


@like_optax
def optimistic_gradient_descent(learning_rate: OfStep, alpha=1.0, beta=1.0) -> Any:
    """Gradient descent that expects the newest change of the gradient once more: for games."""
    return gx.optimistic_gradient_descent(learning_rate, alpha, beta)


@like_optax
def polyak_sgd(max_learning_rate=1.0, scaling=1.0, f_min=0.0, eps=0.0, variant: Static = "sps") -> Any:
    """Gradient descent with Polyak's step size."""
    return gx.polyak_sgd(max_learning_rate, scaling, f_min, eps, variant=variant)


@like_optax
def radam(
    learning_rate: OfStep, b1=0.9, b2=0.999, eps=1e-08, eps_root=0.0, threshold=5.0, *, nesterov: Static = False
) -> Any:
    """Adam that warms up by itself, as far as its second moment can be trusted."""
    return gx.radam(learning_rate, b1, b2, eps, eps_root, threshold, nesterov=nesterov)


@like_optax
def rmsprop(
    learning_rate: OfStep,
    decay=0.9,
    eps=1e-08,
    initial_scale=0.0,
    eps_in_sqrt: Static = True,
    centered: Static = False,
    momentum=None,
    nesterov: Static = False,
    bias_correction: Static = False,
) -> Any:
    """AdaGrad with a moving average in place of the sum."""
    return gx.rmsprop(
        learning_rate,
        decay,
        eps,
        initial_scale,
        eps_in_sqrt=eps_in_sqrt,
        centered=centered,
        momentum=momentum,
        nesterov=nesterov,
        bias_correction=bias_correction,
    )


@like_optax
def rprop(learning_rate: OfStep, eta_minus=0.5, eta_plus=1.2, min_step_size=1e-06, max_step_size=50.0) -> Any:
    """Resilient backpropagation: steps by the sign of the gradient, of a size that each coordinate finds for itself."""
    return gx.rprop(learning_rate, eta_minus, eta_plus, min_step_size, max_step_size)


@like_optax
def sgd(learning_rate: OfStep, momentum=None, nesterov: Static = False, accumulator_dtype: Static = None) -> Any:
    """Stochastic gradient descent, with optional momentum."""
    return gx.sgd(learning_rate, momentum, nesterov=nesterov, accumulator_dtype=accumulator_dtype)


@like_optax
def sign_sgd(learning_rate: OfStep) -> Any:
    """Gradient descent along the signs."""
    return gx.sign_sgd(learning_rate)


@like_optax
def signum(learning_rate: OfStep, beta=0.9, accumulator_dtype: Static = None) -> Any:
    """Gradient descent along the signs of the momentum."""
    return gx.signum(learning_rate, beta, accumulator_dtype=accumulator_dtype)


@like_optax
def sm3(learning_rate: OfStep, momentum=0.9) -> Any:
    """AdaGrad in sublinear memory."""
    return gx.sm3(learning_rate, momentum)


@like_optax
def yogi(learning_rate: OfStep, b1=0.9, b2=0.999, eps=0.001) -> Any:
    """Adam whose rate does not rise quickly when gradients become small."""
    return gx.yogi(learning_rate, b1, b2, eps)


@like_optax
def _lbfgs(learning_rate: OfStep | None, linesearch: Link, memory_size: Static, scale_init_precond: Static) -> Any:
    return gx.lbfgs(learning_rate, linesearch, memory_size=memory_size, scale_init_precond=scale_init_precond)


def lbfgs(
    learning_rate: Any = None,
    memory_size: int = 10,
    scale_init_precond: bool = True,
    linesearch: Any = gx.scale_by_zoom_linesearch(20, initial_guess_strategy="one"),  # noqa: B008  it is a value
) -> Any:
    """Limited-memory BFGS, with a line search for the strong Wolfe conditions; None is none."""
    search = gx.identity() if linesearch is None else linesearch
    return _lbfgs(learning_rate, search, memory_size, scale_init_precond)
