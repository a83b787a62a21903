"""A rule for matrices, and roles: Muon (Jordan 2024); what is no matrix goes the way of plain SGD."""

import jax
import jax.numpy as jnp

import gradtx as gx
from gradtx import Decay, NonNegative


@gx.transformation
def orthogonalize(eps: NonNegative = 1e-8, *, steps: int = 5):
    """Singular values near one, by Newton-Schulz."""

    def formula(u):
        x = u if u.shape[0] <= u.shape[1] else u.T
        x = x / (gx.root(jnp.sum(x * x)) + eps)
        for _ in range(steps):
            square = x @ x.T
            x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
        return x if u.shape[0] <= u.shape[1] else x.T

    return gx.per_leaf(formula)


@gx.transformation
def muon(learning_rate: NonNegative, momentum: Decay = 0.95):
    """Orthogonal momentum for matrices, SGD for the rest."""
    matrix = gx.chain(gx.trace(momentum), orthogonalize(), gx.scale_by_learning_rate(learning_rate))
    return gx.partition({"matrix": matrix, "other": gx.sgd(learning_rate)}, roles)


def roles(params):
    """By rank."""
    return jax.tree.map(lambda x: "matrix" if x.ndim == 2 else "other", params)
