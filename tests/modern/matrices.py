"""Rules that make updates orthogonal, in the conventions of what was recorded."""

MATRICES = {}
