"""One row for every public transformation, and for every variant of one that takes another way through the code."""

from tests.table.classics import CLASSICS
from tests.table.combinators import COMBINATORS
from tests.table.contrib import CONTRIB
from tests.table.helpers import HELPERS
from tests.table.links import LINKS
from tests.table.matrices import OF_MUON
from tests.table.modern import MODERN
from tests.table.precision import PRECISION
from tests.table.preconditioners import PRECONDITIONERS
from tests.table.recipes import RECIPES
from tests.table.row import Row
from tests.table.second_order import SECOND_ORDER
from tests.table.wrappers import WRAPPERS

ROWS = [
    *LINKS, *SECOND_ORDER, *COMBINATORS, *WRAPPERS, *RECIPES, *CLASSICS, *CONTRIB, *HELPERS, *MODERN, *PRECISION,
    *PRECONDITIONERS, *OF_MUON,
]  # fmt: skip
CONTRACTED = [row for row in ROWS if row.contracts]

__all__ = ["CONTRACTED", "ROWS", "Row"]
