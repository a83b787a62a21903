"""Adafactor."""

from gradtx._links.clipping import clip_by_block_rms
from gradtx._links.decay import add_decayed_weights
from gradtx._links.factored import scale_by_factored_rms
from gradtx._links.moments import scale_by_ewma
from gradtx._links.param_scale import scale_by_param_block_rms
from gradtx._links.scaling import scale, scale_by_learning_rate
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._value.marks import Decay, Dtype, Limit, NonNegative, Static
from gradtx._wrappers.chain import chain


@transformation
def adafactor(
    learning_rate: NonNegative = None,
    min_dim_size_to_factor: Static = 128,
    decay_rate: NonNegative = 0.8,
    decay_offset=0.0,
    multiply_by_parameter_scale: Static = True,
    clipping_threshold: Limit | None = 1.0,
    momentum: Decay = None,
    dtype_momentum: Dtype = "float32",
    weight_decay_rate: NonNegative = None,
    eps: NonNegative = 1e-30,
    factored: Static = True,
    weight_decay_mask: Static = None,
) -> GradientTransformation:
    """Adam in sublinear memory: second moments by row and column, steps relative to the parameters, and no momentum.

        d = gₜ/√νₜ;   d ← d/max(1, RMS(d)/c);   d ← α max(RMS(θ), 10⁻³) d;   mₜ = βmₜ₋₁ + (1 − β)d;   θ ← θ − mₜ − λθ

    ν is that of `gradtx.scale_by_factored_rms`, whose decay is 1 − (t − ``decay_offset``) to the power −``decay_rate``;
    it is factored in arrays of which two axes have ``min_dim_size_to_factor`` entries. c is ``clipping_threshold``, α
    ``learning_rate``, β ``momentum``, λ ``weight_decay_rate``; None leaves the step out.
    ``multiply_by_parameter_scale=False`` leaves out max(RMS(θ), 10⁻³). The traps: λ is not multiplied by α; ε, ``eps``,
    is added to g². Source: Shazeer & Stern 2018, Algorithms 4 and 5.

    >>> tx = adafactor(0.5)
    >>> tx.update(jnp.array([20.0]), tx.init(jnp.zeros(1)), jnp.array([4.0]))[0]  # half of the weight
    Array([-2.], dtype=float32)
    """
    sizes = {"factored": factored, "min_dim_size_to_factor": min_dim_size_to_factor}
    links = [scale_by_factored_rms(decay_rate, decay_offset, eps, **sizes)]
    links += [] if clipping_threshold is None else [clip_by_block_rms(clipping_threshold)]
    links += [] if learning_rate is None else [scale_by_learning_rate(learning_rate, flip_sign=False)]
    links += [scale_by_param_block_rms()] if multiply_by_parameter_scale else []
    links += [] if momentum is None else [scale_by_ewma(momentum, accumulator_dtype=dtype_momentum)]
    links += [] if weight_decay_rate is None else [add_decayed_weights(weight_decay_rate, weight_decay_mask)]
    return chain(*links, scale(-1.0))
