"""Wrappers around other rules: averages, estimates of distance; in the conventions of what was recorded."""

AROUND = {}
