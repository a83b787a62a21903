"""What the layers of Equinox hold. Their parameters all have the same names, so the layer itself must say it."""

from typing import Any

from gradtx._roles.places import Place, classes_of
from gradtx._roles.role import Role
from gradtx._roles.words import UNEMBEDDING

GATES = {"GRUCell": 3, "LSTMCell": 4}


def _layer(place: Place) -> tuple[Any, list[str]]:
    holder = place.holders[-1] if place.holders else None
    return holder, classes_of(holder, "equinox.nn")


def rank_of(place: Place) -> int | None:
    """How many axes a parameter has, if it is not stacked; None if no layer of Equinox says so."""
    layer, names = _layer(place)
    if place.name not in ("weight", "bias", "weight_ih", "weight_hh", "bias_n"):
        return None
    vector = place.name.startswith("bias")
    if "Conv" in names or "ConvTranspose" in names:
        return layer.num_spatial_dims + (1 if vector else 2)
    if "Linear" in names or "Embedding" in names or any(name in GATES for name in names):
        return 1 if vector else 2
    if "LayerNorm" in names or "RMSNorm" in names:
        return len(layer.shape)
    return 1 if "GroupNorm" in names or "BatchNorm" in names else None


def role_of(place: Place) -> tuple[Role, str] | None:
    """The role of a parameter, and why; None if no layer of Equinox says so."""
    rank = rank_of(place)
    if rank is None:
        return None
    layer, names = _layer(place)
    why = f"{place.name} of {names[0]}"
    if place.name.startswith("bias"):
        return Role("bias"), why
    if "Embedding" in names:
        return Role("embedding", -2, -1), why
    if "Linear" in names:
        return _linear(place, why)
    if "Conv" in names or "ConvTranspose" in names:
        return Role("convolution", tuple(range(1 - rank, 0)), -rank, heads=layer.groups), why
    gates = next((number for name, number in GATES.items() if name in names), None)
    if gates is not None:
        return Role("fused", -1, -2, split_sizes=(place.shape[-2] // gates,) * gates), f"{why}, {gates} gates"
    return Role("scale"), why


def _linear(place: Place, why: str) -> tuple[Role, str]:
    above: Any = place.holders[-2] if len(place.holders) > 1 else None
    if "MultiheadAttention" in classes_of(above, "equinox.nn"):
        number = above.num_heads
        sides = {"input_heads": number} if place.module == "output_proj" else {"heads": number}
        return Role("heads", -1, -2, **sides), f"{place.module} of MultiheadAttention"
    if UNEMBEDDING.fullmatch(place.module):
        return Role("unembedding", -1, -2), f"named {place.module}"
    return Role("matrix", -1, -2), why
