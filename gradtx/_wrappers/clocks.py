"""A clock for one transformation among others."""

from gradtx._rules.around import around
from gradtx._rules.protocol import Late
from gradtx._rules.transformation import transformation
from gradtx._value.marks import Link


@transformation
def own_clock(inner: Link) -> Late:
    """A transformation that counts its own steps, so that it can start anew while others go on (`gradtx.reset`).

        u ← inner(uₜ)

    In a group of `partition`, which otherwise reads the one count that all groups share. State: ``inner``, with its
    ``count``.

    >>> import jax.numpy as jnp
    >>> from gradtx import adam, partition, sgd
    >>> tx = partition({"head": own_clock(adam(0.1)), "body": sgd(0.1)}, {"head": "head", "*": "body"})
    >>> list(tx.init({"head": jnp.zeros(1), "body": jnp.zeros(1)})["head"]["inner"])
    ['count', 'scale_by_ewma', 'scale_by_rms']
    """

    def update(step, updates, state):
        updates, after = step(updates)
        return updates, {"inner": after}

    return around(inner, update, packs=True)
