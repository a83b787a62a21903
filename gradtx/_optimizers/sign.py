"""Steps of one length in every coordinate: the sign of the gradient, or of its average."""

from gradtx._links.moments import scale_by_ewma
from gradtx._links.scaling import scale_by_learning_rate, scale_by_sign
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._value.marks import Decay, Dtype, NonNegative
from gradtx._wrappers.chain import chain


@transformation
def sign_sgd(learning_rate: NonNegative) -> GradientTransformation:
    """Gradient descent along the signs.

        θ ← θ − α sign(gₜ)

    α is ``learning_rate``. Source: Bernstein et al. 2018, Algorithm 1.

    >>> sign_sgd(0.5).update(jnp.array([20.0, -0.1]), {})[0]
    Array([-0.5,  0.5], dtype=float32)
    """
    return chain(scale_by_sign(), scale_by_learning_rate(learning_rate))


@transformation
def signum(learning_rate: NonNegative, beta: Decay = 0.9, *, accumulator_dtype: Dtype = None) -> GradientTransformation:
    """Gradient descent along the signs of the momentum.

        mₜ = βmₜ₋₁ + (1 − β)gₜ;   θ ← θ − α sign(mₜ)

    α is ``learning_rate``, β ``beta``; the average is kept in ``accumulator_dtype``. Source: Bernstein et al. 2018,
    Algorithm 2.

    >>> tx = signum(0.5)
    >>> tx.update(jnp.array([20.0, -0.1]), tx.init(jnp.zeros(2)))[0]
    Array([-0.5,  0.5], dtype=float32)
    """
    return chain(
        scale_by_ewma(beta, accumulator_dtype=accumulator_dtype),
        scale_by_sign(),
        scale_by_learning_rate(learning_rate),
    )
