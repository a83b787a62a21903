"""Batches from the host: any iterable of them, drawn by a thread while the device trains on the ones before.

A *feed* draws as many batches as a stride has steps, stacks them, and moves them to the devices. An iterable that can
be read again from its start begins anew where it ends; an iterator ends the run.
"""

import base64
import json
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradtx._tree.paths import path_name
from gradtx._value.errors import TransformationError

Tree = Any
BYTES = 2**26  # about as much of a stride is on a device


def is_source(data: Any) -> bool:
    """Whether data are an iterable of batches: no array and no tree, so neither a list nor a tuple nor a mapping.

    >>> is_source(iter([1.0])), is_source([1.0]), is_source({"x": np.zeros(3)}), is_source(np.zeros(3))
    (True, False, False, False)
    """
    if isinstance(data, str | bytes) or hasattr(data, "__array__") or hasattr(data, "dtype"):
        return False
    return jax.tree_util.all_leaves([data]) and (hasattr(data, "__next__") or hasattr(data, "__iter__"))


@dataclass(frozen=True)
class Stride:
    """Batches of one stride, stacked; ``error``: why there are fewer than were asked for; ``state``: of the source."""

    batches: Any
    count: int
    error: Exception | None
    state: Any


class Feed:
    """The batches of a run. Draws the first one at once, to know what they are like."""

    def __init__(self, who: str, source: Iterable[Tree]):
        self.who, self.source = f"{who}: data", source
        self.iterator = iter(source)
        self.again = self.iterator is not source
        self.drawn = 0
        self.held: list[Tree] = []
        try:
            self.held = [self._draw()]
        except StopIteration:
            raise TransformationError(f"{self.who}: expected an iterable of batches, found one without any") from None
        self.like = jax.eval_shape(lambda: jax.tree.map(jnp.asarray, self.held[0]))
        self.pool = ThreadPoolExecutor(1, "gradtx-feed")
        self.next: Future[Stride] | None = None

    @property
    def described(self) -> str:
        """What the batches are, in words."""
        shapes = [
            f"{path_name(path)} {x.dtype}{list(x.shape)}" for path, x in jax.tree_util.tree_leaves_with_path(self.like)
        ]
        return f"batches of {_name(self.source)}: {', '.join(shapes)}"

    def stacked(self, many: int) -> Tree:
        """The shapes of so many batches."""
        return jax.tree.map(lambda x: jax.ShapeDtypeStruct((many, *x.shape), x.dtype), self.like)

    # Where it stands --------------------------------------------------------------------------------------------------

    def go_to(self, taken: int, state: Any) -> None:
        """Bring the source to where so many batches have been drawn. Raises where it can neither be told nor reread."""
        if not taken:
            return
        if state is not None and hasattr(self.iterator, "set_state"):
            self.iterator.set_state(_decoded(state))  # pyright: ignore[reportAttributeAccessIssue]
            self.held, self.drawn = [], taken
        elif self.again:
            self.held, self.drawn = [], 1
            while self.drawn < taken:
                self._draw()
                self.drawn += 1
        else:
            raise TransformationError(
                f"{self.who}: {taken} batches have been trained on, and {_name(self.source)} cannot say where it "
                "stands. Nothing was changed: give what can be read again from its start (an object whose __iter__ "
                "begins anew), or what has get_state and set_state"
            )

    def begin(self, counts: Iterable[int], place: Callable[[Tree], Any], pad: int = 0) -> None:
        """Start to draw strides of so many batches; ``place`` moves them to where they train, ``pad`` long."""
        self.counts, self.place, self.pad = iter(counts), place, pad
        self._ahead()

    def take(self) -> Stride:
        """The next stride. The one after it is drawn meanwhile."""
        assert self.next is not None
        found = self.next.result()
        if found.error is None:
            self._ahead()
        return found

    def close(self) -> None:
        """Wait for the thread."""
        self.pool.shutdown(wait=True, cancel_futures=True)

    def _ahead(self) -> None:
        count = next(self.counts, None)
        self.next = None if count is None else self.pool.submit(self._stride, count)

    # Drawing ----------------------------------------------------------------------------------------------------------

    def _stride(self, count: int) -> Stride:
        found, error = [], None
        try:
            while len(found) < count:
                batch = self.held.pop() if self.held else self._draw()
                self._check(batch)
                found.append(batch)
                self.drawn += 1
        except StopIteration:
            error = TransformationError(
                f"{self.who}: the iterator ended after {self.drawn} batches, before the last step. Give a longer one, "
                "or what can be read again from its start; what was trained is in the error, as its .result"
            )
        except Exception as wrong:
            error = wrong
        batches = None
        if found:
            filled = found + [found[-1]] * (self.pad - len(found))
            batches = self.place(jax.tree.map(lambda *xs: np.stack(xs), *filled))
        return Stride(batches, len(found), error, _encoded(self.iterator))

    def _draw(self) -> Tree:
        try:
            batch = next(self.iterator)
        except StopIteration:
            if not self.again or not self.drawn:
                raise
            self.iterator = iter(self.source)
            batch = next(self.iterator)
        return jax.tree.map(np.asarray, batch)

    def _check(self, batch: Tree) -> None:
        """Raise unless a batch is like the first."""
        where = f"{self.who}: batch {self.drawn}"
        if jax.tree.structure(batch) != jax.tree.structure(self.like):
            raise TransformationError(
                f"{where}: expected the structure of the first, {jax.tree.structure(self.like)}, "
                f"found {jax.tree.structure(batch)}"
            )
        pairs = zip(jax.tree_util.tree_leaves_with_path(batch), jax.tree.leaves(self.like), strict=True)
        for (path, x), like in pairs:
            if x.shape != like.shape or jax.dtypes.canonicalize_dtype(x.dtype) != like.dtype:
                raise TransformationError(
                    f"{where}: leaf {path_name(path)}: expected {like.dtype}{list(like.shape)}, like the first, "
                    f"found {x.dtype}{list(x.shape)}; batches are of one size (drop a last one that is not full)"
                )


def check_fed(who: str, batch_size: int | None, has_aux: bool, final: Tree) -> None:
    """Raise for arguments that do not go with batches from the host."""
    if batch_size is not None:
        raise TransformationError(f"{who}: batch_size: an iterable has batches of its own, found {batch_size!r}")
    if has_aux and final is None:
        raise TransformationError(f"{who}: has_aux: an iterable has no final batch to take it from: give held_out=")


def longest_for(batch: Tree) -> int:
    """The most batches of a stride."""
    return max(1, BYTES // max(1, sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(batch))))


def _name(source: Any) -> str:
    return f"a {type(source).__name__}"


def _encoded(iterator: Any) -> Any:
    """The state of an iterator as JSON can hold it; None where it has none that can be set again."""
    if not (hasattr(iterator, "get_state") and hasattr(iterator, "set_state")):
        return None
    state = iterator.get_state()
    if isinstance(state, bytes):
        return {"bytes": base64.b64encode(state).decode()}
    try:
        same = json.loads(json.dumps(state)) == state
    except (TypeError, ValueError):
        return None
    return {"json": state} if same else None


def _decoded(state: Any) -> Any:
    return base64.b64decode(state["bytes"]) if "bytes" in state else state["json"]
