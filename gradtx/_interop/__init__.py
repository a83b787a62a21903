"""States and transformations of other libraries."""
