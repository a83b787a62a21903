"""AdaGrad."""

from gradtx._links.scaling import scale_by_learning_rate
from gradtx._links.second_moments import scale_by_rss
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._value.marks import NonNegative
from gradtx._wrappers.chain import chain


@transformation
def adagrad(
    learning_rate: NonNegative,
    initial_accumulator_value: NonNegative = 0.1,
    eps: NonNegative = 1e-7,
    *,
    eps_in_sqrt: bool = True,
) -> GradientTransformation:
    """A rate for every coordinate, which falls with the gradients that it has seen.

        rₜ = rₜ₋₁ + gₜ²;   θ ← θ − α gₜ/√(rₜ + ε)        (eps_in_sqrt=False: α gₜ/(√rₜ + ε), PyTorch)

    α is ``learning_rate``, ε ``eps``. Source: Duchi, Hazan & Singer 2011, Figure 1.

    >>> adagrad(1.0, 0.0, 0.0).update(jnp.array([20.0]), adagrad(1.0, 0.0).init(jnp.zeros(1)))[0]
    Array([-1.], dtype=float32)
    """
    return chain(
        scale_by_rss(initial_accumulator_value, eps, eps_in_sqrt=eps_in_sqrt), scale_by_learning_rate(learning_rate)
    )
