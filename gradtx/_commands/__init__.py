"""The commands of ``python -m gradtx``, and how their words are read."""
