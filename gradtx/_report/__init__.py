"""A sweep as one page of HTML: figures, tables, and the best configuration as code."""
