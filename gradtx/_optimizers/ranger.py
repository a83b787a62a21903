"""Ranger."""

from gradtx._links.centralization import centralize
from gradtx._optimizers.radam import radam
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._value.marks import Decay, NonNegative
from gradtx._wrappers.chain import chain
from gradtx._wrappers.lookahead import lookahead


@transformation
def ranger(
    learning_rate: NonNegative,
    b1: Decay = 0.95,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-5,
    sync_period: NonNegative = 6,
    slow_step_size: NonNegative = 0.5,
) -> GradientTransformation:
    """Rectified Adam on centralized gradients, with slow parameters that follow it.

        u ← lookahead(chain(centralize(), radam(α, β₁, β₂, ε)), k, s)

    α is ``learning_rate``, β₁ ``b1``, β₂ ``b2``, ε ``eps``, k ``sync_period``, s ``slow_step_size``; see
    `gradtx.centralize`, `gradtx.radam`, `gradtx.lookahead`. `gradtx.eval_params` returns the slow parameters. Source:
    Wright & Demeure 2021, section 2.

    >>> tx, x = ranger(0.5, sync_period=1), jnp.array([4.0])
    >>> tx.update(jnp.array([2.0]), tx.init(x), x)[0].round(4)  # half of 0.5·2, as RAdam starts with momentum
    Array([-0.5], dtype=float32)
    """
    return lookahead(chain(centralize(), radam(learning_rate, b1, b2, eps)), sync_period, slow_step_size)
