"""How many axes in front of a leaf are a stack, as `jax.vmap` and `nn.scan` make them of whole layers.

A leaf tells it by itself if its axes are known without a stack: a scale has one, the kernel of a layer that has a bias
as many as the bias allows. Others tell it by their branch, if all leaves in it are stacked alike.
"""

from collections.abc import Iterable
from math import prod

from gradtx._roles import equinox, words
from gradtx._roles.places import Place, Shape, Words, is_parameter


def stacks_of(places: Iterable[Place | None]) -> dict[Words, int | None]:
    """How many axes are a stack, by the words of the leaf; None where nothing tells it."""
    leaves = [place for place in places if place is not None and is_parameter(place.leaf)]
    own = {place.words: _of_itself(place) for place in leaves}
    below: dict[Words, list[Place]] = {}
    for place in leaves:
        for end in range(len(place.words)):
            below.setdefault(place.words[:end], []).append(place)
    branches = {branch: _of_branch([(p.shape, own[p.words]) for p in inside]) for branch, inside in below.items()}
    return {place.words: _of_leaf(place, own[place.words], branches) for place in leaves}


def _of_leaf(place: Place, own: int | None, branches: dict[Words, int]) -> int | None:
    if own is not None:
        return own
    most = max((branches[place.words[:end]] for end in range(len(place.words))), default=0)
    named = sum(words.EACH.fullmatch(word) is not None for word in place.words)
    return most or (min(named, max(len(place.shape) - 2, 0)) if named else None)


def _of_branch(leaves: list[tuple[Shape, int | None]]) -> int:
    told = [own for _, own in leaves if own is not None]
    least = min(told, default=0)
    return least if len({shape[:least] for shape, _ in leaves}) == 1 else 0


def _of_itself(place: Place) -> int | None:
    """What name, layer and bias say."""
    rank = len(place.shape)
    known = equinox.rank_of(place)
    if known is None and (words.SCALE.fullmatch(place.name) or place.name == "offset"):
        known = rank if prod(place.shape[:-1]) == 1 else 1  # Haiku's have ones in front
    if known is None and place.name in ("embedding", "embeddings"):
        known = 2
    if known is None and place.layer == "dense" and words.WEIGHT.fullmatch(place.name):
        known = 2
    if known is not None:
        return rank - known if rank >= known else None
    weight, bias = place.beside("kernel", "w"), place.beside("bias", "b")
    if place.name not in ("kernel", "w", "bias", "b") or weight is None or bias is None:
        return None
    possible = [n for n in range(len(weight) - 1) if weight[:n] == bias[:n] and _fit(place, weight[n:], bias[n:])]
    return possible[0] if len(possible) == 1 else None


def _fit(place: Place, weight: Shape, bias: Shape) -> bool:
    """Whether one layer may have both, unstacked."""
    if bias == weight[-1:]:
        return True
    if place.layer == "conv":
        return "transpose" in place.module and bias == weight[-2:-1]  # Haiku's
    return place.layer != "dense" and len(weight) in (3, 4) and bias == weight[1:]
