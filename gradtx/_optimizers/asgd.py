"""Averaged stochastic gradient descent."""

from gradtx._links.decay import add_decayed_weights
from gradtx._links.scaling import scale_by_falling_rate
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._value.marks import NonNegative
from gradtx._wrappers.average import average_params
from gradtx._wrappers.chain import chain


@transformation
def asgd(
    learning_rate: NonNegative = 1e-2,
    lambd: NonNegative = 1e-4,
    alpha: NonNegative = 0.75,
    t0: NonNegative = 1e6,
) -> GradientTransformation:
    """Averaged stochastic gradient descent.

        αₜ = α/(1 + λα(t − 1))^κ;   θ ← θ − αₜ(gₜ + λθ);   θ̄ₜ = average of θ since t0

    α is ``learning_rate``, λ ``lambd``, κ ``alpha``. `gradtx.eval_params` returns θ̄ₜ. Source: Polyak & Juditsky
    1992; Bottou 2012 (arguments and defaults are PyTorch's).

    >>> tx = asgd(0.5, lambd=0.0)
    >>> tx.update(jnp.array([20.0]), tx.init(jnp.zeros(1)), jnp.zeros(1))[0]
    Array([-10.], dtype=float32)
    """
    return chain(add_decayed_weights(lambd), scale_by_falling_rate(learning_rate, lambd, alpha), average_params(t0))
