"""DoG and DoWG: gradient descent that finds its rate from the distance travelled."""

from typing import Any

from gradtx._links.decay import add_decayed_weights
from gradtx._links.dog import scale_by_dog, scale_by_dowg
from gradtx._links.scaling import scale_by_learning_rate
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._value.marks import NonNegative, Static
from gradtx._wrappers.chain import chain


@transformation
def dog(
    learning_rate: NonNegative = 1.0,
    init_step: Static = ("heuristic", 1e-6),
    eps: NonNegative = 1e-8,
    weight_decay: NonNegative = None,
    *,
    mask: Any = None,
) -> GradientTransformation:
    """Gradient descent whose step is the distance from the start over the root of all squared norms.

        θ ← θ − α gₜ r/√(G + ε);   r = max(r, ‖θ − θ₁‖),   G = G + ‖gₜ‖²

    α is ``learning_rate``, ε ``eps``; ``init_step`` is a pair of the kind and the number of `scale_by_dog`, where that
    number can be swept. ``weight_decay``, if given, is added to the gradient, with a ``mask``. Source: Ivgi, Hinder &
    Carmon 2023, DoG.

    >>> tx, x = dog(1.0, ("distance", 0.5)), jnp.array([1.0])
    >>> tx.update(jnp.array([4.0]), tx.init(x), x)[0]  # −4·0.5/√16
    Array([-0.5], dtype=float32)
    """
    kind, number = init_step
    decay = () if weight_decay is None else (add_decayed_weights(weight_decay, mask=mask),)
    return chain(*decay, scale_by_dog(number, eps, kind=kind), scale_by_learning_rate(learning_rate))


@transformation
def dowg(
    learning_rate: NonNegative = 1.0,
    init_estim_sq_dist: NonNegative = None,
    eps: NonNegative = 1e-4,
    weight_decay: NonNegative = None,
    *,
    mask: Any = None,
) -> GradientTransformation:
    """Gradient descent whose step is the squared distance from the start over the root of norms that it weights.

        θ ← θ − α gₜ r²/(√v + ε);   r² = max(r², ‖θ − θ₁‖²),   v = v + r²‖gₜ‖²

    α is ``learning_rate``, ε ``eps``; r² starts from ``init_estim_sq_dist``, by default from ε. ``weight_decay``, if
    given, is added to the gradient, with a ``mask``. Source: Khaled, Mishchenko & Jin 2023, Algorithm 1.

    >>> tx, x = dowg(1.0, 0.25), jnp.array([1.0])
    >>> tx.update(jnp.array([4.0]), tx.init(x), x)[0].round(3)  # −4·0.25/√(0.25·16)
    Array([-0.5], dtype=float32)
    """
    decay = () if weight_decay is None else (add_decayed_weights(weight_decay, mask=mask),)
    return chain(*decay, scale_by_dowg(init_estim_sq_dist, eps), scale_by_learning_rate(learning_rate))
