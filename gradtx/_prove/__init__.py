"""Published numbers, and what gradtx makes of them: ``python -m gradtx prove``."""
