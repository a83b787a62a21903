"""Pictures of the manual: one a file, each with a function ``draw`` that returns the figure."""
