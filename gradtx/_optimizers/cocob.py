"""COCOB: no learning rate, because each coordinate bets on the next gradient."""

from typing import Any

import jax.numpy as jnp

from gradtx._links.decay import add_decayed_weights
from gradtx._links.scaling import scale_by_learning_rate
from gradtx._rules.fields import copied, full, zeros
from gradtx._rules.per_leaf import per_leaf
from gradtx._rules.protocol import Rule
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._value.errors import TransformationError
from gradtx._value.marks import NonNegative
from gradtx._wrappers.chain import chain


@transformation
def scale_by_cocob(alpha: NonNegative = 100.0, eps: NonNegative = 1e-8) -> Rule:
    """The way to where a gambler would stand who bets on each coordinate of −uₜ.

        L = max(L, |uₜ|);   G = G + |uₜ|;   C = C − uₜ;   R = max(R − uₜ(θ − θ₁), 0)
        u ← θ₁ − θ + C (L + R)/(L max(G + L, αL))

    L starts from ε, α is ``alpha``, ε ``eps``, θ₁ the first parameters. The update is a whole step, sign and all: it
    stands last in its chain. Source: Orabona & Tommasi 2017, Algorithm 2. State, like the parameters:
    ``init_particles`` (θ₁), ``cumulative_gradients`` (C), ``scale`` (L), ``subgradients`` (G), ``reward`` (R). Raises
    `TransformationError`: no ``params``, a complex leaf.

    >>> tx, x = scale_by_cocob(alpha=1.0), jnp.array([1.0])
    >>> tx.update(jnp.array([4.0]), tx.init(x), x)[0]  # −4·4/(4·8)
    Array([-0.5], dtype=float32)
    """

    def formula(u, init_particles, cumulative_gradients, scale, subgradients, reward, *, param):
        if jnp.iscomplexobj(u):
            raise TransformationError("bets are on real numbers: use split_real_and_imaginary")
        scale = jnp.maximum(scale, jnp.abs(u))
        subgradients = subgradients + jnp.abs(u)
        reward = jnp.maximum(reward - u * (param - init_particles), 0)
        total = cumulative_gradients - u
        seen = jnp.where(scale > 0, scale, 1)  # eps may be 0
        bet = total / seen / jnp.maximum(subgradients + seen, alpha * seen) * (scale + reward)
        return bet + (init_particles - param), init_particles, total, scale, subgradients, reward

    def start_of_scale(param: Any) -> Any:
        return full(param, eps)

    return per_leaf(
        formula,
        init_particles=copied,
        cumulative_gradients=zeros,
        scale=start_of_scale,
        subgradients=zeros,
        reward=zeros,
    )


@transformation
def cocob(
    learning_rate: NonNegative = 1.0,
    alpha: NonNegative = 100.0,
    eps: NonNegative = 1e-8,
    weight_decay: NonNegative = 0.0,
    *,
    mask: Any = None,
) -> GradientTransformation:
    """Continuous coin betting: stochastic gradient descent without a learning rate.

        θ ← θ₁ + C (L + R)/(L max(G + L, αL))

    as in `scale_by_cocob`, of the gradients gₜ + λθ. α is ``alpha``, λ ``weight_decay``. ``learning_rate`` multiplies
    the gradients, to which the rule is almost indifferent; it is there because Optax has it. Source: Orabona & Tommasi
    2017, Algorithm 2.

    >>> tx, x = cocob(alpha=1.0), jnp.array([1.0])
    >>> tx.update(jnp.array([4.0]), tx.init(x), x)[0]  # −4·4/(4·8)
    Array([-0.5], dtype=float32)
    """
    return chain(
        add_decayed_weights(weight_decay, mask=mask),
        scale_by_learning_rate(learning_rate, flip_sign=False),
        scale_by_cocob(alpha, eps),
    )
