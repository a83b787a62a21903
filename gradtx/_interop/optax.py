"""A transformation for code that asks for one of Optax."""

from typing import Any

from gradtx._rules.transformation import GradientTransformation
from gradtx._value.errors import TransformationError


def as_optax(tx: GradientTransformation) -> Any:
    """The same transformation as an `optax.GradientTransformationExtraArgs`, for code that looks at the type.

    ``init`` and ``update`` are those of ``tx``, and all keywords are passed on. Most code needs no more than these two
    methods; but NumPyro and others ask ``isinstance``, and in `optax.chain` keywords (``value``, ``grad``,
    ``value_fn``) reach only what is of that class. The trap: it is two functions and no pytree, so ``jit`` takes it as
    static only, and another learning rate compiles again. Raises `TransformationError`: something that is no
    transformation of gradtx; Optax is not installed.

    >>> import optax
    >>> from gradtx import sgd
    >>> tx = optax.chain(optax.clip(1.0), as_optax(sgd(0.5)))
    >>> tx.update(jnp.array([4.0]), tx.init(jnp.zeros(1)))[0]
    Array([-0.5], dtype=float32)
    """
    if not isinstance(tx, GradientTransformation):
        raise TransformationError(f"as_optax: expected a transformation of gradtx, found {tx!r}")
    try:
        import optax
    except ImportError as error:
        raise TransformationError("as_optax: Optax is not installed: pip install optax") from error
    update: Any = tx.update  # its state is narrower than what Optax's protocol allows for
    return optax.GradientTransformationExtraArgs(tx.init, update)
