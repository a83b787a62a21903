"""What is made of transformations: chains, forks, groups."""
