"""To and from other libraries: their protocols, and the states of their optimizers. To import it, none is needed.

A state is converted by the recipe in a transformation (`gradtx.adam` for PyTorch's and Keras' Adam): buffers that mean
the same are renamed, and rescaled where one library keeps the learning rate in them and the other does not. The numbers
of the recipe are those of the transformation; none are taken from what is converted.
"""

from gradtx._interop.keras import from_keras_state, to_keras_state
from gradtx._interop.optax import as_optax
from gradtx._interop.optax_states import from_optax_state, to_optax_state
from gradtx._interop.torch import from_torch_state, to_torch_state

__all__ = [
    "as_optax",
    "from_keras_state",
    "from_optax_state",
    "from_torch_state",
    "to_keras_state",
    "to_optax_state",
    "to_torch_state",
]


def __dir__() -> list[str]:
    return __all__
