"""Structure, the arguments of a call that are not numbers, made hashable and comparable by content."""

from typing import Any

import numpy as np

from gradtx._value.functions import Look


class Frozen:
    """Structure of any kind, hashable: compared by content, printed as it was given."""

    __slots__ = ("look", "value")

    def __init__(self, value: Any):
        self.value = _own(value)
        self.look = Look(self.value)

    @property
    def key(self) -> Any:
        """Equal keys mean equal structure. The key of a function changes when a variable that it reads changes."""
        if self.look.reads and not self.look.holds():
            self.look = Look(self.value)
        return self.look.key

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Frozen) and self.key == other.key)

    def __hash__(self) -> int:
        return hash(self.key)

    def __repr__(self) -> str:
        return getattr(self.value, "__qualname__", None) or repr(self.value)

    def __reduce__(self) -> Any:
        return Frozen, (self.value,)


def _own(x: Any) -> Any:
    """A copy that nobody else can change; a dtype becomes its name (``jnp.bfloat16`` and ``"bfloat16"`` are equal)."""
    if type(x) is dict:
        return {name: _own(part) for name, part in x.items()}
    if type(x) in (list, tuple):
        return type(x)(_own(part) for part in x)
    if isinstance(x, np.ndarray):
        return x.copy()
    is_dtype = isinstance(x, np.dtype) or (isinstance(x, type) and issubclass(x, np.generic))
    return np.dtype(x).name if is_dtype or type(x).__name__ == "_ScalarMeta" else x
