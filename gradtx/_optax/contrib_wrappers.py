"""Wrappers of Optax's ``contrib``, and what needs more than gradients; see `gradtx._optax.links`."""

from typing import Any

import gradtx as gx
from gradtx._optax.shaped import like_optax
from gradtx._value.marks import Link, OfStep, Static


@like_optax
def differentially_private_aggregate(l2_norm_clip, noise_multiplier, key=None, *, seed=None) -> Any:
    """The mean of the gradients of examples, each clipped to a norm, plus noise."""
    return gx.differentially_private_aggregate(l2_norm_clip, noise_multiplier, key, seed)


@like_optax
def dpsgd(learning_rate: OfStep, l2_norm_clip, noise_multiplier, seed, momentum=None, nesterov: Static = False) -> Any:
    """Gradient descent that keeps each example private."""
    return gx.dpsgd(learning_rate, l2_norm_clip, noise_multiplier, seed, momentum, nesterov=nesterov)


@like_optax
def hutchinson_estimator_diag_hessian(random_seed=None) -> Any:
    """Hutchinson's estimate of the diagonal of the Hessian, in place of the update."""
    return gx.hutchinson_estimator_diag_hessian(random_seed)


@like_optax
def mechanize(base_optimizer: Link, weight_decay: OfStep = 0.01, eps=1e-08, s_init=1e-06, num_betas: Static = 6) -> Any:
    """The steps of an optimizer, added up and multiplied by a factor that is learned."""
    return gx.mechanize(base_optimizer, weight_decay, eps, s_init, num_betas=num_betas)


@like_optax
def reduce_on_plateau(
    factor=0.1, patience=10, rtol=0.0001, atol=0.0, cooldown=0, accumulation_size=1, min_scale=0.0
) -> Any:
    """The update, scaled down by ``factor`` each time the loss has not improved for a while."""
    return gx.reduce_on_plateau(factor, patience, rtol, atol, cooldown, accumulation_size, min_scale)


@like_optax
def sam(
    optimizer: Link,
    adv_optimizer: Link,
    sync_period: Static = 2,
    reset_state: Static = True,
    opaque_mode: Static = False,
    batch_axis_name: Static = None,
) -> Any:
    """An optimizer that is given the gradient at the worst point nearby, which an adversary looks for."""
    return gx.sam(
        optimizer,
        adv_optimizer,
        sync_period=sync_period,
        reset_state=reset_state,
        opaque_mode=opaque_mode,
        batch_axis_name=batch_axis_name,
    )


@like_optax
def schedule_free(
    base_optimizer: Link, learning_rate: OfStep, b1=0.9, weight_lr_power=2.0, state_dtype: Static = None
) -> Any:
    """A base optimizer whose momentum and schedule are replaced by an average of its iterates."""
    return gx.schedule_free(base_optimizer, learning_rate, b1, weight_lr_power, state_dtype=state_dtype)


@like_optax
def schedule_free_adamw(
    learning_rate: OfStep = 0.0025,
    warmup_steps=None,
    b1=0.9,
    b2=0.999,
    eps=1e-08,
    weight_decay: OfStep = 0.0,
    weight_lr_power=2.0,
    state_dtype: Static = None,
) -> Any:
    """AdamW with an average of its iterates in place of momentum and a schedule."""
    return gx.schedule_free_adamw(
        learning_rate, warmup_steps, b1, b2, eps, weight_decay, weight_lr_power, state_dtype=state_dtype
    )


@like_optax
def schedule_free_sgd(
    learning_rate: OfStep = 1.0,
    warmup_steps=None,
    b1=0.9,
    weight_decay: OfStep = None,
    weight_lr_power=2.0,
    state_dtype: Static = None,
) -> Any:
    """Gradient descent with an average of its iterates in place of momentum and a schedule."""
    return gx.schedule_free_sgd(learning_rate, warmup_steps, b1, weight_decay, weight_lr_power, state_dtype=state_dtype)


@like_optax
def sophia(
    learning_rate: OfStep,
    b1=0.965,
    b2=0.99,
    eps=1e-08,
    weight_decay: OfStep = 0.0001,
    weight_decay_mask: Static = None,
    gamma=0.01,
    clip_threshold=1.0,
    update_interval=10,
    hessian_diagonal_fn: Link = gx.hutchinson_estimator_diag_hessian(),  # noqa: B008  it is a value
    mu_dtype: Static = None,
    verbose: Static = False,
    print_win_rate_every_n_steps: Static = 0,
) -> Any:
    """Momentum over the diagonal of the Hessian, clipped where that is small or negative."""
    return gx.sophia(
        learning_rate,
        b1,
        b2,
        eps,
        weight_decay,
        weight_decay_mask=weight_decay_mask,
        gamma=gamma,
        clip_threshold=clip_threshold,
        update_interval=update_interval,
        hessian_diagonal_fn=hessian_diagonal_fn,
        mu_dtype=mu_dtype,
    )


@like_optax
def split_real_and_imaginary(inner: Link) -> Any:
    """A transformation to which a complex array is two real ones."""
    return gx.split_real_and_imaginary(inner)
