"""RMSProp."""

from gradtx._links.scaling import scale_by_learning_rate
from gradtx._links.second_moments import scale_by_rms, scale_by_stddev
from gradtx._optimizers.sgd import momentum_links
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._value.marks import Decay, NonNegative
from gradtx._wrappers.chain import chain


@transformation
def rmsprop(
    learning_rate: NonNegative,
    decay: Decay = 0.9,
    eps: NonNegative = 1e-8,
    initial_scale: NonNegative = 0.0,
    momentum: Decay = None,
    *,
    eps_in_sqrt: bool = True,
    centered: bool = False,
    nesterov: bool = False,
    bias_correction: bool = False,
) -> GradientTransformation:
    """AdaGrad with a moving average in place of the sum.

        νₜ = βνₜ₋₁ + (1 − β)gₜ²;   θ ← θ − α gₜ/√(νₜ + ε)   (eps_in_sqrt=False: α gₜ/(√νₜ + ε), PyTorch)

    α is ``learning_rate``, β ``decay``, ε ``eps``. ``centered`` divides by the standard deviation instead (with
    ``bias_correction`` it is 0 at t = 1); ``momentum`` accumulates the steps, learning rate included, in a scope of its
    own. Source: Tieleman & Hinton 2012, lecture 6.5; Graves 2013, eqs. 38 to 45.

    >>> tx = rmsprop(1.0, 0.75, 0.0)
    >>> tx.update(jnp.array([20.0]), tx.init(jnp.zeros(1)))[0]  # 1/√0.25
    Array([-2.], dtype=float32)
    """
    placed = (0.0, eps) if eps_in_sqrt else (eps, 0.0)
    divided = scale_by_rms(decay, *placed, initial_scale, bias_correction=bias_correction)
    if centered:
        place = {"eps_in_sqrt": eps_in_sqrt, "bias_correction": bias_correction}
        divided = scale_by_stddev(decay, eps, initial_scale, **place)
    steps = {} if momentum is None else {"momentum": chain(*momentum_links(momentum, nesterov))}
    return chain(divided, scale_by_learning_rate(learning_rate), **steps)
