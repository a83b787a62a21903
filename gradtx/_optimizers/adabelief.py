"""AdaBelief."""

from gradtx._links.scaling import scale_by_learning_rate
from gradtx._rules.fields import real_zeros, zeros
from gradtx._rules.per_leaf import per_leaf
from gradtx._rules.protocol import Rule
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._value.floating import abs_sq, divided, ewma, root
from gradtx._value.marks import Decay, NonNegative
from gradtx._wrappers.chain import chain


@transformation
def scale_by_belief(
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-16,
    eps_root: NonNegative = 1e-16,
    *,
    nesterov: bool = False,
) -> Rule:
    """Adam's direction, whose second moment is of the deviation of the gradient from its average.

        mₜ = β₁mₜ₋₁ + (1 − β₁)uₜ;   sₜ = β₂sₜ₋₁ + (1 − β₂)|uₜ − mₜ|² + ε₀;   m̂ = mₜ/(1 − β₁ᵗ),   ŝ = sₜ/(1 − β₂ᵗ)
        u ← m̂/(√ŝ + ε)        (nesterov: m̂ = β₁mₜ/(1 − β₁ᵗ⁺¹) + (1 − β₁)uₜ/(1 − β₁ᵗ))

    β₁ is ``b1``, β₂ ``b2``, ε ``eps``, ε₀ ``eps_root``. The trap: ε₀ is added at every step, so it adds up. Source:
    Zhuang et al. 2020, Algorithm 2. State: ``mu`` (m), ``nu`` (s), like the parameters, the second real.

    >>> tx = scale_by_belief(0.5, 0.5, 0.0, 0.0)
    >>> tx.update(jnp.array([4.0]), tx.init(jnp.zeros(1)))[0]  # m̂ = 4, and ŝ = (4 − 2)²
    Array([2.], dtype=float32)
    """

    def formula(u, mu, nu, *, of_mu, of_next, of_nu):
        mu = ewma(b1, mu, u)
        nu = ewma(b2, nu, abs_sq(u - mu)) + eps_root
        average = b1 * mu / of_next + (1 - b1) * u / of_mu if nesterov else divided(mu, of_mu)
        return average / (root(divided(nu, of_nu)) + eps), mu, nu

    once = {"of_mu": lambda t: 1 - b1**t, "of_next": lambda t: 1 - b1 ** (t + 1), "of_nu": lambda t: 1 - b2**t}
    return per_leaf(formula, once=once, mu=zeros, nu=real_zeros)


@transformation
def adabelief(
    learning_rate: NonNegative,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-16,
    eps_root: NonNegative = 1e-16,
    *,
    nesterov: bool = False,
) -> GradientTransformation:
    """Adam with belief in its own prediction: long steps where the gradient is as its average says.

        sₜ = β₂sₜ₋₁ + (1 − β₂)(gₜ − mₜ)² + ε₀;   θ ← θ − α m̂/(√ŝ + ε)

    α is ``learning_rate``, ε ``eps``, ε₀ ``eps_root`` (see `gradtx.scale_by_belief`). Source: Zhuang et al. 2020,
    Algorithm 2.

    >>> tx = adabelief(0.5, 0.5, 0.5, 0.0, 0.0)
    >>> tx.update(jnp.array([4.0]), tx.init(jnp.zeros(1)))[0]  # 0.5·4/2
    Array([-1.], dtype=float32)
    """
    return chain(scale_by_belief(b1, b2, eps, eps_root, nesterov=nesterov), scale_by_learning_rate(learning_rate))
