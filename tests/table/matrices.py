"""Rows of the Muon family, and of the links that it is made of."""

import jax.numpy as jnp

import gradtx as gx
from gradtx._rules.matrices import axes_by_rank
from tests.table.contrib import MATRICES
from tests.table.row import OF_ROOTS, Row

EVERY = {"weight_dimension_numbers": axes_by_rank}
LOGITS = {"max_logits": jnp.array(150.0)}

OF_LINKS = [
    Row("scale_by_output_rms", gx.scale_by_output_rms(0.9), params=MATRICES, tolerance=OF_ROOTS),
    Row("scale_to_rms", gx.scale_to_rms(0.3), params=MATRICES),
    Row("scale_by_lmo", gx.scale_by_lmo(), params=MATRICES),
    Row("scale_by_aurora", gx.scale_by_aurora(steps=2), params=MATRICES, tolerance=OF_ROOTS),
    Row("scale_by_dion2", gx.scale_by_dion2(steps=2, fraction=0.5), params=MATRICES, tolerance=OF_ROOTS),
    Row("scale_by_norm_history", gx.scale_by_norm_history(0.1), params=MATRICES),
    Row("clip_attention_logits", gx.clip_attention_logits(weights="w"), params=MATRICES, extra=LOGITS),
]
OF_RECIPES = [  # their references: tests/test_muon_family.py
    Row("normuon", gx.normuon(0.1, weight_decay=0.1, **EVERY), tolerance=OF_ROOTS),
    Row("adamuon", gx.adamuon(0.1, weight_decay=0.1, **EVERY), tolerance=OF_ROOTS),
    Row("dion2", gx.dion2(0.1, fraction=0.5, **EVERY), tolerance=OF_ROOTS),
    Row("aurora", gx.aurora(0.1, **EVERY), tolerance=OF_ROOTS),
    Row("adago", gx.adago(0.1, **EVERY), tolerance=OF_ROOTS),
    Row("scion", gx.scion(0.1, radius=2.0, weight_decay=1.0, **EVERY), tolerance=OF_ROOTS),
    Row("muon_clip", gx.muon_clip(0.1, weights="w", **EVERY), extra=LOGITS, tolerance=OF_ROOTS),
]

OF_MUON = OF_LINKS + OF_RECIPES
