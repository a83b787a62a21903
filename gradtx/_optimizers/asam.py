"""ASAM: sharpness that does not depend on the scale of the parameters."""

from gradtx._links.normalization import normalize_by_size
from gradtx._links.scaling import scale_by_learning_rate
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._value.marks import Link, NonNegative
from gradtx._wrappers.chain import chain
from gradtx._wrappers.sharpness import sam


@transformation
def asam(
    optimizer: Link,
    rho: NonNegative = 0.5,
    eta: NonNegative = 0.01,
    *,
    opaque_mode: bool = False,
    batch_axis_name: str | None = None,
    moves_params: bool = True,
) -> GradientTransformation:
    """Sharpness-aware minimization, with a neighbourhood that is as wide in each coordinate as that is large.

        φ = θ + ρ T²g/‖Tg‖,   g = ∇f(θ),   T = |θ| + η;   θ ← θ + optimizer(∇f(φ))

    ρ is ``rho``, η ``eta``. It is `sam` with another adversary: what is said there of its modes holds here. Source:
    Kwon et al. 2021, Algorithm 1.

    >>> from gradtx import sgd
    >>> tx, x = asam(sgd(0.5), 0.5, 0.0, opaque_mode=True), jnp.array([4.0])
    >>> tx.update(2 * x, tx.init(x), x, grad_fn=lambda x, i: 2 * x)[0]  # the gradient at 4 + 0.5·4
    Array([-6.], dtype=float32)
    """
    adversary = chain(normalize_by_size(eta), scale_by_learning_rate(rho))
    modes = {"opaque_mode": opaque_mode, "batch_axis_name": batch_axis_name, "moves_params": moves_params}
    return sam(optimizer, adversary, **modes)
