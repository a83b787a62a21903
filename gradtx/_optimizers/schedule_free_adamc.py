"""Schedule-Free AdamC."""

from gradtx._links.moments import bias_correction, scale_by_ewma
from gradtx._links.second_moments import scale_by_rms
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._value.marks import Decay, NonNegative
from gradtx._wrappers.chain import chain
from gradtx._wrappers.schedule_free_plus import schedule_free_plus


@transformation
def schedule_free_adamc(
    learning_rate: NonNegative = 1.0,
    b1: Decay = 0.9,
    b2: Decay = 0.95,
    eps: NonNegative = 1e-8,
    weight_decay: NonNegative = 0.0,
    momentum: Decay = 0.9,
    weight_lr_power: NonNegative = 2.0,
    r: NonNegative = 0.0,
    polyak_decay: Decay = 0.0,
    average_from: NonNegative = 0.0,
) -> GradientTransformation:
    """AdamC without a rate or a schedule to tune: Schedule-Free+ of Adam with momentum.

        z ← z − γ m̂/(√ν̂ + ε) − λγ²y;   x ← (1 − c)x + cz;   y ← β₁x + (1 − β₁)z;   γ is Polyak's

    as in `schedule_free_plus`. γ is α times Polyak's step, α ``learning_rate``; m̂ and ν̂ are Adam's, of ``momentum`` and
    ``b2``, λ ``weight_decay`` (20 to 50 are usual), ε ``eps``. ``update`` needs ``value``, the loss. Source: Defazio
    2026, the program of Schedule-Free+; Defazio 2025 (AdamC).

    >>> tx, y = schedule_free_adamc((jnp.pi / 2) ** 0.5), jnp.array([4.0])
    >>> tx.update(jnp.array([2.0]), tx.init(y), y, value=3.0)[0].round(4)  # Adam's sign, γ = 3/2
    Array([-1.5], dtype=float32)
    """
    base = chain(scale_by_ewma(momentum), bias_correction(momentum), scale_by_rms(b2, eps))
    return schedule_free_plus(base, learning_rate, b1, weight_decay, weight_lr_power, r, polyak_decay, average_from)
