"""Maximal update parametrization: what changes with width in the rate, the start and the decay of each parameter."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import jax.numpy as jnp

from gradtx import tree as trees
from gradtx._links.decay import add_decayed_weights
from gradtx._links.scaling import scale
from gradtx._optimizers.muon import by_axes
from gradtx._roles.roles import roles
from gradtx._rules.transformation import GradientTransformation
from gradtx._tune.widths import Widths, widths_of
from gradtx._value.errors import TransformationError
from gradtx._wrappers.chain import chain
from gradtx._wrappers.groups import partition

Tree = Any
Optimizer = Literal["adam", "sgd", "muon"]
Form = Literal["mup", "spectral"]


@dataclass(frozen=True)
class Mup:
    """Factors of each parameter, as trees of numbers like the parameters.

    ``rate`` multiplies the update, ``init`` the initial parameter, ``decay`` the weight decay that is multiplied by the
    rate (as in AdamW), so that their product does not change with width. ``role``: input, hidden, output, vector or
    fixed.
    """

    rate: Tree
    init: Tree
    decay: Tree
    role: Tree

    def initial(self, params: Tree) -> Tree:
        """Initial parameters of the standard parametrization, of variance 1/n_in, as those of this one."""
        return trees.map(
            lambda x, factor: jnp.asarray(x) * jnp.asarray(factor, jnp.asarray(x).dtype), params, self.init
        )

    def scaled(self, tx: GradientTransformation) -> GradientTransformation:
        """The transformation, each update multiplied by its ``rate``: the rate of the base model serves this one.

        The factors are numbers of the result, one for each role, and sweep as such. The trap: weight decay inside of
        ``tx`` is multiplied too; see `decayed`.
        """
        return chain(tx, partition(*self._groups(scale, self.rate)))

    def decayed(self, weight_decay: Any) -> GradientTransformation:
        """Weight decay with its factors, a link to stand between the preconditioner and the learning rate.

        With it, decoupled decay is the same at every width: ``chain(scale_by_adam(), m.decayed(0.1),
        scale_by_learning_rate(rate))`` in `scaled`.
        """
        return partition(*self._groups(lambda factor: add_decayed_weights(weight_decay * factor), self.decay))

    def _groups(self, link: Any, factors: Tree) -> Any:
        """A link for each role, and for each factor where a role has several; and who belongs to which."""
        roles, values = trees.flatten(self.role)[0], trees.flatten(factors)[0]
        pairs = sorted({(role, value) for role, value in zip(roles, values, strict=True) if role is not None})
        several = {role for role, _ in pairs if sum(own == role for own, _ in pairs) > 1}
        names = {pair: f"{pair[0]}_{n}" if pair[0] in several else pair[0] for n, pair in enumerate(pairs)}
        labels = trees.map(lambda role, value: names[role, value], self.role, factors)
        return {name: link(value) for (_, value), name in names.items()}, labels


def mup(
    base: Tree,
    params: Tree,
    optimizer: Optimizer = "adam",
    *,
    axes: Mapping[str, tuple[Any, Any]] | None = None,
    form: Form = "mup",
) -> Mup:
    """Factors that carry the numbers tuned on a narrow model over to a wide one: its best learning rate too.

        rate: Adam 1/rᵢₙ,  SGD rₒᵤₜ/rᵢₙ,  Muon √(rₒᵤₜ/rᵢₙ);   init: min(1, √(rₒᵤₜ/rᵢₙ));   decay: 1/rate

    rᵢₙ and rₒᵤₜ say how much wider ``params`` are than ``base``, parameters of the same model at the width where the
    numbers were tuned (shapes are enough, `jax.eval_shape`). What has grown tells the role: nothing is ``fixed``, one
    axis of a vector a ``vector``, the outputs an ``input`` matrix, the inputs an ``output`` matrix, both ``hidden``.
    Weights have the shape (..., n_in, n_out), as in Flax and in `gradtx.initializers`; for others ``axes`` says by path
    pattern which axes are inputs and which outputs: ``{"*.query": (0, (1, 2))}``. A vector has rᵢₙ = 1. The factor
    ``init`` is for weights of variance 1/n_in at every width. ``form="spectral"`` takes the sizes in place of the
    growth for it: n_out/n_in in place of r, a difference where a matrix is wide at one width and tall at the other.
    With ``"muon"``, what `roles` takes for a matrix is taken to go to `gradtx.muon`, and its own factor
    √max(1, n_out/n_in) is divided out; the rest goes to its Adam.

    The traps: logits of attention must be divided by the width of a head, not its root; and what is tied to an
    embedding cannot be seen in its shape.

    Source: Yang & Hu 2021; Yang et al. 2022, Table 3; Yang, Simon & Bernstein 2023, Desideratum 1 and section 4.

    Raises `TransformationError`: trees that are not of one model; growth of an axis whose meaning is in doubt.

    >>> def shapes(n):
    ...     return {"in": jnp.zeros((8, n)), "mid": jnp.zeros((n, n)), "b": jnp.zeros(n), "out": jnp.zeros((n, 2))}
    >>> m = mup(shapes(64), shapes(256))
    >>> m.rate, m.init["out"]
    ({'b': 1.0, 'in': 1.0, 'mid': 0.25, 'out': 0.25}, 0.5)
    >>> from gradtx import sgd
    >>> mup(shapes(64), shapes(256), "sgd").rate
    {'b': 4.0, 'in': 4.0, 'mid': 1.0, 'out': 0.25}
    """
    for name, given, known in (("optimizer", optimizer, ("adam", "sgd", "muon")), ("form", form, ("mup", "spectral"))):
        if given not in known:
            raise TransformationError(f"tune.mup: {name}: expected {' or '.join(map(repr, known))}, found {given!r}")
    widths = widths_of("tune.mup", base, params, axes or {})
    leaves, treedef = trees.flatten(params)
    who = trees.flatten(by_axes(roles, params))[0] if optimizer == "muon" else leaves
    orthogonal = [isinstance(label, str) and label == "muon" for label in who]
    rates = [None if own is None else _rate(optimizer, own, muon) for own, muon in zip(widths, orthogonal, strict=True)]
    inits = [None if own is None else _init(form, own) for own in widths]
    parts = [None if own is None else own.role for own in widths]
    decays = [None if rate is None else 1 / rate for rate in rates]
    return Mup(*(treedef.unflatten(column) for column in (rates, inits, decays, parts)))


def _rate(optimizer: Optimizer, own: Widths, orthogonal: bool) -> float:
    if optimizer == "sgd":
        return own.grown_out / own.grown_in
    if orthogonal:
        already = max(1.0, own.aspect) / max(1.0, own.aspect_before)
        return (own.grown_out / own.grown_in / already) ** 0.5
    return 1 / own.grown_in


def _init(form: Form, own: Widths) -> float:
    if own.role in ("vector", "fixed"):
        return 1.0
    if form == "mup":
        return min(1.0, own.grown_out / own.grown_in) ** 0.5
    return (min(1.0, own.aspect) / min(1.0, own.aspect_before)) ** 0.5
