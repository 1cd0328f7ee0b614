"""What computes a bundle's outputs; a file here is an engine."""
