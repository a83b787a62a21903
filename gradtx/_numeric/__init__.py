"""Numerical helpers: one idea per file."""
