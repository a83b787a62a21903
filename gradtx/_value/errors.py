"""The one exception of the library: its message names the link and the leaf that went wrong."""

from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class TransformationError(ValueError, TypeError):
    """An argument, a tree or a state that cannot be right.

    The message reads from the outside in, ``adam: scale_by_ewma: leaf enc.w: expected shape (3,), found (1,)``. It is a
    ``ValueError`` and a ``TypeError``, because a wrong argument may be caught as either.
    """


def within(name: str, function: Callable[P, R]) -> Callable[P, R]:
    """The same function; a `TransformationError` that it raises gets ``name`` in front of its message."""

    def located(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except TransformationError as error:
            raise TransformationError(f"{name}: {error}") from error.__cause__

    return located


def in_words(x: Any) -> str:
    """What was found in the place of something else: of an array its dtype and shape, of other things the type.

    >>> in_words(jnp.zeros((2, 3))), in_words({"a": 1})
    ('float32[2, 3]', 'dict')
    """
    return f"{x.dtype}{list(x.shape)}" if hasattr(x, "dtype") and hasattr(x, "shape") else type(x).__name__


def suggest(name: str, known: Iterable[str]) -> str:
    """`` (did you mean 'b1'?)``, or nothing where no known name is close."""
    known = list(known)
    short = [full for full in known if name == "".join(word[:1] for word in full.split("_"))]  # lr: learning_rate
    close = short or get_close_matches(name, known, n=1, cutoff=0.6 if len(name) > 3 else 0.5)
    return f" (did you mean {close[0]!r}?)" if close else ""
