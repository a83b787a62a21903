"""Recipes: chains of links, nothing else."""
