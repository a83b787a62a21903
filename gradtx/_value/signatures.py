"""What a function of the user may be called with."""

import inspect
from collections.abc import Callable
from typing import Any


def signature_of(function: Callable[..., Any]) -> inspect.Signature:
    """The signature by which a function is called, which a decorator may have changed.

    A decorator that hands on whatever it gets (``*args, **kwargs``) says nothing: there it is that of what it wraps.
    Raises `TypeError` for what cannot be called, `ValueError` for functions in C without a signature.

    >>> import functools
    >>> def loss(params, batch, key): ...
    >>> print(signature_of(functools.wraps(loss)(lambda params, batch: loss(params, batch, 0))))
    (params, batch)
    >>> print(signature_of(functools.wraps(loss)(lambda *args, **kwargs: loss(*args, **kwargs))))
    (params, batch, key)
    """
    own = inspect.signature(function, follow_wrapped=False)
    hands_on = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}
    return inspect.signature(function) if hands_on <= {p.kind for p in own.parameters.values()} else own
