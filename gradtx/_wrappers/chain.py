"""One transformation after another."""

from typing import Any

from gradtx._rules.compose import serial
from gradtx._rules.per_leaf import per_leaf
from gradtx._rules.protocol import Late, Rule
from gradtx._rules.transformation import GradientTransformation, transformation
from gradtx._value.errors import TransformationError
from gradtx._value.named_links import Links


@transformation(associative=True)
def chain(*links: Any, **named_links: Any) -> Late:
    """One transformation after another; order is the algorithm.

        (u, g) → link₁ → link₂ → ... → (u, g)

    Two signals run through it: the update u, which flows from link to link, and the gradient g, which entered the
    chain. Links that condition gradients (clipping, decay, scaling ...) rewrite both while they are still the same;
    from the first link that does not (a moment, a preconditioner) the update goes its own way. So Adam is a chain of
    a link that averages the update and one that divides it by the size of the *gradients*.

    State: a mapping with the state of each link that has any, under the link's name: its factory's (a second one is
    ``scale_by_rms_1``) or its keyword; and ``count``, if any link depends on the step. An unnamed chain among the links
    is spliced into them. The trap: a recipe, and a link that is given a name, opens a scope of its own, whose gradient
    is what enters it. Transformations of other libraries may stand here too (`gradtx.foreign`).

    Raises `TransformationError`: something that is no transformation; a name that is given twice, or ``count``.

    >>> from gradtx import clip, scale
    >>> tx = chain(clip(1.0), scale(-0.5))
    >>> tx
    chain(clip(max_delta=1.0), scale(step_size=-0.5))
    >>> tx.update(jnp.array([4.0]), tx.init(jnp.zeros(1)))[0]
    Array([-0.5], dtype=float32)
    """
    return serial(Links.of(links, named_links))


def named_chain(*transforms: tuple[str, Any]) -> GradientTransformation:
    """`chain` of pairs of a name and a transformation, as Optax writes it: ``chain(first=..., second=...)``.

    Raises `TransformationError`: a name that is given twice.

    >>> from gradtx import clip, scale
    >>> named_chain(("clip", clip(1.0)), ("scale", scale(-0.5)))
    chain(clip=clip(max_delta=1.0), scale=scale(step_size=-0.5))
    """
    names = [name for name, _ in transforms]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise TransformationError(f"named_chain: two links are named {twice!r}")
    return chain(**dict(transforms))


@transformation
def identity() -> Rule:
    """No change.

        u ← uₜ

    >>> identity().update(jnp.array([4.0]), {})[0]
    Array([4.], dtype=float32)
    """
    return per_leaf(lambda u: u, conditions=True)
