"""Formulas as docstrings write them, in Unicode, set as MathML: ``u ← uₜ/(√(ν̂ + ε₀) + ε)``."""

from docs.make.formulas.read import Unreadable
from docs.make.formulas.write import formula

__all__ = ["Unreadable", "formula"]
