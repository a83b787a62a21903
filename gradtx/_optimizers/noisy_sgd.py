"""Gradient descent with noise."""

from gradtx._links.noise import add_noise
from gradtx._links.scaling import scale_by_learning_rate
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._value.marks import NonNegative, Seed
from gradtx._wrappers.chain import chain


@transformation
def noisy_sgd(
    learning_rate: NonNegative, eta: NonNegative = 0.01, gamma: NonNegative = 0.55, seed: Seed = 0
) -> GradientTransformation:
    """Gradient descent with noise that fades.

        θ ← θ − α(gₜ + √(η/tᵞ) nₜ),   nₜ ~ N(0, 1)

    α is ``learning_rate``, η ``eta``, γ ``gamma``; ``seed`` and the key of ``init`` decide the draws (see
    `gradtx.add_noise`). Source: Neelakantan et al. 2015, eq. 1.

    >>> tx = noisy_sgd(0.5, eta=0.0)
    >>> tx.update(jnp.array([4.0]), tx.init(jnp.zeros(1)))[0]
    Array([-2.], dtype=float32)
    """
    return chain(add_noise(eta, gamma, seed), scale_by_learning_rate(learning_rate))
