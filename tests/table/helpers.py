"""Constraints, measurements, and adapters of functions."""

import functools

import gradtx as gx
from gradtx import projections
from tests import references_helpers as R
from tests.table.row import OF_PARAMS, Row

HELPERS = [
    Row(
        "project_params onto a ball",
        gx.chain(gx.scale(-0.1), gx.project_params(projections.projection_l2_ball, 0.5)),
        reference=functools.partial(R.project_params, projection=R.l2_ball, scale=0.5, rate=0.1),
        tolerance=OF_PARAMS,
    ),
    Row(
        "project_params onto a simplex",
        gx.chain(gx.sgd(0.1), gx.project_params(projections.projection_simplex)),
        reference=functools.partial(R.project_params, projection=R.simplex, scale=1.0, rate=0.1),
        contracts=False,
    ),
]
