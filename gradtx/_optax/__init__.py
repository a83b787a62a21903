"""Optax's surface: its signatures and the forms of its states, over the links and recipes of gradtx."""
