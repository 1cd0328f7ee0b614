"""Forms that a bundle's model is exported in; a file here is an export."""
