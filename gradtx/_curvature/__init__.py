"""What second derivatives are computed with."""
