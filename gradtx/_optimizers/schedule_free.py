"""Schedule-Free SGD, AdamW and RAdam."""

from typing import Any, Literal

from gradtx._links.decay import add_decayed_weights
from gradtx._links.scaling import scale_by_learning_rate
from gradtx._links.second_moments import scale_by_rms
from gradtx._optimizers.sgd import sgd
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._schedules.decays import linear_schedule
from gradtx._schedules.rectified import rectified_schedule
from gradtx._value.marks import Decay, Dtype, NonNegative
from gradtx._wrappers.chain import chain
from gradtx._wrappers.schedule_free import schedule_free

First = Literal["zero", "one step"]


@transformation
def schedule_free_sgd(
    learning_rate: NonNegative = 1.0,
    warmup_steps: NonNegative = None,
    b1: Decay = 0.9,
    weight_decay: NonNegative = None,
    weight_lr_power: NonNegative = 2.0,
    r: NonNegative = None,
    *,
    warmup_from: First = "zero",
    state_dtype: Dtype = None,
) -> GradientTransformation:
    """Gradient descent with an average of its iterates in place of momentum and a schedule.

        z ← z − αₜ(∇f(y) + λy);   x ← (1 − c)x + cz;   y ← β₁x + (1 − β₁)z

    as in `schedule_free`. α is ``learning_rate``, λ ``weight_decay``. In a warm-up of k = ``warmup_steps`` the rate is
    αₜ = α min((t − 1)/k, 1) and the weight of z in the average that of α min(t/k, 1), as in Optax; with
    ``warmup_from="one step"`` both are α min(t/k, 1), as in the authors' program. Source: Defazio et al. 2024,
    Algorithm 1.

    >>> tx, y = schedule_free_sgd(0.5), jnp.array([4.0])
    >>> tx.update(jnp.array([2.0]), tx.init(y), y)[0]  # at first x and z are one
    Array([-1.], dtype=float32)
    """
    rate, of_average = _rates(learning_rate, warmup_steps, warmup_from)
    base = sgd(rate) if weight_decay is None else chain(add_decayed_weights(weight_decay), sgd(rate))
    return schedule_free(base, of_average, b1, weight_lr_power, r, state_dtype=state_dtype)


@transformation
def schedule_free_adamw(
    learning_rate: NonNegative = 0.0025,
    warmup_steps: NonNegative = None,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    weight_decay: NonNegative = 0.0,
    weight_lr_power: NonNegative = 2.0,
    r: NonNegative = None,
    *,
    warmup_from: First = "zero",
    state_dtype: Dtype = None,
) -> GradientTransformation:
    """AdamW with an average of its iterates in place of momentum and a schedule.

        z ← z − αₜ(∇f(y)/(√ν̂ + ε) + λy);   x ← (1 − c)x + cz;   y ← β₁x + (1 − β₁)z

    as in `schedule_free`. α is ``learning_rate``, λ ``weight_decay``, ε ``eps``, ν̂ the corrected second moment of
    `scale_by_rms`. A warm-up is as in `schedule_free_sgd`. Source: Defazio et al. 2024, Algorithm 1 and section 4.1.

    >>> tx, y = schedule_free_adamw(0.5), jnp.array([4.0])
    >>> tx.update(jnp.array([20.0]), tx.init(y), y)[0]  # the first step has the length α
    Array([-0.5], dtype=float32)
    """
    rate, of_average = _rates(learning_rate, warmup_steps, warmup_from)
    base = chain(scale_by_rms(b2, eps), add_decayed_weights(weight_decay), scale_by_learning_rate(rate))
    return schedule_free(base, of_average, b1, weight_lr_power, r, state_dtype=state_dtype)


@transformation
def schedule_free_radam(
    learning_rate: NonNegative = 0.0025,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    weight_decay: NonNegative = 0.0,
    weight_lr_power: NonNegative = 2.0,
    r: NonNegative = None,
    *,
    state_dtype: Dtype = None,
) -> GradientTransformation:
    """Schedule-Free AdamW that needs no warm-up to be chosen: its rate is that of rectified Adam.

        z ← z − αrₜ(∇f(y)/(√ν̂ + ε) + λy);   x ← (1 − c)x + cz;   y ← β₁x + (1 − β₁)z

    as in `schedule_free`. α is ``learning_rate``, rₜ that of `gradtx.rectified_schedule` with ``b2``, λ
    ``weight_decay``, ε ``eps``, ν̂ the corrected second moment. The trap: while ρₜ ≤ 4, four steps with b2 = 0.999, it
    does not move (the authors' ``silent_sgd_phase``). Source: Defazio et al. 2024, Algorithm 1; Liu et al. 2020.

    >>> tx, y = schedule_free_radam(0.5), jnp.array([4.0])
    >>> tx.update(jnp.array([20.0]), tx.init(y), y)[0]
    Array([0.], dtype=float32)
    """
    rate = rectified_schedule(learning_rate, b2)
    base = chain(scale_by_rms(b2, eps), add_decayed_weights(weight_decay), scale_by_learning_rate(rate))
    return schedule_free(base, rate, b1, weight_lr_power, r, state_dtype=state_dtype)


def _rates(peak: Any, warmup_steps: Any, first: str) -> tuple[Any, Any]:
    """The rate of the base, and the one that weights the average."""
    if warmup_steps is None:
        return peak, peak
    ahead = linear_schedule(peak / warmup_steps, peak, warmup_steps - 1)
    return (linear_schedule(0.0, peak, warmup_steps) if first == "zero" else ahead), ahead
