"""What the conformance kit is made of."""
