"""How transformations act on trees."""
