"""Transformations around, beside and after other transformations."""
