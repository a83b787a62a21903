"""Muon: orthogonal momentum for matrices, Adam for the rest."""

import functools
from collections.abc import Sequence
from typing import Any

from gradtx import tree as trees
from gradtx._links.decay import add_decayed_weights
from gradtx._links.matrix_scaling import Scaling, scale_by_shape
from gradtx._links.moments import bias_correction, nesterov_bias_correction, scale_by_ewma
from gradtx._links.orthogonalize import orthogonalize
from gradtx._links.scaling import scale_by_learning_rate
from gradtx._links.second_moments import scale_by_rms
from gradtx._numeric.newton_schulz import SIMPLE, Coefficients, Preconditioning
from gradtx._optimizers.adamw import adamw
from gradtx._roles.roles import or_roles
from gradtx._rules.matrices import axes_of_leaves
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._value.marks import Decay, Dtype, NonNegative
from gradtx._wrappers.chain import chain
from gradtx._wrappers.groups import partition


@transformation
def scale_by_muon(
    ns_coeffs: Coefficients = SIMPLE,
    beta: Decay = 0.95,
    eps: NonNegative = 1e-8,
    *,
    ns_steps: int | None = None,
    mu_dtype: Dtype = None,
    nesterov: bool = True,
    adaptive: bool = False,
    preconditioning: Preconditioning = None,
    ns_dtype: Dtype = None,
    weight_dimension_numbers: Any = None,
) -> GradientTransformation:
    """The orthogonal part of momentum: the links of Muon for matrices.

        mₜ = βmₜ₋₁ + (1 − β)uₜ;   u ← NS(βmₜ/(1 − βᵗ⁺¹) + (1 − β)uₜ/(1 − βᵗ))        (nesterov=False: NS(mₜ/(1 − βᵗ)))

    β is ``beta``; NS, its coefficients (numbers, or a name) and its options are those of `orthogonalize`, there without
    ``ns_``. ``mu_dtype`` is that of m. Source:
    Jordan et al. 2024; Nesterov's form as in `nesterov_bias_correction`, Dozat 2016. Raises `TransformationError`: a
    leaf that is no matrix.

    >>> tx = scale_by_muon((1.5, -0.5, 0.0), ns_steps=12)
    >>> tx.update(jnp.diag(jnp.array([4.0, -0.5])), tx.init(jnp.zeros((2, 2))))[0].round(4)
    Array([[ 1.,  0.],
           [ 0., -1.]], dtype=float32)
    """
    how = {"steps": ns_steps, "adaptive": adaptive, "preconditioning": preconditioning, "dtype": ns_dtype}
    corrected = nesterov_bias_correction(beta) if nesterov else bias_correction(beta)
    orthogonal = orthogonalize(ns_coeffs, eps, weight_dimension_numbers=weight_dimension_numbers, **how)
    return chain(scale_by_ewma(beta, accumulator_dtype=mu_dtype), corrected, orthogonal)


@transformation
def muon(
    learning_rate: NonNegative,
    ns_coeffs: Coefficients = SIMPLE,
    beta: Decay = 0.95,
    eps: NonNegative = 1e-8,
    weight_decay: NonNegative = 0.0,
    adam_b1: Decay = 0.9,
    adam_b2: Decay = 0.999,
    adam_eps_root: NonNegative = 0.0,
    adam_weight_decay: NonNegative = 0.0,
    adam_learning_rate: NonNegative = None,
    consistent_rms: NonNegative = None,
    *,
    ns_steps: int | None = None,
    weight_decay_mask: Any = None,
    mu_dtype: Dtype = None,
    nesterov: bool = True,
    adaptive: bool = False,
    preconditioning: Preconditioning = None,
    ns_dtype: Dtype = None,
    adjust_lr_fn: Scaling = "original",
    muon_weight_dimension_numbers: Any = None,
) -> GradientTransformation:
    """Momentum that is made orthogonal where a parameter is a matrix, and Adam for all other parameters.

        W ← W − α (√max(1, n/m) NS(m̂) + λW)

    NS(m̂) is that of `scale_by_muon`, the factor that of `scale_by_shape`. α is ``learning_rate``, λ ``weight_decay``.
    ``adjust_lr_fn`` names it as PyTorch does: ``"original"``, or ``"match_rms_adamw"``, 0.2 √max(m, n). The other
    parameters go to AdamW (with Nesterov's momentum, if ``nesterov``), whose numbers begin with ``adam_``; its rate is
    α too, if ``adam_learning_rate`` is not given. `roles` says what is a matrix; what it finds in doubt is an error.
    ``muon_weight_dimension_numbers`` says it in its place: ``roles(params, rules)``, or a tree with a
    `MuonDimensionNumbers` for each matrix and None for what goes to Adam. (Optax takes all arrays with two axes,
    embeddings too, and no others; so does `gradtx.optax.muon`.) Source: Jordan et al. 2024.

    >>> tx, params = muon(0.5, nesterov=False), {"w": jnp.zeros((2, 2)), "b": jnp.zeros(2)}
    >>> updates, _ = tx.update({"w": jnp.eye(2), "b": jnp.array([4.0, -4.0])}, tx.init(params), params)
    >>> updates["b"].round(4), bool(abs(updates["w"][0, 0] + 0.5) < 0.15)
    (Array([-0.5,  0.5], dtype=float32), True)
    """
    axes, how = or_roles(muon_weight_dimension_numbers), {"nesterov": nesterov, "mu_dtype": mu_dtype}
    how_ns = {"ns_steps": ns_steps, "adaptive": adaptive, "preconditioning": preconditioning, "ns_dtype": ns_dtype}
    matrices = chain(
        scale_by_muon(ns_coeffs, beta, eps, weight_dimension_numbers=axes, **how_ns, **how),
        scale_by_shape(consistent_rms, scaling=adjust_lr_fn, weight_dimension_numbers=axes),
        add_decayed_weights(weight_decay, mask=weight_decay_mask),
        scale_by_learning_rate(learning_rate),
    )
    rate = learning_rate if adam_learning_rate is None else adam_learning_rate
    others = _adamw(rate, adam_b1, adam_b2, eps, adam_eps_root, adam_weight_decay, **how)
    return of_matrices(matrices, others, axes)


def beside_adamw(
    links: Sequence[Any], learning_rate: Any, weight_decay: Any, rate_of_adam: Any, adam: Sequence[Any], axes: Any
) -> GradientTransformation:
    """Links for matrices, with decay and rate, and AdamW of ``adam`` (b1, b2, eps, weight_decay) for all the rest."""
    own = chain(*links, add_decayed_weights(weight_decay), scale_by_learning_rate(learning_rate))
    b1, b2, eps, decay = adam
    rate = learning_rate if rate_of_adam is None else rate_of_adam
    return of_matrices(own, adamw(rate, b1, b2, eps, weight_decay=decay), axes)


def of_matrices(matrices: GradientTransformation, others: GradientTransformation, axes: Any) -> GradientTransformation:
    """One transformation of the matrices, another of all other parameters."""
    return partition({"muon": matrices, "adam": others}, functools.partial(by_axes, axes))


def _adamw(rate: Any, b1: Any, b2: Any, eps: Any, eps_root: Any, decay: Any, *, nesterov: bool, mu_dtype: Any) -> Any:
    corrected = nesterov_bias_correction(b1) if nesterov else bias_correction(b1)
    direction = (scale_by_ewma(b1, accumulator_dtype=mu_dtype), corrected, scale_by_rms(b2, eps, eps_root))
    return chain(*direction, add_decayed_weights(decay), scale_by_learning_rate(rate))


def by_axes(given: Any, params: Any) -> Any:
    """Who trains each leaf: Muon what the given axes make a matrix of."""
    leaves, treedef = trees.flatten(params)
    who = ["adam" if axes is None else "muon" for axes in axes_of_leaves(given, params)]
    return treedef.unflatten([None if x is None else label for x, label in zip(leaves, who, strict=True)])
