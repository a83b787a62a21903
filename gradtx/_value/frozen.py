"""Structure: what a call was given besides numbers, made hashable and comparable by content."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from gradtx._value.errors import TransformationError


class Frozen:
    """Structure of any kind, hashable: compared by content, printed as it was given."""

    __slots__ = ("_key", "value")

    def __init__(self, value: Any):
        self.value = _own(value)
        self._key = _key(self.value)

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, Frozen) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __repr__(self) -> str:
        return getattr(self.value, "__qualname__", None) or repr(self.value)

    def __reduce__(self) -> Any:
        return Frozen, (self.value,)


def _own(x: Any) -> Any:
    """Structure that nobody else can change; a dtype by its name (``jnp.bfloat16`` and ``"bfloat16"`` are the same)."""
    if type(x) is dict:
        return {name: _own(part) for name, part in x.items()}
    if type(x) in (list, tuple):
        return type(x)(_own(part) for part in x)
    if isinstance(x, np.ndarray):
        return x.copy()
    is_dtype = isinstance(x, np.dtype) or (isinstance(x, type) and issubclass(x, np.generic))
    return np.dtype(x).name if is_dtype or type(x).__name__ == "_ScalarMeta" else x


def _key(x: Any) -> Any:
    if isinstance(x, Mapping):
        return type(x), tuple((_key(k), _key(v)) for k, v in x.items())
    if isinstance(x, list | tuple):
        return type(x), tuple(_key(part) for part in x)
    if isinstance(x, np.ndarray | jax.Array):
        return str(x.dtype), x.shape, np.asarray(x).tobytes()
    try:
        hash(x)
    except TypeError:
        leaves, treedef = jax.tree.flatten(x)
        if len(leaves) == 1 and leaves[0] is x:
            raise TransformationError(f"expected something hashable, or a tree of such things, found {x!r}") from None
        return treedef, tuple(_key(leaf) for leaf in leaves)
    return type(x), x
