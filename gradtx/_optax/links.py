"""Links with Optax's signatures and states."""

from typing import Any

from gradtx import _door as gx
