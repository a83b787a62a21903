"""The links: one formula each."""
