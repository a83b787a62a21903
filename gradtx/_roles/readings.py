"""What a leaf may be, by its name, its shape and what stands beside it: one thing; or several, which is a doubt."""

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from gradtx._roles import equinox, words
from gradtx._roles.places import Place, Shape, is_parameter
from gradtx._roles.role import Role


class Reading(NamedTuple):
    """A role that a leaf may have, and why."""

    role: Role
    why: str


def readings(place: Place, stacked: int | None) -> list[Reading]:
    """All that a leaf may be. ``stacked`` is how many axes in front are a stack, if that is known."""
    if not is_parameter(place.leaf):
        return [Reading(Role("constant"), "not floating-point")]
    shape, name = place.shape, place.name
    if not shape:
        return [Reading(Role("scalar"), "no axes")]
    said = equinox.role_of(place)
    if said is not None:
        return [_stacked(*said) if stacked else Reading(*said)]
    why = f"named {name}"
    if words.SCALE.fullmatch(name):
        return [Reading(Role("scale"), why)]
    if words.BIAS.fullmatch(name) or (words.SHORT_BIAS.fullmatch(name) and _is_bias(place)):
        return [Reading(Role("bias"), why)]
    if len(shape) == 1 or (len(shape) > 2 and sum(n > 1 for n in shape) <= 1):
        return [Reading(Role("vector"), "one axis")]
    if words.UNEMBEDDING.fullmatch(name):
        return [Reading(Role("unembedding", -2, -1), why)]
    if words.WEIGHT.fullmatch(name) or name in words.FUSED:
        return _settled(place, list(_weights(place, stacked)))
    if words.EMBEDDING.fullmatch(name):
        return [Reading(Role("embedding", -2, -1), why)]
    return list(_unknown(place))


def _is_bias(place: Place) -> bool:
    """Whether a leaf named b is one: with several axes it may be a factor of a matrix."""
    weight = place.beside("w", "kernel")
    return len(place.shape) == 1 or (weight is not None and weight[-1] == place.shape[-1])


def _unknown(place: Place) -> Iterator[Reading]:
    """A name that says nothing, or not which axes are inputs."""
    lone = len(place.shape) == 2
    if place.name == "weight":
        yield Reading(Role("matrix" if lone else "stack", -1, -2), "outputs first, as in Equinox and PyTorch")
    yield Reading(Role("matrix" if lone else "stack", -2, -1), "inputs first, as in Flax and Haiku")
    yield Reading(Role("embedding", -2, -1), "a row for each token")


def _settled(place: Place, found: list[Reading]) -> list[Reading]:
    """What is left when the other projections of an attention are looked at."""
    if len(found) < 2 or {reading.role.kind for reading in found} != {"heads", "stack"}:
        return found
    into, shape = words.INTO_HEADS.fullmatch(_title(place)) is not None, place.shape
    others = words.OUT_OF_HEADS if into else words.INTO_HEADS
    branch = place.words[:-2]
    near = (x for at, x in place.near.items() if len(at) == len(place.words) and at[:-2] == branch)
    names = (at[-2] for at in place.near if len(at) == len(place.words) and at[:-2] == branch)
    for name, other in zip(names, near, strict=True):
        if others.fullmatch(name) and len(other) == 3:
            first, last = (shape, other) if into else (other, shape)
            heads, stack = first[1:] == last[:2], (first[0], first[2]) == last[:2]
            if heads != stack:
                return [reading for reading in found if (reading.role.kind == "heads") == heads]
    return found


def _title(place: Place) -> str:
    """What a weight is named after: the module of a kernel, the leaf itself if its name says more."""
    return place.module if place.name in ("kernel", "w", "W") else place.name


# Weights, inputs before outputs ---------------------------------------------------------------------------------------


def _weights(place: Place, stacked: int | None) -> Iterator[Reading]:
    plain = list(_unstacked(place, place.shape, _bias(place, 0))) if not stacked else []
    yield from plain
    sure = stacked == 0 or (plain and place.layer == "conv")
    for depth in (stacked,) if stacked else () if sure else (1,):
        yield from (_stacked(*reading) for reading in _unstacked(place, place.shape[depth:], _bias(place, depth)))


def _stacked(role: Role, why: str) -> Reading:
    """The reading of a layer for a stack of them; its axes are counted from the end."""
    return Reading(replace(role, kind="stack") if role.kind == "matrix" else role, f"{why}, stacked")


def _bias(place: Place, depth: int) -> Shape | None:
    bias = place.beside("bias", "b")
    return bias[depth:] if bias is not None and bias[:depth] == place.shape[:depth] else None


def _unstacked(place: Place, shape: Shape, bias: Shape | None) -> Iterator[Reading]:
    title = _title(place)
    why = f"named {place.name}"
    if place.layer == "conv":
        if 3 <= len(shape) <= 5:
            yield _convolution(place, len(shape))
    elif (gates := _gates(place, title)) and len(shape) == 2:
        yield Reading(_parts(shape, gates), f"named {title}, {gates} gates")
    elif title in words.FUSED:
        yield from _fused(title, shape)
    elif len(shape) == 2:
        if words.UNEMBEDDING.fullmatch(title):
            yield Reading(Role("unembedding", -2, -1), f"named {title}")
        elif words.EMBEDDING.fullmatch(title) and place.layer != "embed":
            yield Reading(Role("embedding", -2, -1), f"named {title}")
            yield Reading(Role("matrix", -2, -1), why)
        else:
            heads = words.INTO_HEADS.fullmatch(title) or words.OUT_OF_HEADS.fullmatch(title)
            yield Reading(Role("matrix", -2, -1), f"named {title}, heads not seen" if heads else why)
    elif len(shape) == 3 and place.layer != "dense":
        yield from _three(place, title, shape, bias)
    elif len(shape) in (4, 5) and place.layer is None and not words.INTO_HEADS.fullmatch(title):
        yield _convolution(place, len(shape))


def _three(place: Place, title: str, shape: Shape, bias: Shape | None) -> Iterator[Reading]:
    """A projection to heads (d, heads, size) or from heads (heads, size, d), or a convolution of one axis."""
    into = Reading(Role("heads", -3, (-2, -1), heads=shape[1]), "to heads")
    outof = Reading(Role("heads", (-3, -2), -1, input_heads=shape[0]), "from heads")
    if words.INTO_HEADS.fullmatch(title):
        found = [into]
    elif words.OUT_OF_HEADS.fullmatch(title):
        found = [outof]
    else:
        found = [into, outof] if place.layer == "general" else [into, outof, _convolution(place, 3)]
    if bias is not None:
        found = [reading for reading in found if (reading is into) == (bias == shape[1:])]
    said = "" if bias is None else ", by its bias" if found[1:] == [] and title == place.module else ""
    named = f"named {title}, " if words.INTO_HEADS.fullmatch(title) or words.OUT_OF_HEADS.fullmatch(title) else ""
    yield from (reading._replace(why=f"{named}{reading.why}{said}") for reading in found)


def _convolution(place: Place, rank: int) -> Reading:
    """The axes in front are those of the kernel; Haiku's transposed ones have outputs before inputs."""
    turned = "transpose" in place.module and place.name == "w"
    inputs = (*range(-rank, -2), -1 if turned else -2)
    return Reading(Role("convolution", inputs, -2 if turned else -1), f"{rank - 2}-d kernel")


def _gates(place: Place, title: str) -> int:
    """How many gates a recurrent layer of nnx or Haiku puts side by side."""
    if title in words.GATES:
        return words.GATES[title]
    if place.module.partition("_")[0] == "gru" and place.name in ("w_i", "w_h"):
        return 3
    return 4 if place.words[-3:-1] == ("lstm", "linear") else 0


def _parts(shape: Shape, number: int) -> Role:
    return Role("fused", -2, -1, split_sizes=(shape[-1] // number,) * number)


def _fused(title: str, shape: Shape) -> Iterator[Reading]:
    """Projections side by side, of the sizes of their inputs; other sizes cannot be seen."""
    number, why = words.FUSED[title], f"named {title}"
    if len(shape) == 2 and number and shape[1] == number * shape[0]:
        yield Reading(_parts(shape, number), why)
    elif len(shape) == 2:
        yield Reading(Role("fused"), why)
        yield Reading(Role("matrix", -2, -1), why)
    elif len(shape) == 3:
        yield Reading(Role("heads", -3, (-2, -1), heads=shape[1]), f"{why}, each head with its parts")
    elif len(shape) == 4 and shape[1] == number:
        sizes = (shape[2] * shape[3],) * number
        yield Reading(Role("fused", -4, (-3, -2, -1), heads=shape[2], split_sizes=sizes), why)
