"""Roles: what each parameter is, read from its name and shape."""
