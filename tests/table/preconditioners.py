"""Preconditioners: Kronecker factors, bases, and few numbers for many."""

import functools

import gradtx as gx
from tests import references_preconditioners as P
from tests.table.row import FALLING, OF_ROOTS, Row, of

OF_BASES = 1e-5  # the eigenvectors of small matrices in float32, each one as exact as its eigenvalue is apart
IN_BLOCKS = {"block_size": 2, "precondition_frequency": 2, "start": "identity"}


SHAMPOO = [
    Row(
        "scale_by_shampoo in blocks",
        gx.scale_by_shampoo(eps=0.1, staggered=False, **IN_BLOCKS),
        reference=of(P.shampoo_in_blocks, eps=0.1, size=2, every=2),
        contracts=False,
    ),
    Row(
        "scale_by_shampoo in blocks, in turn",
        gx.scale_by_shampoo(0.9, 0.1, ridge_epsilon=0.01, **IN_BLOCKS),
        tolerance=OF_ROOTS,
    ),
    Row("graft", gx.graft(gx.scale_by_sign(), gx.identity()), reference=of(P.grafted)),
    Row(
        "shampoo",
        gx.shampoo(0.1, 0.8, 0.95, 0.1, 0.1, precondition_frequency=1),
        reference=of(P.shampoo, learning_rate=0.1, b1=0.8, b2=0.95, eps=0.1, weight_decay=0.1),
        tolerance=OF_ROOTS,
    ),
]


# The references of rules with bases are compared in tests/test_preconditioners.py: the signs of vectors are free.
BASES = [
    Row("soap", gx.soap(FALLING, eps=1e-3, precondition_1d=True, precondition_frequency=2), tolerance=OF_BASES),
    Row("splus", gx.splus(FALLING, precondition_frequency=2), tolerance=OF_BASES),
    Row("soap_muon", gx.soap_muon(0.1, eps=1e-3), tolerance=OF_BASES),
    Row("conda", gx.conda(0.1, update_proj_gap=3), tolerance=OF_BASES),
    Row(
        "in_eigenbasis, KL form, by eigh",
        gx.in_eigenbasis(
            gx.chain(gx.scale_by_ewma(0.8), gx.rotated(gx.scale_by_sign())),
            precondition_frequency=2,
            form="kl",
            refresh="eigh",
            start="identity",
        ),
        tolerance=OF_BASES,
    ),
    Row("in_singular_basis", gx.in_singular_basis(gx.scale_by_rms(eps=1e-3), update_proj_gap=2), tolerance=OF_BASES),
]

NUMBERS = {"learning_rate": 0.1, "b1": 0.8, "b2": 0.95, "weight_decay": 0.1}
MINI = functools.partial(P.adam_mini, axes=(0,), **NUMBERS)
AVERAGED = gx.chain(gx.scale_by_ewma(0.8), gx.bias_correction(0.8))
STEP = gx.chain(gx.add_decayed_weights(0.1), gx.scale_by_learning_rate(0.1))

FEW = [
    Row("psgd_kron", gx.psgd_kron(0.1), tolerance=OF_ROOTS),
    Row("scale_by_kron at every step", gx.scale_by_kron(1.0), tolerance=OF_ROOTS),
    Row("scale_by_kron, long axes diagonal", gx.scale_by_kron(1.0, max_skew_triangular=1.0), tolerance=OF_ROOTS),
    Row(
        "came",
        gx.came(0.1, 0.8, 0.95, 0.99, weight_decay=0.1),
        reference=of(P.came, b3=0.99, **NUMBERS),
        exempt={"derivatives_are_finite": "its ε of 1e-30 squares to 0 in float32, and a root has no slope there"},
    ),
    Row(
        "scale_by_confidence",
        gx.chain(
            gx.scale_by_factored_rms(epsilon=1e-8, decay=0.95, min_dim_size_to_factor=1),
            gx.clip_by_block_rms(1.0),
            gx.scale_by_confidence(0.8, 0.99, 1e-8),
            STEP,
        ),
        reference=of(P.came, b3=0.99, eps=1e-8, eps2=1e-8, **NUMBERS),
    ),
    Row("scale_by_mini_rms", gx.scale_by_mini_rms(0.95)),
    Row("adam_mini", gx.adam_mini(0.1, 0.8, 0.95, weight_decay=0.1), reference=of(MINI)),
    Row(
        "scale_by_mini_rms of heads",
        gx.chain(AVERAGED, gx.scale_by_mini_rms(0.95, blocks=2), STEP),
        reference=of(functools.partial(MINI, heads=2), only="w", other=MINI),
        contracts=False,
    ),
    Row("apollo", gx.apollo(0.1, 1, FALLING), tolerance=OF_ROOTS),
    Row("scale_by_apollo", gx.scale_by_apollo(1, granularity="tensor", projection="svd"), tolerance=OF_ROOTS),
    Row("limit_norm_growth", gx.limit_norm_growth(1.5), reference=of(P.limited, gamma=1.5)),
    Row(
        "scale_by_mean_side",
        gx.scale_by_mean_side(0.5),
        reference=of(P.over_mean_side, constant=0.5),
    ),
]

PRECONDITIONERS = SHAMPOO + BASES + FEW
