"""What the manual's tables say of Optax, PyTorch and Keras, read from its pages and compared with these libraries."""
