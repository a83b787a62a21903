"""A call of a factory, kept as a pytree."""
