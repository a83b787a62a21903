"""Tools for second derivatives."""
