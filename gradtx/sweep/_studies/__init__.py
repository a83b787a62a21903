"""Studies: questions that a sweep answers, and what its numbers say beyond a ranking."""
