"""D-Adaptation of Lion."""

import jax.numpy as jnp

from gradtx._rules.fields import zeros
from gradtx._rules.per_leaf import per_leaf
from gradtx._rules.protocol import Rule
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._value.floating import ewma
from gradtx._value.marks import Decay, Decays, NonNegative
from gradtx._wrappers.dadapt import dadapt


@transformation
def scale_by_weighted_lion(b1: Decay = 0.9, b2: Decay = 0.99) -> Rule:
    """Lion's direction as `gradtx.dadapt_lion` has it: its average is of gradients times the rate of their time.

        u ← −sign(β₁mₜ₋₁ + (1 − β₁)uₜ);   mₜ = β₂mₜ₋₁ + (1 − β₂)γₜuₜ

    γ is the keyword ``estim_lr`` that `gradtx.dadapt` gives. State: ``mu`` (m), like the parameters.
    """

    def formula(u, mu, *, estim_lr):
        return -jnp.sign(ewma(b1, mu, u)), ewma(b2, mu, estim_lr.astype(jnp.real(u).dtype) * u)

    return per_leaf(formula, mu=zeros)


@transformation
def dadapt_lion(
    learning_rate: NonNegative = 1.0,
    betas: Decays = (0.9, 0.99),
    estim_lr0: NonNegative = 1e-6,
    weight_decay: NonNegative = 0.0,
    growth_rate: NonNegative = None,
) -> GradientTransformation:
    """Lion whose rate is a lower bound of the distance from the start to the solution.

        v = sign(β₁mₜ₋₁ + (1 − β₁)gₜ);   mₜ = β₂mₜ₋₁ + (1 − β₂)γgₜ;   θ ← θ − γ(v + λθ),   γ = dα

    α is ``learning_rate``, which only scales the estimate; β₁, β₂ are ``betas``, λ ``weight_decay``; d is that of
    `gradtx.dadapt`. As in the authors' program γ weights the gradients in the average, but not the newest
    beside it, so that while d is small v is a sign of the gradient; ``dadapt(lion(1.0))`` weights none. Source: Defazio
    & Mishchenko 2023, Algorithm 5; their program's Lion.

    >>> tx, x = dadapt_lion(estim_lr0=0.5), jnp.array([1.0])
    >>> tx.update(jnp.array([4.0]), tx.init(x), x)[0]  # a step of length d
    Array([-0.5], dtype=float32)
    """
    b1, b2 = betas
    return dadapt(scale_by_weighted_lion(b1, b2), learning_rate, b2, estim_lr0, weight_decay, growth_rate)
