"""The scalars of a tree in one vector a dtype, so that a loop carries few arrays.

What a loop costs on a CPU grows with the number of its arrays, however small, most of all in reverse mode: for each
scalar that its body reads, the transposed loop carries one more sum (jax#40150).
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Tree = Any


def packed(tree: Tree) -> tuple[Any, Callable[[Any], Tree], Callable[[Tree], Any]]:
    """The tree with its scalars in vectors, the way back, and the way there for other trees like it.

    Not a bit of a number changes. A dtype that has one scalar keeps it, and random keys stay as they are.

    >>> few, unpack, _ = packed({"a": jnp.array(1.0), "b": jnp.array(2.0), "w": jnp.zeros((2, 2))})
    >>> few["float32"], sorted(unpack(few))
    (Array([1., 2.], dtype=float32), ['a', 'b', 'w'])
    """
    leaves, treedef = jax.tree.flatten(tree)
    dtypes = [jnp.result_type(x).name if _is_scalar(x) else "" for x in leaves]
    places = {name: [n for n, own in enumerate(dtypes) if own == name] for name in sorted(set(dtypes) - {""})}
    places = {name: own for name, own in places.items() if len(own) > 1}
    inside = {n for own in places.values() for n in own}

    def pack(tree: Tree) -> Any:
        leaves = jax.tree.leaves(tree)
        vectors = {name: jnp.stack([jnp.asarray(leaves[n], name) for n in own]) for name, own in places.items()}
        return vectors | {"": [x for n, x in enumerate(leaves) if n not in inside]}

    def unpack(few: Any) -> Tree:
        rest = iter(few[""])
        found: list[Any] = [None if n in inside else next(rest) for n in range(len(leaves))]
        for name, own in places.items():
            for place, n in enumerate(own):
                found[n] = few[name][place]
        return treedef.unflatten(found)

    return pack(tree), unpack, pack


def _is_scalar(x: Any) -> bool:
    dtype = jnp.result_type(x)
    return np.ndim(x) == 0 and not jnp.issubdtype(dtype, jax.dtypes.extended)
