"""Links: one idea per file."""
