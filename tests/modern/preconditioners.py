"""Rules that precondition with matrices, or with few numbers for many, in the conventions of what was recorded."""

PRECONDITIONERS = {}
