"""How lanes train."""
