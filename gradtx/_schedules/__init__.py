"""Functions of the step, as values."""
