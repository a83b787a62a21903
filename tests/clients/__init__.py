"""Programs in the shape of what public projects do with Optax, each a function of a module ``optax``."""
