"""Links: one idea a file."""
