"""SOAP-Muon: the orthogonal factor of momentum that is scaled in the eigenbasis of Shampoo."""

import functools
from typing import Any

from gradtx import tree as trees
from gradtx._links.decay import add_decayed_weights
from gradtx._links.matrix_scaling import scale_by_shape
from gradtx._links.moments import nesterov_bias_correction, scale_by_ewma
from gradtx._links.orthogonalize import orthogonalize
from gradtx._links.scaling import scale_by_learning_rate
from gradtx._links.second_moments import scale_by_rms
from gradtx._optimizers.adam import adam
from gradtx._optimizers.soap import Form
from gradtx._rules.matrices import axes_of_leaves
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._value.marks import Decay, NonNegative
from gradtx._wrappers.chain import chain
from gradtx._wrappers.eigenbasis import in_eigenbasis, rotated
from gradtx._wrappers.groups import partition


@transformation
def soap_muon(
    learning_rate: NonNegative,
    b1: Decay = 0.95,
    b2: Decay = 0.95,
    eps: NonNegative = 1e-8,
    weight_decay: NonNegative = 0.0,
    adam_b1: Decay = 0.9,
    adam_b2: Decay = 0.999,
    adam_learning_rate: NonNegative = None,
    *,
    precondition_frequency: int = 1,
    max_precond_dim: int = 10000,
    form: Form = "shampoo",
    staggered: bool = True,
    weight_dimension_numbers: Any = None,
) -> GradientTransformation:
    """Muon of the update of SOAP: for matrices, the orthogonal factor of momentum that is scaled in the eigenbasis.

        W ← W − α (√max(1, n/m) NS(Q (Qᴴm̂/(√ν̂ + ε))) + λW)

    m̂ is Nesterov's momentum as in `scale_by_muon`, ν and Q are those of `soap`, NS that of `orthogonalize`, and the
    factor that of `scale_by_shape`. α is ``learning_rate``, λ ``weight_decay``. Arrays that are no matrices go to Adam,
    at the rate α if ``adam_learning_rate`` is not given. The traps are those of `muon` and of `soap`. Source: the
    public record of modded-nanogpt, track 3 (2026), which orthogonalizes what SOAP makes of Muon's momentum.

    >>> tx, g = soap_muon(0.5), jnp.array([[0.0, 4.0], [-9.0, 0.0]])
    >>> _, state = tx.update(g, tx.init(g), g)
    >>> bool(jnp.abs(tx.update(g, state, g)[0] - jnp.array([[0.0, -0.5], [0.5, 0.0]])).max() < 0.15)
    True
    """
    axes, rate = weight_dimension_numbers, learning_rate if adam_learning_rate is None else adam_learning_rate
    how = {"precondition_frequency": precondition_frequency, "form": form, "staggered": staggered}
    momentum = (scale_by_ewma(b1), nesterov_bias_correction(b1), rotated(scale_by_rms(b2, eps)))
    shaped = (orthogonalize(weight_dimension_numbers=axes), scale_by_shape(weight_dimension_numbers=axes))
    inner = chain(*momentum, *shaped, add_decayed_weights(weight_decay))
    basis = in_eigenbasis(inner, b2, eps, max_dim=max_precond_dim, weight_dimension_numbers=axes, **how)
    matrices = chain(basis, scale_by_learning_rate(learning_rate))
    trained = {"muon": matrices, "adam": adam(rate, adam_b1, adam_b2, eps)}
    return partition(trained, functools.partial(_who, axes))


def _who(given: Any, params: Any) -> Any:
    """Who trains each leaf: Muon what is a matrix, or a stack of them."""
    leaves, treedef = trees.flatten(params)
    who = ["adam" if axes is None else "muon" for axes in axes_of_leaves(given, params)]
    return treedef.unflatten([None if x is None else label for x, label in zip(leaves, who, strict=True)])
