"""Doors to other libraries, one file each; none of them is imported here."""
