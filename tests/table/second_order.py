"""What knows of curvature."""

import gradtx as gx
from tests.table.row import CURVED, GRAD, SEARCHED, Row

SECOND_ORDER = [
    Row("scale_by_newton", gx.scale_by_newton(), extra=CURVED),
    Row("scale_by_newton damped", gx.scale_by_newton(0.5), extra=CURVED),
    Row("scale_by_newton_cg", gx.scale_by_newton_cg(), extra=CURVED),
    Row("scale_by_lbfgs", gx.scale_by_lbfgs(memory_size=3)),
    Row(
        "scale_by_backtracking_linesearch",
        gx.chain(gx.scale(-1.0), gx.scale_by_backtracking_linesearch(4, store_grad=True)),
        extra=SEARCHED,
        exempt=GRAD,
    ),
    Row(
        "scale_by_zoom_linesearch",
        gx.chain(gx.scale(-1.0), gx.scale_by_zoom_linesearch(4)),
        extra=SEARCHED,
        exempt=GRAD,
    ),
    Row("newton", gx.newton(), extra=CURVED),
    Row("newton_cg", gx.newton_cg(), extra=CURVED),
    Row("lbfgs without a search", gx.lbfgs(0.5, gx.identity(), memory_size=3)),
]
