"""What we have for each recorded optimizer, by the call that was recorded."""

from tests.modern.around import AROUND
from tests.modern.first_order import FIRST_ORDER
from tests.modern.matrices import MATRICES
from tests.modern.not_built import NOT_BUILT
from tests.modern.preconditioners import PRECONDITIONERS, TOLERANCES
from tests.modern.written import WRITTEN

OURS = FIRST_ORDER | MATRICES | PRECONDITIONERS | AROUND | WRITTEN

__all__ = ["NOT_BUILT", "OURS", "TOLERANCES"]
