"""Optax's ``contrib`` as Optax has it; see `gradtx._optax.links`."""

from typing import Any

import gradtx as gx
from gradtx._optax.shaped import like_optax
from gradtx._optimizers.adopt import fourth_root
from gradtx._rules.matrices import axes_by_rank
from gradtx._value.marks import Link, Numbers, OfStep, Static


@like_optax
def acprop(
    learning_rate: OfStep, b1=0.9, b2=0.999, eps=1e-16, eps_root=1e-16, weight_decay: OfStep = 0.0, mask: Static = None
) -> Any:
    """Gradients over how far those before them were from their average: centred, and asynchronous."""
    return gx.acprop(learning_rate, b1, b2, eps, eps_root, weight_decay, mask=mask)


@like_optax
def ademamix(
    learning_rate: OfStep,
    b1=0.9,
    b2=0.999,
    b3=0.9999,
    alpha=5.0,
    eps=1e-08,
    eps_root=0.0,
    mu_dtype: Static = None,
    weight_decay: OfStep = 0.0,
    mask: Static = None,
) -> Any:
    """AdamW with two averages of the gradients, a fast and a slow one."""
    return gx.ademamix(
        learning_rate, b1, b2, b3, alpha, eps, eps_root, mu_dtype=mu_dtype, weight_decay=weight_decay, mask=mask
    )


@like_optax
def adopt(
    learning_rate: OfStep,
    b1=0.9,
    b2=0.9999,
    eps=1e-06,
    mu_dtype: Static = None,
    *,
    nesterov: Static = False,
    use_clipping: Static = True,
    clip_value_fn: Static = fourth_root,
) -> Any:
    """Adam that converges with any β₂: each gradient is divided by the size of those before it, then averaged."""
    return gx.adopt(
        learning_rate,
        b1,
        b2,
        eps,
        mu_dtype=mu_dtype,
        nesterov=nesterov,
        use_clipping=use_clipping,
        clip_value_fn=clip_value_fn,
    )


@like_optax
def cocob(learning_rate: OfStep = 1.0, alpha=100.0, eps=1e-08, weight_decay: OfStep = 0.0, mask: Static = None) -> Any:
    """Continuous coin betting: stochastic gradient descent without a learning rate."""
    return gx.cocob(learning_rate, alpha, eps, weight_decay, mask=mask)


@like_optax
def dadapt_adamw(
    learning_rate: OfStep = 1.0, betas: Numbers = (0.9, 0.999), eps=1e-08, estim_lr0=1e-06, weight_decay: OfStep = 0.0
) -> Any:
    """AdamW whose rate is a lower bound of the distance from the start to the solution."""
    return gx.dadapt_adamw(learning_rate, betas, eps, estim_lr0, weight_decay)


@like_optax
def dog(
    learning_rate: OfStep = 1.0,
    init_step: Static = ("heuristic", 1e-06),
    eps=1e-08,
    weight_decay: OfStep = None,
    mask: Static = None,
) -> Any:
    """Gradient descent whose step is the distance from the start over the root of all squared norms."""
    return gx.dog(learning_rate, init_step=init_step, eps=eps, weight_decay=weight_decay, mask=mask)


@like_optax
def dowg(
    learning_rate: OfStep = 1.0, init_estim_sq_dist=None, eps=0.0001, weight_decay: OfStep = None, mask: Static = None
) -> Any:
    """Gradient descent whose step is the squared distance from the start over the root of norms that it weights."""
    return gx.dowg(learning_rate, init_estim_sq_dist, eps, weight_decay, mask=mask)


@like_optax
def galore(
    learning_rate: OfStep,
    rank: Static = 128,
    update_proj_gap=200,
    scale=1.0,
    base_optimizer: Link = None,
    weight_decay: OfStep = 0.0,
    mask: Static = None,
    weight_dimension_numbers: Static = None,
) -> Any:
    """AdamW with moments of the largest directions of each matrix only, to save memory."""
    return gx.galore(
        learning_rate,
        rank=rank,
        update_proj_gap=update_proj_gap,
        scale=scale,
        weight_decay=weight_decay,
        mask=mask,
        weight_dimension_numbers=weight_dimension_numbers,
        **{} if base_optimizer is None else {"base_optimizer": base_optimizer},
    )


@like_optax
def madgrad(learning_rate: OfStep, momentum=0.9, weight_decay: OfStep = 0.0, eps=1e-06) -> Any:
    """Momentumized, adaptive, dual averaged gradients: AdaGrad with a cube root, and momentum by averaging iterates."""
    return gx.madgrad(learning_rate, momentum, weight_decay, eps)


@like_optax
def momo(
    learning_rate: OfStep = 1.0,
    beta=0.9,
    lower_bound=0.0,
    weight_decay: OfStep = 0.0,
    adapt_lower_bound: Static = False,
) -> Any:
    """Momentum with the longest step that a model of the loss supports: averages of losses and gradients, a bound."""
    return gx.momo(learning_rate, beta, lower_bound, weight_decay, adapt_lower_bound=adapt_lower_bound)


@like_optax
def momo_adam(
    learning_rate: OfStep = 0.01,
    b1=0.9,
    b2=0.999,
    eps=1e-08,
    lower_bound=0.0,
    weight_decay: OfStep = 0.0,
    adapt_lower_bound: Static = False,
) -> Any:
    """Adam with the longest step that a model of the loss supports: `momo`, measured by Adam's denominators."""
    return gx.momo_adam(learning_rate, b1, b2, eps, lower_bound, weight_decay, adapt_lower_bound=adapt_lower_bound)


@like_optax
def muon(
    learning_rate: OfStep,
    ns_coeffs: Static = (3.4445, -4.775, 2.0315),
    ns_steps: Static = 5,
    beta=0.95,
    eps=1e-08,
    weight_decay: OfStep = 0.0,
    weight_decay_mask: Static = None,
    mu_dtype: Static = None,
    *,
    nesterov: Static = True,
    adaptive: Static = False,
    preconditioning: Static = "frobenius",
    adam_b1=0.9,
    adam_b2=0.999,
    adam_eps_root=0.0,
    adam_weight_decay=0.0,
    adam_learning_rate=None,
    muon_weight_dimension_numbers: Static = None,
    consistent_rms=None,
) -> Any:
    """Momentum that is made orthogonal where a parameter is a matrix, and Adam for all other parameters."""
    by_rank = muon_weight_dimension_numbers is None
    return gx.muon(
        learning_rate,
        ns_coeffs=ns_coeffs,
        ns_steps=ns_steps,
        beta=beta,
        eps=eps,
        weight_decay=weight_decay,
        weight_decay_mask=weight_decay_mask,
        mu_dtype=mu_dtype,
        nesterov=nesterov,
        adaptive=adaptive,
        preconditioning=preconditioning,
        adam_b1=adam_b1,
        adam_b2=adam_b2,
        adam_eps_root=adam_eps_root,
        adam_weight_decay=adam_weight_decay,
        adam_learning_rate=adam_learning_rate,
        muon_weight_dimension_numbers=axes_by_rank if by_rank else muon_weight_dimension_numbers,
        consistent_rms=consistent_rms,
    )


@like_optax
def normalize() -> Any:
    """All leaves together, scaled to length 1."""
    return gx.normalize()


@like_optax
def prodigy(
    learning_rate: OfStep = 1.0,
    betas: Numbers = (0.9, 0.999),
    beta3=None,
    eps=1e-08,
    estim_lr0=1e-06,
    estim_lr_coef=1.0,
    weight_decay: OfStep = 0.0,
    safeguard_warmup: Static = False,
) -> Any:
    """Adam whose rate is an estimate of the distance from the start to the solution."""
    return gx.prodigy(
        learning_rate, betas, beta3, eps, estim_lr0, estim_lr_coef, weight_decay, safeguard_warmup=safeguard_warmup
    )


@like_optax
def scale_by_acprop(b1=0.9, b2=0.999, eps=1e-16, eps_root=1e-16) -> Any:
    """The update, over how far the updates before it were from their average."""
    return gx.scale_by_acprop(b1, b2, eps, eps_root)


@like_optax
def scale_by_ademamix(b1=0.9, b2=0.999, b3=0.9999, alpha=6.0, eps=1e-08, eps_root=0.0, mu_dtype: Static = None) -> Any:
    """Two averages of the updates, a fast and a slow one, over Adam's denominator."""
    return gx.scale_by_ademamix(b1, b2, b3, alpha, eps, eps_root, mu_dtype=mu_dtype)


@like_optax
def scale_by_adopt(
    b1=0.9,
    b2=0.9999,
    eps=1e-06,
    mu_dtype: Static = None,
    *,
    nesterov: Static = False,
    use_clipping: Static = True,
    clip_value_fn: Static = fourth_root,
) -> Any:
    """The average of updates that are divided by the size of the gradients before them."""
    return gx.scale_by_adopt(
        b1, b2, eps, mu_dtype=mu_dtype, nesterov=nesterov, use_clipping=use_clipping, clip_value_fn=clip_value_fn
    )


@like_optax
def scale_by_cocob(alpha=100.0, eps=1e-08) -> Any:
    """The way to where a gambler would stand who bets on each coordinate of −uₜ."""
    return gx.scale_by_cocob(alpha, eps)


@like_optax
def scale_by_galore(
    rank: Static = 128,
    update_proj_gap=200,
    scale=1.0,
    base_optimizer: Link = None,
    weight_dimension_numbers: Static = None,
) -> Any:
    """Another optimizer, on the largest directions of the gradient of each matrix."""
    return gx.scale_by_galore(
        rank=rank,
        update_proj_gap=update_proj_gap,
        scale=scale,
        weight_dimension_numbers=weight_dimension_numbers,
        **{} if base_optimizer is None else {"base_optimizer": base_optimizer},
    )


@like_optax
def scale_by_madgrad(learning_rate: OfStep, momentum=0.9, eps=1e-06) -> Any:
    """The step of MADGRAD: part of the way to what the sum of all updates suggests, from the first parameters."""
    return gx.scale_by_madgrad(learning_rate, momentum, eps)


@like_optax
def scale_by_muon(
    ns_coeffs: Numbers = (3.4445, -4.775, 2.0315),
    ns_steps: Static = 5,
    beta=0.95,
    eps=1e-08,
    mu_dtype: Static = None,
    *,
    nesterov: Static = True,
    adaptive: Static = False,
    preconditioning: Static = "frobenius",
    weight_dimension_numbers: Static = None,
) -> Any:
    """The orthogonal part of momentum: the links of Muon for matrices."""
    return gx.scale_by_muon(
        ns_coeffs,
        ns_steps=ns_steps,
        beta=beta,
        eps=eps,
        mu_dtype=mu_dtype,
        nesterov=nesterov,
        adaptive=adaptive,
        preconditioning=preconditioning,
        weight_dimension_numbers=weight_dimension_numbers,
    )


@like_optax
def scale_by_simplified_ademamix(b1=0.99, b2=0.95, alpha=0.0, eps=1e-08, eps_root=0.0) -> Any:
    """A decaying sum of the updates and the newest of them, over Adam's denominator."""
    return gx.scale_by_simplified_ademamix(b1, b2, alpha, eps, eps_root)


@like_optax
def simplified_ademamix(
    learning_rate: OfStep,
    b1=0.99,
    b2=0.95,
    alpha=0.0,
    eps=1e-08,
    eps_root=0.0,
    weight_decay: OfStep = 0.0,
    mask: Static = None,
) -> Any:
    """AdEMAMix with one average in place of two: old momentum, and more weight on the newest gradient."""
    return gx.simplified_ademamix(learning_rate, b1, b2, alpha, eps, eps_root, weight_decay, mask=mask)
