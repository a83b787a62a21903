"""Structure: what a call was given besides numbers, made hashable and comparable by content."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from gradtx._errors import TransformationError


class Frozen:
    """Structure of any kind, hashable: compared by content, printed as it was given."""

    __slots__ = ("_key", "value")

    def __init__(self, value: Any):
        self.value = value if isinstance(value, str | bool | int | float | None) else _plain(value)
        self._key = _key(self.value)

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, Frozen) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __repr__(self) -> str:
        return getattr(self.value, "__qualname__", None) or repr(self.value)

    def __reduce__(self) -> Any:
        return Frozen, (self.value,)


def _plain(value: Any) -> Any:
    """A dtype by its name, so that ``jnp.bfloat16`` and ``"bfloat16"`` are the same structure."""
    is_dtype = isinstance(value, np.dtype) or (isinstance(value, type) and issubclass(value, np.generic))
    return np.dtype(value).name if is_dtype or type(value).__name__ == "_ScalarMeta" else value


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
